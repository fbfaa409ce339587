#include <catch2/catch.hpp>

#include "core/image/image.h"
#include "tests/support/errors.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

using Bytes = std::vector<std::uint8_t>;

std::string read_error(const TempDir& dir, const Bytes& bytes) {
  const std::string path = dir.put("p", bytes);
  const std::string message = error_of([&] { read_image(path); });
  if (message != "no error") CHECK_THAT(message, Contains("cannot read " + path));
  return message;
}

Bytes text(const std::string& content) { return Bytes(content.begin(), content.end()); }

}  // namespace

TEST_CASE("ppm: headers may be written in many ways", "[unit]") {
  const TempDir dir;
  const auto read = [&](const std::string& content) { return read_image(dir.put("p.ppm", text(content))); };
  CHECK(read("P5\n2 1\n255\nab").data == Bytes{'a', 'b'});
  CHECK(read("P5 2 1 255 ab").data == Bytes{'a', 'b'});
  CHECK(read("P5\t2\r\n1\v255\fab").data == Bytes{'a', 'b'});
  CHECK(read("P5\n# made by\n# hand\n2 # wide\n1\n255\n#b").data == Bytes{'#', 'b'});
  CHECK(read("P5#x\n2 1 255\n b").data == Bytes{' ', 'b'});  // a comment may end the magic number
  CHECK(read("P5 002 01 0255\nabmore").data == Bytes{'a', 'b'});
  const Image colour = read("P6 1 2 255\nabcdef");
  CHECK(colour.channels == 3);
  CHECK(colour.data == Bytes{'a', 'b', 'c', 'd', 'e', 'f'});
}

TEST_CASE("ppm: samples are scaled to the full range", "[unit]") {
  const TempDir dir;
  const auto samples = [&](const std::string& content) {
    const Image image = read_image(dir.put("p.pgm", text(content)));
    std::vector<int> out = {image.bits};
    for (int x = 0; x < image.width; ++x) out.push_back(image.sample(x, 0, 0));
    return out;
  };
  CHECK(samples("P5 3 1 1\n\0\1\1"s) == std::vector<int>{8, 0, 255, 255});
  CHECK(samples("P5 4 1 15\n\0\1\7\17"s) == std::vector<int>{8, 0, 17, 119, 255});
  CHECK(samples("P5 3 1 100\n\0\62\144"s) == std::vector<int>{8, 0, 128, 255});  // 127.5 is rounded up
  CHECK(samples("P5 3 1 65535\n\0\0\1\2\377\377"s) == std::vector<int>{16, 0, 258, 65535});
  CHECK(samples("P5 3 1 1023\n\0\0\0\1\3\377"s) == std::vector<int>{16, 0, 64, 65535});
  CHECK(samples("P5 2 1 256\n\0\0\1\0"s) == std::vector<int>{16, 0, 65535});
}

TEST_CASE("ppm: a file cut short anywhere is refused", "[unit]") {
  const TempDir dir;
  CHECK(lengths_accepted(dir, text("P6\n# c\n2 2\n255\n" + std::string(12, 'x'))).empty());
  CHECK(lengths_accepted(dir, text("P5 3 2 1023\n" + std::string(12, '\1'))).empty());
}

TEST_CASE("ppm: bad headers and samples are refused", "[unit]") {
  const TempDir dir;
  const auto message = [&](const std::string& content) { return read_error(dir, text(content)); };
  const std::string data(100, 'a');
  const std::string bad = "as PPM: its header is damaged or cut short";
  CHECK_THAT(message("P62 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 -2 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 2.0 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 2 2 255" + data), Contains(bad));
  CHECK_THAT(message("P6 2 2 255#\n" + data), Contains(bad));
  CHECK_THAT(message("P6 99999999999999999999 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 4294967298 2 255\n" + data), Contains(bad));
  CHECK_THAT(message("P6 # no end of the comment"), Contains(bad));
  CHECK_THAT(message("P6 0 2 255\n" + data), Contains("its header says 0 x 2 pixels"));
  CHECK_THAT(message("P6 2 2 0\n" + data), Contains("its maximum is 0, expected 1 to 65535"));
  CHECK_THAT(message("P6 2 2 65536\n" + data), Contains("its maximum is 65536"));
  CHECK_THAT(message("P6 50000 50000 255\n" + data), Contains("the limit is 268435456 in all"));
  CHECK_THAT(message("P6 10000 10000 255\n" + data),
             Contains("the file ends early, it has 119 bytes, expected 300000019"));
  CHECK_THAT(message("P5 3 1 99\nab\x64"), Contains("a sample is 100, above its maximum of 99"));
  CHECK_THAT(message("P5 1 1 1023\n\4\0"s), Contains("a sample is 1024, above its maximum of 1023"));
}

TEST_CASE("ppm: a header longer than what is first read", "[unit]") {
  const TempDir dir;
  const std::string path = dir.put("p", text("P5\n#" + std::string(200000, 'c') + "\n1 1\n255\na"));
  CHECK(image_info(path).width == 1);
  CHECK(read_image(path).data == Bytes{'a'});
}
