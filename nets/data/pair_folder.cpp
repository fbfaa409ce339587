// Long because all layouts of pairs share what a picture is, what its twin is, and what is said of those without.

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
#include "nets/data/path_pattern.h"

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

/// A file of a folder of pictures, by its stem.
struct Listed {
  std::string path;
  bool is_read = true;  // its extension is that of a type that is read
};
using Files = std::map<std::string, Listed, NaturalOrder>;

/// Files that may be pictures: not hidden, nor the notes and lists that lie beside pictures.
bool may_be_picture(const fs::path& path) {
  static const std::set<std::string> kNotes = {".txt", ".md",  ".json", ".csv", ".xml", ".xmp",
                                               ".log", ".htm", ".html", ".db",  ".ini", ".py"};
  std::error_code ignored;  // of a link in a circle, which is no picture
  return path.filename().native().front() != '.' && !kNotes.contains(lower_extension(path.native())) &&
         fs::is_regular_file(path, ignored);
}

std::set<std::string> stems_in(const fs::path& folder) {
  std::set<std::string> stems;
  for (const std::string& path : list_folder(folder.string())) {
    if (may_be_picture(path)) stems.insert(fs::path(path).stem().string());
  }
  return stems;
}

void add_problem(PairFolder& folder, const std::string& stem, const std::string& text) {
  folder.problems.push_back(stem + ": " + text);
  folder.unusable.insert(stem);
}

std::string type_text(const std::string& path) {
  const std::string type = lower_extension(path);
  return (type.empty() ? "a file without a type" : "unsupported type " + type) + " (" + path +
         "); pictures that are read are " + readable_image_types();
}

/// Adds a file by its stem. Of two with the same stem the one that is read counts; where both are, that is a problem.
void add_file(const std::string& stem, const std::string& path, Files& files, PairFolder& folder) {
  const Listed file{path, has_picture_name(path)};
  const auto [at, fresh] = files.emplace(stem, file);
  if (fresh) return;
  if (file.is_read && at->second.is_read) {
    add_problem(folder, stem, "both " + at->second.path + " and " + path + " have this name");
  } else if (file.is_read) {
    at->second = file;
  }
}

/// The pictures of a folder by stem, without the prefix that LOL v2 gives them; `whole` are stems to leave as they are.
Files list_pictures(const fs::path& in, const std::vector<std::string>& prefixes, const std::set<std::string>& whole,
                    PairFolder& folder) {
  Files files;
  for (const std::string& path : list_folder(in.string())) {
    if (!may_be_picture(path)) continue;
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
    add_file(stem, path, files, folder);
  }
  return files;
}

/// Adds a pair to the folder, or the problem that one of its files is none that is read.
void add_pair(const std::string& stem, const Listed& low, const Listed& high, PairFolder& folder) {
  if (folder.unusable.contains(stem)) return;
  if (low.is_read && high.is_read) {
    folder.pairs.push_back({stem, low.path, high.path});
  } else {
    add_problem(folder, stem, type_text(low.is_read ? high.path : low.path));
  }
}

/// Throws where nothing at all was found; `types` are the files of other types that are there.
void check_any(const PairFolder& folder, const std::string& where, const std::vector<const Files*>& all) {
  if (!folder.pairs.empty() || !folder.problems.empty()) return;
  std::set<std::string> types;
  for (const Files* files : all) {
    for (const auto& [stem, file] : *files) types.insert(lower_extension(file.path));
  }
  types.erase("");
  std::string others;
  for (const std::string& type : types) others += (others.empty() ? "" : ", ") + type;
  fail("data: there are no pictures in ", where,
       others.empty() ? "" : "; unsupported: files of type " + others + ", expected " + readable_image_types());
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
      add_problem(folder, stem, "two pairs have this name; give them others in the third column");
    }
  }
  check(!pairs.empty(), "data: there are no pairs in ", file);
  for (const auto& [stem, pair] : pairs) {
    // Whatever they are called: a list says that they are pictures, and reading them says what they are.
    add_pair(stem, {pair.low}, {pair.high}, folder);
  }
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
        "; the LOL data set is available from its authors' page (https://daooshee.github.io/BMVC2018website/): point "
        "to its "
        "folder of low/ and high/ with --data DIR. To train without it: kind-train configs/quick.json darkens the "
        "photographs in docs/samples");
}

}  // namespace

void check_patterns(const PairPatterns& patterns, bool bright_alone, const std::string& low_key,
                    const std::string& high_key) {
  if (patterns.low.empty() && patterns.high.empty()) return;
  if (bright_alone) {
    check(patterns.low.empty(), low_key, ": the camera model makes the dark pictures, expected \"high\" alone");
    static_cast<void>(PathPattern(patterns.high, high_key));  // which checks it
    return;
  }
  check(!patterns.low.empty(), low_key,
        ": missing; \"high\" needs it, such as \"{name}_dark.*\" beside \"{name}_bright.*\"");
  check(!patterns.high.empty(), high_key,
        ": missing; \"low\" needs it, such as \"{name}_bright.*\" beside \"{name}_dark.*\"");
  const PathPattern low(patterns.low, low_key), high(patterns.high, high_key);
  check(!high.words().empty(), high_key,
        ": expected a word in braces that says which dark pictures a bright one goes with, "
        "such as {name}, got \"",
        patterns.high, "\"");
  for (const std::string& word : high.words()) {
    check(low.words().contains(word), high_key, ": {", word, "} is not in \"low\", \"", patterns.low,
          "\"; use * for what may differ");
  }
}

namespace {

/// The files of a pattern; throws where there are none, and shows what there is instead.
std::vector<PathPattern::Match> matching(const PathPattern& pattern, const std::string& root, const char* key) {
  std::vector<PathPattern::Match> files;
  for (PathPattern::Match& file : pattern.files(root)) {
    if (may_be_picture(file.path)) files.push_back(std::move(file));
  }
  if (!files.empty()) return files;
  const std::string inside = pattern.fixed_folder(), folder = inside.empty() ? root : root + "/" + inside;
  const std::string start = join("data: \"", key, "\": \"", pattern.text(), "\" matches nothing: ");
  check(is_folder(folder), start, "there is no folder ", folder);
  constexpr std::size_t kShown = 3;
  const std::vector<std::string> there = list_folder(folder);
  std::string names;
  for (std::size_t i = 0; i < std::min(kShown, there.size()); ++i) {
    names += (i == 0 ? "" : ", ") + fs::path(there[i]).filename().string();
  }
  fail(start, "expected e.g. ", root, "/", pattern.example(), "; ", folder, " has ",
       there.empty() ? "nothing in it" : names + (there.size() > kShown ? ", ..." : ""));
}

std::string key_of(const PathPattern::Match& file, const PathPattern& high) {
  std::string key;
  for (const std::string& word : high.words()) key += file.values.at(word) + "/";
  return key;
}

using Bright = std::map<std::string, std::vector<PathPattern::Match>>;  // by the words' values

/// Of files that match both patterns, leaves each on one side.
void tell_apart(const PathPattern& high, std::vector<PathPattern::Match>& dark, Bright& bright) {
  std::set<std::string> dark_paths, bright_paths;
  for (const auto& [key, files] : bright) {
    for (const auto& file : files) bright_paths.insert(file.path);
  }
  std::erase_if(dark, [&](const PathPattern::Match& file) {
    const auto twins = bright.find(key_of(file, high));
    const bool has_other =
        twins != bright.end() && std::any_of(twins->second.begin(), twins->second.end(),
                                             [&](const auto& twin) { return twin.path != file.path; });
    return bright_paths.contains(file.path) && !has_other;
  });
  for (const PathPattern::Match& file : dark) dark_paths.insert(file.path);
  for (auto& [key, files] : bright) {
    std::erase_if(files, [&](const PathPattern::Match& file) { return dark_paths.contains(file.path); });
    // Of files that are read and others, which a pattern like "{name}.*" takes too, the first are meant.
    const auto is_read = [](const PathPattern::Match& file) { return has_picture_name(file.path); };
    if (std::any_of(files.begin(), files.end(), is_read)) {
      std::erase_if(files, [&](const PathPattern::Match& file) { return !is_read(file); });
    }
  }
}

PairFolder find_matching(const std::string& root, const PairPatterns& patterns) {
  check(is_folder(root), "data: there is no folder ", root);
  const PathPattern low(patterns.low, "data.low"), high(patterns.high, "data.high");
  std::vector<PathPattern::Match> dark = matching(low, root, "low");
  Bright bright;
  for (PathPattern::Match& file : matching(high, root, "high")) bright[key_of(file, high)].push_back(std::move(file));
  tell_apart(high, dark, bright);
  PairFolder folder{root, {}, {}};
  Files lows;
  std::map<std::string, const PathPattern::Match*> by_path;
  for (const PathPattern::Match& file : dark) {
    add_file(file.name, file.path, lows, folder);
    by_path[file.path] = &file;
  }
  std::set<std::string> used;
  for (const auto& [name, file] : lows) {
    const PathPattern::Match& match = *by_path.at(file.path);
    const std::string key = key_of(match, high);
    const std::vector<PathPattern::Match>& twins = bright[key];
    used.insert(key);
    if (twins.empty()) {
      if (file.is_read) {
        add_problem(folder, name, file.path + " has no twin: expected e.g. " + root + "/" + high.example(match.values));
      }
    } else if (twins.size() > 1) {
      add_problem(folder, name, "both " + twins[0].path + " and " + twins[1].path + " are its bright picture");
    } else {
      add_pair(name, file, {twins[0].path, has_picture_name(twins[0].path)}, folder);
    }
  }
  for (const auto& [key, files] : bright) {
    if (used.contains(key)) continue;
    for (const PathPattern::Match& file : files) {
      if (!has_picture_name(file.path)) continue;
      add_problem(folder, file.name,
                  file.path + " has no twin: expected e.g. " + root + "/" + low.example(file.values));
    }
  }
  check(!folder.pairs.empty() || !folder.problems.empty(), "data: there are no pictures of a type that is read (",
        readable_image_types(), ") in ", root);
  return folder;
}

}  // namespace

PairFolder find_pairs(const std::string& root, const PairPatterns& patterns) {
  if (!patterns.low.empty()) return find_matching(root, patterns);
  if (const std::string list = list_of(root); !list.empty()) return read_list(list);
  check_folder(root);
  const fs::path low_folder = dark_folder(root), high_folder = bright_folder(root);
  check(!low_folder.empty() && !high_folder.empty(),
        "data: expected folders low/ and high/ (or Low/ and Normal/, lq/ and gt/, input/ and target/) or a list ",
        kListName, " in ", root, low_folder.empty() ? ", found no dark one" : ", found no bright one",
        "; patterns \"low\" and \"high\" in data describe other names, and bright photographs alone train with "
        "\"synthesize\" in data");
  PairFolder folder{root, {}, {}};
  // Twins of the very same name are no matter of prefixes: low-light-1.png in both folders.
  const Files low = list_pictures(low_folder, {"low"}, stems_in(high_folder), folder);
  const Files high = list_pictures(high_folder, {"high", "normal"}, stems_in(low_folder), folder);
  // Of files of other types those are meant to be pictures that have a twin.
  const auto needs_twin = [&](const std::string& stem, const Listed& file) {
    return file.is_read && !folder.unusable.contains(stem);
  };
  for (const auto& [stem, file] : low) {
    const auto twin = high.find(stem);
    if (twin != high.end()) {
      add_pair(stem, file, twin->second, folder);
    } else if (needs_twin(stem, file)) {
      add_problem(folder, stem, file.path + " has no twin in " + high_folder.string());
    }
  }
  for (const auto& [stem, file] : high) {
    if (!low.count(stem) && needs_twin(stem, file)) {
      add_problem(folder, stem, file.path + " has no twin in " + low_folder.string());
    }
  }
  check_any(folder, root, {&low, &high});
  return folder;
}

PairFolder find_bright(const std::string& root, const PairPatterns& patterns) {
  check_folder(root);
  PairFolder folder{root, {}, {}};
  const fs::path high = bright_folder(root), from = high.empty() ? fs::path(root) : high;
  Files files;
  if (patterns.high.empty()) {
    files = list_pictures(from, {"high", "normal"}, {}, folder);
  } else {
    for (const PathPattern::Match& file : matching(PathPattern(patterns.high, "data.high"), root, "high")) {
      add_file(file.name, file.path, files, folder);
    }
  }
  for (const auto& [stem, file] : files) {
    if (file.is_read && !folder.unusable.contains(stem)) folder.pairs.push_back({stem, "", file.path});
  }
  check_any(folder, patterns.high.empty() ? from.string() : root, {&files});
  return folder;
}

std::map<std::string, std::string> pictures_by_stem(const std::string& folder, const std::set<std::string>& names,
                                                    std::vector<std::string>& problems, const std::string& suffix) {
  check(is_folder(folder), "there is no folder ", folder);
  PairFolder found{folder, {}, {}};
  const Files files = list_pictures(folder, {"low", "high", "normal"}, names, found);
  std::map<std::string, std::string> pictures;
  bool any = false;
  for (const auto& [stem, file] : files) {
    if (!file.is_read) continue;
    const bool has = !suffix.empty() && stem.size() > suffix.size() && stem.ends_with(suffix);
    any = any || has;
    const std::string name = has ? stem.substr(0, stem.size() - suffix.size()) : stem;
    const auto [at, fresh] = pictures.emplace(name, file.path);
    if (!fresh) found.problems.push_back(name + ": both " + at->second + " and " + file.path + " have this name");
  }
  problems.insert(problems.end(), found.problems.begin(), found.problems.end());
  check(!pictures.empty(), "there are no pictures in ", folder);
  check(any || suffix.empty(), "--strip-suffix: no picture in ", folder, " has a name that ends with \"", suffix, "\"");
  return pictures;
}

std::string problems_text(const std::vector<std::string>& problems) {
  // A forgotten folder makes hundreds of problems of one kind: the first of them say it, and a line stays a line.
  constexpr std::size_t kListed = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(problems.size(), kListed); ++i) text += (i == 0 ? "" : "; ") + problems[i];
  if (problems.size() > kListed) text += join("; and ", problems.size() - kListed, " more");
  return text;
}

void check_no_problems(const std::string& root, const std::vector<std::string>& problems, const std::string& advice) {
  check(problems.empty(), "data: ", root, ": ", problems.size(), problems.size() == 1 ? " pair is" : " pairs are",
        " unusable: ", [&] { return problems_text(problems) + advice; });
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
      if (folder.unusable.contains(stem)) continue;
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
  PairFolder unlisted;
  const Files low = list_pictures(low_folder, {"low"}, stems_in(high_folder), unlisted),
              high = list_pictures(high_folder, {"high", "normal"}, stems_in(low_folder), unlisted);
  std::size_t more = 0;
  for (const auto& [stem, file] : low) {
    more += high.count(stem) > 0 && listed.count(fs::weakly_canonical(file.path, ignored).string()) == 0;
  }
  if (more == 0) return "";
  return join(list, ": the pairs are the ", folder.pairs.size(), " that it lists; ", more, " more in ",
              low_folder.string(), " and ", high_folder.string(), " are left out; remove it to use the folders");
}

std::string dark_folder_note(const std::string& root) {
  const fs::path low = dark_folder(root), high = bright_folder(root);
  if (low.empty() || high.empty() || stems_in(low).empty()) return "";
  return join(low.string(), " is not used: \"synthesize\" makes the dark pictures from ", high.string(),
              "; to train on the pairs, set \"synthesize\" to null");
}

}  // namespace kind
