#pragma once

#include <utility>
#include <vector>

#include "core/autograd/batch_part.h"
#include "core/autograd/variable.h"
#include "core/config/config.h"
#include "core/ops/elementwise.h"

namespace kind {

// The GT-mean loss of Liao, Hao, Hong and Wang, "GT-Mean Loss: A Simple Yet Effective Solution for Brightness Mismatch
// in Low-Light Image Enhancement" (ICCV 2025, arXiv 2507.20148): a loss L becomes
//   w L(x, t) + (1 - w) L(min(max(f x, 0), 1), t),   f = E(t) / E(x)
// for each picture x with its target t, E the mean of the gray. w is the Bhattacharyya distance of the normal
// distributions N(E(x), (sigma E(x))^2) and N(E(t), (sigma E(t))^2), at most 1. Far from the target's light the picture
// is compared unchanged; near it, it is compared at the target's light, so that content is learned independently of
// light. The gradient flows through f, but not through w.

/// Its config.
struct GtMean {
  double sigma = 0.1;

  template <class V>
  void fields(V& v) {
    v.field("sigma", sigma,
            "Standard deviation of both means relative to them: how close they must be for the output to be compared "
            "at the target's light.",
            greater_than(0), at_most(10));
  }
};

/// A picture of a batch in both forms. A form whose share is 0 is not defined.
template <class T>
struct LevelledPicture {
  Variable<T> picture, scaled, target;  // [1, 3, h, w]
  double weight = 1;                    // w
};

/// The weight w for two means above 0.
double gt_mean_weight(double a, double b, double sigma);

/// The pictures of outputs and targets [n, 3, h, w]. Where one of both means is below 1e-3, w is 1. Throws Error if
/// the shapes differ or are not those of RGB pictures.
template <class T>
std::vector<LevelledPicture<T>> levelled_pictures(double sigma, const Variable<T>& output, const Variable<T>& target);

/// The mean over the pictures of the whole batch of w term(x, t) + (1 - w) term(f x, t), where `term` makes a scalar.
template <class T, class Term>
Variable<T> mean_of_levelled(const std::vector<LevelledPicture<T>>& pictures, const Term& term) {
  const double all = static_cast<double>(BatchPart::whole(static_cast<std::int64_t>(pictures.size())));
  Variable<T> sum;
  std::vector<double> values;
  {
    const BatchScope alone(nullptr);  // a term's batch is one picture
    for (const LevelledPicture<T>& p : pictures) {
      values.push_back(0);
      const auto add = [&](const Variable<T>& x, double share) {
        if (share <= 0) return;
        const Variable<T> part = mul(term(x, p.target), static_cast<T>(share / all));
        values.back() += static_cast<double>(part.value().item());
        sum = sum.defined() ? sum + part : part;
      };
      add(p.picture, p.weight);
      add(p.scaled, 1 - p.weight);
    }
  }
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(BatchPart::total(values))), {sum},
                              [](std::vector<Variable<T>>& inputs, const Tensor<T>& g) { inputs[0].add_grad(g); });
}

}  // namespace kind
