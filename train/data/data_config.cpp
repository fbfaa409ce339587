#include "train/data/data_config.h"

#include <algorithm>
#include <set>

#include "core/base/error.h"

namespace kind {

void CameraConfig::validate(const std::string& path) const {
  const auto ordered = [&](const std::string& name, const auto& low, const auto& high) {
    check(low <= high, key_path(path, name + "_low"), ": expected at most ", name, "_high (", high, "), got ", low);
  };
  ordered("exposure", exposure_low, exposure_high);
  ordered("gamma", gamma_low, gamma_high);
  ordered("noise", noise_low, noise_high);
  check(noise_low > 0 || noise_high == 0, key_path(path, "noise_low"),
        ": expected a number greater than 0 (factors are drawn log-uniformly), or 0 for noise_high, too");
  ordered("red_gain", red_gain_low, red_gain_high);
  ordered("blue_gain", blue_gain_low, blue_gain_high);
  ordered("falloff", falloff_low, falloff_high);
  ordered("window_exposure", window_exposure_low, window_exposure_high);
  ordered("window_size", window_size_low, window_size_high);
  ordered("jpeg_quality", jpeg_quality_low, jpeg_quality_high);
}

void SourceConfig::validate(const std::string& path) const {
  check(name.find_first_of("./= \t\n") == std::string::npos, key_path(path, "name"),
        ": expected a word without dots, slashes, equals signs or spaces, got \"", name, "\"");
  check_patterns(patterns(), synthesize.has_value(), key_path(path, "low"), key_path(path, "high"));
}

std::vector<SourceConfig> DataConfig::all() const {
  if (sources.empty()) {
    SourceConfig one;
    one.root = root;
    one.low = low;
    one.high = high;
    one.validation = validation;
    one.synthesize = synthesize;
    return {one};
  }
  std::vector<SourceConfig> all = sources;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].name.empty()) all[i].name = std::to_string(i);
  }
  return all;
}

void DataConfig::validate(const std::string& path) const {
  if (sources.empty()) {
    check_patterns({low, high}, synthesize.has_value(), key_path(path, "low"), key_path(path, "high"));
    return;
  }
  check(
      root == DataConfig().root && validation == DataConfig().validation && !synthesize && low.empty() && high.empty(),
      path,
      ": \"root\", \"low\", \"high\", \"validation\" and \"synthesize\" are for a single folder; give each of the "
      "sources its own");
  const std::string here = key_path(path, "sources");
  std::set<std::string> names;
  bool any = false;
  for (const SourceConfig& source : all()) {
    check(names.insert(source.name).second, here, ": two sources are named \"", source.name, "\"");
    any = any || source.weight > 0;
  }
  check(any, here, ": every weight is 0, expected a source to train on");
}

void set_data(nlohmann::json& config, const std::vector<std::string>& values) {
  if (values.empty()) return;
  if (!config.is_object() || !config.value("data", nlohmann::json::object()).is_object()) return;  // parsing says so
  nlohmann::json& data = config["data"];
  if (data.is_null()) data = nlohmann::json::object();
  std::vector<std::string> names;
  std::string known;
  const nlohmann::json sources = data.value("sources", nlohmann::json::array());
  if (!sources.is_array()) return;
  for (const nlohmann::json& source : sources) {
    std::string name = source.is_object() && source.contains("name") && source["name"].is_string()
                           ? source["name"].get<std::string>()
                           : "";
    if (name.empty()) name = std::to_string(names.size());
    known += (known.empty() ? "\"" : ", \"") + name + "\"";
    names.push_back(std::move(name));
  }
  std::set<std::size_t> given;
  for (const std::string& value : values) {
    const std::size_t equals = value.find('=');
    std::size_t index = 0;
    std::string folder = value;
    // Where there are sources, a folder with an equals sign in its own name is written ./a=b.
    if (!names.empty() && equals != std::string::npos && value.find('/') >= equals) {
      index = static_cast<std::size_t>(std::find(names.begin(), names.end(), value.substr(0, equals)) - names.begin());
      folder = value.substr(equals + 1);
      check(index < names.size(), "--data ", value, ": there is no source \"", value.substr(0, equals),
            "\"; the config's sources are ", known);
    } else {
      check(names.size() <= 1, "--data ", value,
            ": the config has several sources; say which with --data NAME=DIR: ", known);
    }
    check(!folder.empty(), "--data ", value, ": expected a folder, got an empty name");
    check(given.insert(index).second, "--data ", value, ": ",
          names.empty() ? std::string("given twice, but the config has one folder, data.root")
                        : join("source \"", names[index], "\" is given twice"));
    nlohmann::json& to = names.empty() ? data : data["sources"][index];
    if (to.is_object()) to["root"] = folder;
  }
}

}  // namespace kind
