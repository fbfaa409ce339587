#include "nets/nets.h"

#include <concepts>

#include "core/base/error.h"
#include "core/ops/shape_ops.h"
#include "layers/pool.h"

namespace kind {
namespace {

template <class Config>
Activation activation_of(const Config& config) {
  return Activation::from_name(config.activation, config.slope);
}

template <class Config>
Initializer initializer_of(const Config& config) {
  return initializer_from_name(config.initializer);
}

void check_picture(const char* net, const char* what, const Shape& shape, std::int64_t channels) {
  check(shape.rank() != 4 || shape[0] > 0, net, ": expected at least one picture, got n = 0 in ", shape);
  check(shape.rank() == 4 && shape[1] == channels && shape[0] > 0 && shape[2] > 0 && shape[3] > 0, net, ": expected ",
        what, " [n, ", channels, ", h, w], got ", shape);
}

/// A map of one channel, of the size of `like`.
void check_map(const char* net, const char* what, const Shape& shape, const Shape& like) {
  const Shape wanted{like[0], 1, like[2], like[3]};
  check(shape == wanted, net, ": expected ", what, " ", wanted, ", got ", shape);
}

bool is_residual(const std::string& output) {
  check(output == "sigmoid" || output == "residual", "restoration: output: expected sigmoid or residual, got '", output,
        "'");
  return output == "residual";
}

FusedNet fused_net(const Activation& activation) {
  return FusedNet(activation.type == Activation::Type::kRelu ? 0.0f : static_cast<float>(activation.slope));
}

}  // namespace

// Members are made in the order of their declaration, which is therefore the order in which they draw from `random`.
template <class T>
Decomposition<T>::Decomposition(const DecompositionConfig& config, Random& random)
    : activation_(activation_of(config)),
      conv1_({3, 32}, activation_, initializer_of(config), random),
      conv2_({32, 64}, activation_, initializer_of(config), random),
      conv3_({64, 128}, activation_, initializer_of(config), random),
      up8_(64, 1, activation_, initializer_of(config), random),
      up9_(32, 1, activation_, initializer_of(config), random),
      reflectance_(32, 3, config.output_kernel, initializer_of(config), random),
      illumination_conv_({32, 32}, activation_, initializer_of(config), random),
      illumination_(64, 1, config.output_kernel, initializer_of(config), random) {}

template <class T>
typename Decomposition<T>::Output Decomposition<T>::operator()(const Variable<T>& picture) const {
  check_picture("decomposition", "a picture", picture.shape(), 3);
  if constexpr (std::same_as<T, float>) {
    const FusedNet net = fused();
    if (net.runnable()) {
      const Variable<T> both = net({picture});
      return {slice(both, 1, 0, 3), slice(both, 1, 3, 4)};
    }
  }
  const Variable<T> level1 = conv1_(picture);                                // [n, 32, h, w]
  const Variable<T> level2 = conv2_(max_pool2d(level1));                     // [n, 64, h/2, w/2]
  const Variable<T> up8 = up8_(conv3_(max_pool2d(level2)), level2);          // [n, 64, h/2, w/2]
  const Variable<T> up9 = up9_(up8, level1);                                 // [n, 32, h, w]
  const Variable<T> side = concat<T>({illumination_conv_(level1), up9}, 1);  // [n, 64, h, w]
  return {sigmoid(reflectance_(up9)), sigmoid(illumination_(side))};
}

template <>
FusedNet Decomposition<float>::fused() const {
  FusedNet net = fused_net(activation_);
  const auto level1 = conv1_.plan(net, {net.input({3})});
  const auto level2 = conv2_.plan(net, {net.pool(level1)});
  const auto up8 = up8_.plan(net, conv3_.plan(net, {net.pool(level2)}), level2);
  const auto up9 = up9_.plan(net, up8, level1);
  net.output({up9}, reflectance_.weight(), reflectance_.bias(), FusedNet::OutputForm::kSigmoid);
  net.output({illumination_conv_.plan(net, {level1}), up9}, illumination_.weight(), illumination_.bias(),
             FusedNet::OutputForm::kSigmoid);
  return net;
}

template <class T>
Parameters<T> Decomposition<T>::parameters() const {
  Parameters<T> all;
  const std::string p = "decomposition.";
  conv1_.collect({p + "conv1"}, all);
  conv2_.collect({p + "conv2"}, all);
  conv3_.collect({p + "conv3"}, all);
  up8_.collect(p + "up8", {p + "conv8"}, all);
  up9_.collect(p + "up9", {p + "conv9"}, all);
  reflectance_.collect(p + "reflectance", all);
  illumination_conv_.collect({p + "illumination_conv"}, all);
  illumination_.collect(p + "illumination", all);
  return all;
}

template <class T>
Restoration<T>::Restoration(const RestorationConfig& config, Random& random)
    : activation_(activation_of(config)),
      residual_(is_residual(config.output)),
      down1_({4, 32, 32}, activation_of(config), initializer_of(config), random),
      down2_({32, 64, 64}, activation_of(config), initializer_of(config), random),
      down3_({64, 128, 128}, activation_of(config), initializer_of(config), random),
      down4_({128, 256, 256}, activation_of(config), initializer_of(config), random),
      down5_({256, 512, 512}, activation_of(config), initializer_of(config), random),
      up6_(256, 2, activation_of(config), initializer_of(config), random),
      up7_(128, 2, activation_of(config), initializer_of(config), random),
      up8_(64, 2, activation_of(config), initializer_of(config), random),
      up9_(32, 2, activation_of(config), initializer_of(config), random),
      output_(32, 3, 3, residual_ ? Initializer::kZeros : initializer_of(config), random) {}

template <class T>
Variable<T> Restoration<T>::operator()(const Variable<T>& reflectance, const Variable<T>& illumination) const {
  check_picture("restoration", "a reflectance", reflectance.shape(), 3);
  check_map("restoration", "an illumination", illumination.shape(), reflectance.shape());
  if constexpr (std::same_as<T, float>) {
    const FusedNet net = fused();
    if (net.runnable()) return net({reflectance, illumination});
  }
  const Variable<T> level1 = down1_(concat<T>({reflectance, illumination}, 1));
  const Variable<T> level2 = down2_(max_pool2d(level1));
  const Variable<T> level3 = down3_(max_pool2d(level2));
  const Variable<T> level4 = down4_(max_pool2d(level3));
  Variable<T> x = down5_(max_pool2d(level4));
  x = up6_(x, level4);
  x = up7_(x, level3);
  x = up8_(x, level2);
  x = up9_(x, level1);
  return residual_ ? reflectance + output_(x) : sigmoid(output_(x));
}

template <>
FusedNet Restoration<float>::fused() const {
  FusedNet net = fused_net(activation_);
  const auto level1 = down1_.plan(net, {net.input({3, 1})});
  const auto level2 = down2_.plan(net, {net.pool(level1)});
  const auto level3 = down3_.plan(net, {net.pool(level2)});
  const auto level4 = down4_.plan(net, {net.pool(level3)});
  auto x = down5_.plan(net, {net.pool(level4)});
  x = up6_.plan(net, x, level4);
  x = up7_.plan(net, x, level3);
  x = up8_.plan(net, x, level2);
  x = up9_.plan(net, x, level1);
  net.output({x}, output_.weight(), output_.bias(),
             residual_ ? FusedNet::OutputForm::kAddInput : FusedNet::OutputForm::kSigmoid);
  return net;
}

template <class T>
Parameters<T> Restoration<T>::parameters() const {
  Parameters<T> all;
  const auto names = [](int level) {
    const std::string conv = "restoration.conv" + std::to_string(level);
    return std::vector<std::string>{conv + "_1", conv + "_2"};
  };
  const ConvBlock<T>* const down[] = {&down1_, &down2_, &down3_, &down4_, &down5_};
  const UpBlock<T>* const up[] = {&up6_, &up7_, &up8_, &up9_};
  for (int i = 0; i < 5; ++i) down[i]->collect(names(1 + i), all);
  for (int i = 0; i < 4; ++i) up[i]->collect("restoration.up" + std::to_string(6 + i), names(6 + i), all);
  output_.collect("restoration.conv10", all);
  return all;
}

template <class T>
Adjustment<T>::Adjustment(const AdjustmentConfig& config, Random& random)
    : activation_(activation_of(config)),
      output_activation_(config.output_activation),
      convs_({2, 32, 32, 32}, activation_, initializer_of(config), random),
      output_(32, 1, 3, initializer_of(config), random) {}

template <class T>
Variable<T> Adjustment<T>::operator()(const Variable<T>& illumination, const Variable<T>& ratio) const {
  check_picture("adjustment", "an illumination", illumination.shape(), 1);
  check_map("adjustment", "a ratio map", ratio.shape(), illumination.shape());
  if constexpr (std::same_as<T, float>) {
    const FusedNet net = fused();
    if (net.runnable()) return net({illumination, ratio});
  }
  const Variable<T> y = output_(convs_(concat<T>({illumination, ratio}, 1)));
  return sigmoid(output_activation_ ? activation_(y) : y);
}

template <>
FusedNet Adjustment<float>::fused() const {
  FusedNet net = fused_net(activation_);
  net.output({convs_.plan(net, {net.input({1, 1})})}, output_.weight(), output_.bias(),
             output_activation_ ? FusedNet::OutputForm::kActivatedSigmoid : FusedNet::OutputForm::kSigmoid);
  return net;
}

template <class T>
Parameters<T> Adjustment<T>::parameters() const {
  Parameters<T> all;
  convs_.collect({"adjustment.conv1", "adjustment.conv2", "adjustment.conv3"}, all);
  output_.collect("adjustment.conv4", all);
  return all;
}

template class Decomposition<float>;
template class Decomposition<double>;
template class Restoration<float>;
template class Restoration<double>;
template class Adjustment<float>;
template class Adjustment<double>;

}  // namespace kind
