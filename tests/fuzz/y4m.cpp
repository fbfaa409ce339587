// Video: streams that come in pieces; each frame that is read is written again, and read as nearly the same.

#include "core/image/y4m.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/fuzz/fuzz.h"

using namespace kind;
using namespace kind::testing;

namespace {

void check_frame(const Y4mHeader& header, const Y4mFrame& frame) {
  const Image& image = frame.image;
  promise(image.width == header.width && image.height == header.height, "frames have the header's sides");
  promise(image.bits == (header.bits > 8 ? 16 : 8), "frames have 8 bits, or 16");
  std::vector<std::uint8_t> bytes;
  promise(accepts([&] { bytes = encode_y4m_frame(header, frame); }), "a frame that was read is written");
  const std::size_t start = 6 + frame.parameters.size();
  promise(bytes.size() == start + header.frame_bytes(), "a frame has the size it says");
  const Image again = y4m_image(header, std::span(bytes).subspan(start));
  const bool gray = header.sampling == Y4mHeader::Sampling::kMono;
  if (!gray && header.sampling != Y4mHeader::Sampling::k444) return;
  const int bound = gray ? 0 : 4 * image.maximum() / ((1 << header.bits) - 1);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < image.channels; ++c) {
        promise(std::abs(image.sample(x, y, c) - again.sample(x, y, c)) <= bound, "frames with all chroma come back");
      }
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Input input(data, size);
  ReadLimits limits;
  limits.max_pixels = 1 << 14;
  limits.max_side = 1 << 15;
  limits.max_image_bytes = 1 << 17;
  std::size_t at = 0;
  const auto read = [&](std::uint8_t* to, std::size_t count) {
    const std::size_t got = std::min({count, input.bytes.size() - at, std::size_t{input.choice} + 1});
    if (got > 0) std::memcpy(to, input.bytes.data() + at, got);
    at += got;
    return got;
  };
  accepts([&] {
    Y4mReader reader("input", read, limits);
    const Y4mHeader& header = reader.header();
    promise(std::int64_t{header.width} * header.height <= limits.max_pixels, "pixels are within the limits");
    promise(header.width >= 1 && header.height >= 1, "sides are positive");
    promise(parse_y4m_header("input", header.line, limits).frame_bytes() == header.frame_bytes(),
            "a header that is kept says the same");
    while (const std::optional<Y4mFrame> frame = reader.next()) check_frame(header, *frame);
  });
  return 0;
}
