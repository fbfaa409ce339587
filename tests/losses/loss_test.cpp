// Long because its cases share the pairs and the configs of all terms.

#include "losses/loss.h"

#include <catch2/catch.hpp>
#include <map>

#include "core/ops/elementwise.h"
#include "losses/gt_mean.h"
#include "tests/losses/values.h"
#include "tests/support/errors.h"
#include "tests/support/reference.h"
#include "tests/support/scopes.h"

namespace {

using Catch::Contains;
using kind::DecompositionLossConfig;
using kind::ImageLossConfig;
using kind::Loss;
using kind::LossTerm;
using kind::parse_config;
using kind::Shape;
using kind::Tensor;
using kind::Variable;
using kind::testing::data;
using kind::testing::error_of;
using kind::testing::gradcheck;
using kind::testing::largest_difference;
using kind::testing::largest_magnitude;
using kind::testing::random_pictures;
using kind::testing::read_reference_nhwc;
using kind::testing::reference_dir;
using nlohmann::json;

const char* const kDecomPaper =
    R"({"reconstruction": {}, "reflectance_similarity": {}, "illumination_smoothness": {}, "mutual_consistency": {}})";
const char* const kDecomOfficial = R"({"reconstruction": {}, "reflectance_similarity": {},
    "illumination_smoothness": {"gradient": "official"}, "mutual_consistency": {"gradient": "official"}})";
const char* const kRestorationPaper = R"({"square": {}, "gradient": {}, "ssim": {}})";
const char* const kRestorationOfficial =
    R"({"square": {}, "gradient": {"gradient": "official", "channels": "gray"}, "ssim": {}})";
const char* const kAdjustmentPaper = R"({"square": {}, "gradient": {"magnitude": true}})";
const char* const kAdjustmentOfficial = R"({"square": {}, "gradient": {"gradient": "official"}})";

template <class Config>
Config parsed(const json& in) {
  return parse_config<Config>(in, "x.json");
}

template <class Config>
std::string config_error(const char* text) {
  return error_of([&] { parsed<Config>(json::parse(text)); });
}

/// Outputs of a decomposition net and the pictures they are of.
struct Decomposition {
  Variable<double> r_low, l_low, r_high, l_high, i_low, i_high;
};

Decomposition random_decomposition(const Shape& shape) {
  const auto leaf = [](const Shape& s, std::uint64_t seed) { return Variable<double>(random_pictures(s, seed), true); };
  return {leaf(shape, 41),
          leaf(shape.with(1, 1), 42),
          leaf(shape, 43),
          leaf(shape.with(1, 1), 44),
          Variable<double>(random_pictures(shape, 45)),
          Variable<double>(random_pictures(shape, 46))};
}

Loss<double> loss_of(const DecompositionLossConfig& config, const Decomposition& d) {
  return decomposition_loss(config, d.r_low, d.l_low, d.r_high, d.l_high, d.i_low, d.i_high);
}

std::map<std::string, LossTerm> by_name(const Loss<double>& loss) {
  std::map<std::string, LossTerm> terms;
  for (const LossTerm& term : loss.terms) terms[term.name] = term;
  return terms;
}

double sum_of_weighted(const Loss<double>& loss) {
  double sum = 0;
  for (const LossTerm& term : loss.terms) sum += term.weighted;
  return sum;
}

TEST_CASE("a loss is the weighted sum of the terms its config names", "[losses]") {
  const Decomposition d = random_decomposition({2, 3, 6, 5});
  const auto config = parsed<DecompositionLossConfig>(json::parse(
      R"({"reconstruction": {"weight": 2, "norm": "l2"},
          "mutual_consistency": {"weight": 0.5, "c": 3, "border": "valid"}})"));
  const Loss<double> loss = loss_of(config, d);
  REQUIRE(loss.terms.size() == 2);
  CHECK(loss.terms[0].name == "reconstruction");
  CHECK(loss.terms[1].name == "mutual_consistency");
  const kind::Reconstruction reconstruction{kind::Norm::kL2};
  const double raw = reconstruction(d.i_low, d.r_low, d.l_low).value().item() +
                     reconstruction(d.i_high, d.r_high, d.l_high).value().item();
  CHECK(loss.terms[0].raw == Approx(raw).epsilon(1e-14));
  CHECK(loss.terms[0].weighted == Approx(2 * raw).epsilon(1e-14));
  const kind::MutualConsistency mutual{3, {kind::GradientForm::kPaper, kind::GradientBorder::kValid}};
  CHECK(loss.terms[1].raw == Approx(mutual(d.l_low, d.l_high).value().item()).epsilon(1e-14));
  CHECK(loss.total.value().item() == Approx(sum_of_weighted(loss)).epsilon(1e-14));
}

TEST_CASE("every term that a config can have is computed, and learned from", "[losses]") {
  const Decomposition d = random_decomposition({2, 3, 12, 13});
  for (const std::string& name : DecompositionLossConfig::names()) {
    INFO(name);
    const auto config = parsed<DecompositionLossConfig>(json{{name, json::object()}});
    CHECK(config.learns());
    CHECK(!config.empty());
    Loss<double> loss = loss_of(config, d);
    REQUIRE(loss.terms.size() == 1);
    CHECK(loss.terms[0].name == name);
    CHECK(loss.terms[0].weighted > 0);
    loss.total.backward();
    Variable<double> r = d.r_low, l = d.l_low;
    CHECK((r.grad().defined() || l.grad().defined()));
    r.zero_grad(), l.zero_grad();
  }
  for (const std::string& name : ImageLossConfig::names()) {
    for (const bool gt_mean : {false, true}) {
      INFO(name << ", gt_mean " << gt_mean);
      json text{{name, json::object()}};
      if (gt_mean) text["gt_mean"] = json::object();
      Variable<double> x(random_pictures({2, 3, 12, 13}, 47), true);
      Loss<double> loss = image_loss(parsed<ImageLossConfig>(text), x, d.i_high);
      REQUIRE(loss.terms.size() == 1);
      CHECK(loss.terms[0].name == name);
      CHECK(loss.terms[0].weighted > 0);
      loss.total.backward();
      CHECK(x.grad().defined());
    }
  }
  for (const std::string& name : kind::PartsLossConfig::names()) {
    const auto parts = parsed<kind::PartsLossConfig>(json{{name, json::object()}});
    const Loss<double> loss = output_loss(ImageLossConfig{}, parts, d.r_low, d.l_low, d.i_high, d.r_high, d.l_high);
    REQUIRE(loss.terms.size() == 1);
    CHECK(loss.terms[0].name == name);
  }
  auto quiet = parsed<ImageLossConfig>(json::parse(R"({"square": {}, "edge": {"weight": 0}})"));
  std::vector<std::string> names;
  quiet.each([&](const auto& term) { names.push_back(term.kName); });
  CHECK(names == std::vector<std::string>{"square", "edge"});
  CHECK(quiet.learns());
  quiet.get<kind::Square>()->weight = 0;
  CHECK(!quiet.learns());
  CHECK(!quiet.empty());
  CHECK(ImageLossConfig{}.empty());
}

TEST_CASE("gt_mean weighs a loss of outputs as they are and at the targets' light", "[losses]") {
  const Variable<double> t(random_pictures({2, 3, 9, 8}, 48));
  Tensor<double> values = t.value().clone();
  for (std::int64_t i = 0; i < values.size(); ++i) values[i] = 0.9 * values[i] + 0.01 * static_cast<double>(i % 3);
  const Variable<double> x(values, true);
  const auto with = parsed<ImageLossConfig>(
      json::parse(R"({"square": {"norm": "l1"}, "ssim": {"window": 3}, "gt_mean": {"sigma": 0.1}})"));
  auto without = with;
  without.gt_mean.reset();
  const Loss<double> loss = image_loss(with, x, t), plain = image_loss(without, x, t);
  const auto pictures = kind::levelled_pictures(0.1, x, t);
  CHECK((pictures[0].weight > 0.05 && pictures[0].weight < 0.95));
  for (std::size_t i = 0; i < 2; ++i) {
    double expected = 0;
    for (const auto& p : pictures) {
      expected += (p.weight * image_loss(without, p.picture, p.target).terms[i].raw +
                   (1 - p.weight) * image_loss(without, p.scaled, p.target).terms[i].raw) /
                  2;
    }
    CHECK(loss.terms[i].raw == Approx(expected));
    CHECK(loss.terms[i].raw < plain.terms[i].raw);
  }
}

TEST_CASE("a loss of single pixels by hand", "[losses]") {
  const Variable<double> x = data({1, 3, 1, 1}, {0.5, 0.5, 0.5}), t = data({1, 3, 1, 1}, {0.2, 0.5, 0.5});
  const Loss<double> loss = image_loss(
      parsed<ImageLossConfig>(json::parse(R"({"square": {"weight": 3}, "gradient": {}, "color": {"norm": "l1"}})")), x,
      t);
  auto terms = by_name(loss);
  CHECK(terms["square"].raw == Approx(0.03));
  CHECK(terms["square"].weighted == Approx(0.09));
  CHECK(terms["gradient"].raw == 0);
  CHECK(terms["color"].raw == Approx(0.1));
  CHECK(loss.total.value().item() == Approx(0.19));
}

TEST_CASE("a term of weight 0 is logged but not learned from", "[losses]") {
  const Tensor<double> target = random_pictures({1, 3, 12, 13}, 51), output = random_pictures({1, 3, 12, 13}, 52);
  const auto run = [&](const char* text) {
    const Variable<double> x(output, true);
    Loss<double> loss = image_loss(parsed<ImageLossConfig>(json::parse(text)), x, Variable<double>(target));
    loss.total.backward();
    return std::pair(loss, x.grad());
  };
  const auto [alone, gradient] = run(R"({"square": {}})");
  const auto [both, gradient_of_both] = run(R"({"square": {}, "ssim": {"weight": 0}, "color": null})");
  REQUIRE(both.terms.size() == 2);
  CHECK(both.terms[1].name == "ssim");
  CHECK(both.terms[1].raw > 0.1);
  CHECK(both.terms[1].weighted == 0);
  CHECK(both.total.value().item() == alone.total.value().item());
  CHECK(largest_difference(gradient, gradient_of_both) == 0);
}

TEST_CASE("whole losses agree with finite differences", "[losses][grad]") {
  for (const char* text : {kDecomPaper, kDecomOfficial}) {
    INFO(text);
    const auto config = parsed<DecompositionLossConfig>(json::parse(text));
    const Decomposition d = random_decomposition({2, 3, 4, 5});
    CHECK(gradcheck(
        [&](const std::vector<Variable<double>>& in) {
          return decomposition_loss(config, in[0], in[1], in[2], in[3], d.i_low, d.i_high).total;
        },
        {d.r_low, d.l_low, d.r_high, d.l_high}));
  }
  for (const char* text :
       {kRestorationPaper, kRestorationOfficial, R"({"ssim": {"window": 3}, "color": {"weight": 2}})"}) {
    INFO(text);
    const auto config = parsed<ImageLossConfig>(json::parse(text));
    const Variable<double> target(random_pictures({1, 3, 11, 12}, 53));
    CHECK(gradcheck([&](const std::vector<Variable<double>>& in) { return image_loss(config, in[0], target).total; },
                    std::vector<Tensor<double>>{random_pictures({1, 3, 11, 12}, 54)}));
  }
}

TEST_CASE("the loss of an output is that of the product, and of its parts", "[losses][grad]") {
  const Variable<double> r(random_pictures({2, 3, 7, 6}, 61), true), l(random_pictures({2, 1, 7, 6}, 62), true);
  const Variable<double> target(random_pictures({2, 3, 7, 6}, 63)), r_high(random_pictures({2, 3, 7, 6}, 64)),
      l_high(random_pictures({2, 1, 7, 6}, 65));
  const auto image = parsed<ImageLossConfig>(json::parse(R"({"square": {"norm": "l1"}, "ssim": {"window": 3}})"));
  const auto parts = parsed<kind::PartsLossConfig>(
      json::parse(R"({"reflectance": {"weight": 0.5}, "illumination": {"weight": 3, "norm": "l1"}})"));
  const Loss<double> loss = output_loss(image, parts, r, l, target, r_high, l_high);
  REQUIRE(loss.terms.size() == 4);
  const Loss<double> product = image_loss(image, r * l, target);
  CHECK(loss.terms[0].raw == product.terms[0].raw);
  CHECK(loss.terms[1].raw == product.terms[1].raw);
  CHECK(loss.terms[2].name == "reflectance");
  CHECK(loss.terms[2].raw == Approx(kind::Square{kind::Norm::kL2}(r, r_high).value().item()));
  CHECK(loss.terms[3].weighted == Approx(3 * kind::Square{kind::Norm::kL1}(l, l_high).value().item()));
  CHECK(loss.total.value().item() == Approx(sum_of_weighted(loss)).epsilon(1e-14));
  CHECK(output_loss(image, {}, r, l, target, {}, {}).terms.size() == 2);
  CHECK(gradcheck(
      [&](const std::vector<Variable<double>>& in) {
        return output_loss(image, parts, in[0], in[1], target, r_high, l_high).total;
      },
      {r, l}));
  const Loss<double> both = product + loss;
  CHECK(both.terms.size() == 6);
  CHECK(both.terms[5].name == "illumination");
  CHECK(both.total.value().item() == Approx(sum_of_weighted(both)).epsilon(1e-14));
}

TEST_CASE("losses have the same bits for any number of threads", "[losses]") {
  const auto config = parsed<DecompositionLossConfig>(json::parse(kDecomOfficial));
  const auto run = [&] {
    const Decomposition d = random_decomposition({3, 3, 97, 89});
    Loss<double> loss = loss_of(config, d);
    loss.total.backward();
    std::vector<double> bits = d.l_low.grad().to_vector();
    bits.push_back(loss.total.value().item());
    for (const LossTerm& term : loss.terms) bits.push_back(term.raw);
    return bits;
  };
  const std::vector<double> once = run();
  for (const int threads : kind::testing::kThreadCounts) {
    const kind::testing::ThreadScope scope(threads);
    CHECK(run() == once);
  }
}

TEST_CASE("losses in single precision are close to those in double", "[losses]") {
  const Tensor<double> output = random_pictures({2, 3, 24, 20}, 55), target = random_pictures({2, 3, 24, 20}, 56);
  for (const char* text : {kRestorationPaper, kRestorationOfficial}) {
    const auto config = parsed<ImageLossConfig>(json::parse(text));
    const Variable<double> x(output, true);
    const Variable<float> xf(kind::cast<float>(output), true);
    Loss<double> exact = image_loss(config, x, Variable<double>(target));
    Loss<float> single = image_loss(config, xf, Variable<float>(kind::cast<float>(target)));
    exact.total.backward();
    single.total.backward();
    for (std::size_t i = 0; i < exact.terms.size(); ++i) {
      INFO(text << ", " << exact.terms[i].name);
      CHECK(single.terms[i].raw == Approx(exact.terms[i].raw).epsilon(1e-5));
    }
    CHECK(largest_difference(kind::cast<double>(xf.grad()), x.grad()) < 2e-4 * largest_magnitude(x.grad()));
  }
}

TEST_CASE("configs of losses say what is wrong with them", "[losses]") {
  const auto image = config_error<ImageLossConfig>;
  const auto decomposition = config_error<DecompositionLossConfig>;
  CHECK(image(kRestorationOfficial) == "no error");
  CHECK_THAT(image("{}"), Contains("x.json: expected at least one term with a weight greater than 0") &&
                              Contains("square, gradient, ssim, color"));
  CHECK_THAT(decomposition(R"({"reconstruction": {"weight": 0}, "mutual_consistency": null})"),
             Contains("at least one term") && Contains("reconstruction, reflectance_similarity"));
  CHECK_THAT(image(R"({"sqare": {}})"), Contains("sqare") && Contains("square"));
  CHECK_THAT(image(R"({"square": {"weight": -1}})"), Contains("square.weight") && Contains("at least 0"));
  CHECK_THAT(image(R"({"square": {"norm": "l3"}})"), Contains("square.norm") && Contains("l3"));
  CHECK_THAT(image(R"({"ssim": {"window": 10}})"), Contains("x.json: ssim.window: expected an odd number, got 10"));
  CHECK_THAT(image(R"({"color": {"sigma": 0}})"), Contains("color.sigma") && Contains("greater than 0"));
  CHECK_THAT(image(R"({"gradient": {"gradient": "sobel"}})"), Contains("gradient.gradient") && Contains("official"));
  CHECK_THAT(image(R"({"gradient": {"channels": "lab"}})"), Contains("gradient.channels"));
  CHECK_THAT(decomposition(R"({"mutual_consistency": {"gradient": "official", "border": "valid"}})"),
             Contains("x.json: mutual_consistency.border: is for gradient \"paper\" alone"));
  CHECK_THAT(decomposition(R"({"illumination_smoothness": {"epsilon": 0}})"),
             Contains("illumination_smoothness.epsilon") && Contains("greater than 0"));
  const Variable<double> x = data({1, 1, 1, 1}, {0});
  CHECK_THAT(error_of([&] { image_loss(ImageLossConfig{}, x, x); }), Contains("no term has a weight"));
}

TEST_CASE("resolved configs of losses read back the same", "[losses]") {
  for (const char* text : {kRestorationPaper, kRestorationOfficial, kAdjustmentPaper, R"({"color": {"norm": "l1"}})"}) {
    const auto resolved = kind::to_json(parsed<ImageLossConfig>(json::parse(text)));
    CHECK(kind::to_json(parsed<ImageLossConfig>(json::parse(resolved.dump()))) == resolved);
  }
  const auto resolved = kind::to_json(parsed<DecompositionLossConfig>(json::parse(kDecomOfficial)));
  CHECK(resolved["illumination_smoothness"].dump() ==
        R"({"weight":0.15,"epsilon":0.01,"gradient":"official","border":"zero"})");
  CHECK(kind::to_json(parsed<DecompositionLossConfig>(json::parse(resolved.dump()))) == resolved);
}

/// One folder of reference values: terms by our names as sums of those in values.json, then total and gradients.
class Reference {
 public:
  explicit Reference(const std::string& folder)
      : folder_(folder), values_(kind::read_json_file(folder + "/values.json")) {}

  Variable<double> output(const std::string& name) const { return Variable<double>(read("out_" + name), true); }
  Variable<double> input(const std::string& name) const { return Variable<double>(read("input_" + name)); }
  double value(const std::vector<std::string>& names) const {
    double sum = 0;
    for (const std::string& name : names) sum += values_.at(name).get<double>();
    return sum;
  }

  void check_loss(Loss<double>& loss, const std::map<std::string, std::vector<std::string>>& names) const {
    INFO(folder_);
    REQUIRE(loss.terms.size() == names.size());
    for (const LossTerm& term : loss.terms) {
      INFO(term.name);
      CHECK(std::abs(term.raw - value(names.at(term.name))) < 1e-9);
    }
    CHECK(std::abs(loss.total.value().item() - value({"total"})) < 1e-9);
    loss.total.backward();
  }
  void check_gradient(const std::string& name, const Variable<double>& output) const {
    INFO(folder_ << ", " << name);
    const Tensor<double> expected = read("dout_" + name);
    CHECK(largest_difference(output.grad(), expected) < 1e-9 * largest_magnitude(expected));
  }

 private:
  Tensor<double> read(const std::string& name) const {
    return read_reference_nhwc<double>(folder_ + "/" + name + ".npy");
  }

  std::string folder_;
  json values_;
};

void check_decomposition(const std::string& folder, const json& config,
                         const std::map<std::string, std::vector<std::string>>& names) {
  const Reference reference(folder);
  const Decomposition d = {reference.output("R_low"),  reference.output("L_low"), reference.output("R_high"),
                           reference.output("L_high"), reference.input("low"),    reference.input("high")};
  Loss<double> loss = loss_of(parsed<DecompositionLossConfig>(config), d);
  reference.check_loss(loss, names);
  reference.check_gradient("R_low", d.r_low);
  reference.check_gradient("L_low", d.l_low);
  reference.check_gradient("R_high", d.r_high);
  reference.check_gradient("L_high", d.l_high);
}

TEST_CASE("reference decomposition losses", "[losses][golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  check_decomposition(*folder + "/losses/decom_official", json::parse(kDecomOfficial),
                      {{"reconstruction", {"recon_low", "recon_high"}},
                       {"reflectance_similarity", {"equal_R"}},
                       {"illumination_smoothness", {"mutual_i_input_low", "mutual_i_input_high"}},
                       {"mutual_consistency", {"mutual_i"}}});
  const auto paper = [&](const std::string& name, const char* border, double epsilon) {
    json config = json::parse(kDecomPaper);
    config["illumination_smoothness"] = {{"epsilon", epsilon}, {"border", border}};
    config["mutual_consistency"] = {{"border", border}};
    check_decomposition(*folder + "/losses/" + name, config,
                        {{"reconstruction", {"rec_low", "rec_high"}},
                         {"reflectance_similarity", {"rs"}},
                         {"illumination_smoothness", {"is_low", "is_high"}},
                         {"mutual_consistency", {"mc"}}});
    const Reference reference(*folder + "/losses/" + name);
    const kind::ReflectanceSimilarity squared{kind::Norm::kL2};
    CHECK(std::abs(squared(reference.output("R_low"), reference.output("R_high")).value().item() -
                   reference.value({"rs_l2sq_not_in_total"})) < 1e-9);
  };
  paper("decom_paper_zero_eps0.01", "zero", 0.01);
  paper("decom_paper_zero_eps0.001", "zero", 0.001);
  paper("decom_paper_valid_eps0.01", "valid", 0.01);
}

TEST_CASE("reference restoration and adjustment losses", "[losses][golden]") {
  const auto folder = reference_dir();
  if (!folder) return;
  const auto compare = [&](const std::string& name, const char* output, const char* text, bool valid) {
    json config = json::parse(text);
    if (valid) config["gradient"]["border"] = "valid";
    const Reference reference(*folder + "/losses/" + name);
    const Variable<double> x = reference.output(output);
    Loss<double> loss = image_loss(parsed<ImageLossConfig>(config), x, reference.input("target"));
    std::map<std::string, std::vector<std::string>> names = {{"square", {"square"}}, {"gradient", {"grad"}}};
    if (config.contains("ssim")) names["ssim"] = {"ssim"};
    reference.check_loss(loss, names);
    reference.check_gradient(output, x);
  };
  compare("restoration_official", "R", kRestorationOfficial, false);
  compare("restoration_paper_zero", "R", kRestorationPaper, false);
  compare("restoration_paper_valid", "R", kRestorationPaper, true);
  compare("adjust_official", "L", kAdjustmentOfficial, false);
  compare("adjust_paper_zero", "L", kAdjustmentPaper, false);
  compare("adjust_paper_valid", "L", kAdjustmentPaper, true);
}

}  // namespace
