#include "core/files/npy.h"

#include <catch2/catch.hpp>
#include <cstring>

#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using Catch::Matchers::Contains;

namespace {

/// A .npy file with this header text (to which the line end is added) and data.
std::string npy(const std::string& header, const std::string& data, int version = 1) {
  std::string file = "\x93NUMPY";
  file += static_cast<char>(version);
  file += '\0';
  const std::size_t size = header.size() + 1;
  for (int i = 0; i < (version == 1 ? 2 : 4); ++i) file += static_cast<char>(size >> (8 * i) & 0xff);
  return file + header + "\n" + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

const std::string kGood = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
const std::string kSixFloats = raw(std::vector<float>{0, 1, -2.5f, 3, 1e30f, 5});

}  // namespace

TEMPLATE_TEST_CASE("npy: what is written is read again, bit for bit", "[unit]", float, double) {
  const TempDir dir;
  const std::vector<Shape> shapes = {{}, {1}, {7}, {2, 3}, {3, 1, 5}, {1, 3, 2, 4}, {2, 1, 3, 1, 2, 2}, {0}, {3, 0}};
  for (const Shape& shape : shapes) {
    Tensor<TestType> tensor(shape);
    for (std::int64_t i = 0; i < tensor.size(); ++i)
      tensor[i] = static_cast<TestType>(1) / static_cast<TestType>(i + 3);
    write_npy(dir / "t.npy", tensor);
    const auto again = read_npy<TestType>(dir / "t.npy");
    CHECK(again.shape() == shape);
    CHECK(again.to_vector() == tensor.to_vector());
  }
  CHECK(dir.count() == 1);
}

TEST_CASE("npy: the written bytes are the format's", "[unit]") {
  const TempDir dir;
  write_npy(dir / "t.npy", Tensor<float>(Shape{2, 3}, {0, 1, -2.5f, 3, 1e30f, 5}));
  const auto bytes = slurp(dir / "t.npy");
  const std::string text(bytes.begin(), bytes.end());
  const std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  CHECK(text == std::string("\x93NUMPY\x01\x00\x76\x00", 10) + header + std::string(117 - header.size(), ' ') + "\n" +
                    kSixFloats);
  write_npy(dir / "t.npy", Tensor<double>(Shape{1}, {0.5}));
  const auto one = slurp(dir / "t.npy");
  CHECK(std::string(one.begin(), one.end()).find("'shape': (1,), }") != std::string::npos);
  CHECK(one.size() == 128 + 8);
}

TEST_CASE("npy: both versions, all element types and ways to write the header", "[unit]") {
  const TempDir dir;
  const auto read = [&](const std::string& file) { return read_npy<double>(dir.put("t.npy", file)); };
  const std::vector<double> six = {0, 1, -2.5, 3, static_cast<double>(1e30f), 5};
  CHECK(read(npy(kGood, kSixFloats)).to_vector() == six);
  CHECK(read(npy(kGood, kSixFloats, 2)).to_vector() == six);
  CHECK(read(npy(kGood + "      ", kSixFloats)).shape() == Shape{2, 3});
  CHECK(read(npy("{\"shape\":(6,),\"fortran_order\":False,\"descr\":\"<f4\"}", kSixFloats)).to_vector() == six);
  CHECK(read(npy("{'descr': '<f8', 'fortran_order': False, 'shape': (3,1,1,1,1,1), }",
                 raw(std::vector<double>{1e-300, 0.1, -7})))
            .to_vector() == std::vector<double>{1e-300, 0.1, -7});
  CHECK(read(npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1, 3), }", std::string("\x00\x7f\xff", 3)))
            .to_vector() == std::vector<double>{0, 127, 255});
  CHECK(read(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", raw(std::vector<float>{9}))).item() == 9);
  const auto narrowed = read_npy<float>(dir.put(
      "t.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", raw(std::vector<double>{0.1}))));
  CHECK(narrowed.item() == 0.1f);
}

TEST_CASE("npy: what is not exactly such a file is refused by name", "[unit]") {
  const TempDir dir;
  const auto message = [&](const std::string& file) {
    const std::string path = dir.put("t.npy", file);
    const std::string text = error_of([&] { read_npy<float>(path); });
    CHECK_THAT(text, Contains("cannot read " + path));
    CHECK(text.find('\n') == std::string::npos);
    return text;
  };
  const auto header = [&](const std::string& descr, const std::string& order, const std::string& shape) {
    return message(
        npy("{'descr': " + descr + ", 'fortran_order': " + order + ", 'shape': " + shape + ", }", kSixFloats));
  };
  CHECK_THAT(message("PK\x03\x04 not npy"), Contains("not a NumPy"));
  CHECK_THAT(message(npy(kGood, kSixFloats, 3)), Contains("version 3.0"));
  CHECK_THAT(message(npy(kGood, kSixFloats + "x")), Contains("25 bytes of elements do not fit"));
  CHECK_THAT(header("'>f4'", "False", "(2, 3)"), Contains("'>f4'"));
  CHECK_THAT(header("'<i4'", "False", "(2, 3)"), Contains("'<i4', expected '<f4', '<f8' or '|u1'"));
  CHECK_THAT(header("'<f4'", "True", "(2, 3)"), Contains("Fortran order"));
  CHECK_THAT(header("'<f4'", "None", "(2, 3)"), Contains("neither True nor False"));
  CHECK_THAT(header("'<f4'", "False", "(2, -3)"), Contains("whole number"));
  CHECK_THAT(header("'<f4'", "False", "(2 3)"), Contains("expected ',' or ')'"));
  CHECK_THAT(header("'<f4'", "False", "(6)"), Contains("needs a comma"));
  CHECK_THAT(header("'<f4'", "False", "(2, 4)"), Contains("do not fit its shape"));
  CHECK_THAT(header("'<f4'", "False", "(2, 9223372036854775807)"), Contains("do not fit its shape"));
  CHECK_THAT(header("'<f4'", "False", "(4294967296, 4294967296, 2, 3)"), Contains("do not fit its shape"));
  CHECK_THAT(header("'<f4'", "False", "(99999999999999999999,)"), Contains("too long"));
  CHECK_THAT(header("'<f4'", "False", "(1, 1, 1, 1, 1, 1, 6)"), Contains("more than 6 axes"));
  CHECK_THAT(header("[('a', '<f4')]", "False", "(2, 3)"), Contains("bad header"));
  CHECK_THAT(header("'<f4\n'", "False", "(2, 3)"), Contains("'<f4\\x0a'"));
  CHECK_THAT(header("'<f4\\x34'", "False", "(2, 3)"), Contains("escape"));
  CHECK_THAT(message(npy("{'descr': '<f4', 'shape': (2, 3), }", kSixFloats)), Contains("expected the keys"));
  CHECK_THAT(message(npy("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", kSixFloats)),
             Contains("'descr' is unknown or there twice"));
  CHECK_THAT(message(npy("{'more': '<f4'}", kSixFloats)), Contains("'more' is unknown"));
  CHECK_THAT(message(npy(kGood + " + 1", kSixFloats)), Contains("behind the dictionary"));
  CHECK_THAT(message(npy("", kSixFloats)), Contains("expected '{'"));
  // A header length that runs past the file's end.
  CHECK_THAT(message(std::string("\x93NUMPY\x02\x00\xff\xff\xff\xff", 12) + kGood), Contains("ends early"));
}

TEST_CASE("npy: a file cut short anywhere is refused", "[unit]") {
  const TempDir dir;
  for (const int version : {1, 2}) {
    const std::string whole = npy(kGood, kSixFloats, version);
    REQUIRE(read_npy<float>(dir.put("t.npy", whole)).size() == 6);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string path = dir.put("t.npy", whole.substr(0, size));
      CHECK_THAT(error_of([&] { read_npy<float>(path); }), Contains("cannot read " + path));
    }
  }
}
