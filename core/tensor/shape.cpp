#include "core/tensor/shape.h"

#include <algorithm>
#include <ostream>

#include "core/base/error.h"

namespace kind {

Shape::Shape(std::initializer_list<std::int64_t> sizes) { assign(sizes.begin(), sizes.size()); }

Shape::Shape(const std::vector<std::int64_t>& sizes) { assign(sizes.data(), sizes.size()); }

void Shape::assign(const std::int64_t* sizes, std::size_t rank) {
  check(rank <= static_cast<std::size_t>(kMaxRank), "shape: expected at most ", kMaxRank, " axes, got ", rank);
  std::int64_t left = kMaxSize;
  for (std::size_t i = 0; i < rank; ++i) {
    check(sizes[i] >= 0, "shape: an axis cannot have the negative size ", sizes[i]);
    check(sizes[i] <= left, "shape: more elements than memory can address");
    if (sizes[i] > 0) left /= sizes[i];
    sizes_[i] = sizes[i];
  }
  rank_ = static_cast<int>(rank);
}

Shape Shape::with(int axis, std::int64_t size) const {
  std::vector<std::int64_t> sizes(sizes_.begin(), sizes_.begin() + rank_);
  sizes[static_cast<std::size_t>(normalize_axis(axis))] = size;
  return Shape(sizes);
}

std::int64_t Shape::size() const {
  std::int64_t product = 1;
  for (int i = 0; i < rank_; ++i) product *= sizes_[static_cast<std::size_t>(i)];
  return product;
}

void Shape::no_axis(int axis) const { fail("shape: there is no axis ", axis, " in ", *this); }

std::string Shape::text() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) out += (i ? ", " : "") + std::to_string(sizes_[static_cast<std::size_t>(i)]);
  return out + "]";
}

bool Shape::operator==(const Shape& other) const {
  return rank_ == other.rank_ && std::equal(sizes_.begin(), sizes_.begin() + rank_, other.sizes_.begin());
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.text(); }

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(rank));
  for (int i = 1; i <= rank; ++i) {
    const std::int64_t sa = i <= a.rank() ? a[-i] : 1;
    const std::int64_t sb = i <= b.rank() ? b[-i] : 1;
    check(sa == sb || sa == 1 || sb == 1, op, ": shapes ", a, " and ", b, " cannot be broadcast together");
    sizes[static_cast<std::size_t>(rank - i)] = sa == 1 ? sb : sa;
  }
  return Shape(sizes);
}

}  // namespace kind
