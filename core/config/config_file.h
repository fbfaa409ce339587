#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

/// Config files that people write: JSON with comments and trailing commas, and configs that build on another one.
namespace kind {

/// parse_json of a text that may also have comments (// to the end of the line, /* to */) and a comma behind the last
/// element of an object or array. Errors are those of parse_json, with lines and columns of the text as it is.
nlohmann::json parse_config_text(const std::string& text, const std::string& source);

/// parse_config_text of a file of at most 16 MiB; errors name the path.
nlohmann::json read_config_file(const std::string& path);

using ReadConfig = std::function<nlohmann::json(const std::string& path)>;

/// A config file with what it builds on: where the object in it has a "base", the name of another config file (from the
/// folder of the config that names it, else from the current folder), it is laid over that one as lay_over does.
/// `prepare(config, path)` is called for each file's own object before that. Throws Error naming the files if a base is
/// missing, is no string, or leads back to a config that it began from.
nlohmann::json read_layered_config(
    const std::string& path, const ReadConfig& read = read_config_file,
    const std::function<void(nlohmann::json& config, const std::string& path)>& prepare = [](nlohmann::json&,
                                                                                             const std::string&) {});

/// Lays `top` over `base`: objects are merged key by key, and null takes a key out of the base, so that its default
/// counts. Where both sides are arrays of objects with a "name", elements of the same name are merged, the others are
/// appended, and {"name": NAME, "drop": true} takes one out. Any other value replaces the base's. Throws Error with
/// the path of a "drop" whose element the base has not got, or that is not true.
void lay_over(nlohmann::json& base, const nlohmann::json& top, const std::string& path = "");

/// A relative path named in a file of `folder`: from that folder if it exists there, otherwise as it is, from the
/// current folder.
std::string place_from(const std::string& folder, const std::string& path);
/// FOLDER/PATH without "." and "..".
std::string joined_path(const std::string& folder, const std::string& path);

namespace config_detail {

/// parse_json of `text`, which is `original` with some bytes replaced by spaces; positions are counted in `original`.
nlohmann::json parse_spaced_json(const std::string& text, const std::string& original, const std::string& source);
/// Throws Error "SOURCE: line L, column C: MESSAGE" for the byte at `offset` of `text`; columns count characters.
[[noreturn]] void fail_in_text(const std::string& text, std::size_t offset, const std::string& source,
                               const std::string& message);

}  // namespace config_detail

}  // namespace kind
