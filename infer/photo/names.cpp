#include "infer/photo/names.h"

#include <charconv>
#include <cstdio>
#include <utility>

#include "core/base/error.h"
#include "core/base/quote.h"
#include "core/image/image.h"

namespace kind {

NamePattern::NamePattern(const std::string& option, const std::string& pattern) : text_(option + " " + pattern) {
  check(!pattern.empty() && pattern.find('/') == std::string::npos && pattern.find('\0') == std::string::npos, option,
        ": expected a name without '/', got ", Quoted{pattern});
  for (std::size_t at = 0; at < pattern.size();) {
    const char c = pattern[at];
    if ((c == '{' || c == '}') && at + 1 < pattern.size() && pattern[at + 1] == c) {
      add_text(std::string(1, c));
      at += 2;
      continue;
    }
    check(c != '}', option, ": there is a '}' without '{' in ", Quoted{pattern}, "; write }} for the brace");
    const std::size_t end = c == '{' ? pattern.find('}', at) : pattern.find_first_of("{}", at);
    check(c != '{' || end != std::string::npos, option, ": there is a '{' without '}' in ", Quoted{pattern},
          "; write {{ for the brace");
    if (c == '{') {
      add_placeholder(option, pattern.substr(at + 1, end - at - 1));
      at = end + 1;
    } else {
      add_text(pattern.substr(at, end - at));
      at = end == std::string::npos ? pattern.size() : end;
    }
  }
  whole_ = std::regex(expression(parts_.size()));
  const bool ends_in_extension = parts_.size() >= 2 && parts_.back().kind == Part::Kind::kExtension;
  // Without ".{ext}", of which the dot is the end of a text.
  body_ =
      std::regex(expression(parts_.size() - (ends_in_extension ? 1 : 0)) + (ends_in_extension ? "" : "(?:-x[0-9.]+)?"));
}

NamePattern NamePattern::of_suffix(const std::string& suffix) {
  std::string escaped;
  for (const char c : suffix) escaped += c == '{' || c == '}' ? std::string(2, c) : std::string(1, c);
  check(!suffix.empty() && suffix.find('/') == std::string::npos, "--suffix: expected a text without '/', got ",
        Quoted{suffix});
  NamePattern pattern("--suffix", "{stem}" + escaped);
  pattern.text_ = "--suffix " + suffix;
  return pattern;
}

void NamePattern::add_text(const std::string& text) {
  if (parts_.empty() || parts_.back().kind != Part::Kind::kText) parts_.push_back({});
  parts_.back().text += text;
}

void NamePattern::add_placeholder(const std::string& option, const std::string& what) {
  Part part;
  if (what == "stem") part.kind = Part::Kind::kStem;
  if (what == "ext") part.kind = Part::Kind::kExtension;
  if (what == "dir") part.kind = Part::Kind::kFolder;
  if (what == "ratio") part.kind = Part::Kind::kRatio;
  if (what == "n") part.kind = Part::Kind::kNumber;
  if (what.size() == 3 && what.starts_with("n:") && what[2] >= '1' && what[2] <= '9') {
    part.kind = Part::Kind::kNumber;
    part.digits = what[2] - '0';
  }
  check(part.kind != Part::Kind::kText, option, ": expected {stem}, {ext}, {dir}, {ratio}, {n} or {n:DIGITS}, got {",
        printable(what), "}");
  has_stem_ |= part.kind == Part::Kind::kStem;
  has_ratio_ |= part.kind == Part::Kind::kRatio;
  has_number_ |= part.kind == Part::Kind::kNumber;
  parts_.push_back(std::move(part));
}

std::string NamePattern::name(const NameParts& parts) const {
  std::string name;
  for (const Part& part : parts_) {
    switch (part.kind) {
      case Part::Kind::kText:
        name += part.text;
        break;
      case Part::Kind::kStem:
        name += parts.stem;
        break;
      case Part::Kind::kExtension:
        name += parts.extension;
        break;
      case Part::Kind::kFolder:
        name += parts.folder;
        break;
      case Part::Kind::kRatio:
        name += parts.ratio;
        break;
      case Part::Kind::kNumber: {
        char digits[32];
        std::snprintf(digits, sizeof(digits), "%0*zu", part.digits, parts.number);
        name += digits;
        break;
      }
    }
  }
  const std::string has = lower_extension(name);
  const auto format = image_format_from_extension(parts.extension);
  const bool of_type =
      has == "." + parts.extension || (format && !has.empty() && image_format_from_extension(has) == format &&
                                       is_gray_name(name) == is_gray_name("a." + parts.extension));
  return of_type ? name : name + "." + parts.extension;
}

std::string NamePattern::expression(std::size_t parts) const {
  std::string text;
  for (std::size_t i = 0; i < parts; ++i) {
    const Part& part = parts_[i];
    std::string words = part.text;
    // The dot of ".{ext}".
    if (parts < parts_.size() && i + 1 == parts && !words.empty() && words.back() == '.') words.pop_back();
    switch (part.kind) {
      case Part::Kind::kText:
        for (const char c : words) {
          if (std::string_view("\\^$.|?*+()[]{}").find(c) != std::string_view::npos) text += '\\';
          text += c;
        }
        if (parts < parts_.size() && i + 1 == parts) text += "(?:-x[0-9.]+)?";
        break;
      case Part::Kind::kStem:
        text += text.find("([^/]+)") == std::string::npos ? "([^/]+)" : "(?:\\1)";
        break;
      case Part::Kind::kExtension:
        text += "[A-Za-z0-9]+";
        break;
      case Part::Kind::kFolder:
        text += "[^/]+";
        break;
      case Part::Kind::kRatio:
        text += "[0-9.]+";
        break;
      case Part::Kind::kNumber:
        text += "[0-9]+";
        break;
    }
  }
  return text;
}

std::optional<std::string> NamePattern::source_of(const std::filesystem::path& result) const {
  if (!has_stem_) return std::nullopt;
  std::smatch match;
  for (const auto& [name, expression] :
       {std::pair{result.stem().string(), &body_}, {result.filename().string(), &whole_}}) {
    if (std::regex_match(name, match, *expression)) return match[1].str();
  }
  return std::nullopt;
}

}  // namespace kind
