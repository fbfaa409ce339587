#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/autograd/batch_part.h"
#include "layers/module.h"
#include "train/parallel/communicator.h"

namespace kind {

/// A rank's pairs of a batch.
struct PairRange {
  std::int64_t first = 0, count = 0;
};

/// Divides a batch of `pairs` pairs among `ranks` ranks: every rank gets one node of the tree in which pairs are added
/// (merge_pairs), so that sums within the ranks and among them are parts of the same tree. Both halves of the ranks get
/// the halves of the pairs, and so on; ranks beyond the number of pairs get none. With a power of two of ranks the
/// shares differ by one pair at most; with others, the largest share can be as large as with the next lower power.
std::vector<PairRange> divide_pairs(std::int64_t pairs, int ranks);

/// What a rank does of every batch of a stage, and the sums over the whole batch. Called by the thread that made it.
class BatchShare {
 public:
  /// For the gradients of these parameters. Collective.
  BatchShare(Communicator& ranks, std::int64_t pairs, const Parameters<float>& parameters);
  /// Where gradients have begun to be added up and not ended, as after an error, the program must end by
  /// Communicator::abort().
  ~BatchShare();

  /// Empty if there are more ranks than pairs, for the last ones.
  const PairRange& range() const { return range_; }
  /// For BatchScope; null if range() is empty.
  const BatchPart* part() const { return part_.get(); }

  /// Runs `backward`, and replaces the gradients of this rank's pairs by those of the whole batch, on every rank: added in
  /// the order of merge_pairs, so they have the same bits for any number of ranks. `backward` calls the function that it is
  /// given for each parameter whose gradient is complete (GradientReady); those are sent while it goes on computing others.
  /// A gradient that rank 0 does not have is left out. Each rank sends and receives each gradient about twice, whatever
  /// the number of ranks. Collective; ranks without pairs have no gradients.
  void add_up(const std::function<void(const GradientReady<float>& ready)>& backward);

 private:
  class Sums;

  std::vector<char> of_first_rank();

  Communicator& ranks_;
  int active_;  // the first ranks, which have pairs
  PairRange range_;
  Parameters<float> parameters_;
  std::unique_ptr<Communicator> active_ranks_;
  std::unique_ptr<BatchPart> part_;
  std::unique_ptr<Sums> sums_;  // null for one rank
};

}  // namespace kind
