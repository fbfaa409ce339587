#include "infer/photo/shrink.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "core/base/parallel.h"

namespace kind {
namespace {

/// Five by seven dots, row by row, the leftmost the highest of five bits.
struct Glyph {
  char letter;
  std::uint8_t rows[7];
};

constexpr Glyph kGlyphs[] = {
    {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},   {'2', {14, 17, 1, 6, 8, 16, 31}},
    {'3', {30, 1, 1, 14, 1, 1, 30}},     {'4', {2, 6, 10, 18, 31, 2, 2}},  {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},    {'8', {14, 17, 17, 14, 17, 17, 14}},
    {'9', {14, 17, 17, 15, 1, 2, 12}},   {'.', {0, 0, 0, 0, 0, 12, 12}},   {'x', {0, 0, 17, 10, 4, 10, 17}},
    {'-', {0, 0, 0, 31, 0, 0, 0}},       {'e', {0, 0, 14, 17, 31, 16, 14}}};
constexpr int kDot = 2, kLetterWidth = 6 * kDot, kLetterHeight = 7 * kDot;

int width_of(const std::string& text) { return kLetterWidth * static_cast<int>(text.size()); }

void draw(const std::string& text, int left, int top, Image& image) {
  constexpr int kInk = 224;
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (const Glyph& glyph : kGlyphs) {
      if (glyph.letter != text[i]) continue;
      for (int y = 0; y < kLetterHeight; ++y) {
        for (int x = 0; x < 5 * kDot; ++x) {
          if ((glyph.rows[y / kDot] >> (4 - x / kDot) & 1) == 0) continue;
          for (int c = 0; c < 3; ++c) image.set_sample(left + static_cast<int>(i) * kLetterWidth + x, top + y, c, kInk);
        }
      }
    }
  }
}

}  // namespace

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

Image join_tiles(const std::vector<Tile>& tiles) {
  constexpr int kGap = 8, kGround = 24;
  int width = 0, height = 0;
  for (const Tile& tile : tiles) {
    width = std::max({width, tile.image.width, width_of(tile.label)});
    height = std::max(height, tile.image.height);
  }
  const int cell = height + kGap + kLetterHeight;  // with the label
  const int count = static_cast<int>(tiles.size());
  // As near to a square as its pictures allow.
  int columns = 1;
  while (columns < count && columns * (width + kGap) < (count + columns - 1) / columns * (cell + kGap)) ++columns;
  const int rows = (count + columns - 1) / columns;
  Image sheet(columns * (width + kGap) + kGap, rows * (cell + kGap) + kGap, 3);
  std::fill(sheet.data.begin(), sheet.data.end(), static_cast<std::uint8_t>(kGround));
  for (int i = 0; i < count; ++i) {
    const auto& [image, label] = tiles[static_cast<std::size_t>(i)];
    const int middle = kGap + i % columns * (width + kGap) + width / 2, top = kGap + i / columns * (cell + kGap);
    const int above = top + (height - image.height) / 2;
    for (int y = 0; y < image.height; ++y) {
      std::copy_n(image.row(y), image.row_bytes(),
                  sheet.row(above + y) + 3 * static_cast<std::ptrdiff_t>(middle - image.width / 2));
    }
    draw(label, middle - width_of(label) / 2, top + height + kGap, sheet);
  }
  return sheet;
}

}  // namespace kind
