#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace kind {

/// A pattern of paths in a folder, such as "short/{scene}_*.png". {WORD} stands for one or more characters, the same
/// ones wherever the word is repeated; * for any number of characters; neither for a slash. Both take as few characters
/// as they can, from the left. Everything else stands for itself.
class PathPattern {
 public:
  /// Throws Error, beginning with `where`, for an empty or absolute pattern, or one whose braces are not around a word of
  /// letters, digits, - and _.
  PathPattern(const std::string& text, const std::string& where);

  const std::string& text() const { return text_; }
  const std::set<std::string>& words() const { return words_; }

  struct Match {
    std::string path;                           // with the folder in front
    std::map<std::string, std::string> values;  // of the words
    /// The value of the word "name"; without one, the parts of the path that the pattern does not have as they are, without
    /// the extension and joined by hyphens: "00001_0.1s" of "short/00001_0.1s.png" for "short/{scene}_*.png".
    std::string name;
  };
  /// The files that match, sorted by path. Hidden files (.x) match only where the pattern has the dot. Throws Error if a
  /// folder cannot be listed; a missing one has no files.
  std::vector<Match> files(const std::string& folder) const;

  /// A file that would match, for messages: "short/SCENE_x.png". Words with a value have that.
  std::string example(const std::map<std::string, std::string>& values = {}) const;
  /// The part of the path, up to a slash, that is in all that match: "short" of "short/{scene}_*.png". May be empty.
  std::string fixed_folder() const;

 private:
  struct Token {
    enum Kind { kText, kWord, kStar } kind;
    std::string text;  // of a kText, or the word
  };
  using Values = std::map<std::string, std::string>;
  static std::vector<Token> tokens_of(const std::string& text, const std::string& where);
  static bool match(const std::vector<Token>& tokens, std::size_t token, std::string_view rest, Values& values);
  void add_files(const std::string& folder, const std::string& inside, std::size_t part,
                 std::vector<Match>& found) const;

  std::string text_;
  std::set<std::string> words_;
  std::vector<Token> tokens_;              // of the whole pattern
  std::vector<std::vector<Token>> parts_;  // of what is between its slashes
};

}  // namespace kind
