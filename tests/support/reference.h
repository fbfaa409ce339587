#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <string>

#include "core/base/error.h"
#include "core/files/npy.h"

namespace kind::testing {

/// The folder of reference values, or nothing, having said so, where KIND_REFERENCE_DIR does not name one.
inline std::optional<std::string> reference_dir() {
  const char* folder = std::getenv("KIND_REFERENCE_DIR");
  if (folder != nullptr && *folder != '\0') return std::string(folder);
  WARN("skipped: KIND_REFERENCE_DIR is not set");
  return std::nullopt;
}

/// Reads a .npy file of pictures [n, h, w, c], or one picture [h, w, c], as [n, c, h, w].
template <class T>
Tensor<T> read_reference_nhwc(const std::string& path) {
  const Tensor<T> in = read_npy<T>(path);
  const Shape& s = in.shape();
  check(s.rank() == 3 || s.rank() == 4, path, ": expected pictures [n, h, w, c] or [h, w, c], got ", s.text());
  const std::int64_t n = s.rank() == 4 ? s[0] : 1, h = s[-3], w = s[-2], c = s[-1];
  Tensor<T> out(Shape{n, c, h, w});
  for (std::int64_t b = 0; b < n; ++b) {
    for (std::int64_t k = 0; k < c; ++k) {
      for (std::int64_t p = 0; p < h * w; ++p) out[(b * c + k) * h * w + p] = in[(b * h * w + p) * c + k];
    }
  }
  return out;
}

/// The largest difference of two tensors of one shape; NaN where either holds one.
template <class T>
double largest_difference(const Tensor<T>& a, const Tensor<T>& b) {
  check(a.shape() == b.shape(), "largest_difference: shapes ", a.shape().text(), " and ", b.shape().text());
  double worst = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) {
    const double d = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(d <= worst)) worst = d;
    if (std::isnan(d)) break;
  }
  return worst;
}

template <class T>
double largest_magnitude(const Tensor<T>& a) {
  return largest_difference(a, Tensor<T>::zeros(a.shape()));
}

}  // namespace kind::testing
