#pragma once

// Between image.cpp and the codecs; nothing else includes this.

#include <csetjmp>
#include <cstdint>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/image/image.h"

namespace kind {

using Bytes = std::span<const std::uint8_t>;

/// The size of the picture as it is stored, from the bytes at a file's start. JPEG and PPM throw Error where the header
/// goes on behind these bytes. `path` is for messages. The limits are already applied.
ImageInfo png_info(const std::string& path, Bytes bytes, const ReadLimits& limits);
ImageInfo jpeg_info(const std::string& path, Bytes bytes, const ReadLimits& limits);
ImageInfo bmp_info(const std::string& path, Bytes bytes, const ReadLimits& limits);
ImageInfo ppm_info(const std::string& path, Bytes bytes, const ReadLimits& limits);

/// The picture as it is stored, EXIF orientation not applied.
Image decode_png(const std::string& path, Bytes bytes, const ReadLimits& limits);
Image decode_jpeg(const std::string& path, Bytes bytes, const ReadLimits& limits);
Image decode_bmp(const std::string& path, Bytes bytes, const ReadLimits& limits);
Image decode_ppm(const std::string& path, Bytes bytes, const ReadLimits& limits);

/// Where encoders leave a file's bytes, part after part.
class ByteSink {
 public:
  using Write = std::function<void(Bytes)>;
  explicit ByteSink(Write write) : write_(std::move(write)) {}

  void put(Bytes bytes) { write_(bytes); }
  /// For calls from the libraries' C code, through which no exception may pass: false where writing failed.
  bool put_quietly(const std::uint8_t* bytes, std::size_t count) noexcept {
    try {
      write_(Bytes(bytes, count));
      return true;
    } catch (...) {
      error_ = std::current_exception();
      return false;
    }
  }
  /// Throws what put_quietly caught.
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  Write write_;
  std::exception_ptr error_;
};

/// The file that holds the picture. The caller has checked that the type can hold it.
void encode_png(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink);
void encode_jpeg(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink);
void encode_bmp(const std::string& path, const Image& image, ByteSink& sink);
void encode_ppm(const Image& image, ByteSink& sink);

/// Throws Error unless 1 <= sides <= limits.max_side and the picture has at most limits.max_pixels pixels.
void check_picture_size(const std::string& path, std::int64_t width, std::int64_t height, const ReadLimits& limits);

/// Throws Error where the picture's samples take more than limits.max_image_bytes.
void check_image_bytes(const std::string& path, const ImageInfo& size, int channels, int bits,
                       const ReadLimits& limits);
/// Throws Error where `have` bytes are fewer than the `least` that can hold the pixels: before memory is taken for
/// them.
void check_file_holds(const std::string& path, std::uint64_t have, std::uint64_t least, const ImageInfo& size);

/// The picture turned and mirrored so that it is upright, for an EXIF orientation of 1..8.
Image apply_orientation(Image image, int orientation);

/// Calls body() and returns true; returns false if body left by longjmp(jump, 1), as libpng's and libjpeg's error
/// handlers do. No destructor runs on that way out, so neither body nor what it calls may own anything: all that needs
/// a destructor lives in the caller of this function.
template <class Body>
bool run_guarded(std::jmp_buf& jump, const Body& body) {
  if (setjmp(jump) != 0) return false;
  body();
  return true;
}

}  // namespace kind
