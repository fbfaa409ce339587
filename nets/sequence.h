#pragma once

#include <memory>

#include "nets/photograph.h"

namespace kind {

/// Frames of one scene, such as a video, enhanced with a light that changes slowly, so that nothing flickers.
class SequenceEnhancer {
 public:
  /// `frames_per_second` > 0 turns the time constant into frames. options.light must not be a target mean. The model must
  /// outlive it. Throws Error as enhance_photo() does.
  SequenceEnhancer(const Model<float>& model, const PhotoOptions& options, double frames_per_second);
  ~SequenceEnhancer();

  /// The next frame, enhanced; all frames of one size. Throws Error as enhance_photo() does.
  EnhancedPhoto next(Image frame);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kind
