#include "train/pairs.h"

#include <algorithm>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "train/camera.h"

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

std::uint64_t hash_pictures(const std::string& stem, const Pairs::Pictures& pictures) {
  std::uint64_t hash = hash_bytes(0xCBF29CE484222325, reinterpret_cast<const std::uint8_t*>(stem.data()), stem.size());
  hash = hash_bytes(hash, pictures.low.data.data(), pictures.low.data.size());
  return hash_bytes(hash, pictures.high.data.data(), pictures.high.data.size());
}

Pairs::Range range_of(const Image& image) {
  const auto [low, high] = std::minmax_element(image.data.begin(), image.data.end());
  return {static_cast<float>(*low) / 255.0f, static_cast<float>(*high) / 255.0f};
}

}  // namespace

Pairs::Pairs(const DataConfig& config, std::int64_t smallest_side, std::uint64_t seed)
    : config_(config), seed_(seed), folder_(config.synthesize ? find_bright(config.root) : find_pairs(config.root)) {
  for (const PairFolder::Pair& pair : folder_.pairs) pairs_.push_back({pair.stem, 0, 0, {}, {}});
  std::vector<std::string> problems = folder_.problems;
  read_all(smallest_side, problems);
  check_no_problems(config_.root, problems);
  split();
}

Pairs::Pictures Pairs::read(std::size_t index) const {
  const PairFolder::Pair& source = folder_.pairs[index];
  Pictures pictures;
  pictures.high = as_rgb8(read_image(source.high));
  if (config_.synthesize) {
    Random random(seed_, {0xCA3E7A, index});
    pictures.low = darken(pictures.high, *config_.synthesize, random);
  } else {
    pictures.low = as_rgb8(read_image(source.low));
  }
  return pictures;
}

void Pairs::read_all(std::int64_t smallest_side, std::vector<std::string>& problems) {
  const std::size_t count = pairs_.size();
  const std::size_t limit = static_cast<std::size_t>(config_.memory_mb) << 20;
  kept_.resize(count);
  std::vector<std::uint64_t> hashes(count);
  std::vector<std::string> found(count);
  std::size_t bytes = 0;
  // A few at a time, so that what is beyond the limit never piles up.
  constexpr std::size_t kAtOnce = 16;
  for (std::size_t first = 0; first < count; first += kAtOnce) {
    const std::size_t end = std::min(count, first + kAtOnce);
    parallel_for(static_cast<std::int64_t>(end - first), 1, [&](std::int64_t b, std::int64_t e) {
      for (std::size_t i = first + static_cast<std::size_t>(b); i < first + static_cast<std::size_t>(e); ++i) {
        try {
          kept_[i] = read(i);
        } catch (const Error& error) {
          found[i] = pairs_[i].stem + ": " + error.what();
          continue;
        }
        const Image &low = kept_[i].low, &high = kept_[i].high;
        pairs_[i].width = high.width;
        pairs_[i].height = high.height;
        pairs_[i].low = range_of(low);
        pairs_[i].high = range_of(high);
        hashes[i] = hash_pictures(pairs_[i].stem, kept_[i]);
        if (low.width != high.width || low.height != high.height) {
          found[i] = join(pairs_[i].stem, ": ", low.width, "x", low.height, " dark and ", high.width, "x", high.height,
                          " bright");
        } else if (std::min(high.width, high.height) < smallest_side) {
          found[i] = join(pairs_[i].stem, ": ", high.width, "x", high.height, " is smaller than the patches, ",
                          smallest_side, "x", smallest_side);
        }
      }
    });
    for (std::size_t i = first; i < end; ++i) {
      bytes += kept_[i].low.data.size() + kept_[i].high.data.size();
      if (bytes > limit) kept_[i] = Pictures();
    }
  }
  for (const std::string& problem : found) {
    if (!problem.empty()) problems.push_back(problem);
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

void Pairs::split() {
  if (const std::optional<Split> split = read_split(folder_)) {
    train_ = split->train;
    validation_ = split->validation;
  } else {
    // Neighbours are often the same scene, so whole runs of names are held back, spread over the list.
    constexpr std::size_t kRuns = 3;
    const std::size_t count = pairs_.size(), held = static_cast<std::size_t>(config_.validation);
    check(held < count, "data.validation: cannot hold back ", held, " of ", count,
          " pairs and train on the rest; hold back fewer with --set data.validation=N");
    std::vector<bool> hold(count, false);
    const std::size_t runs = std::min(kRuns, held);
    for (std::size_t run = 0; run < runs; ++run) {
      const std::size_t length = held * (run + 1) / runs - held * run / runs;
      const std::size_t first = count * (run + 1) / runs - length;
      std::fill_n(hold.begin() + static_cast<std::ptrdiff_t>(first), length, true);
    }
    for (std::size_t i = 0; i < count; ++i) (hold[i] ? validation_ : train_).push_back(i);
  }
  check(!train_.empty(), "data: ", config_.root, " leaves no pair to train on");
}

Tensor<float> flip_rotate(const Tensor<float>& planes, int mode) {
  const Shape& s = planes.shape();
  check(s.rank() == 3 && s[1] == s[2], "flip_rotate: expected square planes [c, s, s], got ", s.text());
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
