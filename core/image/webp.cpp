// WebP through libwebp. A file is a list of chunks in a RIFF container: four letters, a size, content, an even number of
// bytes. The image chunks are libwebp's, the list around them is read and written here.

#include "core/image/image_codecs.h"

#if KIND_HAS_WEBP

#include <webp/decode.h>
#include <webp/encode.h>

#include <cstring>
#include <functional>

#include "core/base/error.h"
#include "core/image/animation_codecs.h"

namespace kind {
namespace {

/// How hard lossless files are tried to make small, 0 to 9: 6 takes twice as long for a few percent.
constexpr int kLosslessLevel = 3;
constexpr std::size_t kHeader = 12;  // "RIFF", size, "WEBP"
constexpr std::uint8_t kHasIcc = 0x20, kHasAlpha = 0x10, kHasExif = 0x08, kHasXmp = 0x04;

std::size_t little_endian(Bytes bytes, std::size_t at, std::size_t count) {
  std::size_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | bytes[at + i];
  return value;
}

/// Calls use(name, content) for each chunk that is whole.
void for_each_chunk(Bytes file, const std::function<void(const std::string&, Bytes)>& use) {
  for (std::size_t at = kHeader; at + 8 <= file.size();) {
    const std::size_t size = little_endian(file, at + 4, 4);
    if (size > file.size() - at - 8) return;
    use(text_of(file.subspan(at, 4)), file.subspan(at + 8, size));
    at += 8 + size + size % 2;
  }
}

WebPBitstreamFeatures read_features(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(bytes.data(), bytes.size(), &features);
  check(status == VP8_STATUS_OK, "cannot read ", path, " as WebP: its header is damaged or cut short");
  check_picture_size(path, features.width, features.height, limits);
  return features;
}

ImageInfo webp_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const WebPBitstreamFeatures features = read_features(path, bytes, limits);
  return {features.width, features.height, ImageFormat::kWebp};
}

/// Of an animation, as large as the whole.
Image first_frame(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  return decode_webp_animation(path, bytes, limits, 1).frames[0].image;
}

Image decode_webp(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const WebPBitstreamFeatures features = read_features(path, bytes, limits);
  const bool alpha = features.has_alpha != 0;
  const ImageInfo size{features.width, features.height, ImageFormat::kWebp};
  check_image_bytes(path, size, alpha ? 4 : 3, 8, limits);
  check_file_holds(path, bytes.size(), 8 + little_endian(bytes, 4, 4), size);
  if (features.has_animation != 0) return first_frame(path, bytes, limits);
  Image image(size.width, size.height, alpha ? 4 : 3);
  const int stride = static_cast<int>(image.row_bytes());
  const std::uint8_t* done =
      alpha ? WebPDecodeRGBAInto(bytes.data(), bytes.size(), image.data.data(), image.data.size(), stride)
            : WebPDecodeRGBInto(bytes.data(), bytes.size(), image.data.data(), image.data.size(), stride);
  check(done != nullptr, "cannot read ", path, " as WebP: its pixels are damaged or cut short");
  return image;
}

Metadata webp_metadata(const std::string& path, Bytes bytes, std::size_t max_bytes) {
  MetadataParts parts(path, max_bytes);
  int frames = 0;
  for_each_chunk(bytes, [&](const std::string& name, Bytes content) {
    if (name == "ICCP") return parts.icc(content);
    if (name == "EXIF") return parts.exif(content);
    if (name == "XMP ") return parts.xmp(content);
    if (name == "ANMF" && ++frames > 1) return leave_out(parts.metadata, kFurtherFrames);
    for (const char* image : {"VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF"}) {
      if (name == image) return;
    }
    leave_out(parts.metadata, "further chunks");
  });
  return std::move(parts.metadata);
}

void put_chunk(std::vector<std::uint8_t>& to, const char* name, Bytes content) {
  to.insert(to.end(), name, name + 4);
  for (int shift = 0; shift < 32; shift += 8) to.push_back(static_cast<std::uint8_t>(content.size() >> shift & 0xff));
  to.insert(to.end(), content.begin(), content.end());
  if (content.size() % 2 != 0) to.push_back(0);
}

struct Encoded {
  WebPMemoryWriter writer;
  WebPPicture picture;

  Encoded() {
    WebPMemoryWriterInit(&writer);
    check(WebPPictureInit(&picture) != 0, "WebP: the library is another one than that of the build");
  }
  Encoded(const Encoded&) = delete;
  Encoded& operator=(const Encoded&) = delete;
  ~Encoded() {
    WebPPictureFree(&picture);
    WebPMemoryWriterClear(&writer);
  }
};

/// The picture's chunks as libwebp writes them, in a container of their own.
void encode_pixels(const std::string& path, const Image& image, int quality, Encoded& encoded) {
  WebPConfig config;
  bool ok = WebPConfigInit(&config) != 0;
  if (quality == 100) {
    ok = ok && WebPConfigLosslessPreset(&config, kLosslessLevel) != 0;
  } else {
    config.quality = static_cast<float>(quality);
  }
  config.exact = 1;          // colours of transparent pixels stay
  config.use_sharp_yuv = 1;  // colour is halved in both directions: so that edges keep theirs
  WebPPicture& picture = encoded.picture;
  picture.use_argb = 1;
  picture.width = image.width;
  picture.height = image.height;
  picture.writer = WebPMemoryWrite;
  picture.custom_ptr = &encoded.writer;
  const bool gray = image.channels < 3, alpha = image.has_alpha();
  if (gray) {
    Image wide(image.width, image.height, alpha ? 4 : 3);
    for (int y = 0; y < image.height; ++y) {
      for (int x = 0; x < image.width; ++x) {
        for (int c = 0; c < 3; ++c) wide.set_sample(x, y, c, image.sample(x, y, 0));
        if (alpha) wide.set_sample(x, y, 3, image.sample(x, y, 1));
      }
    }
    return encode_pixels(path, wide, quality, encoded);
  }
  const int stride = static_cast<int>(image.row_bytes());
  ok = ok && (alpha ? WebPPictureImportRGBA(&picture, image.data.data(), stride)
                    : WebPPictureImportRGB(&picture, image.data.data(), stride)) != 0;
  ok = ok && WebPEncode(&config, &picture) != 0;
  check(ok, "cannot write ", path, " as WebP: libwebp reports error ", static_cast<int>(picture.error_code),
        picture.error_code == VP8_ENC_ERROR_OUT_OF_MEMORY ? ", there is not enough memory" : "");
}

void encode_webp(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink) {
  check(image.width <= WEBP_MAX_DIMENSION && image.height <= WEBP_MAX_DIMENSION, "cannot write ", path,
        ": WebP holds at most ", WEBP_MAX_DIMENSION, " pixels a side, the picture has ", image.width, " x ",
        image.height);
  Encoded encoded;
  encode_pixels(path, image, options.jpeg_quality, encoded);
  const Bytes plain(encoded.writer.mem, encoded.writer.size);
  const Metadata none;
  const Metadata& metadata = options.metadata ? *options.metadata : none;
  const std::string xmp = whole_xmp(metadata);
  // A gray picture's profile is for gray pixels, which there are none of.
  const Bytes icc = image.channels < 3 ? Bytes() : Bytes(metadata.icc);
  if (icc.empty() && metadata.exif.empty() && xmp.empty()) return sink.put(plain);

  std::vector<std::uint8_t> chunks;
  std::vector<std::uint8_t> header(10);
  header[0] = static_cast<std::uint8_t>((icc.empty() ? 0 : kHasIcc) | (image.has_alpha() ? kHasAlpha : 0) |
                                        (metadata.exif.empty() ? 0 : kHasExif) | (xmp.empty() ? 0 : kHasXmp));
  for (int i = 0; i < 3; ++i) {
    header[4 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>((image.width - 1) >> 8 * i & 0xff);
    header[7 + static_cast<std::size_t>(i)] = static_cast<std::uint8_t>((image.height - 1) >> 8 * i & 0xff);
  }
  put_chunk(chunks, "VP8X", header);
  if (!icc.empty()) put_chunk(chunks, "ICCP", icc);
  for_each_chunk(plain, [&](const std::string& name, Bytes content) {
    if (name != "VP8X") put_chunk(chunks, name.c_str(), content);
  });
  if (!metadata.exif.empty()) put_chunk(chunks, "EXIF", metadata.exif);
  if (!xmp.empty()) put_chunk(chunks, "XMP ", {reinterpret_cast<const std::uint8_t*>(xmp.data()), xmp.size()});
  check(chunks.size() < 0xfffffff0u, "cannot write ", path, ": a WebP file holds less than 4 GiB");
  std::vector<std::uint8_t> file = {'R', 'I', 'F', 'F'};
  const std::size_t size = chunks.size() + 4;
  for (int shift = 0; shift < 32; shift += 8) file.push_back(static_cast<std::uint8_t>(size >> shift & 0xff));
  for (const char c : {'W', 'E', 'B', 'P'}) file.push_back(static_cast<std::uint8_t>(c));
  sink.put(file);
  sink.put(chunks);
}

}  // namespace

const ImageCodec* webp_codec() {
  static constexpr ImageCodec kCodec = {webp_info, decode_webp, webp_metadata, encode_webp};
  return &kCodec;
}

}  // namespace kind

#else

namespace kind {
const ImageCodec* webp_codec() { return nullptr; }
}  // namespace kind

#endif
