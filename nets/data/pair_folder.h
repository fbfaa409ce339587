#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kind {

/// Pairs of a dark and a bright picture: low/ and high/, Low/ and Normal/, lq/ and gt/, input/ and target/, matched by
/// stem (then without LOL v2's prefixes low, normal, high); or pairs.csv with lines LOW,HIGH or LOW,HIGH,NAME; or files that
/// match two patterns (docs/training.md).
struct PairFolder {
  struct Pair {
    std::string stem;
    std::string low, high;  // paths; low is empty in a folder of bright pictures alone
  };
  std::string root;
  std::vector<Pair> pairs;              // sorted by stem, numbers by value
  std::vector<std::string> problems;    // a text for each picture without a twin or of a type that is not read, and for
                                        // each name used twice
  std::set<std::string> unusable = {};  // the stems that the problems are about
};

/// Patterns of names (nets/data/path_pattern.h) instead of the layouts above; both empty: none. Dark and bright pictures
/// with the same values of the words of `high` are pairs: several dark ones may have the same bright one. A file that
/// matches both is dark where another one is its bright picture, and bright otherwise.
struct PairPatterns {
  std::string low, high;
};

/// Throws Error, in which the patterns are called `low_key` and `high_key`, unless there are both patterns or none, and each
/// word of `high`, one at least, is in `low`. `bright_alone`: there is `high` alone or none, and any words in it.
void check_patterns(const PairPatterns& patterns, bool bright_alone, const std::string& low_key,
                    const std::string& high_key);

/// Lists a folder of pairs. Throws Error if the folder or one of its two subfolders is missing (the message says where
/// LOL is available), cannot be listed, or contains no picture; and if a pattern matches nothing.
PairFolder find_pairs(const std::string& root, const PairPatterns& patterns = {});

/// Lists only bright pictures: those that match patterns.high, else those in high/ (or Normal/), or in the folder itself if
/// there is none.
PairFolder find_bright(const std::string& root, const PairPatterns& patterns = {});

/// The paths of the pictures directly in a folder by their stems, without prefixes as for pairs, except for `names`, and
/// without `suffix` at their ends. `problems` gets a text for each stem that occurs twice. Throws Error if the folder does
/// not exist, cannot be listed or contains no picture, or if no stem has the suffix.
std::map<std::string, std::string> pictures_by_stem(const std::string& folder, const std::set<std::string>& names,
                                                    std::vector<std::string>& problems, const std::string& suffix = "");

/// Throws Error with the problems in one line, at most 20 and the number of further ones, and `advice` behind them, unless
/// there are none.
void check_no_problems(const std::string& root, const std::vector<std::string>& problems,
                       const std::string& advice = "");
/// The same line for other messages: "first; second; and 3 more".
std::string problems_text(const std::vector<std::string>& problems);

/// The split of the pairs: indices into PairFolder::pairs, in order.
struct Split {
  std::vector<std::size_t> train, validation, test;
};

/// The lists of stems in the folder's split.json; nothing if there is no such file. Throws Error if it is not an
/// object of lists "train", "validation", "test" and no other key, names a missing pair, or names a pair twice. Names in
/// PairFolder::unusable are passed over.
std::optional<Split> read_split(const PairFolder& folder);

/// The same from another file, which must exist.
Split read_split_file(const PairFolder& folder, const std::string& file);

/// A line for the user where a folder has pairs.csv beside folders with pairs that it does not list: the list counts
/// alone. Otherwise empty.
std::string list_note(const std::string& root);

/// A line for the user where a folder of bright photographs that are to be darkened also has dark pictures, which are not
/// used. Otherwise empty.
std::string dark_folder_note(const std::string& root);

}  // namespace kind
