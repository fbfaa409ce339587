#include "losses/ssim.h"

#include <algorithm>
#include <vector>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"
#include "core/ops/filter.h"
#include "losses/batch_sum.h"
#include "losses/distance.h"

namespace kind {
namespace {

// Rows of a plane that are filtered at once: few enough that what they need stays in the cache, many compared with the
// window's, which neighbouring bands read twice.
constexpr std::int64_t kBand = 64;

/// out[j] = sum over a of taps[a] rows[a][j], added in the order of a.
template <class T>
void weighted_sum(const T* taps, std::int64_t window, std::int64_t count, const T* const* rows, T* out) {
  // A block of sums stays in registers over all taps.
  constexpr std::int64_t kBlock = 64 / sizeof(T);
  std::int64_t j = 0;
  for (; j + kBlock <= count; j += kBlock) {
    T sums[kBlock] = {};
    for (std::int64_t a = 0; a < window; ++a) {
      const T tap = taps[a];
      const T* from = rows[a] + j;
      for (std::int64_t i = 0; i < kBlock; ++i) sums[i] += tap * from[i];
    }
    for (std::int64_t i = 0; i < kBlock; ++i) out[j + i] = sums[i];
  }
  for (; j < count; ++j) {
    T sum = 0;
    for (std::int64_t a = 0; a < window; ++a) sum += taps[a] * rows[a][j];
    out[j] = sum;
  }
}

struct Plane {
  std::int64_t h, w;
};

/// Filters kCount planes at once with taps along both axes, on borders of `pad` zeros. For rows begin to end - 1 of the
/// result calls consume(row, out) with out[q] the q-th filtered row; the planes' rows come from produce(row, in), which
/// writes in[q][0 .. w - 1].
template <int kCount, class T, class Produce, class Consume>
void filter_rows(const Tensor<T>& taps, Plane in, std::int64_t pad, std::int64_t begin, std::int64_t end,
                 const Produce& produce, const Consume& consume) {
  const std::int64_t window = taps.size(), padded = in.w + 2 * pad, width = padded - window + 1;
  Buffer<T> inputs(kCount * padded), kept(kCount * window * width), outputs(kCount * width);
  std::fill_n(inputs.data(), kCount * padded, T(0));
  T *in_rows[kCount], *out_rows[kCount];
  for (int q = 0; q < kCount; ++q) {
    in_rows[q] = inputs.data() + q * padded + pad;
    out_rows[q] = outputs.data() + q * width;
  }
  Buffer<const T*> taken(window);
  // Rows filtered along themselves wait in a ring until the last one of a window is there.
  const auto kept_row = [&](int q, std::int64_t number) {
    return kept.data() + (q * window + number % window) * width;
  };
  for (std::int64_t i = begin; i < end - 1 + window; ++i) {
    const std::int64_t number = i - begin, row = i - pad;
    const bool inside = row >= 0 && row < in.h;
    if (inside) produce(row, in_rows);
    for (int q = 0; q < kCount; ++q) {
      if (inside) {
        for (std::int64_t a = 0; a < window; ++a) taken[a] = in_rows[q] - pad + a;
        weighted_sum(taps.data(), window, width, taken.data(), kept_row(q, number));
      } else {
        std::fill_n(kept_row(q, number), width, T(0));
      }
    }
    const std::int64_t first = number - (window - 1);
    if (first < 0) continue;
    for (int q = 0; q < kCount; ++q) {
      for (std::int64_t a = 0; a < window; ++a) taken[a] = kept_row(q, first + a);
      weighted_sum(taps.data(), window, width, taken.data(), out_rows[q]);
    }
    consume(begin + first, out_rows);
  }
}

/// Calls body(plane, first row, end row, band's number) for bands of all planes of `rows` rows, shared out among
/// threads.
template <class Body>
void for_each_band(std::int64_t planes, std::int64_t rows, const Body& body) {
  const std::int64_t bands = (rows + kBand - 1) / kBand;
  parallel_for(planes * bands, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t first = i % bands * kBand;
      body(i / bands, first, std::min(rows, first + kBand), i);
    }
  });
}

/// What the derivative of each window's index is made of: by the two means (through the variances too), by the
/// covariance and by the sum of the variances.
template <class T>
struct WindowSlopes {
  Tensor<T> mean_x, mean_y, covariance, variances;
};

/// The sum over the whole batch, from the sums of the bands of all pictures.
double total_of_bands(const std::vector<double>& sums, std::int64_t pictures) {
  std::vector<double> of_pictures(static_cast<std::size_t>(pictures));
  for (std::size_t band = 0; band < sums.size(); ++band) {
    of_pictures[band / (sums.size() / of_pictures.size())] += sums[band];
  }
  return BatchPart::total(of_pictures);
}

/// The sum of all windows' indices over the whole batch; fills the slopes that have storage.
template <class T>
double sum_of_windows(const Tensor<T>& x, const Tensor<T>& y, const Tensor<T>& taps, double range,
                      WindowSlopes<T>& slopes) {
  const T c1 = static_cast<T>(0.01 * range * 0.01 * range), c2 = static_cast<T>(0.03 * range * 0.03 * range);
  const Shape& s = x.shape();
  const Plane in{s[2], s[3]};
  const std::int64_t window = taps.size(), oh = in.h - window + 1, ow = in.w - window + 1, planes = s[0] * s[1];
  std::vector<double> sums(static_cast<std::size_t>(planes * ((oh + kBand - 1) / kBand)));
  for_each_band(planes, oh, [&](std::int64_t plane, std::int64_t first, std::int64_t last, std::int64_t band) {
    Buffer<T> indices(ow);
    double total = 0;
    const auto produce = [&](std::int64_t row, T* const* to) {
      const T *px = x.data() + (plane * in.h + row) * in.w, *py = y.data() + (plane * in.h + row) * in.w;
      T *a = to[0], *b = to[1], *squares = to[2], *products = to[3];
      for (std::int64_t j = 0; j < in.w; ++j) {
        a[j] = px[j];
        b[j] = py[j];
        // Only the sum of the variances is needed, so both squares go through one filter.
        squares[j] = px[j] * px[j] + py[j] * py[j];
        products[j] = px[j] * py[j];
      }
    };
    const auto consume = [&](std::int64_t row, const T* const* moments) {
      const T *mx = moments[0], *my = moments[1], *squares = moments[2], *products = moments[3];
      T* index = indices.data();
      for (std::int64_t j = 0; j < ow; ++j) {
        const T product = mx[j] * my[j], mean_squares = mx[j] * mx[j] + my[j] * my[j];
        index[j] = (2 * product + c1) * (2 * (products[j] - product) + c2) /
                   ((mean_squares + c1) * (squares[j] - mean_squares + c2));
      }
      total += sum_of(0, ow, [=](std::int64_t j) { return index[j]; });
      if (!slopes.covariance.defined()) return;
      const std::int64_t at = (plane * oh + row) * ow;
      T *to_p = slopes.covariance.data() + at, *to_q = slopes.variances.data() + at;
      T* to_x = slopes.mean_x.defined() ? slopes.mean_x.data() + at : nullptr;
      T* to_y = slopes.mean_y.defined() ? slopes.mean_y.data() + at : nullptr;
      for (std::int64_t j = 0; j < ow; ++j) {
        const T product = mx[j] * my[j], mean_squares = mx[j] * mx[j] + my[j] * my[j];
        const T a1 = 2 * product + c1, b1 = mean_squares + c1, b2 = squares[j] - mean_squares + c2,
                scale = 2 / (b1 * b2);
        to_p[j] = a1 * scale;
        to_q[j] = -index[j] / b2;
      }
      const auto by_mean = [&](const T* m, const T* other, T* to) {
        for (std::int64_t j = 0; j < ow; ++j) {
          const T product = mx[j] * my[j], mean_squares = mx[j] * mx[j] + my[j] * my[j];
          const T a2 = 2 * (products[j] - product) + c2, b1 = mean_squares + c1, b2 = squares[j] - mean_squares + c2;
          to[j] = other[j] * (2 * a2 / (b1 * b2) - to_p[j]) - 2 * m[j] * (index[j] / b1 + to_q[j]);
        }
      };
      if (to_x) by_mean(mx, my, to_x);
      if (to_y) by_mean(my, mx, to_y);
    };
    filter_rows<4>(taps, in, 0, first, last, produce, consume);
    sums[static_cast<std::size_t>(band)] = total;
  });
  return total_of_bands(sums, s[0]);
}

/// scale (F'(mean) + other F'(covariance) + 2 own F'(variances)), where F' spreads a window's slope over its pixels:
/// the gradient to the picture `own`.
template <class T>
Tensor<T> spread_slopes(const Tensor<T>& own, const Tensor<T>& other, const Tensor<T>& mean, const WindowSlopes<T>& s,
                        const Tensor<T>& taps, T scale) {
  Tensor<T> gradient(own.shape());
  const Shape& shape = own.shape();
  const std::int64_t h = shape[2], w = shape[3], window = taps.size();
  const Plane in{h - window + 1, w - window + 1};
  for_each_band(shape[0] * shape[1], h, [&](std::int64_t plane, std::int64_t first, std::int64_t last, std::int64_t) {
    const auto produce = [&](std::int64_t row, T* const* to) {
      const std::int64_t at = (plane * in.h + row) * in.w;
      std::copy_n(mean.data() + at, in.w, to[0]);
      std::copy_n(s.covariance.data() + at, in.w, to[1]);
      std::copy_n(s.variances.data() + at, in.w, to[2]);
    };
    const auto consume = [&](std::int64_t row, const T* const* spread) {
      const std::int64_t at = (plane * h + row) * w;
      const T *a = own.data() + at, *b = other.data() + at;
      T* to = gradient.data() + at;
      for (std::int64_t j = 0; j < w; ++j) {
        to[j] = scale * (spread[0][j] + b[j] * spread[1][j] + 2 * a[j] * spread[2][j]);
      }
    };
    // The window is its own mirror image, so its adjoint is itself on wider borders.
    filter_rows<3>(taps, in, window - 1, first, last, produce, consume);
  });
  return gradient;
}

}  // namespace

// One operation of its own: put together from filters and elementwise operations it would go through memory some forty
// times.
template <class T>
Variable<T> ssim(const Variable<T>& x, const Variable<T>& y, const SsimSpec& spec) {
  const Shape& s = x.shape();
  check_same_pictures("ssim", s, y.shape());
  check(spec.range > 0, "ssim: expected a range greater than 0, got ", spec.range);
  check(s[2] >= spec.window && s[3] >= spec.window, "ssim: pictures ", s, " are smaller than the window of ",
        spec.window, " x ", spec.window, " pixels; use larger pictures or a smaller window");
  const Tensor<T> taps = gaussian_row<T>(spec.window, spec.sigma);
  const Shape windows = s.with(2, s[2] - spec.window + 1).with(3, s[3] - spec.window + 1);
  WindowSlopes<T> slopes;
  if (Variable<T>::needs_graph({x, y})) {
    slopes.covariance = Tensor<T>(windows);
    slopes.variances = Tensor<T>(windows);
    if (x.requires_grad()) slopes.mean_x = Tensor<T>(windows);
    if (y.requires_grad()) slopes.mean_y = Tensor<T>(windows);
  }
  const double count = whole_count(windows);
  const double mean = sum_of_windows(x.value(), y.value(), taps, spec.range, slopes) / count;
  return Variable<T>::from_op(Tensor<T>::scalar(static_cast<T>(mean)), {x, y},
                              [slopes, taps, count](std::vector<Variable<T>>& inputs, const Tensor<T>& g) {
                                const T scale = static_cast<T>(static_cast<double>(g.item()) / count);
                                const Tensor<T>&vx = inputs[0].value(), &vy = inputs[1].value();
                                if (inputs[0].requires_grad())
                                  inputs[0].add_grad(spread_slopes(vx, vy, slopes.mean_x, slopes, taps, scale));
                                if (inputs[1].requires_grad())
                                  inputs[1].add_grad(spread_slopes(vy, vx, slopes.mean_y, slopes, taps, scale));
                              });
}

template Variable<float> ssim(const Variable<float>&, const Variable<float>&, const SsimSpec&);
template Variable<double> ssim(const Variable<double>&, const Variable<double>&, const SsimSpec&);

}  // namespace kind
