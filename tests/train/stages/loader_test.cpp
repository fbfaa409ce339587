#include "train/stages/loader.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>

#include "core/base/error.h"
#include "tests/support/errors.h"
#include "tests/train/run_folder.h"

namespace kind::testing {
namespace {

/// Two planes a sample: what make_batch asked for, and a draw. Fails for pair `bad`.
class CountingSampler : public StageSampler {
 public:
  std::vector<std::size_t> prepared;
  std::size_t bad = 1000;

  void prepare(std::size_t pair, std::uint64_t) override { prepared.push_back(pair); }
  Tensor<float> sample(std::size_t pair, std::int64_t y, std::int64_t x, std::int64_t size, Random& random,
                       std::uint64_t) override {
    check(pair != bad, "pair ", pair, " is bad");
    Tensor<float> planes(Shape{2, size, size});
    for (std::int64_t i = 0; i < size * size; ++i) {
      planes[i] = static_cast<float>(100 * static_cast<std::int64_t>(pair) + 10 * y + x + i);
      planes[size * size + i] = static_cast<float>(random.uniform());
    }
    return planes;
  }
};

struct Setup {
  explicit Setup(int count) {
    put_scenes(dir.path(), count, 6, 5);
    stage.patch = 3;
    stage.batch = 2;
    DataConfig data;
    data.root = dir.path();
    data.validation = 0;
    pairs = std::make_unique<Pairs>(data, 3, 1);
  }
  std::vector<float> expected(std::int64_t step) {
    CountingSampler plain;
    return make_batch(stage, *pairs, plain, 7, 1, step).to_vector();
  }

  TempDir dir;
  StageConfig stage;
  std::unique_ptr<Pairs> pairs;
  CountingSampler sampler;
};

TEST_CASE("batches made ahead are those of make_batch, wherever a run starts or goes on") {
  Setup s(5);
  BatchLoader loader(s.stage, *s.pairs, s.sampler, 7, 1, 9);
  for (const std::int64_t step : {3, 4, 5, 6, 2, 7, 8}) {
    INFO(step);
    CHECK(loader.take(step).to_vector() == s.expected(step));
    if (step == 5) loader.wait();
  }
  CHECK((s.expected(3) != s.expected(4)));
}

TEST_CASE("every pair is prepared before it is sampled, and none of a step that never comes") {
  Setup s(4);
  {
    BatchLoader loader(s.stage, *s.pairs, s.sampler, 7, 1, 2);
    loader.take(0);
    CHECK(s.sampler.prepared.size() == 4);
    loader.take(1);
  }
  std::vector<std::size_t> all = s.sampler.prepared;
  std::sort(all.begin(), all.end());
  CHECK(all == std::vector<std::size_t>{0, 1, 2, 3});
}

TEST_CASE("what kept a batch from being made is thrown when it is taken") {
  Setup s(2);
  s.stage.batch = 1;
  BatchLoader loader(s.stage, *s.pairs, s.sampler, 7, 1, 4);
  CHECK_NOTHROW(loader.take(0));
  loader.wait();
  s.sampler.bad = 1 - s.sampler.prepared[0];  // the other pair: made for step 1 already, met again in steps 2 and 3
  CHECK_NOTHROW(loader.take(1));
  const std::string message = error_of([&] {
    loader.take(2);
    loader.take(3);
  });
  CHECK_THAT(message, Catch::Contains("is bad"));
}

}  // namespace
}  // namespace kind::testing
