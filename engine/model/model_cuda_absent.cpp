#include "engine/model/create_model.h"

namespace incipit::engine {

Result<std::unique_ptr<Model>> create_cuda_model(const std::filesystem::path&, const EngineOptions&,
                                                 const ModelLimits&) {
  return Error{ErrorCode::kUnsupported, "this build has no CUDA backend"};
}

}  // namespace incipit::engine
