// The parts of diagnose(), apart for size: diagnose_machine.cpp, diagnose_cuda.cpp and
// diagnose_model.cpp. Included by engine/tools/diagnose*.cpp and their test
// alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/config/model_config.h"
#include "engine/model/cuda_device.h"
#include "engine/tools/diagnose.h"

namespace incipit::engine {

std::string in_mib(int64_t bytes);  // "43.5 MiB"

void diagnose_cpu(std::vector<Finding>& findings);
void diagnose_cuda(const EngineOptions& options, std::vector<Finding>& findings);
Finding diagnose_cublas(const CublasProbe& cublas);
// Whether the model fits the GPU, with contexts of 8192 and 16384 tokens (or the one asked for).
void diagnose_cuda_memory(int64_t weight_bytes, const ModelConfig& config,
                          const EngineOptions& options, std::vector<Finding>& findings);
// `weight_bytes` of the packed model and what its KV pages take by default.
void diagnose_memory(int64_t weight_bytes, const ModelConfig& config, const EngineOptions& options,
                     std::vector<Finding>& findings);

// Sizes and SHA-256 of the files, against checksums.sha256 when the directory has one.
void diagnose_files(const std::filesystem::path& dir, std::vector<Finding>& findings);
// Whether checkpoint and tokenizer can be used; returns the size of the packed weights, or -1.
int64_t diagnose_checkpoint(const std::filesystem::path& dir, const ModelConfig& config,
                            const EngineOptions& options, std::vector<Finding>& findings);
void diagnose_packed(const std::filesystem::path& dir, const ModelConfig& config,
                     int64_t weight_bytes, const EngineOptions& options,
                     std::vector<Finding>& findings);
void diagnose_tokenizer(const std::filesystem::path& dir, const ModelConfig& config,
                        std::vector<Finding>& findings);

}  // namespace incipit::engine
