#pragma once

#include "core/kernels/kernels.h"

namespace kind {

/// Plain loops that state what each kernel computes: the yardstick for the fast ones, and what runs where none fits.
template <class T>
const Kernels<T>& ref_kernels();

}  // namespace kind
