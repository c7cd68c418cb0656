#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "engine/base/log.h"
#include "engine/config/prompt_format.h"
#include "engine/quantize/model_quantizer.h"
#include "engine/quantize/timed_solver.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/licence_notice.h"
#include "engine/tools/model_directory.h"
#include "engine/tools/model_files.h"
#include "engine/tools/model_store.h"
#include "engine/weights/checksum.h"
#include "engine/weights/model_manifest.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/pack_checkpoint.h"
#include "engine/weights/packed_writer.h"
#include "engine/weights/weight_cache.h"
#include "engine/weights/weight_source.h"
#include "kernels/common/check.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

// All that is known of a source before a byte is written.
struct Job {
  ModelSource source;
  std::string name;
  std::vector<SmallFile> small_files;
  OpenedCheckpoint opened;
  uint64_t source_fingerprint = 0;
  QuantizeChoice quantize;
  std::function<void(const std::string&)> say;
};

// How long a walk took, and where; empty where there was none.
struct Walked {
  std::string device;
  double seconds = 0;
  QuantizeTimes times;
};

// A tokenizer of another model, or special tokens that are not there, are told before any work.
Result<std::shared_ptr<const Tokenizer>> check_tokenizer(const ModelSource& source,
                                                         const std::vector<SmallFile>& files,
                                                         const ModelConfig& config) {
  const auto file = std::find_if(files.begin(), files.end(), [](const SmallFile& small) {
    return small.name == "tokenizer.json" || small.name == "tokenizer.model";
  });
  CHECK(file != files.end());
  const std::string where =
      (is_gguf(source.path) ? source.path : Tokenizer::find(source.path)).string();
  ASSIGN_OR_RETURN(const auto tokenizer, file->name == "tokenizer.json"
                                             ? Tokenizer::parse(file->bytes, where)
                                             : Tokenizer::parse_model(file->bytes, where));
  if (tokenizer->vocab_size() > config.vocab) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}: want at most the model's {} tokens, found {}", where,
                             config.vocab, tokenizer->vocab_size())};
  }
  if (is_gguf(source.path)) return tokenizer;  // its ids are those of config, which are checked
  const auto format = load_prompt_format(source.path, *tokenizer);
  if (!format.ok()) return format.error();
  return tokenizer;
}

// A value of a file that is out of its range is the model's mistake, not the command line's.
template <class T>
Result<T> of_the_source(Result<T> result) {
  if (result.ok() || result.error().code != ErrorCode::kInvalidArgument) return result;
  return Error{ErrorCode::kCorrupt, result.error().message};
}

Result<void> check_name(const std::string& name) {
  if (!is_model_name(name)) {
    return Error{
        ErrorCode::kInvalidArgument,
        fmt::format("model name: want up to 100 letters, digits, '-', '_', '.' or '+', not "
                    "beginning with '.', found \"{}\"",
                    name)};
  }
  if (name == kShippedModel) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("model name: want another than \"{}\", the model that comes with "
                             "incipit (--name chooses one)",
                             name)};
  }
  return {};
}

Result<Job> open_job(const AddModelOptions& options) {
  ASSIGN_OR_RETURN(ModelSource source, resolve_source(options.source));
  const std::string name = options.name.empty() ? source.suggested_name : options.name;
  TRY(check_name(name));
  ASSIGN_OR_RETURN(auto small_files, of_the_source(read_small_files(source.path)));
  ASSIGN_OR_RETURN(OpenedCheckpoint opened,
                   of_the_source(open_checkpoint(source.path, kAddedHead)));
  ASSIGN_OR_RETURN(const auto tokenizer,
                   of_the_source(check_tokenizer(source, small_files, opened.config)));
  ASSIGN_OR_RETURN(QuantizeChoice quantize,
                   choose_quantizing(options.quantize, opened, *tokenizer));
  const uint64_t fingerprint = checksum(std::string_view(fmt::format(
      "{:016x} {:016x}", opened.identity.source_fingerprint, fingerprint_of(small_files))));
  return Job{std::move(source), name,        std::move(small_files),
             std::move(opened), fingerprint, std::move(quantize),
             options.say};
}

int64_t source_bytes(const Job& job) {
  int64_t bytes = 0;
  for (const TensorFile& file : job.opened.checkpoint.files()) bytes += file.size_bytes();
  for (const SmallFile& file : job.small_files) bytes += static_cast<int64_t>(file.bytes.size());
  return bytes;
}

// What is there under that name: nothing, a model of the same source, or something that must not be
// touched.
Result<std::optional<ModelManifest>> find_previous(const ModelDirectory& directory,
                                                   const Job& job) {
  const fs::path place = directory.model(job.name);
  std::error_code ignored;
  if (!fs::exists(fs::symlink_status(place, ignored))) return std::optional<ModelManifest>();
  ASSIGN_OR_RETURN(auto manifest, read_manifest(place));
  if (!manifest) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: want a free name, found a directory that `incipit model add` did "
                             "not make (--name chooses another)",
                             place.string())};
  }
  if (manifest->source != job.source.path.string()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("model \"{}\": want the source it was made from, {}, found {} (--name "
                             "chooses another name, `incipit model remove {}` frees this one)",
                             job.name, manifest->source, job.source.path.string(), job.name)};
  }
  return manifest;
}

// The same source, unchanged, and packed by this version of the program.
bool is_up_to_date(const fs::path& place, const ModelManifest& manifest, const Job& job) {
  if (manifest.source_fingerprint != job.source_fingerprint) return false;
  if (!job.quantize.takes_any) {
    if (manifest.quantization.recipe != job.quantize.recipe) return false;
    if (job.quantize.walks && manifest.quantization.quality.n_tokens == 0) return false;
  }
  const auto file = open_packed_file(place / kAddedWeightsName);
  if (!file.ok() || file->header_checksum != manifest.checksum) return false;
  // Every byte is read, since adding again is what mends a file that was damaged later.
  return check_identity(*file, job.opened.identity, "").ok() &&
         verify_sections(file->image, "").ok();
}

Result<void> check_disk(const ModelDirectory& directory, int64_t wanted) {
  constexpr double kGib = 1 << 30;
  const int64_t free = directory.free_bytes();
  if (free < 0 || free >= wanted) return {};
  return Error{
      ErrorCode::kIo,
      fmt::format("{}: want {:.2f} GiB of disk, found {:.2f} GiB free", directory.path().string(),
                  static_cast<double>(wanted) / kGib, static_cast<double>(free) / kGib)};
}

Result<void> write_small_file(const fs::path& path, std::string_view bytes) {
  ASSIGN_OR_RETURN(PackedWriter writer,
                   PackedWriter::create(path, static_cast<int64_t>(bytes.size())));
  TRY(writer.write(0, std::as_bytes(std::span(bytes))));
  return writer.publish();
}

std::string describe(const QuantizeReport& report, const std::string& device) {
  std::string text = "quantised: " + report.recipe + ", on " + device;
  const QuantizeQuality& quality = report.quality;
  if (quality.n_tokens == 0) return text;
  return text + fmt::format("; mean KL divergence {:.4f}, top-1 agreement {:.1f} % on {} tokens",
                            quality.kl_divergence, 100 * quality.top1_agreement, quality.n_tokens);
}

// Says which device quantises, and why none better does.
void announce(const Job& job, const std::string& device) {
  if (!job.say) return;
  const std::string& why = job.quantize.device.why_not_cuda;
  if (!why.empty()) job.say("quantising without CUDA: " + why);
  const bool gptq = job.quantize.inputs.calibration.n_sequences() > 0;
  job.say(fmt::format("{} on {}", gptq ? "GPTQ" : "measuring", device));
}

// Packs the weights; what that lost goes into the manifest.
Result<void> pack(const fs::path& weights, const Job& job, const WeightSource& source,
                  const PackProgress& progress, const CancelToken& cancel, ModelManifest& manifest,
                  Walked& walked) {
  if (!job.quantize.walks) {
    ASSIGN_OR_RETURN(
        const Conversion conversion,
        pack_checkpoint(weights, job.source.path, job.opened, source, progress, cancel));
    manifest.conversion = describe(conversion);
    manifest.quantization.recipe = job.quantize.recipe;
    return {};
  }
  kernels::ThreadPool pool(0);
  ASSIGN_OR_RETURN(const auto solver, make_solver(job.quantize.device, pool));
  walked.device = solver->device();
  announce(job, walked.device);
  ModelQuantizer quantizer(job.opened.config, source, job.quantize.inputs, *solver, pool, progress,
                           cancel);
  {
    const AddSeconds clock(walked.seconds);
    TRY(pack_sections(weights, job.source.path, job.opened, source.sections(),
                      std::ref(quantizer)));
  }
  walked.times = quantizer.times();
  manifest.quantization = quantizer.report();
  manifest.quantization.recipe = job.quantize.recipe;
  manifest.conversion = describe(manifest.quantization, walked.device);
  return {};
}

// Everything of the model in the hidden directory; the manifest last.
Result<ModelManifest> write_model(const fs::path& directory, const Job& job,
                                  const WeightSource& source, const AddProgress& progress,
                                  const CancelToken& cancel, Walked& walked) {
  const fs::path weights = directory / kAddedWeightsName;
  const auto packing = [&](int64_t done, int64_t total, const std::string& section) {
    if (progress) progress(done, total, section);
  };
  ModelManifest manifest;
  TRY(pack(weights, job, source, packing, cancel, manifest, walked));
  for (const SmallFile& file : job.small_files) {
    TRY(write_small_file(directory / file.name, file.bytes));
  }
  ASSIGN_OR_RETURN(const PackedFile packed, open_packed_file(weights));
  manifest.source = job.source.path.string();
  manifest.format = describe(job.opened.quant);
  manifest.source_bytes = source_bytes(job);
  manifest.packed_bytes = static_cast<int64_t>(packed.image.bytes.size());
  manifest.weights_fingerprint = job.opened.identity.source_fingerprint;
  manifest.source_fingerprint = job.source_fingerprint;
  manifest.checksum = packed.header_checksum;
  TRY(write_small_file(directory / kManifestName, manifest_json(manifest)));
  return manifest;
}

int32_t rounded_group(const QuantizeChoice& choice) {
  return choice.inputs.calibration.n_sequences() > 0 ? kGptqGroup : kRoundedGroup;
}

AddedModel outcome_of(AddedModel::Outcome outcome, const Job& job, const fs::path& place,
                      const ModelManifest& manifest, const Walked& walked) {
  return {outcome,
          job.name,
          place,
          manifest.format,
          manifest.conversion,
          licence_notice(job.opened.config),
          manifest.packed_bytes,
          job.quantize.note,
          manifest.quantization,
          walked.device,
          walked.seconds,
          walked.times};
}

}  // namespace

Result<AddedModel> add_model(const AddModelOptions& options, const AddProgress& progress,
                             const CancelToken& cancel) {
  ASSIGN_OR_RETURN(const Job job, open_job(options));
  ASSIGN_OR_RETURN(ModelDirectory directory, ModelDirectory::open());
  const fs::path place = directory.model(job.name);
  ASSIGN_OR_RETURN(const auto previous, find_previous(directory, job));
  TRY(check_source_digests(job.source.path, job.say, cancel));
  if (previous && is_up_to_date(place, *previous, job)) {
    return outcome_of(AddedModel::Outcome::kAlreadyThere, job, place, *previous, {});
  }
  ASSIGN_OR_RETURN(const WeightSource source,
                   WeightSource::plan(job.opened.checkpoint, job.opened.config, job.opened.quant,
                                      kAddedHead, rounded_group(job.quantize)));
  std::vector<PackedSection> sections = source.sections();
  int64_t wanted = place_sections(sections);
  for (const SmallFile& file : job.small_files) wanted += static_cast<int64_t>(file.bytes.size());
  TRY(check_disk(directory, wanted));
  ASSIGN_OR_RETURN(const fs::path hidden, directory.hidden());
  Walked walked;
  ASSIGN_OR_RETURN(const ModelManifest manifest,
                   write_model(hidden, job, source, progress, cancel, walked));
  TRY(directory.publish(job.name));
  log::info("model: added {} from {}", job.name, manifest.source);
  return outcome_of(previous ? AddedModel::Outcome::kReplaced : AddedModel::Outcome::kAdded, job,
                    place, manifest, walked);
}

}  // namespace incipit::engine
