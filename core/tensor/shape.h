#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <limits>
#include <string>
#include <vector>

namespace kind {

/// The sizes of a tensor's axes, outermost first; pictures are [n, c, h, w]. At most kMaxRank axes. Rank 0 is a
/// scalar of one element. Axes of size 0 are allowed and make the tensor empty.
class Shape {
 public:
  static constexpr int kMaxRank = 6;
  /// The most elements of a shape without axes of size 0, and the most of one axis. The bound keeps size arithmetic
  /// (a few such sizes added, or one times a few bytes) clear of overflow.
  static constexpr std::int64_t kMaxSize = std::numeric_limits<std::int64_t>::max() / 64;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes);
  explicit Shape(const std::vector<std::int64_t>& sizes);

  int rank() const { return rank_; }
  /// Size of an axis; negative axes count from the end (-1 is the last). Throws Error if there is no such axis.
  std::int64_t operator[](int axis) const { return sizes_[static_cast<std::size_t>(normalize_axis(axis))]; }
  /// The same shape with one axis' size replaced.
  Shape with(int axis, std::int64_t size) const;
  /// Number of elements.
  std::int64_t size() const;
  /// 0..rank-1 for an axis that may count from the end; throws Error if there is none.
  int normalize_axis(int axis) const {
    const int from_start = axis < 0 ? axis + rank_ : axis;
    if (from_start < 0 || from_start >= rank_) [[unlikely]]
      no_axis(axis);
    return from_start;
  }
  /// For messages: [1, 3, 400, 600].
  std::string text() const;

  bool operator==(const Shape& other) const;
  bool operator!=(const Shape& other) const { return !(*this == other); }

 private:
  void assign(const std::int64_t* sizes, std::size_t rank);
  [[noreturn, gnu::cold]] void no_axis(int axis) const;

  std::array<std::int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

/// Writes shape.text(). Passing a Shape to check() is cheap.
std::ostream& operator<<(std::ostream& out, const Shape& shape);

/// The shape two operands have after broadcasting (NumPy's rule: aligned at the last axis, sizes equal or 1). Throws
/// Error naming `op` and both shapes if they do not fit.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);

}  // namespace kind
