#include "train/stages/frozen_decomposition.h"

#include <bit>
#include <iomanip>
#include <sstream>
#include <utility>

#include "core/kernels/kernels.h"
#include "nets/pipeline.h"
#include "train/stages/planes.h"

namespace kind {

FrozenDecomposition::FrozenDecomposition(const Model<float>& model, const Pairs& pairs, std::size_t memory_bytes,
                                         std::string folder, std::string shared)
    : model_(model),
      pairs_(pairs),
      store_(pairs.all().size(), memory_bytes, folder),
      ratios_(pairs.all().size()),
      bright_light_(pairs.all().size(), memory_bytes / 4, std::move(folder)),
      shared_folder_(std::move(shared)) {}

const MapStore& FrozenDecomposition::maps(std::size_t index) {
  if (store_.has(index)) return store_;
  if (shared_folder_.empty()) {
    store_.put(index, decompose(index));
    return store_;
  }
  if (!shared_) {
    std::vector<std::int64_t> elements;
    for (const Pairs::Pair& pair : pairs_.all()) elements.push_back(kPlanes * pair.height * pair.width);
    shared_ = std::make_unique<SharedMaps>(shared_folder_ + "/" + content_name(), elements);
  }
  const Pairs::Pair& pair = pairs_.all()[index];
  store_.put_view(index, Shape{kPlanes, pair.height, pair.width},
                  shared_->get(index, [&] { return decompose(index); }));
  return store_;
}

Tensor<float> FrozenDecomposition::decompose(std::size_t index) const {
  PictureNets nets(model_);
  const Pairs::Pictures& pictures = pairs_.pictures(index);
  Tensor<float> all(Shape{kPlanes, pictures.low.height, pictures.low.width});
  std::int64_t at = 0;
  for (const Image* image : {&pictures.low, &pictures.high}) {
    const InputConfig& input = model_.config.input;
    const PictureNets::Parts parts =
        nets.decompose(net_input(to_tensor(*image), image == &pictures.low ? input : input.of_reference()));
    put_planes(parts.reflectance, all, at);
    put_planes(parts.illumination, all, at + 3);
    at += 4;
  }
  return all;
}

/// A name for everything that the maps' bits depend on.
std::string FrozenDecomposition::content_name() const {
  std::uint64_t hash = pairs_.fingerprint();
  const auto add = [&hash](std::uint64_t value) { hash = mix64(hash ^ value) + 0x9e3779b97f4a7c15u; };
  const auto add_text = [&add](const std::string& text) {
    for (const char c : text) add(static_cast<unsigned char>(c));
  };
  add_text(to_json(*model_.config.decomposition).dump() + current_isa());
  add(model_.config.input.stretch);
  if (const double outliers = model_.config.input.outliers.value_or(0); outliers > 0) {
    add(std::bit_cast<std::uint64_t>(outliers));
  }
  add(static_cast<std::uint64_t>(model_.config.input.margin()));
  add(model_.options.exact);
  for (const Parameter<float>& parameter : model_.decomposition->parameters()) {
    const Tensor<float>& value = parameter.variable.value();
    for (std::int64_t i = 0; i < value.size(); ++i) add(std::bit_cast<std::uint32_t>(value[i]));
  }
  std::ostringstream name;
  name << "maps-" << std::hex << std::setw(16) << std::setfill('0') << hash << ".f32";
  return name.str();
}

FrozenDecomposition::Ratio FrozenDecomposition::ratio(std::size_t index) {
  if (!ratios_[index]) {
    const bool kept = store_.has(index) || !shared_folder_.empty();
    const Tensor<float> all = kept ? maps(index).get(index) : decompose(index);
    const Tensor<float> low = planes(all, 3, 4), high = planes(all, 7, 8);
    ratios_[index] = Ratio{ratio_between(low, high), ratio_between(high, low)};
  }
  return *ratios_[index];
}

double FrozenDecomposition::ratio_up(std::size_t index, const Image& low) {
  PictureNets nets(model_);
  const auto light_of = [&](const Image& image, const InputConfig& input) {
    return nets.decompose(net_input(to_tensor(image), input)).illumination;
  };
  if (!bright_light_.has(index)) {
    const Tensor<float> light = light_of(pairs_.pictures(index).high, model_.config.input.of_reference());
    bright_light_.put(index, light.reshape(Shape{1, light.shape()[2], light.shape()[3]}));
  }
  const Tensor<float> dark = light_of(low, model_.config.input);
  return ratio_between(dark, bright_light_.get(index).reshape(dark.shape()));
}

}  // namespace kind
