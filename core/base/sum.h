#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/parallel.h"

namespace kind {

/// Sum in double of term(begin) to term(end - 1), in an order that depends only on the range. It uses eight running
/// sums, so that compilers can vectorise it and additions do not wait for each other.
template <class Term>
double sum_of(std::int64_t begin, std::int64_t end, const Term& term) {
  constexpr int kLanes = 8;
  double lanes[kLanes] = {};
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] += static_cast<double>(term(i + lane));
  }
  for (; i < end; ++i) lanes[0] += static_cast<double>(term(i));
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

/// The same in parallel: pieces of a fixed size, whose sums are added in order.
template <class Term>
double parallel_sum(std::int64_t count, const Term& term) {
  constexpr std::int64_t kPiece = 8192, kPiecesAtOnce = 8;
  const std::int64_t pieces = (count + kPiece - 1) / kPiece;
  if (pieces <= 1) return sum_of(0, count, term);
  std::vector<double> sums(static_cast<std::size_t>(pieces));
  parallel_for(pieces, kPiecesAtOnce, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t piece = begin; piece < end; ++piece) {
      sums[static_cast<std::size_t>(piece)] = sum_of(piece * kPiece, std::min(count, (piece + 1) * kPiece), term);
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

/// The order in which sums over the pairs of a batch are added, a binary tree: the sum of the first ceil(count / 2) pairs
/// plus that of the others, and so within both. Calls merge(into, from) for every addition, where the sum of some pairs
/// lies at the place of the first of them; the sum of all ends up at `first`. The tree of some pairs depends only on
/// their number, so programs that hold one node of it each get the same bits as one that holds them all.
template <class Merge>
void merge_pairs(std::int64_t first, std::int64_t count, const Merge& merge) {
  if (count < 2) return;
  const std::int64_t half = (count + 1) / 2;
  merge_pairs(first, half, merge);
  merge_pairs(first + half, count - half, merge);
  merge(first, first + half);
}

/// The same for numbers, which are overwritten: `stride` apart, the sum of all is the first one.
template <class T>
T sum_of_pairs(std::int64_t count, T* values, std::int64_t stride = 1) {
  merge_pairs(0, count, [=](std::int64_t into, std::int64_t from) { values[into * stride] += values[from * stride]; });
  return count > 0 ? values[0] : T(0);
}

}  // namespace kind
