// SentencePiece's tokenizer.model (a protobuf message), as far as a BPE vocabulary goes. The reader
// checks that every length stays inside its message; the writer is for vocabularies that came in
// another file (gguf_tokenizer). Field numbers: sentencepiece_model.proto, version 0.1.99,
// github.com/google/sentencepiece. Pure; loading thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace incipit::engine {

// As the file and GGUF number them.
enum class PieceType : int64_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

struct SentencePiece {
  std::string spelling;
  float score = 0;
  PieceType type = PieceType::kNormal;
};

// The defaults are the format's own, for fields that are not there.
struct SentencePieceModel {
  static constexpr int64_t kBpe = 2;

  std::vector<SentencePiece> pieces;  // by id
  int64_t model_type = 1;
  bool byte_fallback = false;
  bool space_behind = false;       // treat_whitespace_as_suffix
  bool has_normalization = false;  // a table of replacements
  bool add_dummy_prefix = true;
  bool remove_extra_spaces = true;
  bool escape_spaces = true;
};

// Errors name the file and the byte in it, or the piece.
Result<SentencePieceModel> parse_sentencepiece_model(std::string_view bytes,
                                                     const std::string& where);

std::string write_sentencepiece_model(const SentencePieceModel& model);

}  // namespace incipit::engine
