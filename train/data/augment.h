#pragma once

#include <cstdint>

#include "core/base/random.h"
#include "core/tensor/tensor.h"

namespace kind {

// Changes to a training sample [planes, size, size] that begins with `pictures` RGB pictures of one place, the dark one
// first, values 0..1. All draws come from `random`.

/// Puts what shines by itself into all of the pictures: one to three round lamps (from less than a pixel to a third of
/// the sample), a bright window, or everything outside of one, as a white border would be. It has one tint; its largest
/// channel is 0.3 to 1 in the dark picture, often 1, and 1 in the others. Edges are sharp or soft.
void put_lamps(Tensor<float>& sample, std::int64_t pictures, Random& random);

/// Adds white noise to the dark picture, a standard deviation from 0 to 0.06, and clips the sum to 0..1.
void add_noise(Tensor<float>& sample, Random& random);

/// One of the other five orders of red, green and blue, for all of the pictures alike.
void shuffle_colors(Tensor<float>& sample, std::int64_t pictures, Random& random);

/// Turns and stretches the colors of all pictures alike about the gray axis: x' = m + s turn(x - m), where m is the
/// mean of a pixel's red, green and blue, and turn a rotation about the axis (1, 1, 1). The angle is uniform in
/// -180..180 degrees, s uniform in 0..1.6 but at most what keeps 99 of 100 pixels of the second picture, the bright
/// one, within 0..1. Every pixel keeps its m, unless it is clipped to 0..1 in the end.
void turn_colors(Tensor<float>& sample, std::int64_t pictures, Random& random);

/// Every pixel of the pictures becomes the mean of its red, green and blue.
void make_gray(Tensor<float>& sample, std::int64_t pictures);

/// mixup (Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018): a sample of the batch [n, planes, h, w] that is drawn, by
/// chance `share`, becomes m x + (1 - m) y in all of its planes, y the next sample as it was (of the last one the
/// first), m drawn from Beta(1.2, 1.2).
void mix_samples(Tensor<float>& batch, double share, Random& random);

}  // namespace kind
