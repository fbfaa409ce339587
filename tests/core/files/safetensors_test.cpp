#include "core/files/safetensors.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>

#include "core/base/half.h"
#include "tests/support/errors.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::Equals;

namespace {

/// A file with this header and as many data bytes, 0, 1, 2 ...
std::vector<std::uint8_t> file_of(const std::string& header, std::size_t data_size) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<std::uint8_t>(std::uint64_t{header.size()} >> (8 * i)));
  bytes.insert(bytes.end(), header.begin(), header.end());
  for (std::size_t i = 0; i < data_size; ++i) bytes.push_back(static_cast<std::uint8_t>(i));
  return bytes;
}

SafeTensors parse(const std::string& header, std::size_t data_size) {
  return parse_safetensors(file_of(header, data_size), "x.safetensors");
}

/// The message of the error that a header gives, which must name the file and be one line.
std::string refusal(const std::string& header, std::size_t data_size) {
  const std::string message = error_of([&] { parse(header, data_size); });
  INFO(header.substr(0, 200));
  CHECK_THAT(message, Contains("cannot read x.safetensors as safetensors: "));
  CHECK(message.find_first_of(std::string("\n\r\x1b\0", 4)) == std::string::npos);
  CHECK(message.size() < 500);
  return message;
}

const std::string kTwo =
    R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";

}  // namespace

TEST_CASE("safetensors: a known file is read", "[unit]") {
  const SafeTensors content = parse(
      R"({"__metadata__":{"kind":"{\"nets\": 3}","e":"\u00e9"},"w":{"dtype":"I64","shape":[2,1],"data_offsets":[0,16]})"
      R"(,"s":{"shape":[],"data_offsets":[16,18],"dtype":"F16"}}   )",
      18);
  CHECK(content.tensors.size() == 2);
  CHECK(content.metadata == std::map<std::string, std::string>{{"kind", "{\"nets\": 3}"}, {"e", "\xc3\xa9"}});
  CHECK(content.contains("w"));
  CHECK_FALSE(content.contains("__metadata__"));
  CHECK(content.get("w").shape == std::vector<std::int64_t>{2, 1});
  CHECK(content.get_int64("w") == std::vector<std::int64_t>{0x0706050403020100, 0x0f0e0d0c0b0a0908});
  CHECK(content.get_tensor<float>("s").item() == half_to_float(0x1110));
  CHECK(content.get_tensor<float>("s").shape() == Shape{});
}

TEST_CASE("safetensors: what the format allows is read", "[unit]") {
  CHECK(parse("{}", 0).tensors.empty());
  CHECK(parse("{}   ", 0).metadata.empty());
  CHECK(parse(R"({"__metadata__":{}})", 0).metadata.empty());
  CHECK(parse(kTwo, 11).get_bytes("b") == std::vector<std::uint8_t>{8, 9, 10});
  // The header's order need not be that of the data; a tensor may be empty.
  const SafeTensors mixed = parse(R"({"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
                                  R"("none":{"dtype":"F32","shape":[0,5],"data_offsets":[8,8]},)"
                                  R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})",
                                  11);
  CHECK(mixed.get_bytes("b") == std::vector<std::uint8_t>{8, 9, 10});
  CHECK(mixed.get_tensor<float>("none").shape() == Shape{0, 5});
  // Fields of a tensor that the format does not know are passed over, whatever they hold.
  const SafeTensors extra = parse(R"({"a":{"note":{"x":[1,[-2.5,{}],null]},"dtype":"U8","n":-1,"shape":[1],"t":true,)"
                                  R"("data_offsets":[0,1],"s":"text","deep":[[[]]]}})",
                                  1);
  CHECK(extra.get_bytes("a") == std::vector<std::uint8_t>{0});
  for (const char* type : {"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "I16", "U16", "F16", "BF16", "I32", "U32", "F32",
                           "F64", "I64", "U64"}) {
    const std::string name = type;
    const int size = name.find("64") != std::string::npos   ? 8
                     : name.find("32") != std::string::npos ? 4
                     : name.find("16") != std::string::npos ? 2
                                                            : 1;
    const std::string bytes = std::to_string(3 * size);
    const auto content = parse(R"({"a":{"dtype":")" + name + R"(","shape":[3],"data_offsets":[0,)" + bytes + "]}}",
                               static_cast<std::size_t>(3 * size));
    CHECK(dtype_name(content.get("a").dtype) == name);
    CHECK(content.get("a").data.size() == static_cast<std::size_t>(3 * size));
  }
}

TEST_CASE("safetensors: the file's frame is checked", "[unit]") {
  const auto message = [](const std::vector<std::uint8_t>& bytes) {
    return error_of([&] { parse_safetensors(bytes, "x.safetensors"); });
  };
  CHECK_THAT(message({}), Contains("the file ends early, it has 0 bytes"));
  CHECK_THAT(message({2, 0, 0, 0, 0, 0, 0}), Contains("it has 7 bytes, expected at least 8"));
  CHECK_THAT(message({2, 0, 0, 0, 0, 0, 0, 0, '{'}), Contains("it has 9 bytes, expected at least 10"));
  CHECK_THAT(message({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, '{', '}'}),
             Contains("its header would have 18446744073709551615 bytes, expected at most 100000000"));
  CHECK_THAT(message({0x01, 0xe1, 0xf5, 0x05, 0, 0, 0, 0, '{', '}'}), Contains("would have 100000001 bytes"));
  CHECK_THAT(refusal("", 0), Contains("expected '{'"));
  CHECK_THAT(refusal(" {}", 0), Contains("expected '{'"));
  CHECK_THAT(refusal("\xef\xbb\xbf{}", 0), Contains("expected '{'"));
  CHECK_THAT(refusal("[]", 0), Contains("expected '{'"));
  CHECK_THAT(refusal(std::string("{}\0\0", 4), 0), Contains("zero byte"));
  CHECK_THAT(refusal("{}x", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{}{}", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{\"a\xff\":1}", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{\"\xc0\x80\":1}", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{\"\\ud800\":1}", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{\"a\n\":1}", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{\"" + std::string(5000, 'x'), 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{/* */}", 0), Contains("not valid JSON"));
  CHECK_THAT(refusal("{},", 0), Contains("not valid JSON"));
}

TEST_CASE("safetensors: headers of another shape are refused", "[unit]") {
  const auto tensor = [](const std::string& fields, std::size_t size = 4) {
    return refusal("{\"a\":{" + fields + "}}", size);
  };
  CHECK_THAT(refusal(R"({"a":1})", 0), Contains("'a' is a number, expected an object"));
  CHECK_THAT(refusal(R"({"a":-1})", 0), Contains("'a' is a negative number, expected an object"));
  CHECK_THAT(refusal(R"({"a":null})", 0), Contains("'a' is null, expected an object"));
  CHECK_THAT(refusal(R"({"a":[]})", 0), Contains("'a' is a list, expected an object"));
  CHECK_THAT(refusal(R"({"a":"F32"})", 0), Contains("'a' is a string, expected an object"));
  CHECK_THAT(refusal(R"({"__metadata__":"x"})", 0), Contains("'__metadata__' is a string, expected an object"));
  CHECK_THAT(refusal(R"({"__metadata__":null})", 0), Contains("'__metadata__' is null, expected an object"));
  CHECK_THAT(refusal(R"({"__metadata__":{"k":1}})", 0), Contains("'k' of __metadata__ is a number, expected a string"));
  CHECK_THAT(refusal(R"({"__metadata__":{"k":null}})", 0), Contains("'k' of __metadata__ is null"));
  CHECK_THAT(refusal(R"({"__metadata__":{"k":{}}})", 0), Contains("'k' of __metadata__ is an object"));
  CHECK_THAT(refusal(R"({"__metadata__":{"k":["v"]}})", 0), Contains("'k' of __metadata__ is a list"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1])"), Contains("tensor 'a' lacks the field data_offsets"));
  CHECK_THAT(tensor(R"("dtype":"F32","data_offsets":[0,4])"), Contains("tensor 'a' lacks the field shape"));
  CHECK_THAT(tensor(R"("shape":[1],"data_offsets":[0,4])"), Contains("tensor 'a' lacks the field dtype"));
  CHECK_THAT(tensor(""), Contains("'a' lacks the field dtype"));
  CHECK_THAT(tensor(R"("dtype":"F33","shape":[1],"data_offsets":[0,4])"), Contains("unknown element type 'F33'"));
  CHECK_THAT(tensor(R"("dtype":"f32","shape":[1],"data_offsets":[0,4])"), Contains("unknown element type 'f32'"));
  CHECK_THAT(tensor(R"("dtype":32,"shape":[1],"data_offsets":[0,4])"),
             Contains("field dtype of tensor 'a' is or holds a number"));
  CHECK_THAT(tensor(R"("dtype":["F32"],"shape":[1],"data_offsets":[0,4])"),
             Contains("field dtype of tensor 'a' is or holds a list"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":1,"data_offsets":[0,4])"),
             Contains("field shape of tensor 'a' is or holds a number"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":"1","data_offsets":[0,4])"), Contains("is or holds a string"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":{},"data_offsets":[0,4])"), Contains("is or holds an object"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])"), Contains("is or holds a fraction"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])"), Contains("is or holds a negative number"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[true],"data_offsets":[0,4])"), Contains("is or holds a boolean"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])"), Contains("is or holds a list"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[{}],"data_offsets":[0,4])"), Contains("is or holds an object"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])"),
             Contains("too large a number"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4])"),
             Contains("too large a number"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0])"), Contains("has 1 data_offsets, expected 2"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])"), Contains("has 3 data_offsets"));
  CHECK_THAT(tensor(R"("dtype":"F32","shape":[1],"data_offsets":"0,4")"), Contains("is or holds a string"));
}

TEST_CASE("safetensors: no key may be there twice", "[unit]") {
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  CHECK_THAT(refusal("{" + a + "," + a + "}", 1), Contains("the name 'a' is there twice"));
  CHECK_THAT(refusal("{" + a + R"(,"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})", 2),
             Contains("the name 'a' is there twice"));
  CHECK_THAT(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), Contains("'__metadata__' is there twice"));
  CHECK_THAT(refusal(R"({"__metadata__":{"k":"1","k":"1"}})", 0), Contains("'k' of __metadata__ is there twice"));
  CHECK_THAT(refusal(R"({"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1),
             Contains("'dtype' of 'a' is there twice"));
  CHECK_THAT(refusal(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"shape":[1]}})", 1),
             Contains("'shape' of 'a' is there twice"));
}

TEST_CASE("safetensors: the tensors must cover the data without gap or overlap", "[unit]") {
  const auto two = [](const std::string& first, const std::string& second, std::size_t size) {
    return refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[)" + first +
                       R"(]},"b":{"dtype":"U8","shape":[4],"data_offsets":[)" + second + "]}}",
                   size);
  };
  CHECK_THAT(two("0,4", "5,9", 9), Contains("'b' has the data_offsets [5, 9], expected to start at 4"));
  CHECK_THAT(two("0,4", "3,7", 7), Contains("'b' has the data_offsets [3, 7], expected to start at 4"));
  CHECK_THAT(two("0,4", "0,4", 4), Contains("expected to start at 4"));
  CHECK_THAT(two("1,5", "5,9", 9), Contains("'a' has the data_offsets [1, 5], expected to start at 0"));
  CHECK_THAT(two("0,4", "4,8", 9), Contains("it has 9 bytes of data, its tensors end at 8"));
  CHECK_THAT(two("0,4", "4,8", 7), Contains("it has 7 bytes of data, tensor 'b' ends at 8"));
  CHECK_THAT(two("0,4", "4,9", 9), Contains("'b' of type U8 and shape [4] has 5 bytes"));
  CHECK_THAT(two("0,4", "4,0", 4), Contains("'b' has the data_offsets [4, 0]"));
  CHECK_THAT(two("0,4", "4,9223372036854775807", 8), Contains("it has 8 bytes of data"));
  CHECK_THAT(refusal("{}", 1), Contains("it has 1 bytes of data, its tensors end at 0"));
  const auto sized = [](const std::string& shape, const std::string& dtype) {
    return refusal(R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":[0,8]}})", 8);
  };
  CHECK_THAT(sized("[3]", "F32"), Contains("of type F32 and shape [3] has 8 bytes"));
  CHECK_THAT(sized("[]", "F32"), Contains("of type F32 and shape [] has 8 bytes"));
  CHECK_THAT(sized("[0]", "F64"), Contains("has 8 bytes"));
  // Products that come to 8 again when they overflow.
  CHECK_THAT(sized("[4611686018427387906,4]", "U8"), Contains("has 8 bytes"));
  CHECK_THAT(sized("[4294967296,4294967296,8]", "U8"), Contains("has 8 bytes"));
  CHECK_THAT(sized("[2305843009213693953]", "F64"), Contains("has 8 bytes"));
}

TEST_CASE("safetensors: a file cut short anywhere, or with a byte too many, is refused", "[unit]") {
  const auto whole = file_of(kTwo, 11);
  const auto message = [](const std::vector<std::uint8_t>& bytes) {
    return error_of([&] { parse_safetensors(bytes, "x"); });
  };
  REQUIRE(message(whole) == "no error");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_THAT(message({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), Contains("cannot read x"));
  }
  auto longer = whole;
  longer.push_back(0);
  CHECK_THAT(message(longer), Contains("its tensors end at 11"));
}

TEST_CASE("safetensors: any changed header byte is refused or changes no size", "[unit]") {
  const auto whole = file_of(kTwo, 11);
  for (std::size_t i = 0; i < 8 + kTwo.size(); ++i) {
    for (const int change : {1, 2, 4, 8, 16, 32, 64, 128}) {
      auto bytes = whole;
      bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ change);
      try {
        std::size_t total = 0;
        for (const auto& [name, tensor] : parse_safetensors(bytes, "x").tensors) total += tensor.data.size();
        CHECK(total == 11);
      } catch (const Error&) {
      }
    }
  }
}

TEST_CASE("safetensors: nesting of any depth is survived", "[unit]") {
  const std::size_t depth = 1000000;
  refusal("{" + std::string(depth, '['), 0);
  refusal(R"({"a":{"x":)" + std::string(depth, '['), 0);
  const std::string nested = std::string(depth, '[') + std::string(depth, ']');
  CHECK(parse(R"({"a":{"x":)" + nested + R"(,"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1).contains("a"));
}

TEST_CASE("safetensors: what is put in comes back, from memory and from a file", "[unit]") {
  const TempDir dir;
  SafeTensors content;
  const Tensor<float> floats(Shape{1, 2, 1, 2}, {0.1f, -0.0f, 3e38f, std::numeric_limits<float>::denorm_min()});
  const Tensor<double> doubles(Shape{3}, {0.1, -1e300, 5});
  const Tensor<float> halves(Shape{2, 2}, {1, 1.0f / 3, 65519.9f, -1e-7f});
  content.put_tensor("floats", floats);
  content.put_tensor("doubles", doubles);
  content.put_half("halves", halves);
  content.put_int64("ints", {1, -2, std::numeric_limits<std::int64_t>::min()});
  content.put_bytes("bytes", {0, 255, 3});
  content.put_bytes("no bytes", {});
  content.put_tensor("scalar", Tensor<float>::scalar(7));
  content.put_tensor("\xc3\xa9 \"\\\n", Tensor<float>::scalar(8));
  content.metadata = {{"kind", "{\"a\": [1]}"}, {"", "\t\x7f\xe2\x82\xac"}};
  write_safetensors(dir / "m.safetensors", content);
  CHECK(dir.count() == 1);

  const SafeTensors again = read_safetensors(dir / "m.safetensors");
  CHECK(again.source == dir / "m.safetensors");
  CHECK(again.metadata == content.metadata);
  REQUIRE(again.tensors.size() == content.tensors.size());
  for (const auto& [name, tensor] : content.tensors) {
    CHECK(again.get(name).dtype == tensor.dtype);
    CHECK(again.get(name).shape == tensor.shape);
    CHECK(again.get(name).data == tensor.data);
  }
  CHECK(again.get_tensor<float>("floats").to_vector() == floats.to_vector());
  CHECK(std::signbit(again.get_tensor<float>("floats")[1]));
  CHECK(again.get_tensor<float>("floats").shape() == floats.shape());
  CHECK(again.get_tensor<double>("doubles").to_vector() == doubles.to_vector());
  CHECK(again.get_tensor<float>("doubles").to_vector() ==
        std::vector<float>{0.1f, -std::numeric_limits<float>::infinity(), 5});
  CHECK(again.get_tensor<double>("halves").to_vector() ==
        std::vector<double>{1, 0.333251953125, 65504, -std::ldexp(2, -24)});
  CHECK(again.get_int64("ints") == std::vector<std::int64_t>{1, -2, std::numeric_limits<std::int64_t>::min()});
  CHECK(again.get_bytes("bytes") == std::vector<std::uint8_t>{0, 255, 3});
  CHECK(again.get_bytes("no bytes").empty());
}

TEST_CASE("safetensors: bfloat16 is read", "[unit]") {
  const SafeTensors content = parse(R"({"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}})", 4);
  CHECK(content.get_tensor<float>("a").to_vector() ==
        std::vector<float>{bfloat16_to_float(0x0100), bfloat16_to_float(0x0302)});
}

TEST_CASE("safetensors: the written bytes are the format's: widest types first, then by name, padded to 8", "[unit]") {
  const TempDir dir;
  SafeTensors content;
  content.put_bytes("a", {1, 2, 3});
  content.put_tensor("z", Tensor<float>(Shape{1, 1}, {1}));
  content.put_tensor("b", Tensor<float>(Shape{1}, {2}));
  content.put_int64("m", {4});
  content.put_tensor("d", Tensor<double>(Shape{1}, {1}));
  content.metadata = {{"y", "2"}, {"x", "1"}};
  write_safetensors(dir / "m", content);
  const auto bytes = slurp(dir / "m");
  const std::string header =
      R"({"__metadata__":{"x":"1","y":"2"},"m":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
      R"("d":{"dtype":"F64","shape":[1],"data_offsets":[8,16]},"b":{"dtype":"F32","shape":[1],"data_offsets":[16,20]},)"
      R"("z":{"dtype":"F32","shape":[1,1],"data_offsets":[20,24]},"a":{"dtype":"U8","shape":[3],"data_offsets":[24,27]}})";
  const std::size_t padded = (header.size() + 7) / 8 * 8;
  REQUIRE(bytes.size() == 8 + padded + 27);
  CHECK(bytes[0] + 256u * bytes[1] == padded);
  CHECK(std::string(bytes.begin() + 8, bytes.begin() + 8 + static_cast<std::ptrdiff_t>(padded)) ==
        header + std::string(padded - header.size(), ' '));
  CHECK(std::vector<std::uint8_t>(bytes.end() - 27, bytes.end()) ==
        std::vector<std::uint8_t>{4,    0,    0, 0, 0, 0,    0, 0, 0,    0,    0, 0, 0, 0,
                                  0xf0, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x80, 0x3f, 1, 2, 3});

  write_safetensors(dir / "empty", SafeTensors{});
  CHECK(slurp(dir / "empty") ==
        std::vector<std::uint8_t>{8, 0, 0, 0, 0, 0, 0, 0, '{', '}', ' ', ' ', ' ', ' ', ' ', ' '});
}

TEST_CASE("safetensors: asking for what is not there, and writing what cannot be, is an error", "[unit]") {
  const TempDir dir;
  SafeTensors content;
  content.source = "m.safetensors";
  content.put_int64("ints", {1});
  content.put_tensor("floats", Tensor<float>::scalar(1));
  content.tensors["deep"] = {Dtype::kF32, {1, 1, 1, 1, 1, 1, 1}, {0, 0, 0, 0}};
  CHECK_THAT(error_of([&] { content.get("none"); }), Equals("m.safetensors: there is no tensor 'none'"));
  CHECK_THAT(error_of([&] { content.get_tensor<float>("ints"); }),
             Equals("m.safetensors: tensor 'ints' is of type I64, expected F64, F32, F16 or BF16"));
  CHECK_THAT(error_of([&] { content.get_int64("floats"); }), Contains("'floats' is of type F32, expected I64"));
  CHECK_THAT(error_of([&] { content.get_bytes("floats"); }), Contains("'floats' is of type F32, expected U8"));
  CHECK_THAT(error_of([&] { content.get_tensor<float>("deep"); }), Contains("'deep' has 7 axes, expected at most 6"));
  CHECK_THAT(error_of([&] { content.put_half("h", Tensor<float>(Shape{1}, {-65520.0f})); }),
             Equals("m.safetensors: tensor 'h' holds -65520, too large for float16 (65504 at most)"));
  CHECK_THAT(error_of([&] { content.put_tensor("u", Tensor<float>()); }), Contains("'u' is undefined"));
  CHECK_FALSE(content.contains("h"));

  const auto message = [&] { return error_of([&] { write_safetensors(dir / "m", content); }); };
  content.tensors["bad"] = {Dtype::kF32, {2}, {0, 0, 0, 0}};
  CHECK_THAT(message(), Contains("cannot write " + (dir / "m") + ": tensor 'bad' has 4 bytes"));
  CHECK_THAT(error_of([&] { content.get_tensor<float>("bad"); }), Contains("which do not fit its shape [2]"));
  content.tensors.erase("bad");
  content.put_bytes("\xff", {1});
  CHECK_THAT(message(), Contains("not valid UTF-8"));
  content.tensors.erase("\xff");
  content.put_bytes("__metadata__", {1});
  CHECK_THAT(message(), Contains("cannot be called __metadata__"));
  CHECK(dir.count() == 0);
  CHECK_THAT(error_of([&] { read_safetensors(dir / "m"); }), Contains("No such file"));
}

TEST_CASE("safetensors: infinities and NaN may be stored as float16", "[unit]") {
  SafeTensors content;
  const float infinity = std::numeric_limits<float>::infinity();
  content.put_half("h", Tensor<float>(Shape{3}, {infinity, -infinity, std::nanf("")}));
  const auto values = content.get_tensor<float>("h").to_vector();
  CHECK(values[0] == infinity);
  CHECK(values[1] == -infinity);
  CHECK(std::isnan(values[2]));
}
