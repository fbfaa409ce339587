#pragma once

#include <string>

#include "core/image/image.h"

namespace kind {

inline constexpr int kGlyphAdvance = 6;  ///< Pixels from one character to the next.
inline constexpr int kTextHeight = 7;

/// Draws a line of white text into an 8-bit picture, its top left corner at (left, top), as far as `width` pixels and
/// the picture reach. Glyphs are 5x7 pixels: letters as capitals, digits and a few signs; all else is a question mark.
void draw_text(Image& picture, int left, int top, int width, const std::string& text);

}  // namespace kind
