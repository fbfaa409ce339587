#include "layers/unet_block.h"

#include "core/base/error.h"
#include "core/ops/shape_ops.h"

namespace kind {
namespace {

std::vector<std::int64_t> up_channels(std::int64_t out, int convolutions) {
  check(convolutions >= 1, "up block: expected at least one convolution, got ", convolutions);
  std::vector<std::int64_t> channels(static_cast<std::size_t>(convolutions) + 1, out);
  channels[0] = 2 * out;
  return channels;
}

}  // namespace

template <class T>
ConvBlock<T>::ConvBlock(const std::vector<std::int64_t>& channels, const Activation& activation,
                        Initializer initializer, Random& random)
    : activation_(activation) {
  check(channels.size() >= 2, "conv block: expected the channels of at least one convolution, in and out, got ",
        channels.size(), " numbers");
  for (std::size_t i = 1; i < channels.size(); ++i) {
    convolutions_.emplace_back(channels[i - 1], channels[i], 3, initializer, random);
  }
}

template <class T>
Variable<T> ConvBlock<T>::operator()(Variable<T> x) const {
  for (const Conv2d<T>& convolution : convolutions_) x = activation_(convolution(x));
  return x;
}

template <>
FusedNet::Value ConvBlock<float>::plan(FusedNet& net, std::vector<FusedNet::Value> x) const {
  for (const Conv2d<float>& convolution : convolutions_) x = {net.conv(x, convolution.weight(), convolution.bias())};
  return x[0];
}

template <class T>
void ConvBlock<T>::collect(const std::vector<std::string>& names, Parameters<T>& parameters) const {
  check(names.size() == convolutions_.size(), "conv block: expected ", convolutions_.size(), " names, got ",
        names.size());
  for (std::size_t i = 0; i < names.size(); ++i) convolutions_[i].collect(names[i], parameters);
}

// The authors start every up-convolution from a truncated normal, whatever the convolutions start from.
template <class T>
UpBlock<T>::UpBlock(std::int64_t out_channels, int convolutions, const Activation& activation, Initializer initializer,
                    Random& random)
    : up_(2 * out_channels, out_channels, 2, Initializer::kTruncatedNormal, random),
      block_(up_channels(out_channels, convolutions), activation, initializer, random) {}

template <class T>
Variable<T> UpBlock<T>::operator()(const Variable<T>& x, const Variable<T>& skip) const {
  check_pictures("up block", skip.shape());
  const Variable<T> wide = up_(x, skip.shape()[2], skip.shape()[3]);
  check(skip.shape()[2] <= 2 * x.shape()[2] && skip.shape()[3] <= 2 * x.shape()[3], "up block: of ", x.shape(),
        " it makes twice as many rows and columns at most, fewer than those of the skip tensor ", skip.shape());
  return block_(concat<T>({wide, skip}, 1));
}

template <>
FusedNet::Value UpBlock<float>::plan(FusedNet& net, FusedNet::Value x, FusedNet::Value skip) const {
  return block_.plan(net, {net.up(x, up_.weight()), skip});
}

template <class T>
void UpBlock<T>::collect(const std::string& up_name, const std::vector<std::string>& names,
                         Parameters<T>& parameters) const {
  up_.collect(up_name, parameters);
  block_.collect(names, parameters);
}

template class ConvBlock<float>;
template class ConvBlock<double>;
template class UpBlock<float>;
template class UpBlock<double>;

}  // namespace kind
