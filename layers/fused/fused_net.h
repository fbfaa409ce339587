#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/autograd/variable.h"
#include "core/base/memory.h"
#include "core/kernels/block_conv.h"
#include "core/kernels/kernels.h"

namespace kind {

/// Statistics of one layer of a fused net in a run.
struct LayerTime {
  std::string what;           // "conv 3x3 64>32 winograd6", "pool 32" and so on
  std::int64_t h = 0, w = 0;  // of its result
  double seconds = 0;
  double flops = 0;     // of a direct convolution: a multiply-add is two
  double products = 0;  // multiply-adds of the algorithm used
  double bytes = 0;     // of its inputs, weights and result, each moved once
  std::int64_t steps = 0;
};

class FusedLayer;

/// How a fused net runs.
struct FusedOptions {
  /// Leaves out Winograd's algorithm, whose rounding errors are some ten times those of the plain sums.
  bool exact = false;
  /// With gradients: holds only the activations between blocks of layers for backward() and computes the rest again, a
  /// fifth less memory for about a sixth more time. Changes no bit.
  bool recompute = false;
};

/// A net of float convolutions written down as a list, to be run as a whole: layers are fused (bias and activation,
/// concatenation without a copy), memory is laid out before the first layer runs, and large pictures go through in
/// rolling bands of rows. Values lie at levels: level l has ceil(height / 2^l) rows, and so for columns.
///
/// Without gradients only a band of each layer's last rows is kept, so memory depends only on the width; the result has
/// the same bits for any partition of the rows. With gradients whole activations are kept for backward().
///
/// The functions that add a layer throw Error if its values do not exist or belong to different levels, or if a weight
/// or bias is undefined or does not fit.
class FusedNet {
 public:
  /// A layer's result: an index into this net's values.
  using Value = int;

  /// Every convolution except the outputs is followed by max(v, slope v). Throws Error unless 0 <= slope <= 1.
  explicit FusedNet(float slope);

  /// The net's inputs, concatenated: `channels` of each, 1 to 4 in total. Must be called first, and once.
  Value input(const std::vector<std::int64_t>& channels);
  /// SAME convolution of the concatenation of `x` (one value, two different ones of whole channel blocks, or only the
  /// input), bias, activation. weight [oc, ic, k, k], bias [oc]; runnable() requires a k of 1 or 3.
  Value conv(const std::vector<Value>& x, const Variable<float>& weight, const Variable<float>& bias);
  /// 2x2 max pooling: one level down.
  Value pool(Value x);
  /// 2x2 stride-2 transposed convolution: one level up, from level 1 at least. weight [ic, oc, 2, 2].
  Value up(Value x, const Variable<float>& weight);
  /// The form of an output, from the values v of its convolution.
  enum class OutputForm {
    kSigmoid,           // sigmoid(v)
    kActivatedSigmoid,  // sigmoid(max(v, slope v))
    kAddInput,          // v plus the net's first input, which must have as many channels
  };
  /// An output of the net: SAME convolution as conv's to one to four channels at level 0, bias, and `form`.
  /// Outputs are concatenated in this order.
  void output(const std::vector<Value>& x, const Variable<float>& weight, const Variable<float>& bias, OutputForm form);

  /// For the runs that begin from now on.
  void set_options(const FusedOptions& options) { options_ = options; }
  const FusedOptions& options() const { return options_; }

  /// Of all inputs together; 0 before there are any.
  std::int64_t input_channels() const { return values_.empty() ? 0 : values_[0].channels; }

  /// Whether the kernels in use can run the net: they support blocked tensors, every layer fits, and there is an
  /// output.
  bool runnable() const;

  /// inputs [n, c_i, h, w] to [n, sum of the outputs' channels, h, w], with gradients to parameters and inputs that
  /// require them. Throws Error if the inputs' shapes do not match, or the net is not runnable().
  Variable<float> operator()(const std::vector<Variable<float>>& inputs) const;

  /// The same on one picture without gradients, from planes to planes: inputs[i] is channel i of all inputs, outputs[i]
  /// channel i of all outputs, each h * w. A plane of the inputs may also be one of the outputs. The layers' memory
  /// comes from `arena`, which several nets and pictures may use one after the other. `times`, unless null, gets one
  /// entry per layer. Throws Error if the net is not runnable(), a side is not positive, or the planes are null or
  /// their number is wrong.
  void run(std::int64_t h, std::int64_t w, const std::vector<const float*>& inputs, const std::vector<float*>& outputs,
           Arena& arena, std::vector<LayerTime>* times = nullptr) const;

 private:
  friend class FusedGradient;
  friend class FusedRun;
  friend class FusedSchedule;

  struct ValueShape {
    std::int64_t channels;
    int level;
    bool activated;
  };

  /// Adds a layer and the value it makes.
  Value add_layer(std::shared_ptr<FusedLayer> layer, const ValueShape& makes);
  const ValueShape& shape_of(Value x) const { return values_[static_cast<std::size_t>(x)]; }
  void check_value(const char* layer, Value x) const;
  void check_convolution(const char* layer, const std::vector<Value>& x, const Variable<float>& weight,
                         const Variable<float>& bias) const;
  /// Throws Error, with the reason, if the net is not runnable() or the sides are invalid.
  void check_runnable(std::int64_t h, std::int64_t w) const;
  std::int64_t output_channels() const { return output_channels_; }
  int level_of(const FusedLayer& layer) const;
  ConvAlgorithm algorithm(const FusedLayer& layer, std::int64_t n, std::int64_t h, std::int64_t w) const;
  static std::int64_t at_level(std::int64_t size, int level) {
    for (; level > 0; --level) size = (size + 1) / 2;
    return size;
  }
  LayerTime describe(const FusedLayer& layer, ConvAlgorithm algorithm, std::int64_t h, std::int64_t w) const;

  float slope_;
  FusedOptions options_;
  std::vector<std::int64_t> input_sizes_;
  std::vector<ValueShape> values_;
  std::vector<std::shared_ptr<const FusedLayer>> layers_;  // each after those it reads
  std::int64_t output_channels_ = 0;
};

/// Rows first <= y < end of a picture.
struct RowSpan {
  std::int64_t first = 0, end = 0;
};

/// A streaming run of a net on one picture: rows are requested when they are needed and delivered as soon as they are
/// done, so that the picture's planes need not all be in memory. The same bits as FusedNet::run.
class FusedRun {
 public:
  /// Fills rows y0 <= y < y1 of every input channel, planes[c] of (y1 - y0) * w. Rows are requested once, in order.
  using Source = std::function<void(std::int64_t y0, std::int64_t y1, float* const* planes)>;
  /// Receives rows y0 <= y < y1 of the output channels first <= c < first + count, planes[c - first] of (y1 - y0) * w.
  /// Each channel's rows arrive in order; those of one output node arrive together, other nodes may be ahead or behind.
  using Sink = std::function<void(std::int64_t first, std::int64_t count, std::int64_t y0, std::int64_t y1,
                                  const float* const* planes)>;
  /// Whether a run of a part gives rows of inner values to others, and gets theirs.
  enum class Sharing { kNone, kExchanges };

  /// The layers' memory comes from `arena`, which must not be used otherwise meanwhile. Throws Error if the net is not
  /// runnable(), a side is not positive, or there is no source or sink.
  FusedRun(const FusedNet& net, std::int64_t h, std::int64_t w, Source source, Sink sink, Arena& arena)
      : FusedRun(net, h, w, {0, h}, std::move(source), std::move(sink), arena) {}
  /// Makes only the rows `part` of the outputs, with the bits that they have in the whole picture, and requests only the
  /// rows needs() of the inputs. So several machines, or instances without shared memory, can divide a picture. Throws
  /// Error also for a part that is empty or not in the picture.
  FusedRun(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part, Source source, Sink sink, Arena& arena)
      : FusedRun(net, h, w, part, Sharing::kNone, std::move(source), std::move(sink), arena) {}
  /// The same in a run that exchanges rows: at a few of the net's inner values, its exchanges(), each part makes its own
  /// rows alone and is given the others', and so need not compute what its neighbours compute as well. For restoration
  /// on two halves of 600x400 that is a quarter of the work, for larger pictures less. The whole picture has to be
  /// divided among such runs of the same net and size. A part that is not the whole needs 2^l rows, l being the deepest
  /// level with an exchange (8 rows for restoration), else Error. What a run holds grows with the rows of its part, since
  /// layers wait for exchanges.
  FusedRun(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part, Sharing sharing, Source source, Sink sink,
           Arena& arena);
  ~FusedRun();
  FusedRun(const FusedRun&) = delete;
  FusedRun& operator=(const FusedRun&) = delete;

  /// Continues until the rows before `rows` of every output are done, or all. Throws Error if an exchange that lacks rows
  /// comes first.
  void advance(std::int64_t rows);

  /// Rows of one value that a run makes, and those that it needs: others make the rest. A row has `floats` numbers, whose
  /// order is the kernels' own: the runs must use the same kernels.
  struct Exchange {
    RowSpan made, needed;
    std::int64_t floats;
  };
  /// In the order in which they take place; empty in a run that shares no work.
  const std::vector<Exchange>& exchanges() const;
  /// Continues until the rows `made` of the next exchange are there, and returns its number; after the last one it does
  /// nothing, and returns exchanges().size(). Throws Error if the exchange before lacks rows.
  std::size_t advance_to_exchange();
  /// Copies some of the rows `made` of the exchange that was reached, or gives it rows that another run has made: all of
  /// `needed` that are not `made`, each once. (end - first) * floats values. Throws Error for other rows, and where the
  /// run is at no exchange.
  void get_rows(RowSpan rows, float* to) const;
  void put_rows(RowSpan rows, const float* from);

  /// The rows of a picture of h x w pixels that a part of the outputs depends on: those that the nets' layers reach, and
  /// what completes tiles of Winograd's algorithm. Throws Error as the constructor does.
  static RowSpan needs(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part,
                       Sharing sharing = Sharing::kNone);

  /// Memory of such a run in bytes: the arena, the weights, and rows of inputs and outputs. Throws Error as the
  /// constructor does.
  static std::uint64_t bytes(const FusedNet& net, std::int64_t h, std::int64_t w) { return bytes(net, h, w, {0, h}); }
  static std::uint64_t bytes(const FusedNet& net, std::int64_t h, std::int64_t w, RowSpan part,
                             Sharing sharing = Sharing::kNone);

 private:
  friend class FusedNet;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace kind
