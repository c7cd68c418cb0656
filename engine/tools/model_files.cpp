#include "engine/tools/model_files.h"

#include <fmt/core.h>

#include <array>
#include <system_error>
#include <utility>

#include "engine/config/json_fields.h"
#include "engine/tokenizer/tokenizer.h"
#include "engine/tools/file_digest.h"
#include "engine/weights/checkpoint.h"
#include "engine/weights/checksum.h"
#include "engine/weights/gguf_model.h"
#include "engine/weights/gguf_tokenizer.h"
#include "engine/weights/model_manifest.h"
#include "engine/weights/model_registry.h"
#include "engine/weights/pack_checkpoint.h"

namespace incipit::engine {
namespace {

namespace fs = std::filesystem;

struct SmallFileRow {
  const char* name;
  bool required;
};
constexpr std::array<SmallFileRow, 12> kSmallFiles = {{{"config.json", true},
                                                       {"chat_template.jinja", false},
                                                       {"generation_config.json", false},
                                                       {"quantize_config.json", false},
                                                       {"tokenizer_config.json", false},
                                                       {"special_tokens_map.json", false},
                                                       {"pocket.json", false},
                                                       {"LICENSE", false},
                                                       {"LICENSE.txt", false},
                                                       {"LICENSE.md", false},
                                                       {"NOTICE", false},
                                                       {"USE_POLICY.md", false}}};

Error refuse(const fs::path& given, const std::string& found, ErrorCode code) {
  return Error{
      code, fmt::format(
                "{}: want a directory in Hugging Face layout (config.json, "
                "tokenizer.json or tokenizer.model, *.safetensors), a file in one, or a GGUF file, "
                "found {}",
                given.string(), found)};
}

// What people have on disk that is no such directory, by its name.
std::string describe_other_file(const fs::path& file) {
  const std::string extension = file.extension().string();
  if (extension == ".bin" || extension == ".pt" || extension == ".pth") {
    return "a PyTorch pickle, which can run code when it is opened; a safetensors version of the "
           "model works";
  }
  return "a file of another kind";
}

// The hub's cache keeps a model as models--OWNER--NAME/snapshots/HASH.
std::string name_of_directory(const fs::path& directory) {
  const fs::path snapshots = directory.parent_path();
  const std::string repository = snapshots.parent_path().filename().string();
  if (snapshots.filename() == "snapshots" && repository.starts_with("models--")) {
    return repository.substr(repository.rfind("--") + 2);
  }
  return directory.filename().string();
}

// Characters that a name cannot have become "-".
std::string as_model_name(std::string name) {
  for (char& c : name) {
    if (!is_model_name(std::string("x") + c)) c = '-';
  }
  if (name.empty() || name[0] == '.') name.insert(0, "model");
  return name;
}

// What else people have as a directory of a model.
std::string describe_other_directory(const fs::path& directory) {
  std::error_code ignored;
  if (fs::exists(directory / "adapter_config.json", ignored))
    return "a LoRA adapter without its model; merged into the model it works";
  if (fs::exists(directory / "params.json", ignored))
    return "Meta's original files, which are PyTorch pickles; the same model in Hugging Face "
           "layout works";
  return "a directory without config.json";
}

// A directory of the hub may hold GGUF files and no config.json.
Result<ModelSource> only_gguf_file(const fs::path& given, const fs::path& directory) {
  std::vector<fs::path> found;
  std::error_code failure;
  for (fs::directory_iterator it(directory, failure), end; !failure && it != end;
       it.increment(failure)) {
    if (is_gguf(it->path())) found.push_back(it->path());
  }
  if (found.size() == 1) return resolve_source(found[0]);
  if (found.empty())
    return refuse(given, describe_other_directory(directory), ErrorCode::kNotFound);
  return refuse(given, fmt::format("{} GGUF files; name one of them", found.size()),
                ErrorCode::kInvalidArgument);
}

Result<std::vector<fs::path>> files_read(const fs::path& source) {
  if (is_gguf(source)) return std::vector{source};
  ASSIGN_OR_RETURN(std::vector<fs::path> files, checkpoint_files(source));
  files.push_back(Tokenizer::find(source));
  for (const SmallFileRow& row : kSmallFiles) files.push_back(source / row.name);
  return files;
}

}  // namespace

Result<ModelSource> resolve_source(const fs::path& given) {
  std::error_code failure;
  const fs::path path = fs::canonical(given, failure);  // a ring of links ends here
  if (failure) {
    const bool absent = failure == std::errc::no_such_file_or_directory;
    return refuse(given, absent ? "nothing" : failure.message(),
                  absent ? ErrorCode::kNotFound : ErrorCode::kIo);
  }
  if (is_gguf(path)) return ModelSource{path, as_model_name(given.stem().string())};
  fs::path directory = path;
  if (!fs::is_directory(path, failure)) {
    const std::string extension = given.extension().string();  // the hub's files have none
    if (!fs::is_regular_file(path, failure) ||
        (extension != ".safetensors" && extension != ".json")) {
      return refuse(given, describe_other_file(path), ErrorCode::kUnsupported);
    }
    // The directory of the name that was given: the hub's cache links to files kept elsewhere.
    directory = fs::canonical(given.parent_path().empty() ? "." : given.parent_path(), failure);
    if (failure) return refuse(given, failure.message(), ErrorCode::kIo);
  }
  if (fs::exists(directory / kManifestName, failure)) {
    return refuse(given, "a model that was added already", ErrorCode::kInvalidArgument);
  }
  if (!fs::is_regular_file(directory / "config.json", failure)) {
    return only_gguf_file(given, directory);
  }
  return ModelSource{directory, as_model_name(name_of_directory(directory))};
}

Result<std::vector<SmallFile>> read_small_files(const fs::path& directory) {
  std::vector<SmallFile> files;
  if (is_gguf(directory)) {
    ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(directory));
    ASSIGN_OR_RETURN(std::string config, gguf_config_json(file));
    ASSIGN_OR_RETURN(GgufTokenizer tokenizer, gguf_tokenizer(file));
    files.push_back({"config.json", std::move(config)});
    files.push_back({tokenizer.name, std::move(tokenizer.bytes)});
    return files;
  }
  const fs::path tokenizer = Tokenizer::find(directory);
  ASSIGN_OR_RETURN(std::string bytes, read_text_file(tokenizer));
  files.push_back({tokenizer.filename().string(), std::move(bytes)});
  for (const SmallFileRow& row : kSmallFiles) {
    auto text = read_text_file(directory / row.name);
    if (text.ok()) {
      files.push_back({row.name, std::move(text).value()});
    } else if (row.required || text.error().code != ErrorCode::kNotFound) {
      return text.error();
    }
  }
  return files;
}

Result<void> check_source_digests(const fs::path& source,
                                  const std::function<void(const std::string&)>& say,
                                  const CancelToken& cancel) {
  constexpr uintmax_t kTakesLong = uintmax_t{1} << 29;  // a second or more
  const fs::path directory = is_gguf(source) ? source.parent_path() : source;
  const auto listed = read_checksum_list(directory);
  if (!listed.ok()) {
    if (listed.error().code == ErrorCode::kNotFound) return {};
    return listed.error();
  }
  ASSIGN_OR_RETURN(const std::vector<fs::path> files, files_read(source));
  for (const fs::path& file : files) {
    const auto row = listed->find(file.lexically_relative(directory).string());
    std::error_code failure;
    const uintmax_t size = fs::file_size(file, failure);
    if (row == listed->end() || failure) continue;  // that one is missing is told by its reader
    if (say && size >= kTakesLong) {
      say(fmt::format("comparing {} ({:.1f} GB) with {}", row->first,
                      static_cast<double>(size) / 1e9, kChecksumList));
    }
    TRY(check_sha256(file, row->second, cancel));
  }
  return {};
}

uint64_t fingerprint_of(const std::vector<SmallFile>& files) {
  std::string all;
  for (const SmallFile& file : files) {
    all += fmt::format("{} {:016x}\n", file.name, checksum(std::string_view(file.bytes)));
  }
  return checksum(std::string_view(all));
}

}  // namespace incipit::engine
