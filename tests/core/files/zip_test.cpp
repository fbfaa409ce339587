#include "core/files/zip.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

std::uint64_t number_at(const std::vector<std::uint8_t>& bytes, std::size_t at, int size) {
  std::uint64_t value = 0;
  for (int i = 0; i < size; ++i)
    value |= static_cast<std::uint64_t>(bytes.at(at + static_cast<std::size_t>(i))) << (8 * i);
  return value;
}

TEST_CASE("zip: headers, data and directory") {
  const std::string text = "123456789";
  const auto bytes = stored_zip({{"a/b.txt", {text.begin(), text.end()}}, {"empty", {}}});
  CHECK(number_at(bytes, 0, 4) == 0x04034b50);
  CHECK(number_at(bytes, 14, 4) == 0xcbf43926);  // the CRC-32 of these digits, a known check value
  CHECK(number_at(bytes, 18, 4) == 9);
  CHECK(number_at(bytes, 22, 4) == 9);
  CHECK(number_at(bytes, 26, 2) == 7);
  CHECK(std::string(bytes.begin() + 30, bytes.begin() + 46) == "a/b.txt123456789");
  const std::size_t end = bytes.size() - 22;
  CHECK(number_at(bytes, end, 4) == 0x06054b50);
  CHECK(number_at(bytes, end + 10, 2) == 2);
  const std::size_t directory = number_at(bytes, end + 16, 4);
  CHECK(number_at(bytes, directory, 4) == 0x02014b50);
  CHECK(directory + number_at(bytes, end + 12, 4) == end);
  const std::size_t second = directory + 46 + 7;  // of the file's entry
  CHECK(number_at(bytes, second, 4) == 0x02014b50);
  CHECK(number_at(bytes, number_at(bytes, second + 42, 4), 4) == 0x04034b50);
  CHECK(number_at(bytes, second + 16, 4) == 0);
  CHECK(bytes == stored_zip({{"a/b.txt", {text.begin(), text.end()}}, {"empty", {}}}));
  CHECK(stored_zip({}).size() == 22);
}

TEST_CASE("zip: another program reads it") {
  if (std::system("/usr/bin/python3 -c 'import zipfile' >/dev/null 2>&1") != 0) {
    WARN("skipped: there is no /usr/bin/python3");
    return;
  }
  const TempDir dir;
  std::vector<std::uint8_t> all(70000);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i * i >> 3);
  const std::string zip = dir.put("x.zip", stored_zip({{"f/all", all}, {"f/none", {}}}));
  const std::string out = dir / "out";
  CHECK(std::system(("/usr/bin/python3 -c \"import zipfile; z = zipfile.ZipFile('" + zip +
                     "'); assert z.testzip() is None; z.extractall('" + out + "')\"")
                        .c_str()) == 0);
  CHECK(slurp(out + "/f/all") == all);
  CHECK(slurp(out + "/f/none").empty());
}

TEST_CASE("zip: names that cannot be") {
  CHECK_THAT(error_of([] { stored_zip({{"", {}}}); }), Contains("relative name"));
  CHECK_THAT(error_of([] { stored_zip({{"/etc/x", {}}}); }), Contains("relative name"));
  CHECK_THAT(error_of([] { stored_zip({{"\xc3\xa4", {}}}); }), Contains("ASCII"));
}

}  // namespace
}  // namespace kind::testing
