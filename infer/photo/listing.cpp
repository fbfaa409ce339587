#include "infer/photo/listing.h"

#include <sys/stat.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/files/file.h"

namespace kind {

namespace fs = std::filesystem;

namespace {

/// Folders in folders are followed so far.
constexpr int kDeepest = 100;
/// Types that are named of those passed over.
constexpr std::size_t kTypesNamed = 8;

class Lister {
 public:
  explicit Lister(const Options& options)
      : options_(options), outputs_{real_path(options.output), real_path(options.maps)} {}

  Listing list() {
    for (const std::string& input : options_.inputs) {
      std::error_code ignored;  // of what is no folder; why, reading it will tell
      if (input == "-" || !fs::is_directory(input, ignored)) {
        found_.inputs.push_back({input, {}});
        continue;
      }
      const std::size_t before = found_.inputs.size();
      const std::size_t broken_before = found_.broken_links;
      list_folder_of(input, {}, 0);
      check(found_.inputs.size() > before || found_.broken_links == broken_before, input,
            ": there are no pictures in this folder, only links that lead nowhere (",
            found_.broken_links - broken_before, ")");
      check(found_.inputs.size() > before, input, ": there are no pictures that are read (", readable_image_types(),
            ") in this folder; ", can_read_image(ImageFormat::kRaw) ? "" : "develop camera RAW files, and ",
            "convert others", can_read_image(ImageFormat::kRaw) ? "" : ",", " first");
    }
    if (options_.names) drop_results();
    return std::move(found_);
  }

 private:
  void list_folder_of(const fs::path& folder, const fs::path& below, int depth) {
    check(depth <= kDeepest, folder.native(), ": folders are nested more than ", kDeepest, " deep");
    std::vector<std::string> entries = list_folder(folder.string());
    std::sort(entries.begin(), entries.end(), comes_before);
    for (const std::string& entry : entries) {
      struct stat status {};
      const int error = ::stat(entry.c_str(), &status) == 0 ? 0 : errno;
      if (error != 0) {
        add_unknown(entry, below, error);
      } else if (S_ISDIR(status.st_mode)) {
        if (options_.recursive) add_folder(entry, below, depth);
      } else if (S_ISREG(status.st_mode)) {
        add_file(entry, below);
      }
    }
  }

  static bool is_hidden(const fs::path& path) { return path.filename().string().front() == '.'; }

  void add_file(const fs::path& path, const fs::path& below) {
    if (has_picture_name(path.string())) {
      found_.inputs.push_back({path, below});
    } else if (!is_hidden(path) && !(options_.in_place && path.string().ends_with(options_.backup))) {
      ++found_.passed_over[lower_extension(path.string())];
    }
  }

  void add_folder(const fs::path& path, const fs::path& below, int depth) {
    std::error_code ignored;
    // Links to folders may lead round in a circle, and results are no inputs.
    const auto is_this = [&](const fs::path& output) { return real_path(path) == output; };
    if (is_hidden(path) || fs::is_symlink(path, ignored) || std::any_of(outputs_, std::end(outputs_), is_this)) return;
    try {
      list_folder_of(path, below / path.filename(), depth + 1);
    } catch (const Error& error) {
      found_.inputs.push_back({path, below, error.what()});  // does not stop the rest
    }
  }

  /// What cannot be looked at: a picture, or with -r maybe a folder of them. Links that lead nowhere or round in a circle
  /// are passed over.
  void add_unknown(const fs::path& path, const fs::path& below, int error) {
    if (is_hidden(path)) return;
    std::error_code ignored;
    const bool picture = has_picture_name(path.string());
    if (error == ENOENT || error == ELOOP || error == ENOTDIR) {
      if (picture && fs::is_symlink(path, ignored)) ++found_.broken_links;
      return;
    }
    if (!picture && (!options_.recursive || fs::is_symlink(path, ignored))) return;
    // Of a path that is too long the ends, so that the reason is still seen.
    constexpr std::size_t kShown = 400;
    std::string name = path.string();
    if (name.size() > 2 * kShown) name.replace(kShown, name.size() - 2 * kShown, "...");
    found_.inputs.push_back({path, below, name + ": " + std::system_category().message(error)});
  }

  /// A picture that only happens to have such a name is hardly of the same size; one that cannot be read is no result.
  bool have_same_sides(const fs::path& source, const fs::path& result) const {
    try {
      const ImageInfo a = image_info(source.string(), options_.limits),
                      b = image_info(result.string(), options_.limits);
      return a.width == b.width && a.height == b.height;
    } catch (const Error&) {
      return false;
    }
  }

  /// Results of an earlier run lie beside what they were made of and have a name that says so.
  void drop_results() {
    std::map<std::pair<fs::path, std::string>, fs::path> sources;
    std::map<fs::path, fs::path> real;  // of folders
    const auto real_of = [&](const fs::path& folder) {
      const auto at = real.find(folder);
      return at != real.end() ? at->second
                              : real.emplace(folder, real_path(folder.empty() ? "." : folder)).first->second;
    };
    for (const Listing::Input& input : found_.inputs) {
      sources.emplace(std::pair{real_of(input.file.parent_path()), input.file.stem().string()}, input.file);
    }
    found_.results = std::erase_if(found_.inputs, [&](const Listing::Input& input) {
      if (!input.error.empty() || input.file == "-") return false;
      const fs::path folder = real_of(input.file.parent_path());
      if (folder != real_of((fs::path(options_.output) / input.folder).lexically_normal())) return false;
      const std::optional<std::string> source = options_.names->source_of(input.file);
      if (!source || *source == input.file.stem().string()) return false;
      const auto at = sources.find({folder, *source});
      return at != sources.end() && (options_.sheet || have_same_sides(at->second, input.file));
    });
  }

  const Options& options_;
  const fs::path outputs_[2];
  Listing found_;
};

}  // namespace

fs::path real_path(const fs::path& path) {
  if (path.empty()) return path;
  std::error_code error;
  fs::path real = fs::weakly_canonical(fs::absolute(path), error);
  if (error) real = fs::absolute(path).lexically_normal();
  // "a/" is "a".
  return real.has_filename() || !real.has_relative_path() ? real : real.parent_path();
}

Listing list_inputs(const Options& options) { return Lister(options).list(); }

bool comes_before(const std::string& a, const std::string& b) {
  const auto digits_at = [](std::string_view text) {
    std::size_t count = 0;
    while (count < text.size() && std::isdigit(static_cast<unsigned char>(text[count]))) ++count;
    return text.substr(0, count);
  };
  const auto value = [](std::string_view digits) {
    digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
    return std::pair(digits.size(), digits);
  };
  std::string_view x = a, y = b;
  while (!x.empty() && !y.empty()) {
    const std::string_view n = digits_at(x), m = digits_at(y);
    if (!n.empty() && !m.empty()) {
      if (value(n) != value(m)) return value(n) < value(m);
      x.remove_prefix(n.size());
      y.remove_prefix(m.size());
      continue;
    }
    if (x[0] != y[0]) return static_cast<unsigned char>(x[0]) < static_cast<unsigned char>(y[0]);
    x.remove_prefix(1);
    y.remove_prefix(1);
  }
  return x.empty() && y.empty() ? a < b : x.empty();
}

std::string passed_over_text(const std::map<std::string, std::size_t>& passed_over) {
  std::vector<std::pair<std::string, std::size_t>> types(passed_over.begin(), passed_over.end());
  std::stable_sort(types.begin(), types.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::size_t files = 0, others = 0;
  std::string list;
  for (std::size_t i = 0; i < types.size(); ++i) {
    files += types[i].second;
    if (i >= kTypesNamed) {
      others += types[i].second;
      continue;
    }
    list += join(i == 0 ? "" : ", ", types[i].first.empty() ? "without extension" : printable(types[i].first, 20), " ",
                 types[i].second);
  }
  if (others > 0) list += join(", more ", others);
  return join(files, files == 1 ? " file" : " files", " of other types (", list, ")");
}

}  // namespace kind
