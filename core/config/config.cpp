#include "core/config/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <set>
#include <sstream>
#include <system_error>

#include "core/config/config_file.h"
#include "core/files/file.h"

namespace kind {

using nlohmann::json;

namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{16} << 20;
constexpr std::size_t kMaxShownBytes = 60;

std::string number_text(double value) {
  char buffer[32];
#if defined(__cpp_lib_to_chars)
  return std::string(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
#else
  // A library without it for floating point: the fewest digits from which the number comes back.
  for (int digits = 1; digits < 18; ++digits) {
    std::snprintf(buffer, sizeof buffer, "%.*g", digits, value);
    if (std::strtod(buffer, nullptr) == value) break;
  }
  return buffer;
#endif
}

/// As JSON, always one short line of valid UTF-8.
std::string shown(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  if (value.is_number_float() && !std::isfinite(value.get<double>())) return "a number that is not finite";
  std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
  if (text.size() <= kMaxShownBytes) return text;
  std::size_t end = kMaxShownBytes - 3;
  while ((static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

std::string quoted_list(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + shown(word);
  return out;
}

bool contains(const std::vector<std::string>& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// Levenshtein distance: the fewest insertions, deletions and replacements of a byte that turn a into b.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);  // distances of a's first i bytes to each prefix of b
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string unknown_key_text(const std::string& key, const std::vector<std::string>& known) {
  const std::string nearest = nearest_name(key, known);
  if (!nearest.empty()) return "unknown key; did you mean \"" + nearest + "\"?";
  return known.empty() ? "unknown key; no keys are known here" : "unknown key; known keys: " + quoted_list(known);
}

bool names_nan_or_infinity(std::string word) {
  if (!word.empty() && (word[0] == '-' || word[0] == '+')) word.erase(0, 1);
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return word == "nan" || word == "inf" || word == "infinity";
}

/// Goes through the text before nlohmann's own parser makes values of it, for what that lets pass (duplicate keys,
/// depth) and for messages of ours.
class StrictChecker : public nlohmann::json_sax<json> {
 public:
  /// `original`: what `text` was before comments and such became spaces, byte for byte; positions are counted in it.
  StrictChecker(const std::string& text, const std::string& original, const std::string& source)
      : text_(text), original_(original), source_(source), in_(text) {}

  void run() {
    const std::size_t nul = text_.find('\0');  // nlohmann's lexer takes it for the end of the text
    if (nul != std::string::npos) fail_text(nul, "a NUL byte is not JSON");
    json::sax_parse(in_, this);
  }

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(std::int64_t) override { return true; }
  bool number_unsigned(std::uint64_t) override { return true; }
  bool number_float(double, const std::string&) override { return true; }
  bool string(std::string&) override { return true; }
  bool binary(json::binary_t&) override { return true; }
  bool start_object(std::size_t) override { return open(); }
  bool start_array(std::size_t) override { return open(); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    if (keys_.back().insert(name).second) return true;
    // The lexer stands behind the closing quote; where escapes made the key longer this is still inside it.
    fail_text(read_so_far() - name.size() - 2, "the key " + shown(name) + " occurs twice in one object");
  }

  bool parse_error(std::size_t read, const std::string&, const json::exception& error) override {
    const std::string what = error.what();
    const std::size_t message = what.find("syntax error");
    const bool too_large = message == std::string::npos;  // the only other error that the parser has
    // "last read" quotes raw bytes of the file; the position says as much.
    const std::string detail = too_large ? "" : what.substr(message, what.find("; last read:") - message);
    std::size_t offset = std::min(read - 1, text_.size());
    if (detail.find("invalid string") == std::string::npos && detail.find("unexpected end") == std::string::npos) {
      while (offset > 0 && is_word(text_[offset - 1])) --offset;
    }
    fail_text(offset, too_large ? "a number beyond the range of double" : detail + hint(offset));
  }

 private:
  std::size_t read_so_far() { return static_cast<std::size_t>(in_.tellg()); }

  bool open() {
    if (keys_.size() == kMaxDepth) fail_text(read_so_far() - 1, join("nested more than ", kMaxDepth, " deep"));
    keys_.emplace_back();
    return true;
  }

  bool close() {
    keys_.pop_back();
    return true;
  }

  static bool is_word(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '+' || c == '.';
  }

  std::string hint(std::size_t offset) const {
    const auto first = text_.begin() + static_cast<std::ptrdiff_t>(offset);
    if (names_nan_or_infinity({first, std::find_if_not(first, text_.end(), is_word)})) {
      return " (NaN and infinity are not allowed)";
    }
    if (first == text_.end() || (*first != '/' && *first != '#')) return "";
    return &text_ == &original_ ? " (comments are not allowed)" : " (comments are // to the end of a line, or /* */)";
  }

  [[noreturn]] void fail_text(std::size_t offset, const std::string& message) const {
    config_detail::fail_in_text(original_, offset, source_, message);
  }

  const std::string& text_;
  const std::string& original_;
  const std::string& source_;
  std::istringstream in_;
  std::vector<std::set<std::string>> keys_;  // of each object (unused: array) that is open
};

/// The element of an array that a part of a path means, by name or else by index.
json& element(json& array, const std::string& part, const std::string& where) {
  std::vector<std::string> names;
  for (json& item : array) {
    if (!item.is_object() || !item.contains("name") || !item["name"].is_string()) continue;
    if (item["name"].get_ref<const std::string&>() == part) return item;
    names.push_back(item["name"].get<std::string>());
  }
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
  if (end != part.data() + part.size()) {
    fail(where, ": no element is named \"", part, "\"; ",
         names.empty() ? "none has a name" : "the names are " + quoted_list(names));
  }
  check(error == std::errc() && index < array.size(), where, ": there is no element ", part, " in an array of ",
        array.size());
  return array[index];
}

/// Sets what `parts` lead to from `root`, whose own path is `walked`.
void assign(json& root, std::string walked, const std::vector<std::string>& parts, const json& value,
            const std::string& where) {
  json* at = &root;
  for (const std::string& part : parts) {
    if (at->is_array()) {
      at = &element(*at, part, where);
    } else {
      if (at->is_null()) *at = json::object();
      check(
          at->is_object(), where, ": ", walked.empty() ? "the config" : walked, " is ", [&] { return shown(*at); },
          ", which has no \"", part, "\" in it");
      at = &(*at)[part];
    }
    walked += (walked.empty() ? "" : ".") + part;
  }
  *at = value;
}

json parse_set_value(const std::string& text, const std::string& path) {
  const std::string where = "--set " + path;
  try {
    return parse_json(text, where);
  } catch (const Error&) {
    const bool is_json_gone_wrong = text.find_first_of("{}[]\":,") != std::string::npos;
    const bool is_number_gone_wrong = !text.empty() && !std::isalpha(static_cast<unsigned char>(text[0])) &&
                                      text.find_first_not_of("0123456789+-.eE") == std::string::npos;
    if (is_json_gone_wrong || is_number_gone_wrong || names_nan_or_infinity(text)) throw;
    const std::string quoted = shown(text);
    fail(where, ": expected JSON, got ", text.empty() ? "nothing" : quoted.substr(1, quoted.size() - 2),
         "; if a string is meant, quote it: ", where, "='", quoted, "'");
  }
}

}  // namespace

bool Range::holds(double value) const {
  return (low_open ? value > low : value >= low) && (high_open ? value < high : value <= high);
}

std::string Range::text() const {
  if (high == kUnbounded) return (low_open ? "greater than " : "at least ") + number_text(low);
  if (low == -kUnbounded) return (high_open ? "less than " : "at most ") + number_text(high);
  return "from " + number_text(low) + " to " + number_text(high);
}

bool OneOf::holds(const std::string& value) const { return contains(words, value); }

std::string OneOf::text() const { return "one of " + quoted_list(words); }

std::string key_path(const std::string& path, const std::string& key) {
  const auto is_plain = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-'; };
  if (key.empty() || key.size() > kMaxShownBytes || !std::all_of(key.begin(), key.end(), is_plain)) {
    return path + "[" + shown(key) + "]";
  }
  return path.empty() ? key : path + "." + key;
}

json parse_json(const std::string& text, const std::string& source) {
  return config_detail::parse_spaced_json(text, text, source);
}

json read_json_file(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path, kMaxConfigBytes);
  return parse_json(std::string(bytes.begin(), bytes.end()), path);
}

void set_path(json& config, const std::string& assignment, const SetScope& scope) {
  const std::size_t equals = assignment.find('=');
  check(
      equals != std::string::npos, "--set ", [&] { return shown(assignment); },
      ": expected PATH=JSON, such as epochs=5");
  const std::string path = assignment.substr(0, equals);
  const std::string where = "--set " + path;

  std::vector<std::string> parts;
  std::istringstream in(path + ".");
  for (std::string part; std::getline(in, part, '.');) parts.push_back(part);
  // A path that JSON would have to escape has control characters, quotes or broken UTF-8 in it.
  const bool plain = json(path).dump(-1, ' ', false, json::error_handler_t::replace) == "\"" + path + "\"";
  check(
      plain && !contains(parts, "") && parts.size() <= kMaxDepth, "--set ", [&] { return shown(path); },
      ": expected a path of keys, such as stages.decom.epochs");

  const json value = parse_set_value(assignment.substr(equals + 1), path);
  json changed = config;
  if (scope.top_keys.empty() || contains(scope.top_keys, parts[0])) {
    assign(changed, "", parts, value, where);
  } else {
    std::vector<std::string> known = scope.top_keys;
    known.insert(known.end(), scope.spread_keys.begin(), scope.spread_keys.end());
    check(contains(scope.spread_keys, parts[0]), where, ": ", [&] { return unknown_key_text(parts[0], known); });
    const auto found = changed.find(scope.spread);
    check(found != changed.end() && found->is_array() && !found->empty(), where, ": the config has no \"", scope.spread,
          "\" to set it in");
    for (std::size_t i = 0; i < found->size(); ++i) {
      assign((*found)[i], join(scope.spread, ".", i), parts, value, where);
    }
  }
  config = std::move(changed);
}

std::string nearest_name(const std::string& word, const std::vector<std::string>& names) {
  std::string nearest;
  std::size_t least = std::max<std::size_t>(1, std::min<std::size_t>(word.size(), 64) / 2) + 1;  // farther is no typo
  for (const std::string& name : names) {
    if (word.size() > name.size() + least) continue;  // keeps hostile keys cheap
    const std::size_t distance = edit_distance(word, name);
    if (distance < least) {
      least = distance;
      nearest = name;
    }
  }
  return nearest;
}

void check_known_keys(const json& object, const std::vector<std::string>& names, const std::string& path) {
  for (const auto& [key, value] : object.items()) {
    if (!contains(names, key)) fail(key_path(path, key), ": ", unknown_key_text(key, names));
  }
}

namespace config_detail {

json parse_spaced_json(const std::string& text, const std::string& original, const std::string& source) {
  StrictChecker(text, original, source).run();
  return json::parse(text);
}

void fail_in_text(const std::string& text, std::size_t offset, const std::string& source, const std::string& message) {
  std::size_t line = 1;
  std::size_t column = 1;
  for (std::size_t i = 0; i < offset; ++i) {
    const bool starts_character = (static_cast<unsigned char>(text[i]) & 0xC0) != 0x80;
    column = text[i] == '\n' ? 1 : column + (starts_character ? 1 : 0);
    line += text[i] == '\n' ? 1 : 0;
  }
  fail(source, ": line ", line, ", column ", column, ": ", message);
}

void fail_at(const std::string& path, const std::string& message) { fail(path, path.empty() ? "" : ": ", message); }

void fail_expected(const std::string& path, const std::string& expected, const json& got) {
  fail_at(path, "expected " + expected + ", got " + shown(got));
}

bool read_bool(const json& in, const std::string& path) {
  if (!in.is_boolean()) fail_expected(path, "true or false", in);
  return in.get<bool>();
}

double read_number(const json& in, const std::string& path) {
  if (!in.is_number()) fail_expected(path, "a number", in);
  const double value = in.get<double>();
  if (!std::isfinite(value)) fail_expected(path, "a finite number", in);
  return value;
}

std::string read_string(const json& in, const std::string& path) {
  if (!in.is_string()) fail_expected(path, "a string", in);
  std::string value = in.get<std::string>();
  // As a file name it would end there, and mean another file than the one printed.
  if (value.find('\0') != std::string::npos) fail_expected(path, "a string without NUL characters", in);
  return value;
}

void check_finite(double value, const std::string& path) {
  if (!std::isfinite(value)) fail_expected(path, "a finite number", value);
}

/// The anchor that GitHub gives the heading of a path's section.
std::string section_link(const std::string& path) {
  std::string anchor = "#";
  for (const char c : path) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '-') {
      anchor += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return anchor;
}

const char* const kTableHead = "| Path | Type | Default | Range | Meaning |\n| --- | --- | --- | --- | --- |\n";

std::string table_row(const std::string& path, const std::string& type, const std::string& value,
                      const std::string& range, const std::string& help) {
  std::string row = "|";
  for (const std::string& cell : {"`" + path + "`", type, value, range, help}) {
    row += cell.empty() ? "" : " ";
    for (const char c : cell) row += c == '|' ? std::string("\\|") : std::string(1, c);
    row += " |";
  }
  return row + "\n";
}

}  // namespace config_detail

}  // namespace kind
