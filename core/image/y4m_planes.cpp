#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/base/error.h"
#include "core/image/y4m.h"

// Pictures from planes of Y, Cb and Cr, and back.

namespace kind {
namespace {

using Row = std::vector<float>;

/// Up to three places and their weights, which add up to 1. Places outside are moved to the nearest one inside.
struct Mix {
  std::array<int, 3> at;
  std::array<float, 3> weight;
};

/// Which chroma samples a pixel's chroma lies between.
Mix spread_mix(int i, int size, bool halved, bool centred) {
  if (!halved) return {{i, i, i}, {1, 0, 0}};
  const int chroma = (size + 1) / 2, low = centred ? (i + 1) / 2 - 1 : i / 2;
  const float upper = centred ? (i % 2 == 0 ? 0.75f : 0.25f) : (i % 2 == 0 ? 0.0f : 0.5f);
  const int a = std::clamp(low, 0, chroma - 1), b = std::clamp(low + 1, 0, chroma - 1);
  return {{a, b, b}, {1 - upper, upper, 0}};
}

/// Which pixels a chroma sample is the mean of.
Mix gather_mix(int i, int size, bool halved, bool centred) {
  if (!halved) return {{i, i, i}, {1, 0, 0}};
  const auto inside = [&](int at) { return std::clamp(at, 0, size - 1); };
  if (centred) return {{inside(2 * i), inside(2 * i + 1), 0}, {0.5f, 0.5f, 0}};
  return {{inside(2 * i - 1), inside(2 * i), inside(2 * i + 1)}, {0.25f, 0.5f, 0.25f}};
}

/// What the planes' numbers mean.
struct Format {
  explicit Format(const Y4mHeader& header)
      : sampling(header.sampling), wide(header.bits > 8), greatest(static_cast<float>((1 << header.bits) - 1)) {
    const auto step = static_cast<float>(1 << (header.bits - 8));
    black = header.full_range ? 0 : 16 * step;
    luma = header.full_range ? greatest : 219 * step;
    gray = 128 * step;
    chroma = header.full_range ? greatest : 224 * step;
    kr = header.height < 720 ? 0.299f : 0.2126f;
    kb = header.height < 720 ? 0.114f : 0.0722f;
    const int width = header.width, height = header.height;
    across = sampling == Y4mHeader::Sampling::k420 || sampling == Y4mHeader::Sampling::k422;
    down = sampling == Y4mHeader::Sampling::k420;
    chroma_width = across ? (width + 1) / 2 : width;
    chroma_height = down ? (height + 1) / 2 : height;
    luma_samples = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
    chroma_samples = static_cast<std::size_t>(chroma_width) * static_cast<std::size_t>(chroma_height);
  }
  bool mono() const { return sampling == Y4mHeader::Sampling::kMono; }

  float get(std::span<const std::uint8_t> planes, std::size_t at) const {
    if (!wide) return planes[at];
    return static_cast<float>(planes[2 * at] | planes[2 * at + 1] << 8);
  }
  void put(std::span<std::uint8_t> planes, std::size_t at, float value) const {
    const int sample = static_cast<int>(std::clamp(value, 0.0f, greatest) + 0.5f);
    planes[wide ? 2 * at : at] = static_cast<std::uint8_t>(sample);
    if (wide) planes[2 * at + 1] = static_cast<std::uint8_t>(sample >> 8);
  }

  Y4mHeader::Sampling sampling;
  bool wide;
  float greatest, black = 0, luma = 0, gray = 0, chroma = 0, kr = 0, kb = 0;
  bool across = false, down = false;
  int chroma_width = 0, chroma_height = 0;
  std::size_t luma_samples = 0, chroma_samples = 0;
};

void set(Image& image, int x, int y, int channel, float value) {
  const float maximum = static_cast<float>(image.maximum());
  image.set_sample(x, y, channel, static_cast<int>(std::clamp(value, 0.0f, 1.0f) * maximum + 0.5f));
}

}  // namespace

Image y4m_image(const Y4mHeader& header, std::span<const std::uint8_t> planes) {
  const Format format(header);
  check(planes.size() == header.frame_bytes(), "y4m_image: expected ", header.frame_bytes(), " bytes, got ",
        planes.size());
  const int width = header.width, height = header.height;
  Image image(width, height, format.mono() ? 1 : 3, format.wide ? 16 : 8);
  const float red = 2 * (1 - format.kr), blue = 2 * (1 - format.kb), kg = 1 - format.kr - format.kb;
  std::vector<Mix> columns;
  columns.reserve(static_cast<std::size_t>(width));
  for (int x = 0; x < width; ++x) columns.push_back(spread_mix(x, width, format.across, header.centred_columns));
  std::array<Row, 2> rows;  // of Cb and Cr, all that lies between the image's rows mixed
  for (Row& row : rows) row.resize(static_cast<std::size_t>(format.chroma_width));
  for (int y = 0; y < height; ++y) {
    const Mix mix = spread_mix(y, height, format.down, header.centred_rows);
    for (std::size_t c = 0; c < 2 && !format.mono(); ++c) {
      const std::size_t plane = format.luma_samples + c * format.chroma_samples, w = rows[c].size();
      const std::size_t a = plane + static_cast<std::size_t>(mix.at[0]) * w;
      const std::size_t b = plane + static_cast<std::size_t>(mix.at[1]) * w;
      for (std::size_t x = 0; x < w; ++x) {
        const float mixed = mix.weight[0] * format.get(planes, a + x) + mix.weight[1] * format.get(planes, b + x);
        rows[c][x] = (mixed - format.gray) / format.chroma;
      }
    }
    for (int x = 0; x < width; ++x) {
      const std::size_t at =
          static_cast<std::size_t>(y) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x);
      const float luma = (format.get(planes, at) - format.black) / format.luma;
      if (format.mono()) {
        set(image, x, y, 0, luma);
        continue;
      }
      const Mix& column = columns[static_cast<std::size_t>(x)];
      const auto a = static_cast<std::size_t>(column.at[0]), b = static_cast<std::size_t>(column.at[1]);
      const float cb = column.weight[0] * rows[0][a] + column.weight[1] * rows[0][b];
      const float cr = column.weight[0] * rows[1][a] + column.weight[1] * rows[1][b];
      set(image, x, y, 0, luma + red * cr);
      set(image, x, y, 1, luma - (format.kb * blue * cb + format.kr * red * cr) / kg);
      set(image, x, y, 2, luma + blue * cb);
    }
  }
  return image;
}

void put_y4m_planes(const Y4mHeader& header, const Image& image, std::span<std::uint8_t> planes) {
  const Format format(header);
  const int width = header.width, height = header.height;
  check(image.width == width && image.height == height && image.channels == (format.mono() ? 1 : 3) &&
            image.bits == (format.wide ? 16 : 8) && planes.size() == header.frame_bytes(),
        "put_y4m_planes: expected a picture of ", width, " x ", height, " pixels, ", format.mono() ? 1 : 3,
        " channels and ", format.wide ? 16 : 8, " bits, got ", image.width, " x ", image.height, ", ", image.channels,
        " and ", image.bits);
  const auto maximum = static_cast<float>(image.maximum());
  const auto color = [&](int x, int y, int c) { return static_cast<float>(image.sample(x, y, c)) / maximum; };
  const auto luma_of = [&](int x, int y) {
    if (format.mono()) return color(x, y, 0);
    return format.kr * color(x, y, 0) + (1 - format.kr - format.kb) * color(x, y, 1) + format.kb * color(x, y, 2);
  };
  std::size_t at = 0;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) format.put(planes, at++, format.black + format.luma * luma_of(x, y));
  }
  if (format.mono()) return;
  std::vector<Mix> columns;
  columns.reserve(static_cast<std::size_t>(format.chroma_width));
  for (int x = 0; x < format.chroma_width; ++x) {
    columns.push_back(gather_mix(x, width, format.across, header.centred_columns));
  }
  const auto in_row = static_cast<std::size_t>(width);
  Row cb(in_row), cr(in_row);  // of all columns, the rows of a chroma sample mixed
  for (int y = 0; y < format.chroma_height; ++y) {
    const Mix mix = gather_mix(y, height, format.down, header.centred_rows);
    std::fill(cb.begin(), cb.end(), 0.0f);
    std::fill(cr.begin(), cr.end(), 0.0f);
    for (std::size_t i = 0; i < 3; ++i) {
      if (mix.weight[i] == 0) continue;
      for (std::size_t x = 0; x < in_row; ++x) {
        const int column = static_cast<int>(x);
        const float luma = luma_of(column, mix.at[i]);
        cb[x] += mix.weight[i] * (color(column, mix.at[i], 2) - luma) / (2 * (1 - format.kb));
        cr[x] += mix.weight[i] * (color(column, mix.at[i], 0) - luma) / (2 * (1 - format.kr));
      }
    }
    for (const Mix& column : columns) {
      float sums[2] = {};
      for (std::size_t i = 0; i < 3; ++i) {
        sums[0] += column.weight[i] * cb[static_cast<std::size_t>(column.at[i])];
        sums[1] += column.weight[i] * cr[static_cast<std::size_t>(column.at[i])];
      }
      format.put(planes, at, format.gray + format.chroma * sums[0]);
      format.put(planes, at + format.chroma_samples, format.gray + format.chroma * sums[1]);
      ++at;
    }
  }
}

}  // namespace kind
