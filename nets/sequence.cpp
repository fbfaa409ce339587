#include "nets/sequence.h"

#include <utility>

namespace kind {

struct SequenceEnhancer::State {
  const Model<float>& model;
  PhotoOptions options;
};

SequenceEnhancer::SequenceEnhancer(const Model<float>& model, const PhotoOptions& options, double)
    : state_(new State{model, options}) {}
SequenceEnhancer::~SequenceEnhancer() = default;

EnhancedPhoto SequenceEnhancer::next(Image frame) {
  return enhance_photo(state_->model, std::move(frame), state_->options);
}

}  // namespace kind
