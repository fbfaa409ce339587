#pragma once

#include "core/kernels/kernels.h"

namespace kind {

/// Plain loops that define what each kernel computes: the reference for the fast kernels, and the fallback if none
/// fits.
template <class T>
const Kernels<T>& ref_kernels();

}  // namespace kind
