// JPEG XL through libjxl 0.7 or later.

#include "core/image/image_codecs.h"

#if KIND_HAS_JXL

#include <jxl/decode.h>
#include <jxl/encode.h>

#include <atomic>
#include <memory>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/image/silence.h"

namespace kind {
namespace {

/// How hard the encoder tries, 1 to 9: more takes several times as long for a few percent.
constexpr std::int64_t kEffort = 5, kLosslessEffort = 3;

struct Free {
  void operator()(JxlDecoder* decoder) const { JxlDecoderDestroy(decoder); }
  void operator()(JxlEncoder* encoder) const { JxlEncoderDestroy(encoder); }
};

/// libjxl's work on the threads of parallel_for. It keeps memory for each thread, so it wants to know which one works.
JxlParallelRetCode run_parallel(void*, void* work, JxlParallelRunInit init, JxlParallelRunFunction body,
                                std::uint32_t begin, std::uint32_t end) noexcept {
  try {
    const auto threads = static_cast<std::size_t>(num_threads());
    const JxlParallelRetCode code = init(work, threads);
    if (code != 0) return code;
    const auto busy = std::make_unique<std::atomic_flag[]>(threads);
    parallel_for(std::int64_t{end} - begin, 1, [&](std::int64_t from, std::int64_t to) {
      const Silence silence;
      std::size_t mine = 0;
      while (busy[mine].test_and_set(std::memory_order_acquire)) mine = (mine + 1) % threads;
      for (std::int64_t i = from; i < to; ++i) body(work, begin + static_cast<std::uint32_t>(i), mine);
      busy[mine].clear(std::memory_order_release);
    });
    return 0;
  } catch (...) {
    return JXL_PARALLEL_RET_RUNNER_ERROR;
  }
}

bool is_container(Bytes bytes) { return bytes.size() >= 12 && bytes[0] == 0; }

std::unique_ptr<JxlDecoder, Free> new_decoder(Bytes bytes, int events) {
  std::unique_ptr<JxlDecoder, Free> decoder(JxlDecoderCreate(nullptr));
  if (decoder == nullptr || JxlDecoderSubscribeEvents(decoder.get(), events) != JXL_DEC_SUCCESS ||
      JxlDecoderSetParallelRunner(decoder.get(), run_parallel, nullptr) != JXL_DEC_SUCCESS) {
    fail("there is not enough memory");
  }
  // The input is not closed: libjxl would print that it misses some, where it can say so.
  JxlDecoderSetInput(decoder.get(), bytes.data(), bytes.size());
  return decoder;
}

/// Goes on to the picture's header and checks it.
JxlBasicInfo read_header(const std::string& path, JxlDecoder* decoder, const ReadLimits& limits) {
  JxlBasicInfo info;
  check(JxlDecoderProcessInput(decoder) == JXL_DEC_BASIC_INFO &&
            JxlDecoderGetBasicInfo(decoder, &info) == JXL_DEC_SUCCESS,
        "cannot read ", path, " as JPEG XL: its header is damaged or cut short");
  check_picture_size(path, info.xsize, info.ysize, limits);
  check(info.have_animation == JXL_FALSE, "cannot read ", path,
        " as JPEG XL: it is an animation, which is not read: save one of its pictures as PNG first");
  check(info.exponent_bits_per_sample == 0, "cannot read ", path,
        " as JPEG XL: its samples are floating-point numbers: convert it to 8 or 16 bits first");
  check(info.bits_per_sample >= 1 && info.bits_per_sample <= 16, "cannot read ", path, " as JPEG XL: its samples have ",
        info.bits_per_sample, " bits, expected 1 to 16");
  for (std::uint32_t i = 0; i < info.num_extra_channels; ++i) {
    JxlExtraChannelInfo extra;
    check(JxlDecoderGetExtraChannelInfo(decoder, i, &extra) == JXL_DEC_SUCCESS && extra.type != JXL_CHANNEL_BLACK,
          "cannot read ", path, " as JPEG XL: its colours are CMYK: convert it to RGB first");
  }
  return info;
}

/// Release 0.9 left out the pixel format that functions of colour profiles took.
#if JPEGXL_NUMERIC_VERSION < JPEGXL_COMPUTE_NUMERIC_VERSION(0, 9, 0)
#define KIND_JXL_FORMAT(format) &(format),
#else
#define KIND_JXL_FORMAT(format)
#endif

/// Whether lossy pixels, which have no encoding of their own, are given out in one that is chosen here: where the original's
/// is a profile (ICC) that numbers do not describe, which libjxl without colour management cannot make. It would take linear
/// sRGB, of which 8 bits are too few for dark colours. Rec. 2020's primaries hold the colours of most profiles. To be asked
/// when the decoder comes to the colours.
bool choose_encoding(JxlDecoder* decoder, const JxlBasicInfo& info) {
  [[maybe_unused]] const JxlPixelFormat format = {3, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
  if (info.uses_original_profile != JXL_FALSE ||
      JxlDecoderGetColorAsEncodedProfile(decoder, KIND_JXL_FORMAT(format) JXL_COLOR_PROFILE_TARGET_ORIGINAL, nullptr) ==
          JXL_DEC_SUCCESS) {
    return false;
  }
  JxlColorEncoding chosen;
  JxlColorEncodingSetToSRGB(&chosen, info.num_color_channels == 1 ? JXL_TRUE : JXL_FALSE);
  if (info.num_color_channels > 1) chosen.primaries = JXL_PRIMARIES_2100;
  chosen.rendering_intent = JXL_RENDERING_INTENT_RELATIVE;
  return JxlDecoderSetPreferredColorProfile(decoder, &chosen) == JXL_DEC_SUCCESS;
}

ImageInfo jxl_info(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const Silence silence;
  const auto decoder = new_decoder(bytes, JXL_DEC_BASIC_INFO);
  const JxlBasicInfo info = read_header(path, decoder.get(), limits);
  return {static_cast<int>(info.xsize), static_cast<int>(info.ysize), ImageFormat::kJxl};
}

Image decode_jxl(const std::string& path, Bytes bytes, const ReadLimits& limits) {
  const Silence silence;
  if (is_container(bytes)) check_boxes(path, "JPEG XL", bytes);
  const auto decoder = new_decoder(bytes, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_FULL_IMAGE);
  const JxlBasicInfo info = read_header(path, decoder.get(), limits);
  const int channels = static_cast<int>(info.num_color_channels) + (info.alpha_bits > 0 ? 1 : 0);
  JxlDecoderStatus status = JxlDecoderProcessInput(decoder.get());
  const bool chosen = status == JXL_DEC_COLOR_ENCODING && choose_encoding(decoder.get(), info);
  const int bits = info.bits_per_sample > 8 || chosen ? 16 : 8;
  const ImageInfo size{static_cast<int>(info.xsize), static_cast<int>(info.ysize), ImageFormat::kJxl};
  // The decoder holds samples of 4 bytes.
  check_image_bytes(path, size, channels, 32, limits);
  Image image(size.width, size.height, channels, bits);
  const JxlPixelFormat format = {static_cast<std::uint32_t>(channels), bits == 16 ? JXL_TYPE_UINT16 : JXL_TYPE_UINT8,
                                 JXL_NATIVE_ENDIAN, 0};
  for (;;) {
    if (status == JXL_DEC_COLOR_ENCODING) {
      // Dealt with.
    } else if (status == JXL_DEC_NEED_IMAGE_OUT_BUFFER) {
      std::size_t wanted = 0;
      check(JxlDecoderImageOutBufferSize(decoder.get(), &format, &wanted) == JXL_DEC_SUCCESS &&
                wanted == image.data.size() &&
                JxlDecoderSetImageOutBuffer(decoder.get(), &format, image.data.data(), wanted) == JXL_DEC_SUCCESS,
            "cannot read ", path, " as JPEG XL: unexpected size of its pixels");
    } else {
      check(status == JXL_DEC_FULL_IMAGE, "cannot read ", path, " as JPEG XL: ",
            status == JXL_DEC_NEED_MORE_INPUT ? "the file ends early" : "its pixels are damaged or cut short");
      break;
    }
    status = JxlDecoderProcessInput(decoder.get());
  }
  if (info.alpha_bits > 0 && info.alpha_premultiplied != JXL_FALSE) divide_by_alpha(image);
  return image;
}

bool is_srgb(const JxlColorEncoding& color) {
  return color.white_point == JXL_WHITE_POINT_D65 && color.transfer_function == JXL_TRANSFER_FUNCTION_SRGB &&
         (color.color_space == JXL_COLOR_SPACE_GRAY ||
          (color.color_space == JXL_COLOR_SPACE_RGB && color.primaries == JXL_PRIMARIES_SRGB));
}

/// The profile of what the decoder gives out; none where that is sRGB.
std::vector<std::uint8_t> profile_of(JxlDecoder* decoder, MetadataBudget& budget) {
  [[maybe_unused]] const JxlPixelFormat format = {3, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
  constexpr JxlColorProfileTarget kTarget = JXL_COLOR_PROFILE_TARGET_DATA;
  JxlColorEncoding color;
  if (JxlDecoderGetColorAsEncodedProfile(decoder, KIND_JXL_FORMAT(format) kTarget, &color) == JXL_DEC_SUCCESS &&
      is_srgb(color)) {
    return {};
  }
  std::size_t size = 0;
  if (JxlDecoderGetICCProfileSize(decoder, KIND_JXL_FORMAT(format) kTarget, &size) != JXL_DEC_SUCCESS) return {};
  budget.take(size);
  std::vector<std::uint8_t> profile(size);
  if (JxlDecoderGetColorAsICCProfile(decoder, KIND_JXL_FORMAT(format) kTarget, profile.data(), size) != JXL_DEC_SUCCESS)
    return {};
  return profile;
}

/// The code points (ITU-T H.273) of an HDR picture, as a PNG holds them: the profiles that libjxl 0.7 makes do not say them.
/// Nothing for other pictures.
std::optional<PngChunk> hdr_code_points(JxlDecoder* decoder) {
  [[maybe_unused]] const JxlPixelFormat format = {3, JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
  JxlColorEncoding color;
  if (JxlDecoderGetColorAsEncodedProfile(decoder, KIND_JXL_FORMAT(format) JXL_COLOR_PROFILE_TARGET_ORIGINAL, &color) !=
          JXL_DEC_SUCCESS ||
      (color.transfer_function != JXL_TRANSFER_FUNCTION_PQ && color.transfer_function != JXL_TRANSFER_FUNCTION_HLG)) {
    return std::nullopt;
  }
  constexpr std::uint8_t kP3 = 12, kBt2020 = 9, kBt709 = 1;
  const std::uint8_t primaries = color.primaries == JXL_PRIMARIES_P3     ? kP3
                                 : color.primaries == JXL_PRIMARIES_SRGB ? kBt709
                                                                         : kBt2020;
  return PngChunk{"cICP", {primaries, static_cast<std::uint8_t>(color.transfer_function), 0, 1}};
}

/// Boxes of EXIF and XMP data, one after the other.
class BoxReader {
 public:
  BoxReader(JxlDecoder* decoder, MetadataParts& parts) : decoder_(decoder), parts_(parts) {}

  void start() {
    finish();
    JxlBoxType type;
    if (JxlDecoderGetBoxType(decoder_, type, JXL_TRUE) != JXL_DEC_SUCCESS) return;
    const std::string name(type, 4);
    if (name == "jumb") leave_out(parts_.metadata, "JUMBF data");
    if (name != "Exif" && name != "xml ") return;
    name_ = name;
    content_.resize(std::size_t{1} << 14);
    JxlDecoderSetBoxBuffer(decoder_, content_.data(), content_.size());
  }
  void grow() {
    const std::size_t used = content_.size() - JxlDecoderReleaseBoxBuffer(decoder_);
    if (2 * content_.size() > parts_.budget().left()) parts_.budget().refuse();
    content_.resize(2 * content_.size());
    JxlDecoderSetBoxBuffer(decoder_, content_.data() + used, content_.size() - used);
  }
  void finish() {
    if (name_.empty()) return;
    content_.resize(content_.size() - JxlDecoderReleaseBoxBuffer(decoder_));
    const Bytes bytes(content_);
    if (name_ == "xml ") {
      parts_.xmp(bytes);
    } else if (bytes.size() >= 4 && big_endian(bytes, 0, 4) <= bytes.size() - 4) {
      parts_.exif(bytes.subspan(4 + big_endian(bytes, 0, 4)));  // where the block begins
    } else {
      drop(parts_.metadata, kExifName);
    }
    name_.clear();
    content_.clear();
  }

 private:
  JxlDecoder* decoder_;
  MetadataParts& parts_;
  std::string name_;
  std::vector<std::uint8_t> content_;
};

Metadata jxl_metadata(const std::string& path, Bytes bytes, std::size_t max_bytes) {
  const Silence silence;
  MetadataParts parts(path, max_bytes);
  const auto decoder = new_decoder(bytes, JXL_DEC_BASIC_INFO | JXL_DEC_COLOR_ENCODING | JXL_DEC_BOX);
  JxlBasicInfo info;
  JxlEncoderInitBasicInfo(&info);  // until the decoder comes to the file's own
  JxlDecoderSetDecompressBoxes(decoder.get(), JXL_TRUE);
  BoxReader box(decoder.get(), parts);
  for (;;) {
    const JxlDecoderStatus status = JxlDecoderProcessInput(decoder.get());
    if (status == JXL_DEC_BASIC_INFO) {
      JxlDecoderGetBasicInfo(decoder.get(), &info);
    } else if (status == JXL_DEC_COLOR_ENCODING) {
      if (choose_encoding(decoder.get(), info) && info.bits_per_sample <= 8) {
        parts.metadata.file_bits = 8;
      }
      if (auto points = hdr_code_points(decoder.get())) parts.metadata.color.push_back(std::move(*points));
      parts.icc(profile_of(decoder.get(), parts.budget()));
    } else if (status == JXL_DEC_BOX) {
      box.start();
    } else if (status == JXL_DEC_BOX_NEED_MORE_OUTPUT) {
      box.grow();
    } else {
      if (status == JXL_DEC_SUCCESS || status == JXL_DEC_NEED_MORE_INPUT) box.finish();
      break;  // of what is damaged or cut short decode_jxl says so
    }
  }
  mark_upright(parts.metadata);  // the decoder turns the picture, by the file's own orientation
  return std::move(parts.metadata);
}

/// libjxl's measure of errors for a quality as of JPEG, by the rule of its own program cjxl.
float distance_of(int quality) {
  const auto q = static_cast<float>(quality);
  if (quality >= 100) return 0;
  return quality >= 30 ? 0.1f + (100 - q) * 0.09f : 53.0f / 3000 * q * q - 23.0f / 20 * q + 25;
}

JxlBasicInfo describe(const Image& image, bool lossless) {
  JxlBasicInfo info;
  JxlEncoderInitBasicInfo(&info);
  info.xsize = static_cast<std::uint32_t>(image.width);
  info.ysize = static_cast<std::uint32_t>(image.height);
  info.bits_per_sample = static_cast<std::uint32_t>(image.bits);
  info.num_color_channels = image.channels < 3 ? 1 : 3;
  info.num_extra_channels = image.has_alpha() ? 1 : 0;
  info.alpha_bits = image.has_alpha() ? info.bits_per_sample : 0;
  info.uses_original_profile = lossless ? JXL_TRUE : JXL_FALSE;
  return info;
}

void encode_jxl(const std::string& path, const Image& image, const WriteOptions& options, ByteSink& sink) {
  const Silence silence;
  const std::unique_ptr<JxlEncoder, Free> owner(JxlEncoderCreate(nullptr));
  if (owner == nullptr) fail("there is not enough memory");
  JxlEncoder* const encoder = owner.get();
  const auto require = [&](JxlEncoderStatus status) {
    check(status == JXL_ENC_SUCCESS, "cannot write ", path, " as JPEG XL: libjxl reports error ",
          static_cast<int>(JxlEncoderGetError(encoder)));
  };
  const Metadata none;
  const Metadata& metadata = options.metadata ? *options.metadata : none;
  const bool lossless = options.jpeg_quality == 100, gray = image.channels < 3;
  require(JxlEncoderSetParallelRunner(encoder, run_parallel, nullptr));
  const JxlBasicInfo info = describe(image, lossless);
  require(JxlEncoderSetBasicInfo(encoder, &info));
  if (JxlEncoderGetRequiredCodestreamLevel(encoder) == 10) require(JxlEncoderSetCodestreamLevel(encoder, 10));
  const std::string xmp = whole_xmp(metadata);
  if (!metadata.exif.empty() || !xmp.empty()) {
    require(JxlEncoderUseBoxes(encoder));
    std::vector<std::uint8_t> exif(4);  // the block begins right behind this number
    exif.insert(exif.end(), metadata.exif.begin(), metadata.exif.end());
    if (!metadata.exif.empty()) require(JxlEncoderAddBox(encoder, "Exif", exif.data(), exif.size(), JXL_FALSE));
    const auto* text = reinterpret_cast<const std::uint8_t*>(xmp.data());
    if (!xmp.empty()) require(JxlEncoderAddBox(encoder, "xml ", text, xmp.size(), JXL_FALSE));
    JxlEncoderCloseBoxes(encoder);
  }
  if (!metadata.icc.empty()) {
    check(JxlEncoderSetICCProfile(encoder, metadata.icc.data(), metadata.icc.size()) == JXL_ENC_SUCCESS,
          "cannot write ", path,
          " as JPEG XL: libjxl does not understand its colour profile, expected another type, or "
          "--strip, which leaves it out");
  } else {
    JxlColorEncoding color;
    JxlColorEncodingSetToSRGB(&color, gray ? JXL_TRUE : JXL_FALSE);
    require(JxlEncoderSetColorEncoding(encoder, &color));
  }
  JxlEncoderFrameSettings* const settings = JxlEncoderFrameSettingsCreate(encoder, nullptr);
  require(
      JxlEncoderFrameSettingsSetOption(settings, JXL_ENC_FRAME_SETTING_EFFORT, lossless ? kLosslessEffort : kEffort));
  require(
      JxlEncoderFrameSettingsSetOption(settings, JXL_ENC_FRAME_SETTING_RESPONSIVE, 0));  // else alpha has losses too
  require(JxlEncoderSetFrameDistance(settings, distance_of(options.jpeg_quality)));
  if (lossless) require(JxlEncoderSetFrameLossless(settings, JXL_TRUE));
  const JxlPixelFormat format = {static_cast<std::uint32_t>(image.channels),
                                 image.bits == 16 ? JXL_TYPE_UINT16 : JXL_TYPE_UINT8, JXL_NATIVE_ENDIAN, 0};
  require(JxlEncoderAddImageFrame(settings, &format, image.data.data(), image.data.size()));
  JxlEncoderCloseInput(encoder);
  std::vector<std::uint8_t> buffer(std::size_t{1} << 18);
  for (JxlEncoderStatus status = JXL_ENC_NEED_MORE_OUTPUT; status == JXL_ENC_NEED_MORE_OUTPUT;) {
    std::uint8_t* next = buffer.data();
    std::size_t left = buffer.size();
    status = JxlEncoderProcessOutput(encoder, &next, &left);
    if (status != JXL_ENC_NEED_MORE_OUTPUT) require(status);
    sink.put(Bytes(buffer.data(), buffer.size() - left));
  }
}

}  // namespace

const ImageCodec* jxl_codec() {
  static constexpr ImageCodec kCodec = {jxl_info, decode_jxl, jxl_metadata, encode_jxl};
  return &kCodec;
}

}  // namespace kind

#else

namespace kind {
const ImageCodec* jxl_codec() { return nullptr; }
}  // namespace kind

#endif
