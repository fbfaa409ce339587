#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>

#include "core/image/image.h"
#include "tests/support/errors.h"
#include "tests/support/ink_profile.h"
#include "tests/support/jpeg.h"
#include "tests/support/pictures.h"
#include "tests/support/temp_dir.h"

using namespace kind;
using namespace kind::testing;
using namespace std::string_literals;
using Catch::Matchers::Contains;

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes from_hex(const std::string& digits) {
  Bytes bytes;
  for (std::size_t i = 0; i < digits.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(digits.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

/// 8 x 6 pixels, CMYK, from another program.
const char* const kCmyk =
    "ffd8ffee000e41646f626500640000000002ffdb0043000d090a0b0a080d0b0a0b0e0e0d0f13201513121213271c1e17202e"
    "2931302e292d2c333a4a3e333646372c2d405741464c4e525352323e5a615a50604a51524fffdb0043010e0e0e1311132615"
    "15264f352d354f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f4f"
    "4f4f4f4f4f4fffc00014080006000804012200021101031101042200ffc40015000101000000000000000000000000000000"
    "06ffc4001b100100010501000000000000000000000000a1020514155355ffc4001501010100000000000000000000000000"
    "000406ffc4001b110002010500000000000000000000000000041501525391b1ffda000e040100021103110400003f00aad6"
    "57de0043c9b992bb05149d9d2df02ebe9400ffd9";

/// 9 x 5 pixels from red at the top to yellow at the bottom, progressive, 4:2:0, from another program.
const char* const kProgressive =
    "ffd8ffe000104a46494600010100000100010000ffdb004300100b0c0e0c0a100e0d0e1211101318281a181616183123251d"
    "283a333d3c3933383740485c4e404457453738506d51575f626768673e4d71797064785c656763ffdb004301111212181518"
    "2f1a1a2f63423842636363636363636363636363636363636363636363636363636363636363636363636363636363636363"
    "6363636363636363ffc20011080005000903012200021101031101ffc4001500010100000000000000000000000000000004"
    "ffc4001501010100000000000000000000000000000405ffda000c03010002100310000001b4444fffc40016100003000000"
    "0000000000000000000000000214ffda00080101000105029d09d0ffc4001711000301000000000000000000000000000002"
    "1351ffda0008010301013f01abe9ffc40017110003010000000000000000000000000000021351ffda0008010201013f01a3"
    "69ffc40014100100000000000000000000000000000010ffda0008010100063f023fffc40014100100000000000000000000"
    "000000000010ffda0008010100013f212bffda000c0301000200030000001003ffc400151101010000000000000000000000"
    "0000000061ffda0008010301013f10a1ffc40014110100000000000000000000000000000000ffda0008010201013f102fff"
    "c4001610000300000000000000000000000000000061a1ffda0008010100013f1044110fffd9";

/// The file with a segment put in behind the start marker.
Bytes with_segment(const Bytes& file, std::uint8_t marker, const std::string& content) {
  std::string out(file.begin(), file.begin() + 2);
  const std::size_t size = content.size() + 2;
  for (const std::size_t byte : {std::size_t{0xff}, std::size_t{marker}, size >> 8, size & 0xff}) {
    out += static_cast<char>(byte);
  }
  out += content;
  out.append(file.begin() + 2, file.end());
  return Bytes(out.begin(), out.end());
}

std::string number(unsigned value, int bytes, bool little) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * (little ? i : bytes - 1 - i)) & 0xff);
  return out;
}

/// An EXIF segment with two other tags around the orientation.
std::string exif(unsigned orientation, bool little, unsigned type = 3, unsigned count = 1) {
  const auto entry = [&](unsigned tag, unsigned entry_type, unsigned entry_count, unsigned value) {
    return number(tag, 2, little) + number(entry_type, 2, little) + number(entry_count, 4, little) +
           number(value, entry_type == 3 ? 2 : 4, little) + (entry_type == 3 ? "\0\0"s : ""s);
  };
  return "Exif\0\0"s + (little ? "II" : "MM") + number(42, 2, little) + number(10, 4, little) + "\0\0"s +
         number(3, 2, little) + entry(0x010f, 4, 1, 0x01120112) + entry(0x0112, type, count, orientation) +
         entry(0x0128, 3, 1, 2) + number(0, 4, little);
}

Bytes jpeg_of(const TempDir& dir, const Image& image, int quality = 95) {
  write_image(dir / "source.jpg", image, ImageFormat::kJpeg, {.jpeg_quality = quality});
  return slurp(dir / "source.jpg");
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.data.size() == b.data.size());
  int largest = 0;
  for (std::size_t i = 0; i < a.data.size(); ++i) largest = std::max(largest, std::abs(a.data[i] - b.data[i]));
  return largest;
}

}  // namespace

TEST_CASE("jpeg: pictures of any size come back nearly as they were", "[unit]") {
  const TempDir dir;
  for (const auto& [width, height] : {std::pair{1, 1}, {1, 7}, {9, 1}, {8, 8}, {17, 16}, {33, 57}}) {
    for (const int channels : {1, 3}) {
      const Image image = smooth_picture(width, height, channels);
      const std::string path = dir.put("p.jpg", jpeg_of(dir, image));
      const Image again = read_image(path);
      REQUIRE(again.width == width);
      REQUIRE(again.height == height);
      CHECK(again.channels == channels);
      CHECK(again.bits == 8);
      CHECK(largest_difference(again, image) <= 4);
      CHECK(image_info(path).width == width);
      CHECK(image_info(path).height == height);
      CHECK(image_info(path).format == ImageFormat::kJpeg);
    }
  }
}

TEST_CASE("jpeg: colour is written at full resolution, in the quality asked for", "[unit]") {
  const TempDir dir;
  const Image image = test_picture(64, 48, 3);
  const Bytes best = jpeg_of(dir, image);
  const Bytes frame = {0xff, 0xc0, 0, 17, 8, 0, 48, 0, 64, 3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1};
  CHECK(std::search(best.begin(), best.end(), frame.begin(), frame.end()) != best.end());
  CHECK(jpeg_of(dir, image, 50).size() < best.size() / 2);
  CHECK(jpeg_of(dir, image, 100).size() > best.size());
  CHECK(largest_difference(read_image(dir.put("p", jpeg_of(dir, image, 100))), image) <= 4);
}

TEST_CASE("jpeg: progressive files with reduced colour are read", "[unit]") {
  const TempDir dir;
  const std::string path = dir.put("p.jpg", from_hex(kProgressive));
  const Image image = read_image(path);
  REQUIRE(image.width == 9);
  REQUIRE(image.height == 5);
  for (int x = 0; x < 9; ++x) {
    for (int y = 0; y < 5; ++y) {
      CHECK(image.sample(x, y, 0) >= 240);
      CHECK(std::abs(image.sample(x, y, 1) - 255 * y / 4) <= 30);
      CHECK(image.sample(x, y, 2) <= 25);
    }
  }
}

TEST_CASE("jpeg: cyan, magenta, yellow and black become red, green and blue", "[unit]") {
  const TempDir dir;
  // Eight rows of each: white, the four inks, red, all inks, a mixture.
  constexpr int kInks[8][4] = {{0, 0, 0, 0},   {255, 0, 0, 0},   {0, 255, 0, 0},       {0, 0, 255, 0},
                               {0, 0, 0, 255}, {0, 255, 255, 0}, {255, 255, 255, 255}, {40, 90, 200, 60}};
  for (const bool adobe : {false, true}) {
    Bytes samples;
    for (const auto& inks : kInks) {
      for (int i = 0; i < 64 * 4; ++i)
        samples.push_back(static_cast<std::uint8_t>(adobe ? 255 - inks[i % 4] : inks[i % 4]));
    }
    for (const J_COLOR_SPACE space : {JCS_CMYK, JCS_YCCK}) {
      // Without the marker a reader cannot know of YCCK.
      if (space == JCS_YCCK && !adobe) continue;
      for (const bool progressive : {false, true}) {
        const Bytes file = encode_jpeg_raw(8, 64, samples, {.to = space, .adobe = adobe, .progressive = progressive});
        const std::string path = dir.put("p.jpg", file);
        const Image image = read_image(path);
        INFO("Adobe " << adobe << ", colour space " << space << ", progressive " << progressive);
        REQUIRE((image.width == 8 && image.height == 64 && image.channels == 3 && image.bits == 8));
        CHECK(image_info(path).height == 64);
        int largest = 0;
        for (int y = 0; y < 64; ++y) {
          for (int c = 0; c < 3; ++c) {
            const auto* inks = kInks[y / 8];
            const double expected = (1 - inks[c] / 255.0) * (1 - inks[3] / 255.0) * 255;
            largest = std::max(largest, static_cast<int>(std::lround(std::abs(image.sample(3, y, c) - expected))));
          }
        }
        CHECK(largest <= 2);
        CHECK(lengths_accepted(dir, file).empty());
      }
    }
  }
}

TEST_CASE("jpeg: a CMYK file of another program", "[unit]") {
  const TempDir dir;
  const Image image = read_image(dir.put("p.jpg", from_hex(kCmyk)));
  REQUIRE((image.width == 8 && image.height == 6 && image.channels == 3));
  // What is no profile, though it says that it is one for inks.
  Metadata metadata;
  std::string icc(200, '\0');
  icc.replace(0, 4, number(200, 4, false)).replace(16, 4, "CMYK").replace(36, 4, "acsp");
  read_image(dir.put("q.jpg", with_segment(from_hex(kCmyk), 0xe2, "ICC_PROFILE\0\1\1"s + icc)), {}, &metadata);
  CHECK(metadata.icc.empty());
  CHECK(metadata.dropped == std::vector<std::string>{"colour profile for other pixels than the picture's"});
  CHECK_THAT(metadata.color_note, Contains("from inks (CMYK) to sRGB by a formula"));
  read_image(dir / "p.jpg", {}, &metadata);
  CHECK(metadata.dropped.empty());
  CHECK_THAT(metadata.color_note, Contains("from inks (CMYK) to sRGB by a formula"));
#if KIND_HAS_LCMS
  const Bytes profile = ink_profile();
  const std::string whole(profile.begin(), profile.end());
  const Image converted =
      read_image(dir.put("r.jpg", with_segment(from_hex(kCmyk), 0xe2, "ICC_PROFILE\0\1\1"s + whole)), {}, &metadata);
  CHECK(metadata.icc.empty());
  CHECK(metadata.dropped == std::vector<std::string>{"inks (CMYK), which became sRGB by their profile"});
  CHECK((converted.channels == 3 && converted.data != image.data));
  CHECK(metadata.color_note.empty());
  // More bits than the file's, of which the metadata tell.
  CHECK(converted.bits == 16);
  CHECK(metadata.file_bits == 8);
#endif
}

TEST_CASE("jpeg: the EXIF orientation is applied", "[unit]") {
  // Where the stored picture's first row and first column belong, from the table of the EXIF standard.
  struct Place {
    const char* first_row;
    const char* first_column;
  };
  constexpr Place kPlaces[8] = {{"top", "left"}, {"top", "right"}, {"bottom", "right"}, {"bottom", "left"},
                                {"left", "top"}, {"right", "top"}, {"right", "bottom"}, {"left", "bottom"}};
  const TempDir dir;
  for (const int channels : {1, 3}) {
    const Bytes file = jpeg_of(dir, test_picture(5, 3, channels));
    const Image stored = read_image(dir.put("p.jpg", file));
    for (unsigned orientation = 1; orientation <= 8; ++orientation) {
      for (const bool little : {false, true}) {
        const std::string path = dir.put("p.jpg", with_segment(file, 0xe1, exif(orientation, little)));
        const Image image = read_image(path);
        INFO("orientation " << orientation);
        REQUIRE(image.width == (orientation >= 5 ? 3 : 5));
        REQUIRE(image.height == (orientation >= 5 ? 5 : 3));
        CHECK(image_info(path).width == image.width);
        CHECK(image_info(path).height == image.height);
        int wrong = 0;
        for (int row = 0; row < 3; ++row) {
          for (int column = 0; column < 5; ++column) {
            int x = -1;
            int y = -1;
            const auto place = [&](const std::string& side, int distance) {
              if (side == "top") y = distance;
              if (side == "bottom") y = image.height - 1 - distance;
              if (side == "left") x = distance;
              if (side == "right") x = image.width - 1 - distance;
            };
            place(kPlaces[orientation - 1].first_row, row);
            place(kPlaces[orientation - 1].first_column, column);
            for (int c = 0; c < channels; ++c) {
              if (image.sample(x, y, c) != stored.sample(column, row, c)) ++wrong;
            }
          }
        }
        CHECK(wrong == 0);
      }
    }
  }
}

TEST_CASE("jpeg: malformed EXIF data leaves the picture as it is", "[unit]") {
  const TempDir dir;
  const Bytes file = jpeg_of(dir, test_picture(5, 3, 3));
  const Image stored = read_image(dir.put("p.jpg", file));
  const auto upright = [&](const std::string& segment) {
    const Image image = read_image(dir.put("p.jpg", with_segment(file, 0xe1, segment)));
    return image.width == 5 && image.data == stored.data;
  };
  const std::string good = exif(6, true);
  CHECK_FALSE(upright(good));
  CHECK_FALSE(upright(exif(6, true, 4)));  // a long number where a short one belongs, as some write it
  // 46 bytes are the least that hold the orientation's entry: header, then count and two entries.
  for (std::size_t size = 0; size < 6 + 12 + 24; ++size) CHECK(upright(good.substr(0, size)));
  CHECK(upright(exif(0, true)));
  CHECK(upright(exif(9, false)));
  CHECK(upright(exif(0xffff, true)));
  CHECK(upright(exif(6, true, 3, 2)));
  CHECK(upright("Exif\0\0II*\0\xff\xff\xff\xff"s));
  CHECK(upright("Exif\0\0II*\0\x06\0\0\0"s));
  CHECK(upright("Exif\0\0II*\0\x08\0\0\0\xff\xff"s));
  CHECK(upright("Exif\0\0IM*\0\x08\0\0\0"s));
  CHECK(upright("http://ns.adobe.com/xap/1.0/\0<x/>"s));
}

TEST_CASE("jpeg: a header longer than what is first read", "[unit]") {
  const TempDir dir;
  Bytes file = jpeg_of(dir, test_picture(5, 3, 3));
  for (int i = 0; i < 3; ++i) file = with_segment(file, 0xfe, std::string(65000, 'c'));
  const std::string path = dir.put("p.jpg", with_segment(file, 0xe1, exif(8, true)));
  CHECK(image_info(path).width == 3);
  CHECK(image_info(path).height == 5);
  CHECK(read_image(path).width == 3);
}

TEST_CASE("jpeg: a file cut short anywhere is refused", "[unit]") {
  const TempDir dir;
  CHECK(lengths_accepted(dir, jpeg_of(dir, test_picture(21, 18, 3))).empty());
  CHECK(lengths_accepted(dir, jpeg_of(dir, smooth_picture(9, 30, 1))).empty());
  CHECK(lengths_accepted(dir, from_hex(kProgressive)).empty());
}

TEST_CASE("jpeg: data lost from the middle is noticed", "[unit]") {
  const TempDir dir;
  const Bytes whole = jpeg_of(dir, test_picture(64, 64, 3));
  for (const std::size_t lost : {200u, 1000u, 3000u}) {
    Bytes bytes = whole;
    bytes.erase(bytes.end() - 2 - static_cast<std::ptrdiff_t>(lost), bytes.end() - 2);
    const std::string path = dir.put("p.jpg", bytes);
    CHECK_THAT(error_of([&] { read_image(path); }), Contains("cannot read " + path + " as JPEG: "));
  }
}

TEST_CASE("jpeg: bytes around the end marker do not matter", "[unit]") {
  const TempDir dir;
  const Bytes whole = jpeg_of(dir, smooth_picture(20, 20, 3));
  const Image expected = read_image(dir.put("p.jpg", whole));
  Bytes behind = whole;
  behind.insert(behind.end(), 500, 0x77);
  CHECK(read_image(dir.put("p.jpg", behind)).data == expected.data);
  Bytes before = whole;
  before.insert(before.end() - 2, 16, 0);
  CHECK(read_image(dir.put("p.jpg", before)).data == expected.data);
}

TEST_CASE("jpeg: stray bytes between the segments before the pixels do not matter, later ones do", "[unit]") {
  const TempDir dir;
  for (const Bytes& whole :
       {with_segment(jpeg_of(dir, smooth_picture(20, 20, 3)), 0xe1, exif(6, true)), from_hex(kProgressive)}) {
    const Image expected = read_image(dir.put("p.jpg", whole));
    int scans = 0;
    // Before each marker in turn but the first two, by which the type is known; 0xff and a zero are no marker either.
    for (std::size_t at = 4 + static_cast<std::size_t>(whole[4] << 8 | whole[5]); whole[at + 1] != 0xd9;) {
      for (const Bytes& stray : {Bytes{0}, Bytes(100, 0x55), Bytes{0xff, 0, 0x12}}) {
        Bytes bytes = whole;
        bytes.insert(bytes.begin() + static_cast<std::ptrdiff_t>(at), stray.begin(), stray.end());
        const std::string path = dir.put("p.jpg", bytes);
        INFO("at " << at << " of " << whole.size());
        if (scans > 0) {
          if (stray.size() < 100) continue;  // libjpeg may take a few for pixels, which change nothing
          CHECK_THAT(error_of([&] { read_image(path); }), Contains("cannot read " + path + " as JPEG: "));
          continue;
        }
        // Also segments that follow are found: the orientation.
        CHECK(read_image(path).data == expected.data);
        CHECK(image_info(path).width == expected.width);
      }
      const bool scan = whole[at + 1] == 0xda;
      at += 2 + static_cast<std::size_t>(whole[at + 2] << 8 | whole[at + 3]);
      if (!scan) continue;
      ++scans;
      while (whole[at] != 0xff || whole[at + 1] == 0) ++at;
    }
    CHECK(scans >= 1);
  }
}

TEST_CASE("jpeg: a changed byte gives an error or a picture of the header's size, and no crash", "[unit]") {
  const TempDir dir;
  for (const Bytes& whole : {jpeg_of(dir, smooth_picture(11, 10, 3), 60), from_hex(kProgressive)}) {
    int refused = 0;
    for (std::size_t i = 2; i < whole.size(); ++i) {
      for (const int change : {0x01, 0x80, 0xff}) {
        Bytes bytes = whole;
        bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ change);
        const std::string path = dir.put("p.jpg", bytes);
        try {
          const Image image = read_image(path, {.max_pixels = 1 << 22});
          CHECK(image.data.size() == image.row_bytes() * static_cast<std::size_t>(image.height));
        } catch (const Error& error) {
          ++refused;
          CHECK_THAT(error.what(), Contains("cannot read " + path));
        }
      }
    }
    CHECK(refused > 100);
  }
}

TEST_CASE("jpeg: headers that cannot be are refused", "[unit]") {
  const TempDir dir;
  const Bytes whole = jpeg_of(dir, smooth_picture(16, 16, 3));
  const Bytes start = {0xff, 0xc0, 0, 17, 8};
  const auto frame = std::search(whole.begin(), whole.end(), start.begin(), start.end()) - whole.begin();
  const auto message = [&](int offset, const Bytes& change) {
    Bytes bytes = whole;
    std::copy(change.begin(), change.end(), bytes.begin() + frame + offset);
    const std::string path = dir.put("p.jpg", bytes);
    return error_of([&] { read_image(path); });
  };
  CHECK_THAT(message(4, {12}), Contains("Unsupported JPEG data precision 12"));
  CHECK_THAT(message(5, {0, 0}), Contains("as JPEG: "));
  CHECK_THAT(message(5, {0xff, 0xff, 0xff, 0xff}), Contains("as JPEG: "));
  CHECK_THAT(message(5, {0xfd, 0xe8, 0xfd, 0xe8}),
             Contains("it has 65000 x 65000 pixels, the limit is 268435456 in all"));
  CHECK_THAT(message(9, {2}), Contains("as JPEG: "));
}
