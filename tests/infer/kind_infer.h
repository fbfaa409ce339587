#pragma once

// Runs kind-infer as its users do. Sources that include this are told where the program is.

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "nets/model.h"
#include "tests/support/pictures.h"

namespace kind::testing {

namespace fs = std::filesystem;
using Catch::Contains;
using Bytes = std::vector<std::uint8_t>;
using Names = std::set<std::string>;

/// Models that every test shares: whole.st with all three nets, plain.st without restoration. Restoration has a quarter of
/// its channels: each run of the program reads it.
struct Models {
  TempDir dir;
  std::string whole = dir / "whole.st", plain = dir / "plain.st";

  Models() {
    Model<float> model;
    model.config.decomposition.emplace();
    model.config.adjustment.emplace();
    model.build(7);
    save_model(plain, model);
    model.config.restoration.emplace().width = 0.25;
    model.build(7);
    save_model(whole, model, WeightType::kFloat16);
  }
};

inline const Models& models() {
  static const Models shared;
  return shared;
}

struct Result {
  int code = -1;
  std::string out, err;

  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::istringstream text(err);
    for (std::string line; std::getline(text, line);) all.push_back(line);
    return all;
  }
};

/// Runs a shell command in the folder, in which "$KIND" is the program; $KIND_MODEL is whole.st.
inline Result shell(const TempDir& dir, const std::string& command) {
  const TempDir streams;
  streams.put("run", "cd '" + dir.path() + "'\nKIND='" KIND_INFER_PROGRAM "'\nexport OMP_NUM_THREADS=1 KIND_MODEL='" +
                         models().whole + "'\n" + command + "\n");
  const int status = std::system(
      ("timeout 120 sh '" + streams / "run" + "' >'" + streams / "out" + "' 2>'" + streams / "err" + "' </dev/null")
          .c_str());
  const auto text = [](const std::string& path) {
    const Bytes bytes = slurp(path);
    return std::string(bytes.begin(), bytes.end());
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text(streams / "out"), text(streams / "err")};
}

/// `before`: goes in front of the program.
inline Result run(const TempDir& dir, const std::string& arguments, const std::string& before = "") {
  return shell(dir, before + "\"$KIND\" " + arguments);
}

/// What goes in front of a program so that the permissions of root's own files hold for root, too.
inline std::string without_privileges() {
  const std::string capabilities = "-dac_override,-dac_read_search";
  if (::geteuid() != 0) return "";
  return "setpriv --inh-caps " + capabilities + " --bounding-set " + capabilities + " ";
}

inline std::string text_of_file(const std::string& path) {
  const Bytes bytes = slurp(path);
  return std::string(bytes.begin(), bytes.end());
}

/// All files in the folder and its folders, temporary ones too.
inline Names files(const TempDir& dir) {
  Names names;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(dir.path())) {
    if (!fs::is_directory(entry.symlink_status())) names.insert(entry.path().lexically_relative(dir.path()).string());
  }
  return names;
}

/// A failure: the code, nothing on stdout, no new file, one line on stderr that starts with the program's name.
inline std::string failure(const TempDir& dir, const std::string& arguments, const std::string& before = "") {
  INFO(arguments);
  const Names there = files(dir);
  const Result result = run(dir, arguments, before);
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  CHECK(result.err.find("kind-infer: ") == 0);
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  CHECK(files(dir) == there);
  return result.err;
}

/// Success: what is on stdout. Nothing but a line for each picture is on stderr, and one for files of other types.
inline std::string success(const TempDir& dir, const std::string& arguments) {
  INFO(arguments);
  const Result result = run(dir, arguments);
  INFO(result.err);
  CHECK(result.code == 0);
  const std::vector<std::string> lines = result.lines();
  const auto others = std::count_if(
      lines.begin(), lines.end(), [](const std::string& line) { return line.find("kind-infer: passed over: ") == 0; });
  CHECK(static_cast<std::ptrdiff_t>(lines.size()) - others == std::count(result.out.begin(), result.out.end(), '\n'));
  return result.out;
}

inline ImageFormat type_of(const std::string& path) { return image_info(path).format; }

/// Dark pictures: a.png, b.JPG, c.bmp, d.ppm, e.pgm and one without extension, all 24 x 18.
inline void put_pictures(const TempDir& dir) {
  const Image picture = smooth_picture(24, 18, 3);
  write_image(dir / "a.png", picture, ImageFormat::kPng);
  write_image(dir / "b.JPG", picture, ImageFormat::kJpeg);
  write_image(dir / "c.bmp", picture, ImageFormat::kBmp);
  write_image(dir / "d.ppm", picture, ImageFormat::kPpm);
  write_image(dir / "e.pgm", smooth_picture(24, 18, 1), ImageFormat::kPpm);
  write_image(dir / "noext", picture, ImageFormat::kPng);
}

}  // namespace kind::testing
