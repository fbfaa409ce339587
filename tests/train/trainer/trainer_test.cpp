// Long because its cases share the small runs that they stop, resume and compare.

#include "train/trainer/trainer.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <set>

#include "nets/model.h"
#include "tests/support/errors.h"
#include "tests/support/scopes.h"
#include "tests/train/run_folder.h"
#include "train/trainer/estimate.h"
#include "train/trainer/optimizer.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

const char* const kDecom = R"({
  "name": "decom", "net": {"decomposition": {"initializer": "he_normal"}},
  "losses": {"reconstruction": {}, "reflectance_similarity": {}, "illumination_smoothness": {}, "mutual_consistency": {}},
  "batch": 2, "patch": 16, "steps": 6,
  "optimizer": {"learning_rate": 0.001}, "schedule": {"type": "cosine", "warmup_steps": 2}, "clip_norm": 1, "ema": 0.9,
  "validation": {"every": 4}, "checkpoints": {"every": 4, "keep_last": 1}, "log_every": 1})";
const char* const kAdjust = R"({
  "name": "adjust", "net": {"adjustment": {"initializer": "he_normal"}},
  "losses": {"square": {}, "gradient": {"magnitude": true}}, "ratio": "official",
  "batch": 2, "patch": 16, "steps": 6,
  "optimizer": {"type": "sgd", "learning_rate": 0.01}, "schedule": {"type": "steps", "milestones": [0.5]},
  "validation": {"every": 4}, "checkpoints": {"every": 2, "keep_last": 1}, "log_every": 2})";
const char* const kRestore = R"({
  "name": "restore", "net": {"restoration": {"initializer": "he_normal", "width": 0.25}},
  "losses": {"square": {}, "gradient": {}, "ssim": {"window": 5}, "color": {"weight": 0.5, "sigma": 1}},
  "target_power": 1.2, "batch": 1, "patch": 16, "steps": 6,
  "validation": {"every": 3, "sheet_rows": 1}, "checkpoints": {"every": 3, "keep_last": 1}, "log_every": 3})";

const char* const kFinetune = R"({
  "name": "finetune",
  "net": {"restoration": {"initializer": "he_normal", "width": 0.25}, "adjustment": {"initializer": "he_normal"}},
  "losses": {"square": {"norm": "l1"}, "ssim": {"window": 5}, "illumination": {"weight": 0.1, "norm": "l1"}},
  "batch": 2, "patch": 16, "steps": 4, "ema": 0.5, "brighter_inputs": 0.5, "darker_targets": 0.5,
  "lamps": 0.5, "noisy_inputs": 0.5,
  "validation": {"every": 2, "sheet_rows": 1}, "checkpoints": {"every": 2, "keep_last": 1}, "log_every": 1})";

json config_of(const std::string& root, const std::vector<const char*>& stages) {
  json config{{"data", {{"root", root}, {"validation", 2}}}, {"stages", json::array()}};
  for (const char* stage : stages) config["stages"].push_back(json::parse(stage));
  return config;
}

TrainConfig parsed(const json& config) { return parse_config<TrainConfig>(config, "config"); }

/// Trains without a word until `stop` says so.
bool train_silently(
    const json& config, const std::string& out, bool resume = false,
    const std::function<bool()>& stop = [] { return false; }) {
  return train(parsed(config), out, resume, {[](const TrainProgress&) {}, [](const std::string&) {}, stop});
}

std::string refused(const json& config, const std::string& out, bool resume = false) {
  return error_of([&] { train_silently(config, out, resume); });
}

std::vector<float> values(const Parameters<float>& parameters) {
  std::vector<float> all;
  for (const Parameter<float>& p : parameters) {
    const std::vector<float> part = p.variable.value().to_vector();
    all.insert(all.end(), part.begin(), part.end());
  }
  return all;
}

std::vector<std::string> keys(const json& object) {
  std::vector<std::string> names;
  for (const auto& [key, value] : object.items()) names.push_back(key);
  return names;
}

using Names = std::vector<std::string>;  // in the order of json's maps, by name

/// The models of a run of all three nets: the last one, the best one, the checkpoint.
void check_models(const std::string& out) {
  const Model<float> model = load_model<float>(out + "/model.safetensors");
  CHECK((model.decomposition && model.restoration && model.adjustment));
  REQUIRE(model.config.light);
  CHECK(model.config.light->lowest > 0);
  CHECK(model.config.light->lowest <= model.config.light->highest);
  const Model<float> last = load_model<float>(out + "/checkpoints/step-18.safetensors");
  CHECK((values(last.parameters()) == values(model.parameters())));
  CHECK_FALSE(last.config.light);
  CHECK(load_model<float>(out + "/best.safetensors").restoration.has_value());
}

/// Picture by picture: the means are those of metrics.jsonl, the rows of the sheet those of its file.
void check_pictures(const std::string& out) {
  const std::vector<json> by_picture = lines_of(out + "/pictures.jsonl");
  std::vector<json> means;
  for (const json& entry : metrics_of(out)) {
    if (entry.contains("validation")) means.push_back(entry);
  }
  REQUIRE(by_picture.size() == means.size());
  for (std::size_t i = 0; i < means.size(); ++i) {
    INFO(by_picture[i].dump());
    CHECK((by_picture[i]["stage"] == means[i]["stage"] && by_picture[i]["step"] == means[i]["step"]));
    CHECK(by_picture[i]["pictures"].size() == 2);
    for (const auto& [name, mean] : means[i]["validation"].items()) {
      double sum = 0;
      for (const json& figures : by_picture[i]["pictures"]) sum += figures[name].get<double>();
      CHECK(sum / 2 == Approx(mean.get<double>()));
    }
    const json& rows = by_picture[i]["sheet"];
    const std::string stage = means[i]["stage"];
    const Image sheet = read_image(out + "/sheets/" + stage + "-step-" + means[i]["step"].dump() + ".png");
    CHECK(rows.size() == (stage == "restore" ? 1 : 2));
    CHECK(rows.back()["top"].get<int>() + rows.back()["height"].get<int>() == sheet.height);
    CHECK(rows[0]["width"].get<int>() * 7 + 6 * 4 == sheet.width);
    CHECK(by_picture[i]["pictures"].contains(rows[0]["picture"].get<std::string>()));
  }
}

/// The entry of a validation in metrics.jsonl.
void check_validation(const json& entry) {
  CHECK(keys(entry) == Names{"stage", "step", "validation"});
  CHECK(keys(entry["validation"]) == Names{"chroma", "chroma_error", "color_slope", "delta_e", "hue",
                                           "illumination_gradient", "illumination_std", "psnr", "psnr_reconstruction",
                                           "psnr_reflectance", "ssim"});
  for (const json& v : entry["validation"]) CHECK(std::isfinite(v.get<double>()));
}

/// The terms of a step, which add up.
void check_loss(const std::string& stage, const json& loss) {
  if (stage == "decom") {
    CHECK(keys(loss) ==
          Names{"illumination_smoothness", "mutual_consistency", "reconstruction", "reflectance_similarity", "total"});
  } else if (stage == "adjust") {
    CHECK(keys(loss) == Names{"gradient", "square", "total"});
  } else {
    CHECK(keys(loss) == Names{"color", "gradient", "square", "ssim", "total"});
    CHECK(loss["color"]["weighted"] == Approx(0.5 * loss["color"]["raw"].get<double>()));
  }
  double sum = 0;
  for (const auto& [term, value] : loss.items()) {
    if (term == "total") continue;
    CHECK(keys(value) == Names{"raw", "weighted"});
    sum += value["weighted"].get<double>();
  }
  CHECK(loss["total"].get<double>() == Approx(sum).epsilon(1e-5));
}

/// 4 pairs to train on: batches of 2 make epochs of 2 steps.
void check_epoch_and_rate(const std::string& stage, const json& entry) {
  if (stage == "decom") {
    const std::int64_t step = entry["step"];
    CHECK(entry["epoch"] == (step - 1) / 2);
    ScheduleConfig schedule;
    schedule.type = "cosine";
    schedule.warmup_steps = 2;
    CHECK(entry["lr"].get<double>() == 0.001 * schedule_factor(schedule, step - 1, 6));
  }
  if (stage == "adjust") CHECK(entry["lr"].get<double>() == Approx(entry["step"] <= 9 ? 0.01 : 0.001));
}

void check_metrics(const std::string& out) {
  std::vector<std::string> lines;
  int validations = 0;
  double seconds = 0;
  for (const json& entry : metrics_of(out)) {
    INFO(entry.dump());
    const std::string stage = entry["stage"];
    if (entry.contains("validation")) {
      ++validations;
      check_validation(entry);
      lines.push_back(stage + " validation " + entry["step"].dump());
      continue;
    }
    lines.push_back(stage + " " + entry["step"].dump());
    CHECK(keys(entry) == Names{"epoch", "gradient_norm", "images_per_s", "loss", "lr", "seconds", "stage", "step"});
    CHECK(entry["gradient_norm"] > 0);
    CHECK(entry["seconds"] >= seconds);
    seconds = entry["seconds"];
    CHECK(entry["images_per_s"] > 0);
    check_loss(stage, entry["loss"]);
    check_epoch_and_rate(stage, entry);
  }
  CHECK(lines == Names{"decom 1", "decom 2", "decom 3", "decom 4", "decom validation 4", "decom 5", "decom 6",
                       "decom validation 6", "adjust 8", "adjust 10", "adjust validation 10", "adjust 12",
                       "adjust validation 12", "restore 15", "restore validation 15", "restore 18",
                       "restore validation 18"});
  CHECK(validations == 6);
}

/// 7 cells of 40 pixels with gaps of 4; two rows of 32, or one. A line of text of 7 pixels on top and one above each row.
void check_sheets(const std::string& out) {
  const Image sheet = read_image(out + "/sheets/decom-step-6.png");
  CHECK((sheet.width == 7 * 44 - 4 && sheet.height == 11 + 2 * (11 + 36) - 4));
  const Image row = read_image(out + "/sheets/restore-step-18.png");
  CHECK((row.width == 7 * 44 - 4 && row.height == 11 + 11 + 32));
  CHECK(sheet.sample(0, 22, 0) == scene(40, 32, 3, true).sample(0, 0, 0));
  CHECK(sheet.sample(6 * 44 + 5, 22 + 9, 1) == scene(40, 32, 3, false).sample(5, 9, 1));
}

// One case, since the run is long and all of this is about the same one.
TEST_CASE("a run of all three nets: its files, and the same bytes for any number of threads", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  json config = config_of(dir / "data", {kDecom, kAdjust, kRestore});
  config["fit_light"] = true;
  std::map<std::string, std::string> first;
  for (const int threads : {1, 2, 3}) {
    const ThreadScope scope(threads);
    const std::string out = dir / ("run" + std::to_string(threads));
    REQUIRE(train_silently(config, out));
    const auto files = snapshot(out);
    INFO(threads << " threads");
    if (threads == 1) first = files;
    CHECK(files == first);
    if (threads > 1) fs::remove_all(out);
  }
  const std::string out = dir / "run1";
  std::vector<std::string> names;
  for (const auto& [name, content] : first) names.push_back(name);
  CHECK(names == Names{"best.safetensors", "checkpoints/step-18.safetensors", "checkpoints/step-18.state.safetensors",
                       "config.json", "metrics.jsonl", "model.safetensors", "pictures.jsonl", "provenance.json",
                       "sheets/adjust-step-10.png", "sheets/adjust-step-12.png", "sheets/decom-step-4.png",
                       "sheets/decom-step-6.png", "sheets/restore-step-15.png", "sheets/restore-step-18.png"});

  // The resolved config is the one that was given, and nothing in it or the models tells of paths but data.root.
  CHECK(json(to_json(parsed(read_json_file(out + "/config.json")))) == json(to_json(parsed(config))));
  check_models(out);
  check_pictures(out);
  check_metrics(out);
  check_sheets(out);

  // A finished run stays as it is when it is resumed.
  REQUIRE(train_silently(config, out, true));
  CHECK(snapshot(out) == first);
}

TEST_CASE("the loss falls on one small pair") {
  const TempDir dir;
  put_scenes(dir / "data", 1);
  json config = config_of(dir / "data", {kDecom});
  config["data"]["validation"] = 0;
  config["stages"][0]["steps"] = 60;
  config["stages"][0]["schedule"] = json::object();
  config["stages"][0]["checkpoints"]["every"] = 1000;
  std::vector<double> totals;
  std::vector<std::string> messages;
  REQUIRE(train(parsed(config), dir / "run", false,
                {[&](const TrainProgress& p) { totals.push_back(p.total_loss); },
                 [&](const std::string& text) { messages.push_back(text); }, [] { return false; }}));
  REQUIRE(totals.size() == 60);
  double before = 0, after = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    before += totals[i] / 5;
    after += totals[55 + i] / 5;
  }
  INFO("from " << before << " to " << after);
  CHECK(after < 0.6 * before);
  CHECK_FALSE(fs::exists(dir / "run/best.safetensors"));
  REQUIRE_FALSE(messages.empty());
  CHECK(messages.back() == "finished: " + dir / "run/model.safetensors");
  for (const std::string& text : messages) CHECK(text.find('\n') == std::string::npos);
}

/// Runs to the end, stopping whenever `asked` says so and going on.
int train_in_pieces(const json& config, const std::string& out,
                    const std::function<std::function<bool()>(int)>& stop_of) {
  for (int piece = 0; piece < 500; ++piece) {
    if (train_silently(config, out, piece > 0, stop_of(piece))) return piece;
  }
  return -1;
}

TEST_CASE("a run stopped at any moment goes on to the same bytes", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  json config = config_of(dir / "data", {kDecom, kAdjust});
  config["fit_light"] = true;
  config["stages"][0]["steps"] = 5;
  config["stages"][1]["steps"] = 3;
  config["stages"][1]["ema"] = 0.5;
  int asked = 0;
  REQUIRE(train_silently(config, dir / "whole", false, [&] { return ++asked < 0; }));
  const auto whole = snapshot(dir / "whole");
  // Between steps, before each validated pair, and before each pair that the light rule is fitted on.
  CHECK(asked == 8 + 2 * (2 + 1) + 4);
  for (int k = 1; k <= asked; ++k) {
    INFO("stopped when asked for the " << k << "th time of " << asked);
    const std::string out = dir / "pieces";
    const int pieces = train_in_pieces(config, out, [&](int piece) -> std::function<bool()> {
      return [=, count = 0]() mutable { return piece == 0 && ++count == k; };
    });
    CHECK(pieces == 1);
    CHECK(snapshot(out) == whole);
    fs::remove_all(out);
  }
}

TEST_CASE("a run stopped again and again goes on to the same bytes", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  json config = config_of(dir / "data", {kDecom, kAdjust, kRestore});
  config["fit_light"] = true;
  for (json& stage : config["stages"]) stage["steps"] = 4;
  REQUIRE(train_silently(config, dir / "whole"));
  const auto whole = snapshot(dir / "whole");
  fs::remove_all(dir / "whole");
  const int pieces = train_in_pieces(config, dir / "pieces", [](int piece) -> std::function<bool()> {
    const int at = std::vector<int>{2, 3, 4, 6}[static_cast<std::size_t>(piece) % 4];
    return [=, count = 0]() mutable { return ++count == at; };
  });
  CHECK(pieces > 5);
  CHECK(snapshot(dir / "pieces") == whole);
}

TEST_CASE("joint training: from a run's own nets, the same bytes for any threads and however often stopped", "[slow]") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  json config = config_of(dir / "data", {kDecom, kRestore, kAdjust, kFinetune, kFinetune});
  for (json& stage : config["stages"]) stage["steps"] = 3;
  config["stages"][3]["ratio"] = "picture";
  json& whole_stage = config["stages"][4];
  whole_stage["name"] = "whole";
  whole_stage["net"]["decomposition"] = {{"initializer", "he_normal"}};
  whole_stage["losses"]["reflectance_similarity"] = {{"weight", 0.1}};
  REQUIRE(train_silently(config, dir / "whole"));
  const auto whole = snapshot(dir / "whole");
  const Model<float> model = load_model<float>(dir / "whole/model.safetensors");
  std::set<std::string> terms;
  for (const json& entry : metrics_of(dir / "whole")) {
    if (entry["stage"] == "whole" && entry.contains("loss")) {
      for (const std::string& name : keys(entry["loss"])) terms.insert(name);
    }
  }
  CHECK((terms == std::set<std::string>{"illumination", "reflectance_similarity", "square", "ssim", "total"}));
  const ThreadScope scope(3);
  const int pieces = train_in_pieces(config, dir / "pieces", [](int) -> std::function<bool()> {
    return [count = 0]() mutable { return ++count == 4; };
  });
  CHECK(pieces > 3);
  CHECK(snapshot(dir / "pieces") == whole);
}

TEST_CASE("what another run left is neither overwritten nor gone on with") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  config["stages"][0]["steps"] = 2;
  const std::string out = dir / "run";
  int count = 0;
  REQUIRE_FALSE(train_silently(config, out, false, [&] { return ++count == 2; }));
  const auto before = snapshot(out);
  CHECK(refused(config, out) ==
        out + ": there is a run in it; go on with it with --resume, or name another folder with --out");
  for (const char* name : {"config.json", "metrics.jsonl"}) {
    const TempDir other;
    other.put(name, "{}");
    CHECK_THAT(refused(config, other.path()), Contains("there is a run in it"));
    CHECK(other.count() == 1);
  }

  json changed = config;
  changed["seed"] = 2;
  CHECK_THAT(refused(changed, out, true), Contains("started with another config (seed differs)"));
  changed = config;
  changed["stages"][0]["optimizer"]["learning_rate"] = 0.5;
  CHECK_THAT(refused(changed, out, true), Contains("(stages[0].optimizer.learning_rate differs)"));
  changed = config;
  changed["stages"].push_back(json::parse(kAdjust));
  CHECK_THAT(refused(changed, out, true), Contains("(stages differs)"));
  CHECK(snapshot(out) == before);

  // Checkpoints whose config is gone might be of any.
  fs::rename(out + "/config.json", dir / "config.json");
  CHECK_THAT(refused(config, out, true), Contains(out + ": there are checkpoints in it but no config.json"));
  fs::rename(dir / "config.json", out + "/config.json");
  CHECK(snapshot(out) == before);

  const Image picture = read_image(dir / "data/low/1.png");
  Image other = picture;
  other.set_sample(3, 3, 1, other.sample(3, 3, 1) + 1);
  put_picture(dir / "data/low/1.png", other);
  CHECK_THAT(refused(config, out, true), Contains(out + ": the run in it was trained on other pictures"));
  CHECK(snapshot(out) == before);

  // Where the pictures lie and how much memory they may take is not part of a run.
  put_picture(dir / "data/low/1.png", picture);
  fs::rename(dir / "data", dir / "moved");
  config["data"]["root"] = dir / "moved";
  config["data"]["memory_mb"] = 1;
  CHECK(train_silently(config, out, true));
}

TEST_CASE("resuming copes with what a killed run leaves") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  config["stages"][0]["steps"] = 5;
  REQUIRE(train_silently(config, dir / "whole"));
  const auto whole = snapshot(dir / "whole");
  const std::string out = dir / "run";
  // A folder without a checkpoint, too, is gone on with: from the start.
  int count = 0;
  REQUIRE_FALSE(train_silently(config, out, true, [&] { return ++count == 3; }));
  // Half a line, lines of steps to come, temporary files and a model without its state.
  std::ofstream(out + "/metrics.jsonl", std::ios::app) << R"({"stage":"decom","step":3})"
                                                       << "\n"
                                                       << R"({"stage":"decom","st)";
  std::ofstream(out + "/checkpoints/.kind-abcdef.tmp") << "half";
  std::ofstream(out + "/.kind-abcdef.tmp") << "half";
  std::ofstream(out + "/checkpoints/step-3.safetensors") << "a model whose state was not reached";
  CHECK(train_silently(config, out, true));
  CHECK(snapshot(out) == whole);

  // A damaged state is refused where there is no older one, not passed over.
  const std::string state = out + "/checkpoints/step-5.state.safetensors";
  fs::resize_file(state, fs::file_size(state) - 1);
  CHECK_THAT(refused(config, out, true), Contains(state) && Contains("no older checkpoint"));
}

TEST_CASE("a finished run without its checkpoints is not trained again over its model") {
  const TempDir dir;
  put_scenes(dir / "data", 3);
  const json config = config_of(dir / "data", {kDecom});
  const std::string out = dir / "run", model = out + "/model.safetensors";
  REQUIRE(train_silently(config, out));
  const std::vector<std::uint8_t> before = slurp(model);
  fs::remove_all(out + "/checkpoints");
  CHECK(train_silently(config, out, true));  // it is finished
  CHECK(slurp(model) == before);
  CHECK_FALSE(fs::exists(out + "/checkpoints"));
  // Of a model without a config nobody knows what it is of.
  fs::rename(out + "/config.json", dir / "config.json");
  CHECK_THAT(refused(config, out, true), Contains(out) && Contains("model.safetensors") && Contains("--out"));
  fs::rename(dir / "config.json", out + "/config.json");
  CHECK(slurp(model) == before);
  // Once it is elsewhere, the run begins at its start.
  fs::remove(model);
  CHECK(train_silently(config, out, true));
  CHECK(slurp(model) == before);
}

TEST_CASE("a damaged checkpoint falls back to the one before, and says so") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  config["stages"][0]["steps"] = 7;
  config["stages"][0]["checkpoints"] = {{"every", 2}, {"keep_last", 2}};
  config["stages"][0]["validation"]["every"] = 0;  // it would ask whether to stop, too
  REQUIRE(train_silently(config, dir / "whole"));
  const auto whole = snapshot(dir / "whole");
  for (const std::string how : {"cut", "bit", "empty", "step"}) {
    INFO(how);
    const std::string out = dir / how;
    int count = 0;
    REQUIRE_FALSE(train_silently(config, out, false, [&] { return ++count == 6; }));
    const std::string state = out + "/checkpoints/step-5.state.safetensors";
    REQUIRE(fs::exists(out + "/checkpoints/step-4.state.safetensors"));
    if (how == "step") {
      const std::vector<std::uint8_t> bytes = slurp(state);
      std::string content(bytes.begin(), bytes.end());
      const std::size_t at = content.find("stage_step\\\":5");
      REQUIRE(at != std::string::npos);
      content[at + 13] = '3';
      std::ofstream(state, std::ios::binary) << content;
    } else if (how == "bit") {
      std::fstream file(state, std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(-99, std::ios::end);
      const char byte = static_cast<char>(file.get() ^ 4);
      file.seekp(-99, std::ios::end);
      file.put(byte);
    } else {
      fs::resize_file(state, how == "cut" ? fs::file_size(state) / 2 : 0);
    }
    std::vector<std::string> messages;
    CHECK(train(parsed(config), out, true,
                {[](const TrainProgress&) {}, [&](const std::string& text) { messages.push_back(text); },
                 [] { return false; }}));
    CHECK_THAT(messages.at(0), Contains(state) && Contains("an older checkpoint is gone on from"));
    CHECK(messages.at(1) == "resuming at step 4");
    CHECK(snapshot(out) == whole);
  }
}

TEST_CASE("a run is not resumed on other data, and the message says what has changed") {
  const TempDir dir;
  put_scenes(dir / "data", 5);
  json config = config_of(dir / "data", {kDecom});
  const std::string out = dir / "run";
  REQUIRE_FALSE(train_silently(config, out, false, [count = 0]() mutable { return ++count == 3; }));
  const json provenance = read_json_file(out + "/provenance.json");
  CHECK(provenance["data"]["pairs"] == 5);
  CHECK(provenance["data"]["sources"][0]["train"] == 3);
  CHECK(provenance["programs"].size() == 1);
  for (const char* key : {"version", "commit", "compiler", "kernels"}) {
    CHECK_FALSE(provenance["programs"][0][key].get<std::string>().empty());
  }
  CHECK(provenance.dump().find(dir.path()) == std::string::npos);
  // The same pictures elsewhere are the same data.
  fs::copy(dir / "data", dir / "moved", fs::copy_options::recursive);
  json moved = config;
  moved["data"]["root"] = dir / "moved";
  REQUIRE_FALSE(train_silently(moved, out, true, [count = 0]() mutable { return ++count == 2; }));
  CHECK(read_json_file(out + "/provenance.json") == provenance);
  dir.put("moved/split.json", std::string(R"({"train": ["1", "2", "4"], "validation": ["3", "5"]})"));
  CHECK_THAT(refused(moved, out, true), Contains(out) && Contains("other pairs are held back now"));
  fs::remove(dir / "moved/split.json");
  put_picture(dir / "moved/low/2.png", scene(40, 32, 9, true));
  CHECK_THAT(refused(moved, out, true), Contains("trained on other pictures than those in " + dir / "moved") &&
                                            Contains("names, sizes or pixels"));
  put_scenes(dir / "data", 6);
  CHECK_THAT(refused(config, out, true), Contains("5 pairs then, 6 now"));
}

TEST_CASE("an estimate is made of the stages that are left, and changes nothing") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  const TrainConfig config = parsed(config_of(dir / "data", {kDecom, kAdjust, kRestore}));
  CHECK_THAT(plan_training(config, true), Contains("\nabout 0:00:") && Contains(" in all: decom 0:00:") &&
                                              Contains("(6 steps of ") && Contains(", restore 0:0"));
  const Pairs pairs(config.data, 16, 1);
  const auto estimate = [&](std::size_t first, std::int64_t step, std::int64_t fewest) {
    return estimate_stages(config, pairs, Model<float>(), first, step, false, fewest, [] { return false; });
  };
  const std::vector<StageEstimate> all = estimate(0, 2, 0);
  REQUIRE(all.size() == 3);
  CHECK((all[0].steps == 4 && all[1].steps == 6 && all[2].steps == 6));
  for (const StageEstimate& stage : all) CHECK((stage.step > 0 && stage.validation > 0));
  CHECK(estimate(0, 0, 19).empty());
  CHECK(estimate_stages(config, pairs, Model<float>(), 0, 0, false, 0, [] { return true; }).empty());
  CHECK(estimate_text({{"a", 100, 0.5, 10, 2}, {"b", 1, 2, 0, 0}}) ==
        "about 0:01:04 in all: a 0:01:02 (100 steps of 0.5 s), b 0:00:02 (1 step of 2 s)");
}

TEST_CASE("tensorboard: true writes event files beside the run, which may be switched on later") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  REQUIRE_FALSE(train_silently(config, dir / "run", false, [count = 0]() mutable { return ++count == 3; }));
  CHECK_FALSE(fs::exists(dir / "run/tensorboard"));
  config["tensorboard"] = true;
  REQUIRE(train_silently(config, dir / "run", true));
  std::size_t files = 0;
  for (const auto& entry : fs::directory_iterator(dir / "run/tensorboard")) files += fs::file_size(entry) > 1000;
  CHECK(files == 1);
}

TEST_CASE("a loss that is no longer finite stops the run") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  config["data"]["validation"] = 0;
  json& stage = config["stages"][0];
  stage["optimizer"]["learning_rate"] = 1e30;
  stage["schedule"] = json::object();
  stage["ema"] = nullptr;
  stage["checkpoints"]["every"] = 1;
  const std::string out = dir / "run", model = out + "/checkpoints/step-1.safetensors";
  std::string message = "no error";
  try {
    train_silently(config, out);
  } catch (const NotFinite& error) {
    message = error.what();
  }
  CHECK_THAT(message, Contains("stage decom, step 2: loss term reconstruction is ") && Contains("nan") &&
                          Contains("its last good checkpoint is " + model) && Contains("clip_norm"));
  CHECK_NOTHROW(load_model<float>(model));
  CHECK_FALSE(fs::exists(out + "/model.safetensors"));
  for (const json& entry : metrics_of(out)) CHECK(entry["loss"]["total"].is_number());
  CHECK(metrics_of(out).size() == 1);
  // It stops there again, and leaves what it had.
  const auto before = snapshot(out);
  CHECK_THROWS_AS(train_silently(config, out, true), NotFinite);
  CHECK(snapshot(out) == before);

  // So does a step whose weights are not finite: no checkpoint of them takes the place of a good one.
  stage["optimizer"]["learning_rate"] = 1e39;
  CHECK_THAT(refused(config, dir / "spoilt"), Contains("stage decom, step 1: decomposition.conv1.weight is ") &&
                                                  Contains("before its first checkpoint"));
  CHECK_FALSE(fs::exists(dir / "spoilt/checkpoints/step-1.safetensors"));
  stage["optimizer"]["learning_rate"] = 1e30;

  // A validation finds it, too.
  config["data"]["validation"] = 1;
  stage["validation"]["every"] = 1;
  CHECK_THAT(refused(config, dir / "other"), Contains("stage decom, step 1: the validation's ") && Contains("nan") &&
                                                 Contains("before its first checkpoint"));
}

TEST_CASE("nets come from an init file: to go on from, or frozen") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  config["stages"][0]["steps"] = 2;
  REQUIRE(train_silently(config, dir / "first"));
  const std::string model = dir / "first/model.safetensors";
  const Model<float> first = load_model<float>(model);

  // A step too small to change a weight shows where the stage began.
  json tuned = config;
  tuned["seed"] = 9;
  tuned["stages"][0]["init"] = model;
  tuned["stages"][0]["steps"] = 1;
  tuned["stages"][0]["optimizer"]["learning_rate"] = 1e-30;
  tuned["stages"][0]["ema"] = nullptr;
  REQUIRE(train_silently(tuned, dir / "tuned"));
  CHECK((values(load_model<float>(dir / "tuned/model.safetensors").parameters()) == values(first.parameters())));

  json frozen = config_of(dir / "data", {kAdjust});
  frozen["stages"][0]["steps"] = 2;
  frozen["stages"][0]["init"] = model;
  CHECK_THAT(refused(frozen, dir / "frozen"), Contains("stages.adjust.init: " + model + " has no adjustment net") &&
                                                  Contains("\"init_missing\": \"random\""));
  CHECK_FALSE(fs::exists(dir / "frozen"));
  frozen["stages"][0]["init_missing"] = "random";
  std::vector<std::string> messages;
  REQUIRE(train(
      parsed(frozen), dir / "frozen", false,
      {[](const TrainProgress&) {}, [&](const std::string& text) { messages.push_back(text); }, [] { return false; }}));
  CHECK_THAT(messages.at(0), Catch::StartsWith("stage adjust: 2 steps of 2 x 16x16, ") &&
                                 Catch::EndsWith("; decomposition from " + model + ", frozen; adjustment at random"));
  CHECK_THAT(plan_training(parsed(tuned)), Contains("; decomposition from " + model));
  const Model<float> both = load_model<float>(dir / "frozen/model.safetensors");
  REQUIRE((both.decomposition && both.adjustment && !both.restoration));
  CHECK((values(both.decomposition->parameters()) == values(first.decomposition->parameters())));
}

TEST_CASE("an init file of another form, or none, is refused before anything is written") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  config["stages"][0]["steps"] = 1;
  REQUIRE(train_silently(config, dir / "first"));
  const std::string model = dir / "first/model.safetensors";
  json tuned = config;
  tuned["stages"][0]["init"] = model;
  json frozen = config_of(dir / "data", {kAdjust});
  frozen["stages"][0]["steps"] = 2;
  frozen["stages"][0]["init"] = model;
  frozen["stages"][0]["init_missing"] = "random";

  const auto refused_unwritten = [&](const json& bad) {
    const std::string message = refused(bad, dir / "bad");
    CHECK_FALSE(fs::exists(dir / "bad"));
    return message;
  };
  json bad = tuned;
  bad["stages"][0]["net"]["decomposition"]["output_kernel"] = 3;
  CHECK_THAT(refused_unwritten(bad), Contains("stages.decom.init: " + model) && Contains("has another form") &&
                                         Contains("\"output_kernel\":1") && Contains("\"output_kernel\":3"));
  bad = tuned;
  bad["input"]["stretch"] = false;
  CHECK_THAT(refused_unwritten(bad), Contains("stages.decom.init: " + model) && Contains("its input.stretch is true"));
  bad = frozen;
  bad["stages"][0]["init"] = dir / "none.safetensors";
  CHECK_THAT(refused_unwritten(bad), Contains("stages.adjust.init: there is no file " + dir / "none.safetensors") &&
                                         Contains("--set stages.adjust.init="));
  bad["stages"][0]["init"] = dir / "data/low/1.png";
  CHECK_THAT(refused_unwritten(bad), Contains(dir / "data/low/1.png"));
  bad["stages"][0]["init"] = nullptr;
  CHECK_THAT(refused_unwritten(bad), Contains("stages.adjust: this stage needs a trained decomposition net"));
  // Found before the first stage is trained, whichever it concerns.
  bad["stages"].push_back(json::parse(kDecom));
  CHECK_THAT(refused_unwritten(bad), Contains("stages.adjust: this stage needs"));
  bad = config;
  bad["stages"].push_back(json::parse(kAdjust));
  bad["stages"][1]["init"] = dir / "none.safetensors";
  CHECK_THAT(refused_unwritten(bad), Contains("stages.adjust.init: there is no file"));
}

TEST_CASE("resuming looks for the models of stages to come before it trains on") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json first = config_of(dir / "data", {kDecom});
  first["stages"][0]["steps"] = 1;
  REQUIRE(train_silently(first, dir / "first"));
  const std::string model = dir / "first/model.safetensors";
  json config = config_of(dir / "data", {kDecom, kAdjust});
  for (json& stage : config["stages"]) stage["steps"] = 2;
  config["stages"][1]["init"] = model;
  config["stages"][1]["init_missing"] = "random";
  const std::string out = dir / "run";
  const auto stop_after = [](int steps) { return [=, count = 0]() mutable { return count++ == steps; }; };
  REQUIRE_FALSE(train_silently(config, out, false, stop_after(1)));
  const auto before = snapshot(out);
  fs::rename(model, dir / "elsewhere");
  CHECK_THAT(refused(config, out, true), Contains("stages.adjust.init: there is no file " + model));
  CHECK(snapshot(out) == before);
  // Once that stage has begun, its checkpoint has all that was taken.
  fs::rename(dir / "elsewhere", model);
  REQUIRE_FALSE(train_silently(config, out, true, stop_after(4)));
  fs::rename(model, dir / "elsewhere");
  CHECK(train_silently(config, out, true));
}

/// The decomposition net as a run of this seed begins.
std::vector<float> beginning(const json& config) {
  Model<float> model;
  model.config.decomposition = parsed(config).stages.at(0).net.decomposition;
  model.build(1);
  return values(model.parameters());
}

TEST_CASE("ema: the average is what is kept, and training goes on from the weights themselves") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  config["stages"][0]["steps"] = 3;
  config["stages"][0]["ema"] = 0.9;
  config["stages"][0]["checkpoints"] = {{"every", 1}, {"keep_last", 2}};
  REQUIRE(train_silently(config, dir / "run"));
  const auto files = snapshot(dir / "run/checkpoints");
  CHECK(files.size() == 4);
  CHECK((files.count("step-2.safetensors") && files.count("step-3.safetensors")));
  const SafeTensors state = read_safetensors(dir / "run/checkpoints/step-3.state.safetensors");
  const Model<float> model = load_model<float>(dir / "run/model.safetensors");
  bool raw_differs = false;
  for (const Parameter<float>& p : model.parameters()) {
    INFO(p.name);
    const std::vector<float> kept = p.variable.value().to_vector();
    CHECK((state.get_tensor<float>("average." + p.name).to_vector() == kept));
    raw_differs = raw_differs || state.get_tensor<float>(p.name).to_vector() != kept;
  }
  CHECK(raw_differs);
  // The weights themselves are those of a run without an average.
  config["stages"][0]["ema"] = nullptr;
  REQUIRE(train_silently(config, dir / "plain"));
  const Model<float> plain = load_model<float>(dir / "plain/model.safetensors");
  for (const Parameter<float>& p : plain.parameters()) {
    CHECK((state.get_tensor<float>(p.name).to_vector() == p.variable.value().to_vector()));
  }
}

TEST_CASE("clip_norm limits a step, and the schedule scales it") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  json config = config_of(dir / "data", {kDecom});
  json& stage = config["stages"][0];
  stage["steps"] = 1;
  stage["ema"] = nullptr;
  stage["schedule"] = json::object();
  stage["optimizer"] = {{"type", "sgd"}, {"momentum", 0}, {"learning_rate", 1}};
  const std::vector<float> before = beginning(config);
  const auto moved = [&](const std::string& name) {
    REQUIRE(train_silently(config, dir / name));
    const std::vector<float> after = values(load_model<float>(dir / (name + "/model.safetensors")).parameters());
    double sum = 0;
    for (std::size_t i = 0; i < after.size(); ++i)
      sum += std::pow(static_cast<double>(after[i]) - static_cast<double>(before[i]), 2);
    return std::sqrt(sum);
  };
  stage["clip_norm"] = nullptr;
  const double free = moved("free");
  CHECK(free > 0.02);
  stage["clip_norm"] = 0.01;
  CHECK(moved("clipped") == Approx(0.01).epsilon(0.01));
  stage["clip_norm"] = 2 * free;
  CHECK(moved("loose") == Approx(free));
  stage["clip_norm"] = nullptr;
  stage["schedule"]["warmup_steps"] = 4;
  CHECK(moved("warm") == Approx(free / 4).epsilon(0.01));
}

TEST_CASE("a plan trains nothing and refuses what training would") {
  const TempDir dir;
  put_scenes(dir / "data", 6);
  const json config = config_of(dir / "data", {kDecom, kAdjust});
  const std::string plan = plan_training(parsed(config));
  CHECK_THAT(plan, Contains("4 pairs to train on, 2 held back") &&
                       Contains("stage decom: 6 steps of 2 x 16x16, 2 an epoch") && Contains("stage adjust: "));
  CHECK(dir.count() == 1);
  json bad = config;
  bad["stages"][0]["patch"] = 33;
  CHECK_THAT(error_of([&] { plan_training(parsed(bad)); }), Contains("6 pairs are unusable") && Contains("33x33"));
}

TEST_CASE("an output folder that cannot be made is named") {
  const TempDir dir;
  put_scenes(dir / "data", 4);
  dir.put("file", "x");
  CHECK_THAT(refused(config_of(dir / "data", {kDecom}), dir / "file"), Contains(dir / "file"));
}

}  // namespace
}  // namespace kind::testing
