#include "nets/tensorflow/tensorflow_import.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "nets/tensorflow/tensorflow_checkpoint.h"

namespace kind {
namespace {

struct LayerName {
  std::string theirs;
  std::string ours;
};

// Their layers, net by net, in the order of our descriptions.
constexpr const char* kDecompositionLayers[] = {
    "DecomNet/g_conv1_1", "DecomNet/g_conv2_1", "DecomNet/g_conv3_1", "DecomNet/g_up_1",    "DecomNet/g_conv8_1",
    "DecomNet/g_up_2",    "DecomNet/g_conv9_1", "DecomNet/g_conv10",  "DecomNet/l_conv1_2", "DecomNet/l_conv1_4",
};
constexpr const char* kRestorationLayers[] = {
    "Restoration_net/de_conv1_1", "Restoration_net/de_conv1_2", "Restoration_net/de_conv2_1",
    "Restoration_net/de_conv2_2", "Restoration_net/de_conv3_1", "Restoration_net/de_conv3_2",
    "Restoration_net/de_conv4_1", "Restoration_net/de_conv4_2", "Restoration_net/de_conv5_1",
    "Restoration_net/de_conv5_2", "Restoration_net/up_6",       "Restoration_net/de_conv6_1",
    "Restoration_net/de_conv6_2", "Restoration_net/up_7",       "Restoration_net/de_conv7_1",
    "Restoration_net/de_conv7_2", "Restoration_net/up_8",       "Restoration_net/de_conv8_1",
    "Restoration_net/de_conv8_2", "Restoration_net/up_9",       "Restoration_net/de_conv9_1",
    "Restoration_net/de_conv9_2", "Restoration_net/de_conv10",
};
constexpr const char* kAdjustmentLayers[] = {
    "Illumination_adjust_net/en_conv_1",
    "Illumination_adjust_net/en_conv_2",
    "Illumination_adjust_net/en_conv_3",
    "Illumination_adjust_net/en_conv_4",
};
constexpr const char* kEarlierAdjustmentLayers[] = {
    "I_enhance_Net/conv_1",
    "I_enhance_Net/conv_2",
    "I_enhance_Net/conv_3",
    "I_enhance_Net/conv_4",
};

/// Lists the layers of a net that have parameters.
struct LayerLister {
  using Value = int;
  std::vector<std::string> names;

  Value input(const std::vector<std::int64_t>&) { return 0; }
  Value conv(const std::vector<Value>&, const std::string& name, std::int64_t) { return add(name); }
  Value pool(Value) { return 0; }
  Value up(Value, const std::string& name, std::int64_t, Value) { return add(name); }
  void output(const std::vector<Value>&, const std::string& name, std::int64_t, std::int64_t, OutputForm,
              std::optional<Initializer> = {}) {
    add(name);
  }
  Value add(const std::string& name) {
    names.push_back(name);
    return 0;
  }
};

template <class Config, std::size_t count>
void add_layers(const char* const (&theirs)[count], std::vector<LayerName>& all) {
  LayerLister lister;
  Config{}.describe(lister);
  check(lister.names.size() == count, "import: ", Config::kName, " has other layers than the checkpoints'");
  for (std::size_t i = 0; i < count; ++i) {
    all.push_back({theirs[i], std::string(Config::kName) + "." + lister.names[i]});
  }
}

const std::vector<LayerName>& layer_names() {
  static const std::vector<LayerName> names = [] {
    std::vector<LayerName> all;
    add_layers<DecompositionConfig>(kDecompositionLayers, all);
    add_layers<RestorationConfig>(kRestorationLayers, all);
    add_layers<AdjustmentConfig>(kAdjustmentLayers, all);
    add_layers<AdjustmentConfig>(kEarlierAdjustmentLayers, all);
    return all;
  }();
  return names;
}

constexpr std::pair<const char*, const char*> kKindNames[] = {{"/weights", ".weight"}, {"/biases", ".bias"}};

/// Our name of a tensor, or nothing where it belongs to none of the nets.
std::optional<std::string> our_name(const std::string& theirs) {
  for (const LayerName& layer : layer_names()) {
    for (const auto& [their_kind, our_kind] : kKindNames) {
      if (theirs == layer.theirs + their_kind) return layer.ours + our_kind;
    }
  }
  return std::nullopt;
}

/// The names that a tensor of ours can have there, for messages.
std::string their_names(const std::string& ours) {
  std::string names;
  for (const LayerName& layer : layer_names()) {
    for (const auto& [their_kind, our_kind] : kKindNames) {
      if (ours != layer.ours + our_kind) continue;
      names += (names.empty() ? "" : " or ") + layer.theirs + their_kind;
    }
  }
  return names;
}

/// What an optimiser or the program keeps beside the weights: beta1_power, beta2_power, global_step and the slots Adam,
/// Adam_1, AdamOptimizer, AdamOptimizer_1 below a variable's name, all of them maybe numbered.
bool belongs_to_training(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  std::string last = slash == std::string::npos ? name : name.substr(slash + 1);
  const std::size_t digits = last.find_last_not_of("0123456789");
  if (digits != std::string::npos && digits + 1 < last.size() && last[digits] == '_') last.resize(digits);
  const bool slot = last == "Adam" || last == "AdamOptimizer";
  return (slot && slash != std::string::npos) || last == "beta1_power" || last == "beta2_power" ||
         last == "global_step";
}

/// "a, b, c and 7 more".
std::string list(const std::vector<std::string>& names) {
  constexpr std::size_t kMost = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kMost); ++i) text += (i > 0 ? ", " : "") + names[i];
  return names.size() > kMost ? join(text, " and ", names.size() - kMost, " more") : text;
}

/// Tensors by our names, in TensorFlow's layouts.
struct Found {
  std::string source;  // the checkpoint
  std::string theirs;  // the tensor's name there
  Tensor<float> value;
};
using FoundTensors = std::map<std::string, Found>;

std::string net_of(const std::string& ours) { return ours.substr(0, ours.find('.')); }

/// Adds what one checkpoint holds.
void collect(const SafeTensors& content, FoundTensors& all) {
  std::vector<std::string> unknown;
  bool any = false;
  for (const auto& [theirs, tensor] : content.tensors) {
    if (belongs_to_training(theirs)) continue;
    const std::optional<std::string> ours = our_name(theirs);
    if (!ours) {
      unknown.push_back(quote(theirs));
      continue;
    }
    const Found found{content.source, theirs, content.get_tensor<float>(theirs)};
    for (std::int64_t i = 0; i < found.value.size(); ++i) {
      check(std::isfinite(found.value[i]), content.source, ": tensor ", theirs, " holds ", found.value[i],
            ", expected finite numbers");
    }
    const auto [place, added] = all.emplace(*ours, found);
    check(
        added, content.source, ": the ", [&] { return net_of(*ours); }, " net is there twice, with ",
        place->second.theirs, " of ", place->second.source, " and ", theirs);
    any = true;
  }
  check(unknown.empty(), content.source, ": expected the tensors of KinD's nets alone, found also ",
        [&] { return list(unknown); });
  check(any, content.source, ": it holds no tensor of KinD's nets");
}

/// Copies a tensor into a parameter. Weights [kh, kw, in, out], and [kh, kw, out, in] of up-convolutions, become [out,
/// in, kh, kw] and [in, out, kh, kw]: in both cases axes (3, 2, 0, 1).
void assign(const Found& from, Variable<float> to) {
  const Shape& s = to.shape();
  const bool weight = s.rank() == 4;
  const Shape expected = weight ? Shape{s[2], s[3], s[1], s[0]} : s;
  check(from.value.shape() == expected, from.source, ": tensor ", from.theirs, " has shape ", from.value.shape(),
        ", expected ", expected);
  Tensor<float>& value = to.mutable_value();
  const std::int64_t area = weight ? s[2] * s[3] : 1, pairs = s.size() / area;
  const std::int64_t inner = weight ? s[1] : 1, outer = s[0];
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    const std::int64_t o = pair / inner, i = pair % inner;
    for (std::int64_t k = 0; k < area; ++k) value[pair * area + k] = from.value[(k * inner + i) * outer + o];
  }
}

/// The side of decomposition's last convolutions, told by the shape [k, k, 32, 3]; other shapes are complained of
/// later.
std::int64_t output_kernel(const FoundTensors& found) {
  const auto weight = found.find("decomposition.reflectance.weight");
  if (weight == found.end() || weight->second.value.shape().rank() != 4) return 1;
  return std::clamp<std::int64_t>(weight->second.value.shape()[0], 1, 15);
}

}  // namespace

Model<float> model_from_tensorflow(const std::vector<SafeTensors>& checkpoints) {
  check(!checkpoints.empty(), "import: expected at least one checkpoint");
  FoundTensors found;
  std::vector<std::string> sources;
  for (const SafeTensors& content : checkpoints) {
    collect(content, found);
    sources.push_back(content.source);
  }
  const auto has = [&](const std::string& net) {
    return std::any_of(found.begin(), found.end(), [&](const auto& entry) { return net_of(entry.first) == net; });
  };
  Model<float> model;
  each_net(model, [&](auto& config, const auto&) {
    using Config = typename std::remove_cvref_t<decltype(config)>::value_type;
    if (has(Config::kName)) config.emplace();
  });
  if (model.config.decomposition) model.config.decomposition->output_kernel = output_kernel(found);
  model.build(0);

  std::vector<std::string> missing;
  for (const Parameter<float>& parameter : model.parameters()) {
    const auto from = found.find(parameter.name);
    if (from == found.end()) {
      missing.push_back(their_names(parameter.name));
      continue;
    }
    assign(from->second, parameter.variable);
    found.erase(from);
  }
  check(
      missing.empty(), [&] { return list(sources); },
      ": expected whole nets, missing: ", [&] { return list(missing); });
  // Biases of up-convolutions, which have names but no place.
  for (const auto& [ours, tensor] : found) {
    fail(tensor.source, ": tensor ", tensor.theirs, " is none of KinD's nets', whose up-convolutions have no biases");
  }
  return model;
}

Model<float> import_tensorflow(const std::vector<std::string>& paths) {
  std::vector<SafeTensors> checkpoints;
  checkpoints.reserve(paths.size());
  for (const std::string& path : paths) checkpoints.push_back(read_tensorflow_checkpoint(path));
  return model_from_tensorflow(checkpoints);
}

}  // namespace kind
