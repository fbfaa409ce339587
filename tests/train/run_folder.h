#pragma once

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/image/image.h"
#include "tests/support/temp_dir.h"

/// Pictures to train on, and what a run leaves behind.
namespace kind::testing {

inline void put_picture(const std::string& path, const Image& image) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  write_image(path, image, ImageFormat::kPng);
}

/// A bright scene of some shapes and its dark twin, different for each index.
inline Image scene(int width, int height, int index, bool dark) {
  Image image(width, height, 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const bool block = (x / 7 + y / 5 + index) % 3 == c;
        const int bright = 40 + 100 * x / width + 20 * ((index + c) % 3) + (block ? 60 : 0);
        image.set_sample(x, y, c, dark ? bright / 7 + (x * y + c) % 2 : bright);
      }
    }
  }
  return image;
}

/// low/N.png and high/N.png for N = 1..count in the folder.
inline void put_scenes(const std::string& folder, int count, int width = 40, int height = 32) {
  for (int i = 1; i <= count; ++i) {
    const std::string name = std::to_string(i) + ".png";
    put_picture(folder + "/low/" + name, scene(width, height, i, true));
    put_picture(folder + "/high/" + name, scene(width, height, i, false));
  }
}

/// data/ and c.json: all three nets, the largest with a quarter of its channels; few and small steps.
inline void put_run(const TempDir& dir, int decom_steps = 3, int adjust_steps = 3, int restore_steps = 2) {
  put_scenes(dir / "data", 5);
  const auto stage = [](const std::string& name, const std::string& net, const std::string& losses, int steps) {
    const std::string width = net == "restoration" ? R"(, "width": 0.25)" : "";
    return R"({"name": ")" + name + R"(", "net": {")" + net + R"(": {"initializer": "he_normal")" + width +
           R"(}}, "losses": )" + losses + R"(, "batch": 2, "patch": 16, "steps": )" + std::to_string(steps) +
           R"(, "optimizer": {"learning_rate": 0.001}, "clip_norm": 1, "ema": 0.9, "validation": {"every": 5},
               "checkpoints": {"every": 2, "keep_last": 1}, "log_every": 1})";
  };
  dir.put("c.json", R"({"data": {"root": "data", "validation": 2}, "fit_light": true, "stages": [)" +
                        stage("decom", "decomposition", R"({"reconstruction": {}})", decom_steps) + ", " +
                        stage("adjust", "adjustment", R"({"square": {}})", adjust_steps) + ", " +
                        stage("restore", "restoration", R"({"square": {}})", restore_steps) + "]}");
}

/// The objects of a file that holds one a line.
inline std::vector<nlohmann::json> lines_of(const std::string& path) {
  std::vector<nlohmann::json> entries;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) entries.push_back(nlohmann::json::parse(line));
  return entries;
}

/// Those of a run's metrics.jsonl.
inline std::vector<nlohmann::json> metrics_of(const std::string& out) { return lines_of(out + "/metrics.jsonl"); }

/// Every file of a run by its path in the folder, as size and hash; of metrics.jsonl all but speed and time.
inline std::map<std::string, std::string> snapshot(const std::string& out) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(out)) {
    if (!entry.is_regular_file()) continue;
    const std::string name = std::filesystem::relative(entry.path(), out).string();
    std::string content;
    if (name == "metrics.jsonl") {
      for (nlohmann::json& line : metrics_of(out)) {
        line.erase("images_per_s");
        line.erase("seconds");
        content += line.dump() + "\n";
      }
    } else {
      const std::vector<std::uint8_t> bytes = slurp(entry.path().string());
      content.assign(bytes.begin(), bytes.end());
    }
    files[name] = std::to_string(content.size()) + " bytes, " + std::to_string(std::hash<std::string_view>{}(content));
  }
  return files;
}

}  // namespace kind::testing
