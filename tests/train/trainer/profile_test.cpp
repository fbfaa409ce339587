#include "train/trainer/profile.h"

#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/errors.h"
#include "tests/support/scopes.h"
#include "tests/train/run_folder.h"
#include "train/stages/batch.h"
#include "train/trainer/trainer.h"

namespace kind::testing {
namespace {

using Catch::Contains;

constexpr std::int64_t kBatches = 3;

const char* const kStages = R"([
  {"name": "decom", "net": {"decomposition": {"initializer": "he_normal"}}, "batch": 2, "patch": 16,
   "losses": {"reconstruction": {"weight": 2}, "reflectance_similarity": {"weight": 0},
              "illumination_smoothness": {"gradient": "official"}, "mutual_consistency": {}}},
  {"name": "adjust", "net": {"adjustment": {"initializer": "he_normal"}}, "batch": 2, "patch": 16,
   "losses": {"square": {}, "gradient": {"weight": 3}}}])";

TrainConfig config_for(const TempDir& dir) {
  put_scenes(dir / "data", 5);
  const nlohmann::json json{{"data", {{"root", dir / "data"}, {"validation", 1}}},
                            {"stages", nlohmann::json::parse(kStages)}};
  return parse_config<TrainConfig>(json, "config");
}

/// The gradient of the decomposition stage's loss, as numbers one after the other, by the trainer's own means.
std::vector<double> gradient_of(const TrainConfig& config, const StageConfig& stage, double& raw) {
  const Pairs pairs(config.data, stage.patch, 1);
  Model<float> model;
  begin_stage(stage, 1, model);
  FrozenDecomposition frozen(model, pairs, 1 << 20, ".");
  const std::unique_ptr<StageSampler> sampler = make_sampler(stage, model, pairs, frozen);
  raw = 0;
  for (std::int64_t b = 0; b < kBatches; ++b) {
    Loss<float> loss = stage_loss(stage, model, make_batch(stage, pairs, *sampler, 1, 0, b));
    raw += loss.terms[0].raw / kBatches;
    loss.total.backward();
  }
  std::vector<double> all;
  for (const Parameter<float>& p : stage_parameters(stage, model)) {
    for (std::int64_t i = 0; i < p.variable.shape().size(); ++i) {
      all.push_back(p.variable.grad().defined() ? static_cast<double>(p.variable.grad()[i]) / kBatches : 0);
    }
  }
  return all;
}

double product(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// The decomposition stage's gradient of each term alone, written out, and the terms' means.
struct OwnGradients {
  std::vector<std::vector<double>> gradients;
  std::vector<double> raws;
};

OwnGradients own_gradients(const TrainConfig& config) {
  OwnGradients own;
  for (int t = 0; t < 4; ++t) {
    StageConfig alone = config.stages[0];
    DecompositionLossConfig& losses = alone.losses.decomposition;
    losses = {};
    if (t == 0) losses.get<Reconstruction>() = Reconstruction{};
    if (t == 1) losses.get<ReflectanceSimilarity>() = ReflectanceSimilarity{.weight = 1};
    if (t == 2) losses.get<IlluminationSmoothness>() = {0.01, {GradientForm::kOfficial}, 1};
    if (t == 3) losses.get<MutualConsistency>() = MutualConsistency{.weight = 1};
    double raw = 0;
    own.gradients.push_back(gradient_of(config, alone, raw));
    own.raws.push_back(raw);
  }
  return own;
}

TEST_CASE("profile_losses: norms, shares and cosines are those of the gradients that training takes") {
  const TempDir dir;
  const TrainConfig config = config_for(dir);
  std::vector<std::string> said;
  const std::vector<StageProfile> profile =
      profile_losses(config, kBatches, [&](const std::string& text) { said.push_back(text); });
  REQUIRE(profile.size() == 2);
  CHECK(said.size() == 2);
  const StageProfile& decom = profile[0];
  CHECK(decom.weights == "drawn from seed 1");
  REQUIRE(decom.terms.size() == 4);

  const auto& [own, raws] = own_gradients(config);
  double unused = 0;
  const std::vector<double> total = gradient_of(config, config.stages[0], unused);
  const GradientProfile& all = decom.gradients.at(0);
  CHECK(all.layer == "all");
  CHECK(all.parameters == 235876);
  const double norm = std::sqrt(product(total, total));
  CHECK(all.norm == Approx(norm).epsilon(1e-4));
  for (std::size_t i = 0; i < 4; ++i) {
    INFO(decom.terms[i].name);
    const double weight = std::vector<double>{2, 0, 0.15, 0.2}[i], length = std::sqrt(product(own[i], own[i]));
    CHECK(decom.terms[i].weight == weight);
    CHECK(decom.terms[i].raw == Approx(raws[i]).epsilon(1e-5));
    CHECK(decom.terms[i].weighted == Approx(weight * raws[i]).epsilon(1e-5));
    const GradientProfile::Term& term = all.terms[i];
    CHECK(term.norm == Approx(weight * length).epsilon(1e-4));
    CHECK(term.raw_norm == Approx(length).epsilon(1e-4));
    CHECK(term.share.value() == Approx(weight * product(own[i], total) / norm / norm).margin(1e-4));
    CHECK(term.cosine_total.has_value() == (weight > 0));
    for (std::size_t j = 0; j < 4; ++j) {
      const double cosine = product(own[i], own[j]) / length / std::sqrt(product(own[j], own[j]));
      CHECK(term.cosines[j].value() == Approx(cosine).margin(1e-4));
    }
  }
}

TEST_CASE("profile_losses: layers are all of the net's, and together its square") {
  const TempDir dir;
  const std::vector<StageProfile> profile = profile_losses(config_for(dir), kBatches, [](const std::string&) {});
  REQUIRE(profile.size() == 2);
  const StageProfile& decom = profile[0];
  const GradientProfile& all = decom.gradients.at(0);
  CHECK(decom.gradients.size() == 11);
  CHECK(decom.gradients[1].layer == "decomposition.conv1");
  double square = 0;
  std::int64_t parameters = 0;
  for (std::size_t l = 0; l < decom.gradients.size(); ++l) {
    const GradientProfile& layer = decom.gradients[l];
    double shares = 0;
    for (const GradientProfile::Term& term : layer.terms) shares += term.share.value();
    INFO(layer.layer);
    CHECK(shares == Approx(1));
    if (l == 0) continue;
    square += layer.norm * layer.norm;
    parameters += layer.parameters;
  }
  CHECK(square == Approx(all.norm * all.norm));
  CHECK(parameters == all.parameters);
  CHECK(profile[1].gradients.size() == 5);
}

TEST_CASE("profile_losses: what is not defined is null, and threads change nothing") {
  const TempDir dir;
  const TrainConfig config = config_for(dir);
  const auto silent = [](const std::string&) {};
  std::string first;
  for (const int threads : {1, 3}) {
    const ThreadScope scope(threads);
    const std::vector<StageProfile> profile = profile_losses(config, 1, silent);
    const std::string text = to_json(profile).dump() + profile_text(profile);
    if (first.empty()) first = text;
    CHECK(text == first);
  }
  const nlohmann::ordered_json json = to_json(profile_losses(config, 1, silent));
  const auto& terms = json["stages"][0]["gradients"][0]["terms"];
  CHECK(terms["reflectance_similarity"]["cosine_total"].is_null());
  CHECK(terms["reflectance_similarity"]["norm"] == 0);
  CHECK(terms["reflectance_similarity"]["cosine"]["reconstruction"].is_number());
  // The smoothness of L says nothing to the layer that makes R.
  for (const auto& layer : json["stages"][0]["gradients"]) {
    if (layer["layer"] != "decomposition.reflectance") continue;
    CHECK(layer["terms"]["illumination_smoothness"]["cosine"]["reconstruction"].is_null());
    CHECK(layer["terms"]["illumination_smoothness"]["share"] == 0);
  }
  CHECK_THAT(error_of([&] { profile_losses(config, 0, silent); }), Contains("at least one batch"));
}

TEST_CASE("profile_losses: all nets together, each term by itself") {
  const TempDir dir;
  TrainConfig config = config_for(dir);
  config.stages = {parse_config<StageConfig>(nlohmann::json::parse(R"({
    "name": "all", "net": {"decomposition": {}, "restoration": {}, "adjustment": {}}, "batch": 1, "patch": 16,
    "losses": {"reconstruction": {}, "blurred_reconstruction": {}, "square": {}, "saturation": {}, "gt_mean": {},
               "illumination": {"weight": 0.5}}})"),
                                             "stage")};
  const std::vector<StageProfile> profile = profile_losses(config, 1, [](const std::string&) {});
  // gt_mean is no term; it changes how those of a picture are taken.
  REQUIRE(profile[0].terms.size() == 5);
  for (const GradientProfile& layer : profile[0].gradients) {
    INFO(layer.layer);
    double shares = 0;
    for (const GradientProfile::Term& term : layer.terms) shares += term.share.value_or(0);
    CHECK(shares == Approx(1));
    // The pictures' own reconstruction says nothing to the nets behind decomposition.
    const bool decomposition = layer.layer == "all" || layer.layer.rfind("decomposition.", 0) == 0;
    for (const std::size_t term : {std::size_t{0}, std::size_t{1}})
      CHECK((layer.terms[term].norm > 0) == decomposition);
  }
}

TEST_CASE("profile_losses takes weights from init") {
  const TempDir dir;
  TrainConfig config = config_for(dir);
  Model<float> model;
  begin_stage(config.stages[0], 5, model);
  save_model(dir / "other.st", model);
  const auto silent = [](const std::string&) {};
  const double drawn = profile_losses(config, 1, silent)[0].gradients[0].norm;
  config.stages[0].init = dir / "other.st";
  const std::vector<StageProfile> profile = profile_losses(config, 1, silent);
  CHECK(profile[0].weights == "from " + dir / "other.st");
  CHECK(profile[0].gradients[0].norm != drawn);
  config.stages[0].init = dir / "none.st";
  CHECK_THAT(error_of([&] { profile_losses(config, 1, silent); }), Contains("none.st"));
}

}  // namespace
}  // namespace kind::testing
