// The first byte says which small file of a checkpoint the rest is. 'c': config.json, read for the
// model and for how it is quantised; what is accepted is a shape that a model can have. 'g':
// generation_config.json and config.json beside pocket's tokenizer, on disk as a checkpoint has
// them. Anything else: tokenizer_config.json there.
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>

#include "engine/config/model_config.h"
#include "engine/config/prompt_format.h"
#include "engine/config/quant_config.h"
#include "engine/tokenizer/tokenizer.h"
#include "kernels/common/check.h"

namespace {

namespace fs = std::filesystem;
using namespace incipit::engine;

void check_config(std::string_view json) {
  const auto config = parse_model_config(json, "fuzz");
  if (config.ok()) {
    CHECK(config->head_dim == 64 || config->head_dim == 128);
    CHECK_EQ(config->n_heads % config->n_kv_heads, 0);
    CHECK(config->vocab > 0 && config->n_layers > 0 && config->hidden % 8 == 0);
    for (const TokenId id : config->eos) CHECK(id >= 0 && id < config->vocab);
  } else {
    CHECK(!config.error().message.empty());
  }
}

void check_beside_tokenizer(const char* name, std::string_view json) {
  static const auto pocket =
      Tokenizer::load(fs::path(INCIPIT_SOURCE_DIR) / "engine/models/pocket/tokenizer.json").value();
  static const fs::path dir = [] {
    const fs::path made =
        fs::temp_directory_path() / ("incipit-fuzz-config-" + std::to_string(::getpid()));
    fs::create_directories(made);
    return made;
  }();
  const fs::path path = dir / name;
  std::ofstream(path, std::ios::binary)
      .write(json.data(), static_cast<std::streamsize>(json.size()));
  const auto format = load_prompt_format(dir, *pocket);
  (void)load_quant_config(dir).ok();
  fs::remove(path);
  if (!format.ok()) {
    CHECK(!format.error().message.empty());
    return;
  }
  for (const TokenId id : format->stop) CHECK(id >= 0 && id < pocket->vocab_size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'c') {
    check_config(rest);
    check_beside_tokenizer("config.json", rest);
  } else if (data[0] == 'g') {
    check_beside_tokenizer("generation_config.json", rest);
  } else {
    check_beside_tokenizer("tokenizer_config.json", rest);
  }
  return 0;
}
