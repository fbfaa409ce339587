#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/error.h"
#include "core/image/image.h"
#include "tests/support/temp_dir.h"

namespace kind::testing {

/// A picture whose samples all differ from their neighbours, with both ends of the range in it.
inline Image test_picture(int width, int height, int channels, int bits = 8) {
  Image image(width, height, channels, bits);
  std::uint32_t state = 12345;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        state = state * 1664525u + 1013904223u;
        image.set_sample(x, y, c, static_cast<int>(state >> 16) & image.maximum());
      }
    }
  }
  image.set_sample(0, 0, 0, image.maximum());
  image.set_sample(width - 1, height - 1, channels - 1, 0);
  return image;
}

/// A smooth picture with all three channels, and its corners, different: what lossy types keep nearly as it is.
inline Image smooth_picture(int width, int height, int channels) {
  Image image(width, height, channels);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.set_sample(x, y, c, 20 + (c + 1) * 40 * x / width + (4 - c) * 25 * y / height);
      }
    }
  }
  return image;
}

/// What is left of reading each of the file's shorter beginnings: the lengths that read_image did not refuse with an
/// Error naming the path.
inline std::vector<std::size_t> lengths_accepted(const TempDir& dir, const std::vector<std::uint8_t>& whole) {
  std::vector<std::size_t> accepted;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::string path =
        dir.put("short", std::vector<std::uint8_t>(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)));
    try {
      read_image(path);
    } catch (const Error& error) {
      if (std::string(error.what()).find("cannot read " + path) == 0) continue;
    }
    accepted.push_back(size);
  }
  return accepted;
}

}  // namespace kind::testing
