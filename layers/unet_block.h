#pragma once

#include <vector>

#include "layers/activation.h"
#include "layers/conv2d.h"
#include "layers/fused_net.h"

namespace kind {

/// One or more 3x3 SAME convolutions, each followed by the activation: one level of a U-Net.
template <class T>
class ConvBlock {
 public:
  /// channels = {in, out of the first, out of the second, ...}; throws Error for less than two.
  ConvBlock(const std::vector<std::int64_t>& channels, const Activation& activation, Initializer initializer,
            Random& random);

  /// [n, in, h, w] to [n, out, h, w].
  Variable<T> operator()(Variable<T> x) const;
  /// The same written down as layers of a fused net, from the concatenation of `x`. Float alone.
  FusedNet::Value plan(FusedNet& net, std::vector<FusedNet::Value> x) const;
  /// Names the convolutions `names`[i].weight and so on; there must be one name for each.
  void collect(const std::vector<std::string>& names, Parameters<T>& parameters) const;

 private:
  Activation activation_;
  std::vector<Conv2d<T>> convolutions_;
};

/// The way up of a U-Net (Ronneberger et al., MICCAI 2015): a 2x2 stride-2 transposed convolution from 2c to c
/// channels, cut to the size of the skip tensor, concatenated as [up, skip] to 2c channels, then a ConvBlock back to c.
template <class T>
class UpBlock {
 public:
  /// `convolutions`: how many the block ends with; throws Error for less than one.
  UpBlock(std::int64_t out_channels, int convolutions, const Activation& activation, Initializer initializer,
          Random& random);

  /// x [n, 2c, ceil(h / 2), ceil(w / 2)] and skip [n, c, h, w] to [n, c, h, w].
  Variable<T> operator()(const Variable<T>& x, const Variable<T>& skip) const;
  FusedNet::Value plan(FusedNet& net, FusedNet::Value x, FusedNet::Value skip) const;
  void collect(const std::string& up_name, const std::vector<std::string>& names, Parameters<T>& parameters) const;

 private:
  ConvTranspose2d<T> up_;
  ConvBlock<T> block_;
};

template <>
FusedNet::Value ConvBlock<float>::plan(FusedNet& net, std::vector<FusedNet::Value> x) const;
template <>
FusedNet::Value UpBlock<float>::plan(FusedNet& net, FusedNet::Value x, FusedNet::Value skip) const;

}  // namespace kind
