#include "train/trainer/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <system_error>

#include "core/base/error.h"
#include "core/base/random.h"
#include "core/files/file.h"

namespace kind {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelSuffix = ".safetensors";
constexpr const char* kStateSuffix = ".state.safetensors";
constexpr const char* kPrefix = "step-";
constexpr const char* kSealKey = "checksum";

const std::string& metadata(const SafeTensors& content, const std::string& key) {
  const auto found = content.metadata.find(key);
  check(found != content.metadata.end(), content.source, ": this is no checkpoint: its metadata has no key \"", key,
        "\"");
  return found->second;
}

template <class C>
C parse_metadata(const SafeTensors& content, const std::string& key) {
  const std::string source = content.source + ": metadata \"" + key + "\"";
  return parse_config<C>(parse_json(metadata(content, key), source), source);
}

/// 64 bits of all metadata but the seal itself, and of the names, types, shapes and bytes of all tensors, in hexadecimal.
std::string seal_of(const SafeTensors& content) {
  std::uint64_t hash = 0;
  const auto add = [&hash](std::uint64_t word) { hash = (hash ^ word) * 0x9E3779B97F4A7C15u + (hash >> 31); };
  const auto add_text = [&add](const std::string& text) {
    add(text.size());
    for (const char c : text) add(static_cast<unsigned char>(c));
  };
  for (const auto& [key, text] : content.metadata) {
    if (key == kSealKey) continue;
    add_text(key);
    add_text(text);
  }
  for (const auto& [name, tensor] : content.tensors) {
    add_text(name);
    add(static_cast<std::uint64_t>(tensor.dtype));
    add(tensor.shape.size());
    for (const std::int64_t side : tensor.shape) add(static_cast<std::uint64_t>(side));
    const std::size_t whole = tensor.data.size() / 8 * 8;
    for (std::size_t i = 0; i < whole; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, tensor.data.data() + i, 8);
      add(word);
    }
    for (std::size_t i = whole; i < tensor.data.size(); ++i) add(tensor.data.data()[i]);
  }
  std::ostringstream text;
  text << std::hex << mix64(hash);
  return text.str();
}

}  // namespace

std::string Checkpoints::model_path(std::int64_t step) const { return join(folder_, "/", kPrefix, step, kModelSuffix); }

std::string Checkpoints::state_path(std::int64_t step) const { return join(folder_, "/", kPrefix, step, kStateSuffix); }

std::vector<std::int64_t> Checkpoints::steps(const std::string& suffix) const {
  std::vector<std::int64_t> found;
  std::error_code error;
  if (!fs::exists(folder_, error) && !error) return found;
  const std::string prefix = kPrefix;
  for (const std::string& path : list_folder(folder_)) {
    const std::string name = fs::path(path).filename().string();
    if (name.size() <= prefix.size() + suffix.size() || name.compare(0, prefix.size(), prefix) != 0 ||
        name.compare(name.size() - suffix.size(), suffix.size(), suffix) != 0) {
      continue;
    }
    const std::string number = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
    if (number.size() < 18 && number.find_first_not_of("0123456789") == std::string::npos) {
      found.push_back(std::stoll(number));
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::vector<std::int64_t> Checkpoints::newest_first() const {
  std::vector<std::int64_t> all = steps(kStateSuffix);
  std::reverse(all.begin(), all.end());
  return all;
}

std::optional<std::int64_t> Checkpoints::newest() const {
  const std::vector<std::int64_t> all = steps(kStateSuffix);
  return all.empty() ? std::nullopt : std::optional(all.back());
}

void Checkpoints::keep_last(std::int64_t count) const {
  const std::vector<std::int64_t> states = steps(kStateSuffix);
  if (states.empty()) return;
  const std::size_t kept = std::min(states.size(), static_cast<std::size_t>(count));
  const std::int64_t oldest = states[states.size() - kept];
  std::error_code ignored;  // an old checkpoint that cannot be removed does no harm
  for (const std::int64_t step : states) {
    if (step < oldest) fs::remove(state_path(step), ignored);
  }
  // Models without a state, too, which a run leaves that is killed between the two.
  for (const std::int64_t step : steps(kModelSuffix)) {
    if (step < oldest || !std::binary_search(states.begin(), states.end(), step)) fs::remove(model_path(step), ignored);
  }
}

void thin_run(const std::string& out, const std::string& keep) {
  std::error_code ignored;
  if (keep == "all" || !fs::exists(out + "/model.safetensors", ignored)) return;
  const std::string folder = Checkpoints(out).folder();
  // States first: a model without one is harmless, a state without its model is not.
  if (fs::exists(folder, ignored)) {
    const std::vector<std::string> files = list_folder(folder);
    for (const bool states : {true, false}) {
      for (const std::string& path : files) {
        if (path.ends_with(kStateSuffix) == states) fs::remove(path, ignored);
      }
    }
  }
  if (keep == "model") fs::remove(out + "/best.safetensors", ignored);
}

void put_state(const RunState& state, const ModelConfig& model, SafeTensors& content) {
  content.metadata["state"] = to_json(state).dump();
  content.metadata["model"] = to_json(model).dump();
}

RunState get_state(const SafeTensors& content, ModelConfig& model) {
  model = parse_metadata<ModelConfig>(content, "model");
  return parse_metadata<RunState>(content, "state");
}

void seal_state(SafeTensors& content) { content.metadata[kSealKey] = seal_of(content); }

void check_seal(const SafeTensors& content) {
  const auto seal = content.metadata.find(kSealKey);
  check(seal == content.metadata.end() || seal->second == seal_of(content), content.source,
        ": it is damaged: its content does not have the checksum that was written with it");
}

}  // namespace kind
