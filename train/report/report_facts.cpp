#include <algorithm>
#include <map>

#include "core/base/count.h"
#include "core/base/error.h"
#include "train/report/report.h"
#include "train/trainer/provenance.h"

namespace kind {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

/// "decom 600 steps, adjust 20 epochs" of a run's resolved config.
std::string budget_text(const json& config) {
  std::string text;
  if (!config.contains("stages")) return text;
  for (const json& stage : config["stages"]) {
    const bool steps = stage.contains("steps") && !stage["steps"].is_null();
    text += (text.empty() ? "" : ", ") + stage.at("name").get<std::string>() + " " +
            counted(stage.at(steps ? "steps" : "epochs").get<std::int64_t>(), steps ? "step" : "epoch");
  }
  return text;
}

/// A text for each source of the data, with its name where there are several.
template <class Text>
std::string by_source(const ordered_json& provenance, const Text& text_of) {
  std::string text;
  for (const ordered_json& source : provenance.at("data").at("sources")) {
    const std::string name = source.at("name").get<std::string>();
    text += (text.empty() ? "" : "; ") + (name.empty() ? "" : name + ": ") + text_of(source);
  }
  return text;
}

std::int64_t count_of(const ordered_json& source, const char* key) { return source.at(key).get<std::int64_t>(); }

std::string data_text(const ordered_json& provenance) {
  return by_source(provenance, [](const ordered_json& source) {
    return counted(count_of(source, "pairs"), "pair") +
           (source.at("dark") == "files" ? "" : ", dark by the camera model") + " (" +
           source.at("hash").get<std::string>() + ")";
  });
}

std::string split_text(const ordered_json& provenance) {
  return by_source(provenance, [](const ordered_json& source) {
    return join(count_of(source, "train"), " to train on, ", count_of(source, "validation"), " for validation, ",
                count_of(source, "test"), " for the test (", source.at("split").get<std::string>(), ")");
  });
}

std::string programs_text(const ordered_json& provenance) {
  std::string text;
  for (const ordered_json& program : provenance.at("programs")) {
    text += (text.empty() ? "" : ", then ") + program_text(program);
  }
  return text;
}

/// What there is to say of a run, by name.
/// `recorded`: some run has a provenance, so that it says something if this one has none.
std::map<std::string, std::string> facts_of(const RunRecord& run, bool recorded) {
  std::map<std::string, std::string> facts;
  facts["base config"] = run.base;
  if (!run.config.is_null())
    facts["budget"] = budget_text(run.config) + (run.minutes.empty() ? "" : "; " + run.minutes);
  if (!run.provenance.is_null()) {
    facts["data"] = data_text(run.provenance);
    facts["split"] = split_text(run.provenance);
    facts["program"] = programs_text(run.provenance);
  } else if (recorded) {
    for (const char* name : {"data", "split", "program"}) facts[name] = "not recorded";
  }
  if (!run.pictures.empty()) {
    facts["protocol"] =
        "last validation, ratio from the bright picture, " + counted(run.pictures.size(), "held-out picture");
  }
  return facts;
}

}  // namespace

std::vector<ReportFact> report_facts(const Records& records) {
  constexpr std::size_t kNamed = 4;
  const bool recorded = std::any_of(records.runs.begin(), records.runs.end(),
                                    [](const RunRecord& run) { return !run.provenance.is_null(); });
  std::vector<ReportFact> facts;
  for (const std::string name : {"base config", "budget", "data", "split", "protocol", "program"}) {
    std::vector<std::pair<std::string, std::vector<std::string>>> values;  // with the runs that have them
    for (const RunRecord& run : records.runs) {
      if (run.config.is_null()) continue;
      std::map<std::string, std::string> own;
      try {
        own = facts_of(run, recorded);
      } catch (const json::exception&) {
        fail(run.folder, ": config.json or provenance.json is not what kind-train writes");
      }
      const std::string& value = own[name];
      if (value.empty()) continue;
      const auto found =
          std::find_if(values.begin(), values.end(), [&](const auto& other) { return other.first == value; });
      (found == values.end() ? values.emplace_back(value, std::vector<std::string>()) : *found)
          .second.push_back(run.name);
    }
    if (values.empty()) continue;
    ReportFact fact{name, values[0].first, values.size() > 1};
    for (std::size_t i = 0; fact.differs && i < values.size(); ++i) {
      const std::vector<std::string>& runs = values[i].second;
      std::string names;
      for (std::size_t r = 0; r < std::min(kNamed, runs.size()); ++r) names += (r == 0 ? "" : ", ") + runs[r];
      if (runs.size() > kNamed) names += join(" and ", runs.size() - kNamed, " more");
      fact.text = (i == 0 ? "" : fact.text + " | ") + values[i].first + " [" + names + "]";
    }
    facts.push_back(std::move(fact));
  }
  return facts;
}

}  // namespace kind
