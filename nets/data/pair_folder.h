#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace kind {

/// A folder of pictures of the same scenes, dark and bright: low/ and high/, or Low/ and Normal/ as LOL v2 names them.
/// Files are matched by stem; those that have no twin of their own name, without the prefixes low, normal or high that
/// LOL v2's have.
struct PairFolder {
  struct Pair {
    std::string stem;
    std::string low, high;  // paths; low is empty in a folder of bright pictures alone
  };
  std::string root;
  std::vector<Pair> pairs;            // sorted by stem, numbers by value
  std::vector<std::string> problems;  // a text for each picture without a twin, and for each name used twice
};

/// Lists a folder of pairs. Throws Error where the folder or one of its two is missing (saying where LOL is had),
/// cannot be listed, or holds no picture.
PairFolder find_pairs(const std::string& root);

/// Lists bright pictures alone: those in high/ (or Normal/), or in the folder itself where there is none.
PairFolder find_bright(const std::string& root);

/// The paths of the pictures right in a folder by their stems: prefixes are left out as those of pairs are, but of none
/// of `names`. `problems` gets a text for each stem that two have. Throws Error where there is no such folder, it
/// cannot be listed or holds no picture.
std::map<std::string, std::string> pictures_by_stem(const std::string& folder, const std::set<std::string>& names,
                                                    std::vector<std::string>& problems);

/// Throws Error with the problems in one line, all of up to 20, else 20 and how many more, unless there are none.
void check_no_problems(const std::string& root, const std::vector<std::string>& problems);

/// Which pair serves what: indices into PairFolder::pairs, in order.
struct Split {
  std::vector<std::size_t> train, validation, test;
};

/// The lists of stems in the folder's split.json; nothing where there is no such file. Throws Error where it is not an
/// object of lists "train", "validation", "test" and no other key, names a pair that is not there, or one twice.
std::optional<Split> read_split(const PairFolder& folder);

/// The same of another file, which must be there.
Split read_split_file(const PairFolder& folder, const std::string& file);

}  // namespace kind
