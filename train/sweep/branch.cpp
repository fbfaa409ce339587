#include "train/sweep/branch.h"

#include <filesystem>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/file.h"
#include "train/trainer/checkpoint.h"
#include "train/trainer/trainer.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// What two runs must have in common to share their first `stages` stages.
std::string first_stages(const TrainConfig& config, std::size_t stages) {
  ordered_json json = to_json(config);
  erase_incidental(json);
  json.erase("fit_light");
  while (json["stages"].size() > stages) json["stages"].erase(json["stages"].size() - 1);
  return json.dump();
}

/// The same file under another name where the system can do that; files of runs are replaced, never changed.
void link_file(const fs::path& from, const fs::path& to) {
  std::error_code error;
  fs::remove(to, error);
  fs::create_hard_link(from, to, error);
  if (error) write_file_atomic(to.string(), read_file(from.string()));
}

void make_folder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  check(!error, folder, ": cannot be made: ", [&] { return error.message(); });
}

}  // namespace

void branch_run(const TrainConfig& config, const std::string& from, const std::string& out) {
  const Checkpoints source(from), target(out);
  std::error_code error;
  if (target.newest() || fs::exists(out + "/model.safetensors", error)) return;
  if (const std::optional<std::string> reason = failure_of(from)) {
    throw NotFinite(join("its first stages, ", from, ", failed: ", *reason));
  }
  check(fs::exists(from + "/model.safetensors", error), from,
        ": there is no finished run in it to branch from (no model.safetensors)");
  const std::string config_file = from + "/config.json";
  const TrainConfig before = parse_config<TrainConfig>(read_json_file(config_file), config_file);
  const std::size_t stages = before.stages.size();
  check(stages < config.stages.size() && first_stages(before, stages) == first_stages(config, stages), config_file,
        ": its ", counted(stages, "stage"),
        stages == 1 ? " is not the first one of this config" : " are not the first ones of this config",
        ", or its seed, data or input differ");
  const std::optional<std::int64_t> step = source.newest();
  check(step.has_value(), from, ": there is no checkpoint in it to branch from");

  make_folder(target.folder());
  make_folder(out + "/sheets");
  write_file_atomic(out + "/config.json", to_json(config).dump(2) + "\n");
  if (fs::exists(from + "/provenance.json", error)) {
    write_file_atomic(out + "/provenance.json", read_file(from + "/provenance.json"));
  }
  for (const char* lines : {"/metrics.jsonl", "/pictures.jsonl"}) {
    // Empty where the run looked at no held-out pairs, which reading refuses.
    const bool empty = fs::file_size(from + lines, error) == 0;
    write_file_atomic(out + lines, empty ? std::vector<std::uint8_t>() : read_file(from + lines));
  }
  if (fs::exists(from + "/best.safetensors", error)) link_file(from + "/best.safetensors", out + "/best.safetensors");
  if (fs::exists(from + "/sheets", error)) {
    for (const std::string& sheet : list_folder(from + "/sheets")) {
      link_file(sheet, out + "/sheets/" + fs::path(sheet).filename().string());
    }
  }
  link_file(source.model_path(*step), target.model_path(*step));
  link_file(source.state_path(*step), target.state_path(*step));  // last: where it is, all is
}

std::optional<std::string> failure_of(const std::string& run) {
  const std::string path = run + "/failed.json";
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  const nlohmann::json json = read_json_file(path);
  check(json.is_object() && json.contains("reason") && json["reason"].is_string(), path,
        ": expected {\"reason\": TEXT}");
  return json["reason"].get<std::string>();
}

void put_failure(const std::string& run, const std::string& reason) {
  make_folder(run);
  const nlohmann::json json{{"reason", reason}};
  write_file_atomic(run + "/failed.json", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace kind
