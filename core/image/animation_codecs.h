#pragma once

// Between animation.cpp and webp_animation.cpp.

#include "core/image/animation.h"
#include "core/image/image_codecs.h"

namespace kind {

bool can_animate_webp();
/// At most so many frames; 0: all.
Animation decode_webp_animation(const std::string& path, Bytes file, const ReadLimits& limits, std::size_t most = 0);
std::vector<std::uint8_t> encode_webp_animation(const std::string& path, const Animation& animation,
                                                const WriteOptions& options);

/// Throws Error where so many frames of the picture's size take more than limits.max_image_bytes.
void check_frames_bytes(const std::string& path, const ImageInfo& size, std::uint64_t frames, int pixel_bytes,
                        const ReadLimits& limits);

}  // namespace kind
