// Long because reading, writing and documenting are templates over one list of fields and share its traits.

#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/base/error.h"

/// Strict JSON configs. A config is a struct that lists each of its fields once; the list parses it, refuses unknown
/// keys, prints it and writes its reference page:
///
///   struct AdamConfig {
///     double learning_rate = 1e-4;
///     std::string form = "tensorflow";
///     std::optional<double> clip;                     // null: none
///     template <class V>
///     void fields(V& v) {
///       v.field("learning_rate", learning_rate, "Step size at the start.", greater_than(0));
///       v.field("form", form, "Where epsilon stands.", one_of("tensorflow", "standard"));
///       v.field("clip", clip, "Largest norm of a gradient.", greater_than(0));
///     }
///     void validate(const std::string& path) const;   // optional: what concerns more than one field
///   };
///
/// Field types: bool, integers, double, std::string, a config struct, and std::optional, std::vector and
/// std::map<std::string, ·> of these; nlohmann::json takes anything. A limit on a container holds for each of its
/// elements. An absent key keeps the struct's default; an absent struct is read as {}. Only optionals accept null. A
/// list or map in the config replaces the whole default. validate, if present, is called after the struct and all its
/// members are read; it throws Error with a message that starts with key_path(path, "key").
namespace kind {

/// Limits a number to an interval; created by the functions below.
struct Range {
  double low;
  double high;
  bool low_open;
  bool high_open;

  bool holds(double value) const;
  /// For messages: "greater than 0", "from 0 to 1".
  std::string text() const;
};

constexpr double kUnbounded = std::numeric_limits<double>::infinity();

inline Range at_least(double low) { return {low, kUnbounded, false, false}; }
inline Range at_most(double high) { return {-kUnbounded, high, false, false}; }
inline Range greater_than(double low) { return {low, kUnbounded, true, false}; }
inline Range less_than(double high) { return {-kUnbounded, high, false, true}; }
/// Inclusive of both ends.
inline Range between(double low, double high) { return {low, high, false, false}; }

/// Limits a string to a set of words; created by one_of.
struct OneOf {
  std::vector<std::string> words;

  bool holds(const std::string& value) const;
  /// For messages: one of "a", "b".
  std::string text() const;
};

template <class... Words>
OneOf one_of(const Words&... words) {
  return OneOf{std::vector<std::string>{std::string(words)...}};
}

/// Lists a field of an enum, whose values are words in the config: names are pairs of word and value.
///
///   choice_field(v, "norm", norm, "Mean absolute or squared difference.", {{"l1", Norm::kL1}, {"l2", Norm::kL2}});
template <class V, class Enum>
void choice_field(V& v, const std::string& name, Enum& value, const std::string& help,
                  std::initializer_list<std::pair<const char*, std::type_identity_t<Enum>>> names) {
  OneOf words;
  std::string word;
  for (const auto& [text, meaning] : names) {
    words.words.emplace_back(text);
    if (meaning == value) word = text;
  }
  v.field(name, word, help, words);
  for (const auto& [text, meaning] : names) {
    if (word == text) value = meaning;
  }
}

/// Call after field(group, value, ...) to also accept the fields of `value` outside the group, their earlier place in
/// configs. They are written and documented only within the group.
template <class V, class Struct>
void earlier_fields(V& v, const std::string& group, Struct& value);

/// Passed to a field as kRequired: its key must be present.
struct Required {};
constexpr Required kRequired;

/// The JSON path of a key in the object at `path` ("" is the root): stages[0].epochs. Odd keys are quoted.
std::string key_path(const std::string& path, const std::string& key);

/// Parses strict JSON: UTF-8, no duplicate keys, no comments, no NaN or infinity, no number beyond the range of
/// double, nested at most 64 deep. Throws Error: "SOURCE: line L, column C: what is wrong" (columns count characters).
nlohmann::json parse_json(const std::string& text, const std::string& source);

/// parse_json of a file of at most 16 MiB; errors name the path.
nlohmann::json read_json_file(const std::string& path);

/// The keys with which a path of set_path may start.
struct SetScope {
  std::vector<std::string> top_keys;     ///< Keys of the whole config; empty: any key.
  std::string spread;                    ///< An array such as "stages" ...
  std::vector<std::string> spread_keys;  ///< ... and the keys that, unless top keys too, are set in its every element.
};

/// Applies one `--set PATH=JSON` of a command line. PATH is keys joined by dots; in an array a part is the "name" of
/// an element or its index: stages.decom.epochs=5, stages.0.epochs=5. Missing or null objects on the path are created.
/// Throws Error and leaves `config` unchanged if PATH leads through anything else, starts with a key that `scope` does
/// not contain, or if parse_json refuses JSON. parse_config checks types and ranges.
void set_path(nlohmann::json& config, const std::string& assignment, const SetScope& scope = {});

/// The member of `names` most similar to `word`; empty if none is similar.
std::string nearest_name(const std::string& word, const std::vector<std::string>& names);

/// Throws Error "PATH.KEY: unknown key; ..." with the nearest of `names`, where the object at `path` has a key that is
/// none of them.
void check_known_keys(const nlohmann::json& object, const std::vector<std::string>& names, const std::string& path);

namespace config_detail {

using nlohmann::json;
using nlohmann::ordered_json;

[[noreturn]] void fail_at(const std::string& path, const std::string& message);
[[noreturn]] void fail_expected(const std::string& path, const std::string& expected, const json& got);
bool read_bool(const json& in, const std::string& path);
double read_number(const json& in, const std::string& path);
std::string read_string(const json& in, const std::string& path);
void check_finite(double value, const std::string& path);
std::string section_link(const std::string& path);
std::string table_row(const std::string& path, const std::string& type, const std::string& value,
                      const std::string& range, const std::string& help);
extern const char* const kTableHead;

struct NameCollector {
  using ReadsEarlier = void;
  std::vector<std::string> names;

  template <class T, class... Limits>
  void field(const std::string& name, T&, const std::string&, const Limits&...) {
    names.push_back(name);
  }
  template <class T, class... Limits>
  void earlier_field(const std::string&, const std::string& name, T&, const Limits&...) {
    names.push_back(name);
  }
};

template <class T>
concept Struct = requires(T& value, NameCollector& visitor) {
  value.fields(visitor);
};

template <class T>
constexpr bool kIsOptional = false;
template <class T>
constexpr bool kIsOptional<std::optional<T>> = true;
template <class T>
constexpr bool kIsVector = false;
template <class T>
constexpr bool kIsVector<std::vector<T>> = true;
template <class T>
constexpr bool kIsMap = false;
template <class T>
constexpr bool kIsMap<std::map<std::string, T>> = true;
template <class T>
constexpr bool kIsInteger = std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, char>;
/// float is left out: its values would not print as they were written.
template <class T>
constexpr bool kIsScalar =
    kIsInteger<T> || std::is_same_v<T, bool> || std::is_same_v<T, double> || std::is_same_v<T, std::string>;

template <class... Limits>
constexpr bool kHasRequired = (std::is_same_v<Limits, Required> || ...);

template <class T>
T read_integer(const json& in, const std::string& path) {
  if (!in.is_number_integer()) fail_expected(path, "an integer", in);
  const bool fits =
      in.is_number_unsigned() ? std::in_range<T>(in.get<std::uint64_t>()) : std::in_range<T>(in.get<std::int64_t>());
  using Limits = std::numeric_limits<T>;
  if (!fits) fail_expected(path, join("an integer from ", +Limits::min(), " to ", +Limits::max()), in);
  return in.get<T>();
}

template <class T, class Limit>
void check_limit(const Limit& limit, const T& value, const json& in, const std::string& path) {
  if constexpr (std::is_same_v<Limit, Range>) {
    static_assert(kIsInteger<T> || std::is_same_v<T, double>, "a Range limits numbers only");
    if (!limit.holds(static_cast<double>(value))) {
      fail_expected(path, (kIsInteger<T> ? "an integer " : "a number ") + limit.text(), in);
    }
  } else if constexpr (std::is_same_v<Limit, OneOf>) {
    static_assert(std::is_same_v<T, std::string>, "one_of limits strings only");
    if (!limit.holds(value)) fail_expected(path, limit.text(), in);
  } else {
    static_assert(std::is_same_v<Limit, Required>, "unknown kind of limit");
  }
}

/// Reads `in` over `out`, whose value so far is the default.
template <class T, class... Limits>
void read_value(const json& in, T& out, const std::string& path, const Limits&... limits);

struct Reader {
  using ReadsEarlier = void;
  const json& in;
  const std::string& path;

  template <class T, class... Limits>
  void field(const std::string& name, T& value, const std::string&, const Limits&... limits) {
    const auto found = in.find(name);
    if (found != in.end()) {
      read_value(*found, value, key_path(path, name), limits...);
    } else if constexpr (kHasRequired<Limits...>) {
      fail_at(key_path(path, name), "missing; this key is required");
    } else if constexpr (Struct<T>) {
      read_value(json::object(), value, key_path(path, name));  // its required keys are asked for, and it is validated
    }
  }
  template <class T, class... Limits>
  void earlier_field(const std::string& group, const std::string& name, T& value, const Limits&... limits) {
    const auto found = in.find(name);
    if (found == in.end()) return;
    const auto now = in.find(group);
    if (now != in.end() && now->is_object() && now->contains(name)) {
      fail_at(key_path(path, name),
              "is given twice, here and as " + key_path(group, name) + ", where it belongs; leave this one out");
    }
    read_value(*found, value, key_path(path, name), limits...);
  }
};

/// Passes the fields of a struct to a visitor's earlier_field.
template <class V>
struct EarlierFields {
  V& visitor;
  const std::string& group;

  template <class T, class... Limits>
  void field(const std::string& name, T& value, const std::string&, const Limits&... limits) {
    visitor.earlier_field(group, name, value, limits...);
  }
};

template <class T, class... Limits>
void read_value(const json& in, T& out, const std::string& path, const Limits&... limits) {
  if constexpr (Struct<T>) {
    static_assert((std::is_same_v<Limits, Required> && ...), "a struct takes no limit but kRequired");
    if (!in.is_object()) fail_expected(path, "an object", in);
    NameCollector collector;
    out.fields(collector);
    check_known_keys(in, collector.names, path);
    Reader reader{in, path};
    out.fields(reader);
    // A validate that cannot be called so does not compile, rather than being passed over.
    if constexpr (requires { &T::validate; }) std::as_const(out).validate(path);
  } else if constexpr (kIsOptional<T>) {
    if (in.is_null()) {
      out.reset();
    } else {
      if (!out) out.emplace();
      read_value(in, *out, path, limits...);
    }
  } else if constexpr (kIsVector<T>) {
    if (!in.is_array()) fail_expected(path, "an array", in);
    out.clear();
    for (std::size_t i = 0; i < in.size(); ++i) {
      typename T::value_type element{};
      read_value(in[i], element, join(path, "[", i, "]"), limits...);
      out.push_back(std::move(element));
    }
  } else if constexpr (kIsMap<T>) {
    if (!in.is_object()) fail_expected(path, "an object", in);
    out.clear();
    for (const auto& [key, value] : in.items()) read_value(value, out[key], key_path(path, key), limits...);
  } else if constexpr (std::is_same_v<T, json>) {
    out = in;
  } else {
    static_assert(kIsScalar<T>, "not a type that a config field can have");
    if constexpr (std::is_same_v<T, bool>) out = read_bool(in, path);
    if constexpr (std::is_same_v<T, double>) out = read_number(in, path);
    if constexpr (std::is_same_v<T, std::string>) out = read_string(in, path);
    if constexpr (kIsInteger<T>) out = read_integer<T>(in, path);
    (check_limit(limits, out, in, path), ...);
  }
}

template <class T>
ordered_json write_value(const T& value, const std::string& path);

struct Writer {
  ordered_json& out;
  const std::string& path;

  template <class T, class... Limits>
  void field(const std::string& name, T& value, const std::string&, const Limits&...) {
    out[name] = write_value(value, key_path(path, name));
  }
};

template <class T>
ordered_json write_value(const T& value, const std::string& path) {
  if constexpr (Struct<T>) {
    T copy = value;  // one list of fields serves reading and writing, so it cannot be const
    ordered_json out = ordered_json::object();
    Writer writer{out, path};
    copy.fields(writer);
    return out;
  } else if constexpr (kIsOptional<T>) {
    return value ? write_value(*value, path) : ordered_json(nullptr);
  } else if constexpr (kIsVector<T>) {
    ordered_json out = ordered_json::array();
    for (std::size_t i = 0; i < value.size(); ++i) {
      const typename T::value_type& element = value[i];
      out.push_back(write_value(element, join(path, "[", i, "]")));
    }
    return out;
  } else if constexpr (kIsMap<T>) {
    ordered_json out = ordered_json::object();
    for (const auto& [key, element] : value) out[key] = write_value(element, key_path(path, key));
    return out;
  } else if constexpr (std::is_same_v<T, json>) {
    return ordered_json(value);
  } else {
    static_assert(kIsScalar<T>, "not a type that a config field can have");
    if constexpr (std::is_same_v<T, double>) check_finite(value, path);
    return ordered_json(value);
  }
}

/// "list of numbers" and so on; `many`: its plural.
template <class T>
std::string type_text(const std::string& path, bool many = false) {
  const std::string s = many ? "s" : "";
  if constexpr (Struct<T>) {
    return "[object" + s + "](" + section_link(path) + ")";
  } else if constexpr (kIsOptional<T>) {
    return type_text<typename T::value_type>(path, many) + " or null";
  } else if constexpr (kIsVector<T>) {
    return "list" + s + " of " + type_text<typename T::value_type>(path + "[]", true);
  } else if constexpr (kIsMap<T>) {
    return "map" + s + " of " + type_text<typename T::mapped_type>(path + ".*", true);
  } else if constexpr (std::is_same_v<T, json>) {
    return many ? "JSON values" : "any JSON";
  } else {
    static_assert(kIsScalar<T>, "not a type that a config field can have");
    if constexpr (std::is_same_v<T, bool>) return "boolean" + s;
    if constexpr (std::is_same_v<T, double>) return "number" + s;
    if constexpr (std::is_same_v<T, std::string>) return "string" + s;
    if constexpr (kIsInteger<T>) return "integer" + s;
  }
}

template <class T>
std::string describe_struct(const T& value, const std::string& path);

/// The sections of the structs in a field.
template <class T>
std::string describe_nested(const T& value, const std::string& path, const std::string& help) {
  if constexpr (Struct<T>) {
    return "\n## `" + path + "`\n\n" + help + "\n\n" + describe_struct(value, path);
  } else if constexpr (kIsOptional<T>) {
    return describe_nested(value ? *value : typename T::value_type{}, path, help);
  } else if constexpr (kIsVector<T>) {
    return describe_nested(typename T::value_type{}, path + "[]", help);
  } else if constexpr (kIsMap<T>) {
    return describe_nested(typename T::mapped_type{}, path + ".*", help);
  } else {
    return "";
  }
}

struct Documenter {
  const std::string& path;
  std::string table = kTableHead;
  std::string sections = {};

  template <class T, class... Limits>
  void field(const std::string& name, T& value, const std::string& help, const Limits&... limits) {
    const std::string here = key_path(path, name);
    std::string standard = "required";
    // A struct's own section has its defaults; {} says that all of its keys may be left out.
    if constexpr (!kHasRequired<Limits...>) standard = "`" + (Struct<T> ? "{}" : write_value(value, here).dump()) + "`";
    std::string range;
    [[maybe_unused]] const auto add = [&range](const auto& limit) {
      if constexpr (!std::is_same_v<std::decay_t<decltype(limit)>, Required>) {
        range += (range.empty() ? "" : ", ") + limit.text();
      }
    };
    (add(limits), ...);
    table += table_row(here, type_text<T>(here), standard, range, help);
    sections += describe_nested(value, here, help);
  }
};

template <class T>
std::string describe_struct(const T& value, const std::string& path) {
  T copy = value;
  Documenter documenter{path};
  copy.fields(documenter);
  return documenter.table + documenter.sections;
}

}  // namespace config_detail

template <class V, class Struct>
void earlier_fields(V& v, const std::string& group, Struct& value) {
  if constexpr (requires { typename V::ReadsEarlier; }) {
    config_detail::EarlierFields<V> passing{v, group};
    value.fields(passing);
  }
}

/// The names of a config's fields, in order.
template <class C>
std::vector<std::string> field_names() {
  config_detail::NameCollector collector;
  C{}.fields(collector);
  return collector.names;
}

/// Reads a whole config. Throws Error "SOURCE: JSON.PATH: what is wrong" at the first unknown key (with the nearest
/// known one), missing key, wrong type, value out of range, or where validate throws.
template <class C>
C parse_config(const nlohmann::json& in, const std::string& source) {
  C config{};
  try {
    config_detail::read_value(in, config, "");
  } catch (const Error& error) {
    fail(source, ": ", error.what());
  }
  return config;
}

/// The resolved config: every field, including defaults, in the order of the list. parse_config of it gives the same
/// config again, exactly, if the config is a valid one. Throws Error if a number is not finite.
template <class C>
nlohmann::ordered_json to_json(const C& config) {
  return config_detail::write_value(config, "");
}

/// The reference page in Markdown: a table of path, type, default, range and help, and a section for each struct
/// inside.
template <class C>
std::string describe_config(const std::string& title) {
  return "# " + title + "\n\n" + config_detail::describe_struct(C{}, "");
}

}  // namespace kind
