#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/image/image.h"

namespace kind {

/// An animated picture: APNG (PNG, third edition, 4.9) or WebP. Every frame is the whole picture as viewers show it, all of
/// one size, kind of channels and bits.
struct Animation {
  struct Frame {
    Image image;
    std::uint16_t delay = 0, per_second = 1000;  ///< It is shown for delay / per_second seconds.
  };
  std::vector<Frame> frames;
  std::uint32_t plays = 0;  ///< 0: for ever.

  /// The mean number of frames a second; where no frame says how long it is shown, 10.
  double frames_per_second() const;
};

/// What readers of a single picture say of an animation's further frames (Metadata::dropped).
inline constexpr const char* kFurtherFrames = "further frames of the animation";

/// Whether this build writes animations of a format.
bool can_animate(ImageFormat format);

/// All frames of a PNG or WebP file that holds several. Limits are those of one picture, but for max_image_bytes, which is for
/// all frames together. Throws Error naming `name` for damage, other files, and where the frames are more than that.
Animation decode_animation(const std::string& name, std::span<const std::uint8_t> file, const ReadLimits& limits = {});
/// The same of a file.
Animation read_animation(const std::string& path, const ReadLimits& limits = {});

/// The file of an animation. Its first frame is what programs show that know none. Options are those of one picture. Throws
/// Error where the format holds no animations, or the frames are none, or of several kinds.
std::vector<std::uint8_t> encode_animation(const std::string& name, const Animation& animation, ImageFormat format,
                                           const WriteOptions& options = {});

}  // namespace kind
