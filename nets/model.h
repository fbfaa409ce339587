#pragma once

#include <optional>
#include <string>
#include <type_traits>

#include "core/files/safetensors.h"
#include "nets/light.h"
#include "nets/nets.h"

namespace kind {

/// Preprocessing of the nets' input.
struct InputConfig {
  bool stretch = true;
  std::optional<double> outliers = {};
  std::optional<std::int64_t> mirror = {};

  /// For the bright picture of a pair.
  InputConfig of_reference() const {
    InputConfig config = *this;
    config.outliers = 0;
    return config;
  }
  /// Rows and columns of reflection padding, edge pixels repeated, around each net's input.
  std::int64_t margin() const { return mirror.value_or(0); }

  template <class V>
  void fields(V& v) {
    v.field("stretch", stretch,
            "Stretch each picture so that its smallest value becomes 0 and its largest 1, as in the authors' program.");
    v.field("outliers", outliers,
            "Share of the values at either end of the range that the stretch ignores as outliers; each end of "
            "the stretched range is the mean of the next values, three times as many. So a hot pixel or a "
            "distant lamp does not change the result. The bright picture of a pair is always stretched to its "
            "full range. null: as in the model in init, else 0, as in the authors' program.",
            between(0, 0.05));
    v.field("mirror", mirror,
            "Rows and columns of reflection padding (edge pixels repeated) around each net's input; they are cropped "
            "from its output. Without them the padding is zero, which leaves a line along the picture's border. "
            "null: as in the model in init, else 0.",
            between(0, 64));
  }
};

/// The description in a model file's metadata key "kind": the nets it contains and how they are used.
struct ModelConfig {
  std::int64_t format = 1;
  std::optional<DecompositionConfig> decomposition;
  std::optional<RestorationConfig> restoration;
  std::optional<AdjustmentConfig> adjustment;
  InputConfig input;
  std::optional<LightConfig> light;

  template <class V>
  void fields(V& v) {
    v.field("format", format, "Version of this description.", between(1, 1));
    v.field("decomposition", decomposition, "The decomposition net; null where the file has none.");
    v.field("restoration", restoration, "The restoration net; null where the file has none.");
    v.field("adjustment", adjustment, "The adjustment net; null where the file has none.");
    v.field("input", input, "How a picture becomes the nets' input.");
    v.field("light", light, "How the light level is chosen from a dark picture alone; null for one level for all.");
  }
};

/// The nets of one model file, any of which may be missing.
template <class T>
struct Model {
  ModelConfig config;
  std::optional<Decomposition<T>> decomposition;
  std::optional<Restoration<T>> restoration;
  std::optional<Adjustment<T>> adjustment;
  FusedOptions options;  // of all nets; files do not hold it

  /// Makes the nets that config names and that are not there yet, with weights drawn from (seed, name of the net), and
  /// gives all nets `options`.
  void build(std::uint64_t seed);
  /// Sets `options`, for the nets that are there and for those to come.
  void set_options(const FusedOptions& how);
  /// The parameters of all nets, in a fixed order.
  Parameters<T> parameters() const;
};

/// Calls use(config, net) for each of the three nets of a model, both std::optional. Nothing else lists them.
template <class AnyModel, class Use>
void each_net(AnyModel& model, const Use& use) {
  use(model.config.decomposition, model.decomposition);
  use(model.config.restoration, model.restoration);
  use(model.config.adjustment, model.adjustment);
}

/// The member of `holder` that belongs to the net whose config the second argument is, for each_net: a std::optional,
/// since holders name them as ModelConfig does.
template <class Config, class Holder>
auto& of_net(Holder& holder, const std::optional<Config>&) {
  if constexpr (std::is_same_v<Config, DecompositionConfig>) {
    return holder.decomposition;
  } else if constexpr (std::is_same_v<Config, RestorationConfig>) {
    return holder.restoration;
  } else {
    static_assert(std::is_same_v<Config, AdjustmentConfig>, "no net has such a config");
    return holder.adjustment;
  }
}

/// Treatment of weights that are NaN or infinite: they are useless for computing, but may be inspected.
enum class NonFinite { kRefuse, kAllow };

/// Reads a model completely. Throws Error naming the path if it is not a safetensors file, has no description of
/// kind's, or if a tensor is missing, unexpected, of another shape than its net's or, unless allowed, not finite.
template <class T>
Model<T> load_model(const std::string& path, NonFinite non_finite = NonFinite::kRefuse);

/// The same of a file's content that is in memory; its `source` names it in errors.
template <class T>
Model<T> model_of(const SafeTensors& content, NonFinite non_finite = NonFinite::kRefuse);

enum class WeightType { kFloat32, kFloat16 };

/// Writes the model to `path` atomically, with `notes` as further metadata (by key).
template <class T>
void save_model(const std::string& path, const Model<T>& model, WeightType type = WeightType::kFloat32,
                const std::map<std::string, std::string>& notes = {});

/// Copies each of `parameters` from the tensor of its name in `content`; throws Error as load_model does if one is
/// missing, of another shape or not finite. Tensors without a parameter are ignored.
template <class T>
void assign_parameters(const SafeTensors& content, const Parameters<T>& parameters,
                       NonFinite non_finite = NonFinite::kRefuse);

}  // namespace kind
