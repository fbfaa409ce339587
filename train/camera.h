#pragma once

#include "core/base/random.h"
#include "core/io/image.h"
#include "train/config.h"

namespace kind {

/// The dark twin of a bright picture, as a camera at a shorter exposure would have seen it. With x the picture's linear
/// light (IEC 61966-2-1 decoding) and exposure e and gamma drawn from the config's ranges (e log-uniform):
///   light = e x + sqrt(shot_noise e x + read_noise^2) N(0, 1)    photon and sensor noise (Foi et al., IEEE TIP 2008)
///   dark  = encode(max(light, 0))^gamma, rounded to 8 bits
/// The noise is independent for each value. 8-bit RGB in, 8-bit RGB out.
Image darken(const Image& bright, const CameraConfig& config, Random& random);

}  // namespace kind
