#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kind {

/// Pairs of a dark and a bright picture: low/ and high/, Low/ and Normal/, lq/ and gt/, input/ and target/, matched by
/// stem (then without LOL v2's prefixes low, normal, high), or pairs.csv with lines LOW,HIGH or LOW,HIGH,NAME (docs/training.md).
struct PairFolder {
  struct Pair {
    std::string stem;
    std::string low, high;  // paths; low is empty in a folder of bright pictures alone
  };
  std::string root;
  std::vector<Pair> pairs;            // sorted by stem, numbers by value
  std::vector<std::string> problems;  // a text for each picture without a twin, and for each name used twice
};

/// Lists a folder of pairs. Throws Error if the folder or one of its two subfolders is missing (the message says where
/// LOL is available), cannot be listed, or contains no picture.
PairFolder find_pairs(const std::string& root);

/// Lists only bright pictures: those in high/ (or Normal/), or in the folder itself if there is none.
PairFolder find_bright(const std::string& root);

/// The paths of the pictures directly in a folder by their stems, without prefixes as for pairs, except for `names`.
/// `problems` gets a text for each stem that occurs twice. Throws Error if the folder does not exist, cannot be listed
/// or contains no picture.
std::map<std::string, std::string> pictures_by_stem(const std::string& folder, const std::set<std::string>& names,
                                                    std::vector<std::string>& problems);

/// Throws Error with the problems in one line, at most 20 and the number of further ones, unless there are none.
void check_no_problems(const std::string& root, const std::vector<std::string>& problems);

/// The split of the pairs: indices into PairFolder::pairs, in order.
struct Split {
  std::vector<std::size_t> train, validation, test;
};

/// The lists of stems in the folder's split.json; nothing if there is no such file. Throws Error if it is not an
/// object of lists "train", "validation", "test" and no other key, names a missing pair, or names a pair twice.
std::optional<Split> read_split(const PairFolder& folder);

/// The same from another file, which must exist.
Split read_split_file(const PairFolder& folder, const std::string& file);

/// A line for the user where a folder has pairs.csv beside folders with pairs that it does not list: the list counts
/// alone. Otherwise empty.
std::string list_note(const std::string& root);

}  // namespace kind
