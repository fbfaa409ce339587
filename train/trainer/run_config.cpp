#include "train/trainer/run_config.h"

#include <filesystem>
#include <system_error>

#include "core/base/error.h"

namespace kind {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// Calls use(value) for each path in a config that is a string.
template <class Use>
void each_place(json& config, const Use& use) {
  const auto in = [&use](json& object, const char* key) {
    if (object.is_object() && object.contains(key) && object[key].is_string()) use(object[key]);
  };
  const auto in_each = [&in](json& object, const char* list, const std::vector<const char*>& keys) {
    if (!object.is_object() || !object.contains(list) || !object[list].is_array()) return;
    for (json& element : object[list]) {
      for (const char* key : keys) in(element, key);
    }
  };
  if (config.contains("data")) {
    in(config["data"], "root");
    in_each(config["data"], "sources", {"root", "split_file"});
  }
  in_each(config, "stages", {"init"});
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// The part of an assignment behind "losses.", up to the next dot or equals sign; empty if it is none of a term.
std::string term_of(const std::string& assignment) {
  const std::string start = "losses.";
  if (assignment.rfind(start, 0) != 0) return "";
  return assignment.substr(start.size(), assignment.find_first_of(".=", start.size()) - start.size());
}

bool has_term(const json& stage, const std::string& term) {
  const json* losses = stage.is_object() && stage.contains("losses") ? &stage["losses"] : nullptr;
  return losses && losses->is_object() && losses->contains(term) && !(*losses)[term].is_null();
}

}  // namespace

RunConfigFile read_run_config(const std::string& path, const ReadConfig& read) {
  RunConfigFile file;
  file.config = read_layered_config(path, read, [&file](json& config, const std::string& of) {
    const std::string folder = fs::path(of).parent_path().string();
    each_place(config, [&](json& value) {
      const std::string written = value.get<std::string>(), found = place_from(folder, written);
      const bool relative = !written.empty() && !folder.empty() && fs::path(written).is_relative();
      if (relative && !exists(found)) file.missing.emplace_back(written, joined_path(folder, written));
      value = found;
    });
  });
  return file;
}

json placed_value(const std::string& path, const json& value, const std::string& folder) {
  const std::string key = path.substr(path.rfind('.') + 1);  // npos + 1 is 0
  const bool place = key == "init" || key == "root" || key == "split_file";
  return place && value.is_string() ? json(place_from(folder, value.get<std::string>())) : value;
}

void set_in_run(json& config, const std::string& assignment) {
  static const SetScope scope{field_names<TrainConfig>(), "stages", field_names<StageConfig>()};
  const std::string term = term_of(assignment);
  const bool whole = assignment.find_first_of(".=", 7 + term.size()) == assignment.find('=');
  if (term.empty() || !config.is_object() || !config.contains("stages") || !config["stages"].is_array()) {
    set_path(config, assignment, scope);
    return;
  }
  json changed = config;
  bool any = false;
  for (std::size_t i = 0; i < config["stages"].size(); ++i) {
    if (!has_term(config["stages"][i], term)) continue;
    any = true;
    try {
      set_path(changed, join("stages.", i, ".", assignment), scope);
    } catch (const Error& error) {
      fail("--set ", assignment.substr(0, assignment.find('=')), ": in stage ", i, ": ", error.what());
    }
  }
  if (any) {
    config = std::move(changed);
  } else if (whole) {
    set_path(config, assignment, scope);
  } else {
    StageLosses losses;
    config_detail::NameCollector known;
    losses.fields(known);
    const std::string nearest = nearest_name(term, known.names);
    fail("--set ", assignment.substr(0, assignment.find('=')), ": no stage has the term \"", term, "\"",
         nearest.empty() || nearest == term ? "" : "; did you mean \"" + nearest + "\"?",
         nearest == term ? "; add it with --set stages.NAME.losses." + term + "={} first" : "");
  }
}

std::string blamed_set(json config, const std::vector<std::string>& set, const std::string& source,
                       const std::string& message) {
  // The first with which parsing says what it says with all of them.
  for (std::size_t i = 0; i <= set.size(); ++i) {
    if (i > 0) set_in_run(config, set[i - 1]);
    try {
      parse_config<TrainConfig>(config, source);
    } catch (const Error& error) {
      if (error.what() == message) return i == 0 ? "" : "--set " + set[i - 1] + ": ";
    }
  }
  return "";
}

TrainConfig parse_run_config(json& config, const ConfigChanges& changes, const std::string& source) {
  const json before = config;
  for (const std::string& assignment : changes.set) set_in_run(config, assignment);
  set_data(config, changes.data);
  try {
    return parse_config<TrainConfig>(config, source);
  } catch (const Error& error) {
    fail(blamed_set(before, changes.set, source, error.what()), error.what());
  }
}

std::string with_places(const std::string& message, const MissingPlaces& missing) {
  for (const auto& [written, beside] : missing) {
    for (const std::string what : {"there is no folder ", "there is no file "}) {
      const std::size_t at = message.find(what + written);
      const std::size_t end = at + what.size() + written.size();
      if (at == std::string::npos || (end < message.size() && message[end] != ';' && message[end] != ' ')) continue;
      return message.substr(0, end) + " (nor " + beside +
             "; a path in a config counts from the config's folder or else from the current one)" + message.substr(end);
    }
  }
  return message;
}

}  // namespace kind
