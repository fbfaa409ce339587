// What is asked of the table of formats, and what files are that none of its rows reads.

#include "core/image/formats.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <utility>

#include "core/base/error.h"
#include "core/image/image_codecs.h"
#include "core/image/tiff_tags.h"

namespace kind {
namespace {

using namespace std::string_view_literals;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

bool has_at(Bytes bytes, std::size_t offset, std::string_view text) {
  return bytes.size() >= offset + text.size() && std::memcmp(bytes.data() + offset, text.data(), text.size()) == 0;
}

bool starts_as(const ImageFormatRow& row, Bytes bytes) {
  return std::any_of(row.starts.begin(), row.starts.end(), [&](std::string_view start) {
    return !start.empty() && bytes.size() >= start.size() &&
           std::equal(start.begin(), start.end(), bytes.begin(), [](char want, std::uint8_t have) {
             return want == '?' || static_cast<std::uint8_t>(want) == have;
           });
  });
}

/// "a, b or c".
std::string listed_with(const char* last, const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += (i == 0 ? "" : i + 1 == names.size() ? last : ", ") + names[i];
  }
  return text;
}

std::string listed(const std::vector<std::string>& names, const char* between = ", ") {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : between) + name;
  return text;
}

constexpr const char* kRawHint = "a camera RAW file, which is not read: develop it to PNG or JPEG first";

}  // namespace

std::optional<bool> is_raw_tiff(Bytes bytes) {
  if (!starts_as(image_format(ImageFormat::kTiff), bytes)) return false;
  const TiffTags tags(bytes);
  bool raw = tags.find(kTiffDngVersion) != nullptr;
  const bool whole = tags.each_directory([&](const std::vector<TiffEntry>& directory) {
    raw |= holds_sensor_pixels(tags, directory);
    return !raw;
  });
  return raw || whole ? std::optional(raw) : std::nullopt;
}

bool is_raw_picture(const std::string& path, Bytes bytes) {
  const ImageFormatRow& raw = image_format(ImageFormat::kRaw);
  if (starts_as(raw, bytes)) return true;
  if (!starts_as(image_format(ImageFormat::kTiff), bytes)) return false;
  const std::string extension = lower_extension(path);
  return is_raw_tiff(bytes).value_or(false) ||
         (!extension.empty() &&
          std::find(raw.extensions.begin(), raw.extensions.end(), extension.substr(1)) != raw.extensions.end());
}

std::optional<ImageFormat> image_format_of(const std::string& path, Bytes bytes) {
  if (!is_raw_picture(path, bytes)) return image_format_from_content(bytes);
  return can_read_image(ImageFormat::kRaw) ? std::optional(ImageFormat::kRaw) : std::nullopt;
}

std::string name_unreadable(const std::string& path, Bytes bytes) {
  static constexpr auto kOtherTypes = std::to_array<std::pair<std::string_view, const char*>>({
      {"GIF8"sv, "a GIF, which is not read: convert it to PNG first"},
      {"8BPS"sv, "a Photoshop file, which is not read: export it as PNG first"},
      {"\0\0\0\x0cjP  "sv, "a JPEG 2000 file, which is not read: convert it to PNG first"},
      {"P1"sv, "a plain-text PNM file, which is not read: convert it to PNG or binary PPM first"},
      {"P2"sv, "a plain-text PNM file, which is not read: convert it to PNG or binary PPM first"},
      {"P3"sv, "a plain-text PNM file, which is not read: convert it to PNG or binary PPM first"},
      {"P4"sv, "a bitmap (PBM) file, which is not read: convert it to PNG first"},
      {"P7"sv, "a PAM file, which is not read: convert it to PNG first"},
      {"YUV4MPEG2 "sv, "a video (YUV4MPEG2), expected a picture; kind-infer takes a video as its only input"},
  });
  if (is_raw_picture(path, bytes)) return kRawHint;
  for (const auto& [magic, description] : kOtherTypes) {
    if (has_at(bytes, 0, magic)) return description;
  }
  for (const ImageFormatRow& row : kImageFormats) {
    if (!starts_as(row, bytes)) continue;
    return join(std::strchr("AEIOU", row.name[0]) != nullptr ? "an " : "a ", row.name,
                " file, which is not read by this build: convert it to PNG first");
  }
  if (has_at(bytes, 4, "ftyp"sv)) {
    return "a video or another file of the MP4 family, expected a picture; kind-infer takes what ffmpeg -f "
           "yuv4mpegpipe "
           "makes of a video";
  }
  return "not a picture of a type that is read (" + readable_image_types() + ")";
}

const ImageFormatRow& image_format(ImageFormat format) {
  const auto* const row = std::find_if(std::begin(kImageFormats), std::end(kImageFormats),
                                       [&](const ImageFormatRow& each) { return each.format == format; });
  check(row != std::end(kImageFormats), "image: there is no format number ", static_cast<int>(format));
  return *row;
}

bool can_read_image(ImageFormat format) { return image_format(format).codec() != nullptr; }

bool can_write_image(ImageFormat format) {
  return can_read_image(format) && image_format(format).codec()->encode != nullptr;
}

ImageFormat result_format(ImageFormat input) { return can_write_image(input) ? input : ImageFormat::kPng; }

const MetadataHolder& metadata_holder(ImageFormat format) { return image_format(format).metadata; }

std::string lower_extension(const std::string& path) { return lower(std::filesystem::path(path).extension().string()); }

std::optional<ImageFormat> image_format_from_extension(std::string_view extension) {
  if (extension.starts_with('.')) extension.remove_prefix(1);
  const std::string wanted = lower(extension);
  for (const ImageFormatRow& row : kImageFormats) {
    const bool has = std::find(row.extensions.begin(), row.extensions.end(), wanted) != row.extensions.end();
    if (!wanted.empty() && has && can_read_image(row.format)) return row.format;
  }
  return std::nullopt;
}

std::optional<ImageFormat> image_format_from_content(Bytes bytes) {
  if (is_raw_picture("", bytes)) {
    return can_read_image(ImageFormat::kRaw) ? std::optional(ImageFormat::kRaw) : std::nullopt;
  }
  for (const ImageFormatRow& row : kImageFormats) {
    if (starts_as(row, bytes) && can_read_image(row.format)) return row.format;
  }
  return std::nullopt;
}

const char* image_extension(ImageFormat format) { return image_format(format).extensions[0].data(); }

bool is_gray_name(const std::string& path) {
  const std::string extension = lower_extension(path);
  return std::any_of(std::begin(kImageFormats), std::end(kImageFormats), [&](const ImageFormatRow& row) {
    return !row.gray_extension.empty() &&
           extension.substr(std::min<std::size_t>(extension.size(), 1)) == row.gray_extension;
  });
}

std::vector<std::string> writable_image_extensions() {
  std::vector<std::string> all;
  for (const ImageFormatRow& row : kImageFormats) {
    if (can_write_image(row.format)) all.emplace_back(row.extensions[0]);
  }
  return all;
}

const char* writable_image_types() {
  static const std::string text = listed(writable_image_extensions());
  return text.c_str();
}

std::string image_types_that_hold(int bits, bool alpha) {
  std::vector<std::string> all;
  for (const ImageFormatRow& row : kImageFormats) {
    if (can_write_image(row.format) && row.bits >= bits && (row.alpha || !alpha)) all.emplace_back(row.extensions[0]);
  }
  return listed_with(" or ", all);
}

std::string image_types_with(bool ImageFormatRow::*property) {
  std::vector<std::string> all;
  for (const ImageFormatRow& row : kImageFormats) {
    if (can_write_image(row.format) && row.*property) all.emplace_back(row.extensions[0]);
  }
  return listed_with(" and ", all);
}

std::string readable_image_types() {
  std::vector<std::string> all;
  for (const ImageFormatRow& row : kImageFormats) {
    if (!can_read_image(row.format)) continue;
    all.emplace_back(row.name);
    if (!row.gray_extension.empty()) all.push_back(upper(row.gray_extension));
  }
  return listed(all);
}

std::string image_codec_names() {
  std::vector<std::string> all;
  for (const ImageFormatRow& row : kImageFormats) {
    if (can_read_image(row.format)) all.emplace_back(row.id);
  }
  return listed(all, " ");
}

bool has_picture_name(const std::string& path) {
  if (std::filesystem::path(path).filename().string().rfind('.', 0) == 0) return false;
  return image_format_from_extension(lower_extension(path)).has_value();
}

}  // namespace kind
