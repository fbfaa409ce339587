// Configs of training and of sweeps, and --set. Texts of an input are divided by zeros.

#include "core/config/config.h"

#include "tests/fuzz/fuzz.h"
#include "train/sweep/sweep.h"
#include "train/trainer/config.h"

using namespace kind;
using namespace kind::testing;

namespace {

/// What is ahead of the first zero, and what is behind it.
std::pair<std::string, std::string> divide(const std::string& text) {
  const std::size_t zero = text.find('\0');
  return {text.substr(0, zero), zero == std::string::npos ? "" : text.substr(zero + 1)};
}

void check_train(const nlohmann::json& json) {
  TrainConfig config;
  if (!accepts([&] { config = parse_config<TrainConfig>(json, "input"); })) return;
  const nlohmann::json whole = to_json(config);
  TrainConfig again;
  promise(accepts([&] { again = parse_config<TrainConfig>(whole, "output"); }), "a config that is written is read");
  promise(nlohmann::json(to_json(again)) == whole, "and says the same");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Input input(data, size);
  const auto [first, second] = divide(input.text());
  if (input.choice % 3 == 1) {
    constexpr std::size_t kMostRuns = 40;
    const auto read = [&, &sweep = first, &base = second](const std::string& path) {
      return parse_json(path == "input" ? sweep : base, path);
    };
    const std::vector<std::string> pictures(input.choice & 4 ? 1 : 0, "pictures");
    accepts([&] {
      const SweepPlan plan = plan_sweep("input", {}, pictures, kMostRuns, read);
      promise(!plan.runs.empty() && plan.runs.size() <= kMostRuns, "the runs are within the limit");
      summary_of(plan);
      to_json(plan);
      for (const SweepTask& run : plan.runs) check_train(run.config);
    });
    return 0;
  }
  nlohmann::json json;
  if (!accepts([&, &text = first] { json = parse_json(text, "input"); })) return 0;
  if (input.choice % 3 == 2) {
    const nlohmann::json before = json;
    const SetScope scope{field_names<TrainConfig>(), "stages", field_names<StageConfig>()};
    if (!accepts([&, &set = second] { set_path(json, set, scope); })) {
      promise(json == before, "an assignment that is refused changes nothing");
    }
  }
  check_train(json);
  return 0;
}
