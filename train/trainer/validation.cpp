#include "train/trainer/validation.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <tuple>

#include "core/base/sum.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape_ops.h"
#include "losses/metrics/metrics.h"
#include "losses/metrics/psnr.h"
#include "train/trainer/sheet_text.h"

namespace kind {
namespace {

constexpr int kCellWidth = 300;  // pictures on a sheet are reduced to at most this width

Tensor<float> planes_of(const Tensor<float>& maps, std::int64_t first, std::int64_t end) {
  const NoGrad no_grad;
  const Variable<float> part = slice(Variable<float>(maps), 0, first, end);
  return part.value().reshape(Shape{1, end - first, maps.shape()[1], maps.shape()[2]});
}

struct PairMaps {
  Enhanced enhanced;
  Tensor<float> input, stretched, reflectance_high, target;  // stretched: what decomposition was given
  int low_bits = 8, high_bits = 8;
};

PairMaps run_pair(const Model<float>& model, const Pairs& pairs, std::size_t index, FrozenDecomposition* frozen) {
  const NoGrad no_grad;
  const Pairs::Pictures& pictures = pairs.pictures(index);
  PairMaps maps;
  maps.low_bits = pictures.low.bits;
  maps.high_bits = pictures.high.bits;
  maps.input = to_tensor(pictures.low);
  maps.stretched = net_input(to_tensor(pictures.low), model.config.input);
  maps.target = to_tensor(pictures.high);
  PictureNets nets(model);
  Enhanced& e = maps.enhanced;
  Tensor<float> light_high;
  if (frozen) {
    const Tensor<float> planes = frozen->maps(index).get(index);
    e.reflectance = planes_of(planes, 0, 3);
    e.illumination = planes_of(planes, 3, 4);
    maps.reflectance_high = planes_of(planes, 4, 7);
    light_high = planes_of(planes, 7, 8);
  } else {
    const PictureNets::Parts low = nets.decompose(maps.stretched),
                             high = nets.decompose(net_input(maps.target, model.config.input.of_reference()));
    e.reflectance = low.reflectance;
    e.illumination = low.illumination;
    maps.reflectance_high = high.reflectance;
    light_high = high.illumination;
  }
  e.restored = nets.restore(e.reflectance, e.illumination);
  e.ratio = ratio_between(e.illumination, light_high);
  e.adjusted = model.adjustment ? nets.adjust(e.illumination, e.ratio) : light_high;
  e.output = mul(Variable<float>(e.restored), Variable<float>(e.adjusted)).value();
  return maps;
}

/// The picture reduced by the mean of factor x factor pixels, as 8-bit RGB, into the sheet at (x, y).
void put_cell(const Tensor<float>& picture, int factor, int x, int y, Image& sheet) {
  const std::int64_t c = picture.shape()[1], h = picture.shape()[2], w = picture.shape()[3];
  for (int i = 0; i < static_cast<int>(h) / factor; ++i) {
    for (int j = 0; j < static_cast<int>(w) / factor; ++j) {
      for (int channel = 0; channel < 3; ++channel) {
        const float* plane = picture.data() + std::min<std::int64_t>(channel, c - 1) * h * w;
        float sum = 0;
        for (int a = 0; a < factor; ++a) {
          for (int b = 0; b < factor; ++b) sum += plane[(i * factor + a) * w + j * factor + b];
        }
        const float mean = sum / static_cast<float>(factor * factor);
        const float value = mean > 0 ? std::min(mean, 1.0f) : 0.0f;  // NaN is black; the run is about to stop
        sheet.set_sample(x + j, y + i, channel, static_cast<int>(255 * value + 0.5f));
      }
    }
  }
}

/// Standard deviation of a map, and the mean absolute difference of its neighbours across and down.
std::pair<double, double> spread_and_gradient(const Tensor<float>& map) {
  const std::int64_t h = map.shape()[2], w = map.shape()[3], n = h * w;
  const float* at = map.data();
  const double mean = sum_of(0, n, [&](std::int64_t i) { return at[i]; }) / static_cast<double>(n);
  const double square = sum_of(0, n, [&](std::int64_t i) {
    const double off = static_cast<double>(at[i]) - mean;
    return off * off;
  });
  double differences = 0;
  for (std::int64_t y = 0; y < h; ++y) {
    for (std::int64_t x = 0; x < w; ++x) {
      const std::int64_t i = y * w + x;
      if (x + 1 < w) differences += static_cast<double>(std::abs(at[i + 1] - at[i]));
      if (y + 1 < h) differences += static_cast<double>(std::abs(at[i + w] - at[i]));
    }
  }
  const std::int64_t count = h * (w - 1) + (h - 1) * w;
  return {std::sqrt(square / static_cast<double>(n)),
          differences / static_cast<double>(std::max<std::int64_t>(1, count))};
}

/// A pair's figures, by name; what says nothing is left out.
std::map<std::string, double> figures_of(const PairMaps& maps) {
  const Enhanced& e = maps.enhanced;
  const Tensor<float> output = file_values(e.output, maps.low_bits), target = file_values(maps.target, maps.high_bits);
  std::map<std::string, double> figures;
  Scored pictures{output, target};
  for (const Metric& metric : all_metrics()) {
    if (metric.taken == Taken::kNamed) continue;
    if (const std::optional<double> figure = metric.measure(pictures)) figures[metric.figure()] = *figure;
  }
  figures["psnr_reflectance"] =
      psnr_rgb(file_values(e.restored, maps.low_bits), file_values(maps.reflectance_high, maps.high_bits));
  {
    const NoGrad no_grad;
    const Tensor<float> product = mul(Variable<float>(e.reflectance), Variable<float>(e.illumination)).value();
    figures["psnr_reconstruction"] =
        psnr_rgb(file_values(product, maps.low_bits), file_values(maps.stretched, maps.low_bits));
  }
  std::tie(figures["illumination_std"], figures["illumination_gradient"]) = spread_and_gradient(e.illumination);
  // Only identical pictures have an infinite PSNR; they say nothing a mean could hold.
  std::erase_if(figures, [](const auto& figure) { return std::isinf(figure.second); });
  return figures;
}

/// Adds a row of pictures under a line of text: the stem and the output's PSNR. Above the first row are the columns'
/// names.
void append_row(const PairMaps& maps, const std::string& stem, std::optional<double> psnr, ValidationResult& result) {
  constexpr int kLine = kTextHeight + kSheetGap;
  constexpr const char* kNames[kSheetColumns] = {"input", "R", "L", "restored", "adjusted", "output", "target"};
  Image& sheet = result.sheet;
  const int width = static_cast<int>(maps.input.shape()[3]), height = static_cast<int>(maps.input.shape()[2]);
  const int factor = std::max(1, (width + kCellWidth - 1) / kCellWidth);
  const Enhanced& e = maps.enhanced;
  const Tensor<float>* const cells[kSheetColumns] = {&maps.input, &e.reflectance, &e.illumination, &e.restored,
                                                     &e.adjusted, &e.output,      &maps.target};
  const bool first = sheet.height == 0;
  const int cell_width = width / factor, step = cell_width + kSheetGap;
  const int text_top = first ? kLine : sheet.height + kSheetGap, top = text_top + kLine;
  Image grown(std::max(sheet.width, kSheetColumns * step - kSheetGap), top + height / factor, 3);
  for (int y = 0; y < sheet.height; ++y) std::memcpy(grown.row(y), sheet.row(y), sheet.row_bytes());
  for (int i = 0; i < kSheetColumns; ++i) {
    if (first) draw_text(grown, i * step, 0, cell_width, kNames[i]);
    put_cell(*cells[i], factor, i * step, top, grown);
  }
  char figure[32] = "";
  if (psnr) std::snprintf(figure, sizeof figure, "  PSNR %.2f", *psnr);
  draw_text(grown, 0, text_top, grown.width, stem + figure);
  sheet = std::move(grown);
  result.rows.push_back({stem, top, height / factor, cell_width});
}

}  // namespace

std::optional<ValidationResult> validate(const Model<float>& model, const Pairs& pairs, FrozenDecomposition* frozen,
                                         const ValidationConfig& config, const std::function<bool()>& stop) {
  const std::vector<std::size_t>& held = pairs.validation();
  const std::size_t count =
      config.pairs == 0 ? held.size() : std::min(held.size(), static_cast<std::size_t>(config.pairs));
  const std::size_t rows = std::min(count, static_cast<std::size_t>(config.sheet_rows));
  ValidationResult result;
  // By set, then figure; the set without a name is all of them.
  std::map<std::string, std::map<std::string, double>> sums, counts;
  for (std::size_t i = 0; i < count; ++i) {
    if (stop()) return std::nullopt;
    const std::size_t index = held[i * held.size() / count];
    const PairMaps maps = run_pair(model, pairs, index, frozen);
    const std::string& stem = pairs.all()[index].stem;
    result.pictures.emplace_back(stem, figures_of(maps));
    for (const auto& [name, value] : result.pictures.back().second) {
      for (const std::string& set : {std::string(), pairs.sources()[pairs.all()[index].source].config.name}) {
        sums[set][name] += value;
        counts[set][name] += 1;
        if (pairs.sources().size() == 1) break;
      }
    }
    // The sheet's rows are spread over the pairs, too.
    if (rows > 0 && i * rows / count != (i + 1) * rows / count) {
      const auto& figures = result.pictures.back().second;
      const auto psnr = figures.find("psnr");
      append_row(maps, stem, psnr == figures.end() ? std::nullopt : std::optional<double>(psnr->second), result);
    }
  }
  for (const auto& [set, figures] : sums) {
    std::map<std::string, double>& means = set.empty() ? result.means : result.sets[set];
    for (const auto& [name, sum] : figures) means[name] = sum / counts[set][name];
  }
  return result;
}

}  // namespace kind
