#include "nets/mirror.h"

#include <algorithm>
#include <utility>

#include "core/base/error.h"

namespace kind {
namespace {

void check_margin(std::int64_t margin) {
  check(margin >= 0 && margin <= Shape::kMaxSize, "mirroring: expected a margin from 0 to ", Shape::kMaxSize, ", got ",
        margin);
}

void check_part(std::int64_t h, RowSpan part) {
  check(0 <= part.first && part.first < part.end && part.end <= h, "mirroring: expected a part of a picture of ", h,
        " rows, got rows ", part.first, " to ", part.end);
}

/// A part's rows in the picture with its margins. Runs that share work divide all of them among themselves.
RowSpan padded_part(RowSpan part, std::int64_t h, std::int64_t margin, FusedRun::Sharing sharing) {
  RowSpan padded{part.first + margin, part.end + margin};
  if (sharing == FusedRun::Sharing::kNone) return padded;
  if (part.first == 0) padded.first = 0;
  if (part.end == h) padded.end += margin;
  return padded;
}

/// Of a picture of h rows, those that the rows `padded` of the picture with its margins are made of.
RowSpan mirrored_from(RowSpan padded, std::int64_t h, std::int64_t margin) {
  RowSpan rows{std::max<std::int64_t>(0, padded.first - margin), std::min(h, std::max(margin, padded.end - margin))};
  // The upper image begins with row margin - 1; the lower one reaches back to row h - margin.
  if (padded.first < margin) rows.first = 0;
  if (padded.end > h + margin) rows.first = std::min(rows.first, std::max<std::int64_t>(0, h - margin));
  return rows;
}

/// A row of w values with reflection padding on both sides.
void put_mirrored_row(const float* from, std::int64_t w, std::int64_t margin, float* to) {
  for (std::int64_t x = 0; x < margin; ++x) {
    to[x] = from[mirrored_index(x - margin, w)];
    to[margin + w + x] = from[mirrored_index(w + x, w)];
  }
  std::copy_n(from, w, to + margin);
}

}  // namespace

std::int64_t mirrored_index(std::int64_t i, std::int64_t size) {
  check(size >= 1 && size <= Shape::kMaxSize, "mirroring: expected a size from 1 to ", Shape::kMaxSize, ", got ", size);
  const std::int64_t period = 2 * size, at = (i % period + period) % period;
  return at < size ? at : period - 1 - at;
}

Tensor<float> mirrored(const Tensor<float>& x, std::int64_t margin) {
  const Shape& shape = x.shape();
  check_margin(margin);
  check(shape.rank() != 4 || shape[0] > 0, "mirroring: expected at least one picture, got n = 0 in ", shape);
  check(shape.rank() == 4 && x.size() > 0, "mirroring: expected [n, c, h, w], got ", shape);
  const std::int64_t h = shape[2], w = shape[3], rows = h + 2 * margin, columns = w + 2 * margin;
  Tensor<float> result(Shape{shape[0], shape[1], rows, columns});
  for (std::int64_t row = 0; row < shape[0] * shape[1] * rows; ++row) {
    const std::int64_t plane = row / rows, y = mirrored_index(row % rows - margin, h);
    put_mirrored_row(x.data() + (plane * h + y) * w, w, margin, result.data() + row * columns);
  }
  return result;
}

Tensor<float> cropped(const Tensor<float>& x, std::int64_t margin) {
  const Shape& shape = x.shape();
  check_margin(margin);
  check(shape.rank() == 4 && shape[2] > 2 * margin && shape[3] > 2 * margin, "cropping by ", margin,
        ": expected [n, c, h, w] with larger sides, got ", shape);
  const std::int64_t h = shape[2] - 2 * margin, w = shape[3] - 2 * margin;
  Tensor<float> result(Shape{shape[0], shape[1], h, w});
  for (std::int64_t row = 0; row < shape[0] * shape[1] * h; ++row) {
    const float* from = x.data() + (row / h * shape[2] + row % h + margin) * shape[3] + margin;
    std::copy_n(from, w, result.data() + row * w);
  }
  return result;
}

struct MirroredRun::Margin {
  std::int64_t h, w, margin;
  FusedRun::Source source;
  FusedRun::Sink sink;
  // Rows first <= y < end of the picture, of each input channel: the last that were asked for, `margin` of them at
  // least. In the beginning these are what the upper mirror image is made of, in the end what the lower one is.
  std::vector<std::vector<float>> rows;
  std::int64_t first = 0, end = 0;
  std::vector<float> inner;  // rows of outputs without their margins

  void fetch(std::int64_t wanted) {
    if (wanted <= end) return;
    const std::int64_t keep = std::max(first, end - margin), kept = end - keep;
    std::vector<float*> to;
    for (std::vector<float>& channel : rows) {
      channel.erase(channel.begin(), channel.begin() + static_cast<std::ptrdiff_t>((keep - first) * w));
      channel.resize(static_cast<std::size_t>((wanted - keep) * w));
      to.push_back(channel.data() + kept * w);
    }
    first = keep;
    source(end, wanted, to.data());
    end = wanted;
  }

  void give(std::int64_t y0, std::int64_t y1, float* const* planes) {
    const std::int64_t columns = w + 2 * margin;
    // The upper image begins with the picture's row `margin` - 1.
    fetch(std::min(h, std::max(margin, y1 - margin)));
    for (std::int64_t y = y0; y < y1; ++y) {
      const std::int64_t at = mirrored_index(y - margin, h);
      for (std::size_t c = 0; c < rows.size(); ++c) {
        put_mirrored_row(rows[c].data() + (at - first) * w, w, margin, planes[c] + (y - y0) * columns);
      }
    }
  }

  void take(std::int64_t first_channel, std::int64_t count, std::int64_t y0, std::int64_t y1,
            const float* const* planes) {
    const std::int64_t begin = std::max(y0, margin), stop = std::min(y1, margin + h);
    if (begin >= stop) return;
    const std::int64_t size = (stop - begin) * w, columns = w + 2 * margin;
    inner.resize(static_cast<std::size_t>(count * size));
    std::vector<const float*> from;
    for (std::int64_t c = 0; c < count; ++c) {
      float* to = inner.data() + c * size;
      from.push_back(to);
      for (std::int64_t y = begin; y < stop; ++y, to += w) std::copy_n(planes[c] + (y - y0) * columns + margin, w, to);
    }
    sink(first_channel, count, begin - margin, stop - margin, from.data());
  }
};

MirroredRun::MirroredRun(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
                         FusedRun::Sharing sharing, FusedRun::Source source, FusedRun::Sink sink, Arena& arena)
    : margin_(margin) {
  check_margin(margin);
  check(source && sink, "mirroring: a run needs a source and a sink, got none");
  check_part(h, part);
  const RowSpan padded = padded_part(part, h, margin, sharing);
  if (margin > 0) {
    around_ = std::make_unique<Margin>(Margin{h, w, margin, std::move(source), std::move(sink), {}, 0, 0, {}});
    around_->rows.resize(static_cast<std::size_t>(net.input_channels()));
    Margin* const around = around_.get();
    around->first = around->end =
        mirrored_from(FusedRun::needs(net, h + 2 * margin, w + 2 * margin, padded, sharing), h, margin).first;
    source = [around](std::int64_t y0, std::int64_t y1, float* const* planes) { around->give(y0, y1, planes); };
    sink = [around](std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1,
                    const float* const* planes) { around->take(first, count, y0, y1, planes); };
  }
  run_.emplace(net, h + 2 * margin, w + 2 * margin, padded, sharing, std::move(source), std::move(sink), arena);
}

MirroredRun::~MirroredRun() = default;

void MirroredRun::advance(std::int64_t rows) { run_->advance(rows + margin_); }

RowSpan MirroredRun::needs(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
                           FusedRun::Sharing sharing) {
  check_margin(margin);
  check_part(h, part);
  const RowSpan padded =
      FusedRun::needs(net, h + 2 * margin, w + 2 * margin, padded_part(part, h, margin, sharing), sharing);
  return margin > 0 ? mirrored_from(padded, h, margin) : padded;
}

std::uint64_t MirroredRun::bytes(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
                                 FusedRun::Sharing sharing) {
  check_margin(margin);
  check_part(h, part);
  constexpr std::int64_t kRows = 64;  // that a step may ask for
  const std::int64_t held = margin > 0 ? (2 * kRows + margin) * net.input_channels() * w : 0;
  const bool whole = part.first == 0 && part.end == h;
  const RowSpan padded = whole ? RowSpan{0, h + 2 * margin} : padded_part(part, h, margin, sharing);
  return FusedRun::bytes(net, h + 2 * margin, w + 2 * margin, padded, sharing) +
         static_cast<std::uint64_t>(held) * sizeof(float);
}

}  // namespace kind
