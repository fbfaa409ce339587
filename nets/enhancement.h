#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "nets/automatic_light.h"
#include "nets/metering.h"
#include "nets/model.h"

namespace kind {

/// The maps of the method on a picture: R_low, L_low, R_hat and L_hat.
enum class Map { kReflectance, kIllumination, kRestored, kAdjusted };

struct EnhancementOptions {
  Fusion fusion = Fusion::kAuto;
  double denoise = 1;   // 0..1: how far from R_low to R_hat what is multiplied lies: R_low + denoise (R_hat - R_low)
  double strength = 1;  // 0..1: how far from the picture to the enhanced one the result lies
  /// Called now and then with how much of the work is done, 0..1.
  std::function<void(double)> progress = {};
  /// May change the light that was chosen, before it is used.
  std::function<void(LightChoice&)> chosen = {};
};

/// The picture that is enhanced: h rows of w pixels, red, green and blue in 0..1.
struct EnhancementInput {
  /// Fills rows y0 <= y < y1 of the three planes, (y1 - y0) * w values each. Rows may be asked for more than once.
  using Rows = std::function<void(std::int64_t y0, std::int64_t y1, float* const* planes)>;

  std::int64_t h = 0, w = 0;
  Rows picture;
  Rows seen = {};  // what the nets see in its place, where that differs: transparent pixels, for example
  MeteredPicture metered;
  InputRange range;  // that is stretched; metered.range, unless other pictures have a say
};

/// Takes what an enhancement makes. Rows come in order, from the first to the last.
class EnhancementSink {
 public:
  virtual ~EnhancementSink() = default;
  /// Rows y0 <= y < y1 of the three planes of the output for a level. In the last level nothing asks for these rows of
  /// the picture again.
  virtual void rows(std::size_t level, std::int64_t y0, std::int64_t y1, const float* const* planes) = 0;
  /// All rows of a level are there; this was its light.
  virtual void done(std::size_t level, const LightChoice& light) = 0;
  /// Whether the maps are wanted, too. Then their rows come: of R_low and L_low, of what is multiplied (R_hat, see
  /// EnhancementOptions::denoise), and of L_hat for each level; three planes or one.
  virtual bool wants_maps() const { return false; }
  virtual void map_rows(Map, std::int64_t, std::int64_t, const float* const*) {}
};

/// Bytes that an enhancement takes beside the picture, the results and the weights.
struct EnhancementMemory {
  std::uint64_t held = 0;   // with all maps in memory, which is faster
  std::uint64_t bands = 0;  // with nothing but rows in memory; 0 where that cannot be
};

/// The method on one picture:
///   R, L = decomposition(I);  R_hat = restoration(R, L);  L_hat = adjustment(L, ratio);  output = R_hat * L_hat
/// where I is stretched as the model says, and the output is mixed with the picture as the light says (choose_light).
/// Maps in memory or bands of rows, any number of threads: the results have the same bits.
class Enhancement {
 public:
  /// The model must outlive it. Throws Error where the model lacks a decomposition or adjustment net, for an empty picture,
  /// or for options out of range.
  Enhancement(const Model<float>& model, EnhancementInput input, EnhancementOptions options);

  EnhancementMemory memory(const std::vector<LightLevel>& levels) const;

  /// Enhances the picture at each level. With the maps in memory, decomposition and restoration run once for all of them.
  /// Throws Error for levels out of range, and for bands where memory() says that these cannot be.
  void run(const std::vector<LightLevel>& levels, bool bands, EnhancementSink& sink);

 private:
  /// Takes rows of an output, which it may change.
  using Output = std::function<void(std::int64_t y0, std::int64_t y1, float* const* planes)>;
  struct Maps;
  class Bands;

  bool runs_in_bands() const;
  void expect(double work) { expected_ += work * static_cast<double>(input_.h); }
  void worked(double work, std::int64_t rows);
  void choose(const LightLevel& level);

  void stretched_rows(std::int64_t y0, std::int64_t y1, float* const* planes) const;
  void take_parts(std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1, const float* const* planes,
                  EnhancementSink& sink);
  void blend(std::int64_t y0, std::int64_t y1, const float* const* reflectance, const float* const* restored,
             float* const* out) const;
  void mix(std::int64_t y0, std::int64_t y1, double strength, float* const* planes) const;

  Maps make_maps(EnhancementSink& sink);
  void adjust(const Maps& maps, double ratio, EnhancementSink* sink, const Output& use);
  double ratio_for_mean_of(const Maps& maps, double target);
  void run_held(const std::vector<LightLevel>& levels, EnhancementSink& sink);
  void run_bands(std::size_t level, EnhancementSink& sink);

  const Model<float>& model_;
  EnhancementInput input_;
  EnhancementOptions options_;
  std::int64_t margin_;  // reflection padding around the nets' inputs
  double expected_ = 0, done_ = 0;
  LightChoice choice_;  // for the level at hand
  Arena arena_;
};

}  // namespace kind
