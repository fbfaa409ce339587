#include "nets/data/pair_folder.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <system_error>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/files/file.h"
#include "core/image/image.h"

namespace kind {
namespace {

namespace fs = std::filesystem;

// Numbers come first, sorted by value, so that neighbours in a sequence stay neighbours.
struct NaturalOrder {
  bool operator()(const std::string& a, const std::string& b) const {
    const auto number = [](const std::string& s) {
      return !s.empty() && s.size() < 18 &&
             std::all_of(s.begin(), s.end(), [](unsigned char c) { return std::isdigit(c); });
    };
    if (number(a) != number(b)) return number(a);
    if (number(a) && std::stoll(a) != std::stoll(b)) return std::stoll(a) < std::stoll(b);
    return a < b;
  }
};

using Files = std::map<std::string, std::string, NaturalOrder>;  // path by stem

std::vector<std::string> pictures_in(const fs::path& folder) {
  std::vector<std::string> paths;
  for (const std::string& path : list_folder(folder.string())) {
    std::error_code ignored;  // of a link in a circle, which is no picture
    if (has_picture_name(path) && fs::is_regular_file(path, ignored)) paths.push_back(path);
  }
  return paths;
}

std::set<std::string> stems_in(const fs::path& folder) {
  std::set<std::string> stems;
  for (const std::string& path : pictures_in(folder)) stems.insert(fs::path(path).stem().string());
  return stems;
}

/// The pictures of a folder by stem, without the prefix that LOL v2 gives them; `whole` are stems to leave as they are.
Files list_pictures(const fs::path& folder, const std::vector<std::string>& prefixes,
                    const std::set<std::string>& whole, std::vector<std::string>& problems) {
  Files files;
  for (const std::string& path : pictures_in(folder)) {
    std::string stem = fs::path(path).stem().string();
    for (const std::string& prefix : prefixes) {
      if (whole.count(stem)) break;
      // A letter behind it would make it part of a word: highway.png.
      if (stem.size() > prefix.size() && stem.compare(0, prefix.size(), prefix) == 0 &&
          !std::isalpha(static_cast<unsigned char>(stem[prefix.size()]))) {
        stem = stem.substr(prefix.size());
        break;
      }
    }
    const auto [at, fresh] = files.emplace(stem, path);
    if (!fresh) problems.push_back(stem + ": both " + at->second + " and " + path + " have this name");
  }
  return files;
}

/// Whether there is such a folder; throws where that cannot be told.
bool is_folder(const fs::path& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  check(fs::status_known(status), "data: ", path.native(), ": ", [&] { return error.message(); });
  return fs::is_directory(status);
}

/// The first of the names that is a folder in root; empty where none is.
fs::path find_folder(const fs::path& root, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (is_folder(root / name)) return root / name;
  }
  return {};
}

fs::path bright_folder(const fs::path& root) {
  return find_folder(root, {"high", "High", "Normal", "normal", "gt", "GT", "target"});
}

fs::path dark_folder(const fs::path& root) { return find_folder(root, {"low", "Low", "lq", "LQ", "input"}); }

/// The fields of a line of a CSV file, as RFC 4180 has them but for fields of several lines.
std::vector<std::string> csv_fields(std::string line, const std::string& where) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted) {
      if (line[i] != '"') {
        fields.back() += line[i];
      } else if (i + 1 < line.size() && line[i + 1] == '"') {
        fields.back() += line[++i];
      } else {
        quoted = false;
      }
    } else if (line[i] == '"' && fields.back().empty()) {
      quoted = true;
    } else if (line[i] == ',') {
      fields.emplace_back();
    } else {
      fields.back() += line[i];
    }
  }
  check(!quoted, where, ": a quoted field has no end");
  return fields;
}

constexpr const char* kListName = "pairs.csv";

/// The pairs that a CSV file lists.
PairFolder read_list(const std::string& file) {
  constexpr std::uint64_t kMaxListBytes = std::uint64_t{64} << 20;
  const fs::path base = fs::path(file).parent_path();
  PairFolder folder{base.empty() ? "." : base.string(), {}, {}};
  const std::vector<std::uint8_t> bytes = read_file(file, kMaxListBytes);
  std::istringstream lines(std::string(bytes.begin(), bytes.end()));
  std::map<std::string, PairFolder::Pair, NaturalOrder> pairs;
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string where = join(file, ": line ", ++number);
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);  // spreadsheets' mark of UTF-8
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::vector<std::string> fields = csv_fields(line, where);
    if (number == 1 && fields[0] == "low") continue;  // a heading
    check(fields.size() == 2 || fields.size() == 3, where, ": expected LOW,HIGH or LOW,HIGH,NAME, got ", fields.size(),
          fields.size() == 1 ? " field" : " fields");
    check(!fields[0].empty() && !fields[1].empty(), where, ": expected the files of a dark and a bright picture");
    const std::string stem = fields.size() == 3 ? fields[2] : fs::path(fields[0]).stem().string();
    check(!stem.empty() && stem.find('/') == std::string::npos, where, ": expected a name without slashes, got \"",
          stem, "\"");
    const PairFolder::Pair pair{stem, (base / fields[0]).string(), (base / fields[1]).string()};
    if (!pairs.emplace(stem, pair).second) {
      folder.problems.push_back(stem + ": two pairs have this name; give them others in the third column");
    }
  }
  for (const auto& [stem, pair] : pairs) folder.pairs.push_back(pair);
  check(!folder.pairs.empty(), "data: there are no pairs in ", file);
  return folder;
}

/// The list of pairs that `root` is, or has in it; empty: none.
std::string list_of(const std::string& root) {
  std::error_code error;
  if (fs::is_regular_file(root, error) && fs::path(root).extension() == ".csv") return root;
  const fs::path inside = fs::path(root) / kListName;
  return fs::is_regular_file(inside, error) ? inside.string() : "";
}

void check_folder(const std::string& root) {
  check(is_folder(root), "data: there is no folder ", root,
        "; the LOL data set is available from its authors' page (https://daooshee.github.io/BMVC2018website/): point to its "
        "folder of low/ and high/ with --data DIR. To train without it: kind-train configs/quick.json darkens the "
        "photographs in docs/samples");
}

}  // namespace

PairFolder find_pairs(const std::string& root) {
  if (const std::string list = list_of(root); !list.empty()) return read_list(list);
  check_folder(root);
  const fs::path low_folder = dark_folder(root), high_folder = bright_folder(root);
  check(!low_folder.empty() && !high_folder.empty(),
        "data: expected folders low/ and high/ (or Low/ and Normal/, lq/ and gt/, input/ and target/) or a list ",
        kListName, " in ", root, low_folder.empty() ? ", found no dark one" : ", found no bright one",
        "; bright photographs alone train with \"synthesize\" in data");
  PairFolder folder{root, {}, {}};
  // Twins of the very same name are no matter of prefixes: low-light-1.png in both folders.
  const Files low = list_pictures(low_folder, {"low"}, stems_in(high_folder), folder.problems);
  const Files high = list_pictures(high_folder, {"high", "normal"}, stems_in(low_folder), folder.problems);
  for (const auto& [stem, path] : low) {
    const auto twin = high.find(stem);
    if (twin == high.end()) {
      folder.problems.push_back(stem + ": " + path + " has no twin in " + high_folder.string());
    } else {
      folder.pairs.push_back({stem, path, twin->second});
    }
  }
  for (const auto& [stem, path] : high) {
    if (!low.count(stem)) folder.problems.push_back(stem + ": " + path + " has no twin in " + low_folder.string());
  }
  check(!folder.pairs.empty() || !folder.problems.empty(), "data: there are no pictures in ", root);
  return folder;
}

PairFolder find_bright(const std::string& root) {
  check_folder(root);
  const fs::path high = bright_folder(root), from = high.empty() ? fs::path(root) : high;
  PairFolder folder{root, {}, {}};
  for (const auto& [stem, path] : list_pictures(from, {"high", "normal"}, {}, folder.problems)) {
    folder.pairs.push_back({stem, "", path});
  }
  check(!folder.pairs.empty() || !folder.problems.empty(), "data: there are no pictures in ", from.native());
  return folder;
}

std::map<std::string, std::string> pictures_by_stem(const std::string& folder, const std::set<std::string>& names,
                                                    std::vector<std::string>& problems) {
  check(is_folder(folder), "there is no folder ", folder);
  const Files files = list_pictures(folder, {"low", "high", "normal"}, names, problems);
  check(!files.empty(), "there are no pictures in ", folder);
  return {files.begin(), files.end()};
}

void check_no_problems(const std::string& root, const std::vector<std::string>& problems) {
  // A forgotten folder makes hundreds of problems of one kind: the first of them say it, and a line stays a line.
  constexpr std::size_t kListed = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(problems.size(), kListed); ++i) text += (i == 0 ? "" : "; ") + problems[i];
  if (problems.size() > kListed) text += "; and " + std::to_string(problems.size() - kListed) + " more";
  check(problems.empty(), "data: ", root, ": ", problems.size(), problems.size() == 1 ? " pair is" : " pairs are",
        " unusable: ", text);
}

std::optional<Split> read_split(const PairFolder& folder) {
  const std::string file = (fs::path(folder.root) / "split.json").string();
  std::error_code error;
  if (!fs::exists(file, error) && !error) return std::nullopt;
  return read_split_file(folder, file);
}

Split read_split_file(const PairFolder& folder, const std::string& file) {
  const nlohmann::json lists = read_json_file(file);
  check(lists.is_object(), file, ": expected an object of lists \"train\", \"validation\", \"test\"");
  try {
    check_known_keys(lists, {"train", "validation", "test"}, "");
  } catch (const Error& unknown) {
    fail(file, ": ", unknown.what());
  }
  std::map<std::string, std::size_t> by_stem;
  for (std::size_t i = 0; i < folder.pairs.size(); ++i) by_stem[folder.pairs[i].stem] = i;
  Split split;
  std::set<std::string> used;
  const std::pair<const char*, std::vector<std::size_t>*> parts[] = {
      {"train", &split.train}, {"validation", &split.validation}, {"test", &split.test}};
  for (const auto& [name, indices] : parts) {
    const auto list = lists.find(name);
    if (list == lists.end()) continue;
    check(list->is_array(), file, ": ", name, ": expected a list of names");
    for (const nlohmann::json& entry : *list) {
      check(entry.is_string() || entry.is_number_unsigned(), file, ": ", name, ": expected names, got ",
            [&] { return entry.dump(); });
      const std::string stem = entry.is_string() ? entry.get<std::string>() : entry.dump();
      const auto found = by_stem.find(stem);
      check(found != by_stem.end(), file, ": ", name, ": there is no pair ", stem);
      check(used.insert(stem).second, file, ": ", name, ": pair ", stem, " is listed twice");
      indices->push_back(found->second);
    }
    std::sort(indices->begin(), indices->end());
  }
  return split;
}

std::string list_note(const std::string& root) {
  const std::string list = list_of(root);
  if (list.empty() || list == root) return "";  // named itself
  const fs::path low_folder = dark_folder(root), high_folder = bright_folder(root);
  if (low_folder.empty() || high_folder.empty()) return "";
  std::error_code ignored;
  std::set<std::string> listed;
  const PairFolder folder = read_list(list);
  for (const PairFolder::Pair& pair : folder.pairs) listed.insert(fs::weakly_canonical(pair.low, ignored).string());
  std::vector<std::string> problems;
  const Files low = list_pictures(low_folder, {"low"}, stems_in(high_folder), problems),
              high = list_pictures(high_folder, {"high", "normal"}, stems_in(low_folder), problems);
  std::size_t more = 0;
  for (const auto& [stem, path] : low) {
    more += high.count(stem) > 0 && listed.count(fs::weakly_canonical(path, ignored).string()) == 0;
  }
  if (more == 0) return "";
  return join(list, ": the pairs are the ", folder.pairs.size(), " that it lists; ", more, " more in ",
              low_folder.string(), " and ", high_folder.string(), " are left out; remove it to use the folders");
}

}  // namespace kind
