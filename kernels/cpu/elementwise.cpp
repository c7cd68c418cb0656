#include "kernels/cpu/elementwise_kernels.h"

namespace incipit::kernels {

namespace scalar {
extern const ElementwiseKernels kElementwiseKernels;
}
#if defined(__x86_64__)
namespace avx2 {
extern const ElementwiseKernels kElementwiseKernels;
}
namespace avx512 {
extern const ElementwiseKernels kElementwiseKernels;
}
#endif

const ElementwiseKernels& elementwise_kernels_for(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::kAvx2:
      return avx2::kElementwiseKernels;
    case Isa::kAvx512:
      return avx512::kElementwiseKernels;
#endif
    default:
      return scalar::kElementwiseKernels;
  }
}

}  // namespace incipit::kernels
