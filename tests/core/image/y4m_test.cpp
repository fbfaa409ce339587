#include "core/image/y4m.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/errors.h"
#include "tests/support/pictures.h"

using namespace kind;
using namespace kind::testing;
using Catch::Contains;
using Sampling = Y4mHeader::Sampling;

namespace {

constexpr std::pair<int, int> kSizes[] = {{1, 1}, {3, 5}, {17, 11}, {2, 1}, {1, 4}, {24, 18}};
constexpr const char* kKinds[] = {"420",    "420jpeg", "420mpeg2", "420paldv", "422",    "444",    "mono",
                                  "420p10", "422p10",  "444p10",   "mono10",   "420p12", "422p12", "444p12",
                                  "mono12", "444p9",   "422p14",   "444p16",   "420P10"};

Y4mHeader header_of(int width, int height, const std::string& more) {
  return parse_y4m_header("clip", join("YUV4MPEG2 W", width, " H", height, " ", more));
}

/// Gives the bytes in pieces of at most so many.
Y4mReader::Read in_pieces(const std::string& bytes, std::size_t piece) {
  return [bytes, piece, at = std::size_t{0}](std::uint8_t* to, std::size_t count) mutable {
    const std::size_t got = std::min({count, piece, bytes.size() - at});
    std::copy_n(bytes.data() + at, got, reinterpret_cast<char*>(to));
    at += got;
    return got;
  };
}

std::string text_of(const std::vector<std::uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

/// The picture with the channels and bits of a header's frames.
Image like_frames(const Y4mHeader& header) {
  const Image smooth = smooth_picture(header.width, header.height, header.sampling == Sampling::kMono ? 1 : 3);
  if (header.bits == 8) return smooth;
  Image wide(smooth.width, smooth.height, smooth.channels, 16);
  for (int y = 0; y < wide.height; ++y) {
    for (int x = 0; x < wide.width; ++x) {
      for (int c = 0; c < wide.channels; ++c) wide.set_sample(x, y, c, 257 * smooth.sample(x, y, c));
    }
  }
  return wide;
}

/// The greatest difference of samples, of 0..1.
double difference(const Image& a, const Image& b) {
  REQUIRE((a.width == b.width && a.height == b.height && a.channels == b.channels && a.bits == b.bits));
  int most = 0;
  for (int y = 0; y < a.height; ++y) {
    for (int x = 0; x < a.width; ++x) {
      for (int c = 0; c < a.channels; ++c) most = std::max(most, std::abs(a.sample(x, y, c) - b.sample(x, y, c)));
    }
  }
  return static_cast<double>(most) / a.maximum();
}

/// A pixel of 444 planes as RGB.
std::vector<int> color_of(const Y4mHeader& header, std::vector<int> samples) {
  std::vector<std::uint8_t> planes;
  for (const int sample : samples) {
    for (int i = 0; i < header.width * header.height; ++i) {
      planes.push_back(static_cast<std::uint8_t>(sample));
      if (header.bits > 8) planes.push_back(static_cast<std::uint8_t>(sample >> 8));
    }
  }
  const Image image = y4m_image(header, planes);
  std::vector<int> color;
  for (int c = 0; c < image.channels; ++c) color.push_back(image.sample(header.width - 1, header.height - 1, c));
  return color;
}

}  // namespace

TEST_CASE("y4m: what a header says") {
  const Y4mHeader header = parse_y4m_header(
      "clip", "YUV4MPEG2 W640 H360 F30000:1001 Ip A128:117 C420mpeg2 XYSCSS=420MPEG2 XCOLORRANGE=FULL Xany thing");
  CHECK(header.width == 640);
  CHECK(header.height == 360);
  CHECK(header.frames_per_second == Approx(29.97).epsilon(1e-4));
  CHECK(header.full_range);
  CHECK(header.sampling == Sampling::k420);
  CHECK_FALSE(header.centred_columns);
  CHECK(header.centred_rows);
  CHECK(header.frame_bytes() == 640 * 360 * 3 / 2);

  const Y4mHeader plain = header_of(17, 11, "");
  CHECK((plain.sampling == Sampling::k420 && plain.bits == 8 && plain.centred_columns && plain.centred_rows));
  CHECK_FALSE(plain.full_range);
  CHECK(plain.frames_per_second == 0);
  CHECK(plain.frame_bytes() == 17 * 11 + 2 * 9 * 6);
  CHECK(header_of(17, 11, "C422").frame_bytes() == 17 * 11 + 2 * 9 * 11);
  CHECK(header_of(17, 11, "C444p10 I? F0:0").frame_bytes() == 2 * 3 * 17 * 11);
  CHECK(header_of(17, 11, "Cmono12").frame_bytes() == 2 * 17 * 11);
  CHECK(header_of(17, 11, "Cmono12").bits == 12);
  CHECK_FALSE(header_of(2, 2, "C420paldv").centred_rows);
  // As programs say it that do not write C.
  CHECK(header_of(2, 2, "XYSCSS=444").sampling == Sampling::k444);
  CHECK(header_of(2, 2, "C422 XYSCSS=444").sampling == Sampling::k422);
  CHECK(header_of(1 << 15, 1, "").width == 1 << 15);
}

TEST_CASE("y4m: headers that are refused") {
  const std::pair<const char*, const char*> bad[] = {
      {"", "does not begin with YUV4MPEG2"},
      {"YUV4MPEG", "does not begin with YUV4MPEG2"},
      {"YUV4MPEG2", "does not begin with YUV4MPEG2"},
      {"yuv4mpeg2 W2 H2", "does not begin with YUV4MPEG2"},
      {"YUV4MPEG2 W2", "both width (W) and height (H)"},
      {"YUV4MPEG2  H2", "both width (W) and height (H)"},
      {"YUV4MPEG2 W0 H2", "says 'W0'"},
      {"YUV4MPEG2 W-4 H2", "says 'W-4'"},
      {"YUV4MPEG2 W H2", "says 'W'"},
      {"YUV4MPEG2 W2x H2", "says 'W2x'"},
      {"YUV4MPEG2 W2 H2\r", "says 'H2\\x0d'"},
      {"YUV4MPEG2 W2 H2 W2", "W twice"},
      {"YUV4MPEG2 W2 H99999999999999999999", "says 'H9999"},
      {"YUV4MPEG2 W65536 H1", "the limit is 65535 a side"},
      {"YUV4MPEG2 W65535 H65535", "the limit is 268435456 in all"},
      {"YUV4MPEG2 W2 H2 It", "interlaced (It)"},
      {"YUV4MPEG2 W2 H2 Ib", "interlaced (Ib)"},
      {"YUV4MPEG2 W2 H2 Im", "interlaced (Im)"},
      {"YUV4MPEG2 W2 H2 Ix", "'Ix'"},
      {"YUV4MPEG2 W2 H2 I", "'I'"},
      {"YUV4MPEG2 W2 H2 F25", "'F25'"},
      {"YUV4MPEG2 W2 H2 F25:0", "'F25:0'"},
      {"YUV4MPEG2 W2 H2 F-25:1", "'F-25:1'"},
      {"YUV4MPEG2 W2 H2 C411", "'C411'"},
      {"YUV4MPEG2 W2 H2 C444alpha", "'C444alpha'"},
      {"YUV4MPEG2 W2 H2 C420p11", "'C420p11'"},
      {"YUV4MPEG2 W2 H2 C420p8", "'C420p8'"},
      {"YUV4MPEG2 W2 H2 C420jpegp10", "'C420jpegp10'"},
      {"YUV4MPEG2 W2 H2 Cp10", "'Cp10'"},
      {"YUV4MPEG2 W2 H2 C10", "'C10'"},
      {"YUV4MPEG2 W2 H2 Cmonop10", "'Cmonop10'"},
      {"YUV4MPEG2 W2 H2 XCOLORRANGE=WIDE", "'WIDE'"},
  };
  for (const auto& [line, message] : bad) {
    INFO(line);
    const std::string error = error_of([&, text = line] { parse_y4m_header("clip", text); });
    CHECK_THAT(error, Contains(message) && Contains("clip"));
    CHECK(error.find('\n') == error.npos);
  }
  ReadLimits limits;
  limits.max_image_bytes = 3 * 100 * 100 - 1;
  CHECK_THAT(error_of([&] { parse_y4m_header("clip", "YUV4MPEG2 W100 H100", limits); }),
             Contains("the limit is 29999"));
  CHECK(error_of([&] { parse_y4m_header("clip", "YUV4MPEG2 W100 H100 Cmono", limits); }) == "no error");
}

TEST_CASE("y4m: colours") {
  // Red, of BT.601 and BT.709, limited and full.
  CHECK(color_of(header_of(3, 5, "C444"), {81, 90, 240}) == std::vector<int>{254, 0, 0});
  CHECK(color_of(header_of(1, 720, "C444"), {63, 102, 240}) == std::vector<int>{255, 1, 0});
  CHECK(color_of(header_of(1, 719, "C444"), {81, 90, 240}) == std::vector<int>{254, 0, 0});
  CHECK(color_of(header_of(2, 2, "C444 XCOLORRANGE=FULL"), {76, 85, 255}) == std::vector<int>{254, 0, 0});
  // Black, white, and what lies beyond them.
  CHECK(color_of(header_of(1, 1, "C444"), {16, 128, 128}) == std::vector<int>{0, 0, 0});
  CHECK(color_of(header_of(1, 1, "C444"), {235, 128, 128}) == std::vector<int>{255, 255, 255});
  CHECK(color_of(header_of(1, 1, "C444"), {255, 128, 128}) == std::vector<int>{255, 255, 255});
  CHECK(color_of(header_of(1, 1, "C444"), {0, 128, 128}) == std::vector<int>{0, 0, 0});
  CHECK(color_of(header_of(1, 1, "Cmono"), {16}) == std::vector<int>{0});
  CHECK(color_of(header_of(1, 1, "Cmono XCOLORRANGE=FULL"), {16}) == std::vector<int>{16});
  CHECK(color_of(header_of(1, 1, "C444p10"), {64, 512, 512}) == std::vector<int>{0, 0, 0});
  CHECK(color_of(header_of(1, 1, "C444p10"), {940, 512, 512}) == std::vector<int>{65535, 65535, 65535});
  CHECK(color_of(header_of(1, 1, "Cmono10 XCOLORRANGE=FULL"), {1023}) == std::vector<int>{65535});
  CHECK(color_of(header_of(1, 1, "C444p12 XCOLORRANGE=FULL"), {2048, 2048, 2048})[1] == Approx(65535 * 0.5).margin(17));
}

TEST_CASE("y4m: smooth frames come back as they were, of every kind and size") {
  for (const auto& [width, height] : kSizes) {
    for (const std::string kind : kKinds) {
      for (const std::string range : {"", " XCOLORRANGE=FULL"}) {
        INFO(width << " x " << height << " C" << kind << range);
        const Y4mHeader header = header_of(width, height, "C" + kind + range);
        const Image image = like_frames(header);
        std::vector<std::uint8_t> planes(header.frame_bytes());
        put_y4m_planes(header, image, planes);
        const Image back = y4m_image(header, planes);
        // Chroma of few, coarse pixels is not smooth, and its edges are means of pixels on one side.
        const bool halved = header.sampling == Sampling::k420 || header.sampling == Sampling::k422;
        const double slope = halved ? 25.0 / 255 * 4 / std::min(width > 1 ? width : 99, height > 1 ? height : 99) : 0;
        CHECK(difference(image, back) <= 2.0 / ((1 << header.bits) - 1) + slope);
      }
    }
  }
}

TEST_CASE("y4m: a large smooth frame comes back within 2 of 255") {
  for (const std::string kind : {"420jpeg", "420mpeg2", "420paldv", "422", "444", "mono"}) {
    INFO(kind);
    const Y4mHeader header = header_of(161, 91, "C" + kind);
    const Image image = like_frames(header);
    std::vector<std::uint8_t> planes(header.frame_bytes());
    put_y4m_planes(header, image, planes);
    CHECK(difference(image, y4m_image(header, planes)) <= 2.0 / 255);
    // And so do planes that such pictures have.
    std::vector<std::uint8_t> again(header.frame_bytes());
    put_y4m_planes(header, y4m_image(header, planes), again);
    int most = 0;
    for (std::size_t i = 0; i < planes.size(); ++i) most = std::max(most, std::abs(planes[i] - again[i]));
    CHECK(most <= 2);
  }
}

TEST_CASE("y4m: chroma lies where the header says") {
  // Blue grows by 8 a column, or a row, on a picture without red and green: Cb is linear in it.
  for (const auto& [kind, column, row] : {std::tuple{"420jpeg", 0.5, 0.5},
                                          {"420mpeg2", 0.0, 0.5},
                                          {"420paldv", 0.0, 0.0},
                                          {"422", 0.0, 0.0},
                                          {"444", 0.0, 0.0}}) {
    for (const bool across : {true, false}) {
      INFO(kind << (across ? " across" : " down"));
      const Y4mHeader header = header_of(16, 16, join("XCOLORRANGE=FULL C", kind));
      Image image(16, 16, 3);
      for (int y = 0; y < 16; ++y) {
        for (int x = 0; x < 16; ++x) image.set_sample(x, y, 2, 8 * (across ? x : y));
      }
      std::vector<std::uint8_t> planes(header.frame_bytes());
      put_y4m_planes(header, image, planes);
      const int step_x = header.sampling == Sampling::k444 ? 1 : 2;
      const int step_y = header.sampling == Sampling::k420 ? 2 : 1;
      for (int y = 1; y + 1 < 16 / step_y; ++y) {
        for (int x = 1; x + 1 < 16 / step_x; ++x) {
          const double blue = 8 * (across ? step_x * x + column : step_y * y + row);
          CHECK(planes[static_cast<std::size_t>(256 + y * (16 / step_x) + x)] == Approx(128 + blue / 2).margin(0.51));
        }
      }
      const Image back = y4m_image(header, planes);
      for (int i = 2; i < 14; ++i) CHECK(std::abs(back.sample(i, i, 2) - image.sample(i, i, 2)) <= 2);
    }
  }
}

TEST_CASE("y4m: a stream, its parameters kept, in pieces of any size") {
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100000}}) {
    const Y4mHeader header = header_of(17, 11, "F25:1 C422p10 Xmine");
    std::string stream = header.line + "\n";
    const char* parameters[] = {"", " Xfirst I1pp", " "};
    for (const char* text : parameters) {
      stream += text_of(encode_y4m_frame(header, {text, like_frames(header)}));
    }
    Y4mReader reader("clip", in_pieces(stream, piece));
    CHECK(reader.header().line == header.line);
    std::string again = reader.header().line + "\n";
    for (const char* text : parameters) {
      const std::optional<Y4mFrame> frame = reader.next();
      REQUIRE(frame);
      CHECK(frame->parameters == text);
      CHECK(difference(frame->image, like_frames(header)) <= 0.08);
      again += text_of(encode_y4m_frame(header, {frame->parameters, like_frames(header)}));
    }
    CHECK_FALSE(reader.next());
    CHECK(again == stream);
  }
}

TEST_CASE("y4m: streams that end early, wherever that is") {
  const Y4mHeader header = header_of(3, 5, "C420");
  const Image image = like_frames(header);
  std::string stream = header.line + "\n";
  std::vector<std::size_t> ends = {stream.size()};
  for (int i = 0; i < 3; ++i) {
    stream += text_of(encode_y4m_frame(header, {" Xa", image}));
    ends.push_back(stream.size());
  }
  for (std::size_t size = 0; size <= stream.size(); ++size) {
    INFO(size);
    std::size_t frames = 0;
    const std::string error = error_of([&] {
      Y4mReader reader("clip", in_pieces(stream.substr(0, size), 11));
      while (reader.next()) ++frames;
    });
    if (size == 0) {
      CHECK(error == "cannot read clip: it is empty");
    } else if (size < ends[0]) {
      CHECK(error == "cannot read clip: it ends within its header");
    } else {
      const auto whole = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), size) - ends.begin()) - 1;
      CHECK(frames == whole);
      if (size == ends[whole]) {
        CHECK(error == "no error");
      } else {
        CHECK_THAT(error, Contains(join("frame ", whole + 1)) &&
                              (Contains("is incomplete, it has") || Contains("ends within the line of")));
      }
    }
  }
}

TEST_CASE("y4m: hostile streams") {
  const auto error = [](const std::string& stream) {
    return error_of([&] {
      Y4mReader reader("clip", in_pieces(stream, 1000));
      while (reader.next()) continue;
    });
  };
  const std::string good = "YUV4MPEG2 W1 H1 Cmono\n";
  CHECK(error(good + "FRAME\nxFRAME X\ny") == "no error");
  CHECK_THAT(error(good + "FRAME\nxfRAME\ny"), Contains("start of frame 2, got 'fRAME'"));
  CHECK_THAT(error(good + "FRAMES\nx"), Contains("start of frame 1, got 'FRAMES'"));
  CHECK_THAT(error(good + "\nFRAME\nx"), Contains("start of frame 1, got ''"));
  CHECK_THAT(error(good + "FRAME " + std::string(5000, 'x')), Contains("frame 1 is longer than 4096 bytes"));
  CHECK_THAT(error("YUV4MPEG2 X" + std::string(5000, 'x')), Contains("its header is longer than 4096 bytes"));
  CHECK_THAT(error(std::string(1 << 20, 'Y')), Contains("does not begin with YUV4MPEG2"));
  CHECK_THAT(error("YUV4MPEG2 W1 H1 X" + std::string(1, '\0') + "\n"), Contains("a zero byte"));
  CHECK_THAT(error("\x89PNG\r\n\x1a\n"), Contains("does not begin with YUV4MPEG2"));
  // No more memory is taken than there are bytes.
  CHECK_THAT(error("YUV4MPEG2 W16384 H16384 C444p16\nFRAME\nfew"), Contains("frame 1 is incomplete, it has 3 of"));
}

TEST_CASE("y4m: pictures that are not of the header's kind are refused") {
  const Y4mHeader header = header_of(4, 3, "C444");
  CHECK_THAT(error_of([&] {
               encode_y4m_frame(header, {"", Image(4, 3, 1)});
             }),
             Contains("expected a picture of 4 x 3"));
  CHECK_THAT(error_of([&] {
               encode_y4m_frame(header, {"", Image(3, 4, 3)});
             }),
             Contains("expected a picture of 4 x 3"));
  CHECK_THAT(error_of([&] { encode_y4m_frame(header, {"", Image(4, 3, 3, 16)}); }), Contains("8 bits"));
  CHECK_THAT(error_of([&] { y4m_image(header, std::vector<std::uint8_t>(35)); }), Contains("expected 36 bytes"));
}
