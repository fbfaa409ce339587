#include "infer/shrink.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/base/parallel.h"

namespace kind {

Image shrink(const Image& image, int side) {
  const double scale = std::min(1.0, static_cast<double>(side) / std::max(image.width, image.height));
  const auto scaled = [&](int length) { return std::max(1, static_cast<int>(std::lround(length * scale))); };
  Image small(scaled(image.width), scaled(image.height), 3);
  const bool gray = image.channels < 3;
  // Pixel i stands for from(i) <= x < from(i + 1), cut to whole pixels.
  const auto from = [](std::int64_t i, int large, int of) { return static_cast<int>(i * large / of); };
  parallel_for(small.height, 16, [&](std::int64_t begin, std::int64_t end) {
    for (int y = static_cast<int>(begin); y < static_cast<int>(end); ++y) {
      const int y0 = from(y, image.height, small.height),
                y1 = std::max(y0 + 1, from(y + 1, image.height, small.height));
      for (int x = 0; x < small.width; ++x) {
        const int x0 = from(x, image.width, small.width), x1 = std::max(x0 + 1, from(x + 1, image.width, small.width));
        for (int c = 0; c < 3; ++c) {
          std::int64_t sum = 0;
          for (int at_y = y0; at_y < y1; ++at_y) {
            for (int at_x = x0; at_x < x1; ++at_x) sum += image.sample(at_x, at_y, gray ? 0 : c);
          }
          const std::int64_t count = std::int64_t{x1 - x0} * (y1 - y0) * image.maximum();
          small.set_sample(x, y, c, static_cast<int>((2 * 255 * sum + count) / (2 * count)));
        }
      }
    }
  });
  return small;
}

Image join_tiles(const std::vector<Image>& tiles) {
  constexpr int kGap = 8, kGround = 24;
  int width = 0, height = 0;
  for (const Image& tile : tiles) {
    width = std::max(width, tile.width);
    height = std::max(height, tile.height);
  }
  const int count = static_cast<int>(tiles.size());
  // As near to a square as its pictures allow.
  int columns = 1;
  while (columns < count && columns * (width + kGap) < (count + columns - 1) / columns * (height + kGap)) ++columns;
  const int rows = (count + columns - 1) / columns;
  Image sheet(columns * (width + kGap) + kGap, rows * (height + kGap) + kGap, 3);
  std::fill(sheet.data.begin(), sheet.data.end(), static_cast<std::uint8_t>(kGround));
  for (int i = 0; i < count; ++i) {
    const Image& tile = tiles[static_cast<std::size_t>(i)];
    const int left = kGap + i % columns * (width + kGap) + (width - tile.width) / 2;
    const int top = kGap + i / columns * (height + kGap) + (height - tile.height) / 2;
    for (int y = 0; y < tile.height; ++y) {
      std::copy_n(tile.row(y), tile.row_bytes(), sheet.row(top + y) + static_cast<std::size_t>(3 * left));
    }
  }
  return sheet;
}

}  // namespace kind
