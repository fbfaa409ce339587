#pragma once

#include "core/base/random.h"
#include "core/image/image.h"
#include "train/data/data_config.h"

namespace kind {

/// The dark twin of a bright picture: a model of a camera with a shorter exposure. With x_c(p) the picture's linear
/// light (IEC 61966-2-1 decoding) in channel c at pixel p, and all ranges from the config:
///   light_c(p) = b_c E(p) x_c(p),   E(p) = e 2^(-F t(p)) (1 - m(p)) + e_w m(p)
///   sigma_c(p) = k sqrt(g_c shot_noise light_c(p) + g_c^2 read_noise^2)
///   dark_c(p)  = encode(min(max(light_c(p) + noise_c(p), 0), 1))^gamma, rounded to 8 bits, then JPEG
/// sigma is the noise of photons and sensor (Foi et al., IEEE Transactions on Image Processing 17, 2008); e exposure, k
/// noise factor, g_R and g_B gains of red and blue (log-uniform; g_G = 1), gamma (uniform); b the error of the white
/// balance: 1 for green, 2^u for red and blue, u uniform; F the fall-off in stops (uniform) along a random direction,
/// in which t goes from 0 to 1 over the picture; m in 0..1 the window: a rectangle, an ellipse or a sky, with its
/// exposure e_w (log-uniform), hard edges or soft.
///
/// Without a mosaic noise_c(p) = sigma_c(p) N(0, 1), independent. With one, each pixel has the noise of the one channel
/// that a Bayer sensor measures there, and noise_c is its bilinear demosaicing; with "picture" the light also passes
/// through the mosaic, limited to g_c, where the sensor saturates.
///
/// Parts that the config disables draw nothing from `random`. 8-bit RGB in, 8-bit RGB out.
Image darken(const Image& bright, const CameraConfig& config, Random& random);

}  // namespace kind
