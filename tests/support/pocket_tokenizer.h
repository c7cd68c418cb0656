// The tokenizer and prompt format of the model in the tree, for tests that need real tokens but no
// weights.
#pragma once

#include <filesystem>
#include <memory>

#include "engine/engine.h"

namespace incipit::test {

inline std::filesystem::path pocket_directory() {
  return std::filesystem::path(INCIPIT_SOURCE_DIR) / "engine/models/pocket";
}

inline std::shared_ptr<const engine::Tokenizer> pocket_tokenizer() {
  static const std::shared_ptr<const engine::Tokenizer> kTokenizer =
      engine::Tokenizer::load(pocket_directory() / "tokenizer.json").value();
  return kTokenizer;
}

inline engine::PromptFormat pocket_format() {
  return engine::load_prompt_format(pocket_directory(), *pocket_tokenizer()).value();
}

}  // namespace incipit::test
