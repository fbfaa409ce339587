// Metadata: what is found in JPEG and PNG files, EXIF and XMP made upright, and all of it written again.

#include "core/image/metadata.h"

#include "core/image/exif.h"
#include "core/image/formats.h"
#include "core/image/xmp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/png_sums.h"

using namespace kind;
using namespace kind::testing;

namespace {

constexpr std::size_t kMostBytes = 1 << 18;
constexpr int kWidth = 640, kHeight = 480;

void put(std::vector<std::uint8_t>& file, std::size_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) file.push_back(static_cast<std::uint8_t>(value >> 8 * i & 0xff));
}

std::vector<std::uint8_t> jpeg_of(const Metadata& metadata) {
  std::vector<std::uint8_t> file = {0xff, 0xd8};
  for (const JpegSegment& segment : jpeg_segments(metadata)) {
    promise(segment.data.size() <= 65533, "a segment fits its length");
    put(file, 0xff00u | static_cast<unsigned>(segment.marker), 2);
    put(file, segment.data.size() + 2, 2);
    file.insert(file.end(), segment.data.begin(), segment.data.end());
  }
  put(file, 0xffda0002, 4);
  return file;
}

std::vector<std::uint8_t> png_of(const Metadata& metadata) {
  std::vector<std::uint8_t> file = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  for (const PngChunk& chunk : png_chunks(metadata)) {
    promise(chunk.type.size() == 4, "a chunk's type has four letters");
    put(file, chunk.data.size(), 4);
    file.insert(file.end(), chunk.type.begin(), chunk.type.end());
    file.insert(file.end(), chunk.data.begin(), chunk.data.end());
    put(file, 0, 4);
  }
  repair_png_sums(file.data(), file.size());
  return file;
}

void check_exif(std::vector<std::uint8_t> exif) {
  const int orientation = exif_orientation(exif);
  promise(orientation >= 1 && orientation <= 8, "orientations are 1 to 8");
  const std::size_t size = exif.size();
  if (!make_exif_upright(exif, kWidth, kHeight, true)) return;
  promise(exif.size() <= size, "an EXIF block does not grow");
  promise(exif_orientation(exif) == 1, "an upright block says so");
  std::vector<std::uint8_t> again = exif;
  promise(make_exif_upright(again, kWidth, kHeight) && again == exif, "upright EXIF data stay as they are");
}

void check_xmp(const std::string& all) {
  const std::size_t zero = all.find('\0');
  std::string packet = all.substr(0, zero);
  const std::string extension = zero == std::string::npos ? "" : all.substr(zero + 1);
  make_xmp_upright(packet, kWidth, kHeight, true);
  std::string again = packet;
  make_xmp_upright(again, kWidth, kHeight, true);
  const std::string name = xmp_extension_name(packet);
  promise(name.empty() || name.size() == 32, "an extension's name has 32 digits");
  join_xmp(packet, extension);
  const SplitXmp split = split_xmp(packet);
  promise(xmp_extension_name(split.packet) == md5_text(split.extension), "a split packet names its extension");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Input input(data, size);
  if (input.choice % 4 == 2) check_exif({input.bytes.begin(), input.bytes.end()});
  if (input.choice % 4 == 3) check_xmp(input.text());
  if (input.choice % 4 >= 2) return 0;

  Metadata metadata;
  const bool jpeg = input.choice % 4 == 0;
  if (!accepts([&] {
        metadata = jpeg ? read_jpeg_metadata("input", input.bytes, kMostBytes)
                        : read_png_metadata("input", input.bytes, kMostBytes);
      })) {
    return 0;
  }
  make_upright(metadata, kWidth, kHeight, input.choice & 4 ? 6 : 1);
  promise(exif_orientation(metadata.exif) == 1, "upright metadata say so");
  check_profile(metadata, input.choice & 8);
  for (const ImageFormatRow& row : kImageFormats) metadata_left_out(metadata, row.metadata);
  // What one type holds whole comes back from it. The limit counts what it costs to hold, not the files' bytes.
  Metadata again;
  promise(accepts([&] { again = read_jpeg_metadata("output", jpeg_of(metadata), 64 * kMostBytes); }),
          "a JPEG's metadata are read again");
  const bool small = metadata.exif.size() <= 60000 && metadata.xmp.size() <= 60000;
  if (small) promise(again.exif == metadata.exif && again.xmp == metadata.xmp, "a JPEG keeps EXIF and XMP data");
  promise(again.icc == metadata.icc, "a JPEG keeps a profile");
  promise(accepts([&] { again = read_png_metadata("output", png_of(metadata), 64 * kMostBytes); }),
          "a PNG's metadata are read again");
  if (!metadata.exif.empty()) promise(again.exif == metadata.exif, "a PNG keeps EXIF data");
  promise(again.icc == metadata.icc, "a PNG keeps a profile");
  return 0;
}

std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned) {
  const std::size_t changed = LLVMFuzzerMutate(data, size, max_size);
  if (changed > 0) repair_png_sums(data + 1, changed - 1);
  return changed;
}
