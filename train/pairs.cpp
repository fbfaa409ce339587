#include "train/pairs.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/base/random.h"
#include "train/camera.h"

namespace kind {
namespace {

namespace fs = std::filesystem;

// Sorted by number where both stems are numbers, so that neighbours in a sequence stay neighbours.
struct NaturalOrder {
  bool operator()(const std::string& a, const std::string& b) const {
    const auto number = [](const std::string& s) {
      return !s.empty() && s.size() < 18 && std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isdigit(c); });
    };
    if (number(a) && number(b) && std::stoll(a) != std::stoll(b)) return std::stoll(a) < std::stoll(b);
    return a < b;
  }
};

using Files = std::map<std::string, std::string, NaturalOrder>;  // path by stem

/// The pictures of a folder by stem, without the prefix that LOL v2 gives them.
Files list_pictures(const fs::path& folder, const std::vector<std::string>& prefixes, std::vector<std::string>& problems) {
  Files files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string path = entry.path().string();
    if (!entry.is_regular_file() || !has_image_extension(path)) continue;
    std::string stem = entry.path().stem().string();
    for (const std::string& prefix : prefixes) {
      if (stem.size() > prefix.size() && stem.compare(0, prefix.size(), prefix) == 0) {
        stem = stem.substr(prefix.size());
        break;
      }
    }
    const auto [at, fresh] = files.emplace(stem, path);
    if (!fresh) problems.push_back(stem + ": both " + at->second + " and " + path + " have this name");
  }
  return files;
}

/// The first of the names that is a folder in root; empty where none is.
fs::path find_folder(const fs::path& root, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (fs::is_directory(root / name)) return root / name;
  }
  return {};
}

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

std::string list_of(const std::vector<std::string>& problems) {
  std::string text;
  for (const std::string& problem : problems) text += (text.empty() ? "" : "; ") + problem;
  return text;
}

}  // namespace

Pairs::Pairs(const DataConfig& config, std::int64_t smallest_side, std::uint64_t seed) : config_(config), seed_(seed) {
  const fs::path root(config_.root);
  check(fs::is_directory(root), "data: there is no folder ", config_.root,
        "; the LOL data set is had from its authors' page (https://daooshee.github.io/BMVC2018website/): point to its "
        "folder of low/ and high/ with --data DIR. To train without it: kind-train configs/quick.json darkens the "
        "photographs in docs/samples");
  std::vector<std::string> problems;
  try {
    find(problems);
  } catch (const fs::filesystem_error& error) {
    fail("data: ", config_.root, " cannot be listed: ", error.code().message());
  }
  read_all(smallest_side, problems);
  check(problems.empty(), "data: ", config_.root, ": ", problems.size(),
        problems.size() == 1 ? " pair is" : " pairs are", " unusable: ", list_of(problems));
  split();
}

void Pairs::find(std::vector<std::string>& problems) {
  const fs::path root(config_.root);
  const fs::path high_folder = find_folder(root, {"high", "High", "Normal", "normal"});
  if (config_.synthesize) {
    const fs::path folder = high_folder.empty() ? root : high_folder;
    for (const auto& [stem, path] : list_pictures(folder, {"high", "normal"}, problems)) {
      pairs_.push_back({stem, 0, 0, {}, {}});
      sources_.push_back({"", path});
    }
    check(!pairs_.empty() || !problems.empty(), "data: there are no pictures in ", folder.string());
    return;
  }
  const fs::path low_folder = find_folder(root, {"low", "Low"});
  check(!low_folder.empty() && !high_folder.empty(), "data: expected folders low/ and high/ (or Low/ and Normal/) in ",
        config_.root, low_folder.empty() ? ", found no dark one" : ", found no bright one",
        "; bright photographs alone train with \"synthesize\" in data");
  const Files low = list_pictures(low_folder, {"low"}, problems), high = list_pictures(high_folder, {"high", "normal"}, problems);
  for (const auto& [stem, path] : low) {
    const auto twin = high.find(stem);
    if (twin == high.end()) {
      problems.push_back(stem + ": " + path + " has no twin in " + high_folder.string());
      continue;
    }
    pairs_.push_back({stem, 0, 0, {}, {}});
    sources_.push_back({path, twin->second});
  }
  for (const auto& [stem, path] : high) {
    if (!low.count(stem)) problems.push_back(stem + ": " + path + " has no twin in " + low_folder.string());
  }
  check(!pairs_.empty() || !problems.empty(), "data: there are no pictures in ", config_.root);
}

Pairs::Pictures Pairs::read(std::size_t index) const {
  const Source& source = sources_[index];
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
  const fs::path file = fs::path(config_.root) / "split.json";
  if (fs::exists(file)) {
    const nlohmann::json lists = read_json_file(file.string());
    check(lists.is_object(), file.string(), ": expected an object of lists \"train\", \"validation\", \"test\"");
    std::map<std::string, std::size_t> by_stem;
    for (std::size_t i = 0; i < pairs_.size(); ++i) by_stem[pairs_[i].stem] = i;
    std::set<std::string> used;
    for (const char* name : {"train", "validation", "test"}) {
      const auto list = lists.find(name);
      if (list == lists.end()) continue;
      check(list->is_array(), file.string(), ": ", name, ": expected a list of names");
      for (const nlohmann::json& entry : *list) {
        check(entry.is_string() || entry.is_number_unsigned(), file.string(), ": ", name, ": expected names, got ",
              entry.dump());
        const std::string stem = entry.is_string() ? entry.get<std::string>() : entry.dump();
        const auto found = by_stem.find(stem);
        check(found != by_stem.end(), file.string(), ": ", name, ": there is no pair ", stem);
        check(used.insert(stem).second, file.string(), ": ", name, ": pair ", stem, " is listed twice");
        if (name == std::string("train")) train_.push_back(found->second);
        if (name == std::string("validation")) validation_.push_back(found->second);
      }
    }
    std::sort(train_.begin(), train_.end());
    std::sort(validation_.begin(), validation_.end());
  } else {
    // Neighbours are often the same scene, so whole runs of names are held back, spread over the list.
    constexpr std::size_t kRuns = 3;
    const std::size_t count = pairs_.size(), held = static_cast<std::size_t>(config_.validation);
    check(held < count, "data.validation: cannot hold back ", held, " of ", count, " pairs and train on the rest");
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
  for (std::int64_t c = 0; c < s[0]; ++c) {
    const float* from = planes.data() + c * size * size;
    float* to = result.data() + c * size * size;
    for (std::int64_t i = 0; i < size; ++i) {
      for (std::int64_t j = 0; j < size; ++j) {
        // Where (i, j) of the result comes from: undo the flip, then each quarter turn.
        std::int64_t y = mode % 2 ? size - 1 - i : i, x = j;
        for (int turn = 0; turn < mode / 2; ++turn) {
          const std::int64_t before = y;
          y = x;
          x = size - 1 - before;
        }
        to[i * size + j] = from[y * size + x];
      }
    }
  }
  return result;
}

}  // namespace kind
