#include "nets/model.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "core/base/error.h"
#include "core/base/sum.h"

namespace kind {
namespace {

constexpr const char* kDescription = "kind";

template <class T>
void check_finite(const std::string& name, const Tensor<T>& tensor) {
  const T* values = tensor.data();
  // Zero times anything else is no zero: one pass that compilers make vectors of.
  if (parallel_sum(tensor.size(), [=](std::int64_t i) { return values[i] * 0; }) == 0) return;
  const T* const bad = std::find_if(values, values + tensor.size(), [](T v) { return !std::isfinite(v); });
  fail(name, " holds ", *bad, ", expected finite numbers; the file is damaged");
}

}  // namespace

template <class T>
void Model<T>::build(std::uint64_t seed) {
  each_net(*this, [seed](const auto& form, auto& net) {
    if (!form || net) return;
    Random random(seed, {form->kStream});
    net.emplace(*form, random);
  });
  set_options(options);
}

template <class T>
void Model<T>::set_options(const FusedOptions& how) {
  options = how;
  each_net(*this, [&how](const auto&, auto& net) {
    if (net) net->set_options(how);
  });
}

template <class T>
Parameters<T> Model<T>::parameters() const {
  Parameters<T> all;
  each_net(*this, [&all](const auto&, const auto& net) {
    if (net) all.insert(all.end(), net->parameters().begin(), net->parameters().end());
  });
  return all;
}

template <class T>
void assign_parameters(const SafeTensors& content, const Parameters<T>& parameters, NonFinite non_finite) {
  for (const Parameter<T>& parameter : parameters) {
    Tensor<T> tensor = content.get_tensor<T>(parameter.name);
    Variable<T> variable = parameter.variable;
    check(tensor.shape() == variable.shape(), content.source, ": tensor ", parameter.name, " has shape ",
          tensor.shape(), ", expected ", variable.shape(), "; these are the weights of another net");
    if (non_finite == NonFinite::kRefuse) check_finite(content.source + ": tensor " + parameter.name, tensor);
    variable.mutable_value() = std::move(tensor);
  }
}

template <class T>
Model<T> load_model(const std::string& path, NonFinite non_finite) {
  return model_of<T>(read_safetensors(path), non_finite);
}

template <class T>
Model<T> model_of(const SafeTensors& content, NonFinite non_finite) {
  const std::string& path = content.source;
  const auto description = content.metadata.find(kDescription);
  check(description != content.metadata.end(), path, ": this is no model of kind: its metadata has no key \"",
        kDescription, "\"; weights of the authors' program are brought in by kind-weights import-tensorflow");
  const std::string source = path + ": metadata \"" + kDescription + "\"";
  Model<T> model;
  model.config = parse_config<ModelConfig>(parse_json(description->second, source), source);
  {
    const NoDrawing no_drawing;
    model.build(0);
  }
  const Parameters<T> parameters = model.parameters();
  check(!parameters.empty(), path, ": the model holds no net");
  std::set<std::string> left;
  for (const auto& [name, tensor] : content.tensors) left.insert(name);
  for (const Parameter<T>& parameter : parameters) left.erase(parameter.name);
  check(
      left.empty(), path, ": tensor ", [&] { return *left.begin(); },
      " belongs to none of the nets that the file's description names");
  assign_parameters(content, parameters, non_finite);
  return model;
}

template <class T>
void save_model(const std::string& path, const Model<T>& model, WeightType type,
                const std::map<std::string, std::string>& notes) {
  SafeTensors content;
  content.source = path;
  content.metadata = notes;
  content.metadata[kDescription] = to_json(model.config).dump();
  for (const Parameter<T>& parameter : model.parameters()) {
    const Tensor<float> value = cast<float>(parameter.variable.value());
    if (type == WeightType::kFloat16) {
      content.put_half(parameter.name, value);
    } else {
      content.put_tensor(parameter.name, value);
    }
  }
  write_safetensors(path, content);
}

#define KIND_INSTANTIATE(T)                                                 \
  template struct Model<T>;                                                 \
  template Model<T> load_model(const std::string&, NonFinite);              \
  template Model<T> model_of(const SafeTensors&, NonFinite);                \
  template void save_model(const std::string&, const Model<T>&, WeightType, \
                           const std::map<std::string, std::string>&);      \
  template void assign_parameters(const SafeTensors&, const Parameters<T>&, NonFinite);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
