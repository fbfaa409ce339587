#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nets/light.h"
#include "nets/model.h"

namespace kind {

struct DarktableOptions {
  double ratio = 3;       ///< What adjustment is given, above 0 and at most 100.
  InputRange range = {};  ///< That is stretched to 0..1: a tile does not show the range of its picture.
  bool float16 = false;   ///< See OnnxOptions.
};

/// The name that darktable gives the model's folder; it tells exports of different options apart.
std::string darktable_id(const DarktableOptions& options);

/// The model as a package of darktable's neural restore (5.6 and later, task "denoise"; the format is that of
/// https://github.com/darktable-org/darktable-ai): a ZIP archive of ID/config.json and ID/model.onnx. The graph maps
/// `input` [1, 3, height, width], sRGB in 0..1, to `output` of the same shape. Errors as export_onnx().
std::vector<std::uint8_t> export_darktable(const Model<float>& model, const DarktableOptions& options,
                                           const std::map<std::string, std::string>& notes = {});

}  // namespace kind
