#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "layers/fused/fused_net.h"

namespace kind {

/// The row (or column) at index `i`, inside or outside 0 <= i < size, under reflection padding with repeated edges
/// (NumPy's symmetric): ..., 1, 0, 0, 1, ..., size - 1, size - 1, size - 2, ... Throws Error for sizes below 1.
std::int64_t mirrored_index(std::int64_t i, std::int64_t size);

/// x [n, c, h, w] with `margin` rows and columns of reflection padding on each side: [n, c, h + 2 margin, w + 2
/// margin]. Throws Error for other shapes or a negative margin; so does cropped().
Tensor<float> mirrored(const Tensor<float>& x, std::int64_t margin);
/// x [n, c, h, w] without `margin` rows and columns on each side.
Tensor<float> cropped(const Tensor<float>& x, std::int64_t margin);

/// FusedRun on a picture with `margin` rows and columns of reflection padding on each side, which are cropped from the
/// outputs. (Zero-padded convolutions leave a line along a picture's border.) Source and sink handle the unpadded
/// picture.
class MirroredRun {
 public:
  /// As FusedRun, margin >= 0, else Error.
  MirroredRun(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, FusedRun::Source source,
              FusedRun::Sink sink, Arena& arena)
      : MirroredRun(net, h, w, margin, {0, h}, std::move(source), std::move(sink), arena) {}
  /// Makes only the rows `part` of the outputs, from the rows needs() of the inputs, as FusedRun does.
  MirroredRun(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
              FusedRun::Source source, FusedRun::Sink sink, Arena& arena)
      : MirroredRun(net, h, w, margin, part, FusedRun::Sharing::kNone, std::move(source), std::move(sink), arena) {}
  /// In a run that exchanges rows, inner() has the exchanges; all of them come before advance(), which otherwise throws
  /// Error.
  MirroredRun(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
              FusedRun::Sharing sharing, FusedRun::Source source, FusedRun::Sink sink, Arena& arena);
  ~MirroredRun();
  MirroredRun(const MirroredRun&) = delete;
  MirroredRun& operator=(const MirroredRun&) = delete;

  /// Continues until the rows before `rows` of every output are done, or all.
  void advance(std::int64_t rows);

  /// The run on the padded picture.
  FusedRun& inner() { return *run_; }

  /// The rows of the unpadded picture that a part of the outputs depends on.
  static RowSpan needs(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
                       FusedRun::Sharing sharing = FusedRun::Sharing::kNone);

  /// Memory of such a run in bytes, see FusedRun::bytes.
  static std::uint64_t bytes(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin) {
    return bytes(net, h, w, margin, {0, h});
  }
  static std::uint64_t bytes(const FusedNet& net, std::int64_t h, std::int64_t w, std::int64_t margin, RowSpan part,
                             FusedRun::Sharing sharing = FusedRun::Sharing::kNone);

 private:
  struct Margin;
  std::unique_ptr<Margin> around_;  // null without a margin
  std::optional<FusedRun> run_;
  std::int64_t margin_;
};

}  // namespace kind
