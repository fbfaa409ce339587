// A list of pairs beside folders of pairs.

#include <catch2/catch.hpp>
#include <filesystem>

#include "nets/data/pair_folder.h"
#include "tests/train/run_folder.h"

namespace kind::testing {
namespace {

using Catch::Contains;

TEST_CASE("list_note: pairs of the folders that a list beside them leaves out are told of") {
  const TempDir dir;
  put_scenes(dir.path(), 3, 8, 8);
  CHECK(list_note(dir.path()).empty());
  dir.put("pairs.csv", std::string("low/1.png,high/1.png\n"));
  CHECK(find_pairs(dir.path()).pairs.size() == 1);
  CHECK_THAT(list_note(dir.path()), Contains("pairs.csv: the pairs are the 1 that it lists; 2 more in") &&
                                        Contains("/low and ") && Contains("remove it"));
  CHECK(list_note(dir / "pairs.csv").empty());  // asked for by its name
  // All of them, under other names, or with other bright pictures, are the list's to say.
  dir.put("pairs.csv", std::string("low/1.png,high/2.png,a\nlow/2.png,high/2.png,b\nlow/3.png,high/2.png,c\n"));
  CHECK(list_note(dir.path()).empty());
}

TEST_CASE("dark_folder_note: dark pictures that nothing is trained on are told of") {
  const TempDir dir;
  put_scenes(dir.path(), 1, 8, 8);
  CHECK_THAT(dark_folder_note(dir.path()), Contains((dir / "low") + " is not used") && Contains("\"synthesize\""));
  CHECK(dark_folder_note(dir / "high").empty());
  std::filesystem::remove(dir / "low/1.png");
  CHECK(dark_folder_note(dir.path()).empty());
}

}  // namespace
}  // namespace kind::testing
