#pragma once

// Between image.cpp and the codecs; nothing else includes this. A codec's file defines the function that its row in
// formats.h names.

#include <csetjmp>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/image/image.h"
#include "core/image/metadata_parts.h"

namespace kind {

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

/// How files of a format are read and written; each has a file of its own and a row in formats.h. `path` is for messages.
struct ImageCodec {
  /// The size of the picture as `decode` gives it, from the bytes at a file's start, limits applied. Throws Error where
  /// the header goes on behind these bytes, which no format with `header_at_start` does.
  ImageInfo (*info)(const std::string& path, Bytes bytes, const ReadLimits& limits);
  /// The picture as it is stored, EXIF orientation not applied (that of RAW, HEIF and JPEG XL files is).
  Image (*decode)(const std::string& path, Bytes bytes, const ReadLimits& limits);
  /// The metadata, orientation still in the EXIF data unless `decode` has applied it. Null: such files hold none.
  Metadata (*metadata)(const std::string& path, Bytes bytes, std::size_t max_bytes) = nullptr;
  /// The file that holds the picture. The caller has checked that the format's row allows it. Null: only read.
  void (*encode)(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink) = nullptr;
};

/// Whether the file is a camera's RAW picture: by its first bytes; of TIFF files by the kind of their pixels, or, where these
/// say nothing, by the name.
bool is_raw_picture(const std::string& path, Bytes bytes);
/// Whether a TIFF file holds a camera's RAW picture: in one of its directories there are pixels behind a colour filter
/// (TIFF/EP's CFA), or of a sensor (DNG's LinearRaw), or it says that it is a DNG. Nothing where a directory lies behind
/// what is there of the file.
std::optional<bool> is_raw_tiff(Bytes bytes);
/// What a file that is none of ours most likely is, with what to do about it.
std::string name_unreadable(const std::string& path, Bytes bytes);

/// Throws Error unless 1 <= sides <= limits.max_side and the picture has at most limits.max_pixels pixels.
void check_picture_size(const std::string& path, std::int64_t width, std::int64_t height, const ReadLimits& limits);

/// Throws Error where the picture's samples take more than limits.max_image_bytes.
void check_image_bytes(const std::string& path, const ImageInfo& size, int channels, int bits,
                       const ReadLimits& limits);
/// Throws Error where `have` bytes are fewer than the `least` that can hold the pixels: before memory is taken for
/// them.
void check_file_holds(const std::string& path, std::uint64_t have, std::uint64_t least, const ImageInfo& size);

/// Colours that were multiplied by alpha to what they were; they are black where alpha is 0.
void divide_by_alpha(Image& image);
/// How a box of ISO/IEC 14496-12 (4.2) begins.
struct BoxStart {
  std::string type;    // four letters
  std::uint64_t size;  // with this start; of a box that goes on to the end, all of `bytes`; 0: there is no such size
  std::size_t header;  // bytes of this start: 16 where the size has 64 bits, else 8

  bool fits(Bytes bytes) const { return size >= header && size <= bytes.size(); }
};
/// The box at the start of `bytes`, whose size may be anything. Nothing where fewer than 8 bytes are left.
std::optional<BoxStart> box_start(Bytes bytes);
/// Throws Error where the file, a list of boxes, does not hold all of its last one, or one is smaller than its start.
/// `type` is for the message.
void check_boxes(const std::string& path, const char* type, Bytes bytes);

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
