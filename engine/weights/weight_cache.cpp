#include "engine/weights/weight_cache.h"

#include <fmt/core.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <system_error>

#include "engine/weights/checksum.h"
#include "engine/weights/weight_binding.h"
#include "kernels/quant/int4_codec.h"
#include "kernels/quant/int8_codec.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;
using kernels::CpuTile;

constexpr const char* kLayoutName = "cpu-tile";

// Changes with what is made of the same checkpoint: which linears are rounded, and how.
constexpr int kConversionVersion = 1;

const char* name_of(HeadFormat format) {
  return format == HeadFormat::kInt8 ? "int8" : "f16";
}

// A checksum of what the layout makes of small odd matrices: whoever changes the layout cannot
// forget to make old files stale.
uint64_t layout_digest() {
  kernels::Int4Matrix int4;
  int4.shape = {37, 168, 64, true};
  for (int32_t i = 0; i < int4.shape.rows * int4.shape.cols; ++i) {
    int4.q.push_back(static_cast<uint8_t>((i * 7 + i / 168) % 16));
  }
  for (int32_t i = 0; i < int4.shape.rows * int4.shape.n_groups(); ++i) {
    int4.scales.push_back(static_cast<uint16_t>(0x2000 + i));
    int4.zeros.push_back(static_cast<uint8_t>(i % 17));
  }
  kernels::Int8Matrix int8;
  int8.shape = {37, 130};
  for (int32_t i = 0; i < int8.shape.rows * int8.shape.cols; ++i) {
    int8.q.push_back(static_cast<int8_t>(i * 11 % 255 - 127));
  }
  for (int32_t i = 0; i < int8.shape.rows; ++i) int8.scales.push_back(static_cast<float>(1 + i));

  std::vector<std::byte> bytes(static_cast<size_t>(kernels::packed_bytes<CpuTile>(int4.shape)));
  kernels::pack<CpuTile>(int4, bytes);
  const uint64_t first = checksum(bytes);
  bytes.resize(static_cast<size_t>(kernels::packed_bytes<CpuTile>(int8.shape)));
  kernels::pack<CpuTile>(int8, bytes);
  return first ^ (checksum(bytes) * 3);
}

uint64_t hash_of_shape(const ModelConfig& c) {
  return checksum(
      std::string_view(fmt::format("{} {} {} {} {} {} {} {}", c.hidden, c.ffn, c.n_layers,
                                   c.n_heads, c.n_kv_heads, c.head_dim, c.vocab, c.tied_head)));
}

Result<std::string> describe_source(const TensorFile& file) {
  struct stat status {};
  if (::stat(file.where().c_str(), &status) != 0) {
    return Error{ErrorCode::kIo, fmt::format("{}: cannot stat", file.where())};
  }
  return fmt::format("{} {} {}.{:09} {:016x}\n", fs::path(file.where()).filename().string(),
                     status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                     checksum(file.header()));
}

}  // namespace

Result<fs::path> default_cache_dir() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  // The specification asks to ignore a relative path.
  if (cache != nullptr && cache[0] == '/') return fs::path(cache) / "incipit";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return fs::path(home) / ".cache" / "incipit";
  return Error{ErrorCode::kNotFound,
               "cache directory: want XDG_CACHE_HOME or HOME as an absolute path, found neither"};
}

Result<fs::path> packed_path(const fs::path& model_dir, const LoadOptions& options) {
  fs::path directory = options.cache_dir;
  if (directory.empty()) {
    ASSIGN_OR_RETURN(directory, default_cache_dir());
  }
  std::error_code failure;
  const fs::path canonical = fs::canonical(model_dir, failure);
  if (failure) {
    return Error{ErrorCode::kIo, fmt::format("{}: {}", model_dir.string(), failure.message())};
  }
  constexpr size_t kMaxName = 80;
  return directory / fmt::format("{}-{:016x}-{}-{}.weights",
                                 canonical.filename().string().substr(0, kMaxName),
                                 checksum(std::string_view(canonical.native())),
                                 name_of(options.head_format), kLayoutName);
}

Result<PackedIdentity> packed_identity(const ModelConfig& config, HeadFormat head_format,
                                       const Checkpoint& checkpoint, const QuantConfig& quant) {
  std::string source = fmt::format("{} {} {} conversion {}\n", static_cast<int>(quant.format),
                                   quant.group, static_cast<int>(quant.zeros), kConversionVersion);
  for (const TensorFile& file : checkpoint.files()) {
    ASSIGN_OR_RETURN(const std::string description, describe_source(file));
    source += description;
  }
  return added_identity(config, head_format, checksum(std::string_view(source)));
}

PackedIdentity added_identity(const ModelConfig& config, HeadFormat head_format,
                              uint64_t weights_fingerprint) {
  static const uint64_t digest = layout_digest();
  return PackedIdentity{kLayoutName, digest, head_format, hash_of_shape(config),
                        weights_fingerprint};
}

Result<Weights<CpuTile>> map_packed_weights(const fs::path& path, const ModelConfig& config,
                                            const PackedIdentity& identity) {
  const std::string where = path.string();
  ASSIGN_OR_RETURN(const PackedFile file, open_packed_file(path));
  TRY(check_identity(file, identity, where));
  ASSIGN_OR_RETURN(auto weights, bind_weights(config, identity.head_format, file.image, where));
  if (static_cast<int64_t>(file.image.bytes.size()) <= kVerifyAtStartBytes) {
    TRY(verify_sections(file.image, where));
  }
  weights.fingerprint = file.header_checksum;
  return weights;
}

}  // namespace incipit::engine
