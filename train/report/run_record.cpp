#include "train/report/run_record.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "core/base/error.h"
#include "core/config/config.h"
#include "train/data/data_config.h"
#include "train/sweep/branch.h"
#include "train/sweep/halving.h"
#include "train/trainer/provenance.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// Calls use(object) for each line of a file of JSON lines. The last one may be cut short, of a run that was killed.
template <class Use>
void for_lines(const std::string& path, const Use& use) {
  std::ifstream file(path);
  std::size_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const json entry = json::parse(line, nullptr, false);
    if (entry.is_discarded() && file.peek() == std::ifstream::traits_type::eof()) return;
    check(entry.is_object(), path, ": line ", number, ": expected a JSON object");
    try {
      use(entry);
    } catch (const json::exception&) {
      fail(path, ": line ", number, ": it is not what kind-train writes");
    }
  }
  check(!file.bad(), "cannot read ", path, ": the disk failed behind line ", number);
}

/// The stage's record; `begun` is the number of steps of all stages before it.
StageRecord& stage_of(RunRecord& run, const std::string& name) {
  if (run.stages.empty() || run.stages.back().name != name) run.stages.push_back({name, {}, {}, {}, {}, {}, {}});
  return run.stages.back();
}

void read_metrics(RunRecord& run) {
  double begun = 0, newest = 0;
  for_lines(run.folder + "/metrics.jsonl", [&](const json& entry) {
    const std::string name = entry.at("stage").get<std::string>();
    const double step = entry.at("step").get<double>();
    if (run.stages.empty() || run.stages.back().name != name) begun = newest;
    newest = step;
    StageRecord& stage = stage_of(run, name);
    if (entry.contains("validation")) {
      stage.validation_steps.push_back(step - begun);
      run.last = entry.at("validation").get<Figures>();
      if (entry.contains("sets")) {
        for (const auto& [set, figures] : entry.at("sets").items()) {
          for (const auto& [figure, value] : figures.get<Figures>()) run.last[set + "/" + figure] = value;
        }
      }
      for (const auto& [figure, value] : run.last) stage.validation[figure].push_back(value);
      return;
    }
    stage.steps.push_back(step - begun);
    for (const auto& [term, value] : entry.at("loss").items()) {
      if (term == "total") {
        stage.total.push_back(value.get<double>());
      } else {
        stage.raw[term].push_back(value.at("raw").get<double>());
        stage.weighted[term].push_back(value.at("weighted").get<double>());
      }
    }
  });
  for (const StageRecord& stage : run.stages) {
    for (const auto& [term, values] : stage.raw) {
      const std::size_t count = std::max<std::size_t>(1, values.size() / 10);
      double sum = 0;
      for (std::size_t i = values.size() - count; i < values.size(); ++i) sum += values[i];
      run.terms[stage.name + "/" + term] = sum / static_cast<double>(count);
    }
  }
  if (run.state == RunRecord::State::kUnfinished) run.reason = join("at step ", newest);
}

void read_pictures(RunRecord& run) {
  for_lines(run.folder + "/pictures.jsonl", [&](const json& entry) {
    run.pictures.clear();
    run.rows.clear();
    for (const auto& [stem, figures] : entry.at("pictures").items()) run.pictures[stem] = figures.get<Figures>();
    // Of several sources, a picture is called SOURCE/STEM; it counts for its own set, too.
    for (auto& [picture, figures] : run.pictures) {
      const std::string set = picture.substr(0, picture.find('/') + 1);
      if (set.empty()) continue;
      for (const auto& [figure, value] : Figures(figures)) figures[set + figure] = value;
    }
    run.sheet =
        run.folder + "/sheets/" + entry.at("stage").get<std::string>() + "-step-" + entry.at("step").dump() + ".png";
    if (!entry.contains("sheet") || !exists(run.sheet)) {
      run.sheet.clear();
      return;
    }
    for (const json& row : entry.at("sheet")) {
      run.rows.push_back({row.at("picture").get<std::string>(), row.at("top").get<int>(), row.at("height").get<int>(),
                          row.at("width").get<int>()});
    }
  });
}

RunRecord read_run(const std::string& name, const std::string& folder) {
  RunRecord run;
  run.name = name;
  run.folder = folder;
  if (const std::optional<std::string> reason = failure_of(folder)) {
    run.state = RunRecord::State::kFailed;
    run.reason = *reason;
  } else if (exists(folder + "/model.safetensors") || exists(folder + "/stopped.json")) {
    run.state = RunRecord::State::kDone;
  } else if (exists(folder + "/metrics.jsonl")) {
    run.state = RunRecord::State::kUnfinished;
  }
  read_metrics(run);
  read_pictures(run);
  if (exists(folder + "/config.json")) run.config = read_json_file(folder + "/config.json");
  run.provenance = read_provenance(folder);
  return run;
}

int rank(RunRecord::State state) {
  switch (state) {
    case RunRecord::State::kDone:
      return 3;
    case RunRecord::State::kFailed:
      return 2;
    case RunRecord::State::kUnfinished:
      return 1;
    case RunRecord::State::kMissing:
      break;
  }
  return 0;
}

/// What folders of one sweep have in common, whichever seeds they have.
json without_seeds(json sweep) {
  if (!sweep.is_object()) return sweep;
  sweep.erase("seeds");
  sweep.erase("runs");
  return sweep;
}

/// What the halving of a sweep has decided in a folder; without points where it has none.
HalvingRecord read_halving(const json& sweep, const std::string& folder) {
  HalvingRecord record{folder, "", {}, {}};
  const std::vector<Rung> rungs = read_rungs(folder);
  if (rungs.empty()) return record;
  record.metric = sweep.at("halving").at("metric").get<std::string>();
  std::map<std::string, RungPointRecord> points;
  for (const json& point : sweep.at("points")) {
    const std::string name = point.at("name").get<std::string>();
    points[name] = {
        name, point.at("label").get<std::string>(), point.at("values").get<std::map<std::string, json>>(), {}, {}};
  }
  for (const Rung& rung : rungs) {
    record.steps.push_back(static_cast<double>(rung.steps));
    for (const RungPoint& point : rung.points) {
      RungPointRecord& to = points.at(point.point);
      to.figures.push_back(point.figure);
      if (!point.kept) to.stopped = static_cast<double>(rung.steps);
    }
  }
  std::set<std::string> listed;  // who came further stands first
  for (auto rung = rungs.rbegin(); rung != rungs.rend(); ++rung) {
    for (const RungPoint& point : rung->points) {
      if (listed.insert(point.point).second) record.points.push_back(points.at(point.point));
    }
  }
  return record;
}

/// A sweep's axes, with the values that those of other sweeps do not have yet.
void add_axes(const json& sweep, std::vector<AxisRecord>& axes) {
  for (const json& axis : sweep.at("axes")) {
    const std::string name = axis.at("name").get<std::string>();
    const auto known =
        std::find_if(axes.begin(), axes.end(), [&](const AxisRecord& other) { return other.name == name; });
    AxisRecord& to = known != axes.end() ? *known : axes.emplace_back(AxisRecord{name, {}});
    for (const json& value : axis.at("values")) {
      if (std::find(to.values.begin(), to.values.end(), value) == to.values.end()) to.values.push_back(value);
    }
  }
}

/// The runs of several parts of a sweep, each name once, in the order of their seeds.
std::vector<json> runs_of(const std::vector<json>& sweeps) {
  std::vector<json> entries;
  std::set<std::string> names;
  for (const json& one : sweeps) {
    for (const json& entry : one.at("runs")) {
      if (names.insert(entry.at("name").get<std::string>()).second) entries.push_back(entry);
    }
  }
  if (sweeps.size() > 1) {
    std::stable_sort(entries.begin(), entries.end(),
                     [](const json& a, const json& b) { return a.at("seed") < b.at("seed"); });
  }
  return entries;
}

/// The folders of one sweep. `sweeps` has the sweep.json of each, which differ in their seeds at most.
void read_sweep(const std::vector<json>& sweeps, const std::vector<std::string>& folders, bool prefix,
                Records& records) {
  const json& sweep = sweeps[0];
  const std::string name = sweep.at("name").get<std::string>();
  add_axes(sweep, records.axes);
  std::vector<std::set<std::string>> stopped(folders.size());  // points, by each folder's own rungs
  for (std::size_t i = 0; i < folders.size(); ++i) {
    HalvingRecord halving = read_halving(sweeps[i], folders[i]);
    for (const RungPointRecord& point : halving.points) {
      if (point.stopped) stopped[i].insert(point.name);
    }
    if (!halving.points.empty()) records.halvings.push_back(std::move(halving));
  }
  std::map<std::string, std::size_t> points;
  std::map<std::string, json> base_values;  // where one axis at a time is changed: what the others are, if it is listed
  if (sweep.value("combine", std::string()) == "each" && !sweep.at("points").empty()) {
    base_values = sweep.at("points")[0].at("values").get<std::map<std::string, json>>();
  }
  for (const json& point : sweep.at("points")) {
    PointRecord record;
    record.name = point.at("name").get<std::string>();
    const auto stops_it = [&](const std::set<std::string>& names) { return names.count(record.name) > 0; };
    if (std::all_of(stopped.begin(), stopped.end(), stops_it)) continue;
    points[record.name] = records.points.size();
    record.label = (prefix ? name + ": " : "") + point.at("label").get<std::string>();
    record.values = point.at("values").get<std::map<std::string, json>>();
    record.values.insert(base_values.begin(), base_values.end());
    records.points.push_back(std::move(record));
  }
  for (const json& entry : runs_of(sweeps)) {
    const std::string run_name = entry.at("name").get<std::string>();
    const std::string point_name = entry.at("point").get<std::string>();
    RunRecord best;
    bool any = false;
    for (std::size_t i = 0; i < folders.size(); ++i) {
      if (stopped[i].count(point_name)) continue;
      RunRecord run = read_run(run_name, folders[i] + "/" + run_name);
      if (!any || rank(run.state) > rank(best.state)) best = std::move(run);
      any = true;
    }
    if (!any) continue;
    best.seed = entry.at("seed").get<std::int64_t>();
    best.base = sweep.value("base", std::string());
    if (sweep.contains("minutes")) best.minutes = "at most " + sweep["minutes"].dump() + " minutes";
    best.point = points.at(point_name);
    records.points[best.point].runs.push_back(records.runs.size());
    records.runs.push_back(std::move(best));
  }
}

}  // namespace

Records read_records(const std::vector<std::string>& folders) {
  Records records;
  std::vector<std::pair<std::vector<json>, std::vector<std::string>>> sweeps;
  std::vector<std::string> singles;
  for (const std::string& given : folders) {
    const std::string folder = given.size() > 1 && given.back() == '/' ? given.substr(0, given.size() - 1) : given;
    if (exists(folder + "/sweep.json")) {
      const json sweep = read_json_file(folder + "/sweep.json");
      const auto known = std::find_if(sweeps.begin(), sweeps.end(), [&](const auto& other) {
        return without_seeds(other.first[0]) == without_seeds(sweep);
      });
      auto& parts = known != sweeps.end() ? *known : sweeps.emplace_back();
      parts.first.push_back(sweep);
      parts.second.push_back(folder);
    } else {
      check(exists(folder + "/config.json") || exists(folder + "/failed.json"), folder,
            ": there is neither a sweep (sweep.json) nor a run (config.json) of kind-train in it");
      singles.push_back(folder);
    }
  }
  for (const auto& [plans, parts] : sweeps) {
    try {
      read_sweep(plans, parts, sweeps.size() > 1, records);
    } catch (const json::exception&) {
      fail(parts[0], "/sweep.json: it is not what kind-train writes");
    } catch (const std::out_of_range&) {
      fail(parts[0], "/sweep.json: a run is of a point that is not listed");
    }
    records.title += (records.title.empty() ? "" : ", ") + plans[0].at("name").get<std::string>();
  }
  std::map<std::string, std::size_t> configs;  // of single runs, but for the seed, to the point
  for (const std::string& folder : singles) {
    const std::string name = fs::absolute(folder).lexically_normal().filename().string();
    RunRecord run = read_run(name, folder);
    std::string key = folder;
    if (exists(folder + "/config.json")) {
      json config = read_json_file(folder + "/config.json");
      check(config.is_object() && config.value("data", json::object()).is_object(), folder,
            "/config.json: it is not what kind-train writes");
      run.seed = config.value("seed", std::int64_t{0});
      config.erase("seed");
      erase_incidental(config);
      key = config.dump();
    }
    const auto [at, is_new] = configs.try_emplace(key, records.points.size());
    if (is_new) records.points.push_back({name, name, {}, {}});
    run.point = at->second;
    records.points[run.point].runs.push_back(records.runs.size());
    records.runs.push_back(std::move(run));
    if (is_new && records.title.size() < 60) records.title += (records.title.empty() ? "" : ", ") + name;
  }
  return records;
}

}  // namespace kind
