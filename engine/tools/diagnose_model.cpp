#include <fmt/core.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <set>
#include <system_error>

#include "engine/config/json_fields.h"
#include "engine/config/prompt_format.h"
#include "engine/config/quant_config.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/diagnose_internal.h"
#include "engine/tools/file_digest.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/packed_file.h"
#include "engine/weights/weight_binding.h"
#include "engine/weights/weight_cache.h"
#include "engine/weights/weight_source.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGetAgain = "copy or download this file again";
// Without a list there is nothing to compare with, and hashing takes seconds a gigabyte.
constexpr uintmax_t kHashUnlistedBytes = uintmax_t{1} << 30;

std::vector<std::string> model_file_names(const fs::path& dir) {
  std::set<std::string> names;
  names.insert("config.json");
  names.insert(Tokenizer::find(dir).lexically_relative(dir).string());
  std::error_code ignored;
  for (const char* name : {"generation_config.json", "quantize_config.json"}) {
    if (fs::exists(dir / name, ignored)) names.insert(name);
  }
  const auto weights = checkpoint_files(dir);
  if (weights.ok()) {
    for (const fs::path& path : *weights) names.insert(path.filename().string());
  }
  return {names.begin(), names.end()};
}

Finding diagnose_file(const fs::path& path, const std::string* wanted) {
  Finding finding{Severity::kOk, "files", "", ""};
  std::error_code failure;
  const uintmax_t size = fs::file_size(path, failure);
  if (failure) {
    return {Severity::kProblem, "files", fmt::format("{}: {}", path.string(), failure.message()),
            kGetAgain};
  }
  finding.found = fmt::format("{}: {} bytes", path.string(), size);
  if (wanted == nullptr && size > kHashUnlistedBytes) {
    finding.found += ", SHA-256 not computed (no checksum to compare with)";
    return finding;
  }
  if (wanted != nullptr) {
    const auto checked = check_sha256(path, *wanted);
    if (!checked.ok()) return {Severity::kProblem, "files", checked.error().message, kGetAgain};
    finding.found += fmt::format(", SHA-256 {} as listed", *wanted);
    return finding;
  }
  const auto digest = sha256_of_file(path);
  if (!digest.ok()) return {Severity::kProblem, "files", digest.error().message, kGetAgain};
  finding.found += fmt::format(", SHA-256 {}", *digest);
  return finding;
}

// The nearest directory above that exists: where a new file would have to go.
fs::path existing_parent(fs::path path) {
  std::error_code ignored;
  while (!fs::exists(path, ignored) && path.has_relative_path()) path = path.parent_path();
  return path.empty() ? fs::path(".") : path;
}

// Why nothing can be made in `directory`, tried out: permissions alone do not tell, least of all
// root. Empty when something can.
std::string why_not_writable(const fs::path& directory) {
  std::string probe = (directory / ".incipit-doctor.XXXXXX").string();
  if (::mkdtemp(probe.data()) == nullptr) return std::strerror(errno);
  ::rmdir(probe.c_str());
  return "";
}

Finding diagnose_missing_cache(const fs::path& path, int64_t weight_bytes) {
  const fs::path wanted = path.parent_path();
  const fs::path parent = existing_parent(wanted);
  struct statvfs disk {};
  // A file system in memory without a limit counts no blocks.
  const bool known = ::statvfs(parent.c_str(), &disk) == 0 && disk.f_blocks > 0;
  const auto free = static_cast<int64_t>(disk.f_bavail) * static_cast<int64_t>(disk.f_frsize);
  if (const std::string why = why_not_writable(parent); !why.empty()) {
    return {
        Severity::kProblem, "packed weights",
        fmt::format("{}: cannot {}: {}", wanted.string(),
                    parent == wanted ? "make a file there" : "make the directory", why),
        "set the cache directory to one that can be written; until then every start packs again"};
  }
  if (known && free < weight_bytes) {
    return {Severity::kProblem, "packed weights",
            fmt::format("{}: want {} of disk, found {} free", parent.string(), in_mib(weight_bytes),
                        in_mib(free)),
            "free some disk space; until then every start packs again"};
  }
  return {Severity::kNote, "packed weights",
          fmt::format("{}: not there yet, {}", path.string(), in_mib(weight_bytes)),
          "the first start makes it"};
}

Result<PackedIdentity> wanted_identity(const fs::path& dir, const ModelConfig& config,
                                       HeadFormat head_format) {
  ASSIGN_OR_RETURN(const QuantConfig quant, load_quant_config(dir));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint, Checkpoint::open(dir));
  return packed_identity(config, head_format, checkpoint, quant);
}

Result<int64_t> check_packed(const fs::path& path, const fs::path& dir, const ModelConfig& config,
                             HeadFormat head_format) {
  ASSIGN_OR_RETURN(const PackedFile file, open_packed_file(path));
  ASSIGN_OR_RETURN(const PackedIdentity wanted, wanted_identity(dir, config, head_format));
  TRY(check_identity(file, wanted, path.string()));
  const auto bound = bind_weights(config, head_format, file.image, path.string());
  if (!bound.ok()) return bound.error();
  TRY(verify_sections(file.image, path.string()));
  return static_cast<int64_t>(file.image.bytes.size());
}

}  // namespace

void diagnose_files(const fs::path& dir, std::vector<Finding>& findings) {
  ChecksumList listed;
  auto list = read_checksum_list(dir);
  if (list.ok()) {
    listed = std::move(list).value();
  } else if (list.error().code == ErrorCode::kNotFound) {
    findings.push_back(
        {Severity::kNote, "files",
         fmt::format("{}: no such file, so nothing to compare with",
                     (dir / kChecksumList).string()),
         "where the model came from, sha256sum *.json *.safetensors > checksums.sha256 makes one"});
  } else {
    findings.push_back({Severity::kProblem, "files", list.error().message, kGetAgain});
  }
  std::set<std::string> names;
  for (const std::string& name : model_file_names(dir)) names.insert(name);
  for (const auto& [name, digest] : listed) names.insert(name);
  for (const std::string& name : names) {
    const auto it = listed.find(name);
    findings.push_back(diagnose_file(dir / name, it == listed.end() ? nullptr : &it->second));
  }
}

int64_t diagnose_checkpoint(const fs::path& dir, const ModelConfig& config,
                            const EngineOptions& options, std::vector<Finding>& findings) {
  const auto refuse = [&](const Error& error) {
    findings.push_back({Severity::kProblem, "model", error.message,
                        "this program runs complete checkpoints in full precision, GPTQ, AWQ or "
                        "compressed-tensors INT4"});
    return int64_t{-1};
  };
  const auto quant = load_quant_config(dir);
  if (!quant.ok()) return refuse(quant.error());
  const auto checkpoint = Checkpoint::open(dir);
  if (!checkpoint.ok()) return refuse(checkpoint.error());
  const auto source = WeightSource::plan(*checkpoint, config, *quant, options.head_format);
  if (!source.ok()) return refuse(source.error());
  size_t n_tensors = 0;
  for (const TensorFile& file : checkpoint->files()) n_tensors += file.tensors().size();
  int64_t bytes = 0;
  for (const PackedSection& section : source->sections()) bytes += section.bytes;
  findings.push_back({Severity::kOk, "model",
                      fmt::format("{} tensors in {} files, {}; packed {}", n_tensors,
                                  checkpoint->files().size(), describe(*quant), in_mib(bytes)),
                      ""});
  return bytes;
}

void diagnose_packed(const fs::path& dir, const ModelConfig& config, int64_t weight_bytes,
                     const EngineOptions& options, std::vector<Finding>& findings) {
  const auto path = packed_path(dir, {options.head_format, options.cache_dir});
  if (!path.ok()) {
    findings.push_back({Severity::kNote, "packed weights", path.error().message,
                        "set HOME or XDG_CACHE_HOME; until then every start packs again, and keeps "
                        "the weights in memory"});
    return;
  }
  const auto size = check_packed(*path, dir, config, options.head_format);
  if (size.ok()) {
    findings.push_back({Severity::kOk, "packed weights",
                        fmt::format("{}: {}, every checksum holds", path->string(), in_mib(*size)),
                        ""});
  } else if (size.error().code == ErrorCode::kNotFound) {
    findings.push_back(diagnose_missing_cache(*path, weight_bytes));
  } else if (size.error().code == ErrorCode::kInvalidArgument) {
    findings.push_back({Severity::kNote, "packed weights", size.error().message,
                        "nothing: the next start packs the checkpoint as it is now"});
  } else {
    findings.push_back({Severity::kProblem, "packed weights", size.error().message,
                        fmt::format("remove {}: the next start makes it anew", path->string())});
  }
}

void diagnose_tokenizer(const fs::path& dir, const ModelConfig& config,
                        std::vector<Finding>& findings) {
  const fs::path path = Tokenizer::find(dir);
  const auto tokenizer = Tokenizer::load(path);
  if (!tokenizer.ok()) {
    findings.push_back({Severity::kProblem, "tokenizer", tokenizer.error().message, kGetAgain});
    return;
  }
  const int32_t n_tokens = (*tokenizer)->vocab_size();
  if (n_tokens > config.vocab) {
    findings.push_back({Severity::kProblem, "tokenizer",
                        fmt::format("{}: want at most the model's {} tokens, found {}",
                                    path.string(), config.vocab, n_tokens),
                        "this tokenizer belongs to another model"});
    return;
  }
  const auto format = load_prompt_format(dir, **tokenizer);
  if (!format.ok()) {
    findings.push_back({Severity::kProblem, "tokenizer", format.error().message, kGetAgain});
    return;
  }
  findings.push_back(
      {Severity::kOk, "tokenizer",
       fmt::format("{}: {} tokens, {}, {}, prompts in the layout {}", path.string(), n_tokens,
                   format->fim ? "fill-in-the-middle tokens" : "no fill-in-the-middle tokens",
                   format->chat ? "chat tokens" : "no chat tokens", name_of(format->layout)),
       ""});
}

}  // namespace incipit::engine
