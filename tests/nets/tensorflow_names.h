#pragma once

#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/files/safetensors.h"

namespace kind::testing {

/// A tensor of the authors' program: name and shape there (HWIO; up-convolutions [2, 2, out, in]).
struct TensorFlowTensor {
  std::string name;
  std::vector<std::int64_t> shape;
};

inline void add_layer(std::vector<TensorFlowTensor>& all, const std::string& name, std::int64_t kernel, std::int64_t in,
                      std::int64_t out) {
  all.push_back({name + "/weights", {kernel, kernel, in, out}});
  all.push_back({name + "/biases", {out}});
}

inline std::vector<TensorFlowTensor> decomposition_tensors(std::int64_t output_kernel = 1) {
  std::vector<TensorFlowTensor> all;
  add_layer(all, "DecomNet/g_conv1_1", 3, 3, 32);
  add_layer(all, "DecomNet/g_conv2_1", 3, 32, 64);
  add_layer(all, "DecomNet/g_conv3_1", 3, 64, 128);
  all.push_back({"DecomNet/g_up_1/weights", {2, 2, 64, 128}});
  add_layer(all, "DecomNet/g_conv8_1", 3, 128, 64);
  all.push_back({"DecomNet/g_up_2/weights", {2, 2, 32, 64}});
  add_layer(all, "DecomNet/g_conv9_1", 3, 64, 32);
  add_layer(all, "DecomNet/g_conv10", output_kernel, 32, 3);
  add_layer(all, "DecomNet/l_conv1_2", 3, 32, 32);
  add_layer(all, "DecomNet/l_conv1_4", output_kernel, 64, 1);
  return all;
}

/// `layer`: KinD's Illumination_adjust_net/en_conv_ or KinD++'s I_enhance_Net/conv_.
inline std::vector<TensorFlowTensor> adjustment_tensors(const std::string& layer = "Illumination_adjust_net/en_conv_") {
  std::vector<TensorFlowTensor> all;
  add_layer(all, layer + "1", 3, 2, 32);
  add_layer(all, layer + "2", 3, 32, 32);
  add_layer(all, layer + "3", 3, 32, 32);
  add_layer(all, layer + "4", 3, 32, 1);
  return all;
}

inline std::vector<TensorFlowTensor> restoration_tensors() {
  std::vector<TensorFlowTensor> all;
  const std::string net = "Restoration_net/";
  std::int64_t in = 4, out = 32;
  for (int level = 1; level <= 5; ++level, in = out, out *= 2) {
    add_layer(all, net + "de_conv" + std::to_string(level) + "_1", 3, in, out);
    add_layer(all, net + "de_conv" + std::to_string(level) + "_2", 3, out, out);
  }
  out = 256;
  for (int level = 6; level <= 9; ++level, out /= 2) {
    all.push_back({net + "up_" + std::to_string(level) + "/weights", {2, 2, out, 2 * out}});
    add_layer(all, net + "de_conv" + std::to_string(level) + "_1", 3, 2 * out, out);
    add_layer(all, net + "de_conv" + std::to_string(level) + "_2", 3, out, out);
  }
  add_layer(all, net + "de_conv10", 3, 32, 3);
  return all;
}

/// The pseudo-random numbers of the reference cases: float32((2u - 1) * scale), u from SplitMix64 seeded by the FNV-1a
/// hash of the name. A negative scale gives u itself.
inline std::vector<float> pseudo_random_values(const std::string& name, std::int64_t count, double scale) {
  std::uint64_t seed = 0xcbf29ce484222325;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    std::uint64_t z = seed + (static_cast<std::uint64_t>(i) + 1) * 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    z = z ^ (z >> 31);
    const double u = static_cast<double>(z >> 40) / 16777216.0;
    values.push_back(static_cast<float>(scale < 0 ? u : (2 * u - 1) * scale));
  }
  return values;
}

/// The weights of the reference cases: biases in +-0.05, weights in +-sqrt(6 / (1.04 fan_in)), where the fan of an
/// up-convolution is its number of input channels.
inline SafeTensors pseudo_random_weights(const std::vector<TensorFlowTensor>& tensors) {
  SafeTensors content;
  for (const TensorFlowTensor& t : tensors) {
    const Shape shape(t.shape);
    double scale = 0.05;
    if (t.shape.size() == 4) {
      const bool up = t.name.find("up_") != std::string::npos;
      const std::int64_t fan_in = up ? t.shape[3] : t.shape[0] * t.shape[1] * t.shape[2];
      scale = std::sqrt(6 / (1.04 * static_cast<double>(fan_in)));
    }
    content.put_tensor(t.name, Tensor<float>(shape, pseudo_random_values(t.name, shape.size(), scale)));
  }
  return content;
}

}  // namespace kind::testing
