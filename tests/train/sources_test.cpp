// Several sources of pictures: pairs, the order of samples, training and what a run writes of them. Long because all of
// that shares the folders.

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <set>

#include "nets/data/pair_folder.h"
#include "tests/nets/models.h"
#include "tests/support/errors.h"
#include "tests/support/scopes.h"
#include "tests/train/run_folder.h"
#include "train/report/report.h"
#include "train/report/run_record.h"
#include "train/stages/batch.h"
#include "train/trainer/export_pairs.h"
#include "train/trainer/trainer.h"

namespace kind::testing {
namespace {

using Catch::Contains;
using nlohmann::json;
namespace fs = std::filesystem;

SourceConfig source(const std::string& name, const std::string& root, double weight = 1, std::int64_t validation = 0) {
  SourceConfig config;
  config.name = name;
  config.root = root;
  config.weight = weight;
  config.validation = validation;
  return config;
}

/// Bright pictures 1.png and so on.
void put_bright(const std::string& folder, int count, int width = 40, int height = 32) {
  for (int i = 1; i <= count; ++i) {
    put_picture(folder + "/" + std::to_string(i) + ".png", scene(width, height, 10 + i, false));
  }
}

using Names = std::vector<std::string>;

Names names(const Pairs& pairs, const std::vector<std::size_t>& indices) {
  Names result;
  for (const std::size_t i : indices) result.push_back(pairs.all()[i].stem);
  return result;
}

TEST_CASE("pairs of several sources stand one behind the other, each split by itself") {
  const TempDir dir;
  put_scenes(dir / "a", 4);
  put_bright(dir / "b", 5);
  dir.put("split.json", std::string(R"({"train": [1, 2], "validation": [3], "test": [5]})"));
  dir.put("b/split.json", std::string(R"({"train": [4]})"));
  DataConfig config;
  config.sources = {source("a", dir / "a", 1, 1), source("b", dir / "b", 2)};
  config.sources[1].synthesize.emplace();
  config.sources[1].split_file = dir / "split.json";
  const Pairs pairs(config, 8, 1);
  REQUIRE(pairs.all().size() == 9);
  CHECK(names(pairs, pairs.train()) == Names{"a/1", "a/2", "a/3", "b/1", "b/2"});
  CHECK(names(pairs, pairs.validation()) == Names{"a/4", "b/3"});
  CHECK(names(pairs, pairs.sources()[1].test) == Names{"b/5"});
  CHECK(pairs.pictures(4).high.data == scene(40, 32, 11, false).data);
  CHECK(pairs.pictures(4).low.data == pairs.dark_twin(4, 0).data);
  CHECK((pairs.sources()[0].turns == 333 && pairs.sources()[1].turns == 667));

  // The folder's own split where no other is named; all but the test pairs; only validation.
  config.sources[1].split_file.reset();
  CHECK(names(Pairs(config, 8, 1), Pairs(config, 8, 1).train()) == Names{"a/1", "a/2", "a/3", "b/4"});
  config.sources[1].split_file = dir / "split.json";
  config.sources[1].split = "all";
  const Pairs all(config, 8, 1);
  CHECK(names(all, all.sources()[1].train) == Names{"b/1", "b/2", "b/3", "b/4"});
  CHECK(names(all, all.validation()) == Names{"a/4"});
  config.sources[1].split = "train";
  config.sources[1].weight = 0;
  const Pairs looked_at(config, 8, 1);
  CHECK(names(looked_at, looked_at.train()) == Names{"a/1", "a/2", "a/3"});
  CHECK(names(looked_at, looked_at.validation()) == Names{"a/4", "b/3"});
  CHECK((looked_at.sources()[0].turns == 1000 && looked_at.sources()[1].turns == 0));
}

TEST_CASE("the fingerprint covers the pictures and splits of every source") {
  const TempDir dir;
  put_scenes(dir / "a", 3);
  put_bright(dir / "b", 3);
  DataConfig config;
  config.sources = {source("a", dir / "a"), source("b", dir / "b", 1, 1)};
  config.sources[1].synthesize.emplace();
  const std::uint64_t first = Pairs(config, 8, 1).fingerprint();
  CHECK(Pairs(config, 8, 1).fingerprint() == first);
  dir.put("b/split.json", std::string(R"({"train": [1, 3], "validation": [2]})"));
  CHECK(Pairs(config, 8, 1).fingerprint() != first);
  fs::remove(dir / "b/split.json");
  CHECK(Pairs(config, 8, 1).fingerprint() == first);
  put_picture(dir / "b/3.png", scene(40, 32, 99, false));
  CHECK(Pairs(config, 8, 1).fingerprint() != first);
}

TEST_CASE("what is wrong with a source is said of that source") {
  const TempDir dir;
  put_scenes(dir / "a", 3);
  put_bright(dir / "b", 3, 20, 12);
  const auto refused = [&](const SourceConfig& second) {
    DataConfig config;
    config.sources = {source("a", dir / "a"), second};
    return error_of([&] { Pairs(config, 16, 1); });
  };
  CHECK_THAT(refused(source("b", "")), Contains("data.sources.b.root: missing") && Contains("--data b=DIR"));
  CHECK_THAT(refused(source("b", dir / "none")), Contains("there is no folder " + dir / "none"));
  CHECK_THAT(refused(source("b", dir / "b")), Contains("expected folders low/ and high/"));
  SourceConfig bright = source("b", dir / "b");
  bright.synthesize.emplace();
  CHECK_THAT(refused(bright), Contains("data: " + dir / "b" +
                                       ": 3 pairs are unusable: 1: 20x12 is smaller than the "
                                       "patches, 16x16"));
  put_bright(dir / "b", 3);
  bright.validation = 3;
  CHECK_THAT(refused(bright), Contains("data.sources.b.validation: cannot hold back 3 of 3 pairs") &&
                                  Contains("--set data.sources.b.validation=N"));
  bright.split_file = dir / "none.json";
  CHECK_THAT(refused(bright), Contains(dir / "none.json"));
  dir.put("split.json", std::string(R"({"train": [7]})"));
  bright.split_file = dir / "split.json";
  CHECK_THAT(refused(bright), Contains("split.json: train: there is no pair 7"));
}

/// Says which pair it was asked for, and a draw.
class NamingSampler : public StageSampler {
 public:
  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t, Random& random,
                       std::uint64_t draw) override {
    draws.push_back(draw);
    Tensor<float> planes(Shape{4, 1, 1});
    planes[0] = static_cast<float>(pair);
    planes[1] = static_cast<float>(y);
    planes[2] = static_cast<float>(x);
    planes[3] = static_cast<float>(random.uniform());
    return planes;
  }
  std::vector<std::uint64_t> draws;
};

struct Setup {
  explicit Setup(const std::vector<std::pair<int, double>>& counts_and_weights, bool single = false) {
    stage.patch = 1;
    stage.batch = 1;
    DataConfig data;
    for (const auto& [count, weight] : counts_and_weights) {
      const std::string name(1, static_cast<char>('a' + data.sources.size()));
      put_scenes(dir / name, count, 9, 7);
      data.sources.push_back(source(name, dir / name, weight));
    }
    if (single) {
      data.root = data.sources[0].root;
      data.validation = 0;
      data.sources.clear();
    }
    pairs = std::make_unique<Pairs>(data, 1, 1);
  }
  std::vector<float> batch(std::int64_t step, std::uint64_t seed = 3, std::uint64_t index = 0) {
    return make_batch(stage, *pairs, sampler, seed, index, step).to_vector();
  }
  /// The pair of each sample, in steps of one.
  std::vector<std::size_t> served(std::int64_t count) {
    std::vector<std::size_t> result;
    for (std::int64_t i = 0; i < count; ++i) result.push_back(static_cast<std::size_t>(batch(i)[0]));
    return result;
  }

  TempDir dir;
  StageConfig stage;
  std::unique_ptr<Pairs> pairs;
  NamingSampler sampler;
};

TEST_CASE("samples come from sources by weight, evenly spread") {
  for (const auto& [weights, expected] : {std::pair(std::vector<double>{1, 1}, std::vector<int>{500, 500}),
                                          {{3, 1}, {750, 250}},
                                          {{1, 0, 2}, {333, 0, 667}},
                                          {{5, 3, 0.004}, {624, 375, 1}}}) {
    std::vector<std::pair<int, double>> counts;
    for (const double weight : weights) counts.emplace_back(3, weight);
    Setup s(counts);
    std::vector<int> met(weights.size(), 0);
    double sum = 0;
    for (const double weight : weights) sum += weight;
    // From the middle of one thousand to that of the next: the turns come back.
    for (std::int64_t i = 500; i < 1500; ++i) {
      ++met[s.pairs->all()[static_cast<std::size_t>(s.batch(i)[0])].source];
      if (i % 100) continue;
      for (std::size_t k = 0; k < weights.size(); ++k) {
        CHECK(std::abs(met[k] - weights[k] / sum * static_cast<double>(i - 499)) <= 2.5);
      }
    }
    CHECK(met == expected);
  }
}

TEST_CASE("a stage's own weights of sources take the place of the config's") {
  Setup equal({{3, 1}, {4, 1}, {3, 2}}), other({{3, 1}, {4, 3}, {3, 2}});
  equal.stage.source_weights = {{"b", 3}};
  for (std::int64_t i = 490; i < 530; ++i) CHECK(equal.batch(i) == other.batch(i));
  equal.stage.source_weights = {{"c", 0}, {"a", 0}};
  for (const std::size_t pair : equal.served(20)) CHECK(equal.pairs->all()[pair].source == 1);
}

TEST_CASE("each source goes through all of its pairs in ever new orders") {
  Setup s({{4, 2}, {7, 1}});
  std::vector<std::vector<std::size_t>> of(2);
  for (const std::size_t pair : s.served(1500)) of[s.pairs->all()[pair].source].push_back(pair);
  for (std::size_t k = 0; k < 2; ++k) {
    const std::size_t count = s.pairs->sources()[k].train.size();
    std::set<std::vector<std::size_t>> orders;
    for (std::size_t i = 0; i + count <= of[k].size(); i += count) {
      const std::vector<std::size_t> order(of[k].begin() + static_cast<std::ptrdiff_t>(i),
                                           of[k].begin() + static_cast<std::ptrdiff_t>(i + count));
      CHECK(std::set<std::size_t>(order.begin(), order.end()).size() == count);
      orders.insert(order);
    }
    CHECK(orders.size() > 10);
  }
  // No two samples of a stage share a draw.
  CHECK(std::set<std::uint64_t>(s.sampler.draws.begin(), s.sampler.draws.end()).size() == s.sampler.draws.size());
}

TEST_CASE("a sample is the same whatever batch it comes in, in any order and for any number of threads") {
  Setup s({{4, 2}, {7, 1}});
  std::vector<std::vector<float>> singles;
  for (std::int64_t i = 0; i < 1260; ++i) singles.push_back(s.batch(i));
  for (const std::int64_t size : {3, 7, 20}) {
    s.stage.batch = size;
    for (std::int64_t step = 1260 / size - 1; step >= 0; step -= 11) {
      const ThreadScope threads(1 + static_cast<int>(step % 3));
      std::vector<float> expected;
      for (std::int64_t b = 0; b < size; ++b) {
        const std::vector<float>& single = singles[static_cast<std::size_t>(step * size + b)];
        expected.insert(expected.end(), single.begin(), single.end());
      }
      CHECK(s.batch(step) == expected);
    }
  }
  s.stage.batch = 20;
  CHECK(s.batch(0) != s.batch(0, 4));
  CHECK(s.batch(0) != s.batch(0, 3, 1));
}

TEST_CASE("a single source has the samples of a single folder, which are what they always were") {
  Setup one({{7, 3}}), folder({{7, 1}}, true);
  for (Setup* s : {&one, &folder}) s->stage.batch = 2;
  for (std::int64_t step = 0; step < 12; ++step) {
    const std::vector<float> batch = one.batch(step);
    CHECK(batch == folder.batch(step));
    // Written out: an epoch has three steps of two, each sample its own stream.
    const std::uint64_t epoch = static_cast<std::uint64_t>(step / 3);
    std::vector<std::size_t> order{0, 1, 2, 3, 4, 5, 6};
    Random shuffle(3, {0x04DE4, 0, epoch});
    for (std::size_t i = 6; i > 0; --i) std::swap(order[i], order[shuffle.below(i + 1)]);
    for (std::uint64_t b = 0; b < 2; ++b) {
      const std::uint64_t i = static_cast<std::uint64_t>(step % 3) * 2 + b;
      Random random(3, {0x5A4B1E, 0, epoch, i});
      CHECK(batch[4 * b] == static_cast<float>(order[i]));
      CHECK(batch[4 * b + 1] == static_cast<float>(random.below(7)));
      CHECK(batch[4 * b + 2] == static_cast<float>(random.below(9)));
      random.below(8);
      CHECK(batch[4 * b + 3] == static_cast<float>(random.uniform()));
    }
  }
}

const char* const kTogether = R"({
  "name": "all", "net": {"decomposition": {"initializer": "he_normal"}, "restoration": {"initializer": "he_normal", "width": 0.25},
                         "adjustment": {"initializer": "he_normal"}},
  "losses": {"square": {}}, "batch": 3, "patch": 8, "steps": 4,
  "validation": {"every": 2, "sheet_rows": 2}, "checkpoints": {"every": 1, "keep_last": 1}, "log_every": 1})";
const char* const kPolish = R"({
  "name": "polish", "net": {"restoration": {"initializer": "he_normal", "width": 0.25}, "adjustment": {"initializer": "he_normal"}},
  "losses": {"square": {}}, "ratio": "picture", "batch": 3, "patch": 8, "steps": 3,
  "validation": {"every": 3, "sheet_rows": 0}, "checkpoints": {"every": 1, "keep_last": 1}, "log_every": 1})";

/// Two folders and a config of two stages that draws from them.
json put_sources(const TempDir& dir, bool fresh) {
  put_scenes(dir / "a", 4, 24, 20);
  put_bright(dir / "b", 4, 20, 24);
  json config = json::parse(R"({"fit_light": true, "stages": []})");
  config["data"]["sources"] =
      json::array({{{"name", "a"}, {"root", dir / "a"}, {"validation", 1}},
                   {{"name", "b"},
                    {"root", dir / "b"},
                    {"validation", 2},
                    {"weight", 2},
                    {"synthesize",
                     {{"mosaic", "noise"}, {"falloff_high", 1}, {"windows", 0.5}, {"jpeg", 0.5}, {"fresh", fresh}}}}});
  for (const char* stage : {kTogether, kPolish}) config["stages"].push_back(json::parse(stage));
  return config;
}

bool train_silently(
    const json& config, const std::string& out, bool resume = false,
    const std::function<bool()>& stop = [] { return false; }) {
  const TrainConfig parsed = parse_config<TrainConfig>(config, "config");
  return train(parsed, out, resume, {[](const TrainProgress&) {}, [](const std::string&) {}, stop});
}

TEST_CASE("a stage's weights of sources are checked against the sources") {
  const TempDir dir;
  const auto parse = [&](const char* weights, bool validation_only) {
    json config = put_sources(dir, false);
    if (validation_only) config["data"]["sources"][1]["weight"] = 0;
    config["stages"][1]["source_weights"] = json::parse(weights);
    parse_config<TrainConfig>(config, "config");
  };
  const auto refused = [&](const char* weights, bool validation_only = false) {
    return error_of([&] { parse(weights, validation_only); });
  };
  CHECK_NOTHROW(parse(R"([{"name": "b", "weight": 0.5}])", false));
  CHECK_NOTHROW(parse(R"([{"name": "b", "weight": 0}])", true));
  CHECK_THAT(refused(R"([{"name": "c"}])"),
             Contains("stages[1].source_weights: there is no source \"c\"; data.sources has a, b"));
  CHECK_THAT(refused(R"([{"name": "a"}, {"name": "a"}])"), Contains("two weights for the source \"a\""));
  CHECK_THAT(refused(R"([{"name": "a", "weight": 0}, {"name": "b", "weight": 0}])"), Contains("every weight is 0"));
  CHECK_THAT(refused(R"([{"name": "b", "weight": 2}])", true), Contains("weight 0 in data.sources"));
  CHECK_THAT(refused(R"([{"name": "a", "weight": -1}])"), Contains("weight: expected a number at least 0"));
  json single = put_sources(dir, false);
  single["data"] = {{"root", dir / "a"}};
  single["stages"][0]["source_weights"] = json::parse(R"([{"name": "a"}])");
  CHECK_THAT(error_of([&] { parse_config<TrainConfig>(single, "config"); }), Contains("there are no data.sources"));
}

TEST_CASE("a run of several sources: the same bytes for any number of threads and across a resume", "[slow]") {
  const TempDir dir;
  const json config = put_sources(dir, true);
  std::map<std::string, std::string> first;
  for (const int threads : {1, 3}) {
    const ThreadScope scope(threads);
    REQUIRE(train_silently(config, dir / ("run" + std::to_string(threads))));
    const auto files = snapshot(dir / ("run" + std::to_string(threads)));
    if (threads == 1) first = files;
    CHECK(files == first);
  }
  for (bool done = false; !done;) {
    int count = 0;
    // Validation and fitting the light ask, too, up to five times in a row.
    done = train_silently(config, dir / "resumed", true, [&] { return ++count == 7; });
  }
  CHECK(snapshot(dir / "resumed") == first);
  // Fresh twins are others than the kept ones.
  REQUIRE(train_silently(put_sources(dir, false), dir / "kept"));
  CHECK(snapshot(dir / "kept")["model.safetensors"] != first["model.safetensors"]);

  // Figures of each set, whose mean over pairs is the validation's; what reports make of them.
  const json* last = nullptr;
  const std::vector<json> lines = metrics_of(dir / "run1");
  for (const json& line : lines) {
    if (line.contains("validation")) last = &line;
  }
  REQUIRE(last);
  REQUIRE(last->at("sets").size() == 2);
  const double a = last->at("sets").at("a").at("psnr"), b = last->at("sets").at("b").at("psnr");
  CHECK(last->at("validation").at("psnr").get<double>() == Approx((a + 2 * b) / 3).epsilon(1e-12));
  const json pictures = lines_of(dir / "run1/pictures.jsonl").back().at("pictures");
  REQUIRE(pictures.size() == 3);
  CHECK(pictures.at("a/4").at("psnr").get<double>() == a);
  const Records records = read_records({dir / "run1"});
  CHECK(records.runs.at(0).last.at("a/psnr") == a);
  CHECK(records.runs.at(0).pictures.at("a/4").at("a/psnr") == a);
  CHECK_FALSE(records.runs.at(0).pictures.at("a/4").contains("b/psnr"));
  const Report report = make_report(records, "");
  Names columns;
  for (const ReportColumn& column : report.figures) {
    columns.push_back(column.name);
    if (column.name == "a/psnr") CHECK(column.direction == Direction::kHigher);
  }
  const auto place = [&](const char* name) {
    return std::find(columns.begin(), columns.end(), name) - columns.begin();
  };
  CHECK(place("psnr") == 0);
  CHECK((place("illumination_gradient") < place("a/psnr") && place("a/psnr") < place("a/ssim")));
  CHECK((place("a/ssim") < place("b/psnr") && place("b/ssim") < static_cast<std::ptrdiff_t>(columns.size())));
}

TEST_CASE("fresh twins: another for each draw, the kept one for draw 0 and for validation") {
  const TempDir dir;
  const TrainConfig config = parse_config<TrainConfig>(put_sources(dir, true), "config");
  const Pairs pairs(config.data, 8, 1), again(config.data, 8, 1);
  CHECK((!pairs.fresh(0) && pairs.fresh(4)));
  std::set<std::vector<std::uint8_t>> twins;
  for (std::uint64_t draw = 0; draw < 5; ++draw) {
    twins.insert(pairs.dark_twin(4, draw).data);
    CHECK(pairs.dark_twin(4, draw).data == again.dark_twin(4, draw).data);
  }
  CHECK(twins.size() == 5);
  CHECK(pairs.dark_twin(4, 0).data == pairs.pictures(4).low.data);
  CHECK(pairs.dark_twin(4, 1).data != pairs.dark_twin(5, 1).data);
}

TEST_CASE("a sample of a fresh twin is stretched by that twin's range and has its ratio") {
  const TempDir dir;
  TrainConfig config = parse_config<TrainConfig>(put_sources(dir, true), "config");
  const Pairs pairs(config.data, 8, 1);
  const Model<float> model = random_model(1, 0.25);
  FrozenDecomposition frozen(model, pairs, 1 << 20, dir.path());
  const auto sampler = make_sampler(config.stages[1], model, pairs, frozen);
  for (const bool prepared : {false, true}) {
    if (prepared) sampler->prepare(5, 77);
    Random random(1);
    const Tensor<float> sample = sampler->sample(5, 3, 2, 8, random, 77);
    const Image twin = pairs.dark_twin(5, 77);
    const Tensor<float> input = net_input(to_tensor(twin), model.config.input);
    for (std::int64_t i = 0; i < 8; ++i) {
      for (std::int64_t j = 0; j < 8; ++j) {
        CHECK(sample[i * 8 + j] == Approx(input[(3 + i) * twin.width + 2 + j]).margin(1e-6));
      }
    }
    PictureNets nets(model);
    const Tensor<float> low = nets.decompose(input).illumination;
    const Tensor<float> high =
        nets.decompose(net_input(to_tensor(pairs.pictures(5).high), model.config.input)).illumination;
    CHECK(sample[9 * 64] == static_cast<float>(ratio_between(low, high)));
  }
}

TEST_CASE("exported pairs are a folder of pairs with the kept twins and the split") {
  const TempDir dir;
  json config = put_sources(dir, true);
  const auto exported = [&](const std::string& out) {
    std::vector<std::string> lines;
    export_pairs(parse_config<TrainConfig>(config, "config"), out,
                 [&](const std::string& line) { lines.push_back(line); });
    return lines;
  };
  CHECK(exported(dir / "out") == Names{dir / "out" + ": 4 pairs"});
  const PairFolder folder = find_pairs(dir / "out");
  CHECK(folder.problems.empty());
  REQUIRE(folder.pairs.size() == 4);
  const std::optional<Split> split = read_split(folder);
  REQUIRE(split);
  CHECK((split->train.size() == 2 && split->validation.size() == 2 && split->test.empty()));
  const Pairs pairs(parse_config<TrainConfig>(config, "config").data, 8, 1);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(read_image(folder.pairs[i].low).data == pairs.pictures(4 + i).low.data);
    CHECK(read_image(folder.pairs[i].high).data == pairs.pictures(4 + i).high.data);
  }
  CHECK_THAT(error_of([&] { exported(dir / "out"); }), Contains("there is something in it"));
  config["data"]["sources"].push_back(config["data"]["sources"][1]);
  config["data"]["sources"][2]["name"] = "c";
  CHECK(exported(dir / "two").size() == 2);
  CHECK((find_pairs(dir / "two/b").pairs.size() == 4 && find_pairs(dir / "two/c").pairs.size() == 4));
  config["data"]["sources"].erase(2);
  config["data"]["sources"].erase(1);
  CHECK_THAT(error_of([&] { exported(dir / "none"); }), Contains("no source has \"synthesize\""));
  CHECK_FALSE(fs::exists(dir / "none"));
}

}  // namespace
}  // namespace kind::testing
