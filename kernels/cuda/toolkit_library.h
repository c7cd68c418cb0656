// Opening a library of the CUDA Toolkit at run time: where it may be, and its functions by name.
// Used by cublas_library.cpp and cusolver_library.cpp; host code, any thread.
#pragma once

#include <dlfcn.h>

#include <cstdlib>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace incipit::kernels::cuda {

// File names in the order in which they are tried: for each version ("libcublas.so." and 13) the
// bare name, for the loader, and then the folders where CUDA Toolkits are.
inline std::vector<std::string> toolkit_candidates(const std::string& stem,
                                                   std::span<const int> versions) {
  std::vector<std::string> roots;
  for (const char* variable : {"CUDA_PATH", "CUDA_HOME"})
    if (const char* root = std::getenv(variable); root != nullptr && *root != '\0')
      roots.emplace_back(root);
  roots.insert(roots.end(), {"/usr/local/cuda", "/opt/cuda"});
  std::vector<std::string> candidates;
  for (size_t i = 0; i < versions.size(); ++i) {
    if (i > 0 && versions[i] == versions[0]) continue;
    const std::string name = stem + std::to_string(versions[i]);
    candidates.push_back(name);
    for (const std::string& root : roots)
      for (const char* folder : {"/lib64/", "/lib/"}) candidates.push_back(root + folder + name);
  }
  return candidates;
}

// False, and what is missing, when there is no such function.
template <class Function>
bool find_function(void* library, const char* name, Function*& function, std::string& failure) {
  function = reinterpret_cast<Function*>(::dlsym(library, name));
  if (function == nullptr) failure = std::string("has no ") + name;
  return function != nullptr;
}

// The first of the candidates that can be opened and whose functions `bind` finds. Search has
// `library` (optional, with a `name`) and `failure`, which is the first candidate's.
template <class Search, class Bind>
Search open_first(std::span<const std::string> candidates, const Bind& bind) {
  Search search;
  for (const std::string& name : candidates) {
    std::string failure;
    typename decltype(search.library)::value_type found;
    found.name = name;
    void* const library = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      const char* const why = ::dlerror();
      failure = why == nullptr ? name + ": cannot be opened" : why;
    } else if (bind(library, found, failure)) {
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

}  // namespace incipit::kernels::cuda
