#pragma once

#include <string>
#include <vector>

#include "core/image/image.h"

namespace kind {

/// The picture as 8-bit RGB, without its alpha, with neither side longer than `side`: each pixel is the mean of the
/// area that it stands for.
Image shrink(const Image& image, int side);

/// A picture as shrink makes it, and what stands below it: of 0123456789.x-e, other letters are left blank.
struct Tile {
  Image image;
  std::string label;
};

/// The tiles in the order in which one reads, in rows on a dark ground.
Image join_tiles(const std::vector<Tile>& tiles);

}  // namespace kind
