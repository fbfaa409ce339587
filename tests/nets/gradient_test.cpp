// Gradients of each net under its whole loss: against differences in double, and against the reference values.

#include <catch2/catch.hpp>
#include <cmath>

#include "core/ops/elementwise.h"
#include "losses/loss.h"
#include "nets/tensorflow/tensorflow_import.h"
#include "tests/nets/models.h"
#include "tests/support/gradcheck.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"

namespace kind::testing {
namespace {

using nlohmann::json;

template <class Config>
Config loss_config(const char* text) {
  return parse_config<Config>(json::parse(text), "test");
}

const char* const kDecompositionPaper =
    R"({"reconstruction": {}, "reflectance_similarity": {}, "illumination_smoothness": {}, "mutual_consistency": {}})";
const char* const kDecompositionOfficial = R"({"reconstruction": {}, "reflectance_similarity": {},
    "illumination_smoothness": {"gradient": "official"}, "mutual_consistency": {"gradient": "official"}})";
const char* const kRestorationPaper = R"({"square": {}, "gradient": {}, "ssim": {}})";
const char* const kRestorationOfficial =
    R"({"square": {}, "gradient": {"gradient": "official", "channels": "gray"}, "ssim": {}})";
const char* const kAdjustmentPaper = R"({"square": {}, "gradient": {"magnitude": true}})";
const char* const kAdjustmentOfficial = R"({"square": {}, "gradient": {"gradient": "official"}})";

template <class T>
Variable<T> total(const DecompositionLossConfig& config, const Decomposition<T>& net, const Variable<T>& low,
                  const Variable<T>& high) {
  const auto dark = net(low), bright = net(high);
  return decomposition_loss(config, dark.reflectance, dark.illumination, bright.reflectance, bright.illumination, low,
                            high)
      .total;
}

/// Biases that are not 0, and up-convolutions strong enough that the deep levels have their say.
template <class Net>
void enliven(const Net& net, std::uint64_t seed) {
  for (const Parameter<double>& p : net.parameters()) {
    const Shape& shape = p.variable.shape();
    const bool bias = shape.rank() == 1, up = p.name.find(".up") != std::string::npos;
    // The residual form's last convolution, at zero, lets no gradient through to the others.
    const bool silent = !bias && largest_magnitude(p.variable.value()) == 0;
    if (!bias && !up && !silent) continue;
    const double inputs = static_cast<double>(up ? shape[0] : p.variable.value().size() / shape[0]);
    const double limit = bias ? 0.1 : std::sqrt(6.0 / inputs);
    Variable<double>(p.variable).mutable_value() = random_tensor(p.variable.shape(), seed++, -limit, limit);
  }
}

/// Checks some entries of every tensor of a net. The loss is scaled so that gradients stand out of the absolute
/// tolerance, which is asserted for each tensor.
template <class Net>
void check_net(const Net& net, const std::function<Variable<double>()>& loss, std::int64_t entries) {
  const ThreadScope one(1);  // pictures are small
  constexpr double kScale = 1000;
  const auto scaled = [&](const std::vector<Variable<double>>&) { return mul(loss(), kScale); };
  std::uint64_t seed = 1;
  for (const Parameter<double>& p : net.parameters()) {
    // The others need no gradient of their own meanwhile, which saves half of the work.
    for (const Parameter<double>& other : net.parameters())
      Variable<double>(other.variable).set_requires_grad(other.name == p.name);
    INFO(p.name);
    GradcheckOptions options;
    options.entries = entries;
    options.skip_kinks = true;
    options.most_skipped = 0.7;
    options.seed = seed++;
    CHECK(gradcheck(scaled, {p.variable}, options));
    Variable<double> y = scaled({});
    y.backward();
    CHECK(largest_magnitude(p.variable.grad()) > 100 * options.atol);
    Variable<double>(p.variable).zero_grad();
  }
}

TEST_CASE("decomposition: gradients of every tensor under the whole loss", "[grad]") {
  const Variable<double> low(random_tensor({1, 3, 9, 7}, 1, 0, 0.3)), high(random_tensor({1, 3, 9, 7}, 2, 0.2, 1));
  DecompositionConfig official_form, paper_form;
  official_form.initializer = paper_form.initializer = "he_normal";
  paper_form.activation = "relu";
  paper_form.output_kernel = 3;
  const std::pair<DecompositionConfig, const char*> forms[] = {{official_form, kDecompositionOfficial},
                                                               {paper_form, kDecompositionPaper}};
  for (const auto& [form, loss] : forms) {
    Random random(3);
    const Decomposition<double> net(form, random);
    enliven(net, 4);
    const auto config = loss_config<DecompositionLossConfig>(loss);
    check_net(
        net, [&, &net = net] { return total(config, net, low, high); }, 4);
  }
}

TEST_CASE("adjustment: gradients of every tensor under the whole loss", "[grad]") {
  const Shape shape{2, 1, 8, 7};
  const Variable<double> l(random_tensor(shape, 1, 0, 1)), ratio(Tensor<double>::full(shape, 2.5)),
      target(random_tensor(shape, 2, 0, 1));
  AdjustmentConfig official_form, paper_form;
  official_form.initializer = paper_form.initializer = "he_normal";
  paper_form.activation = "relu";
  paper_form.output_activation = false;
  const std::pair<AdjustmentConfig, const char*> forms[] = {{official_form, kAdjustmentOfficial},
                                                            {paper_form, kAdjustmentPaper}};
  for (const auto& [form, loss] : forms) {
    Random random(3);
    const Adjustment<double> net(form, random);
    enliven(net, 4);
    const auto config = loss_config<ImageLossConfig>(loss);
    check_net(
        net, [&, &net = net] { return image_loss(config, net(l, ratio), target).total; }, 8);
  }
}

TEST_CASE("restoration: gradients of every tensor under the whole loss", "[grad][slow]") {
  const Variable<double> r(random_tensor({1, 3, 12, 11}, 1, 0, 1)), l(random_tensor({1, 1, 12, 11}, 2, 0, 1)),
      target(random_tensor({1, 3, 12, 11}, 3, 0, 1));
  RestorationConfig official_form, paper_form, residual_form, narrow_form;
  official_form.initializer = paper_form.initializer = residual_form.initializer = narrow_form.initializer =
      "he_normal";
  // The time goes with the square of the channels.
  paper_form.width = narrow_form.width = 0.5;
  residual_form.width = 0.25;
  paper_form.activation = "relu";
  residual_form.output = "residual";
  const std::pair<RestorationConfig, const char*> forms[] = {{official_form, kRestorationOfficial},
                                                             {paper_form, kRestorationPaper},
                                                             {residual_form, kRestorationPaper},
                                                             {narrow_form, kRestorationPaper}};
  for (const auto& [form, loss] : forms) {
    Random random(3);
    const Restoration<double> net(form, random);
    enliven(net, 4);
    const auto config = loss_config<ImageLossConfig>(loss);
    check_net(
        net, [&, &net = net] { return image_loss(config, net(r, l), target).total; }, 3);
  }
}

// --- Against the reference: within 2e-4 of each tensor's largest gradient in float, and of double all but rounding.

/// The gradients in `path`, which has the authors' names and layouts: a net made of gradients finds each its place.
template <class T>
void compare_gradients(const Model<T>& model, const std::string& path) {
  const Parameters<float> expected = model_from_tensorflow({read_safetensors(path)}).parameters();
  const Parameters<T> got = model.parameters();
  REQUIRE(got.size() == expected.size());
  const double bound = std::is_same_v<T, float> ? 2e-4 : 1e-6;
  for (std::size_t i = 0; i < got.size(); ++i) {
    INFO(path << ": " << got[i].name << " on " << current_isa());
    REQUIRE(got[i].name == expected[i].name);
    REQUIRE(got[i].variable.grad().defined());
    const Tensor<double> a = cast<double>(got[i].variable.grad()), b = cast<double>(expected[i].variable.value());
    CHECK(largest_magnitude(b) > 0);
    CHECK(largest_difference(a, b) <= bound * largest_magnitude(b));
  }
}

TEMPLATE_TEST_CASE("decomposition: the reference gradients of the published weights", "[golden][isa]", float, double) {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto model = as<TestType>(import_tensorflow({*folder + "/checkpoints/decom_net_train/model.ckpt"}));
  const std::string at = *folder + "/losses/decom_official/";
  const Variable<TestType> low(read_reference_nhwc<TestType>(at + "input_low.npy")),
      high(read_reference_nhwc<TestType>(at + "input_high.npy"));
  total(loss_config<DecompositionLossConfig>(kDecompositionOfficial), *model.decomposition, low, high).backward();
  compare_gradients(model, at + "grads.safetensors");
}

TEMPLATE_TEST_CASE("adjustment: the reference gradients of the published weights", "[golden][isa]", float, double) {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto model =
      as<TestType>(import_tensorflow({*folder + "/checkpoints/illumination_adjust_net_train/model.ckpt"}));
  const std::string at = *folder + "/losses/adjust_official/";
  const auto read = [&](const char* name) { return Variable<TestType>(read_reference_nhwc<TestType>(at + name)); };
  const Variable<TestType> out = (*model.adjustment)(read("input_l.npy"), read("input_ratio.npy"));
  CHECK(largest_difference(out.value(), read("out_L.npy").value()) <= 1e-5);
  image_loss(loss_config<ImageLossConfig>(kAdjustmentOfficial), out, read("input_target.npy")).total.backward();
  compare_gradients(model, at + "grads.safetensors");
}

}  // namespace
}  // namespace kind::testing
