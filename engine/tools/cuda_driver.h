// Whether this machine has a CUDA driver, found without linking to it. Called by diagnose().
#pragma once

#include <string>
#include <vector>

namespace incipit::engine {

struct CudaDriver {
  bool present = false;
  std::string failure;               // why no device can be used; empty when there are devices
  std::vector<std::string> devices;  // "NVIDIA GeForce RTX 3060"
};

CudaDriver probe_cuda_driver();

}  // namespace incipit::engine
