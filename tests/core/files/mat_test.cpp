#include "core/files/mat.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>

#include "tests/support/errors.h"
#include "tests/support/mat.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {
namespace {

using Catch::Contains;

std::map<std::string, MatMatrix> parse(const std::string& file) {
  return parse_mat({reinterpret_cast<const std::uint8_t*>(file.data()), file.size()}, "x.mat");
}

std::string refused(const std::string& file) {
  const std::string message = error_of([&] { parse(file); });
  CHECK_THAT(message, Catch::StartsWith("cannot read x.mat as a MAT-file: "));
  return message;
}

const std::string kMatrix = mat_variable("m", 2, 3, mat_doubles({1, 2, 3, 4, 5, -0.1}));

TEST_CASE("MAT-files: matrices by name, column by column, in both byte orders, plain and compressed") {
  const std::string other = mat_variable("long name of 22 bytes.", 1, 1, mat_doubles({1e300}));
  for (const std::string& content :
       {kMatrix + other, mat_packed(kMatrix) + mat_packed(other), mat_packed(kMatrix) + other}) {
    const auto all = parse(mat_header() + content);
    REQUIRE(all.size() == 2);
    const MatMatrix& m = all.at("m");
    CHECK((m.rows == 2 && m.columns == 3));
    CHECK(m.values == std::vector<double>{1, 2, 3, 4, 5, -0.1});
    CHECK((m.at(1, 0) == 2 && m.at(0, 1) == 3 && m.at(1, 2) == -0.1));
    CHECK(all.at("long name of 22 bytes.").values == std::vector<double>{1e300});
  }
  const auto big = parse(mat_header(false) + mat_variable("m", 1, 2, mat_doubles({0.5, -7}, false), 6, false));
  CHECK(big.at("m").values == std::vector<double>{0.5, -7});
  CHECK(parse(mat_header()).empty());
  CHECK(parse(mat_header() + mat_variable("none", 0, 5, mat_doubles({}))).at("none").values.empty());
}

TEST_CASE("MAT-files: numbers that are stored as smaller types, and small elements") {
  // The small form: the size in the upper half of the first word, up to four bytes of data in the second.
  const std::string bytes = number(2 | 3u << 16, 4, true) + std::string("\x01\xff\x07\x00", 4);
  CHECK(parse(mat_header() + mat_variable("m", 3, 1, bytes)).at("m").values == std::vector<double>{1, 255, 7});
  const std::string shorts = mat_element(3, number(0xFFFF, 2, true) + number(300, 2, true));
  CHECK(parse(mat_header() + mat_variable("m", 1, 2, shorts)).at("m").values == std::vector<double>{-1, 300});
  const std::string single = mat_element(7, number(std::bit_cast<std::uint32_t>(0.25f), 4, true));
  CHECK(parse(mat_header() + mat_variable("m", 1, 1, single, 7)).at("m").values == std::vector<double>{0.25});
  const std::string small_name = number(1 | 1u << 16, 4, true) + std::string("n\0\0\0", 4);
  const std::string variable =
      mat_element(14, mat_element(6, number(6, 4, true) + number(0, 4, true)) +
                          mat_element(5, number(1, 4, true) + number(1, 4, true)) + small_name + mat_doubles({9}));
  CHECK(parse(mat_header() + variable).at("n").values == std::vector<double>{9});
}

TEST_CASE("MAT-files: variables of other classes are passed over") {
  const std::string text = mat_variable("t", 1, 2, mat_element(4, number('a', 2, true) + number('b', 2, true)), 4);
  const std::string complex = mat_variable("c", 1, 1, mat_doubles({1}) + mat_doubles({2}), 6 | 0x800);
  const std::string cube =
      mat_element(14, mat_element(6, number(6, 4, true) + number(0, 4, true)) +
                          mat_element(5, number(1, 4, true) + number(1, 4, true) + number(1, 4, true)) +
                          mat_element(1, "cube") + mat_doubles({1}));
  const std::string unknown = mat_element(18, "whatever");
  const auto all = parse(mat_header() + text + complex + mat_packed(cube) + unknown + kMatrix);
  CHECK(all.size() == 1);
  CHECK(all.contains("m"));
}

TEST_CASE("MAT-files: what is refused, and why") {
  const std::string head = mat_header();
  CHECK_THAT(refused(""), Contains("no header of level 5"));
  CHECK_THAT(refused("MATLAB 7.3 MAT-file"), Contains("level 7.3 (HDF5)") && Contains("-v7"));
  CHECK_THAT(refused(std::string(300, '\0')), Contains("no header of level 5"));
  std::string version = head;
  version[124] = 2;
  CHECK_THAT(refused(version), Contains("version 258, expected 256"));
  CHECK_THAT(refused(head + "1234567"), Contains("ends within the tag"));
  CHECK_THAT(refused(head + number(14, 4, true) + number(9, 4, true) + "12345678"),
             Contains("more bytes than there are"));
  CHECK_THAT(refused(head + number(14, 4, true) + number(0xFFFFFFFF, 4, true)), Contains("more bytes than there are"));
  CHECK_THAT(refused(head + number(14 | 5u << 16, 4, true) + "1234"), Contains("small form"));
  CHECK_THAT(refused(head + kMatrix + kMatrix), Contains("two variables are called 'm'"));
  CHECK_THAT(refused(head + mat_variable("m", 2, 2, mat_doubles({1, 2, 3}))), Contains("24 bytes for 4 numbers of 8"));
  CHECK_THAT(refused(head + mat_variable("m", 0x7FFFFFFF, 0x7FFFFFFF, mat_doubles({1}))), Contains("8 bytes for"));
  CHECK_THAT(refused(head + mat_variable("m", 0x80000000, 1, mat_doubles({1}))), Contains("negative size"));
  CHECK_THAT(refused(head + mat_variable("m", 1, 1, mat_element(99, "12345678"))), Contains("of type 99"));
  CHECK_THAT(refused(head + mat_variable("m", 1, 1, mat_doubles({1}) + mat_doubles({1}))),
             Contains("bytes behind the numbers"));
  CHECK_THAT(refused(head + mat_element(14, mat_element(5, "12345678"))), Contains("does not begin with its flags"));
  CHECK_THAT(refused(head + mat_packed(kMatrix + kMatrix)), Contains("behind a compressed variable"));
  const std::string packed_matrix = packed(kMatrix);
  CHECK_THAT(refused(head + mat_element(15, packed_matrix.substr(0, packed_matrix.size() - 6))), Contains("damaged"));
  CHECK_THAT(refused(head + mat_element(15, packed_matrix + "x")), Contains("bytes behind the data"));
  CHECK_THAT(refused(head + mat_element(15, "no zlib")), Contains("damaged"));
  // A bomb: 80 MiB of zeros in some kilobytes.
  CHECK_THAT(refused(head + mat_packed(std::string(std::size_t{80} << 20, '\0'))), Contains("more than 64 MiB"));
  const TempDir dir;
  CHECK_THAT(error_of([&] { read_mat(dir / "none.mat"); }), Contains("none.mat"));
}

TEST_CASE("MAT-files: every file that is cut short or has a byte changed is read or refused") {
  const std::string file = mat_header() + kMatrix + mat_packed(mat_variable("n", 1, 2, mat_doubles({1, 2})));
  for (std::size_t size = 0; size < file.size(); ++size) error_of([&] { parse(file.substr(0, size)); });
  for (std::size_t at = 0; at < file.size(); ++at) {
    for (const int change : {1, 0x80, 0xFF}) {
      std::string changed = file;
      changed[at] = static_cast<char>(changed[at] ^ change);
      error_of([&] { parse(changed); });
    }
  }
  CHECK(parse(file).size() == 2);
}

}  // namespace
}  // namespace kind::testing
