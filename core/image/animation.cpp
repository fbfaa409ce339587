// Animated PNG (PNG, third edition, 4.9 and 11.3.6): the frames' data lie in chunks of their own, and each is a part of the
// picture that is laid on what was there. Every frame is made a PNG file of its own for the PNG codec.

#include "core/image/animation.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <optional>
#include <string_view>

#include "core/base/error.h"
#include "core/files/file.h"
#include "core/image/animation_codecs.h"

namespace kind {
namespace {

using namespace std::string_view_literals;
constexpr std::string_view kSignature = "\x89PNG\r\n\x1a\n"sv;
constexpr std::size_t kControl = 26, kNumber = 4;  // bytes of fcTL, and of the number before fdAT's data

struct Control {
  std::uint32_t width = 0, height = 0, x = 0, y = 0;
  std::uint16_t delay = 0, per_second = 0;
  int dispose = 0, blend = 0;
};

/// A frame of the file: where it lies in the picture, and its packed pixels.
struct Part {
  Control control;
  std::vector<Bytes> data;
};

struct Parts {
  Bytes header;               // IHDR's data
  std::vector<Bytes> before;  // chunks with length and sum that the pixels depend on: palette, transparency
  std::vector<Part> frames;
  std::uint32_t frames_said = 0, plays = 0;
};

[[noreturn]] void refuse(const std::string& path, const char* why) {
  fail("cannot read ", path, " as an animated PNG: ", why);
}

Control read_control(const std::string& path, Bytes data) {
  if (data.size() != kControl) refuse(path, "a frame's control data (fcTL) are damaged");
  const auto number = [&](std::size_t at, std::size_t bytes) {
    return static_cast<std::uint32_t>(big_endian(data, at, bytes));
  };
  return {number(4, 4),
          number(8, 4),
          number(12, 4),
          number(16, 4),
          static_cast<std::uint16_t>(number(20, 2)),
          static_cast<std::uint16_t>(number(22, 2)),
          data[24],
          data[25]};
}

/// The chunks of the file, each with a sum that is true, in the order in which they have to come.
Parts read_parts(const std::string& path, Bytes file) {
  Parts parts;
  bool pixels = false, ended = false;
  std::uint32_t sequence = 0;
  std::size_t at = kSignature.size();
  while (!ended && file.size() - at >= 12) {
    const std::size_t length = big_endian(file, at, 4);
    if (length > file.size() - at - 12) break;
    const Bytes whole = file.subspan(at, length + 12), data = file.subspan(at + 8, length);
    const std::string type = text_of(file.subspan(at + 4, 4));
    at += length + 12;
    const bool needed = type == "IHDR" || type == "PLTE" || type == "tRNS" || type == "acTL" || type == "fcTL" ||
                        type == "IDAT" || type == "fdAT";
    const auto sum = crc32(0, whole.data() + 4, static_cast<uInt>(length + 4));
    if (needed && sum != big_endian(whole, length + 8, 4)) refuse(path, "a chunk's checksum does not match");
    if (type == "fcTL" || type == "fdAT") {
      if (length < kNumber || big_endian(data, 0, 4) != sequence++) refuse(path, "its frames are out of order");
    }
    if (type == "IHDR") parts.header = data;
    if (type == "PLTE" || type == "tRNS") parts.before.push_back(whole);
    if (type == "acTL" && length == 8) {
      parts.frames_said = static_cast<std::uint32_t>(big_endian(data, 0, 4));
      parts.plays = static_cast<std::uint32_t>(big_endian(data, 4, 4));
    }
    if (type == "fcTL") parts.frames.push_back({read_control(path, data), {}});
    if (type == "IDAT" && parts.frames.size() == 1) parts.frames[0].data.push_back(data);
    if (type == "fdAT") {
      if (parts.frames.empty()) refuse(path, "its frames are out of order");
      parts.frames.back().data.push_back(data.subspan(kNumber));
    }
    pixels |= type == "IDAT";
    ended = type == "IEND";
  }
  if (!ended || !pixels || parts.header.size() != 13) refuse(path, "the file ends early or is damaged");
  if (parts.frames.size() != parts.frames_said) refuse(path, "it has another number of frames than it says");
  return parts;
}

void append_chunk(std::vector<std::uint8_t>& to, std::string_view type, Bytes first, Bytes second = {}) {
  append_big_endian(to, first.size() + second.size(), 4);
  const std::size_t start = to.size();
  append_text(to, type);
  to.insert(to.end(), first.begin(), first.end());
  to.insert(to.end(), second.begin(), second.end());
  append_big_endian(to, crc32(0, to.data() + start, static_cast<uInt>(to.size() - start)), 4);
}

/// The frame as a PNG file.
std::vector<std::uint8_t> file_of(const Parts& parts, const Part& part) {
  std::vector<std::uint8_t> file(kSignature.begin(), kSignature.end());
  std::vector<std::uint8_t> header;
  append_big_endian(header, part.control.width, 4);
  append_big_endian(header, part.control.height, 4);
  header.insert(header.end(), parts.header.begin() + 8, parts.header.end());
  append_chunk(file, "IHDR", header);
  for (const Bytes chunk : parts.before) file.insert(file.end(), chunk.begin(), chunk.end());
  for (const Bytes data : part.data) append_chunk(file, "IDAT", data);
  append_chunk(file, "IEND", {});
  return file;
}

/// With an alpha channel, opaque where there was none.
Image with_alpha(const Image& image) {
  if (image.has_alpha()) return image;
  Image out(image.width, image.height, image.channels + 1, image.bits);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < image.channels; ++c) out.set_sample(x, y, c, image.sample(x, y, c));
      out.set_sample(x, y, image.channels, image.maximum());
    }
  }
  return out;
}

Image without_alpha(const Image& image) {
  Image out(image.width, image.height, image.channels - 1, image.bits);
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < out.channels; ++c) out.set_sample(x, y, c, image.sample(x, y, c));
    }
  }
  return out;
}

/// Lays the part on the picture: in its place, or over it by alpha (the operator "over" of colours that are not multiplied by
/// alpha).
void blend(const Image& part, const Control& control, Image& picture) {
  constexpr int kOver = 1;
  const int alpha_channel = picture.channels - 1;
  const std::int64_t most = picture.maximum();
  for (int y = 0; y < part.height; ++y) {
    for (int x = 0; x < part.width; ++x) {
      const int to_x = static_cast<int>(control.x) + x, to_y = static_cast<int>(control.y) + y;
      const std::int64_t above = part.sample(x, y, alpha_channel), below = picture.sample(to_x, to_y, alpha_channel);
      if (control.blend == kOver && above == 0) continue;
      const bool copy = control.blend != kOver || above == most || below == 0;
      const std::int64_t rest = below * (most - above), all = above * most + rest;  // times maximum
      for (int c = 0; c < alpha_channel; ++c) {
        const std::int64_t value = part.sample(x, y, c), old = picture.sample(to_x, to_y, c);
        picture.set_sample(to_x, to_y, c,
                           static_cast<int>(copy ? value : (value * above * most + old * rest + all / 2) / all));
      }
      picture.set_sample(to_x, to_y, alpha_channel, static_cast<int>(copy ? above : (all + most / 2) / most));
    }
  }
}

void clear(const Control& control, Image& picture) {
  for (std::uint32_t y = control.y; y < control.y + control.height; ++y) {
    for (std::uint32_t x = control.x; x < control.x + control.width; ++x) {
      for (int c = 0; c < picture.channels; ++c) picture.set_sample(static_cast<int>(x), static_cast<int>(y), c, 0);
    }
  }
}

bool is_opaque(const Image& image) {
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      if (image.sample(x, y, image.channels - 1) != image.maximum()) return false;
    }
  }
  return true;
}

Animation decode_png_animation(const std::string& path, Bytes file, const ReadLimits& limits) {
  constexpr int kToBackground = 1, kToPrevious = 2;
  const ImageInfo size = png_codec()->info(path, file, limits);
  const Parts parts = read_parts(path, file);
  if (parts.frames.empty()) refuse(path, "it has no frames");
  const int bytes = parts.header[8] == 16 ? 2 : 1;
  check_frames_bytes(path, size, parts.frames.size() + 3, 4 * bytes, limits);
  Animation animation;
  animation.plays = parts.plays;
  Image picture;
  bool opaque = true;
  for (const Part& part : parts.frames) {
    const Control& control = part.control;
    const auto width = static_cast<std::uint32_t>(size.width), height = static_cast<std::uint32_t>(size.height);
    const bool inside = control.width >= 1 && control.height >= 1 && control.width <= width &&
                        control.height <= height && control.x <= width - control.width &&
                        control.y <= height - control.height;
    if (!inside || control.dispose > 2 || control.blend > 1) refuse(path, "a frame does not lie inside of the picture");
    if (part.data.empty()) refuse(path, "a frame has no pixels");
    ReadLimits whole = limits;
    whole.damage = nullptr;
    const Image pixels = with_alpha(png_codec()->decode(path, file_of(parts, part), whole));
    if (picture.width == 0) picture = Image(size.width, size.height, pixels.channels, pixels.bits);
    if (pixels.channels != picture.channels || pixels.bits != picture.bits)
      refuse(path, "its frames are of several kinds");
    const bool first = animation.frames.empty();
    std::optional<Image> before;
    if (control.dispose == kToPrevious && !first) before = picture;
    blend(pixels, control, picture);
    opaque = opaque && is_opaque(picture);
    animation.frames.push_back(
        {picture, control.delay, control.per_second == 0 ? std::uint16_t{100} : control.per_second});
    if (before) picture = std::move(*before);
    if (control.dispose == kToBackground || (control.dispose == kToPrevious && first)) clear(control, picture);
  }
  if (opaque) {
    for (Animation::Frame& frame : animation.frames) frame.image = without_alpha(frame.image);
  }
  return animation;
}

/// Calls use(type, data, whole chunk) for each chunk of a PNG file that was made here.
void for_each_chunk(Bytes file, const std::function<void(const std::string&, Bytes, Bytes)>& use) {
  for (std::size_t at = kSignature.size(); at < file.size();) {
    const std::size_t length = big_endian(file, at, 4);
    use(text_of(file.subspan(at + 4, 4)), file.subspan(at + 8, length), file.subspan(at, length + 12));
    at += length + 12;
  }
}

std::vector<std::uint8_t> encode_png_animation(const std::string& name, const Animation& animation,
                                               const WriteOptions& options) {
  std::vector<std::uint8_t> out(kSignature.begin(), kSignature.end());
  std::uint32_t sequence = 0;
  const auto put_control = [&](const Animation::Frame& frame) {
    std::vector<std::uint8_t> data;
    append_big_endian(data, sequence++, 4);
    append_big_endian(data, static_cast<std::size_t>(frame.image.width), 4);
    append_big_endian(data, static_cast<std::size_t>(frame.image.height), 4);
    append_big_endian(data, 0, 8);
    append_big_endian(data, frame.delay, 2);
    append_big_endian(data, frame.per_second, 2);
    append_big_endian(data, 0, 2);  // stays, and is in the place of what was there
    append_chunk(out, "fcTL", data);
  };
  for (std::size_t i = 0; i < animation.frames.size(); ++i) {
    const Animation::Frame& frame = animation.frames[i];
    WriteOptions own = options;
    if (i > 0) own.metadata = nullptr;
    bool controlled = false;
    for_each_chunk(encode_image(name, frame.image, ImageFormat::kPng, own),
                   [&](const std::string& type, Bytes data, Bytes whole) {
                     if (type == "IEND" || (i > 0 && type != "IDAT")) return;
                     if (type == "IDAT" && !controlled) {
                       put_control(frame);
                       controlled = true;
                     }
                     if (type == "IDAT" && i > 0) {
                       std::vector<std::uint8_t> number;
                       append_big_endian(number, sequence++, 4);
                       return append_chunk(out, "fdAT", number, data);
                     }
                     out.insert(out.end(), whole.begin(), whole.end());
                     if (type != "IHDR") return;
                     std::vector<std::uint8_t> control;
                     append_big_endian(control, animation.frames.size(), 4);
                     append_big_endian(control, animation.plays, 4);
                     append_chunk(out, "acTL", control);
                   });
  }
  append_chunk(out, "IEND", {});
  return out;
}

}  // namespace

double Animation::frames_per_second() const {
  double seconds = 0;
  for (const Frame& frame : frames) seconds += static_cast<double>(frame.delay) / frame.per_second;
  constexpr double kUsual = 10, kMost = 1000;
  return seconds > 0 ? std::min(kMost, static_cast<double>(frames.size()) / seconds) : kUsual;
}

void check_frames_bytes(const std::string& path, const ImageInfo& size, std::uint64_t frames, int pixel_bytes,
                        const ReadLimits& limits) {
  const std::uint64_t one = static_cast<std::uint64_t>(size.width) * static_cast<std::uint64_t>(size.height) *
                            static_cast<std::uint64_t>(pixel_bytes);
  check(frames <= limits.max_image_bytes / one, "cannot read ", path, ": its frames take more than ",
        limits.max_image_bytes, " bytes, the limit");
}

bool can_animate(ImageFormat format) {
  return format == ImageFormat::kPng || (format == ImageFormat::kWebp && can_animate_webp());
}

Animation decode_animation(const std::string& name, Bytes file, const ReadLimits& limits) {
  const std::optional<ImageFormat> format = image_format_from_content(file);
  check(format && can_animate(*format), "cannot read ", name,
        ": it is no animation that is read, expected an animated PNG", can_animate_webp() ? " or WebP" : "");
  return *format == ImageFormat::kPng ? decode_png_animation(name, file, limits)
                                      : decode_webp_animation(name, file, limits);
}

Animation read_animation(const std::string& path, const ReadLimits& limits) {
  FileReader file(path, limits.max_file_bytes);
  return decode_animation(path, file.read_all(), limits);
}

std::vector<std::uint8_t> encode_animation(const std::string& name, const Animation& animation, ImageFormat format,
                                           const WriteOptions& options) {
  check(can_animate(format), "cannot write ", name, ": ", image_format(format).name,
        " files hold no animations here, expected png", can_animate_webp() ? " or webp" : "");
  check(!animation.frames.empty(), "cannot write ", name, ": the animation has no frames");
  const Image& first = animation.frames[0].image;
  for (const Animation::Frame& frame : animation.frames) {
    const Image& image = frame.image;
    check(image.width == first.width && image.height == first.height && image.channels == first.channels &&
              image.bits == first.bits && frame.per_second > 0,
          "cannot write ", name, ": the animation's frames are of several kinds");
  }
  return format == ImageFormat::kPng ? encode_png_animation(name, animation, options)
                                     : encode_webp_animation(name, animation, options);
}

}  // namespace kind
