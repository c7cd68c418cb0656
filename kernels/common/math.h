// Integer helpers that the host and the device share.
#pragma once

#include <cstdint>

#include "kernels/common/host_device.h"

namespace incipit::kernels {

HOST_DEVICE constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}
HOST_DEVICE constexpr int64_t round_up(int64_t a, int64_t b) {
  return ceil_div(a, b) * b;
}

}  // namespace incipit::kernels
