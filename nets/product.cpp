#include "nets/product.h"

#include "core/base/parallel.h"

namespace kind {

void multiply_rows(std::int64_t count, const float* const* color, const float* light, float* const* out) {
  parallel_for(count, 16384, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      float red = color[0][i] * light[i], green = color[1][i] * light[i], blue = color[2][i] * light[i];
      clip_color(red, green, blue);
      out[0][i] = red;
      out[1][i] = green;
      out[2][i] = blue;
    }
  });
}

}  // namespace kind
