#pragma once

#include <cstdint>

// Multiply-adds on registers alone, as many at once as the processor can have under way: what no convolution that
// multiplies directly can be faster than. Each runs `rounds` rounds, stores something of the result (so that no
// compiler leaves the work out) and returns the floating-point operations of one round.

namespace kind::bench {

std::int64_t multiply_adds_baseline(std::int64_t rounds, float* result);

namespace avx2 {
std::int64_t multiply_adds(std::int64_t rounds, float* result);
}
namespace avx512 {
std::int64_t multiply_adds(std::int64_t rounds, float* result);
}

}  // namespace kind::bench
