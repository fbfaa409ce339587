#include "train/trainer/export_pairs.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "core/base/count.h"
#include "core/base/error.h"
#include "core/files/file.h"
#include "train/data/pairs.h"

namespace kind {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

void export_source(const Pairs& pairs, const Pairs::Source& source, const std::string& folder) {
  for (const char* name : {"/low", "/high"}) {
    std::error_code error;
    fs::create_directories(folder + name, error);
    check(!error, folder, name, ": cannot be made: ", [&] { return error.message(); });
  }
  const auto stem_of = [&](std::size_t index) { return source.folder.pairs[index - source.first].stem; };
  for (std::size_t i = source.first; i < source.first + source.folder.pairs.size(); ++i) {
    const Pairs::Pictures& pictures = pairs.pictures(i);
    write_image(folder + "/low/" + stem_of(i) + ".png", pictures.low, ImageFormat::kPng);
    write_image(folder + "/high/" + stem_of(i) + ".png", pictures.high, ImageFormat::kPng);
  }
  ordered_json split;
  const std::pair<const char*, const std::vector<std::size_t>*> parts[] = {
      {"train", &source.train}, {"validation", &source.validation}, {"test", &source.test}};
  for (const auto& [name, indices] : parts) {
    split[name] = ordered_json::array();
    for (const std::size_t index : *indices) split[name].push_back(stem_of(index));
  }
  write_file_atomic(folder + "/split.json", split.dump(1) + "\n");
}

}  // namespace

void export_pairs(const TrainConfig& config, const std::string& out,
                  const std::function<void(const std::string&)>& message, const PairsOptions& options) {
  std::error_code error;
  check(!fs::exists(out, error) || fs::is_empty(out, error), out,
        ": there is something in it; name a new or an empty folder with --export-pairs");
  const std::vector<SourceConfig> sources = config.data.all();
  const auto count = std::count_if(sources.begin(), sources.end(), [](const auto& s) { return s.synthesize; });
  check(count > 0, "data: no source has \"synthesize\", so there are no dark pictures to make and export");
  const Pairs pairs(config.data, 1, static_cast<std::uint64_t>(config.seed), options);
  for (const Pairs::Source& source : pairs.sources()) {
    if (!source.config.synthesize) continue;
    const std::string folder = count > 1 ? out + "/" + source.config.name : out;
    export_source(pairs, source, folder);
    message(join(folder, ": ", counted(source.folder.pairs.size(), "pair")));
  }
}

}  // namespace kind
