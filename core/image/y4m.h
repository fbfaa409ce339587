#pragma once

// YUV4MPEG2, the uncompressed video that programs pass through pipes: a header line, then for each frame a line and its
// planes Y, Cb, Cr (manual page yuv4mpeg(5) of mjpegtools; ffmpeg's additions for more bits and for the range).

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/image/image.h"

namespace kind {

/// What every such stream begins with.
inline constexpr std::string_view kY4mMagic = "YUV4MPEG2 ";

/// What a stream's header says.
struct Y4mHeader {
  std::string line;  // as it stands in the stream, without the line's end
  int width = 0, height = 0;
  enum class Sampling { kMono, k420, k422, k444 } sampling = Sampling::k420;
  int bits = 8;                  // of a sample: 8, 9, 10, 12, 14 or 16, which take two bytes, the lower first, beyond 8
  bool full_range = false;       // black is 0 and white the greatest value; else 16 and 235 (of 8 bits)
  bool centred_columns = true;   // a chroma sample lies between two columns of pixels, else on the left one
  bool centred_rows = true;      // the same of rows, else on the upper one
  double frames_per_second = 0;  // 0: it does not say

  /// Bytes of a frame behind its line.
  std::uint64_t frame_bytes() const;
};

/// Reads a header line, without its end. `name` is for messages. Throws Error for anything that is no such line, for
/// interlaced video, for chroma kinds other than 420jpeg (also 420, or none), 420mpeg2, 420paldv, 422, 444, mono and
/// those of more bits (420p10, mono12), and for sides and memory over the limits.
Y4mHeader parse_y4m_header(const std::string& name, std::string_view line, const ReadLimits& limits = {});

/// A frame: of a mono stream gray, else RGB; 8 bits of 8-bit streams, else 16.
///
/// Y' = kr R' + (1 - kr - kb) G' + kb B', Cb = (B' - Y') / 2 (1 - kb), Cr = (R' - Y') / 2 (1 - kr). Streams do not say
/// which kr and kb; as players do, this takes 0.299 and 0.114 (ITU-R BT.601-7, 2.5.1) below 720 rows, 0.2126 and 0.0722
/// (BT.709-6, 3.2) from there on. Values outside of the colours that RGB has are clipped. Chroma is interpolated
/// linearly between the places where the header says that its samples lie, and weighted about them on the way back: one
/// half twice for centred samples, else a quarter, a half, a quarter.
struct Y4mFrame {
  std::string parameters;  // of its line, as they stand there: empty, or beginning with a space
  Image image;
};

/// Reads a stream, frame by frame, from wherever its bytes come from.
class Y4mReader {
 public:
  /// Puts up to `count` bytes to `to` and returns how many, 0 at the end alone. May throw.
  using Read = std::function<std::size_t(std::uint8_t* to, std::size_t count)>;

  /// Reads the header; throws Error as parse_y4m_header() does, and where the stream ends in it or its line is longer
  /// than 4096 bytes.
  Y4mReader(std::string name, Read read, const ReadLimits& limits = {});

  const Y4mHeader& header() const { return header_; }
  /// The next frame; nothing at the end. Throws Error, which says the frame's number from 1 on, where the stream ends
  /// within it or its line is none. Memory for a frame is taken as its bytes arrive.
  std::optional<Y4mFrame> next();

 private:
  bool fill();
  std::optional<std::string> read_line();

  std::string name_;
  Read read_;
  std::vector<std::uint8_t> buffer_;
  std::size_t at_ = 0, end_ = 0;  // the unread part of the buffer
  Y4mHeader header_;
  std::vector<std::uint8_t> planes_;
  std::uint64_t frames_ = 0;
};

/// A frame's line and planes, as they follow header.line and a line's end in a stream, or one another. Throws Error
/// where the picture is not of the header's size, channels or bits.
std::vector<std::uint8_t> encode_y4m_frame(const Y4mHeader& header, const Y4mFrame& frame);

/// The picture of a frame's planes, header.frame_bytes() of them, and the planes of a picture.
Image y4m_image(const Y4mHeader& header, std::span<const std::uint8_t> planes);
void put_y4m_planes(const Y4mHeader& header, const Image& image, std::span<std::uint8_t> planes);

}  // namespace kind
