#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "core/tensor/tensor.h"
#include "nets/mirror.h"
#include "nets/model.h"

namespace kind {

/// One net of a model on a whole picture, without gradients, whose rows come when they are needed and go as soon as they
/// are made. The picture gets `input.mirror` rows and columns of reflection padding. Where the kernels in use cannot run
/// the net in bands of rows (FusedNet::runnable), it runs layer by layer on the whole picture: all rows come, then all go.
class PictureRun {
 public:
  /// Source and sink as FusedRun's, of the net's input channels and output channels. `arena` holds the layers' memory;
  /// nobody else may use it meanwhile. The net must outlive the run. Throws Error for sides below 1, a negative margin,
  /// or no source or sink.
  template <class Net>
  PictureRun(const Net& net, std::int64_t h, std::int64_t w, std::int64_t margin, FusedRun::Source source,
             FusedRun::Sink sink, Arena& arena)
      : PictureRun(net, h, w, margin, {0, h}, std::move(source), std::move(sink), arena) {}
  /// Makes only the rows `part` of the outputs, with the bits of the whole picture's, from the rows needs() of the inputs.
  /// Throws Error for a part that is empty or not in the picture, and where the net cannot run in bands.
  template <class Net>
  PictureRun(const Net& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part, FusedRun::Source source,
             FusedRun::Sink sink, Arena& arena)
      : PictureRun(net.fused(), layers_of(net), h, w, margin, part, std::move(source), std::move(sink), arena) {}

  /// The rows of the inputs that a part of the outputs depends on.
  template <class Net>
  static RowSpan needs(const Net& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
                       FusedRun::Sharing sharing = FusedRun::Sharing::kNone) {
    return MirroredRun::needs(net.fused(), h, w, margin, part, sharing);
  }

  /// Goes on until the rows before `rows` of every output are made, or all.
  void advance(std::int64_t rows);

 private:
  /// Inputs concatenated along the channels to outputs concatenated so.
  using Layers = std::function<Tensor<float>(const Tensor<float>&)>;

  PictureRun(const FusedNet& net, Layers layers, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
             FusedRun::Source source, FusedRun::Sink sink, Arena& arena);
  static Layers layers_of(const Decomposition<float>& net);
  static Layers layers_of(const Restoration<float>& net);
  static Layers layers_of(const Adjustment<float>& net);

  std::optional<MirroredRun> run_;
  std::function<void()> whole_;  // where there is no run_, until it has been called
};

/// The nets of a model on whole pictures, one [1, c, h, w] at a time, without gradients, as PictureRun runs them. All
/// share their memory. The model must outlive it. Throws Error where the model lacks the net, or for maps of other shapes.
class PictureNets {
 public:
  explicit PictureNets(const Model<float>& model) : model_(model) {}

  struct Parts {
    Tensor<float> reflectance, illumination;  // [1, 3, h, w], [1, 1, h, w]
  };
  /// Of a picture as net_input gives it.
  Parts decompose(const Tensor<float>& input);

  /// R_hat; the reflectance itself where the model has no restoration net.
  Tensor<float> restore(const Tensor<float>& reflectance, const Tensor<float>& illumination);
  /// The same in the memory of the reflectance, whose values are lost.
  void restore_in_place(Tensor<float>& reflectance, const Tensor<float>& illumination);

  /// L_hat for one ratio.
  Tensor<float> adjust(const Tensor<float>& illumination, double ratio);

 private:
  const Model<float>& model_;
  Arena arena_;
};

}  // namespace kind
