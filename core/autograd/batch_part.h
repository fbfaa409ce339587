#pragma once

#include <cstdint>
#include <span>

namespace kind {

/// The part of a training batch that this program holds, if several share a batch: whole pairs of pictures. A tensor of
/// n pictures made from it has n / pairs pictures of each pair, picture i of pair i % pairs.
///
/// Whatever depends on more than one pair asks here, so that its bits do not depend on how a batch is divided: sums over
/// pairs go through total() or have the order of merge_pairs (core/base/sum.h), and counts are those of the whole batch.
/// Where no part is set (BatchScope), the tensor at hand is the whole batch, and each of its pictures a pair.
class BatchPart {
 public:
  /// `pairs` of the batch's `whole` pairs, at least one.
  BatchPart(std::int64_t pairs, std::int64_t whole);
  virtual ~BatchPart() = default;

  /// The pairs of a tensor of n pictures. Throws Error if they do not divide n.
  static std::int64_t pairs_of(std::int64_t n);
  /// How many pictures the tensor would have if it was made from the whole batch.
  static std::int64_t whole(std::int64_t n);
  /// The sum of a number of every pair over the whole batch, in the order of merge_pairs; overwrites them. All parts of
  /// a batch must call it, in the same order.
  static double total(std::span<double> of_pairs);
  /// The same of several numbers of every pair, values[i * pairs + pair]: result i is at values[i * pairs].
  static void totals(std::span<double> values, std::int64_t pairs);
  /// The least and the greatest value over the whole batch; as total().
  static void extend(double& least, double& greatest);
  /// The part that this thread works on, for a backward pass that runs later; null where that is the whole batch.
  static const BatchPart* current();

 protected:
  // Between the parts of a batch.

  /// Replaces sums over this part's pairs by those over the whole batch.
  virtual void add_parts(std::span<double> /*sums*/) const {}
  virtual void extend_parts(double& /*least*/, double& /*greatest*/) const {}

 private:
  friend class BatchScope;

  std::int64_t pairs_, whole_;
};

/// Sets the part that this thread works on while an object is alive; null: none, tensors are whole batches.
class BatchScope {
 public:
  explicit BatchScope(const BatchPart* part);
  ~BatchScope();
  BatchScope(const BatchScope&) = delete;
  BatchScope& operator=(const BatchScope&) = delete;

 private:
  const BatchPart* before_;
};

}  // namespace kind
