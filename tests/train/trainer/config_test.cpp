#include "train/trainer/config.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/errors.h"
#include "tests/support/source_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;

json minimal() {
  return json::parse(
      R"({"stages": [{"name": "decom", "net": {"decomposition": {}}, "losses": {"reconstruction": {}}}]})");
}

json with_stage(const std::string& net, const std::string& losses, const std::string& rest = "{}") {
  json config = minimal();
  config["stages"][0].update(json::parse(rest));
  config["stages"][0]["net"] = json::parse(net);
  config["stages"][0]["losses"] = json::parse(losses);
  return config;
}

std::string refused(const json& config) {
  return error_of([&] { parse_config<TrainConfig>(config, "c.json"); });
}

TEST_CASE("train config: defaults are the method's, and the resolved config reads back as itself") {
  const TrainConfig config = parse_config<TrainConfig>(minimal(), "c.json");
  CHECK(config.seed == 1);
  CHECK(config.data.root == "data/lol");
  CHECK(config.data.validation == 15);
  CHECK(config.input.stretch);
  CHECK_FALSE(config.data.synthesize);
  const StageConfig& stage = config.stages.at(0);
  CHECK((stage.batch == 10 && stage.patch == 48 && stage.epochs == 2000 && !stage.steps));
  CHECK((stage.optimizer.type == "adam" && stage.optimizer.form == "tensorflow"));
  CHECK((stage.optimizer.learning_rate == 1e-4 && stage.optimizer.beta1 == 0.9 && stage.optimizer.beta2 == 0.999));
  CHECK((!stage.ema && !stage.clip_norm && stage.target_power == 1 && stage.ratio == "paper"));

  json full = minimal();
  full["data"]["synthesize"] = json::object();
  full["stages"][0]["schedule"] = json::parse(R"({"type": "steps", "milestones": [0.5, 0.75]})");
  full["stages"][0]["ema"] = 0.999;
  full["stages"][0]["clip_norm"] = 1;
  for (const json& given : {minimal(), full}) {
    const std::string resolved = to_json(parse_config<TrainConfig>(given, "c.json")).dump(2);
    CHECK(to_json(parse_config<TrainConfig>(parse_json(resolved, "resolved"), "resolved")).dump(2) == resolved);
  }
}

TEST_CASE("every config of the repository is a valid one") {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(source_dir() + "/configs")) {
    INFO(entry.path().string());
    if (entry.path().filename().string().rfind("sweep-", 0) == 0) continue;  // sweep_test plans those
    if (entry.path().filename() == "photos-split.json") continue;            // names of pictures
    const TrainConfig config =
        parse_config<TrainConfig>(read_json_file(entry.path().string()), entry.path().filename().string());
    CHECK_FALSE(config.stages.empty());
    ++count;
  }
  CHECK(count >= 3);
}

TEST_CASE("the authors' configs train as the authors did") {
  const auto stage = [](const std::string& name) {
    const std::string path = source_dir() + "/configs/" + name;
    return parse_config<TrainConfig>(read_json_file(path), path).stages.at(0);
  };
  const StageConfig decom = stage("decom.json"), restore = stage("restore.json"), adjust = stage("adjust.json");
  CHECK((decom.batch == 10 && decom.patch == 48 && decom.epochs == 2000));
  CHECK((restore.batch == 4 && restore.patch == 384 && restore.epochs == 1000));
  CHECK((adjust.batch == 10 && adjust.patch == 48 && adjust.epochs == 2000));
  for (const StageConfig& s : {decom, restore, adjust}) CHECK(s.optimizer.learning_rate == 1e-4);
  const DecompositionLossConfig& losses = decom.losses.decomposition;
  REQUIRE((losses.get<Reconstruction>() && losses.get<ReflectanceSimilarity>() &&
           losses.get<IlluminationSmoothness>() && losses.get<MutualConsistency>()));
  CHECK(losses.get<Reconstruction>()->weight == 1);
  CHECK(losses.get<ReflectanceSimilarity>()->weight == 0.01);
  CHECK(losses.get<IlluminationSmoothness>()->weight == 0.15);
  CHECK(losses.get<MutualConsistency>()->weight == 0.2);
  CHECK(losses.get<MutualConsistency>()->c == 10);
}

// The nets of joint training.
const std::string kTwo = R"({"restoration": {}, "adjustment": {}})",
                  kThree = R"({"decomposition": {}, )" + kTwo.substr(1);

TEST_CASE("train config: what does not fit together is refused by its path (stages and their names)") {
  json config = minimal();
  config["stages"] = json::array();
  CHECK(refused(config) == "c.json: stages: expected at least one stage");
  config = minimal();
  config["stages"].push_back(config["stages"][0]);
  CHECK(refused(config) == "c.json: stages: two stages are named \"decom\"");
  for (const std::string name : {"", "a.b", "a/b", "a b", "a\nb"}) {
    config = minimal();
    config["stages"][0]["name"] = name;
    CHECK_THAT(refused(config), Contains("c.json: stages[0].name: expected a word without dots, slashes or spaces"));
  }
}

TEST_CASE("train config: what does not fit together is refused by its path (nets and losses)") {
  CHECK_THAT(refused(with_stage("{}", R"({"square": {}})")),
             Contains("stages[0].net: expected one of") && Contains("got 0"));
  CHECK_THAT(refused(with_stage(R"({"decomposition": {}, "adjustment": {}})", R"({"reconstruction": {}})")),
             Contains("got 2"));
  CHECK_THAT(refused(with_stage(R"({"decomposition": {}})", R"({"reconstruction": {}, "ssim": {}})")),
             Contains("stages[0].losses: square, gradient, ssim, color"));
  CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"square": {}, "mutual_consistency": {}})")),
             Contains("stages[0].losses: reconstruction, ") && Contains("decomposition net only"));
  CHECK_THAT(refused(with_stage(R"({"decomposition": {}})", "{}")), Contains("stages[0].losses"));
  CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"square": {"weight": 0}})")),
             Contains("stages[0].losses"));
  CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"ssim": {}})", R"({"patch": 10})")),
             Contains("stages[0].patch: patches of 10 pixels are smaller than the window of ssim, 11"));
  CHECK(refused(with_stage(R"({"restoration": {}})", R"({"ssim": {}})", R"({"patch": 11})")) == "no error");
  CHECK_THAT(refused(with_stage(R"({"adjustment": {}})", R"({"square": {}, "color": {}})")),
             Contains("stages[0].losses: color") && Contains("one channel"));
  CHECK_THAT(refused(with_stage(R"({"adjustment": {}})", R"({"gradient": {"channels": "gray"}})")),
             Contains("stages[0].losses: gradient") && Contains("one channel"));
}

TEST_CASE("train config: what does not fit together is refused by its path (joint training)") {
  CHECK(refused(with_stage(kTwo, R"({"square": {}, "color": {}, "gradient": {"channels": "gray"}, "illumination": {}})",
                           R"({"ratio": "picture"})")) == "no error");
  CHECK(refused(with_stage(kThree, R"({"square": {}, "reconstruction": {}, "reflectance": {}})")) == "no error");
  CHECK(refused(with_stage(kThree, R"({"square": {}})")) == "no error");
  CHECK_THAT(refused(with_stage(kThree, R"({"reconstruction": {}})")), Contains("at least one term"));
  CHECK_THAT(refused(with_stage(kThree, R"({"square": {}, "reconstruction": {"weight": 0}})")),
             Contains("at least one term"));
  CHECK_THAT(refused(with_stage(kTwo, R"({"square": {}, "reconstruction": {}})")), Contains("decomposition net only"));
  CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"square": {}, "reflectance": {}})")),
             Contains("stages[0].losses: reflectance and illumination are terms of"));
  CHECK_THAT(refused(with_stage(kThree, R"({"square": {}})", R"({"ratio": "picture"})")),
             Contains("stages[0].ratio: \"picture\""));
  CHECK_THAT(refused(with_stage(kTwo, R"({"ssim": {}})", R"({"patch": 10})")), Contains("stages[0].patch"));
}

TEST_CASE("train config: what does not fit together is refused by its path (terms of other nets)") {
  CHECK_THAT(
      refused(with_stage(R"({"decomposition": {}})", R"({"reconstruction": {}, "chroma": {}})")),
      Contains(
          "stages[0].losses: square, gradient, ssim, color, chroma, saturation, edge, lab and hue compare an output"));
  CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"square": {}, "blurred_reconstruction": {}})")),
             Contains("mutual_consistency and blurred_reconstruction are terms of the decomposition net only"));
  CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"square": {}, "gt_mean": {}})")),
             Contains("stages[0].losses: gt_mean is for joint training of restoration and adjustment"));
  CHECK_THAT(refused(with_stage(kTwo, R"({"gt_mean": {}})")), Contains("at least one term"));
  CHECK(refused(with_stage(kTwo, R"({"saturation": {}, "edge": {}, "gt_mean": {}})")) == "no error");
  CHECK(refused(with_stage(kThree, R"({"chroma": {}, "blurred_reconstruction": {}})")) == "no error");
  for (const std::string key : {"color", "chroma", "saturation"}) {
    CHECK_THAT(refused(with_stage(R"({"adjustment": {}})", "{\"" + key + "\": {}}")),
               Contains("stages[0].losses: " + key) && Contains("one channel"));
  }
}

TEST_CASE("train config: what does not fit together is refused by its path (augmentations)") {
  CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"square": {}})", R"({"brighter_inputs": 0.1})")),
             Contains("stages[0].augment.brighter_inputs: is for joint training of restoration and adjustment"));
  CHECK_THAT(refused(with_stage(R"({"decomposition": {}})", R"({"reconstruction": {}})", R"({"mixup": 0.1})")),
             Contains("stages[0].augment.mixup: is for joint training of restoration and adjustment"));
  CHECK_THAT(refused(with_stage(kTwo, R"({"square": {}})", R"({"ratio_gradient": true})")),
             Contains("stages[0].ratio_gradient: is for joint training of all three nets"));
  for (const std::string key : {"color_shuffle", "color_jitter", "gray_inputs", "lamps", "noisy_inputs"}) {
    CHECK_THAT(refused(with_stage(R"({"restoration": {}})", R"({"square": {}})", "{\"" + key + "\": 0.1}")),
               Contains("stages[0].augment." + key + ": is for stages that are given pictures"));
  }
}

TEST_CASE("train config: what does not fit together is refused by its path (synthesized pairs)") {
  json config = minimal();
  config["data"]["synthesize"] = {{"exposure_low", 0.3}, {"exposure_high", 0.2}};
  CHECK_THAT(refused(config), Contains("data.synthesize.exposure_low: expected at most exposure_high (0.2), got 0.3"));
  config["data"]["synthesize"] = {{"gamma_low", 1.5}};
  CHECK_THAT(refused(config), Contains("data.synthesize.gamma_low: expected at most gamma_high (1.3), got 1.5"));
}

TEST_CASE("train config: augmentations may stand in their stage, as they did before they had an object") {
  const char* const net = R"({"decomposition": {}})";
  const char* const losses = R"({"reconstruction": {}})";
  const auto parsed = [&](const char* rest) {
    return parse_config<TrainConfig>(with_stage(net, losses, rest), "c.json");
  };
  const TrainConfig now = parsed(R"({"augment": {"lamps": 0.25, "color_jitter": 0.5}})"),
                    before = parsed(R"({"lamps": 0.25, "color_jitter": 0.5})"),
                    both = parsed(R"({"lamps": 0.25, "augment": {"color_jitter": 0.5}})");
  CHECK(now.stages[0].augment.lamps == 0.25);
  CHECK(to_json(before) == to_json(now));
  CHECK(to_json(both) == to_json(now));
  CHECK(to_json(now)["stages"][0]["augment"]["color_jitter"] == 0.5);
  CHECK(!to_json(now)["stages"][0].contains("color_jitter"));
  CHECK_THAT(refused(with_stage(net, losses, R"({"lamps": 0.25, "augment": {"lamps": 0.5}})")),
             Contains("stages[0].lamps: ") && Contains("augment"));
  CHECK_THAT(refused(with_stage(net, losses, R"({"lamps": 2})")),
             Contains("stages[0].lamps: ") && Contains("from 0 to 1"));
  CHECK_THAT(refused(with_stage(net, losses, R"({"augment": {"lamp": 0.5}})")),
             Contains("stages[0].augment.lamp: ") && Contains("lamps"));
}

TEST_CASE("train config: unknown keys, wrong types and values out of range") {
  const auto change = [](const std::string& rest) {
    return with_stage(R"({"decomposition": {}})", R"({"reconstruction": {}})", rest);
  };
  CHECK_THAT(refused(change(R"({"epoch": 3})")),
             Contains("c.json: stages[0].epoch: unknown key; did you mean \"epochs\"?"));
  CHECK_THAT(refused(change(R"({"batch": "10"})")), Contains("stages[0].batch: expected an integer"));
  CHECK_THAT(refused(change(R"({"batch": 0})")),
             Contains("stages[0].batch: expected an integer from 1 to 4096, got 0"));
  CHECK_THAT(refused(change(R"({"optimizer": {"learning_rate": 0}})")),
             Contains("learning_rate") && Contains("greater than 0"));
  CHECK_THAT(refused(change(R"({"schedule": {"milestones": [0.5, 2]}})")), Contains("schedule.milestones[1]"));
  CHECK_THAT(refused(change(R"({"ratio": "both"})")), Contains("stages[0].ratio: expected one of"));
  CHECK_THAT(refused(with_stage(R"({"decomposition": {}})", R"({"reconstruction": {}, "squares": {}})")),
             Contains("stages[0].losses.squares: unknown key; did you mean \"square\"?"));
  json config = minimal();
  config["stages"][0].erase("losses");
  CHECK_THAT(refused(config), Contains("stages[0].losses: missing"));
  config = minimal();
  config["seed"] = -1;
  CHECK_THAT(refused(config), Contains("seed"));
}

/// The paths of all keys, lists' elements as [].
void collect(const json& value, const std::string& path, std::vector<std::string>& paths) {
  for (const auto& [key, child] : value.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    paths.push_back(here);
    if (child.is_object()) collect(child, here, paths);
    if (child.is_array() && !child.empty() && child[0].is_object()) collect(child[0], here + "[]", paths);
  }
}

TEST_CASE("the reference page lists every key") {
  // With everything that may be left out in it, so that the resolved config shows every key.
  json config = with_stage(R"({"decomposition": {}})",
                           R"({"reconstruction": {}, "reflectance_similarity": {}, "illumination_smoothness": {},
                               "mutual_consistency": {}})");
  config["data"]["synthesize"] = json::object();
  json image = config["stages"][0];
  image["name"] = "restore";
  image["net"] = {{"restoration", json::object()}};
  image["losses"] = json::parse(R"({"square": {}, "gradient": {}, "ssim": {}, "color": {}})");
  json adjust = image;
  adjust["name"] = "adjust";
  adjust["net"] = {{"adjustment", json::object()}};
  adjust["losses"] = json::parse(R"({"square": {}})");
  std::vector<std::string> paths;
  json together = image;
  together["net"] = {{"restoration", json::object()}, {"adjustment", json::object()}};
  together["losses"] = json::parse(R"({"square": {}, "reflectance": {}, "illumination": {}})");
  for (const json& stage : {config["stages"][0], image, adjust, together}) {
    config["stages"] = json::array({stage});
    collect(json(to_json(parse_config<TrainConfig>(config, "c.json"))), "", paths);
  }
  const std::string page = describe_config<TrainConfig>("Config reference");
  CHECK(page.find("# Config reference\n") == 0);
  CHECK(paths.size() > 100);
  for (const std::string& path : paths) {
    INFO(path);
    CHECK(page.find("`" + path + "`") != std::string::npos);
  }
}

}  // namespace
}  // namespace kind::testing
