#include "train/data/pairs.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "core/image/color.h"
#include "train/data/camera.h"

namespace kind {
namespace {

/// With the bits that it has.
Image as_rgb(Image image) {
  if (image.channels == 3) return image;
  return to_image(to_tensor(image), image.bits);
}

std::uint64_t hash_bytes(std::uint64_t hash, const std::uint8_t* bytes, std::size_t count) {
  const auto add = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * 0x100000001B3;
    hash ^= hash >> 29;
  };
  std::size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    std::uint64_t word;
    std::memcpy(&word, bytes + i, sizeof word);
    add(__builtin_bswap64(word));  // the first byte is the highest
  }
  std::uint64_t rest = 0;
  for (std::size_t j = i; j < count; ++j) rest = rest << 8 | bytes[j];
  if (i < count) add(rest);
  return hash;
}

std::uint64_t hash_text(const std::string& text) {
  return hash_bytes(0xCBF29CE484222325, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
}

std::uint64_t hash_pictures(const std::string& stem, const Pairs::Pictures& pictures) {
  const std::uint64_t hash = hash_bytes(hash_text(stem), pictures.low.data.data(), pictures.low.data.size());
  return hash_bytes(hash, pictures.high.data.data(), pictures.high.data.size());
}

/// `dark`: the dark picture is a file, too.
std::uint64_t hash_content(const std::string& stem, const Pairs::Pictures& pictures, bool dark) {
  std::uint64_t hash = mix64(hash_text(stem));
  for (const Image* image : {&pictures.low, &pictures.high}) {
    if (image == &pictures.low && !dark) continue;
    hash = mix64(hash ^ (static_cast<std::uint64_t>(image->width) << 32 | static_cast<std::uint32_t>(image->height)));
    hash = mix64(hash_bytes(hash, image->data.data(), image->data.size()));
  }
  return hash;
}

PairFolder find_folder(const SourceConfig& source) {
  check(!source.root.empty(), "data.sources.", source.name, ".root: missing; name the folder there or with --data ",
        source.name, "=DIR");
  return source.synthesize ? find_bright(source.root, source.patterns()) : find_pairs(source.root, source.patterns());
}

/// What the results of checking a source depend on beside its files.
std::string dependencies(const SourceConfig& source, std::size_t index, std::uint64_t seed) {
  std::error_code error;
  std::string text = join(KIND_VERSION, "\n", image_codec_names(), has_color_management() ? " sRGB\n" : "\n",
                          std::filesystem::absolute(source.root, error).native(), "\n", source.low, "\n", source.high);
  if (source.synthesize) text += join("\n", index, " ", seed, " ", to_json(*source.synthesize).dump());
  return text;
}

}  // namespace

Pairs::Pairs(const DataConfig& config, std::int64_t smallest_side, std::uint64_t seed, const PairsOptions& options)
    : config_(config), seed_(seed) {
  for (const SourceConfig& given : config.all()) {
    Source source{given, find_folder(given), pairs_.size(), {}, {}, {}, 0};
    const std::string prefix = config.sources.size() > 1 ? given.name + "/" : "";
    for (const PairFolder::Pair& pair : source.folder.pairs) {
      pairs_.push_back({prefix + pair.stem, 0, 0, sources_.size(), pairs_.size() - source.first});
    }
    caches_.push_back(std::make_unique<CheckCache>(options.cache, dependencies(given, sources_.size(), seed)));
    sources_.push_back(std::move(source));
  }
  leave_out(check_all(smallest_side, options));
  for (const PairCheck& result : checks_) fingerprint_ = mix64(fingerprint_ ^ result.pixels);
  for (Source& source : sources_) {
    split(source);
    if (source.config.weight > 0) train_.insert(train_.end(), source.train.begin(), source.train.end());
    validation_.insert(validation_.end(), source.validation.begin(), source.validation.end());
    if (config.sources.empty()) continue;
    for (const auto* part : {&source.train, &source.validation, &source.test}) {
      fingerprint_ = mix64(fingerprint_ ^ part->size());
      for (const std::size_t index : *part) fingerprint_ = mix64(fingerprint_ ^ index);
    }
  }
  std::vector<double> weights;
  for (const Source& source : sources_) weights.push_back(source.config.weight);
  const std::vector<std::int64_t> turns = shared_turns(weights);
  for (std::size_t s = 0; s < sources_.size(); ++s) sources_[s].turns = turns[s];
}

const PairFolder::Pair& Pairs::files(std::size_t index) const {
  const Source& source = sources_[pairs_[index].source];
  return source.folder.pairs[index - source.first];
}

Image Pairs::darken_pair(std::size_t index, const Image& high, std::uint64_t draw) const {
  constexpr std::uint64_t kTwinStream = 0xCA3E7A;
  const std::uint64_t of_source = pairs_[index].source;
  const Source& source = sources_[of_source];
  // Draw 0 is the one twin that a picture keeps; its stream has been this one since before there were others.
  const std::uint64_t picture = pairs_[index].number | of_source << 32;
  Random random = draw == 0 ? Random(seed_, {kTwinStream, picture}) : Random(seed_, {kTwinStream, picture, draw});
  // The camera model gives 8 bits of what it takes as 8 bits.
  if (high.bits == 16) return darken(to_image(to_tensor(high)), *source.config.synthesize, random);
  return darken(high, *source.config.synthesize, random);
}

bool Pairs::fresh(std::size_t index) const {
  const std::optional<CameraConfig>& camera = sources_[pairs_[index].source].config.synthesize;
  return camera && camera->fresh;
}

Image Pairs::dark_twin(std::size_t index, std::uint64_t draw) const {
  return darken_pair(index, pictures(index).high, draw);
}

Pairs::Pictures Pairs::read(std::size_t index) const {
  Pictures pictures;
  pictures.high = as_rgb(read_srgb(files(index).high).image);
  const bool made = sources_[pairs_[index].source].config.synthesize.has_value();
  pictures.low = made ? darken_pair(index, pictures.high, 0) : as_rgb(read_srgb(files(index).low).image);
  return pictures;
}

PairCheck Pairs::check_of(std::size_t index, const Pictures& pictures) const {
  const std::string& stem = files(index).stem;
  const bool dark_file = !sources_[pairs_[index].source].config.synthesize;
  return {pictures.low.width,   pictures.low.height,           pictures.high.width,
          pictures.high.height, hash_pictures(stem, pictures), hash_content(stem, pictures, dark_file)};
}

bool Pairs::keep(std::size_t index, Pictures& pictures) const {
  const std::size_t limit = static_cast<std::size_t>(config_.memory_mb) << 20;
  const std::size_t bytes = pictures.low.data.size() + pictures.high.data.size();
  if (kept_bytes_.fetch_add(bytes) + bytes > limit) {
    kept_bytes_ -= bytes;
    return false;
  }
  kept_[index] = std::move(pictures);
  return true;
}

std::vector<std::string> Pairs::check_all(std::int64_t smallest_side, const PairsOptions& options) {
  const std::size_t count = pairs_.size();
  kept_.resize(count);
  checks_.resize(count);
  std::vector<std::string> found(count);
  std::mutex mutex;
  std::size_t done = 0;
  const auto check_pair = [&](std::size_t i) {
    const PairFolder::Pair& pair = files(i);
    CheckCache& cache = *caches_[pairs_[i].source];
    PairCheck& result = checks_[i];
    try {
      std::vector<std::string> paths{pair.high};
      if (!pair.low.empty()) paths.push_back(pair.low);
      const std::optional<std::uint64_t> key = cache.key_of(paths, join(pair.stem, "\n", pairs_[i].number));
      const std::optional<PairCheck> before = key ? cache.find(*key) : std::nullopt;
      if (before) {
        result = *before;
      } else {
        Pictures pictures = read(i);
        result = check_of(i, pictures);
        keep(i, pictures);
        if (key) cache.put(*key, result);
      }
    } catch (const Error& error) {
      found[i] = pair.stem + ": " + error.what();
      return;
    }
    const int width = pairs_[i].width = result.high_width, height = pairs_[i].height = result.high_height;
    if (result.low_width != width || result.low_height != height) {
      found[i] =
          join(pair.stem, ": ", result.low_width, "x", result.low_height, " dark and ", width, "x", height, " bright");
    } else if (std::min(width, height) < smallest_side) {
      found[i] = join(pair.stem, ": ", width, "x", height, " is smaller than the patches, ", smallest_side, "x",
                      smallest_side);
    }
  };
  parallel_for(static_cast<std::int64_t>(count), 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      check_pair(static_cast<std::size_t>(i));
      const std::lock_guard lock(mutex);
      ++done;
      if (options.progress) options.progress(done, count);
    }
  });
  for (const auto& cache : caches_) cache->save();
  return found;
}

void Pairs::leave_out(const std::vector<std::string>& found) {
  std::vector<Pair> pairs;
  std::vector<Pictures> kept;
  std::vector<PairCheck> checks;
  for (Source& source : sources_) {
    std::vector<std::string> problems = source.folder.problems;
    std::vector<PairFolder::Pair> usable;
    const std::size_t first = pairs.size();
    for (std::size_t k = 0; k < source.folder.pairs.size(); ++k) {
      const std::size_t i = source.first + k;
      if (!found[i].empty()) {
        problems.push_back(found[i]);
        source.folder.unusable.insert(source.folder.pairs[k].stem);
        kept_bytes_ -= kept_[i].low.data.size() + kept_[i].high.data.size();
        continue;
      }
      usable.push_back(source.folder.pairs[k]);
      pairs.push_back(pairs_[i]);
      kept.push_back(std::move(kept_[i]));
      checks.push_back(checks_[i]);
    }
    if (!config_.skip_unusable || usable.empty()) {
      check_no_problems(source.config.root, problems, usable.empty() ? "" : "; --skip-unusable trains without them");
    }
    const std::string prefix = sources_.size() > 1 ? source.config.name + "/" : "";
    for (const std::string& problem : problems) left_out_.push_back(prefix + problem);
    source.first = first;
    source.folder.pairs = std::move(usable);
  }
  pairs_ = std::move(pairs);
  kept_ = std::move(kept);
  checks_ = std::move(checks);
}

const Pairs::Pictures& Pairs::pictures(std::size_t index) const {
  if (!kept_[index].high.data.empty()) return kept_[index];
  if (last_index_ == index) return last_;
  last_index_.reset();
  last_ = read(index);
  if (check_of(index, last_) != checks_[index]) {
    caches_[pairs_[index].source]->forget();
    fail("data: ", files(index).high, files(index).low.empty() ? "" : " or " + files(index).low,
         ": its pixels are not those that were checked: it has changed, or other libraries decode it now. Leave the "
         "pictures as they are while a run goes on, and start again");
  }
  if (keep(index, last_)) return kept_[index];
  last_index_ = index;
  return last_;
}

void Pairs::split(Source& source) {
  const SourceConfig& config = source.config;
  const std::optional<Split> split =
      config.split_file ? read_split_file(source.folder, *config.split_file) : read_split(source.folder);
  const std::size_t count = source.folder.pairs.size();
  if (config.split == "all") {
    std::vector<bool> used(count, true);
    if (split) {
      for (const std::size_t i : split->test) used[i] = false;
      source.test = split->test;
    }
    for (std::size_t i = 0; i < count; ++i) {
      if (used[i]) source.train.push_back(i);
    }
  } else if (split) {
    source.train = split->train;
    source.validation = split->validation;
    source.test = split->test;
  } else {
    // Neighbours are often the same scene, so whole runs of names are held back, spread over the list.
    constexpr std::size_t kRuns = 3;
    const std::size_t held = static_cast<std::size_t>(config.validation);
    const std::string key = join("data.", config_.sources.empty() ? "" : "sources." + config.name + ".", "validation");
    check(held < count, key, ": cannot hold back ", held, " of ", count,
          " pairs and train on the rest; hold back fewer with --set ", key, "=N");
    std::vector<bool> hold(count, false);
    const std::size_t runs = std::min(kRuns, held);
    for (std::size_t run = 0; run < runs; ++run) {
      const std::size_t length = held * (run + 1) / runs - held * run / runs;
      const std::size_t first = count * (run + 1) / runs - length;
      std::fill_n(hold.begin() + static_cast<std::ptrdiff_t>(first), length, true);
    }
    // Pairs of one bright picture are one scene, which is either trained on or held back.
    std::set<std::string> scenes;
    for (std::size_t i = 0; i < count; ++i) {
      if (hold[i]) scenes.insert(source.folder.pairs[i].high);
    }
    for (std::size_t i = 0; i < count; ++i) {
      (scenes.contains(source.folder.pairs[i].high) ? source.validation : source.train).push_back(i);
    }
  }
  check(!source.train.empty() || config.weight == 0, "data: ", config.root, " leaves no pair to train on");
  for (auto* part : {&source.train, &source.validation, &source.test}) {
    for (std::size_t& index : *part) index += source.first;
  }
}

// Rounded down, then what is left goes to the largest remainders.
std::vector<std::int64_t> Pairs::shared_turns(const std::vector<double>& weights) {
  double sum = 0;
  for (const double weight : weights) sum += weight;
  check(sum > 0, "data.sources: every weight is 0, expected a source to train on");
  std::vector<std::int64_t> turns(weights.size(), 0);
  std::vector<std::pair<double, std::size_t>> remainders;
  std::int64_t left = kTurns;
  for (std::size_t s = 0; s < weights.size(); ++s) {
    if (weights[s] == 0) continue;
    const double wanted = static_cast<double>(kTurns) * (weights[s] / sum);
    turns[s] = std::max<std::int64_t>(1, static_cast<std::int64_t>(wanted));
    left -= turns[s];
    remainders.emplace_back(static_cast<double>(turns[s]) - wanted, s);
  }
  std::sort(remainders.begin(), remainders.end());
  // Below 0 where sources of hardly any weight have taken a turn each: the one with most gives them.
  for (std::size_t i = 0; left > 0; ++i, --left) ++turns[remainders[i % remainders.size()].second];
  const auto most = std::max_element(turns.begin(), turns.end());
  *most += left;
  check(*most > 0, "data.sources: ", weights.size(), " sources are too many, expected fewer than ", kTurns);
  return turns;
}

Tensor<float> flip_rotate(const Tensor<float>& planes, int mode) {
  const Shape& s = planes.shape();
  check(s.rank() == 3 && s[1] == s[2], "flip_rotate: expected square planes [c, s, s], got ", s);
  check(mode >= 0 && mode < 8, "flip_rotate: expected a mode from 0 to 7, got ", mode);
  const std::int64_t size = s[1];
  Tensor<float> result(s);
  // Element (i, j) of the result comes from start + i down + j right: undo the flip, then each quarter turn.
  const std::int64_t last = size - 1;
  std::int64_t start = 0, down = size, right = 1;
  switch (mode / 2) {
    case 1:
      start = last, down = -1, right = size;
      break;
    case 2:
      start = last * size + last, down = -size, right = -1;
      break;
    case 3:
      start = last * size, down = 1, right = -size;
      break;
    default:
      break;
  }
  if (mode % 2 == 1) {
    start += last * down;
    down = -down;
  }
  for (std::int64_t c = 0; c < s[0]; ++c) {
    const float* from = planes.data() + c * size * size + start;
    float* to = result.data() + c * size * size;
    for (std::int64_t i = 0; i < size; ++i, to += size) {
      const float* line = from + i * down;
      for (std::int64_t j = 0; j < size; ++j) to[j] = line[j * right];
    }
  }
  return result;
}

}  // namespace kind
