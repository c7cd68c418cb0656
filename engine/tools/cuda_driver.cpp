#include "engine/tools/cuda_driver.h"

#include <dlfcn.h>
#include <fmt/core.h>

namespace incipit::engine {
namespace {

// Of the CUDA driver API: every call returns 0 for success, handles are ints.
using CuInit = int (*)(unsigned flags);
using CuDeviceGetCount = int (*)(int* count);
using CuDeviceGet = int (*)(int* device, int ordinal);
using CuDeviceGetName = int (*)(char* name, int length, int device);

template <class Function>
Function symbol(void* library, const char* name) {
  return reinterpret_cast<Function>(::dlsym(library, name));
}

}  // namespace

CudaDriver probe_cuda_driver() {
  CudaDriver driver;
  // Never closed: the driver does not expect to be unloaded.
  void* library = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    driver.failure = "libcuda.so.1 is not installed";
    return driver;
  }
  driver.present = true;
  const auto init = symbol<CuInit>(library, "cuInit");
  const auto get_count = symbol<CuDeviceGetCount>(library, "cuDeviceGetCount");
  const auto get_device = symbol<CuDeviceGet>(library, "cuDeviceGet");
  const auto get_name = symbol<CuDeviceGetName>(library, "cuDeviceGetName");
  if (init == nullptr || get_count == nullptr || get_device == nullptr || get_name == nullptr) {
    driver.failure = "libcuda.so.1 lacks the driver functions";
    return driver;
  }
  int count = 0;
  int status = init(0);
  if (status == 0) status = get_count(&count);
  if (status != 0) {
    driver.failure = fmt::format("the driver answers with error {}", status);
    return driver;
  }
  for (int i = 0; i < count; ++i) {
    int device = 0;
    char name[256] = {};
    if (get_device(&device, i) == 0 && get_name(name, sizeof(name) - 1, device) == 0) {
      driver.devices.emplace_back(name);
    }
  }
  if (driver.devices.empty()) driver.failure = "the driver sees no device";
  return driver;
}

}  // namespace incipit::engine
