#include "losses/loss.h"

#include <utility>

#include "core/base/error.h"
#include "core/ops/elementwise.h"

namespace kind {
namespace {

template <class T>
class Total {
 public:
  /// `value_of(term)` makes the scalar; a term of weight 0 leaves no graph behind.
  template <class Term, class ValueOf>
  void add_term(const Term& term, const ValueOf& value_of) {
    double raw = 0;
    if (term.weight > 0) {
      const Variable<T> value = value_of(term);
      raw = static_cast<double>(value.value().item());
      const Variable<T> share = mul(value, static_cast<T>(term.weight));
      loss_.total = loss_.total.defined() ? loss_.total + share : share;
    } else {
      const NoGrad no_grad;
      raw = static_cast<double>(value_of(term).value().item());
    }
    loss_.terms.push_back({Term::kName, raw, term.weight > 0 ? term.weight * raw : 0});
  }
  template <class List, class ValueOf>
  void add_terms(const List& list, const ValueOf& value_of) {
    list.each([&](const auto& term) { add_term(term, value_of); });
  }

  Loss<T> take() {
    check(loss_.total.defined(), "loss: no term has a weight greater than 0");
    return std::move(loss_);
  }

 private:
  Loss<T> loss_;
};

template <class T>
void add_image_terms(const ImageLossConfig& config, const Variable<T>& output, const Variable<T>& target,
                     Total<T>& total) {
  std::vector<LevelledPicture<T>> pictures;
  if (config.gt_mean) pictures = levelled_pictures(config.gt_mean->sigma, output, target);
  total.add_terms(config, [&](const auto& term) {
    return pictures.empty() ? term(output, target) : mean_of_levelled(pictures, term);
  });
}

}  // namespace

void check_learned(bool learns, const std::vector<std::string>& names, const std::string& path) {
  if (learns) return;
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  fail(path, path.empty() ? "" : ": ", "expected at least one term with a weight greater than 0; the terms are ", list);
}

template <class T>
Loss<T> decomposition_loss(const DecompositionLossConfig& config, const Variable<T>& r_low, const Variable<T>& l_low,
                           const Variable<T>& r_high, const Variable<T>& l_high, const Variable<T>& i_low,
                           const Variable<T>& i_high) {
  const DecomposedPair<T> pair{r_low, l_low, r_high, l_high, i_low, i_high};
  Total<T> total;
  total.add_terms(config, [&](const auto& term) { return term.of(pair); });
  return total.take();
}

template <class T>
Loss<T> image_loss(const ImageLossConfig& config, const Variable<T>& output, const Variable<T>& target) {
  Total<T> total;
  add_image_terms(config, output, target, total);
  return total.take();
}

template <class T>
Loss<T> output_loss(const ImageLossConfig& config, const PartsLossConfig& parts, const Variable<T>& restored,
                    const Variable<T>& adjusted, const Variable<T>& target, const Variable<T>& r_high,
                    const Variable<T>& l_high) {
  const OutputParts<T> both{restored, adjusted, r_high, l_high};
  Total<T> total;
  add_image_terms(config, restored * adjusted, target, total);
  total.add_terms(parts, [&](const auto& term) { return term.of(both); });
  return total.take();
}

template <class T>
Loss<T> operator+(Loss<T> a, const Loss<T>& b) {
  a.total = a.total + b.total;
  a.terms.insert(a.terms.end(), b.terms.begin(), b.terms.end());
  return a;
}

#define KIND_INSTANTIATE(T)                                                                                            \
  template Loss<T> decomposition_loss(const DecompositionLossConfig&, const Variable<T>&, const Variable<T>&,          \
                                      const Variable<T>&, const Variable<T>&, const Variable<T>&, const Variable<T>&); \
  template Loss<T> image_loss(const ImageLossConfig&, const Variable<T>&, const Variable<T>&);                         \
  template Loss<T> output_loss(const ImageLossConfig&, const PartsLossConfig&, const Variable<T>&, const Variable<T>&, \
                               const Variable<T>&, const Variable<T>&, const Variable<T>&);                            \
  template Loss<T> operator+(Loss<T>, const Loss<T>&);
KIND_INSTANTIATE(float)
KIND_INSTANTIATE(double)
#undef KIND_INSTANTIATE

}  // namespace kind
