#include "infer/photo/report.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/base/machine.h"
#include "core/files/file.h"

namespace kind {

void write_report(const Options& options, const Plan& plan, const std::vector<Outcome>& outcomes, double seconds) {
  const std::vector<Job>& jobs = plan.jobs;
  using Json = nlohmann::ordered_json;
  const auto rounded = [](double value) { return std::round(value * 1e4) / 1e4; };
  Json pictures = Json::array();
  std::size_t counts[4] = {};
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    Json entry = {{"input", jobs[i].input.string()}, {"outputs", Json::array()}};
    for (const auto& path : jobs[i].outputs) entry["outputs"].push_back(path.string());
    const Outcome& outcome = outcomes[i];
    constexpr const char* kNames[] = {"done", "failed", "skipped", "not done"};
    const auto status = static_cast<std::size_t>(outcome.status);
    ++counts[status];
    entry["status"] = kNames[status];
    if (!outcome.error.empty()) entry["error"] = outcome.error;
    const Picture& picture = outcome.picture;
    if (picture.width > 0) entry["width"] = picture.width;
    if (picture.height > 0) entry["height"] = picture.height;
    if (!picture.results.empty()) {
      entry["ratios"] = Json::array();
      for (const Picture::Result& result : picture.results) entry["ratios"].push_back(rounded(result.ratio));
      if (!picture.damage.empty()) entry["damage"] = picture.damage;
      entry["left_out"] = picture.left_out;
      entry["seconds"] = {{"read", rounded(picture.read_seconds)},
                          {"enhance", rounded(picture.enhance_seconds)},
                          {"write", rounded(picture.write_seconds)}};
    }
    pictures.push_back(std::move(entry));
  }
  Json report = {
      {"done", counts[0]},           {"failed", counts[1]},
      {"skipped", counts[2]},        {"not_done", counts[3]},
      {"seconds", rounded(seconds)}, {"peak_memory_mib", rounded(static_cast<double>(peak_memory()) / (1 << 20))},
      {"pictures", pictures}};
  if (!plan.passed_over.empty()) report["passed_over"] = plan.passed_over;
  if (plan.broken_links > 0) report["broken_links"] = plan.broken_links;
  // Names of files may be any bytes.
  write_file_atomic(options.report, report.dump(2, ' ', false, Json::error_handler_t::replace) + "\n",
                    options.overwrite || options.skip_existing ? Existing::kReplace : Existing::kKeep);
}

}  // namespace kind
