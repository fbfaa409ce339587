#include "core/autograd/batch_part.h"

#include "core/base/error.h"
#include "core/base/memory.h"
#include "core/base/sum.h"

namespace kind {
namespace {

thread_local const BatchPart* part = nullptr;

}  // namespace

BatchPart::BatchPart(std::int64_t pairs, std::int64_t whole) : pairs_(pairs), whole_(whole) {
  check(pairs >= 1 && pairs <= whole, "batch part: expected from 1 to ", whole, " pairs, got ", pairs);
}

const BatchPart* BatchPart::current() { return part && part->pairs_ < part->whole_ ? part : nullptr; }

std::int64_t BatchPart::pairs_of(std::int64_t n) {
  if (!part) return n;
  check(n % part->pairs_ == 0, "batch part: ", n, " pictures cannot be those of ", part->pairs_, " pairs");
  return part->pairs_;
}

std::int64_t BatchPart::whole(std::int64_t n) { return part ? n / pairs_of(n) * part->whole_ : n; }

void BatchPart::totals(std::span<double> values, std::int64_t pairs) {
  const std::int64_t count = static_cast<std::int64_t>(values.size()) / pairs;
  for (std::int64_t i = 0; i < count; ++i) sum_of_pairs(pairs, values.data() + i * pairs);
  if (!current()) return;
  Buffer<double> sums(count);
  for (std::int64_t i = 0; i < count; ++i) sums[i] = values[static_cast<std::size_t>(i * pairs)];
  part->add_parts({sums.data(), static_cast<std::size_t>(count)});
  for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i * pairs)] = sums[i];
}

double BatchPart::total(std::span<double> of_pairs) {
  totals(of_pairs, static_cast<std::int64_t>(of_pairs.size()));
  return of_pairs[0];
}

void BatchPart::extend(double& least, double& greatest) {
  if (current()) part->extend_parts(least, greatest);
}

BatchScope::BatchScope(const BatchPart* now) : before_(part) { part = now; }
BatchScope::~BatchScope() { part = before_; }

}  // namespace kind
