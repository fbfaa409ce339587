// AVIF, HEIC and their kin through libheif 1.13 or later. Long because what libheif decodes wrongly is found here, in the
// boxes of the file.

#include "core/image/image_codecs.h"

#if KIND_HAS_HEIF

#include <libheif/heif.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <string_view>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/image/exif.h"
#include "core/image/silence.h"

namespace kind {
namespace {

/// How soon the AV1 encoder stops looking for a better way, 0 to 9: less takes several times as long for a few percent.
constexpr int kSpeed = 6, kLosslessSpeed = 8;
/// AV1 has at most so many bits, and pictures at most such sides.
constexpr int kMostBits = 12, kMostSide = 65535;

struct Free {
  void operator()(heif_context* context) const { heif_context_free(context); }
  void operator()(heif_image_handle* handle) const { heif_image_handle_release(handle); }
  void operator()(heif_image* image) const { heif_image_release(image); }
  void operator()(heif_encoder* encoder) const { heif_encoder_release(encoder); }
  void operator()(heif_decoding_options* options) const { heif_decoding_options_free(options); }
  void operator()(heif_encoding_options* options) const { heif_encoding_options_free(options); }
  void operator()(heif_color_profile_nclx* nclx) const { heif_nclx_color_profile_free(nclx); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

/// The main picture of a file.
struct Source {
  Owned<heif_context> context;
  Owned<heif_image_handle> handle;
  ImageInfo info;
};

void require(const std::string& doing, const heif_error& error) {
  if (error.code == heif_error_Ok) return;
  std::string message = error.message != nullptr ? error.message : "unknown error";
  std::replace(message.begin(), message.end(), '\n', ' ');
  message.erase(message.find_last_not_of(' ') + 1);
  fail(doing, message);
}

template <ImageFormat kFormat>
Source open_source(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const Silence silence;
  const std::string doing = join("cannot read ", path, " as ", image_format(kFormat).name, ": ");
  Source source{Owned<heif_context>(heif_context_alloc()), nullptr, {}};
  if (source.context == nullptr) fail("there is not enough memory");
  heif_context_set_maximum_image_size_limit(source.context.get(), kMostSide);
  require(doing, heif_context_read_from_memory_without_copy(source.context.get(), bytes.data(), bytes.size(), nullptr));
  heif_image_handle* handle = nullptr;
  require(doing, heif_context_get_primary_image_handle(source.context.get(), &handle));
  source.handle.reset(handle);
  source.info = {heif_image_handle_get_width(handle), heif_image_handle_get_height(handle), kFormat};
  check_picture_size(path, source.info.width, source.info.height, limits);
  return source;
}

template <ImageFormat kFormat>
ImageInfo heif_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  return open_source<kFormat>(path, bytes, limits).info;
}

/// Calls use(type, content) for each box of a file, or of another box; ends where it returns false.
template <class Use>
void each_box(Bytes bytes, const Use& use) {
  while (const std::optional<BoxStart> box = box_start(bytes)) {
    if (!box->fits(bytes)) return;
    const auto size = static_cast<std::size_t>(box->size);
    if (!use(box->type, bytes.subspan(box->header, size - box->header))) return;
    bytes = bytes.subspan(size);
  }
}

/// The content of the first box of a type.
std::optional<Bytes> box_of(Bytes bytes, std::string_view wanted) {
  std::optional<Bytes> found;
  each_box(bytes, [&](const std::string& type, Bytes content) {
    if (type == wanted) found = content;
    return !found;
  });
  return found;
}

/// The properties of an item that turn its picture, in order: irot and imir, each with its content (ISO/IEC 23008-12, 6.5).
std::string turns_of(Bytes bytes, std::size_t item) {
  const std::optional<Bytes> meta = box_of(bytes, "meta");
  const std::optional<Bytes> all = meta && meta->size() >= 4 ? box_of(meta->subspan(4), "iprp") : std::nullopt;
  if (!all) return {};
  std::vector<std::string> properties = {""};  // they are counted from 1
  each_box(box_of(*all, "ipco").value_or(Bytes()), [&](const std::string& type, Bytes content) {
    const bool turns = !content.empty() && (type == "imir" || (type == "irot" && (content[0] & 3) != 0));
    properties.push_back(turns ? type + text_of(content.first(1)) : "");
    return true;
  });
  std::string turns;
  each_box(*all, [&](const std::string& type, Bytes content) {
    if (type != "ipma" || content.size() < 8) return true;
    const std::size_t id_bytes = content[0] > 0 ? 4 : 2, index_bytes = (content[3] & 1) != 0 ? 2 : 1;
    std::size_t at = 8;
    const auto take = [&](std::size_t count) -> std::size_t {
      at += count;
      return at <= content.size() ? big_endian(content, at - count, count) : 0;
    };
    for (std::size_t items = big_endian(content, 4, 4); items > 0 && at < content.size(); --items) {
      const std::size_t id = take(id_bytes);
      for (std::size_t count = take(1); count > 0; --count) {
        const std::size_t index = take(index_bytes) & (index_bytes == 2 ? 0x7fff : 0x7f);  // the first bit: essential
        if (id == item && index < properties.size()) turns += properties[index];
      }
    }
    return true;
  });
  return turns;
}

/// The auxiliary pictures that are the main one's alpha.
std::vector<heif_item_id> alphas_of(const heif_image_handle* handle) {
  constexpr int kFilter = LIBHEIF_AUX_IMAGE_FILTER_OMIT_DEPTH, kMost = 100;
  const int count = std::clamp(heif_image_handle_get_number_of_auxiliary_images(handle, kFilter), 0, kMost);
  std::vector<heif_item_id> ids(static_cast<std::size_t>(count));
  const int found = heif_image_handle_get_list_of_auxiliary_image_IDs(handle, kFilter, ids.data(), count);
  ids.resize(static_cast<std::size_t>(std::max(found, 0)));
  std::erase_if(ids, [&](heif_item_id id) {
    heif_image_handle* raw = nullptr;
    if (heif_image_handle_get_auxiliary_image_handle(handle, id, &raw).code != heif_error_Ok) return true;
    const Owned<heif_image_handle> auxiliary(raw);
    const char* type = nullptr;
    if (heif_image_handle_get_auxiliary_type(raw, &type).code != heif_error_Ok || type == nullptr) return true;
    const std::string name = type;
    heif_image_handle_free_auxiliary_types(raw, &type);
    return name != "urn:mpeg:mpegB:cicp:systems:auxiliary:alpha" && name != "urn:mpeg:hevc:2015:auxid:1" &&
           name != "urn:mpeg:avc:2015:auxid:1";
  });
  return ids;
}

/// Throws Error for what libheif decodes without a word, and wrongly.
void check_decoded_rightly(const std::string& doing, Bytes bytes, const Source& source, int depth) {
  constexpr const char* kInstead = "; convert it to PNG with another program first";
  heif_color_profile_nclx* raw = nullptr;
  heif_image_handle_get_nclx_color_profile(source.handle.get(), &raw);
  const Owned<heif_color_profile_nclx> nclx(raw);
  check(depth <= 8 || nclx == nullptr || nclx->matrix_coefficients != heif_matrix_coefficients_YCgCo, doing,
        "its colours are YCgCo of ", depth, " bits, which libheif ", heif_get_version(), " does not decode", kInstead);
  heif_item_id primary = 0;
  if (heif_context_get_primary_image_ID(source.context.get(), &primary).code != heif_error_Ok) return;
  const std::string turns = turns_of(bytes, primary);
  for (const heif_item_id alpha : alphas_of(source.handle.get())) {
    check(turns_of(bytes, alpha) == turns, doing, "its alpha is not turned as its colours are, which libheif ",
          heif_get_version(), " does not put right", kInstead);
  }
}

template <ImageFormat kFormat>
Image decode_heif(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const Silence silence;
  const char* const type = image_format(kFormat).name;
  const std::string doing = join("cannot read ", path, " as ", type, ": ");
  check_boxes(path, type, bytes);
  const Source source = open_source<kFormat>(path, bytes, limits);
  heif_image_handle* const handle = source.handle.get();
  const bool alpha = heif_image_handle_has_alpha_channel(handle) != 0;
  const int depth = heif_image_handle_get_luma_bits_per_pixel(handle);
  check(depth >= 1 && depth <= 16, doing, "its samples have ", depth, " bits, expected 8 to 16");
  check_decoded_rightly(doing, bytes, source, depth);
  const bool wide = depth > 8;
  const int channels = alpha ? 4 : 3;
  // Beside the result there are the planes as they are stored and in the order of the result.
  check_image_bytes(path, source.info, 3 * channels, wide ? 16 : 8, limits);
  const Owned<heif_decoding_options> options(heif_decoding_options_alloc());
  if (options == nullptr) fail("there is not enough memory");
  if (options->version >= 3) options->strict_decoding = 1;
  const heif_chroma chroma = wide    ? alpha ? heif_chroma_interleaved_RRGGBBAA_LE : heif_chroma_interleaved_RRGGBB_LE
                             : alpha ? heif_chroma_interleaved_RGBA
                                     : heif_chroma_interleaved_RGB;
  heif_image* raw = nullptr;
  require(doing, heif_decode_image(handle, &raw, heif_colorspace_RGB, chroma, options.get()));
  const Owned<heif_image> decoded(raw);
  heif_error warning;
  if (heif_image_get_decoding_warnings(raw, 0, &warning, 1) > 0) require(doing, warning);
  const int bits = heif_image_get_bits_per_pixel_range(raw, heif_channel_interleaved);
  int stride = 0;
  const std::uint8_t* plane = heif_image_get_plane_readonly(raw, heif_channel_interleaved, &stride);
  check(plane != nullptr && heif_image_get_width(raw, heif_channel_interleaved) == source.info.width &&
            heif_image_get_height(raw, heif_channel_interleaved) == source.info.height && bits >= 1 &&
            bits <= (wide ? 16 : 8),
        doing, "its pixels are of another size than its header says");
  Image image(source.info.width, source.info.height, channels, wide ? 16 : 8);
  const int most = (1 << bits) - 1;
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* row = plane + static_cast<std::ptrdiff_t>(stride) * y;
    std::memcpy(image.row(y), row, image.row_bytes());
    if (most == image.maximum()) continue;
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < channels; ++c) {
        const std::int64_t value = std::min(image.sample(x, y, c), most);
        image.set_sample(x, y, c, static_cast<int>((2 * value * image.maximum() + most) / (2 * std::int64_t{most})));
      }
    }
  }
  if (alpha && heif_image_handle_is_premultiplied_alpha(handle) != 0) divide_by_alpha(image);
  return image;
}

/// What says in numbers (ITU-T H.273) how colours are meant, as a PNG holds it; nothing for sRGB, and where it is open.
void take_code_points(const heif_image_handle* handle, Metadata& metadata) {
  heif_color_profile_nclx* raw = nullptr;
  const heif_error error = heif_image_handle_get_nclx_color_profile(handle, &raw);
  const Owned<heif_color_profile_nclx> nclx(raw);  // also where there is an error
  if (error.code != heif_error_Ok || raw == nullptr) return;
  const int primaries = nclx->color_primaries, transfer = nclx->transfer_characteristics;
  constexpr int kBt709 = 1, kOpen = 2, kBt601 = 6, kSrgb = 13;
  const bool usual_transfer = transfer == kBt709 || transfer == kOpen || transfer == kBt601 || transfer == kSrgb;
  if ((primaries == kBt709 || primaries == kOpen) && usual_transfer) return;
  metadata.color.push_back(
      {"cICP", {static_cast<std::uint8_t>(primaries), static_cast<std::uint8_t>(transfer), 0, 1}});  // RGB, full range
}

/// Whether the file says by itself how its pictures are turned (irot) or mirrored (imir): in the box `meta`, which holds
/// no pixels but at times small ones in a box of its own.
bool has_own_orientation(Bytes bytes) {
  const std::string meta = text_of(box_of(bytes, "meta").value_or(Bytes()));
  return meta.find("irot") != std::string::npos || meta.find("imir") != std::string::npos;
}

template <ImageFormat kFormat>
Metadata heif_metadata(const std::string& path, Bytes bytes, std::size_t max_bytes) {
  const Silence silence;
  MetadataParts parts(path, max_bytes);
  ReadLimits sizes_are_judged_elsewhere;
  sizes_are_judged_elsewhere.max_pixels = std::numeric_limits<std::int64_t>::max();
  const Source source = open_source<kFormat>(path, bytes, sizes_are_judged_elsewhere);
  heif_image_handle* const handle = source.handle.get();
  std::vector<heif_item_id> ids(
      static_cast<std::size_t>(std::clamp(heif_image_handle_get_number_of_metadata_blocks(handle, nullptr), 0, 1000)));
  const int found =
      heif_image_handle_get_list_of_metadata_block_IDs(handle, nullptr, ids.data(), static_cast<int>(ids.size()));
  ids.resize(static_cast<std::size_t>(std::max(found, 0)));
  for (const heif_item_id id : ids) {
    const char* type = heif_image_handle_get_metadata_type(handle, id);
    const char* content_type = heif_image_handle_get_metadata_content_type(handle, id);
    const std::string name = type != nullptr ? type : "", kind = content_type != nullptr ? content_type : "";
    const bool exif = name == "Exif", xmp = name == "mime" && kind == "application/rdf+xml";
    if (!exif && !xmp) {
      leave_out(parts.metadata, "further metadata");
      continue;
    }
    const std::size_t size = heif_image_handle_get_metadata_size(handle, id);
    if (size > parts.budget().left()) parts.budget().refuse();
    std::vector<std::uint8_t> data(size);
    if (size == 0 || heif_image_handle_get_metadata(handle, id, data.data()).code != heif_error_Ok) continue;
    const Bytes content(data);
    if (xmp) {
      parts.xmp(content);
    } else if (size >= 4 && big_endian(content, 0, 4) <= size - 4) {
      parts.exif(content.subspan(4 + big_endian(content, 0, 4)));  // where the block begins
    } else {
      drop(parts.metadata, kExifName);
    }
  }
  const std::size_t profile_size = heif_image_handle_get_raw_color_profile_size(handle);
  if (profile_size > parts.budget().left()) parts.budget().refuse();
  std::vector<std::uint8_t> profile(profile_size);
  if (profile_size > 0 && heif_image_handle_get_raw_color_profile(handle, profile.data()).code == heif_error_Ok) {
    parts.icc(profile);
  }
  if (profile_size == 0) take_code_points(handle, parts.metadata);
  if (heif_context_get_number_of_top_level_images(source.context.get()) > 1) {
    leave_out(parts.metadata, "further pictures");
  }
  if (box_of(bytes, "moov")) leave_out(parts.metadata, "further frames of the image sequence");
  if (heif_image_handle_has_depth_image(handle) != 0) leave_out(parts.metadata, "depth map");
  const int others = heif_image_handle_get_number_of_auxiliary_images(
      handle, LIBHEIF_AUX_IMAGE_FILTER_OMIT_ALPHA | LIBHEIF_AUX_IMAGE_FILTER_OMIT_DEPTH);
  if (others > 0) leave_out(parts.metadata, "further pictures");
  // The decoder turns the picture by the file's own orientation. One in the EXIF data alone turns nothing, in viewers
  // neither (ISO/IEC 23008-12: EXIF data are descriptive).
  if (exif_orientation(parts.metadata.exif) != 1 && !has_own_orientation(bytes)) {
    leave_out(parts.metadata, "EXIF orientation, which this format ignores");
  }
  mark_upright(parts.metadata);
  return std::move(parts.metadata);
}

/// The picture as libheif takes it: RGB, 8 or 12 bits.
Owned<heif_image> to_heif(const std::string& doing, const Image& image) {
  const bool alpha = image.has_alpha(), wide = image.bits == 16;
  const heif_chroma chroma = wide    ? alpha ? heif_chroma_interleaved_RRGGBBAA_LE : heif_chroma_interleaved_RRGGBB_LE
                             : alpha ? heif_chroma_interleaved_RGBA
                                     : heif_chroma_interleaved_RGB;
  heif_image* raw = nullptr;
  require(doing, heif_image_create(image.width, image.height, heif_colorspace_RGB, chroma, &raw));
  Owned<heif_image> out(raw);
  const int bits = wide ? kMostBits : 8, most = (1 << bits) - 1, channels = alpha ? 4 : 3;
  require(doing, heif_image_add_plane(raw, heif_channel_interleaved, image.width, image.height, bits));
  int stride = 0;
  std::uint8_t* plane = heif_image_get_plane(raw, heif_channel_interleaved, &stride);
  for (int y = 0; y < image.height; ++y) {
    std::uint8_t* row = plane + static_cast<std::ptrdiff_t>(stride) * y;
    for (int x = 0; x < image.width; ++x) {
      for (int c = 0; c < channels; ++c) {
        const int from = image.channels >= 3 ? c : c == 3 ? 1 : 0;
        const int value = image.sample(x, y, from);
        if (wide) {
          const int scaled = (2 * value * most + 65535) / (2 * 65535);
          *row++ = static_cast<std::uint8_t>(scaled & 0xff);
          *row++ = static_cast<std::uint8_t>(scaled >> 8);
        } else {
          *row++ = static_cast<std::uint8_t>(value);
        }
      }
    }
  }
  return out;
}

/// How colours are meant: what the metadata say, else sRGB. Without loss RGB is stored as it is, not as YCbCr.
Owned<heif_color_profile_nclx> code_points(const Metadata& metadata, bool lossless) {
  Owned<heif_color_profile_nclx> nclx(heif_nclx_color_profile_alloc());
  if (nclx == nullptr) fail("there is not enough memory");
  nclx->color_primaries = heif_color_primaries_ITU_R_BT_709_5;
  nclx->transfer_characteristics = heif_transfer_characteristic_IEC_61966_2_1;
  for (const PngChunk& chunk : metadata.color) {
    if (chunk.type != "cICP" || chunk.data.size() != 4) continue;
    heif_nclx_color_profile_set_color_primaries(nclx.get(), chunk.data[0]);
    heif_nclx_color_profile_set_transfer_characteristics(nclx.get(), chunk.data[1]);
  }
  nclx->matrix_coefficients = lossless ? heif_matrix_coefficients_RGB_GBR : heif_matrix_coefficients_ITU_R_BT_601_6;
  nclx->full_range_flag = 1;
  return nclx;
}

heif_error on_write(heif_context*, const void* data, std::size_t size, void* user) {
  auto& sink = *static_cast<ByteSink*>(user);
  const bool ok = sink.put_quietly(static_cast<const std::uint8_t*>(data), size);
  return {ok ? heif_error_Ok : heif_error_Encoding_error, heif_suberror_Unspecified, "it cannot be written"};
}

void encode_avif(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink) {
  const Silence silence;
  check(image.width <= kMostSide && image.height <= kMostSide, "cannot write ", path, ": AVIF holds at most ",
        kMostSide, " pixels a side, the picture has ", image.width, " x ", image.height);
  const std::string doing = join("cannot write ", path, " as AVIF: ");
  const Metadata none;
  const Metadata& metadata = options.metadata ? *options.metadata : none;
  const bool lossless = options.jpeg_quality == 100;
  const Owned<heif_context> context(heif_context_alloc());
  if (context == nullptr) fail("there is not enough memory");
  const Owned<heif_image> picture = to_heif(doing, image);
  const Owned<heif_color_profile_nclx> nclx = code_points(metadata, lossless);
  require(doing, heif_image_set_nclx_color_profile(picture.get(), nclx.get()));
  // A gray picture's profile is for gray pixels, which there are none of.
  if (!metadata.icc.empty() && image.channels >= 3) {
    require(doing, heif_image_set_raw_color_profile(picture.get(), "prof", metadata.icc.data(), metadata.icc.size()));
  }
  heif_encoder* raw_encoder = nullptr;
  require(doing, heif_context_get_encoder_for_format(context.get(), heif_compression_AV1, &raw_encoder));
  const Owned<heif_encoder> encoder(raw_encoder);
  const char* const chroma = lossless || options.chroma == Chroma::k444 ? "444"
                             : options.chroma == Chroma::k422           ? "422"
                                                                        : "420";
  require(doing, heif_encoder_set_lossy_quality(raw_encoder, options.jpeg_quality));
  require(doing, heif_encoder_set_lossless(raw_encoder, lossless ? 1 : 0));
  require(doing, heif_encoder_set_parameter_string(raw_encoder, "chroma", chroma));
  // Of some encoders only.
  heif_encoder_set_parameter_integer(raw_encoder, "speed", lossless ? kLosslessSpeed : kSpeed);
  heif_encoder_set_parameter_integer(raw_encoder, "threads", std::min(num_threads(), 16));
  heif_encoder_set_parameter_boolean(raw_encoder, "lossless-alpha", 1);
  const Owned<heif_encoding_options> how(heif_encoding_options_alloc());
  if (how == nullptr) fail("there is not enough memory");
  how->save_two_colr_boxes_when_ICC_and_nclx_available = 1;
  how->output_nclx_profile = nclx.get();
  heif_image_handle* raw_handle = nullptr;
  require(doing, heif_context_encode_image(context.get(), picture.get(), raw_encoder, how.get(), &raw_handle));
  const Owned<heif_image_handle> handle(raw_handle);
  if (!metadata.exif.empty()) {
    require(doing, heif_context_add_exif_metadata(context.get(), raw_handle, metadata.exif.data(),
                                                  static_cast<int>(metadata.exif.size())));
  }
  const std::string xmp = whole_xmp(metadata);
  if (!xmp.empty()) {
    require(doing, heif_context_add_XMP_metadata(context.get(), raw_handle, xmp.data(), static_cast<int>(xmp.size())));
  }
  heif_writer writer{1, on_write};
  const heif_error error = heif_context_write(context.get(), &writer, &sink);
  sink.rethrow();
  require(doing, error);
}

/// Decoders and encoders may be plugins, which are looked for once.
bool libheif_has(bool encoder, heif_compression_format format) {
#if LIBHEIF_HAVE_VERSION(1, 14, 0)
  [[maybe_unused]] static const heif_error ready = heif_init(nullptr);
#endif
  return (encoder ? heif_have_encoder_for_format(format) : heif_have_decoder_for_format(format)) != 0;
}

}  // namespace

const ImageCodec* avif_codec() {
  static const bool reads = libheif_has(false, heif_compression_AV1), writes = libheif_has(true, heif_compression_AV1);
  static const ImageCodec codec = {heif_info<ImageFormat::kAvif>, decode_heif<ImageFormat::kAvif>,
                                   heif_metadata<ImageFormat::kAvif>, writes ? encode_avif : nullptr};
  return reads ? &codec : nullptr;
}

const ImageCodec* heif_codec() {
  static const bool reads = libheif_has(false, heif_compression_HEVC);
  static constexpr ImageCodec kCodec = {heif_info<ImageFormat::kHeif>, decode_heif<ImageFormat::kHeif>,
                                        heif_metadata<ImageFormat::kHeif>, nullptr};
  return reads ? &kCodec : nullptr;
}

}  // namespace kind

#else

namespace kind {
const ImageCodec* avif_codec() { return nullptr; }
const ImageCodec* heif_codec() { return nullptr; }
}  // namespace kind

#endif
