#include "tests/support/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

namespace kind::testing {
namespace {

/// The place of element `flat` in the shape, for messages: [0, 2, 1].
std::string place(const Shape& shape, std::int64_t flat) {
  std::string text = "]";
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    text = (axis ? ", " : "") + std::to_string(flat % shape[axis]) + text;
    flat /= shape[axis];
  }
  return "[" + text;
}

/// All entries, or `count` different ones by chance.
std::vector<std::int64_t> choose_entries(std::int64_t size, std::int64_t count, Random random) {
  std::vector<std::int64_t> all(static_cast<std::size_t>(size));
  std::iota(all.begin(), all.end(), 0);
  if (count <= 0 || count >= size) return all;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto other = static_cast<std::size_t>(i) + random.below(static_cast<std::uint64_t>(size - i));
    std::swap(all[static_cast<std::size_t>(i)], all[other]);
  }
  all.resize(static_cast<std::size_t>(count));
  return all;
}

/// dot(dy, a - b), which keeps the digits that dot(dy, a) - dot(dy, b) would cancel.
double change(const Tensor<double>& dy, const Tensor<double>& a, const Tensor<double>& b) {
  double sum = 0;
  for (std::int64_t i = 0; i < dy.size(); ++i) sum += dy[i] * (a[i] - b[i]);
  return sum;
}

/// Entries that failed: how many, and which one is the worst.
struct Failures {
  std::int64_t count = 0;
  double worst = -1;
  std::string text;

  /// Returns whether this one is the worst so far, of which `text` is then to be set.
  bool add(double excess) {
    ++count;
    // A NaN is worse than any number and stays.
    if (worst >= excess || std::isnan(worst)) return false;
    worst = excess;
    return true;
  }
};

/// What all entries are checked with.
struct Check {
  const GradcheckFunction& f;
  const GradcheckOptions& options;
  std::vector<Variable<double>>& variables;
  const Tensor<double>&middle, &dy;  // the result without a change, its gradient

  Tensor<double> result_at(Variable<double>& input, std::int64_t i, double value) const {
    const NoGrad no_grad;
    double& element = input.mutable_value()[i];
    const double before = element;
    element = value;
    // A copy: the result may share the input's elements, which are about to be restored.
    Tensor<double> at = f(variables).value().clone();
    element = before;
    return at;
  }

  void run(std::size_t n, std::int64_t i, double gradient, GradcheckResult& result, Failures& failures) const {
    Variable<double>& input = variables[n];
    const double x = input.value()[i], above = x + options.eps, below = x - options.eps;
    const Tensor<double> y_above = result_at(input, i, above), y_below = result_at(input, i, below);
    const double numeric = change(dy, y_above, y_below) / (above - below);
    const double tolerance = options.atol + options.rtol * std::abs(numeric);
    if (options.skip_kinks) {
      const double right = change(dy, y_above, middle) / (above - x);
      const double left = change(dy, middle, y_below) / (x - below);
      if (std::abs(right - left) > tolerance) {
        ++result.skipped;
        return;
      }
    }
    ++result.checked;
    const double difference = std::abs(gradient - numeric);
    if (difference <= tolerance || !failures.add(difference / tolerance)) return;
    std::ostringstream text;
    text.precision(10);
    text << "input " << n << " of shape " << input.shape().text() << " at " << place(input.shape(), i) << " = " << x
         << ": backward gives " << gradient << ", central differences " << numeric << ", apart by " << difference
         << " where " << tolerance << " is allowed";
    failures.text = text.str();
  }
};

/// What to say of all entries; empty where they agree.
std::string verdict(const GradcheckResult& result, const Failures& failures, const GradcheckOptions& options) {
  const std::int64_t total = result.checked + result.skipped;
  if (failures.count > 0) {
    return failures.text + "; " + std::to_string(failures.count) + " of " + std::to_string(result.checked) +
           " entries failed, seed " + std::to_string(options.seed);
  }
  if (result.checked == 0) return "no entry was checked (" + std::to_string(result.skipped) + " left out at kinks)";
  if (static_cast<double>(result.skipped) > options.most_skipped * static_cast<double>(total)) {
    return std::to_string(result.skipped) + " of " + std::to_string(total) + " entries lie at kinks";
  }
  return "";
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const GradcheckResult& result) {
  if (result) return out << "gradcheck: " << result.checked << " entries agree, " << result.skipped << " left out";
  return out << "gradcheck: " << result.failure;
}

GradcheckResult gradcheck(const GradcheckFunction& f, const std::vector<Variable<double>>& inputs,
                          const GradcheckOptions& options) {
  GradcheckResult result;
  std::vector<Variable<double>> variables = inputs;
  for (Variable<double>& v : variables) v.zero_grad();
  Variable<double> y = f(variables);
  if (!y.requires_grad()) {
    result.failure = "the result requires no gradient";
    return result;
  }
  const Tensor<double> middle = y.value().clone();
  const Tensor<double> dy = random_tensor(y.shape(), options.seed);
  y.backward(dy.clone());

  Failures failures;
  const Check check{f, options, variables, middle, dy};
  for (std::size_t n = 0; n < variables.size(); ++n) {
    Variable<double>& input = variables[n];
    if (!input.requires_grad()) continue;
    const Tensor<double> gradient = input.grad().defined() ? input.grad() : Tensor<double>::zeros(input.shape());
    input.zero_grad();
    for (const std::int64_t i : choose_entries(input.value().size(), options.entries, Random(options.seed, {n}))) {
      check.run(n, i, gradient[i], result, failures);
    }
  }
  result.failure = verdict(result, failures, options);
  return result;
}

GradcheckResult gradcheck(const GradcheckFunction& f, const std::vector<Tensor<double>>& inputs,
                          const GradcheckOptions& options) {
  std::vector<Variable<double>> variables;
  for (const Tensor<double>& input : inputs) variables.emplace_back(input.clone(), true);
  return gradcheck(f, variables, options);
}

}  // namespace kind::testing
