#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <regex>
#include <string>
#include <vector>

namespace kind {

/// What a result's name is made of.
struct NameParts {
  std::string stem;        // of the input's name
  std::string extension;   // of the result, without the dot
  std::string folder;      // the name of the folder that the input lies in
  std::string ratio;       // empty: unknown
  std::size_t number = 0;  // of the input, from 1 on
};

/// The names of --name and --suffix: text with {stem}, {ext}, {dir}, {ratio}, {n} and {n:DIGITS} in it; {{ and }} stand
/// for braces.
class NamePattern {
 public:
  /// Throws Error for a pattern that is empty, holds a slash or anything else in braces. `option` is for the message.
  NamePattern(const std::string& option, const std::string& pattern);
  /// The pattern of --suffix: {stem} and the text.
  static NamePattern of_suffix(const std::string& suffix);

  bool has_ratio() const { return has_ratio_; }
  bool has_number() const { return has_number_; }
  /// The name; one that does not end in the type of the result gets its extension.
  std::string name(const NameParts& parts) const;
  /// The stem of the input that a result of this name was made of; nothing for other names.
  std::optional<std::string> source_of(const std::filesystem::path& result) const;
  /// "--suffix _bright".
  const std::string& text() const { return text_; }

 private:
  struct Part {
    enum class Kind { kText, kStem, kExtension, kFolder, kRatio, kNumber } kind = Kind::kText;
    std::string text = {};
    int digits = 1;
  };
  void add_placeholder(const std::string& option, const std::string& what);
  void add_text(const std::string& text);
  /// Of names as the pattern makes them, with or without their extension.
  std::string expression(std::size_t parts) const;

  std::string text_;
  std::vector<Part> parts_;
  bool has_ratio_ = false, has_stem_ = false, has_number_ = false;
  std::regex whole_, body_;
};

}  // namespace kind
