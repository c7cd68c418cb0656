// Byte-pair encoding over bytes (Llama 3) or over characters with byte fallback (Llama 2,
// CodeLlama), as a tokenizer.json or a tokenizer.model describes it. Immutable after load; any
// thread. User text never yields a special token: only special() hands those out, to the prompt
// builder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/result.h"

namespace incipit::engine {

// SentencePiece's vocabularies were trained on texts with a space in front; Llama 3's were not.
enum class TextStart {
  kInside,     // goes on after other text or after a token that text follows at once
  kBeginning,  // begins a text: gets the space that the vocabulary wants there, if it wants one
};

class Tokenizer {
 public:
  // A tokenizer.json, or by its extension a tokenizer.model: tiktoken's ranks or a SentencePiece
  // model. Errors name the file, the field, what is wanted and what was found.
  static Result<std::shared_ptr<const Tokenizer>> load(const std::filesystem::path& file);
  static Result<std::shared_ptr<const Tokenizer>> parse(std::string_view json,
                                                        const std::string& where);
  static Result<std::shared_ptr<const Tokenizer>> parse_model(std::string_view bytes,
                                                              const std::string& where);

  // The tokenizer of a checkpoint: tokenizer.json, else tokenizer.model, else
  // original/tokenizer.model. The first of these names when there is none of them.
  static std::filesystem::path find(const std::filesystem::path& model_dir);
  ~Tokenizer();

  int32_t vocab_size() const;  // highest id + 1, special tokens included

  // Plain text to ids. Any bytes are accepted; invalid UTF-8 is encoded byte by byte and decodes
  // back unchanged. (SentencePiece's vocabularies take "▁" for a space; as one it decodes.)
  std::vector<TokenId> encode(std::string_view text, TextStart start = TextStart::kInside) const;
  void encode_append(std::string_view text, std::vector<TokenId>& out,
                     TextStart start = TextStart::kInside) const;

  // The id of a special token by its exact spelling ("<|fim_prefix|>").
  std::optional<TokenId> special(std::string_view spelling) const;
  bool is_special(TokenId token) const;

  // The bytes a token stands for; empty for special tokens and unknown ids. May be part of a UTF-8
  // sequence.
  std::string_view bytes(TokenId token) const;

  // All bytes of the tokens, special tokens left out.
  std::string decode(std::span<const TokenId> tokens) const;

 private:
  struct Impl;
  static Result<std::shared_ptr<const Tokenizer>> make(struct TokenizerFile file,
                                                       const std::string& where);
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Turns a stream of tokens into text that never ends inside a UTF-8 sequence: an incomplete tail is
// held back.
class StreamingDecoder {
 public:
  explicit StreamingDecoder(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  std::string push(TokenId token);  // text that became complete, possibly empty
  std::string flush();  // at the end: what is held back; an incomplete sequence becomes U+FFFD

 private:
  const Tokenizer* tokenizer_;
  std::string pending_;
};

}  // namespace incipit::engine
