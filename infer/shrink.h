#pragma once

#include <vector>

#include "core/io/image.h"

namespace kind {

/// The picture as 8-bit RGB, without its alpha, with neither side longer than `side`: each pixel is the mean of the
/// area that it stands for.
Image shrink(const Image& image, int side);

/// Pictures as shrink makes them, in the order in which one reads, in rows on a dark ground.
Image join_tiles(const std::vector<Image>& tiles);

}  // namespace kind
