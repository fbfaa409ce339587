#include "core/config/config_file.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>
#include <system_error>
#include <vector>

#include "core/base/error.h"
#include "core/config/config.h"
#include "core/files/file.h"

namespace kind {

using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxConfigBytes = std::uint64_t{16} << 20;
constexpr std::size_t kMaxBases = 32;

/// Makes spaces of comments, so that all else keeps its place. A string is left alone up to its closing quote or, where
/// that is missing, the end of the line, which is for the parser to complain of.
void blank_comments(std::string& text, const std::string& source) {
  const std::string original = text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      for (++i; i < text.size() && text[i] != '"' && text[i] != '\n'; ++i) i += text[i] == '\\' ? 1 : 0;
    } else if (text[i] == '/' && i + 1 < text.size() && (text[i + 1] == '/' || text[i + 1] == '*')) {
      const bool line = text[i + 1] == '/';
      const std::size_t found = text.find(line ? "\n" : "*/", i + 2);
      if (!line && found == std::string::npos) {
        config_detail::fail_in_text(original, i, source, "a comment begins here and has no end, expected */");
      }
      const std::size_t end = found == std::string::npos ? text.size() : found + (line ? 0 : 2);
      for (; i < end; ++i) {
        if (text[i] != '\n' && text[i] != '\0') text[i] = ' ';
      }
      --i;
    }
  }
}

/// Makes a space of each comma that follows a value and precedes a closing bracket. There are no comments any more.
void blank_trailing_commas(std::string& text) {
  char before = '[';  // the last character that is no space: where it is an opening one, a comma follows no value
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (std::isspace(static_cast<unsigned char>(c))) continue;
    if (c == '"') {
      for (++i; i < text.size() && text[i] != '"' && text[i] != '\n'; ++i) i += text[i] == '\\' ? 1 : 0;
    } else if (c == ',' && std::string("[{,:").find(before) == std::string::npos) {
      const std::size_t next = text.find_first_not_of(" \t\r\n", i + 1);
      if (next != std::string::npos && (text[next] == ']' || text[next] == '}')) text[i] = ' ';
    }
    before = c;
  }
}

/// The names of an array's elements if it is not empty and all of them are objects with a "name"; otherwise nothing.
std::vector<std::string> names_of(const json& array) {
  std::vector<std::string> names;
  if (!array.is_array()) return names;
  for (const json& element : array) {
    if (!element.is_object() || !element.contains("name") || !element["name"].is_string()) return {};
    names.push_back(element["name"].get<std::string>());
  }
  return names;
}

void lay_over_named(json& base, const json& top, const std::vector<std::string>& base_names, const std::string& path) {
  std::vector<std::string> names = base_names;
  std::set<std::string> laid;
  for (const json& element : top) {
    const std::string name = element["name"].get<std::string>();
    const auto found = std::find(names.begin(), names.end(), name);
    const std::string here = path + "." + name;
    // The second would be laid over the first. After a "drop" it is another one of that name.
    check(element.contains("drop") || laid.insert(name).second, path, ": two elements are named \"", name,
          "\"; each is laid over that of the base once");
    if (element.contains("drop")) {
      check(element["drop"] == true, here, ".drop: expected true, or no such key");
      check(found != names.end(), here, ".drop: the base has no element \"", name, "\" to take out");
      base.erase(static_cast<std::size_t>(found - names.begin()));
      names.erase(found);
    } else if (found != names.end()) {
      lay_over(base[static_cast<std::size_t>(found - names.begin())], element, here);
    } else {
      base.push_back(element);
      names.push_back(name);
    }
  }
}

json read_layers(const std::string& path, const ReadConfig& read,
                 const std::function<void(json&, const std::string&)>& prepare, std::vector<std::string>& chain) {
  std::error_code ignored;
  const std::string real = fs::weakly_canonical(path, ignored).string();
  const bool again = std::find(chain.begin(), chain.end(), real) != chain.end();
  check(!again, path, ": builds on itself: a \"base\" leads back to it");
  check(chain.size() < kMaxBases, path, ": more than ", kMaxBases, " configs build on each other");
  chain.push_back(real);
  json config = read(path);
  if (!config.is_object()) return config;  // parsing says so
  const json named = config.contains("base") ? config["base"] : json();
  config.erase("base");
  prepare(config, path);
  if (named.is_null()) return config;
  check(named.is_string() && !named.get_ref<const std::string&>().empty(), path,
        ": base: expected the name of another config file, got ", [&] { return named.dump(); });
  const std::string name = named.get<std::string>(), folder = fs::path(path).parent_path().string();
  json whole;
  try {
    whole = read_layers(place_from(folder, name), read, prepare, chain);
  } catch (const Error& error) {
    const bool tried =
        fs::path(name).is_relative() && !folder.empty() && !fs::exists(place_from(folder, name), ignored);
    fail(path, ": base: ", error.what(), tried ? "; it was looked for as " + joined_path(folder, name) + ", too" : "");
  }
  try {
    lay_over(whole, config);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
  return whole;
}

}  // namespace

json parse_config_text(const std::string& text, const std::string& source) {
  std::string spaced = text;
  blank_comments(spaced, source);
  blank_trailing_commas(spaced);
  return config_detail::parse_spaced_json(spaced, text, source);
}

json read_config_file(const std::string& path) {
  const std::vector<std::uint8_t> bytes = read_file(path, kMaxConfigBytes);
  return parse_config_text(std::string(bytes.begin(), bytes.end()), path);
}

json read_layered_config(const std::string& path, const ReadConfig& read,
                         const std::function<void(json&, const std::string&)>& prepare) {
  std::vector<std::string> chain;
  return read_layers(path, read, prepare, chain);
}

void lay_over(json& base, const json& top, const std::string& path) {
  if (base.is_object() && top.is_object()) {
    for (const auto& [key, value] : top.items()) {
      const auto found = base.find(key);
      if (value.is_null()) {
        base.erase(key);
      } else if (found == base.end()) {
        base[key] = value;
      } else {
        lay_over(*found, value, key_path(path, key));
      }
    }
    return;
  }
  const std::vector<std::string> base_names = names_of(base);
  if (!base_names.empty() && !names_of(top).empty()) {
    lay_over_named(base, top, base_names, path);
  } else {
    base = top;
  }
}

std::string joined_path(const std::string& folder, const std::string& path) {
  return (fs::path(folder) / path).lexically_normal().string();
}

std::string place_from(const std::string& folder, const std::string& path) {
  if (path.empty() || folder.empty() || !fs::path(path).is_relative()) return path;
  const std::string beside = joined_path(folder, path);
  std::error_code ignored;
  return fs::exists(beside, ignored) ? beside : path;
}

}  // namespace kind
