#include "nets/sequence.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/base/error.h"

namespace kind {
namespace {

constexpr double kTimeConstant = 0.5;  // seconds

/// A frame's red, green and blue, each a grid of means.
class Thumbnail {
 public:
  explicit Thumbnail(const Image& frame) : cells_(3 * kSide * kSide) {
    const int w = frame.width, h = frame.height, colors = frame.channels < 3 ? 1 : 3;
    const double maximum = frame.maximum();
    std::vector<double> counts(cells_.size());
    for (int y = 0; y < h; ++y) {
      for (int x = 0; x < w; ++x) {
        for (int c = 0; c < 3; ++c) {
          const auto cell =
              static_cast<std::size_t>((c * kSide + y * std::int64_t{kSide} / h) * kSide + x * std::int64_t{kSide} / w);
          cells_[cell] += frame.sample(x, y, std::min(c, colors - 1)) / maximum;
          ++counts[cell];
        }
      }
    }
    for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i] /= std::max(1.0, counts[i]);
  }

  /// Whether these are hardly pictures of one scene: their pattern is another one, whatever their light. A pan, somebody
  /// who walks by and a lamp that is switched on change less.
  static bool differ(const Thumbnail& a, const Thumbnail& b) {
    constexpr double kLeastContrast = 0.01, kUnlike = 0.3, kHardlyAlike = 0.75, kFar = 0.5;
    double mean_a = 0, mean_b = 0, distance = 0, squares_a = 0, squares_b = 0, products = 0;
    const auto count = static_cast<double>(a.cells_.size());
    for (std::size_t i = 0; i < a.cells_.size(); ++i) {
      mean_a += a.cells_[i] / count;
      mean_b += b.cells_[i] / count;
      distance += std::abs(a.cells_[i] - b.cells_[i]) / count;
    }
    for (std::size_t i = 0; i < a.cells_.size(); ++i) {
      squares_a += (a.cells_[i] - mean_a) * (a.cells_[i] - mean_a) / count;
      squares_b += (b.cells_[i] - mean_b) * (b.cells_[i] - mean_b) / count;
      products += (a.cells_[i] - mean_a) * (b.cells_[i] - mean_b) / count;
    }
    const double contrast = std::sqrt(std::min(squares_a, squares_b));
    const double correlation = contrast < kLeastContrast * std::max(mean_a, mean_b)
                                   ? kHardlyAlike
                                   : products / std::sqrt(squares_a * squares_b);
    const bool far = distance > kFar * std::max(mean_a, mean_b);
    return correlation < kUnlike || (correlation < kHardlyAlike && far);
  }

 private:
  static constexpr int kSide = 16;
  std::vector<double> cells_;
};

PictureArea joined(const PictureArea& a, const PictureArea& b) {
  return {std::min(a.top, b.top), std::max(a.bottom, b.bottom), std::min(a.left, b.left), std::max(a.right, b.right)};
}

/// A number that follows others.
class Follower {
 public:
  double follow(double value, double share) {
    value_ = value_ ? *value_ + share * (value - *value_) : value;
    return *value_;
  }
  std::optional<double> value() const { return value_; }

 private:
  std::optional<double> value_;
};

/// Follows the logarithm. The first number stays as it is, to the last bit.
class LogFollower {
 public:
  double follow(double value, double share) {
    const bool first = !log_.value();
    const double log = log_.follow(std::log(std::max(value, 1e-6)), share);
    return first ? value : std::exp(log);
  }
  double value_or(double other) const { return log_.value() ? std::exp(*log_.value()) : other; }

 private:
  Follower log_;
};

/// What is found in frames as wholes.
struct Scene {
  std::optional<PictureArea> area;
  std::optional<Thumbnail> last;
  Follower low, high, mixed, darkness, kept_black;  // darkness: 1 / bright
  LogFollower ratio, gain;

  void follow(InputRange& range, double share) {
    const double end = static_cast<double>(range.low) + static_cast<double>(range.span);
    const double bottom = low.follow(static_cast<double>(range.low), share);
    range = {static_cast<float>(bottom), static_cast<float>(std::max(1e-3, high.follow(end, share) - bottom))};
  }
  void follow(LightChoice& light, double share) {
    // A frame that is left as it is says nothing of ratio and gain.
    const bool used = light.mixed > 0;
    light.mixed = mixed.follow(light.mixed, share);
    light.ratio = used ? ratio.follow(light.ratio, share) : ratio.value_or(light.ratio);
    if (!light.local) {
      light.strength = light.mixed;
      return;
    }
    LocalStrength::Curve curve = light.local->curve();
    curve.gain = used ? gain.follow(curve.gain, share) : gain.value_or(curve.gain);
    curve.bright = 1 / darkness.follow(1 / curve.bright, share);
    curve.kept_black = std::clamp(kept_black.follow(curve.kept_black, share), 0.0, 1.0);
    light.local->set_curve(curve);
    light.strength = light.mixed * light.local->mean();
  }
};

}  // namespace

struct SequenceEnhancer::State {
  const Model<float>& model;
  PhotoOptions options;
  double share;  // of a new frame in what follows
  int width = 0, height = 0;
  Scene scene;
};

SequenceEnhancer::SequenceEnhancer(const Model<float>& model, const PhotoOptions& options, double frames_per_second) {
  check(frames_per_second > 0 && std::isfinite(frames_per_second), "frames per second: expected a number above 0, got ",
        frames_per_second);
  check(options.light.mode != LightLevel::Mode::kTargetMean,
        "sequence: the light of frames is chosen or given as a ratio; a target mean was asked for");
  check(!options.hooks.area && !options.hooks.range && !options.hooks.light,
        "sequence: expected options without hooks");
  state_ =
      std::make_unique<State>(State{model, options, 1 - std::exp(-1 / (kTimeConstant * frames_per_second)), 0, 0, {}});
}

SequenceEnhancer::~SequenceEnhancer() = default;

EnhancedPhoto SequenceEnhancer::next(Image frame) {
  State& state = *state_;
  const int width = frame.width, height = frame.height;
  check_photo(frame);
  Thumbnail now(frame);
  // What goes on where the frame is enhanced.
  const bool goes_on = width == state.width && height == state.height && !Thumbnail::differ(*state.scene.last, now);
  Scene scene = goes_on ? state.scene : Scene();
  scene.last = std::move(now);
  PhotoOptions options = state.options;
  options.hooks.area = [&](PictureArea& area) {
    if (scene.area) area = joined(area, *scene.area);
    scene.area = area;
  };
  // Each frame's light is chosen for its own range, so that range and light are followed side by side: one behind the
  // other they would overshoot.
  options.hooks.range = [&](const MeteredPicture&, InputRange& range) { scene.follow(range, state.share); };
  const bool given = options.light.mode == LightLevel::Mode::kRatio;
  options.hooks.light = [&](LightChoice& light) {
    scene.follow(light, state.share);
    if (given) light.strength = 1;
  };
  EnhancedPhoto result = enhance_photo(state.model, std::move(frame), options);
  state.scene = std::move(scene);
  state.width = width;
  state.height = height;
  return result;
}

}  // namespace kind
