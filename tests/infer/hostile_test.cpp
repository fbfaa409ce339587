// Files that are damaged, cut short, or not what they are called: made from the sample photographs, the same ones each
// time. Every one of them must be refused, with its line, and leave nothing behind.

#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <map>

#include "core/config/config.h"
#include "tests/infer/kind_infer.h"
#include "tests/support/metadata.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

const char* const kSamples[] = {"brushes", "dandelions", "dogs", "meadow", "room", "stream"};

Bytes sample(const std::string& name) { return slurp(source_dir() + "/docs/samples/" + name + ".jpg"); }

/// Every `step`-th pixel of a sample.
Image small_sample(const std::string& name, int step) {
  const Image large = read_image(source_dir() + "/docs/samples/" + name + ".jpg");
  Image small(large.width / step, large.height / step, 3);
  for (int y = 0; y < small.height; ++y) {
    for (int x = 0; x < small.width; ++x) {
      for (int c = 0; c < 3; ++c) small.set_sample(x, y, c, large.sample(x * step, y * step, c));
    }
  }
  return small;
}

/// Names and contents.
using Files = std::map<std::string, Bytes>;

class Maker {
 public:
  Files files;

  void add(const std::string& name, const Bytes& bytes) {
    char number[8];
    std::snprintf(number, sizeof(number), "%03zu-", files.size());
    files.emplace(number + name, bytes);
  }
  void add(const std::string& name, const std::string& text) { add(name, Bytes(text.begin(), text.end())); }
  /// The file cut off at `count` places, evenly spread, and at 1, 2 and 4 bytes before its end.
  void cut(const std::string& name, const Bytes& whole, std::size_t count) {
    for (std::size_t i = 1; i <= count; ++i) add("cut-" + name, first(whole, whole.size() * i / (count + 1)));
    for (const std::size_t less : {1u, 2u, 4u}) add("cut-" + name, first(whole, whole.size() - less));
  }

 private:
  static Bytes first(const Bytes& whole, std::size_t size) {
    return {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
  }
};

std::size_t find(const Bytes& in, const Bytes& what) {
  const auto at = std::search(in.begin(), in.end(), what.begin(), what.end());
  REQUIRE(at != in.end());
  return static_cast<std::size_t>(at - in.begin());
}

void add_jpegs(Maker& maker) {
  for (const char* name : kSamples) {
    const Bytes whole = sample(name);
    maker.cut(std::string(name) + ".jpg", whole, 12);
    const std::size_t scan = find(whole, {0xff, 0xda}), table = find(whole, {0xff, 0xc4});
    const std::size_t frame = find(whole, {0xff, 0xc0, 0, 17, 8});
    const auto change = [&](const std::string& what, std::size_t at, const Bytes& bytes) {
      Bytes changed = whole;
      std::copy(bytes.begin(), bytes.end(), changed.begin() + static_cast<std::ptrdiff_t>(at));
      maker.add(what + "-" + name + ".jpg", changed);
    };
    change("precision", frame + 4, {12});
    change("height", frame + 5, {0, 0});
    change("huge", frame + 5, {0xff, 0xdb, 0xff, 0xdb});
    change("wide", frame + 7, {0xff, 0xff});
    change("components", frame + 9, {2});
    change("sampling", frame + 11, {0});
    change("frame", frame + 2, {0, 3});
    change("no-steps", find(whole, {0xff, 0xdb}) + 1, {0xe5});
    change("table", table + 5, {0xff, 0xff, 0xff, 0xff});
    change("scan", scan + 4, {9});
    change("end", scan + 200, {0xff, 0xd9});
    change("start", 0, {0xff, 0xd8, 0xff, 0xd8, 0xff, 0xd8});
    // Data lost from the middle.
    Bytes lost = whole;
    lost.erase(lost.end() - 5000, lost.end() - 1000);
    maker.add(std::string("lost-") + name + ".jpg", lost);
  }
}

void add_pngs(Maker& maker) {
  const TempDir dir;
  for (const char* name : {"dogs", "room"}) {
    write_image(dir / "p.png", small_sample(name, 9), ImageFormat::kPng);
    const Bytes whole = slurp(dir / "p.png");
    maker.cut(std::string(name) + ".png", whole, 12);
    const auto remade = [&](const std::string& what, std::size_t at, const Bytes& bytes) {
      Bytes changed = whole;
      std::copy(bytes.begin(), bytes.end(), changed.begin() + static_cast<std::ptrdiff_t>(at));
      const std::string header = chunk("IHDR", std::string(changed.begin() + 16, changed.begin() + 29));
      std::copy(header.begin(), header.end(), changed.begin() + 8);
      maker.add(what + "-" + name + ".png", changed);
    };
    constexpr std::size_t kWidth = 16, kHeight = 20, kDepth = 24, kColor = 25, kMethod = 26, kFilter = 27, kLace = 28;
    remade("no-width", kWidth, {0, 0, 0, 0});
    remade("no-height", kHeight, {0, 0, 0, 0});
    remade("high", kHeight, {0, 0, 0x7f, 0xff});
    remade("bomb", kWidth, {0, 0, 0xc3, 0x50, 0, 0, 0xc3, 0x50});
    remade("negative", kWidth, {0xff, 0xff, 0xff, 0xff});
    remade("long", kWidth, {0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 1});
    remade("depth", kDepth, {3});
    remade("color", kColor, {5});
    remade("palette", kColor, {3});
    remade("method", kMethod, {1});
    remade("filter", kFilter, {9});
    remade("lace", kLace, {2});
    remade("adam", kLace, {1});
    remade("more", kHeight, {0, 0, 2, 0});
    // A changed byte in each of the chunks that hold pixels does not fit its sum.
    const std::size_t data = find(whole, {'I', 'D', 'A', 'T'});
    for (std::size_t at = data + 4; at < whole.size() - 16; at += (whole.size() - data) / 10) {
      Bytes changed = whole;
      changed[at] = static_cast<std::uint8_t>(changed[at] ^ 0x10);
      maker.add(std::string("sum-") + name + ".png", changed);
    }
    Bytes without = whole;
    without[data] = 'X';
    maker.add(std::string("no-data-") + name + ".png", without);
    Bytes length = whole;
    length[data - 4] = 0x7f;
    maker.add(std::string("length-") + name + ".png", length);
    maker.add(std::string("profile-") + name + ".png",
              with_inserted(
                  whole, chunk("iCCP", std::string("bomb\0\0", 6) + packed(std::string(std::size_t{80} << 20, 'x')))));
  }
}

void add_others(Maker& maker) {
  const TempDir dir;
  for (const char* name : {"meadow", "stream"}) {
    const Image small = small_sample(name, 12);
    write_image(dir / "p.bmp", small, ImageFormat::kBmp);
    write_image(dir / "p.ppm", small, ImageFormat::kPpm);
    const Bytes bmp = slurp(dir / "p.bmp"), ppm = slurp(dir / "p.ppm");
    // The last bytes of a BMP's last row are padding, so it is cut at least 4 bytes earlier.
    maker.cut(std::string(name) + ".bmp", Bytes(bmp.begin(), bmp.end() - 4), 8);
    maker.cut(std::string(name) + ".ppm", ppm, 8);
    const std::pair<std::size_t, Bytes> changes[] = {{14, {99}},         {18, {0, 0, 0, 0}},
                                                     {18, {0, 0, 1, 0}}, {22, {0, 0, 0, 0}},
                                                     {22, {0, 0, 1, 0}}, {22, {0, 0, 0, 0x80}},
                                                     {28, {7}},          {30, {1}},
                                                     {30, {9}},          {10, {0xff, 0xff, 0xff, 0x7f}}};
    for (const auto& [at, bytes] : changes) {
      Bytes changed = bmp;
      std::copy(bytes.begin(), bytes.end(), changed.begin() + static_cast<std::ptrdiff_t>(at));
      maker.add(std::string("header-") + name + ".bmp", changed);
    }
  }
  for (const char* header : {"P6", "P6\n", "P6 10", "P6 10 10", "P6 10 10 ", "P6 10 10 255", "P6 0 10 255\n",
                             "P6 10 0 255\n", "P6 -1 10 255\n", "P6 10 10 0\n", "P6 10 10 65536\n",
                             "P6 99999999999 1 255\n", "P6 50000 50000 255\n", "P5 x y 255\n", "P6 # never ends"}) {
    maker.add("header.ppm", std::string(header));
  }
}

void add_mislabelled(Maker& maker) {
  const std::string zeros(200, '\0');
  const std::pair<const char*, std::string> types[] = {
      {"empty.jpg", ""},
      {"one.jpg", "\xff"},
      {"start.jpg", "\xff\xd8\xff"},
      {"zeros.png", zeros},
      {"text.png", "Dear sir or madam,\n"},
      {"page.jpg", "<!DOCTYPE html><html></html>"},
      {"json.png", "{\"error\": 404}"},
      {"gif.png", "GIF89a" + zeros},
      {"webp.jpg", std::string("RIFF\x10\0\0\0WEBPVP8 ", 16) + zeros},
      {"tiff.jpg", std::string("II*\0\x08\0\0\0", 8) + zeros},
      {"raw.jpg", std::string("MM\0*\0\0\0\x08", 8) + zeros},
      {"canon.jpg", std::string("II*\0\x10\0\0\0CR\2\0", 12) + zeros},
      {"fuji.jpg", "FUJIFILMCCD-RAW 0201" + zeros},
      {"heic.jpg", std::string("\0\0\0\x18", 4) + "ftypheic" + zeros},
      {"avif.png", std::string("\0\0\0\x18", 4) + "ftypavif" + zeros},
      {"video.jpg", std::string("\0\0\0\x18", 4) + "ftypisom" + zeros},
      {"photoshop.png", "8BPS" + zeros},
      {"jpeg2000.jpg", std::string("\0\0\0\x0cjP  ", 8) + zeros},
      {"jpegxl.jpg", "\xff\x0a" + zeros},
      {"plain.ppm", "P3 1 1 255 1 2 3"},
      {"pam.ppm", "P7\nWIDTH 1\n"},
      {"zip.png", "PK\3\4" + zeros},
      {"program.png",
       "\x7f"
       "ELF" +
           zeros},
      {"wave.bmp", std::string("RIFF\x10\0\0\0WAVEfmt ", 16)},
      {"short.bmp", "BM"},
      {"half.png", "\x89PNG\r\n\x1a\n"},
      {"dos.png", "\x89PNG\n\x1a\n" + zeros},
      {"model.png", std::string("\x40\0\0\0\0\0\0\0{\"a\"", 12)},
      {"npy.jpg", "\x93NUMPY" + zeros},
      {"pdf.jpg", "%PDF-1.7\n"},
  };
  for (const auto& [name, content] : types) maker.add(name, content);
}

Files hostile_files() {
  Maker maker;
  add_jpegs(maker);
  add_pngs(maker);
  add_others(maker);
  add_mislabelled(maker);
  return maker.files;
}

TEST_CASE("hostile files: each of 300 is refused with its line, and nothing is left behind") {
  const Files hostile = hostile_files();
  CHECK(hostile.size() >= 300);
  const TempDir dir;
  fs::create_directory(dir / "in");
  for (const auto& [name, bytes] : hostile) dir.put("in/" + name, bytes);
  const Names before = files(dir);
  const Result result = run(dir, "in -o out --report report.json");
  CHECK(result.code == 2);
  CHECK(result.out.empty());
  const std::vector<std::string> lines = result.lines();
  REQUIRE(lines.size() == hostile.size());
  std::size_t i = 0;
  for (const auto& [name, bytes] : hostile) {
    INFO(name);
    CHECK_THAT(lines[i], Catch::StartsWith("kind-infer: cannot read in/" + name));
    CHECK(lines[i].size() < 300);
    ++i;
  }
  Names after = files(dir);
  CHECK(after.erase("report.json") == 1);
  CHECK(after == before);
  CHECK_FALSE(fs::exists(dir / "out"));
}

TEST_CASE("hostile files: a good picture among them is done") {
  const Files hostile = hostile_files();
  const TempDir dir;
  fs::create_directory(dir / "in");
  int count = 0;
  for (const auto& [name, bytes] : hostile) {
    if (count++ % 10 == 0) dir.put("in/" + name, bytes);
  }
  write_image(dir / "in/100-good.png", smooth_picture(8, 8, 3), ImageFormat::kPng);
  const Result result = run(dir, "in -o out -j 2");
  CHECK(result.code == 1);
  CHECK(result.out == "out/100-good.png\n");
  CHECK(std::distance(fs::directory_iterator(dir / "out"), {}) == 1);
}

TEST_CASE("hostile files: a header that says too much costs neither time nor memory") {
  const TempDir dir;
  std::string png = "\x89PNG\r\n\x1a\n" +
                    chunk("IHDR", number(50000, 4, false) + number(50000, 4, false) + std::string("\x08\x02\0\0\0", 5));
  png += chunk("IDAT", packed(std::string(100, '\0'))) + chunk("IEND", "");
  dir.put("bomb.png", png);
  const auto start = std::chrono::steady_clock::now();
  const Result result = run(dir, "bomb.png -o out.png --report report.json");
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(result.code == 2);
  CHECK_THAT(result.err, Contains("bomb.png: it has 50000 x 50000 pixels, the limit is 268435456 in all"));
  CHECK(files(dir) == Names{"bomb.png", "report.json"});
  const nlohmann::json report = read_json_file(dir / "report.json");
  INFO(seconds << " s in all");
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(report.at("seconds").get<double>() < 0.1);
  CHECK(report.at("peak_memory_mib").get<double>() < 50);
#endif
}

}  // namespace
}  // namespace kind::testing
