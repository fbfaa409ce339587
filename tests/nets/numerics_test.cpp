// Long because the suite's check and the table made by hand measure the same.
//
// How far the nets in single precision are from double, with weights that people use on pictures that people take.
//
// Outputs: the whole way from a picture to the enhanced one, each net on what the one before it made.
//
// Gradients: of the nets' parameters and inputs, given at the outputs what the authors' losses send back. A net is
// piecewise smooth, and where a value lies within a rounding error of a branch (zero before an activation, another
// value of a pooling window) single precision takes the other one than double. Then the two gradients differ by what
// that one element sends back, however small the rounding error was: up to 6e-2 of a tensor's largest element by fast
// kernels and 2e-2 by exact ones. So the net in double takes the branches of the net in single precision
// (tests/nets/branches.h), and that it may is checked, too: of all branches only a few are others than its own values
// would take, and those values are within rounding errors of the branch. What the losses send back is computed once, in
// double, since their absolute values have branches of their own.

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "core/image/image.h"
#include "losses/loss.h"
#include "nets/data/pair_folder.h"
#include "nets/pipeline.h"
#include "nets/tensorflow/tensorflow_import.h"
#include "tests/nets/branches.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

constexpr double kRatio = 5;

struct Bounds {
  double outputs, gradients;
};
constexpr Bounds kFast{1e-4, 1e-3}, kExact{1e-5, 2e-4};
// Of all branches, the part that rounding errors may turn: most in even areas, where all values of a window are alike.
constexpr double kMostTurned = 1e-4;

const std::string kSources = source_dir();

/// A model and the same in double.
struct Twins {
  Model<float> model;
  Model<double> exact;

  explicit Twins(const Model<float>& m) : model(m), exact(as<double>(m)) {}
};

Twins shipped() { return Twins(load_model<float>(kSources + "/nets/pretrained/kind.safetensors")); }

Twins published(const std::string& reference) {
  const std::string at = reference + "/checkpoints/";
  return Twins(import_tensorflow({at + "decom_net_train/model.ckpt", at + "illumination_adjust_net_train/model.ckpt"}));
}

template <class T>
bool has(const Model<T>& model, const std::string& net) {
  return net == "decomposition" ? model.decomposition.has_value()
         : net == "restoration" ? model.restoration.has_value()
                                : model.adjustment.has_value();
}

/// What was measured, by the name of an output or a net: errors, and the branches that had to be given to double.
struct Errors {
  std::map<std::string, double> outputs, gradients, own_branches;
  std::map<std::string, Branches> branches;

  static void note(double& worst, double error) {
    if (!(error <= worst)) worst = error;
  }
  static double largest(const std::map<std::string, double>& errors) {
    double worst = 0;
    for (const auto& [name, error] : errors) note(worst, error);
    return worst;
  }
};

// --- Outputs ---------------------------------------------------------------------------------------------------------

template <class T>
std::map<std::string, Tensor<T>> maps_of(const Model<T>& model, const Tensor<float>& input) {
  const NoGrad no_grad;
  const auto parts = (*model.decomposition)(Variable<T>(cast<T>(input)));
  const Variable<T> ratio(Tensor<T>::full(parts.illumination.shape(), static_cast<T>(kRatio)));
  const Variable<T> adjusted = (*model.adjustment)(parts.illumination, ratio);
  const Variable<T> restored =
      model.restoration ? (*model.restoration)(parts.reflectance, parts.illumination) : parts.reflectance;
  std::map<std::string, Tensor<T>> maps{{"reflectance", parts.reflectance.value()},
                                        {"illumination", parts.illumination.value()},
                                        {"adjusted", adjusted.value()},
                                        {"output", mul(restored, adjusted).value()}};
  if (model.restoration) maps["restored"] = restored.value();
  return maps;
}

void note_outputs(Errors& errors, const Twins& twins, const Tensor<float>& input,
                  const std::map<std::string, Tensor<double>>& expected) {
  for (const auto& [name, map] : maps_of(twins.model, input)) {
    Errors::note(errors.outputs[name], largest_difference(cast<double>(map), expected.at(name)));
  }
}

// --- Gradients -------------------------------------------------------------------------------------------------------

struct Pair {
  Tensor<float> low, high;  // the nets' inputs
};

Tensor<float> crop(const Tensor<float>& x, std::int64_t y0, std::int64_t x0, std::int64_t h, std::int64_t w) {
  const Shape& s = x.shape();
  Tensor<float> part(Shape{s[0], s[1], h, w});
  for (std::int64_t row = 0; row < s[0] * s[1] * h; ++row) {
    std::copy_n(x.data() + (row / h * s[2] + y0 + row % h) * s[3] + x0, w, part.data() + row * w);
  }
  return part;
}

/// Batches of one size, one after the other.
Tensor<float> stack(const std::vector<Tensor<float>>& pictures) {
  const Shape& s = pictures[0].shape();
  Tensor<float> all(s.with(0, s[0] * static_cast<std::int64_t>(pictures.size())));
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    std::copy_n(pictures[i].data(), pictures[i].size(), all.data() + static_cast<std::int64_t>(i) * pictures[i].size());
  }
  return all;
}

/// Pairs of one size, and what decomposition makes of them: all that the nets and their losses take. In single
/// precision, so that both precisions start from the same numbers.
struct Batch {
  Tensor<float> low, high, r_low, l_low, target, l_high;

  Batch(const Twins& twins, const std::vector<Pair>& pairs) {
    std::vector<Tensor<float>> lows, highs;
    for (const Pair& pair : pairs) lows.push_back(pair.low), highs.push_back(pair.high);
    low = stack(lows);
    high = stack(highs);
    const NoGrad no_grad;
    const auto dark = (*twins.exact.decomposition)(Variable<double>(cast<double>(low)));
    const auto bright = (*twins.exact.decomposition)(Variable<double>(cast<double>(high)));
    r_low = cast<float>(dark.reflectance.value());
    l_low = cast<float>(dark.illumination.value());
    target = cast<float>(bright.reflectance.value());
    for (std::int64_t i = 0; i < target.size(); ++i) target[i] = std::pow(target[i], 1.2f);
    l_high = cast<float>(bright.illumination.value());
  }

  /// A net's inputs. Decomposition sees the dark pictures, then the bright ones.
  std::vector<Tensor<float>> inputs(const std::string& net) const {
    if (net == "decomposition") return {stack({low, high})};
    if (net == "restoration") return {r_low, l_low};
    return {l_low, Tensor<float>::full(l_low.shape(), static_cast<float>(ratio_between(l_low, l_high)))};
  }
};

template <class T>
std::vector<Variable<T>> variables(const std::vector<Tensor<float>>& tensors) {
  std::vector<Variable<T>> all;
  for (const Tensor<float>& tensor : tensors) all.emplace_back(cast<T>(tensor), true);
  return all;
}

/// The losses' configs: "paper" or "official".
template <class Config>
Config loss_config(const std::string& form, nlohmann::json terms) {
  for (auto& [name, term] : terms.items()) {
    const bool of_gradients = name == "illumination_smoothness" || name == "mutual_consistency" || name == "gradient";
    if (of_gradients) term["gradient"] = form;
  }
  if (form == "official" && terms.contains("ssim")) terms["gradient"]["channels"] = "gray";
  return parse_config<Config>(terms, form);
}

/// What the loss that trains a net sends back to its outputs, concatenated along the channels.
Tensor<float> given_gradient(const Twins& twins, const std::string& net, const std::string& form, const Batch& b) {
  Tensor<double> outputs;
  {
    const NoGrad no_grad;
    outputs = concat<double>(run_net(twins.exact, net, variables<double>(b.inputs(net))), 1).value();
  }
  Variable<double> y(outputs, true);
  const auto constant = [](const Tensor<float>& x) { return Variable<double>(cast<double>(x)); };
  const nlohmann::json term = nlohmann::json::object();
  Variable<double> total;
  if (net == "decomposition") {
    const auto config = loss_config<DecompositionLossConfig>(form, {{"reconstruction", term},
                                                                    {"reflectance_similarity", term},
                                                                    {"illumination_smoothness", term},
                                                                    {"mutual_consistency", term}});
    const std::int64_t n = b.low.shape()[0];
    const Variable<double> dark = slice(y, 0, 0, n), bright = slice(y, 0, n, 2 * n);
    total = decomposition_loss(config, slice(dark, 1, 0, 3), slice(dark, 1, 3, 4), slice(bright, 1, 0, 3),
                               slice(bright, 1, 3, 4), constant(b.low), constant(b.high))
                .total;
  } else {
    nlohmann::json terms{{"square", term}, {"gradient", term}};
    if (net == "restoration") terms["ssim"] = term;
    total =
        image_loss(loss_config<ImageLossConfig>(form, terms), y, constant(net == "restoration" ? b.target : b.l_high))
            .total;
  }
  total.backward();
  return cast<float>(y.grad());
}

/// Gradients in double by its own branches, which are the same for all kernels.
std::map<std::string, Tensor<double>> own_gradients(const Twins& twins, const std::string& net, const Batch& batch,
                                                    const Tensor<float>& given) {
  const std::vector<Variable<double>> x = variables<double>(batch.inputs(net));
  return gradients_of(twins.exact, x, run_net(twins.exact, net, x), given);
}

/// One net's gradients by the kernels in use against double on the same branches and, unless null, on its own.
void note_gradients(Errors& errors, const Twins& twins, const std::string& net, const Batch& batch,
                    const Tensor<float>& given, const std::map<std::string, Tensor<double>>* own) {
  const std::vector<Variable<float>> x = variables<float>(batch.inputs(net));
  const std::vector<Variable<float>> y = run_net(twins.model, net, x);
  Branches branches = branches_of(twins.model, net, x, y);
  const std::vector<Variable<double>> exact_x = variables<double>(batch.inputs(net));
  const std::vector<Variable<double>> exact_y =
      run_layers(PlainLayers<double>(twins.exact, branches, true), net, twins.exact.config, exact_x);
  for (std::size_t i = 0; i < y.size(); ++i) {
    Errors::note(errors.outputs[net], largest_difference(cast<double>(y[i].value()), exact_y[i].value()));
  }
  const auto got = gradients_of(twins.model, x, y, given);
  Errors::note(errors.gradients[net], gradient_error(got, gradients_of(twins.exact, exact_x, exact_y, given)));
  if (own) Errors::note(errors.own_branches[net], gradient_error(got, *own));
  Branches& sum = errors.branches[net];
  sum.all += branches.all;
  sum.others += branches.others;
  sum.furthest = std::max(sum.furthest, branches.furthest);
}

void check_errors(const Errors& errors, const Bounds& bounds) {
  for (const auto& [name, error] : errors.outputs) {
    INFO(name);
    CHECK(error <= bounds.outputs);
  }
  for (const auto& [name, error] : errors.gradients) {
    INFO(name);
    CHECK(error <= bounds.gradients);
  }
  for (const auto& [name, branches] : errors.branches) {
    INFO(name << ": " << branches.others << " of " << branches.all << " branches turned");
    CHECK(static_cast<double>(branches.others) <= kMostTurned * static_cast<double>(branches.all));
    CHECK(branches.furthest <= bounds.outputs);
  }
}

// --- Pictures --------------------------------------------------------------------------------------------------------

Pair read_pair(const std::string& low, const std::string& high, const InputConfig& input) {
  return {net_input(to_tensor(read_image(low)), input), net_input(to_tensor(read_image(high)), input)};
}

Pair sample_pair(const std::string& name, const InputConfig& input) {
  const std::string folder = kSources + "/docs/samples/";
  return read_pair(folder + name + ".jpg", folder + "bright/" + name + ".jpg", input);
}

Pair crop(const Pair& pair, std::int64_t y0, std::int64_t x0, std::int64_t h, std::int64_t w) {
  return {crop(pair.low, y0, x0, h, w), crop(pair.high, y0, x0, h, w)};
}

void check_crops(const std::string& weights, Twins twins) {
  // The plain loops take their time, and there are no fast kernels beside them.
  const bool plain = block_kernels() == nullptr;
  const std::int64_t h = plain ? 35 : 75, w = plain ? 42 : 90;
  std::vector<Pair> pairs;
  for (const char* const name : {"room", "meadow"}) {
    pairs.push_back(crop(sample_pair(name, twins.model.config.input), 100, 200, h, w));
  }
  Errors errors[2];
  const auto with_each = [&](const auto& run) {
    for (const bool exact : {false, true}) {
      if (plain && !exact) continue;
      twins.model.set_options({.exact = exact});
      run(errors[exact]);
    }
  };
  for (const Pair& pair : pairs) {
    const auto expected = maps_of(twins.exact, pair.low);
    with_each([&](Errors& e) { note_outputs(e, twins, pair.low, expected); });
  }
  const Batch both(twins, pairs), first(twins, {pairs[0]});
  for (const std::string net : {"decomposition", "restoration", "adjustment"}) {
    if (!has(twins.model, net)) continue;
    const Batch& batch = net == "restoration" ? first : both;
    const Tensor<float> given = given_gradient(twins, net, "official", batch);
    with_each([&](Errors& e) { note_gradients(e, twins, net, batch, given, nullptr); });
  }
  for (const bool exact : {false, true}) {
    if (plain && !exact) continue;
    const Errors& e = errors[exact];
    Branches turned;
    for (const auto& [name, b] : e.branches) {
      turned.all += b.all, turned.others += b.others, turned.furthest = std::max(turned.furthest, b.furthest);
    }
    WARN(current_isa() << ", " << (exact ? "exact" : "fast") << " kernels, " << weights << " weights: largest error "
                       << Errors::largest(e.outputs) << " on outputs, " << Errors::largest(e.gradients)
                       << " of the largest element on gradients; " << turned.others << " of " << turned.all
                       << " branches given to double, by values within " << turned.furthest);
    check_errors(e, exact ? kExact : kFast);
  }
}

TEST_CASE("numerics: the shipped weights on photographs, fast and exact", "[isa]") {
  check_crops("shipped", shipped());
}

TEST_CASE("numerics: the published weights on photographs, fast and exact", "[isa][golden]") {
  if (const auto folder = reference_dir()) check_crops("published", published(*folder));
}

// --- The table of docs/performance.md --------------------------------------------------------------------------------

/// Errors by the kernels' names: "avx2" and so on, "avx2 exact".
using Table = std::map<std::string, Errors>;

void print(const std::string& weights, const Table& table) {
  std::string line = "| " + weights + " weights, error of |", rule = "|---|";
  for (const auto& [kernels, errors] : table) line += " " + kernels + " |", rule += "---|";
  std::printf("%s\n%s\n", line.c_str(), rule.c_str());
  const auto rows = [&](const std::string& what, std::map<std::string, double> Errors::*errors) {
    for (const auto& [name, ignored] : table.begin()->second.*errors) {
      std::printf("| %s |", (what + name).c_str());
      for (const auto& [kernels, e] : table) std::printf(" %.1e |", (e.*errors).at(name));
      std::printf("\n");
    }
  };
  rows("", &Errors::outputs);
  rows("gradients, ", &Errors::gradients);
  rows("gradients by double's own branches, ", &Errors::own_branches);
  for (const auto& [name, ignored] : table.begin()->second.branches) {
    std::printf("| branches turned, %s, of %.1e |", name.c_str(), static_cast<double>(ignored.all));
    for (const auto& [kernels, e] : table) std::printf(" %lld |", static_cast<long long>(e.branches.at(name).others));
    std::printf("\n| furthest of them, %s |", name.c_str());
    for (const auto& [kernels, e] : table) std::printf(" %.1e |", e.branches.at(name).furthest);
    std::printf("\n");
  }
  std::fflush(stdout);
}

/// Whole samples, and batches of the sizes of training steps (of restoration those of 128x128).
void measure(const std::string& weights, Twins twins) {
  std::vector<Pair> pairs;
  for (const char* const name : {"room", "dogs", "stream", "meadow", "brushes"}) {
    pairs.push_back(sample_pair(name, twins.model.config.input));
  }
  Table table;
  const auto with_each = [&](const auto& run) {
    for (const std::string& isa : isas_under_test()) {
      const IsaScope isa_scope(isa);
      if (!block_kernels()) continue;  // the plain loops: hours
      for (const bool exact : {false, true}) {
        twins.model.set_options({.exact = exact});
        run(table[isa + (exact ? " exact" : "")]);
      }
    }
  };
  for (std::size_t i = 0; i < 3; ++i) {
    const auto expected = maps_of(twins.exact, pairs[i].low);
    with_each([&](Errors& e) { note_outputs(e, twins, pairs[i].low, expected); });
  }
  for (const std::string net : {"decomposition", "restoration", "adjustment"}) {
    if (!has(twins.model, net)) continue;
    const bool deep = net == "restoration";
    const std::int64_t size = deep ? 128 : 48;
    Random random(1);
    std::vector<Pair> crops;
    for (std::size_t i = 0; i < (deep ? 4u : 10u); ++i) {
      const Pair& pair = pairs[i % pairs.size()];
      const auto place = [&](std::int64_t side) {
        return static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(side - size + 1)));
      };
      const std::int64_t y = place(pair.low.shape()[2]), x = place(pair.low.shape()[3]);
      crops.push_back(crop(pair, y, x, size, size));
    }
    const Batch batch(twins, crops);
    for (const std::string form : {"official", "paper"}) {
      const Tensor<float> given = given_gradient(twins, net, form, batch);
      const auto own = own_gradients(twins, net, batch, given);
      with_each([&](Errors& e) { note_gradients(e, twins, net, batch, given, &own); });
    }
  }
  print(weights, table);
  for (const auto& [kernels, errors] : table) {
    INFO(weights << " weights, " << kernels);
    check_errors(errors, kernels.find("exact") == std::string::npos ? kFast : kExact);
  }
}

// Not a part of the test suite: minutes of double precision.
TEST_CASE("numerics: the table of errors", "[.][errors]") {
  measure("shipped", shipped());
  if (const auto folder = reference_dir()) measure("published", published(*folder));
}

}  // namespace
}  // namespace kind::testing
