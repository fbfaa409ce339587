// Long because the stages of all nets share the pairs and the ways to compare batches.

#include "train/stages/batch.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <map>
#include <set>

#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "tests/support/gradcheck.h"
#include "tests/support/scopes.h"
#include "tests/train/run_folder.h"

namespace kind::testing {
namespace {

constexpr int kWidth = 23, kHeight = 19, kApart = 100;

/// A picture whose pixels say where they are: (x, y, index) + `add`.
Image places(int index, int add) {
  Image image(kWidth, kHeight, 3);
  for (int y = 0; y < kHeight; ++y) {
    for (int x = 0; x < kWidth; ++x) {
      image.set_sample(x, y, 0, x + add);
      image.set_sample(x, y, 1, y + add);
      image.set_sample(x, y, 2, index + add);
    }
  }
  return image;
}

struct Setup {
  explicit Setup(int count, const std::string& net = R"({"decomposition": {"initializer": "he_normal"}})",
                 const std::string& losses = R"({"reconstruction": {}})", bool stretch = false) {
    for (int i = 0; i < count; ++i) {
      put_picture(dir / ("low/" + std::to_string(i) + ".png"), places(i, 0));
      put_picture(dir / ("high/" + std::to_string(i) + ".png"), places(i, kApart));
    }
    const nlohmann::json json{{"name", "s"}, {"net", parse_json(net, "net")}, {"losses", parse_json(losses, "losses")}};
    stage = parse_config<StageConfig>(json, "stage");
    stage.patch = 7;
    stage.batch = 3;
    DataConfig data;
    data.root = dir.path();
    data.validation = 0;
    pairs = std::make_unique<Pairs>(data, 7, 1);
    model.config.input.stretch = stretch;
    model.config.decomposition = DecompositionConfig{};
    model.config.restoration = stage.net.restoration;
    model.config.adjustment = stage.net.adjustment;
    model.build(1);
    frozen = std::make_unique<FrozenDecomposition>(model, *pairs, 1 << 20, dir.path());
    sampler = make_sampler(stage, model, *pairs, *frozen);
  }

  Tensor<float> batch(std::int64_t step, std::uint64_t seed = 1, std::uint64_t index = 0) {
    return make_batch(stage, *pairs, *sampler, seed, index, step);
  }

  TempDir dir;
  StageConfig stage;
  std::unique_ptr<Pairs> pairs;
  Model<float> model;
  std::unique_ptr<FrozenDecomposition> frozen;
  std::unique_ptr<StageSampler> sampler;
};

/// Sample b of a batch.
std::vector<float> sample(const Tensor<float>& batch, std::int64_t b) {
  const std::int64_t size = batch.size() / batch.shape()[0];
  return {batch.data() + b * size, batch.data() + (b + 1) * size};
}

int value(const std::vector<float>& planes, std::int64_t plane, std::int64_t i, std::int64_t j, std::int64_t patch) {
  return static_cast<int>(std::lround(255 * planes[static_cast<std::size_t>((plane * patch + i) * patch + j)]));
}

TEST_CASE("make_batch: both pictures of a pair share crop and flip, and crops are squares of the picture") {
  Setup s(5);
  const std::int64_t p = s.stage.patch;
  std::set<std::array<int, 4>> orientations;
  std::set<int> lefts, tops;
  for (std::int64_t step = 0; step < 120; ++step) {
    const Tensor<float> batch = s.batch(step);
    REQUIRE(batch.shape() == Shape{3, 6, p, p});
    for (std::int64_t b = 0; b < 3; ++b) {
      const std::vector<float> planes = sample(batch, b);
      int left = kWidth, right = 0, top = kHeight, bottom = 0, wrong = 0;
      for (std::int64_t i = 0; i < p; ++i) {
        for (std::int64_t j = 0; j < p; ++j) {
          for (std::int64_t c = 0; c < 3; ++c) {
            wrong += value(planes, c, i, j, p) + kApart != value(planes, 3 + c, i, j, p) ? 1 : 0;
          }
          const int x = value(planes, 0, i, j, p), y = value(planes, 1, i, j, p);
          left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
        }
      }
      CHECK(wrong == 0);
      CHECK((right - left == p - 1 && bottom - top == p - 1));
      lefts.insert(left);
      tops.insert(top);
      orientations.insert({value(planes, 0, 0, 1, p) - value(planes, 0, 0, 0, p),
                           value(planes, 1, 0, 1, p) - value(planes, 1, 0, 0, p),
                           value(planes, 0, 1, 0, p) - value(planes, 0, 0, 0, p),
                           value(planes, 1, 1, 0, p) - value(planes, 1, 0, 0, p)});
    }
  }
  // All eight ways, and every place that the picture has room for, both ends too.
  CHECK(orientations.size() == 8);
  CHECK(lefts.size() == static_cast<std::size_t>(kWidth - p + 1));
  CHECK(tops.size() == static_cast<std::size_t>(kHeight - p + 1));
}

TEST_CASE("make_batch: an epoch meets every pair once, in an order of its own") {
  Setup s(12);
  CHECK(epoch_steps(s.stage, 12) == 4);
  std::set<std::vector<int>> orders;
  for (std::int64_t epoch = 0; epoch < 5; ++epoch) {
    std::vector<int> order;
    for (std::int64_t step = 0; step < 4; ++step) {
      const Tensor<float> batch = s.batch(4 * epoch + step);
      for (std::int64_t b = 0; b < 3; ++b) order.push_back(value(sample(batch, b), 2, 0, 0, s.stage.patch));
    }
    CHECK(std::set<int>(order.begin(), order.end()).size() == 12);
    orders.insert(order);
  }
  CHECK(orders.size() == 5);
}

TEST_CASE("make_batch: sample i of an epoch is the same whatever batch it comes in") {
  Setup s(12);
  std::vector<std::vector<float>> singles;
  s.stage.batch = 1;
  for (std::int64_t step = 0; step < 24; ++step) singles.push_back(sample(s.batch(step), 0));
  for (const std::int64_t size : {2, 3, 4, 6, 12}) {
    s.stage.batch = size;
    INFO("batches of " << size);
    // Backwards: nothing depends on what was drawn before.
    for (std::int64_t step = 24 / size - 1; step >= 0; --step) {
      const Tensor<float> batch = s.batch(step);
      for (std::int64_t b = 0; b < size; ++b) {
        CHECK((sample(batch, b) == singles[static_cast<std::size_t>(step * size + b)]));
      }
    }
  }
}

TEST_CASE("make_batch: samples are mixed with those of their own batch, the same way each time") {
  Setup s(3, R"({"restoration": {}, "adjustment": {}})", R"({"square": {}})");
  s.stage.ratio = "picture";
  const Tensor<float> plain = s.batch(4);
  s.stage.augment.mixup = 1;
  const Tensor<float> mixed = s.batch(4);
  CHECK((mixed.to_vector() == s.batch(4).to_vector()));
  for (std::int64_t b = 0; b < 3; ++b) {
    const std::vector<float> x = sample(plain, b), y = sample(plain, (b + 1) % 3), z = sample(mixed, b);
    double along = 0, length = 0;
    for (std::size_t k = 0; k < x.size(); ++k) {
      const double d = static_cast<double>(x[k] - y[k]);
      along += d * static_cast<double>(z[k] - y[k]), length += d * d;
    }
    const double own = along / length;
    CHECK((own > 0 && own < 1));
    // Pictures, ratio and level alike.
    for (std::size_t k = 0; k < x.size(); ++k) {
      REQUIRE(z[k] == Approx(own * static_cast<double>(x[k]) + (1 - own) * static_cast<double>(y[k])).margin(1e-4));
    }
  }
}

TEST_CASE("make_batch: seed, stage and epoch each make other batches, threads do not") {
  Setup s(6);
  const std::vector<float> first = s.batch(0).to_vector();
  CHECK((s.batch(0).to_vector() == first));
  CHECK((s.batch(0, 2).to_vector() != first));
  CHECK((s.batch(0, 1, 1).to_vector() != first));
  CHECK((s.batch(2).to_vector() != first));  // the first batch of the second epoch
  for (const int threads : kThreadCounts) {
    const ThreadScope scope(threads);
    CHECK((s.batch(0).to_vector() == first));
  }
}

TEST_CASE("make_batch: a batch larger than the set repeats pairs with other crops") {
  Setup s(2);
  s.stage.batch = 8;
  CHECK(epoch_steps(s.stage, 2) == 1);
  const Tensor<float> batch = s.batch(0);
  std::set<std::vector<float>> crops;
  std::array<int, 2> met{};
  for (std::int64_t b = 0; b < 8; ++b) {
    crops.insert(sample(batch, b));
    ++met[static_cast<std::size_t>(value(sample(batch, b), 2, 0, 0, s.stage.patch))];
  }
  CHECK(crops.size() == 8);
  CHECK(met == std::array<int, 2>{4, 4});
}

TEST_CASE("steps of a stage") {
  Setup s(1);
  s.stage.epochs = 7;
  s.stage.batch = 3;
  CHECK(epoch_steps(s.stage, 10) == 3);
  CHECK(total_steps(s.stage, 10) == 21);
  CHECK(epoch_steps(s.stage, 2) == 1);
  CHECK(total_steps(s.stage, 2) == 7);
  s.stage.steps = 5;
  CHECK(total_steps(s.stage, 10) == 5);
}

TEST_CASE("decomposition samples are stretched as whole pictures are") {
  Setup s(2, R"({"decomposition": {}})", R"({"reconstruction": {}})", true);
  for (std::size_t pair = 0; pair < 2; ++pair) {
    const Pairs::Pictures& pictures = s.pairs->pictures(pair);
    const Tensor<float> low = net_input(to_tensor(pictures.low), s.model.config.input);
    const Tensor<float> high = net_input(to_tensor(pictures.high), s.model.config.input);
    Random random(1);
    const Tensor<float> planes = s.sampler->sample(pair, 4, 9, 7, random);
    for (std::int64_t c = 0; c < 3; ++c) {
      for (std::int64_t i = 0; i < 7; ++i) {
        for (std::int64_t j = 0; j < 7; ++j) {
          const std::int64_t from = (c * kHeight + 4 + i) * kWidth + 9 + j, at = (c * 7 + i) * 7 + j;
          CHECK(planes[at] == Approx(low[from]).margin(1e-6));
          CHECK(planes[at + 3 * 49] == Approx(high[from]).margin(1e-6));
        }
      }
    }
  }
}

/// Crop [c, 7, 7] at (y 4, x 9) of planes [.., c, h, w].
std::vector<float> crop_of(const Tensor<float>& planes) {
  std::vector<float> out;
  for (std::int64_t c = 0; c < planes.size() / (kHeight * kWidth); ++c) {
    for (std::int64_t i = 0; i < 7; ++i) {
      for (std::int64_t j = 0; j < 7; ++j) out.push_back(planes[(c * kHeight + 4 + i) * kWidth + 9 + j]);
    }
  }
  return out;
}

TEST_CASE("samples of pictures of 16 bits have all of them, stretched as whole pictures are") {
  for (const bool stretch : {false, true}) {
    const TempDir dir;
    Image low(kWidth, kHeight, 3, 16), high(kWidth, kHeight, 3, 16);
    for (int y = 0; y < kHeight; ++y) {
      for (int x = 0; x < kWidth; ++x) {
        for (int c = 0; c < 3; ++c) {
          low.set_sample(x, y, c, 700 + 1013 * x + 59 * y + c);
          high.set_sample(x, y, c, 20000 + 1013 * x + 977 * y + c);
        }
      }
    }
    put_picture(dir / "low/1.png", low);
    put_picture(dir / "high/1.png", high);
    Setup s(1, R"({"decomposition": {"initializer": "he_normal"}})", R"({"reconstruction": {}})", stretch);
    DataConfig data;
    data.root = dir.path();
    data.validation = 0;
    const Pairs pairs(data, 7, 1);
    FrozenDecomposition frozen(s.model, pairs, 1 << 20, dir.path());
    const auto sampler = make_sampler(s.stage, s.model, pairs, frozen);
    const Tensor<float> whole[] = {net_input(to_tensor(low), s.model.config.input),
                                   net_input(to_tensor(high), s.model.config.input.of_reference())};
    Random random(1);
    const Tensor<float> sample = sampler->sample(0, 5, 9, 7, random, 0);
    REQUIRE(sample.shape() == Shape{6, 7, 7});
    bool same = true;
    for (std::int64_t i = 0; i < sample.size(); ++i) {
      const std::int64_t plane = i / 49, y = 5 + i / 7 % 7, x = 9 + i % 7;
      same = same && sample[i] == whole[plane / 3][(plane % 3 * kHeight + y) * kWidth + x];
    }
    CHECK(same);
  }
}

TEST_CASE("restoration samples are the frozen net's maps of whole pictures, the target to its power") {
  Setup s(2, R"({"restoration": {}})", R"({"square": {}})");
  const NoGrad no_grad;
  const Pairs::Pictures& pictures = s.pairs->pictures(1);
  const auto low = (*s.model.decomposition)(Variable<float>(to_tensor(pictures.low)));
  const auto high = (*s.model.decomposition)(Variable<float>(to_tensor(pictures.high)));
  std::vector<float> expected = crop_of(low.reflectance.value());
  for (const Variable<float>* part : {&low.illumination, &high.reflectance, &high.illumination}) {
    for (const float v : crop_of(part->value())) expected.push_back(v);
  }
  Random random(1);
  CHECK((s.sampler->sample(1, 4, 9, 7, random).to_vector() == expected));
  s.stage.target_power = 1.2;
  const auto power = make_sampler(s.stage, s.model, *s.pairs, *s.frozen);
  for (std::size_t i = 4 * 49; i < 7 * 49; ++i) expected[i] = std::pow(expected[i], 1.2f);
  CHECK((power->sample(1, 4, 9, 7, random).to_vector() == expected));
}

TEST_CASE("adjustment samples go both ways, with the ratio of the crop") {
  for (const std::string form : {"paper", "official"}) {
    Setup s(1, R"({"adjustment": {}})", R"({"square": {}})");
    s.stage.ratio = form;
    const auto sampler = make_sampler(s.stage, s.model, *s.pairs, *s.frozen);
    const NoGrad no_grad;
    const Pairs::Pictures& pictures = s.pairs->pictures(0);
    const auto light = [&](const Image& image) {
      return crop_of((*s.model.decomposition)(Variable<float>(to_tensor(image))).illumination.value());
    };
    const std::vector<float> low = light(pictures.low), high = light(pictures.high);
    const auto ratio = [](const std::vector<float>& from, const std::vector<float>& to) {
      double sum = 0;
      for (std::size_t i = 0; i < from.size(); ++i)
        sum += static_cast<double>(to[i]) / (static_cast<double>(from[i]) + 1e-4);
      return sum / static_cast<double>(from.size());
    };
    int ups = 0;
    Random random(1);
    for (int i = 0; i < 60; ++i) {
      const std::vector<float> planes = sampler->sample(0, 4, 9, 7, random).to_vector();
      REQUIRE(planes.size() == 3 * 49);
      const std::vector<float> source(planes.begin(), planes.begin() + 49), target(planes.begin() + 98, planes.end());
      const bool up = source == low;
      ups += up ? 1 : 0;
      CHECK((source == (up ? low : high)));
      CHECK((target == (up ? high : low)));
      double expected = ratio(source, target);
      if (form == "official") expected = up ? 1 / ratio(high, low) + 1e-4 : ratio(high, low);
      INFO(form << (up ? " up" : " down"));
      for (std::size_t k = 49; k < 98; ++k) CHECK(planes[k] == Approx(expected).epsilon(1e-4));
    }
    CHECK(ups > 15);
    CHECK(ups < 45);
  }
}

TEST_CASE("the whole picture's ratio is given to its crops where the config says so") {
  Setup s(2, R"({"adjustment": {}})", R"({"square": {}})");
  s.stage.ratio = "picture";
  const auto sampler = make_sampler(s.stage, s.model, *s.pairs, *s.frozen);
  sampler->prepare(1);
  const NoGrad no_grad;
  const Pairs::Pictures& pictures = s.pairs->pictures(1);
  const auto light = [&](const Image& image) {
    return (*s.model.decomposition)(Variable<float>(to_tensor(image))).illumination.value();
  };
  const Tensor<float> low = light(pictures.low), high = light(pictures.high);
  std::set<float> ratios;
  Random random(1);
  for (int i = 0; i < 30; ++i) ratios.insert(sampler->sample(1, i % 5, i % 7, 7, random)[49]);
  CHECK((ratios ==
         std::set<float>{static_cast<float>(ratio_between(low, high)), static_cast<float>(ratio_between(high, low))}));
}

TEST_CASE("samples of joint training: both pictures as the net sees them, the bright one as it is, the ratio") {
  // Without the stretch, which would make both pictures of these pairs the same.
  Setup s(2, R"({"restoration": {}, "adjustment": {}})", R"({"square": {}})");
  const Pairs::Pictures& pictures = s.pairs->pictures(1);
  Random random(1);
  const std::vector<float> low = crop_of(to_tensor(pictures.low)), high = crop_of(to_tensor(pictures.high)),
                           &target = high;
  s.stage.ratio = "picture";
  const float whole = static_cast<float>(s.frozen->ratio(1).up);
  const auto near = [](const std::vector<float>& a, const float* b, double factor = 1) {
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (!(std::abs(static_cast<double>(a[i]) * factor - static_cast<double>(b[i])) < 1e-5)) return false;
    }
    return true;
  };
  {
    const auto sampler = make_sampler(s.stage, s.model, *s.pairs, *s.frozen);
    sampler->prepare(1);
    const Tensor<float> planes = sampler->sample(1, 4, 9, 7, random);
    REQUIRE(planes.shape() == Shape{stage_planes(s.stage), 7, 7});
    CHECK(near(low, planes.data()));
    CHECK(near(high, planes.data() + 3 * 49));
    CHECK(near(target, planes.data() + 6 * 49));
    CHECK((planes[9 * 49] == whole && planes[10 * 49 - 1] == whole && planes[10 * 49] == 1));
  }
  s.stage.augment.darker_targets = 1;
  std::set<float> levels;
  for (int i = 0; i < 50; ++i) {
    const Tensor<float> planes = make_sampler(s.stage, s.model, *s.pairs, *s.frozen)->sample(1, 4, 9, 7, random);
    const float level = planes[10 * 49];
    levels.insert(level);
    CHECK(near(low, planes.data()));
    CHECK(near(target, planes.data() + 6 * 49, static_cast<double>(level)));
    CHECK(planes[9 * 49] == Approx(whole * level));
  }
  CHECK(*levels.begin() >= 0.3f);
  CHECK(*levels.begin() < 0.4f);
  CHECK(*levels.rbegin() < 1.0f);
  CHECK(*levels.rbegin() > 0.85f);

  s.stage.augment.darker_targets = 0;
  s.stage.augment.brighter_inputs = 0.5;
  int mixed = 0;
  for (int i = 0; i < 60; ++i) {
    const Tensor<float> planes = make_sampler(s.stage, s.model, *s.pairs, *s.frozen)->sample(1, 4, 9, 7, random);
    CHECK(near(target, planes.data() + 6 * 49));
    if (near(low, planes.data())) continue;
    ++mixed;
    // The share of the bright picture is what the ratio lacks of the whole.
    const double share = 1 - std::log(static_cast<double>(planes[9 * 49])) / std::log(static_cast<double>(whole));
    CHECK((share >= 0 && share <= 1));
    for (std::size_t k = 0; k < low.size(); ++k) {
      const double expected =
          std::pow(static_cast<double>(low[k]), 1 - share) * std::pow(static_cast<double>(high[k]), share);
      CHECK(planes[static_cast<std::int64_t>(k)] == Approx(expected).margin(1e-4));
    }
  }
  CHECK(mixed > 15);
  CHECK(mixed < 45);
}

TEST_CASE("red, green and blue change places in all pictures of a sample alike, as often as asked") {
  for (const bool together : {true, false}) {
    INFO("together " << together);
    Setup s(2, together ? R"({"restoration": {}, "adjustment": {}})" : R"({"decomposition": {}})",
            together ? R"({"square": {}})" : R"({"reconstruction": {}})");
    s.stage.ratio = "picture";
    const std::int64_t pictures = together ? 9 : 6, plane = 49;
    Random random(1);
    const Tensor<float> plain = s.sampler->sample(1, 4, 9, 7, random);
    s.stage.augment.color_shuffle = 0.5;
    std::map<std::vector<std::int64_t>, int> orders;
    for (int i = 0; i < 300; ++i) {
      const Tensor<float> planes = s.sampler->sample(1, 4, 9, 7, random);
      const auto same = [&](std::int64_t to, std::int64_t from) {
        return std::equal(planes.data() + to * plane, planes.data() + (to + 1) * plane, plain.data() + from * plane);
      };
      std::vector<std::int64_t> order;
      for (std::int64_t c = 0; c < 3; ++c) {
        for (std::int64_t from = 0; from < 3; ++from) {
          if (same(c, from)) order.push_back(from);
        }
      }
      REQUIRE(order.size() == 3);
      for (std::int64_t p = 0; p < pictures; ++p) CHECK(same(p, p / 3 * 3 + order[static_cast<std::size_t>(p % 3)]));
      for (std::int64_t p = pictures; p < planes.shape()[0]; ++p) CHECK(same(p, p));
      ++orders[order];
    }
    CHECK(orders.size() == 6);
    const int unchanged = orders[{0, 1, 2}];
    CHECK((unchanged > 110 && unchanged < 190));
    for (const auto& [order, count] : orders) CHECK(count > 10);
  }
}

TEST_CASE("lamps come into all pictures of a sample, noise into the dark one, as often as asked") {
  for (const bool together : {true, false}) {
    INFO("together " << together);
    Setup s(2, together ? R"({"restoration": {}, "adjustment": {}})" : R"({"decomposition": {}})",
            together ? R"({"square": {}})" : R"({"reconstruction": {}})");
    s.stage.ratio = "picture";
    const std::int64_t pictures = together ? 3 : 2, of_picture = 3 * 49;
    Random random(1);
    const Tensor<float> plain = s.sampler->sample(1, 4, 9, 7, random);
    const auto changed = [&](const Tensor<float>& sample, std::int64_t first, std::int64_t end) {
      return !std::equal(sample.data() + first, sample.data() + end, plain.data() + first);
    };
    for (const bool lamps : {true, false}) {
      (lamps ? s.stage.augment.lamps : s.stage.augment.noisy_inputs) = 0.5;
      int dark = 0, bright = 0;
      for (int i = 0; i < 200; ++i) {
        const Tensor<float> sample = s.sampler->sample(1, 4, 9, 7, random);
        dark += changed(sample, 0, of_picture) ? 1 : 0;
        for (std::int64_t p = 1; p < pictures; ++p) {
          bright += changed(sample, p * of_picture, (p + 1) * of_picture) ? 1 : 0;
        }
        CHECK(!changed(sample, pictures * of_picture, sample.size()));
      }
      CHECK((dark > 60 && dark < 140));
      CHECK(bright == (lamps ? (static_cast<int>(pictures) - 1) * dark : 0));
      s.stage.augment.lamps = 0;
    }
  }
}

TEST_CASE("colors of all pictures of a sample are turned, or made gray, as often as asked") {
  for (const bool together : {true, false}) {
    INFO("together " << together);
    Setup s(2, together ? R"({"restoration": {}, "adjustment": {}})" : R"({"decomposition": {}})",
            together ? R"({"square": {}})" : R"({"reconstruction": {}})");
    s.stage.ratio = "picture";
    const std::int64_t pictures = together ? 3 : 2, plane = 49, of_picture = 3 * plane;
    Random random(1);
    const Tensor<float> plain = s.sampler->sample(1, 4, 9, 7, random);
    for (const bool gray : {true, false}) {
      (gray ? s.stage.augment.gray_inputs : s.stage.augment.color_jitter) = 0.5;
      int changed = 0;
      for (int i = 0; i < 200; ++i) {
        const Tensor<float> sample = s.sampler->sample(1, 4, 9, 7, random);
        int here = 0;
        for (std::int64_t p = 0; p < pictures; ++p) {
          const float* const picture = sample.data() + p * of_picture;
          if (std::equal(picture, picture + of_picture, plain.data() + p * of_picture)) continue;
          ++here;
          if (gray) CHECK(std::equal(picture, picture + 2 * plane, picture + plane));
        }
        CHECK((here == 0 || here == static_cast<int>(pictures)));
        changed += here > 0 ? 1 : 0;
        CHECK(std::equal(sample.data() + pictures * of_picture, sample.data() + sample.size(),
                         plain.data() + pictures * of_picture));
      }
      CHECK((changed > 60 && changed < 140));
      s.stage.augment.gray_inputs = 0;
    }
  }
}

TEST_CASE("ratios with a gradient are those without, and their gradients those of differences") {
  const Tensor<double> low = random_tensor({2, 1, 4, 3}, 1, 0.02, 0.4), high = random_tensor({2, 1, 4, 3}, 2, 0.2, 1);
  for (const std::string form : {"paper", "official"}) {
    INFO(form);
    const auto f = [&](const std::vector<Variable<double>>& x) { return ratios_upwards(form, x[0], x[1]); };
    CHECK(gradcheck(f, {low, high}));
    const Tensor<double> ratios = f({Variable<double>(low), Variable<double>(high)}).value();
    REQUIRE(ratios.shape() == Shape{2, 1, 1, 1});
    for (std::int64_t n = 0; n < 2; ++n) {
      double up = 0, down = 0;
      for (std::int64_t i = 12 * n; i < 12 * n + 12; ++i) {
        up += high[i] / (low[i] + 1e-4) / 12, down += low[i] / (high[i] + 1e-4) / 12;
      }
      CHECK(ratios[n] == Approx(form == "paper" ? up : 1 / down + 1e-4));
    }
  }
  // In the loss: the same value, and another gradient of the decomposition alone.
  Setup s(3, R"({"decomposition": {}, "restoration": {}, "adjustment": {}})", R"({"square": {}})", true);
  s.stage.augment.darker_targets = 0.7;
  const Tensor<float> batch = s.batch(0);
  const Parameters<float> parameters = stage_parameters(s.stage, s.model);
  // The ratio is the second channel of adjustment's input: the output is to hang on it.
  for (Parameter<float> p : parameters) {
    if (p.name != "adjustment.conv1.weight") continue;
    Tensor<float> value = p.variable.value();
    for (std::int64_t i = 0; i < value.size(); ++i) value[i] *= i / 9 % 2 == 1 ? 100 : 1;
  }
  std::vector<std::vector<float>> gradients[2];
  double totals[2];
  for (const bool with : {false, true}) {
    s.stage.ratio_gradient = with;
    Loss<float> loss = stage_loss(s.stage, s.model, batch);
    totals[with] = static_cast<double>(loss.total.value().item());
    for (Parameter<float> p : parameters) p.variable.zero_grad();
    loss.total.backward();
    for (const Parameter<float>& p : parameters) gradients[with].push_back(p.variable.grad().to_vector());
  }
  CHECK(totals[1] == Approx(totals[0]).epsilon(1e-5));
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    INFO(parameters[i].name);
    double apart = 0, size = 0;
    for (std::size_t k = 0; k < gradients[0][i].size(); ++k) {
      apart = std::max(apart, std::abs(static_cast<double>(gradients[1][i][k] - gradients[0][i][k])));
      size = std::max(size, std::abs(static_cast<double>(gradients[0][i][k])));
    }
    // Reflectance's own layer has no part in the ratio.
    const std::string& name = parameters[i].name;
    if (name.find("decomposition") != 0 || name.find("decomposition.reflectance") == 0) {
      CHECK(apart <= 1e-5 * size);
    } else {
      CHECK(apart > 1e-3 * size);
    }
  }
}

TEST_CASE("the loss of joint training is that of R_hat L_hat, and every net of the stage learns") {
  for (const std::string kind : {"frozen, paper", "frozen, picture", "all"}) {
    INFO(kind);
    const bool all = kind == "all", of_picture = kind == "frozen, picture";
    Setup s(3,
            all ? R"({"decomposition": {}, "restoration": {}, "adjustment": {}})"
                : R"({"restoration": {}, "adjustment": {}})",
            all ? R"({"square": {}, "illumination": {}, "reflectance": {}, "reconstruction": {"weight": 0.5}})"
                : (of_picture ? R"({"square": {}})" : R"({"square": {}, "illumination": {}, "reflectance": {}})"),
            true);
    if (of_picture) s.stage.ratio = "picture";
    s.stage.augment.darker_targets = 0.7;
    s.sampler->prepare(0), s.sampler->prepare(1), s.sampler->prepare(2);
    const Tensor<float> batch = s.batch(0);
    REQUIRE(batch.shape() == Shape{3, stage_planes(s.stage), 7, 7});
    Loss<float> loss = stage_loss(s.stage, s.model, batch);
    REQUIRE(loss.terms.size() == (all ? 4 : (of_picture ? 1 : 3)));
    {
      // The same by the nets one after the other.
      const NoGrad no_grad;
      const auto part = [&](std::int64_t first, std::int64_t end) {
        return slice(Variable<float>(batch), 1, first, end);
      };
      const auto low = (*s.model.decomposition)(part(0, 3)), high = (*s.model.decomposition)(part(3, 6));
      Tensor<float> maps(low.illumination.shape());
      for (std::int64_t n = 0; n < 3; ++n) {
        const float level = batch[(n * 11 + 10) * 49];
        const float ratio = static_cast<float>(
            ratio_between(slice(low.illumination, 0, n, n + 1).value(), slice(high.illumination, 0, n, n + 1).value()));
        std::fill_n(maps.data() + 49 * n, 49, of_picture ? batch[(n * 11 + 9) * 49] : ratio * level);
      }
      const Variable<float> adjusted = (*s.model.adjustment)(low.illumination, Variable<float>(maps));
      const Variable<float> output = (*s.model.restoration)(low.reflectance, low.illumination) * adjusted;
      CHECK(loss.terms[0].name == "square");
      CHECK(loss.terms[0].raw == Approx(Square{}(output, part(6, 9)).value().item()).epsilon(1e-4));
      if (!of_picture) {
        CHECK(loss.terms[2].name == "illumination");
        const Variable<float> wanted = high.illumination * part(10, 11);
        CHECK(loss.terms[2].raw == Approx(Square{}(adjusted, wanted).value().item()).epsilon(1e-4));
      }
    }
    loss.total.backward();
    const Parameters<float> parameters = stage_parameters(s.stage, s.model);
    CHECK(parameters.size() == s.model.parameters().size() - (all ? 0 : s.model.decomposition->parameters().size()));
    for (const Parameter<float>& p : parameters) {
      INFO(p.name);
      const Tensor<float>& gradient = p.variable.grad();
      REQUIRE(gradient.defined());
      CHECK(std::any_of(gradient.data(), gradient.data() + gradient.size(), [](float g) { return g != 0; }));
    }
  }
}

}  // namespace
}  // namespace kind::testing
