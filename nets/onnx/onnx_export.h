#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "nets/light.h"
#include "nets/model.h"

namespace kind {

/// What of a model goes into the graph.
enum class OnnxNets { kAll, kDecomposition, kRestoration, kAdjustment };

struct OnnxOptions {
  OnnxNets nets = OnnxNets::kAll;
  bool float16 = false;  ///< Store weights as float16; the graph computes in float32 all the same.
  /// What adjustment is given, above 0 and at most 100. Without it the ratio is an input of the graph.
  std::optional<double> ratio = {};
  /// kAll: the range that is stretched to 0..1, in place of the picture's own; finite, with a span above 0.
  std::optional<InputRange> range = {};
  std::int64_t more_padding = 0;  ///< Rows and columns of reflection padding beyond those of the model, 0 to 256.
};

/// The model as a file of ONNX, operator set 17, for pictures of any height and width from 1. The graph is made from the
/// nets' descriptions (nets/net.h), with each net's reflection padding (`input.mirror`). Inputs and outputs are float32:
///   kAll            input [1, 3, h, w], sRGB in 0..1; ratio [1]; output [1, 3, h, w] in 0..1
///   kDecomposition  input [1, 3, h, w] as net_input() gives it; reflectance [1, 3, h, w]; illumination [1, 1, h, w]
///   kRestoration    reflectance [1, 3, h, w]; illumination [1, 1, h, w]; restored [1, 3, h, w]
///   kAdjustment     illumination [1, 1, h, w]; ratio [1]; adjusted [1, 1, h, w]
/// kAll is enhance() at a given ratio with Fusion::kNone: it measures the picture's range as Meter does, stretches it, runs
/// the nets, multiplies and clips. Without restoration the reflectance is multiplied. `notes` become the file's metadata.
/// Throws Error where the model lacks a net, for options out of range, or for weights that float16 cannot hold.
std::vector<std::uint8_t> export_onnx(const Model<float>& model, const OnnxOptions& options,
                                      const std::map<std::string, std::string>& notes = {});

}  // namespace kind
