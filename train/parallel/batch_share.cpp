#include "train/parallel/batch_share.h"

#include <algorithm>
#include <string>

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/parallel.h"
#include "core/base/sum.h"

namespace kind {
namespace {

constexpr std::int64_t kGrain = 32768;

/// Sums over the parts of the first ranks, which hold one node each of the tree of pairs.
class RanksPart : public BatchPart {
 public:
  RanksPart(Communicator& ranks, std::int64_t pairs, std::int64_t whole) : BatchPart(pairs, whole), ranks_(ranks) {}

 protected:
  void add_parts(std::span<double> sums) const override {
    const std::size_t count = sums.size();
    std::vector<double> all(count * static_cast<std::size_t>(ranks_.size()));
    ranks_.gather(sums.data(), count * sizeof(double), all.data());
    for (std::size_t i = 0; i < count; ++i) {
      sums[i] = sum_of_pairs(ranks_.size(), all.data() + i, static_cast<std::int64_t>(count));
    }
  }
  void extend_parts(double& least, double& greatest) const override {
    const double mine[2] = {least, greatest};
    std::vector<double> all(2 * static_cast<std::size_t>(ranks_.size()));
    ranks_.gather(mine, sizeof mine, all.data());
    for (std::size_t i = 0; i < all.size(); i += 2) {
      least = std::min(least, all[i]);
      greatest = std::max(greatest, all[i + 1]);
    }
  }

 private:
  Communicator& ranks_;
};

void divide(std::int64_t first, std::int64_t pairs, int ranks, std::vector<PairRange>& ranges) {
  if (ranks == 1) {
    ranges.push_back({first, pairs});
    return;
  }
  const std::int64_t half = (pairs + 1) / 2;
  divide(first, half, (ranks + 1) / 2, ranges);
  divide(first + half, pairs - half, ranks / 2, ranges);
}

}  // namespace

std::vector<PairRange> divide_pairs(std::int64_t pairs, int ranks) {
  std::vector<PairRange> ranges;
  divide(0, pairs, static_cast<int>(std::min<std::int64_t>(pairs, ranks)), ranges);
  ranges.resize(static_cast<std::size_t>(ranks), {pairs, 0});
  return ranges;
}

BatchShare::BatchShare(Communicator& ranks, std::int64_t pairs)
    : ranks_(ranks),
      active_(static_cast<int>(std::min<std::int64_t>(pairs, ranks.size()))),
      range_(divide_pairs(pairs, ranks.size())[static_cast<std::size_t>(ranks.rank())]),
      active_ranks_(ranks.first(active_)) {
  if (range_.count > 0) part_ = std::make_unique<RanksPart>(*active_ranks_, range_.count, pairs);
}

/// Those that rank 0 has a gradient of.
std::vector<Variable<float>> BatchShare::shared_gradients(const Parameters<float>& parameters) {
  std::string has(parameters.size(), '\0');
  for (std::size_t i = 0; i < has.size(); ++i) has[i] = parameters[i].variable.grad().defined() ? 1 : 0;
  ranks_.broadcast(has.data(), has.size());
  std::vector<Variable<float>> shared;
  for (std::size_t i = 0; i < has.size(); ++i) {
    if (has[i]) shared.push_back(parameters[i].variable);
  }
  return shared;
}

/// What each rank adds up.
std::vector<Communicator::Piece> BatchShare::pieces(std::int64_t floats) const {
  std::vector<Communicator::Piece> all;
  const std::int64_t size = ranks_.size();
  for (std::int64_t r = 0; r < size; ++r) {
    const std::int64_t begin = floats * r / size;
    all.push_back({begin, floats * (r + 1) / size - begin});
  }
  return all;
}

void BatchShare::add_up(const Parameters<float>& parameters) {
  if (ranks_.size() == 1) return;
  std::vector<Variable<float>> shared = shared_gradients(parameters);
  std::int64_t floats = 0;
  for (const Variable<float>& variable : shared) floats += variable.value().size();
  Buffer<float> flat(floats);
  const bool active = range_.count > 0;
  std::int64_t at = 0;
  for (const Variable<float>& variable : shared) {
    const Tensor<float>& gradient = variable.grad();
    if (active) std::copy_n(gradient.data(), gradient.size(), flat.data() + at);
    at += variable.value().size();
  }
  // Every rank adds one piece of all gradients, then all get all sums.
  const std::vector<Communicator::Piece> all = pieces(floats), nothing(all.size());
  const std::int64_t own = all[static_cast<std::size_t>(ranks_.rank())].count;
  std::vector<Communicator::Piece> received(all.size());
  for (int r = 0; r < active_; ++r) received[static_cast<std::size_t>(r)] = {r * own, own};
  Buffer<float> parts(active_ * own);
  ranks_.exchange(flat.data(), active ? all : nothing, parts.data(), received);
  merge_pairs(0, active_, [&](std::int64_t into, std::int64_t from) {
    float* to = parts.data() + into * own;
    const float* add = parts.data() + from * own;
    parallel_for(own, kGrain, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) to[i] += add[i];
    });
  });
  ranks_.exchange(parts.data(), std::vector<Communicator::Piece>(all.size(), {0, own}), flat.data(), all);
  at = 0;
  for (Variable<float>& variable : shared) {
    Tensor<float> sum(variable.shape());
    std::copy_n(flat.data() + at, sum.size(), sum.data());
    at += sum.size();
    variable.zero_grad();
    variable.add_grad(sum);
  }
}

}  // namespace kind
