#include "train/trainer/provenance.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/base/hash.h"
#include "core/base/random.h"
#include "core/files/file.h"
#include "core/kernels/kernels.h"

namespace kind {

extern const char* const kSourceCommit;  // in a file that train/trainer/commit.cmake writes

namespace {

using nlohmann::ordered_json;

std::string compiler_name() {
#if defined(__clang__)
  return join("clang ", __clang_major__, ".", __clang_minor__, ".", __clang_patchlevel__);
#elif defined(__GNUC__)
  return join("gcc ", __GNUC__, ".", __GNUC_MINOR__, ".", __GNUC_PATCHLEVEL__);
#else
  return "unknown";
#endif
}

ordered_json describe_source(const Pairs& pairs, const Pairs::Source& source, std::uint64_t& all) {
  const std::size_t count = source.folder.pairs.size();
  std::uint64_t pixels = count, split = 0;
  for (std::size_t i = 0; i < count; ++i) pixels = mix64(pixels ^ pairs.content_hash(source.first + i));
  for (const auto* part : {&source.train, &source.validation, &source.test}) {
    split = mix64(split ^ part->size());
    for (const std::size_t index : *part) {
      const std::string& stem = source.folder.pairs[index - source.first].stem;
      split = mix64(split ^ fnv1a(stem));
    }
  }
  all = mix64(all ^ pixels);
  return {{"name", source.config.name},
          {"hash", hash_text(pixels)},
          {"pairs", count},
          {"train", source.train.size()},
          {"validation", source.validation.size()},
          {"test", source.test.size()},
          {"split", hash_text(split)},
          {"dark", source.config.synthesize ? "camera model" : "files"}};
}

}  // namespace

ordered_json make_provenance(const TrainConfig& config, const Pairs& pairs) {
  ordered_json provenance{{"format", 1}};
  provenance["programs"].push_back({{"version", KIND_VERSION},
                                    {"commit", kSourceCommit},
                                    {"compiler", compiler_name()},
                                    {"kernels", current_isa()}});
  std::uint64_t all = 0;
  ordered_json sources = ordered_json::array();
  for (const Pairs::Source& source : pairs.sources()) sources.push_back(describe_source(pairs, source, all));
  provenance["data"] = {{"hash", hash_text(all)}, {"pairs", pairs.all().size()}, {"sources", std::move(sources)}};
  provenance["init"] = ordered_json::object();
  for (const StageConfig& stage : config.stages) {
    std::error_code ignored;  // a stage that was begun before a stop does not need its file any more
    if (!stage.init || !std::filesystem::exists(*stage.init, ignored)) continue;
    const std::vector<std::uint8_t> bytes = read_file(*stage.init);
    const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    provenance["init"][stage.name] = hash_text(mix64(fnv1a(content)));
  }
  return provenance;
}

ordered_json joined_provenance(const ordered_json& before, const ordered_json& now) {
  if (before.is_null()) return now;
  ordered_json joined = now;
  joined["programs"] = before.at("programs");
  if (joined["programs"].back() != now.at("programs").back()) joined["programs"].push_back(now["programs"].back());
  joined["init"].update(before.at("init"));
  return joined;
}

std::string data_difference(const ordered_json& before, const ordered_json& now) {
  if (before.is_null() || now.is_null() || before.at("data") == now.at("data")) return "";
  const ordered_json &then = before["data"]["sources"], &here = now["data"]["sources"];
  if (then.size() != here.size())
    return counted(then.size(), "source") + " then, " + std::to_string(here.size()) + " now";
  for (std::size_t i = 0; i < then.size(); ++i) {
    const std::string name = here[i].at("name").get<std::string>();
    const std::string source = name.empty() ? "" : "source " + name + ": ";
    const auto number = [](const ordered_json& of, const char* key) { return of.at(key).get<std::uint64_t>(); };
    for (const auto& [key, what] : {std::pair("pairs", "pair"), std::pair("train", "pair to train on"),
                                    std::pair("validation", "validation pair"), std::pair("test", "test pair")}) {
      if (then[i].at(key) == here[i].at(key)) continue;
      const std::uint64_t count = number(then[i], key);
      const std::string plural = std::string(key) == "train" ? "pairs to train on" : std::string(what) + "s";
      return join(source, count, " ", count == 1 ? what : plural, " then, ", number(here[i], key), " now");
    }
    if (then[i].at("hash") != here[i].at("hash"))
      return source + "names, sizes or pixels of the pictures are others now";
    if (then[i].at("split") != here[i].at("split")) return source + "other pairs are held back now";
    if (then[i] != here[i]) return source + "it is another source now";
  }
  return "";
}

ordered_json read_provenance(const std::string& out) {
  const std::string path = out + "/provenance.json";
  std::error_code error;  // other than "not there" is for reading to complain of
  if (!std::filesystem::exists(path, error) && !error) return nullptr;
  const std::vector<std::uint8_t> bytes = read_file(path);
  const std::string text(bytes.begin(), bytes.end());
  parse_json(text, path);                               // complains with line and column
  ordered_json provenance = ordered_json::parse(text);  // keys in their order, which comparing looks at
  const auto is_list = [](const ordered_json& of, const char* key) {
    return of.is_object() && of.contains(key) && of[key].is_array() && !of[key].empty();
  };
  check(is_list(provenance, "programs") && provenance.contains("data") && is_list(provenance["data"], "sources") &&
            provenance.contains("init") && provenance["init"].is_object(),
        path, ": it is not what kind-train writes");
  return provenance;
}

std::string program_text(const ordered_json& program) {
  const auto text = [&program](const char* key) { return program.value(key, std::string("unknown")); };
  return "kind " + text("version") + ", commit " + text("commit") + ", " + text("compiler") + ", " + text("kernels") +
         " kernels";
}

}  // namespace kind
