#pragma once

#include <memory>

#include "nets/photograph.h"

namespace kind {

/// Frames of one scene, such as a video, enhanced with a light that changes slowly, so that nothing flickers.
///
/// The range of the stretch, the ratio, the gain of dark parts and all else that is found in a frame as a whole follow the
/// frames with a time constant of half a second: s += (1 - exp(-1 / (0.5 s * frames per second))) * (x - s), ratio and gain
/// by their logarithms. Each frame depends on itself and those before it alone. A frame of another size, or one that has
/// little in common with the one before (a cut), starts anew. A frame or letterbox bars are those of all frames since the
/// last cut.
class SequenceEnhancer {
 public:
  /// options.light must not be a target mean, and options.hooks must be empty. The model must outlive it. Throws Error for
  /// these, or for frames per second that are not above 0.
  SequenceEnhancer(const Model<float>& model, const PhotoOptions& options, double frames_per_second);
  ~SequenceEnhancer();

  /// The next frame, enhanced. The first one has the light that enhance_photo() gives it. Throws Error as that does; the
  /// sequence then goes on as if there had been no such frame.
  EnhancedPhoto next(Image frame);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kind
