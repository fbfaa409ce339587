#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

/// The records of finished runs and sweeps, for reports.
namespace kind {

using Figures = std::map<std::string, double>;

/// The lines of one stage of a run.
struct StageRecord {
  std::string name;
  std::vector<double> steps;                                 // of the stage, from 1
  std::vector<double> total;                                 // the loss
  std::map<std::string, std::vector<double>> raw, weighted;  // of each term
  std::vector<double> validation_steps;
  std::map<std::string, std::vector<double>> validation;  // of each figure
};

struct RunRecord {
  enum class State { kDone, kFailed, kUnfinished, kMissing };
  std::string name, folder;
  std::size_t point = 0;
  std::int64_t seed = 0;
  State state = State::kMissing;
  std::string reason;  // of a failure; how far an unfinished run is
  std::vector<StageRecord> stages;
  Figures last;                             // the last validation; "SET/FIGURE" of one of several sources
  std::map<std::string, Figures> pictures;  // the same, by picture
  Figures terms;                            // "STAGE/TERM": the raw term over the last tenth of the stage's lines
  std::string sheet;                        // the picture sheet of the last validation; empty: none
  struct SheetRow {
    std::string picture;
    int top = 0, height = 0, width = 0;
  };
  std::vector<SheetRow> rows;
  nlohmann::json config;              // the resolved one; null if it has not begun
  nlohmann::ordered_json provenance;  // null: not recorded
  std::string base, minutes;          // of a sweep: its base config, and its budget in minutes as a text
};

struct PointRecord {
  std::string name, label;
  std::map<std::string, nlohmann::json> values;  // by axis
  std::vector<std::size_t> runs;                 // indices into Records::runs, by seed
};

struct AxisRecord {
  std::string name;
  std::vector<nlohmann::json> values;  // in order
};

/// A point of a sweep with successive halving.
struct RungPointRecord {
  std::string name, label;
  std::map<std::string, nlohmann::json> values;  // by axis
  std::vector<std::optional<double>> figures;    // at each rung that it came to; nothing where a run had failed
  std::optional<double> stopped;                 // after so many steps; nothing: it was not stopped
};

/// The decisions of a sweep's halving: the points from the best to the worst.
struct HalvingRecord {
  std::string folder, metric;
  std::vector<double> steps;  // of the rungs that are decided
  std::vector<RungPointRecord> points;
};

/// Points that halving stopped are in `halvings` alone, and their runs nowhere: nothing compares them with finished ones.
struct Records {
  std::string title;
  std::vector<AxisRecord> axes;
  std::vector<PointRecord> points;
  std::vector<RunRecord> runs;
  std::vector<HalvingRecord> halvings;
};

/// Reads folders of sweeps and of single runs. Folders of the same sweep (parts that other machines have carried out)
/// are merged: for each run, the copy with the most progress counts; so are folders of the same sweep with other seeds. Single runs whose configs differ only in the seed
/// are one point. Throws Error if a folder is neither, or a file in it is damaged.
Records read_records(const std::vector<std::string>& folders);

}  // namespace kind
