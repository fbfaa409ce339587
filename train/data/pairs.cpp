#include "train/data/pairs.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "train/data/camera.h"

namespace kind {
namespace {

Image as_rgb8(Image image) {
  if (image.channels == 3 && image.bits == 8) return image;
  return to_image(to_tensor(image));
}

std::uint64_t hash_bytes(std::uint64_t hash, const std::uint8_t* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; i += 8) {
    std::uint64_t word = 0;
    for (std::size_t j = i; j < std::min(count, i + 8); ++j) word = word << 8 | bytes[j];
    hash = (hash ^ word) * 0x100000001B3;
    hash ^= hash >> 29;
  }
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
  return source.synthesize ? find_bright(source.root) : find_pairs(source.root);
}

}  // namespace

Pairs::Pairs(const DataConfig& config, std::int64_t smallest_side, std::uint64_t seed) : config_(config), seed_(seed) {
  for (const SourceConfig& given : config.all()) {
    Source source{given, find_folder(given), pairs_.size(), {}, {}, {}, 0};
    const std::string prefix = config.sources.size() > 1 ? given.name + "/" : "";
    for (const PairFolder::Pair& pair : source.folder.pairs) {
      pairs_.push_back({prefix + pair.stem, 0, 0, sources_.size()});
    }
    sources_.push_back(std::move(source));
  }
  read_all(smallest_side);
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
  share_turns();
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
  const std::uint64_t picture = (index - source.first) | of_source << 32;
  Random random = draw == 0 ? Random(seed_, {kTwinStream, picture}) : Random(seed_, {kTwinStream, picture, draw});
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
  pictures.high = as_rgb8(read_image(files(index).high));
  const bool made = sources_[pairs_[index].source].config.synthesize.has_value();
  pictures.low = made ? darken_pair(index, pictures.high, 0) : as_rgb8(read_image(files(index).low));
  return pictures;
}

void Pairs::read_all(std::int64_t smallest_side) {
  const std::size_t count = pairs_.size();
  const std::size_t limit = static_cast<std::size_t>(config_.memory_mb) << 20;
  kept_.resize(count);
  content_.resize(count);
  std::vector<std::uint64_t> hashes(count);
  std::vector<std::string> found(count);
  std::size_t bytes = 0;
  // A few at a time, so that what is beyond the limit never piles up.
  constexpr std::size_t kAtOnce = 16;
  for (std::size_t first = 0; first < count; first += kAtOnce) {
    const std::size_t end = std::min(count, first + kAtOnce);
    parallel_for(static_cast<std::int64_t>(end - first), 1, [&](std::int64_t b, std::int64_t e) {
      for (std::size_t i = first + static_cast<std::size_t>(b); i < first + static_cast<std::size_t>(e); ++i) {
        const std::string& stem = files(i).stem;
        try {
          kept_[i] = read(i);
        } catch (const Error& error) {
          found[i] = stem + ": " + error.what();
          continue;
        }
        const Image &low = kept_[i].low, &high = kept_[i].high;
        pairs_[i].width = high.width;
        pairs_[i].height = high.height;
        hashes[i] = hash_pictures(stem, kept_[i]);
        content_[i] = hash_content(stem, kept_[i], !sources_[pairs_[i].source].config.synthesize);
        if (low.width != high.width || low.height != high.height) {
          found[i] =
              join(stem, ": ", low.width, "x", low.height, " dark and ", high.width, "x", high.height, " bright");
        } else if (std::min(high.width, high.height) < smallest_side) {
          found[i] = join(stem, ": ", high.width, "x", high.height, " is smaller than the patches, ", smallest_side,
                          "x", smallest_side);
        }
      }
    });
    for (std::size_t i = first; i < end; ++i) {
      bytes += kept_[i].low.data.size() + kept_[i].high.data.size();
      if (bytes > limit) kept_[i] = Pictures();
    }
  }
  for (const Source& source : sources_) {
    std::vector<std::string> problems = source.folder.problems;
    for (std::size_t i = source.first; i < source.first + source.folder.pairs.size(); ++i) {
      if (!found[i].empty()) problems.push_back(found[i]);
    }
    check_no_problems(source.config.root, problems);
  }
  for (const std::uint64_t hash : hashes) fingerprint_ = mix64(fingerprint_ ^ hash);
}

const Pairs::Pictures& Pairs::pictures(std::size_t index) const {
  if (!kept_[index].high.data.empty()) return kept_[index];
  if (last_index_ != index) {
    last_index_.reset();
    last_ = read(index);
    last_index_ = index;
  }
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
    for (std::size_t i = 0; i < count; ++i) (hold[i] ? source.validation : source.train).push_back(i);
  }
  check(!source.train.empty() || config.weight == 0, "data: ", config.root, " leaves no pair to train on");
  for (auto* part : {&source.train, &source.validation, &source.test}) {
    for (std::size_t& index : *part) index += source.first;
  }
}

/// Rounds each source's share of kTurns so that they add up: down, then what is left goes to the largest remainders;
/// no source that trains is left without a turn.
void Pairs::share_turns() {
  double sum = 0;
  for (const Source& source : sources_) sum += source.config.weight;
  std::vector<std::pair<double, std::size_t>> remainders;
  std::int64_t left = kTurns;
  for (std::size_t s = 0; s < sources_.size(); ++s) {
    const double weight = sources_[s].config.weight;
    if (weight == 0) continue;
    const double wanted = static_cast<double>(kTurns) * (weight / sum);
    sources_[s].turns = std::max<std::int64_t>(1, static_cast<std::int64_t>(wanted));
    left -= sources_[s].turns;
    remainders.emplace_back(static_cast<double>(sources_[s].turns) - wanted, s);
  }
  std::sort(remainders.begin(), remainders.end());
  // Below 0 where sources of hardly any weight have taken a turn each: the one with most gives them.
  for (std::size_t i = 0; left > 0; ++i, --left) ++sources_[remainders[i % remainders.size()].second].turns;
  const auto most = std::max_element(sources_.begin(), sources_.end(),
                                     [](const Source& a, const Source& b) { return a.turns < b.turns; });
  most->turns += left;
  check(most->turns > 0, "data.sources: ", sources_.size(), " sources are too many, expected fewer than ", kTurns);
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
