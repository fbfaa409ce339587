#pragma once

#include <cstdint>
#include <optional>

#include "core/base/random.h"
#include "core/tensor/tensor.h"

namespace kind {

// Augmentation of a training sample [planes, size, size] that begins with `pictures` RGB pictures of the same crop, the
// dark one first, values 0..1. All draws come from `random`.

/// Puts a light source into all pictures: one to three round lamps (from less than a pixel to a third of the sample), a
/// bright window, or everything outside a window, like a white border. It has one tint; its largest channel is 0.3 to 1
/// in the dark picture, often 1, and 1 in the others. Edges are sharp or soft.
void put_lamps(Tensor<float>& sample, std::int64_t pictures, Random& random);

/// Adds white noise with a standard deviation from 0 to 0.06 to the dark picture, and clips the sum to 0..1.
void add_noise(Tensor<float>& sample, Random& random);

/// Permutes red, green and blue, equally in all pictures (one of the other five orders).
void shuffle_colors(Tensor<float>& sample, std::int64_t pictures, Random& random);

/// Rotates and scales the colours of all pictures equally about the gray axis: x' = m + s turn(x - m), where m is the
/// mean of a pixel's red, green and blue, and turn a rotation about the axis (1, 1, 1). The angle is uniform in
/// -180..180 degrees, s uniform in 0..1.6, limited such that 99 of 100 pixels of the second picture, the bright one,
/// stay within 0..1. Every pixel keeps its m, unless the final clipping to 0..1 changes it.
void turn_colors(Tensor<float>& sample, std::int64_t pictures, Random& random);

/// Makes the pictures gray: every pixel becomes the mean of its red, green and blue.
void make_gray(Tensor<float>& sample, std::int64_t pictures);

/// mixup (Zhang, Cisse, Dauphin and Lopez-Paz, ICLR 2018): each sample of the batch [n, planes, h, w] becomes, with
/// probability `share`, m x + (1 - m) y in all planes, where y is the next sample before mixing (cyclically) and m is
/// drawn from Beta(1.2, 1.2). If `batch` holds samples `first`, first + 1 ... of a batch of `whole` samples, all but the
/// last of them become what they would become there.
void mix_samples(Tensor<float>& batch, double share, Random& random, std::int64_t first = 0,
                 std::optional<std::int64_t> whole = {});

}  // namespace kind
