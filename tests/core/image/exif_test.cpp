#include "core/image/exif.h"

#include <catch2/catch.hpp>
#include <chrono>

#include "tests/support/metadata.h"

namespace kind::testing {
namespace {

std::vector<std::uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

TEST_CASE("exif: the orientation", "[unit]") {
  for (const bool little : {false, true}) {
    for (unsigned orientation = 1; orientation <= 8; ++orientation) {
      CHECK(exif_orientation(bytes_of(exif_block(little, orientation, 4, 3))) == static_cast<int>(orientation));
    }
    CHECK(exif_orientation(bytes_of(exif_block(little, 9, 4, 3))) == 1);
  }
}

TEST_CASE("exif: an orientation is applied in the types that it is reset in, and no others", "[unit]") {
  for (const bool little : {false, true}) {
    for (unsigned type = 0; type <= 14; ++type) {
      const int bytes = type == 4 || type == 9 || type == 13 ? 4 : type == 3 || type == 8 ? 2 : 1;
      const std::string value = number(6, bytes, little) + std::string(static_cast<std::size_t>(4 - bytes), '\0');
      std::vector<std::uint8_t> block = bytes_of(
          (little ? "II" : "MM") + number(42, 2, little) + number(8, 4, little) + number(1, 2, little) +
          number(0x112, 2, little) + number(type, 2, little) + number(1, 4, little) + value + number(0, 4, little));
      const std::vector<std::uint8_t> before = block;
      // BYTE, SHORT, LONG, the same with a sign, and IFD; not ASCII, RATIONAL, UNDEFINED, FLOAT.
      const bool known = type == 1 || type == 3 || type == 4 || type == 6 || type == 8 || type == 9 || type == 13;
      CHECK(exif_orientation(block) == (known ? 6 : 1));
      REQUIRE(make_exif_upright(block, 4, 3));
      CHECK((block == before) == !known);
    }
  }
}

TEST_CASE("exif: made upright, all but orientation, sizes and thumbnail stays byte for byte", "[unit]") {
  const std::string picture = "\xff\xd8 a thumbnail \xff\xd9";
  for (const bool little : {false, true}) {
    for (const bool thumbnail : {false, true}) {
      std::vector<std::uint8_t> block = bytes_of(exif_block(little, 6, 4000, 3000, thumbnail ? picture : ""));
      REQUIRE(make_exif_upright(block, 3000, 4000));
      CHECK(text_of(block) == exif_block(little, 1, 3000, 4000));
    }
  }
}

TEST_CASE("exif: resolutions change places with the sides of a picture that is turned", "[unit]") {
  for (const bool little : {false, true}) {
    const auto block = [&](unsigned x, unsigned y) {
      const auto entry = [&](unsigned tag, unsigned at) {
        return number(tag, 2, little) + number(5, 2, little) + number(1, 4, little) + number(at, 4, little);
      };
      return (little ? "II" : "MM") + number(42, 2, little) + number(8, 4, little) + number(2, 2, little) +
             entry(0x11a, x) + entry(0x11b, y) + number(0, 4, little) + number(100, 4, little) + number(1, 4, little) +
             number(200, 4, little) + number(1, 4, little);
    };
    for (const bool turned : {false, true}) {
      std::vector<std::uint8_t> bytes = bytes_of(block(38, 46));
      REQUIRE(make_exif_upright(bytes, 4, 3, turned));
      CHECK(text_of(bytes) == (turned ? block(46, 38) : block(38, 46)));
    }
  }
}

TEST_CASE("exif: a thumbnail in front of other data is blanked, and those stay where they are", "[unit]") {
  const std::string whole = exif_block(true, 3, 40, 30, "THUMB") + "a preview that only a maker's note knows of";
  std::vector<std::uint8_t> block = bytes_of(whole);
  REQUIRE(make_exif_upright(block, 40, 30));
  CHECK(block.size() == whole.size());
  CHECK(text_of(block).find("THUMB") == std::string::npos);
  CHECK(text_of(block).find("a preview that only") == whole.find("a preview that only"));
}

TEST_CASE("exif: what lies between the directories stays, also what the thumbnail's alone leads to", "[unit]") {
  for (const bool little : {false, true}) {
    const auto entry = [&](unsigned tag, unsigned type, std::size_t count, std::size_t value) {
      return number(tag, 2, little) + number(type, 2, little) + number(count, 4, little) +
             number(value, type == 3 ? 2 : 4, little) + (type == 3 ? std::string(2, '\0') : "");
    };
    // Header, a directory with the orientation and the maker, data that a maker's note alone would know of, the
    // thumbnail's directory, its resolution, the thumbnail.
    const std::string maker = "A maker", print = "PrintIM with settings", odd = "unknown", thumbnail = "THUMB";
    const std::size_t first = 8, maker_at = first + 2 + 24 + 4, print_at = maker_at + maker.size(),
                      odd_at = print_at + print.size(), second = odd_at + odd.size(), ratio = second + 2 + 60 + 4,
                      thumbnail_at = ratio + 8;
    const auto block = [&](unsigned orientation, bool whole) {
      std::string out = (little ? "II" : "MM") + number(42, 2, little) + number(first, 4, little);
      out += number(2, 2, little) + entry(0x10f, 2, maker.size(), maker_at) + entry(0x112, 3, 1, orientation) +
             number(second, 4, little) + maker + print + odd;
      const std::string settings = entry(0xc4a5, 7, print.size(), print_at), version = entry(0x9001, 3, 1, 77);
      if (!whole) return out + number(2, 2, little) + version + settings + number(0, 4, little);
      return out + number(5, 2, little) + entry(0x10f, 2, maker.size(), maker_at) + version +
             entry(0x201, 4, 1, thumbnail_at) + entry(0x202, 4, 1, thumbnail.size()) + settings +
             number(99999, 4, little) + std::string(8, 'r') + thumbnail;
    };
    std::vector<std::uint8_t> bytes = bytes_of(block(6, true));
    REQUIRE(make_exif_upright(bytes, 4, 3));
    CHECK(text_of(bytes).substr(0, block(1, false).size()) == block(1, false));
    CHECK(text_of(bytes).find("THUMB") == std::string::npos);
    const std::vector<std::uint8_t> once = bytes;
    REQUIRE(make_exif_upright(bytes, 4, 3));
    CHECK(bytes == once);
  }
}

TEST_CASE("exif: a byte behind the thumbnail that is something stays", "[unit]") {
  for (const char last : {'\0', 'x'}) {
    std::vector<std::uint8_t> block = bytes_of(exif_block(true, 6, 40, 30, "THUMB") + last);
    REQUIRE(make_exif_upright(block, 40, 30));
    CHECK(block.size() == exif_block(true, 6, 40, 30, last == 'x' ? "THUMBx" : "").size());
    CHECK((block.back() == 'x') == (last == 'x'));
  }
}

TEST_CASE("exif: a thumbnail said to lie over other data takes none of it along", "[unit]") {
  std::string whole = exif_block(true, 3, 40, 30, "THUMB");
  const std::size_t second = whole.size() - 5 - 30;
  whole.replace(second + 2 + 8, 4, number(0, 4, true));              // from the start ...
  whole.replace(second + 14 + 8, 4, number(whole.size(), 4, true));  // ... to the end
  std::vector<std::uint8_t> block = bytes_of(whole);
  REQUIRE(make_exif_upright(block, 40, 30));
  CHECK(text_of(block).substr(0, second - 30) == exif_block(true, 1, 40, 30).substr(0, second - 30));
  CHECK(text_of(block).find("A maker of cameras") != std::string::npos);
  CHECK(text_of(block).find("note with offsets") != std::string::npos);
}

TEST_CASE("exif: a directory that is nowhere, or damaged, keeps no thumbnail", "[unit]") {
  for (const bool little : {false, true}) {
    for (const unsigned tag : {0x8769u, 0x8825u}) {
      // In the header; behind the end; at the maker's name, whose letters are as many entries as do not fit.
      for (const std::size_t at : {std::size_t{0}, std::size_t{7}, std::size_t{4000}, std::size_t{92}}) {
        const std::string entry = number(tag, 2, little) + number(4, 2, little) + number(1, 4, little);
        const auto with_entry = [&](std::string block) {
          return bytes_of(block.replace(8 + 2 + 24, 12, entry + number(at, 4, little)));
        };
        std::vector<std::uint8_t> block = with_entry(exif_block(little, 6, 40, 30, "THUMB"));
        REQUIRE(make_exif_upright(block, 30, 40));
        CHECK(block == with_entry(exif_block(little, 1, 40, 30)));
      }
    }
  }
}

TEST_CASE("exif: damage is told, wherever it is", "[unit]") {
  const std::string whole = exif_block(false, 8, 40, 30, "THUMB");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    std::vector<std::uint8_t> block = bytes_of(whole.substr(0, size));
    const bool good = make_exif_upright(block, 30, 40);
    CHECK(good == (size >= 8 + 2 + 36));  // the first directory is whole
    if (good) CHECK(exif_orientation(block) == 1);
  }
  // Any byte changed: nothing but an answer is expected.
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (const int value : {0, 1, 0x7f, 0xff}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(value);
      std::vector<std::uint8_t> block = bytes_of(changed);
      make_exif_upright(block, 30, 40);
      CHECK(block.size() <= whole.size());
    }
  }
}

TEST_CASE("exif: a directory that lies over the first one is left alone", "[unit]") {
  for (const bool little : {false, true}) {
    // The number of entries of the Exif directory is the orientation, which becomes 1; its entry, a width, is the rest
    // of the orientation's and the next one's: with 6 entries it would not be whole, with 1 it would be changed.
    const std::size_t exif = 8 + 2 + 12 + 8;
    std::vector<std::uint8_t> block =
        bytes_of((little ? "II" : "MM") + number(42, 2, little) + number(8, 4, little) + number(3, 2, little) +
                 number(0x8769, 2, little) + number(4, 2, little) + number(1, 4, little) + number(exif, 4, little) +
                 number(0x112, 2, little) + number(3, 2, little) + number(1, 4, little) + number(6, 2, little) +
                 number(0xa002, 2, little) + number(4, 2, little) + number(1, 4, little) + number(4000, 4, little) +
                 number(0, 2, little) + number(0, 4, little));
    REQUIRE(make_exif_upright(block, 640, 480));
    const std::vector<std::uint8_t> once = block;
    REQUIRE(make_exif_upright(block, 640, 480));
    CHECK(block == once);
    CHECK(exif_orientation(block) == 1);
  }
}

TEST_CASE("exif: directories that lead to each other without end take no time", "[unit]") {
  // As many entries as a JPEG holds, each of which leads back to the same directory as one of its own kind or another.
  for (const std::vector<unsigned>& tags : {std::vector<unsigned>{0x8769}, {0x8825}, {0xa005, 0x8769}}) {
    constexpr std::size_t kEntries = 5400, kFirst = 8;
    std::string block = "II" + number(42, 2, true) + number(kFirst, 4, true) + number(kEntries, 2, true);
    for (std::size_t i = 0; i < kEntries; ++i) {
      block +=
          number(tags[i % tags.size()], 2, true) + number(4, 2, true) + number(1, 4, true) + number(kFirst, 4, true);
    }
    block += number(kFirst, 4, true);  // the thumbnail's directory is the same, too
    std::vector<std::uint8_t> bytes = bytes_of(block);
    const auto start = std::chrono::steady_clock::now();
    CHECK(make_exif_upright(bytes, 30, 40));
    CHECK(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < 5);
    CHECK(bytes.size() == block.size());
  }
}

}  // namespace
}  // namespace kind::testing
