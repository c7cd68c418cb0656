#include "kernels/cuda/cublas_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <iterator>
#include <utility>

namespace incipit::kernels::cuda {

namespace {

constexpr int kVersions[] = {CUBLAS_VER_MAJOR, 13, 12};

std::string file_name(int version) {
  return "libcublas.so." + std::to_string(version);
}

// False, and what is missing, when there is no such function.
template <class Function>
bool find(void* library, const char* name, Function*& function, std::string& failure) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  if (function == nullptr) failure = std::string("has no ") + name;
  return function != nullptr;
}

}  // namespace

std::vector<std::string> cublas_candidates() {
  std::vector<std::string> roots;
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"})
    if (const char* root = std::getenv(variable); root != nullptr && *root != '\0')
      roots.emplace_back(root);
  roots.insert(roots.end(), {"/usr/local/cuda", "/opt/cuda"});
  std::vector<std::string> candidates;
  for (size_t i = 0; i < std::size(kVersions); ++i) {
    if (i > 0 && kVersions[i] == CUBLAS_VER_MAJOR) continue;
    const std::string name = file_name(kVersions[i]);
    candidates.push_back(name);
    for (const std::string& root : roots)
      for (const char* folder : {"/lib64/", "/lib/"}) candidates.push_back(root + folder + name);
  }
  return candidates;
}

CublasSearch load_cublas(std::span<const std::string> candidates) {
  CublasSearch search;
  for (const std::string& name : candidates) {
    std::string failure;
    CublasLibrary found;
    found.name = name;
    void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* const why = ::dlerror();
      failure = why == nullptr ? name + ": cannot be opened" : why;
    } else if (find(library, "cublasCreate_v2", found.create, failure) &&
               find(library, "cublasDestroy_v2", found.destroy, failure) &&
               find(library, "cublasSetStream_v2", found.set_stream, failure) &&
               find(library, "cublasSetWorkspace_v2", found.set_workspace, failure) &&
               find(library, "cublasGetStatusString", found.status_string, failure) &&
               find(library, "cublasGemmEx", found.gemm_ex, failure)) {
      search.library = std::move(found);
      search.failure.clear();
      return search;
    } else {
      failure = name + ": " + failure;
      (void)::dlclose(library);
    }
    if (search.failure.empty()) search.failure = std::move(failure);
  }
  return search;
}

const CublasSearch& find_cublas() {
  static const CublasSearch search = load_cublas(cublas_candidates());
  return search;
}

const CublasLibrary* cublas_library() {
  const CublasSearch& search = find_cublas();
  return search.library ? &*search.library : nullptr;
}

std::string how_to_install_cublas() {
  return "install cuBLAS (NVIDIA's package libcublas-" + std::to_string(CUBLAS_VER_MAJOR) +
         "-0, or the whole CUDA Toolkit), or add the folder of " + file_name(CUBLAS_VER_MAJOR) +
         " to LD_LIBRARY_PATH";
}

}  // namespace incipit::kernels::cuda
