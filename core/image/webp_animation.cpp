// Animated WebP through libwebpdemux and libwebpmux.

#include "core/image/animation_codecs.h"

#if KIND_HAS_WEBP

#include <webp/decode.h>
#include <webp/demux.h>
#include <webp/encode.h>
#include <webp/mux.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>

#include "core/base/error.h"

namespace kind {
namespace {

struct Delete {
  void operator()(WebPAnimDecoder* decoder) const { WebPAnimDecoderDelete(decoder); }
  void operator()(WebPAnimEncoder* encoder) const { WebPAnimEncoderDelete(encoder); }
  void operator()(WebPMux* mux) const { WebPMuxDelete(mux); }
};
template <class T>
using Owned = std::unique_ptr<T, Delete>;

/// Bytes that the library has made.
struct Made {
  WebPData data;
  Made() { WebPDataInit(&data); }
  Made(const Made&) = delete;
  Made& operator=(const Made&) = delete;
  ~Made() { WebPDataClear(&data); }
};

int milliseconds(const Animation::Frame& frame) {
  return static_cast<int>(std::lround(1000.0 * frame.delay / frame.per_second));
}

void add_frame(const std::string& name, WebPAnimEncoder* encoder, const WebPConfig& config, const Image& image,
               int time) {
  struct Picture {
    WebPPicture picture;
    Picture() { check(WebPPictureInit(&picture) != 0, "WebP: the library is another one than that of the build"); }
    Picture(const Picture&) = delete;
    Picture& operator=(const Picture&) = delete;
    ~Picture() { WebPPictureFree(&picture); }
  };
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const bool gray = image.channels < 3;
      for (int c = 0; c < 3; ++c) pixels.push_back(static_cast<std::uint8_t>(image.sample(x, y, gray ? 0 : c)));
      pixels.push_back(static_cast<std::uint8_t>(image.has_alpha() ? image.sample(x, y, image.channels - 1) : 255));
    }
  }
  Picture one;
  one.picture.use_argb = 1;
  one.picture.width = image.width;
  one.picture.height = image.height;
  const bool ok = WebPPictureImportRGBA(&one.picture, pixels.data(), 4 * image.width) != 0 &&
                  WebPAnimEncoderAdd(encoder, &one.picture, time, &config) != 0;
  check(ok, "cannot write ", name, " as an animated WebP: ", WebPAnimEncoderGetError(encoder));
}

}  // namespace

bool can_animate_webp() { return true; }

Animation decode_webp_animation(const std::string& path, Bytes file, const ReadLimits& limits, std::size_t most) {
  const auto refuse = [&] { fail("cannot read ", path, " as an animated WebP: the file ends early or is damaged"); };
  const ImageInfo size = webp_codec()->info(path, file, limits);
  const WebPData data = {file.data(), file.size()};
  WebPAnimDecoderOptions options;
  check(WebPAnimDecoderOptionsInit(&options) != 0, "WebP: the library is another one than that of the build");
  options.color_mode = MODE_RGBA;
  const Owned<WebPAnimDecoder> decoder(WebPAnimDecoderNew(&data, &options));
  WebPAnimInfo info;
  if (decoder == nullptr || WebPAnimDecoderGetInfo(decoder.get(), &info) == 0) refuse();
  if (static_cast<int>(info.canvas_width) != size.width || static_cast<int>(info.canvas_height) != size.height)
    refuse();
  const std::size_t wanted = most == 0 ? info.frame_count : std::min<std::size_t>(most, info.frame_count);
  check_frames_bytes(path, size, std::uint64_t{wanted} + 3, 4, limits);
  Animation animation;
  animation.plays = info.loop_count;
  int before = 0;
  bool opaque = true;
  while (animation.frames.size() < wanted && WebPAnimDecoderHasMoreFrames(decoder.get()) != 0) {
    std::uint8_t* pixels = nullptr;
    int time = 0;
    if (WebPAnimDecoderGetNext(decoder.get(), &pixels, &time) == 0) refuse();
    Animation::Frame frame;
    frame.image = Image(size.width, size.height, 4);
    std::memcpy(frame.image.data.data(), pixels, frame.image.data.size());
    for (std::size_t i = 3; i < frame.image.data.size(); i += 4) opaque = opaque && frame.image.data[i] == 255;
    constexpr int kMost = 65535;
    const int shown = std::max(0, time - before);
    frame.per_second = shown <= kMost ? std::uint16_t{1000} : std::uint16_t{1};
    frame.delay = static_cast<std::uint16_t>(shown <= kMost ? shown : std::min(kMost, shown / 1000));
    before = time;
    animation.frames.push_back(std::move(frame));
  }
  if (animation.frames.size() != wanted || animation.frames.empty()) refuse();
  for (Animation::Frame& frame : animation.frames) {
    if (!opaque) break;
    Image colors(size.width, size.height, 3);
    for (std::size_t i = 0; i < colors.data.size() / 3; ++i) {
      std::memcpy(&colors.data[3 * i], &frame.image.data[4 * i], 3);
    }
    frame.image = std::move(colors);
  }
  return animation;
}

std::vector<std::uint8_t> encode_webp_animation(const std::string& name, const Animation& animation,
                                                const WriteOptions& options) {
  const Image& first = animation.frames[0].image;
  check(first.bits == 8 && first.width <= WEBP_MAX_DIMENSION && first.height <= WEBP_MAX_DIMENSION, "cannot write ",
        name, ": WebP holds 8 bits and at most ", WEBP_MAX_DIMENSION, " pixels a side");
  constexpr std::uint32_t kMostPlays = 65535;
  WebPAnimEncoderOptions how;
  WebPConfig config;
  bool ok = WebPAnimEncoderOptionsInit(&how) != 0 && WebPConfigInit(&config) != 0;
  how.anim_params.loop_count = static_cast<int>(std::min(animation.plays, kMostPlays));
  constexpr int kLosslessLevel = 3;
  if (options.jpeg_quality == 100) {
    ok = ok && WebPConfigLosslessPreset(&config, kLosslessLevel) != 0;
  } else {
    config.quality = static_cast<float>(options.jpeg_quality);
  }
  config.exact = 1;
  config.use_sharp_yuv = 1;
  check(ok, "WebP: the library is another one than that of the build");
  const Owned<WebPAnimEncoder> encoder(WebPAnimEncoderNew(first.width, first.height, &how));
  if (encoder == nullptr) fail("there is not enough memory");
  constexpr int kLongestFrame = (1 << 24) - 1;  // its 24 bits
  int time = 0;
  for (const Animation::Frame& frame : animation.frames) {
    const int shown = milliseconds(frame);
    check(shown >= 0 && shown <= kLongestFrame && shown <= std::numeric_limits<int>::max() - time, "cannot write ",
          name, ": WebP shows a frame for at most ", kLongestFrame, " ms, and all of them for ",
          std::numeric_limits<int>::max());
    add_frame(name, encoder.get(), config, frame.image, time);
    time += shown;
  }
  Made plain, whole;
  ok = WebPAnimEncoderAdd(encoder.get(), nullptr, time, nullptr) != 0 &&
       WebPAnimEncoderAssemble(encoder.get(), &plain.data) != 0;
  check(ok, "cannot write ", name, " as an animated WebP: ", WebPAnimEncoderGetError(encoder.get()));
  const Owned<WebPMux> mux(WebPMuxCreate(&plain.data, 0));
  if (mux == nullptr) fail("there is not enough memory");
  const auto set = [&](const char* chunk, Bytes bytes) {
    const WebPData data = {bytes.data(), bytes.size()};
    if (!bytes.empty()) ok = ok && WebPMuxSetChunk(mux.get(), chunk, &data, 1) == WEBP_MUX_OK;
  };
  if (options.metadata) {
    const std::string xmp = whole_xmp(*options.metadata);
    if (first.channels >= 3) set("ICCP", options.metadata->icc);
    set("EXIF", options.metadata->exif);
    set("XMP ", {reinterpret_cast<const std::uint8_t*>(xmp.data()), xmp.size()});
  }
  check(ok && WebPMuxAssemble(mux.get(), &whole.data) == WEBP_MUX_OK, "cannot write ", name, " as an animated WebP");
  return {whole.data.bytes, whole.data.bytes + whole.data.size};
}

}  // namespace kind

#else

namespace kind {
bool can_animate_webp() { return false; }
Animation decode_webp_animation(const std::string&, Bytes, const ReadLimits&, std::size_t) { return {}; }
std::vector<std::uint8_t> encode_webp_animation(const std::string&, const Animation&, const WriteOptions&) {
  return {};
}
}  // namespace kind

#endif
