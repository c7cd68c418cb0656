#include "engine/tokenizer/sentencepiece_model.h"

#include <fmt/format.h>

#include <bit>
#include <functional>
#include <utility>

namespace incipit::engine {
namespace {

// Wire types of protobuf's encoding.
enum : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

// Numbers of fields.
enum : uint32_t { kPieces = 1, kTrainer = 2, kNormalizer = 3 };
enum : uint32_t { kSpelling = 1, kScore = 2, kType = 3 };
enum : uint32_t { kModelType = 3, kSpaceBehind = 24, kByteFallback = 35 };
enum : uint32_t { kCharsMap = 2, kDummyPrefix = 3, kRemoveSpaces = 4, kEscapeSpaces = 5 };

constexpr size_t kMaxPieces = 1 << 24;

struct Field {
  uint32_t number = 0;
  uint32_t wire_type = 0;
  uint64_t value = 0;      // of a varint or a fixed number
  std::string_view bytes;  // of a string or a message
};

// Walks over the fields of one message, which lies in `file`.
class MessageReader {
 public:
  MessageReader(std::string_view file, const std::string& where) : file_(file), where_(where) {}

  using OnField = std::function<Result<void>(const Field&)>;
  Result<void> each(std::string_view message, const OnField& on_field) const {
    std::string_view rest = message;
    while (!rest.empty()) {
      Field field;
      ASSIGN_OR_RETURN(const uint64_t key, varint(rest));
      field.number = static_cast<uint32_t>(key >> 3);
      field.wire_type = static_cast<uint32_t>(key & 7);
      switch (field.wire_type) {
        case kVarint: {
          ASSIGN_OR_RETURN(field.value, varint(rest));
          break;
        }
        case kFixed32:
        case kFixed64: {
          ASSIGN_OR_RETURN(const std::string_view bytes,
                           take(rest, field.wire_type == kFixed32 ? 4 : 8));
          for (size_t i = bytes.size(); i-- > 0;) {
            field.value = field.value << 8 | static_cast<uint8_t>(bytes[i]);
          }
          break;
        }
        case kBytes: {
          ASSIGN_OR_RETURN(const uint64_t size, varint(rest));
          ASSIGN_OR_RETURN(field.bytes, take(rest, size));
          break;
        }
        default:
          return corrupt(rest, "a field of a SentencePiece model",
                         fmt::format("wire type {}", field.wire_type));
      }
      TRY(on_field(field));
    }
    return {};
  }

  // `at` begins where the error is.
  Error corrupt(std::string_view at, std::string_view want, std::string_view found) const {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("tokenizer: {}: byte {}: want {}, found {}", where_,
                             static_cast<size_t>(at.data() - file_.data()), want, found)};
  }

 private:
  Result<uint64_t> varint(std::string_view& rest) const {
    uint64_t value = 0;
    for (size_t i = 0; i < rest.size() && i < 10; ++i) {
      const auto byte = static_cast<uint8_t>(rest[i]);
      value |= uint64_t{byte & 0x7fu} << (7 * i);
      if (byte < 0x80) {
        rest.remove_prefix(i + 1);
        return value;
      }
    }
    return corrupt(rest, "a number of up to ten bytes",
                   rest.size() < 10 ? "the end of the message" : "a longer one");
  }

  Result<std::string_view> take(std::string_view& rest, uint64_t size) const {
    if (size > rest.size()) {
      return corrupt(rest, fmt::format("{} bytes", size), fmt::format("{}", rest.size()));
    }
    const std::string_view taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  }

  std::string_view file_;
  const std::string& where_;
};

Result<SentencePiece> read_piece(const MessageReader& reader, std::string_view message) {
  SentencePiece piece;
  TRY(reader.each(message, [&](const Field& field) -> Result<void> {
    if (field.number == kSpelling && field.wire_type == kBytes) {
      piece.spelling = field.bytes;
    } else if (field.number == kScore && field.wire_type == kFixed32) {
      piece.score = std::bit_cast<float>(static_cast<uint32_t>(field.value));
    } else if (field.number == kType && field.wire_type == kVarint) {
      if (field.value < 1 || field.value > 6) {
        return reader.corrupt(message, "a type of piece, 1..6", fmt::format("{}", field.value));
      }
      piece.type = static_cast<PieceType>(field.value);
    }
    return {};
  }));
  return piece;
}

Result<void> read_options(const MessageReader& reader, const Field& part,
                          SentencePieceModel& model) {
  return reader.each(part.bytes, [&](const Field& field) -> Result<void> {
    const bool flag = field.value != 0;
    if (part.number == kTrainer) {
      if (field.number == kModelType) model.model_type = static_cast<int64_t>(field.value);
      if (field.number == kByteFallback) model.byte_fallback = flag;
      if (field.number == kSpaceBehind) model.space_behind = flag;
    } else {
      if (field.number == kCharsMap) model.has_normalization = !field.bytes.empty();
      if (field.number == kDummyPrefix) model.add_dummy_prefix = flag;
      if (field.number == kRemoveSpaces) model.remove_extra_spaces = flag;
      if (field.number == kEscapeSpaces) model.escape_spaces = flag;
    }
    return {};
  });
}

void append_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

void append_number(std::string& out, uint32_t number, uint64_t value) {
  append_varint(out, number << 3 | kVarint);
  append_varint(out, value);
}

void append_bytes(std::string& out, uint32_t number, std::string_view bytes) {
  append_varint(out, number << 3 | kBytes);
  append_varint(out, bytes.size());
  out += bytes;
}

void append_float(std::string& out, uint32_t number, float value) {
  append_varint(out, number << 3 | kFixed32);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (const int shift : {0, 8, 16, 24}) out.push_back(static_cast<char>(bits >> shift & 0xff));
}

}  // namespace

Result<SentencePieceModel> parse_sentencepiece_model(std::string_view bytes,
                                                     const std::string& where) {
  const MessageReader reader(bytes, where);
  SentencePieceModel model;
  TRY(reader.each(bytes, [&](const Field& field) -> Result<void> {
    if (field.wire_type != kBytes) return {};
    if (field.number == kPieces) {
      if (model.pieces.size() == kMaxPieces) {
        return reader.corrupt(field.bytes, fmt::format("at most {} pieces", kMaxPieces),
                              "one more");
      }
      ASSIGN_OR_RETURN(SentencePiece piece, read_piece(reader, field.bytes));
      model.pieces.push_back(std::move(piece));
    } else if (field.number == kTrainer || field.number == kNormalizer) {
      return read_options(reader, field, model);
    }
    return {};
  }));
  return model;
}

std::string write_sentencepiece_model(const SentencePieceModel& model) {
  std::string out;
  for (const SentencePiece& piece : model.pieces) {
    std::string message;
    append_bytes(message, kSpelling, piece.spelling);
    append_float(message, kScore, piece.score);
    if (piece.type != PieceType::kNormal) {
      append_number(message, kType, static_cast<uint64_t>(piece.type));
    }
    append_bytes(out, kPieces, message);
  }
  std::string trainer;
  append_number(trainer, kModelType, static_cast<uint64_t>(model.model_type));
  append_number(trainer, kSpaceBehind, model.space_behind ? 1 : 0);
  append_number(trainer, kByteFallback, model.byte_fallback ? 1 : 0);
  append_bytes(out, kTrainer, trainer);
  std::string normalizer;
  append_number(normalizer, kDummyPrefix, model.add_dummy_prefix ? 1 : 0);
  append_number(normalizer, kRemoveSpaces, model.remove_extra_spaces ? 1 : 0);
  append_number(normalizer, kEscapeSpaces, model.escape_spaces ? 1 : 0);
  append_bytes(out, kNormalizer, normalizer);
  return out;
}

}  // namespace incipit::engine
