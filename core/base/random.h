#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>

namespace kind {

/// Counter-based random generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC
/// 2011).
///
/// A generator is a pure function of its seed and stream: `Random(seed, {epoch, sample})` gives the same numbers on
/// every machine, independent of other draws. Copying a generator copies its position in the stream.
class Random {
 public:
  /// The stream's numbers (any count) are hashed together with the seed into the generator's key and counter.
  explicit Random(std::uint64_t seed, std::initializer_list<std::uint64_t> stream = {});

  /// Uniform over all 32-bit / 64-bit values.
  std::uint32_t next_u32();
  std::uint64_t next_u64();

  /// Uniform in [0, 1) with 53 bits.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in 0..count-1, unbiased; count must be at least 1.
  std::uint64_t below(std::uint64_t count);
  /// Normal with mean 0 and standard deviation 1 (Box and Muller 1958).
  double normal();

 private:
  std::array<std::uint32_t, 2> key_{};
  std::array<std::uint32_t, 4> counter_{};
  std::array<std::uint32_t, 4> block_{};
  int used_ = 4;
};

/// Mixes 64 bits so that each output bit depends on each input bit (SplitMix64's finaliser, Steele et al. 2014).
std::uint64_t mix64(std::uint64_t x);

}  // namespace kind
