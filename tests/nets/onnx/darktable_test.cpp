#include "nets/onnx/darktable.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "core/image/image.h"
#include "nets/onnx/onnx_export.h"
#include "nets/pipeline.h"
#include "tests/nets/onnx/onnx_evaluator.h"
#include "tests/support/errors.h"
#include "tests/support/source_dir.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

struct Entry {
  std::string name;
  std::vector<std::uint8_t> bytes;
};

/// The entries of an archive without compression.
std::vector<Entry> entries_of(const std::vector<std::uint8_t>& zip) {
  const auto number = [&](std::size_t at, int size) {
    std::size_t value = 0;
    for (int i = 0; i < size; ++i)
      value |= static_cast<std::size_t>(zip.at(at + static_cast<std::size_t>(i))) << (8 * i);
    return value;
  };
  std::vector<Entry> entries;
  for (std::size_t at = 0; number(at, 4) == 0x04034b50;) {
    const std::size_t size = number(at + 18, 4), name = at + 30, data = name + number(at + 26, 2) + number(at + 28, 2);
    const auto from = zip.begin() + static_cast<std::ptrdiff_t>(data);
    entries.push_back(
        {{zip.begin() + static_cast<std::ptrdiff_t>(name), from}, {from, from + static_cast<std::ptrdiff_t>(size)}});
    at = data + size;
  }
  return entries;
}

Model<float> shipped_model() { return load_model<float>(source_dir() + "/nets/pretrained/kind.safetensors"); }

TEST_CASE("darktable: the package has a folder with the description and the graph") {
  const Model<float> model = shipped_model();
  DarktableOptions options;
  options.ratio = 2.5;
  options.range = {0, 0.5f};
  options.float16 = true;
  const auto zip = export_darktable(model, options, {{"licence", "none"}});
  const std::vector<Entry> entries = entries_of(zip);
  REQUIRE(entries.size() == 2);
  const std::string id = "denoise-kind-ratio-2.5-range-0-0.5";
  CHECK(darktable_id(options) == id);
  CHECK(entries[0].name == id + "/config.json");
  CHECK(entries[1].name == id + "/model.onnx");
  const auto config = nlohmann::json::parse(entries[0].bytes);
  CHECK(config["id"] == id);
  CHECK(config["task"] == "denoise");
  CHECK(config["backend"] == "onnx");
  CHECK(config["num_inputs"] == 1);
  CHECK(config["tiling"] == true);
  CHECK(config["spatial_dims"] == nlohmann::json::array({"height", "width"}));
  for (const char* const key : {"name", "description", "version"}) CHECK(config[key].is_string());
  // One input and one output of the names and shapes that are asked for.
  const OnnxFile file = read_onnx(entries[1].bytes);
  REQUIRE(file.inputs.size() == 1);
  REQUIRE(file.outputs.size() == 1);
  CHECK(file.inputs[0].name == "input");
  CHECK(file.outputs[0].name == "output");
  for (const OnnxFile::Info& info : {file.inputs[0], file.outputs[0]}) {
    REQUIRE(info.shape.size() == 4);
    CHECK(info.shape[0].size == 1);
    CHECK(info.shape[1].size == 3);
    CHECK(info.shape[2].name == "height");
    CHECK(info.shape[3].name == "width");
  }
  CHECK(file.metadata.at("licence") == "none");
  CHECK(entries[1].bytes == export_onnx(model,
                                        {.float16 = true, .ratio = 2.5, .range = options.range, .more_padding = 32},
                                        {{"licence", "none"}}));
  CHECK(darktable_id({}) == "denoise-kind-ratio-3");
  options.ratio = 0;
  CHECK_THAT(error_of([&] { export_darktable(model, options); }), Contains("ratio: expected a number above 0"));
}

/// The shipped model with the padding of the package.
Model<float> padded_model() {
  Model<float> model = shipped_model();
  model.config.input.mirror = model.config.input.margin() + 32;
  return model;
}

/// The nets' product at a ratio, as the package's graph computes it.
Tensor<float> product_of(const Model<float>& model, const Tensor<float>& input, double ratio) {
  PictureNets nets(model);
  auto parts = nets.decompose(input);
  const Tensor<float> light = nets.adjust(parts.illumination, ratio);
  nets.restore_in_place(parts.reflectance, parts.illumination);
  const std::int64_t plane = light.size();
  for (std::int64_t i = 0; i < 3 * plane; ++i) parts.reflectance[i] *= light[i % plane];
  return parts.reflectance;
}

/// The same in darktable's way: tiles of `tile` pixels that overlap by 64 on each side, mirrored around the border pixels
/// outside of the picture, of which the inner parts are put together.
Tensor<float> tiled_product_of(const Model<float>& model, const Tensor<float>& input, double ratio, std::int64_t tile) {
  constexpr std::int64_t kOverlap = 64;
  const std::int64_t h = input.shape()[2], w = input.shape()[3], step = tile - 2 * kOverlap;
  const auto mirror = [](std::int64_t at, std::int64_t size) {
    if (at < 0) at = -at;
    if (at >= size) at = 2 * size - 2 - at;
    return std::clamp<std::int64_t>(at, 0, size - 1);
  };
  Tensor<float> result(input.shape()), part(Shape{1, 3, tile, tile});
  for (std::int64_t top = 0; top < h; top += step) {
    for (std::int64_t left = 0; left < w; left += step) {
      for (std::int64_t i = 0; i < part.size(); ++i) {
        const std::int64_t y = mirror(top - kOverlap + i / tile % tile, h), x = mirror(left - kOverlap + i % tile, w);
        part[i] = input[(i / (tile * tile) * h + y) * w + x];
      }
      const Tensor<float> done = product_of(model, part, ratio);
      for (std::int64_t c = 0; c < 3; ++c) {
        for (std::int64_t y = top; y < std::min(h, top + step); ++y) {
          for (std::int64_t x = left; x < std::min(w, left + step); ++x) {
            result[(c * h + y) * w + x] = done[(c * tile + y - top + kOverlap) * tile + x - left + kOverlap];
          }
        }
      }
    }
  }
  return result;
}

struct Seam {
  double largest = 0, mean = 0;  // in steps of 8 bits
};

/// The difference between tiles and a single tile around the whole picture.
Seam seam_of(const Model<float>& model, const Tensor<float>& input, double ratio, std::int64_t tile) {
  const std::int64_t single = (std::max(input.shape()[2], input.shape()[3]) + 2 * 64 + 15) / 16 * 16;
  const Tensor<float> whole = tiled_product_of(model, input, ratio, single),
                      tiled = tiled_product_of(model, input, ratio, tile);
  Seam seam;
  for (std::int64_t i = 0; i < whole.size(); ++i) {
    const double difference = 255 * std::abs(static_cast<double>(whole[i] - tiled[i]));
    seam.largest = std::max(seam.largest, difference);
    seam.mean += difference / static_cast<double>(whole.size());
  }
  return seam;
}

/// A photograph of the repository, darkened.
Tensor<float> dark_sample(const std::string& name) {
  const Tensor<float> bright = to_tensor(read_image(source_dir() + "/docs/samples/" + name));
  Tensor<float> dark(bright.shape());
  for (std::int64_t i = 0; i < dark.size(); ++i) dark[i] = std::round(255 * 0.3f * bright[i]) / 255;
  return dark;
}

TEST_CASE("darktable: tiles differ little from a picture in one piece", "[slow]") {
  const Tensor<float> input = dark_sample("cup.jpg");
  const Seam seam = seam_of(padded_model(), input, 3, 256), plain = seam_of(shipped_model(), input, 3, 256);
  CAPTURE(seam.largest, seam.mean, plain.largest, plain.mean);
  CHECK(seam.mean < 0.04);
  CHECK(seam.mean < 0.65 * plain.mean);  // without the padding of tiles
  CHECK(seam.largest < 8);
  CHECK(seam.largest > 0);  // else it was one tile
}

TEST_CASE("darktable: seams by size of the tiles", "[.seams]") {
  const Model<float> model = padded_model();
  const char* const wanted = std::getenv("KIND_SEAM_PICTURES");
  std::istringstream names(wanted ? wanted : "cup.jpg");
  for (std::string name; names >> name;) {
    const Tensor<float> input = name[0] == '/' ? to_tensor(read_image(name)) : dark_sample(name);
    for (const std::int64_t tile : {256, 384, 512, 768, 1024, 1536, 2048}) {
      const Seam seam = seam_of(model, input, 3, tile);
      std::printf("%s %lld x %lld, tiles of %lld: largest %.3f, mean %.5f steps\n", name.c_str(),
                  static_cast<long long>(input.shape()[3]), static_cast<long long>(input.shape()[2]),
                  static_cast<long long>(tile), seam.largest, seam.mean);
    }
  }
}

}  // namespace
}  // namespace kind::testing
