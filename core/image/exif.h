#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace kind {

/// The orientation 1..8 (EXIF 2.3, tag 0x0112) that an EXIF block, a TIFF file without pixels, gives its picture. 1
/// (upright) where there is none or it is malformed: a picture is not refused for its EXIF data.
int exif_orientation(std::span<const std::uint8_t> tiff);

/// Whether an EXIF block says that its picture's colours are Adobe RGB: by its colour space (tag 0xa001) 2, as cameras
/// write it, or by the interoperability index R03 (DCF 2.0).
bool exif_is_adobe_rgb(std::span<const std::uint8_t> tiff);

/// Takes Adobe RGB out of an EXIF block: the colour space becomes 1, sRGB, the index R98. Others stay.
void set_exif_srgb(std::vector<std::uint8_t>& tiff);

/// Makes an EXIF block true of the picture once it is upright and about to change: the orientation becomes 1, the sizes
/// it states become `width` x `height`, and the thumbnail, which would show the old picture, is taken out, with the
/// second directory but for entries that do not describe it and that the first one lacks. Where the picture was turned by
/// a quarter (`quarter_turn`), its resolutions change places. Everything else stays where it is, byte for byte, since
/// makers' notes hold offsets into the block that only they understand.
/// Returns false, with the block in an unknown state, where its first directory is damaged.
bool make_exif_upright(std::vector<std::uint8_t>& tiff, int width, int height, bool quarter_turn = false);

}  // namespace kind
