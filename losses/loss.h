#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "core/config/config.h"
#include "losses/chroma.h"
#include "losses/comparison.h"
#include "losses/decomposition.h"
#include "losses/gt_mean.h"
#include "losses/lab.h"

/// Configurable losses: lists of terms. A term is a struct with its name and help, its weight and parameters with their
/// field list, and its formula. A list names it, and everything else (config, sum, metrics, profile, validation of a
/// stage) iterates over the lists. A term that is absent from a config (or null) is not computed; one of weight 0 is
/// computed and logged, but no gradient flows through it. The keys of terms are also their names in the metrics.
namespace kind {

/// Throws Error that lists `names` unless `learns`.
void check_learned(bool learns, const std::vector<std::string>& names, const std::string& path);

/// The terms that a loss may have, each optional.
template <class... Terms>
struct TermList {
  std::tuple<std::optional<Terms>...> terms;

  template <class Term>
  std::optional<Term>& get() {
    return std::get<std::optional<Term>>(terms);
  }
  template <class Term>
  const std::optional<Term>& get() const {
    return std::get<std::optional<Term>>(terms);
  }
  /// Calls use(term) for each term that is present, in order.
  template <class Use>
  void each(const Use& use) const {
    const auto one = [&](const auto& term) {
      if (term) use(*term);
    };
    std::apply([&](const auto&... all) { (one(all), ...); }, terms);
  }
  template <class V>
  void fields(V& v) {
    (v.field(Terms::kName, get<Terms>(), Terms::kHelp), ...);
  }
  /// The names of all possible terms.
  static std::vector<std::string> names() { return {Terms::kName...}; }
  bool empty() const { return !(get<Terms>().has_value() || ...); }
  /// Whether some term has a weight greater than 0.
  bool learns() const { return ((get<Terms>() && get<Terms>()->weight > 0) || ...); }
};

/// The loss of the decomposition net. Reconstruction and smoothness are sums over the dark and the bright picture.
struct DecompositionLossConfig : TermList<Reconstruction, ReflectanceSimilarity, IlluminationSmoothness,
                                          MutualConsistency, BlurredReconstruction> {
  /// Throws Error unless some term has a weight greater than 0.
  void validate(const std::string& path) const { check_learned(learns(), names(), path); }
};

/// The loss of the restoration and adjustment nets: their output against a target.
struct ImageLossConfig : TermList<Square, GradientDifference, SsimLoss, ColorDifference, ChromaDifference, Saturation,
                                  EdgeDifference, LabDifference, HueDifference> {
  std::optional<GtMean> gt_mean = {};

  template <class V>
  void fields(V& v) {
    TermList::fields(v);
    v.field("gt_mean", gt_mean,
            "joint training: the closer a picture's mean is to its target's, the more the terms above compare it "
            "scaled to the target's mean. So light and content are learned separately.");
  }
  /// Throws Error unless some term has a weight greater than 0.
  void validate(const std::string& path) const { check_learned(learns(), names(), path); }
};

/// The terms that keep the parts of a jointly trained output R_hat L_hat near the reflectance and illumination of the
/// bright picture.
struct PartsLossConfig : TermList<ReflectanceDistance, IlluminationDistance> {};

struct LossTerm {
  std::string name;
  double raw;       ///< The term itself.
  double weighted;  ///< Its share of the total: weight times raw.
};

template <class T>
struct Loss {
  Variable<T> total;  ///< A scalar: the sum of the weighted terms.
  std::vector<LossTerm> terms;
};

/// The loss of a batch of pairs: reflectances r and pictures i are [n, 3, h, w], illuminations l [n, 1, h, w], all in
/// 0..1. Throws Error if the shapes do not fit or no term has a weight greater than 0.
template <class T>
Loss<T> decomposition_loss(const DecompositionLossConfig& config, const Variable<T>& r_low, const Variable<T>& l_low,
                           const Variable<T>& r_high, const Variable<T>& l_high, const Variable<T>& i_low,
                           const Variable<T>& i_high);

/// The loss of a batch of outputs [n, c, h, w] in 0..1 against targets of the same shape. Throws Error as above.
template <class T>
Loss<T> image_loss(const ImageLossConfig& config, const Variable<T>& output, const Variable<T>& target);

/// The loss of an output R_hat L_hat [n, 3, h, w] against the bright picture, and of its parts (reflectances
/// [n, 3, h, w], illuminations [n, 1, h, w], all in 0..1) against those of the bright picture, which are read only
/// if `parts` has their term. Throws Error as above.
template <class T>
Loss<T> output_loss(const ImageLossConfig& config, const PartsLossConfig& parts, const Variable<T>& restored,
                    const Variable<T>& adjusted, const Variable<T>& target, const Variable<T>& r_high,
                    const Variable<T>& l_high);

/// The sum of two losses: the sum of their totals, and their terms concatenated.
template <class T>
Loss<T> operator+(Loss<T> a, const Loss<T>& b);

}  // namespace kind
