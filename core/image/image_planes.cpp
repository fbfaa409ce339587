#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/base/error.h"
#include "core/base/parallel.h"
#include "core/image/image.h"

// Interleaved samples of pictures as planes of floats, and back. No codec is needed for that.

namespace kind {
namespace {

/// Rows that a thread takes at least, in loops over pixels.
std::int64_t row_grain(const Image& image) { return std::max(1, 65536 / std::max(1, image.width)); }

/// Rows of channel planes from interleaved samples of type Sample.
template <class Sample>
void spread_rows(const Image& image, int y0, int y1, float* const* planes) {
  const bool gray = image.channels < 3;
  const auto maximum = static_cast<float>(image.maximum());
  const auto width = static_cast<std::size_t>(image.width), channels = static_cast<std::size_t>(image.channels);
  parallel_for(y1 - y0, row_grain(image), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin; y < end; ++y) {
      for (std::size_t c = 0; c < 3; ++c) {
        const std::uint8_t* from = image.row(y0 + static_cast<int>(y)) + (gray ? 0 : c) * sizeof(Sample);
        float* to = planes[c] + static_cast<std::size_t>(y) * width;
        for (std::size_t x = 0; x < width; ++x) {
          Sample value;
          std::memcpy(&value, from + x * channels * sizeof(Sample), sizeof(Sample));
          to[x] = static_cast<float>(value) / maximum;
        }
      }
    }
  });
}

/// The opposite, of `channels` planes, or of three planes' gray to all colours. False where one of the values is a NaN.
template <class Sample>
bool gather_rows(const float* const* planes, int y0, int y1, std::int64_t channels, bool to_gray, Image& image) {
  const std::int64_t width = image.width, pixel = image.channels * static_cast<std::int64_t>(sizeof(Sample));
  const double maximum = image.maximum();
  const int copies = to_gray && image.channels >= 3 ? 3 : 1;
  std::atomic<bool> found_nan{false};
  parallel_for(y1 - y0, row_grain(image), [&](std::int64_t begin, std::int64_t end) {
    std::vector<int> scaled(static_cast<std::size_t>(width));
    std::vector<float> mixed(static_cast<std::size_t>(to_gray ? width : 0));
    int* row = scaled.data();
    bool nan = false;
    for (std::int64_t y = begin; y < end; ++y) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const float* from = planes[c] + y * width;
        if (to_gray) {
          const float *r = from, *g = planes[1] + y * width, *b = planes[2] + y * width;
          for (std::int64_t x = 0; x < width; ++x) mixed.data()[x] = 0.299f * r[x] + 0.587f * g[x] + 0.114f * b[x];
          from = mixed.data();
        }
        for (std::int64_t x = 0; x < width; ++x) {
          // In double, where the product is exact, so that halves are rounded up and nothing else is.
          const double value = from[x] > 0 ? static_cast<double>(from[x] < 1 ? from[x] : 1.0f) : 0.0;
          row[x] = static_cast<int>(value * maximum + 0.5);
        }
        for (std::int64_t x = 0; x < width; ++x) nan |= std::isnan(from[x]);
        std::uint8_t* to = image.row(y0 + static_cast<int>(y)) + c * static_cast<std::int64_t>(sizeof(Sample));
        for (std::int64_t x = 0; x < width; ++x) {
          const auto sample = static_cast<Sample>(row[x]);
          for (int i = 0; i < copies; ++i) {
            std::memcpy(to + x * pixel + i * static_cast<std::int64_t>(sizeof(Sample)), &sample, sizeof(Sample));
          }
        }
      }
    }
    if (nan) found_nan = true;
  });
  return !found_nan;
}

bool gather(const float* const* planes, int y0, int y1, std::int64_t channels, bool to_gray, Image& image) {
  return image.bits == 16 ? gather_rows<std::uint16_t>(planes, y0, y1, channels, to_gray, image)
                          : gather_rows<std::uint8_t>(planes, y0, y1, channels, to_gray, image);
}

/// Of a picture with three colours.
template <class Sample>
bool colors_are_equal(const Image& image) {
  for (int y = 0; y < image.height; ++y) {
    const std::uint8_t* pixel = image.row(y);
    for (int x = 0; x < image.width; ++x, pixel += static_cast<std::size_t>(image.channels) * sizeof(Sample)) {
      if (std::memcmp(pixel, pixel + sizeof(Sample), 2 * sizeof(Sample)) != 0) return false;
    }
  }
  return true;
}

}  // namespace

Image::Image(int w, int h, int c, int b) : width(w), height(h), channels(c), bits(b) {
  check(w > 0 && h > 0 && c >= 1 && c <= 4 && (b == 8 || b == 16),
        "image: expected positive sides, 1 to 4 channels and ", "8 or 16 bits, got ", w, " x ", h, ", ", c,
        " channels, ", b, " bits");
  data.resize(row_bytes() * static_cast<std::size_t>(h));
}

int Image::sample(int x, int y, int channel) const {
  const std::size_t at =
      static_cast<std::size_t>(x) * static_cast<std::size_t>(channels) + static_cast<std::size_t>(channel);
  if (bits == 8) return row(y)[at];
  std::uint16_t value;
  std::memcpy(&value, row(y) + 2 * at, 2);
  return value;
}

void Image::set_sample(int x, int y, int channel, int value) {
  const std::size_t at =
      static_cast<std::size_t>(x) * static_cast<std::size_t>(channels) + static_cast<std::size_t>(channel);
  const auto wide = static_cast<std::uint16_t>(value);
  if (bits == 8) {
    row(y)[at] = static_cast<std::uint8_t>(value);
  } else {
    std::memcpy(row(y) + 2 * at, &wide, 2);
  }
}

Tensor<float> to_tensor(const Image& image) {
  check(image.width > 0 && image.height > 0, "to_tensor: the picture is empty");
  Tensor<float> tensor(Shape{1, 3, image.height, image.width});
  const std::int64_t plane = std::int64_t{image.width} * image.height;
  float* const planes[] = {tensor.data(), tensor.data() + plane, tensor.data() + 2 * plane};
  get_rows(image, 0, image.height, planes);
  return tensor;
}

bool is_gray(const Image& image) {
  if (image.channels < 3) return true;
  return image.bits == 16 ? colors_are_equal<std::uint16_t>(image) : colors_are_equal<std::uint8_t>(image);
}

void get_rows(const Image& image, int y0, int y1, float* const* planes) {
  if (image.bits == 16) {
    spread_rows<std::uint16_t>(image, y0, y1, planes);
  } else {
    spread_rows<std::uint8_t>(image, y0, y1, planes);
  }
}

void put_rows(Image& image, int y0, int y1, const float* const* planes) {
  if (image.channels < 3) return put_gray_rows(image, y0, y1, planes);
  check(gather(planes, y0, y1, 3, false, image), "put_rows: a value in rows ", y0, " to ", y1, " is not a number");
}

void put_gray_rows(Image& image, int y0, int y1, const float* const* planes) {
  check(gather(planes, y0, y1, 1, true, image), "put_rows: a value in rows ", y0, " to ", y1, " is not a number");
}

Image to_image(const Tensor<float>& tensor, int bits) {
  check(tensor.defined(), "to_image: the tensor is undefined");
  const Shape& shape = tensor.shape();
  check(shape.rank() == 4 && shape[0] == 1 && (shape[1] == 1 || shape[1] == 3) && tensor.size() > 0 &&
            shape[2] <= std::numeric_limits<int>::max() && shape[3] <= std::numeric_limits<int>::max(),
        "to_image: expected a tensor of shape [1, 3, h, w] or [1, 1, h, w], got ", shape);
  Image image(static_cast<int>(shape[3]), static_cast<int>(shape[2]), static_cast<int>(shape[1]), bits);
  const std::int64_t channels = shape[1], height = shape[2], width = shape[3];
  std::vector<const float*> planes;
  for (std::int64_t c = 0; c < channels; ++c) planes.push_back(tensor.data() + c * height * width);
  if (gather(planes.data(), 0, image.height, channels, false, image)) return image;
  const std::int64_t at =
      std::find_if(tensor.data(), tensor.data() + tensor.size(), [](float v) { return std::isnan(v); }) - tensor.data();
  fail("to_image: the value at channel ", at / (height * width), ", row ", at / width % height, ", column ", at % width,
       " is not a number");
}

}  // namespace kind
