#include "core/kernels/kernels.h"

#include <atomic>
#include <cstdlib>

#include "core/base/error.h"
#include "core/kernels/baseline/conv2d.h"
#include "core/kernels/gemm_conv.h"
#include "core/kernels/ref/conv2d.h"

namespace kind {

// What the folder of an instruction set defines; their tables of inner loops, and a matrix product where it has one.
namespace baseline {
const BlockKernels* block_kernels();
}
namespace avx2 {
const BlockKernels* block_kernels();
const GemmMicroKernel<float>& gemm_kernel();
}  // namespace avx2
namespace avx512 {
const BlockKernels* block_kernels();
const GemmMicroKernel<float>& gemm_kernel();
}  // namespace avx512

namespace {

#if defined(KIND_HAS_X86_KERNELS)

template <const GemmMicroKernel<float>& (*kMicro)()>
const Kernels<float>& gemm_kernels(const char* name) {
  static const Kernels<float> table{name,
                                    [](const Conv2dGeometry& g, const float* x, const float* weight, const float* bias,
                                       float* y) { gemm_conv2d(kMicro(), g, x, weight, bias, y); },
                                    [](const Conv2dGeometry& g, const float* weight, const float* dy, float* dx) {
                                      gemm_conv2d_input_gradient(kMicro(), g, weight, dy, dx);
                                    },
                                    [](const Conv2dGeometry& g, const float* x, const float* dy, float* dweight) {
                                      gemm_conv2d_weight_gradient(kMicro(), g, x, dy, dweight);
                                    }};
  return table;
}

// __builtin_cpu_supports also asks whether the operating system saves the wide registers.
bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
bool has_avx512() { return has_avx2() && __builtin_cpu_supports("avx512f"); }
const Kernels<float>& avx2_table() { return gemm_kernels<avx2::gemm_kernel>("avx2"); }
const Kernels<float>& avx512_table() { return gemm_kernels<avx512::gemm_kernel>("avx512"); }

#endif

bool always() { return true; }
const BlockKernels* no_block_kernels() { return nullptr; }

struct Isa {
  const char* name;
  bool (*supported)();
  const Kernels<float>& (*f32)();
  const Kernels<double>& (*f64)();
  const BlockKernels* (*blocks)();
};

// Best first. Double serves the checks of gradients only; Eigen is fast enough for them.
const Isa kIsas[] = {
#if defined(KIND_HAS_X86_KERNELS)
    {"avx512", has_avx512, avx512_table, baseline_kernels<double>, avx512::block_kernels},
    {"avx2", has_avx2, avx2_table, baseline_kernels<double>, avx2::block_kernels},
#endif
    {"baseline", always, baseline_kernels<float>, baseline_kernels<double>, baseline::block_kernels},
    {"ref", always, ref_kernels<float>, ref_kernels<double>, no_block_kernels},
};

const Isa& find_isa(const std::string& name) {
  std::string known;
  for (const Isa& isa : kIsas) {
    if (name == isa.name) {
      check(isa.supported(), "KIND_ISA: this machine cannot run the kernel set '", name, "'");
      return isa;
    }
    known += (known.empty() ? "" : ", ") + std::string(isa.name);
  }
  fail("KIND_ISA: there is no kernel set '", name, "' in this build; known: ", known);
}

const Isa& choose() {
  const char* forced = std::getenv("KIND_ISA");
  if (forced && *forced) return find_isa(forced);
  for (const Isa& isa : kIsas) {
    if (isa.supported()) return isa;
  }
  fail("kernels: no kernel set runs on this machine");
}

std::atomic<const Isa*> selected{nullptr};

const Isa& isa_in_use() {
  const Isa* isa = selected.load(std::memory_order_acquire);
  if (!isa) {
    isa = &choose();
    selected.store(isa, std::memory_order_release);
  }
  return *isa;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return isa_in_use().f32();
}

template <>
const Kernels<double>& kernels<double>() {
  return isa_in_use().f64();
}

const BlockKernels* block_kernels() { return isa_in_use().blocks(); }

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const Isa& isa : kIsas) {
    if (isa.supported()) names.emplace_back(isa.name);
  }
  return names;
}

std::string current_isa() { return isa_in_use().name; }

void select_isa(const std::string& name) { selected.store(&find_isa(name), std::memory_order_release); }

}  // namespace kind
