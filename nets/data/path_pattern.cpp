#include "nets/data/path_pattern.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <optional>
#include <system_error>

#include "core/base/error.h"
#include "core/files/file.h"

namespace kind {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::string below(const std::string& folder, const std::string& name) {
  return folder.empty() ? name : folder + "/" + name;
}

}  // namespace

PathPattern::PathPattern(const std::string& text, const std::string& where)
    : text_(text), tokens_(tokens_of(text, where)) {
  check(!text.empty(), where, ": expected a pattern such as \"low/{name}.png\", got an empty one");
  check(text.front() != '/', where, ": expected a pattern of paths in the data's folder, got an absolute path, \"",
        text, "\"");
  for (const std::string& part : parts_of(text)) {
    check(!part.empty(), where, ": \"", text, "\" has two slashes in a row, or one at its end");
    parts_.push_back(tokens_of(part, where));
  }
  for (const Token& token : tokens_) {
    if (token.kind == Token::kWord) words_.insert(token.text);
  }
}

std::vector<PathPattern::Token> PathPattern::tokens_of(const std::string& text, const std::string& where) {
  std::vector<Token> tokens;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '*') {
      // Several in a row are as good as one, and much slower.
      if (tokens.empty() || tokens.back().kind != Token::kStar) tokens.push_back({Token::kStar, ""});
    } else if (text[i] == '{') {
      const std::size_t end = text.find('}', i);
      const std::string word = end == std::string::npos ? "" : text.substr(i + 1, end - i - 1);
      const bool good = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
        return std::isalnum(c) || c == '_' || c == '-';
      });
      check(good, where, ": expected a word in braces, such as {name}, got \"", text.substr(i), "\"");
      tokens.push_back({Token::kWord, word});
      i = end;
    } else {
      check(text[i] != '}', where, ": there is a } without a { in \"", text, "\"");
      if (tokens.empty() || tokens.back().kind != Token::kText) tokens.push_back({Token::kText, ""});
      tokens.back().text += text[i];
    }
  }
  return tokens;
}

/// Whether the tokens from number `token` on match all of `rest`; then `values` has their words' values.
bool PathPattern::match(const std::vector<Token>& tokens, std::size_t token, std::string_view rest, Values& values) {
  if (token == tokens.size()) return rest.empty();
  const Token& first = tokens[token];
  const auto known = first.kind == Token::kWord ? values.find(first.text) : values.end();
  if (first.kind == Token::kText || known != values.end()) {
    const std::string text = first.kind == Token::kText ? first.text : known->second;
    return rest.starts_with(text) && match(tokens, token + 1, rest.substr(text.size()), values);
  }
  const bool is_word = first.kind == Token::kWord;
  for (std::size_t length = is_word ? 1 : 0; length <= rest.size(); ++length) {
    if (length > 0 && rest[length - 1] == '/') return false;
    if (is_word) values[first.text] = std::string(rest.substr(0, length));
    if (match(tokens, token + 1, rest.substr(length), values)) return true;
    if (is_word) values.erase(first.text);
  }
  return false;
}

void PathPattern::add_files(const std::string& folder, const std::string& inside, std::size_t part,
                            std::vector<Match>& found) const {
  const std::vector<Token>& tokens = parts_[part];
  const std::string here = inside.empty() ? folder : folder + "/" + inside;
  const bool last = part + 1 == parts_.size(), fixed = tokens.size() == 1 && tokens[0].kind == Token::kText;
  std::error_code error;
  std::vector<std::string> names;
  if (fixed) {
    if (fs::exists(here + "/" + tokens[0].text, error)) names.push_back(tokens[0].text);
  } else if (fs::is_directory(here, error)) {
    const bool shown_dot = tokens[0].kind == Token::kText && tokens[0].text[0] == '.';
    for (const std::string& path : list_folder(here)) {
      const std::string name = fs::path(path).filename().string();
      Values unused;
      if ((name[0] != '.' || shown_dot) && match(tokens, 0, name, unused)) names.push_back(name);
    }
  }
  for (const std::string& name : names) {
    const std::string path = below(inside, name);
    if (!last) {
      if (fs::is_directory(folder + "/" + path, error)) add_files(folder, path, part + 1, found);
      continue;
    }
    Match file{folder + "/" + path, {}, ""};
    if (!fs::is_regular_file(file.path, error) || !match(tokens_, 0, path, file.values)) continue;
    const std::vector<std::string> names_in_path = parts_of(path);
    for (std::size_t i = 0; i < names_in_path.size(); ++i) {
      if (parts_[i].size() == 1 && parts_[i][0].kind == Token::kText) continue;
      const bool is_file = i + 1 == names_in_path.size();
      file.name +=
          (file.name.empty() ? "" : "-") + (is_file ? fs::path(names_in_path[i]).stem().string() : names_in_path[i]);
    }
    if (file.name.empty()) file.name = fs::path(path).stem().string();
    if (const auto name_word = file.values.find("name"); name_word != file.values.end()) file.name = name_word->second;
    found.push_back(std::move(file));
  }
}

std::vector<PathPattern::Match> PathPattern::files(const std::string& folder) const {
  std::vector<Match> found;
  add_files(folder, "", 0, found);
  std::sort(found.begin(), found.end(), [](const Match& a, const Match& b) { return a.path < b.path; });
  return found;
}

std::string PathPattern::example(const std::map<std::string, std::string>& values) const {
  std::string text;
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    const Token& token = tokens_[i];
    if (token.kind == Token::kText) {
      text += token.text;
    } else if (token.kind == Token::kStar) {
      const bool has_type = text.find('.', text.rfind('/') + 1) != std::string::npos;  // npos + 1 is 0
      const bool last = i + 1 == tokens_.size();
      text += !last ? "x" : text.ends_with(".") ? "png" : has_type ? "x" : "x.png";
    } else if (const auto value = values.find(token.text); value != values.end()) {
      text += value->second;
    } else {
      for (const char c : token.text) text += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    }
  }
  return text;
}

std::string PathPattern::fixed_folder() const {
  std::string folder;
  for (std::size_t i = 0; i + 1 < parts_.size() && parts_[i].size() == 1 && parts_[i][0].kind == Token::kText; ++i) {
    folder = below(folder, parts_[i][0].text);
  }
  return folder;
}

}  // namespace kind
