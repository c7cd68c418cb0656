#include "engine/tokenizer/pretokenizer.h"

#include <fmt/format.h>

#include <cstdint>
#include <utility>

#include "engine/tokenizer/split_pattern.h"
#include "engine/tokenizer/utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace incipit::engine {
namespace {

struct FreeCode {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatchData {
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
struct FreeMatchContext {
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
};

// Real split patterns have some hundred characters.
constexpr size_t kMaxPatternBytes = 16384;

// Steps of one match attempt. A run of a million spaces takes PCRE2 about as many; a pattern of
// exponential cost is cut off after a fraction of a second.
constexpr uint32_t kMatchLimit = 50'000'000;

std::string message_of(int code) {
  PCRE2_UCHAR8 buffer[160];
  if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0) return "unknown error";
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

struct Pretokenizer::Code {
  std::unique_ptr<pcre2_code, FreeCode> pattern;
  std::unique_ptr<pcre2_match_context, FreeMatchContext> context;
};

Result<Pretokenizer> Pretokenizer::create(std::string_view pattern, const std::string& where) {
  if (pattern.size() > kMaxPatternBytes) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: want a regex of at most {} bytes, found {}", where,
                             kMaxPatternBytes, pattern.size())};
  }
  const std::string explicit_pattern = with_explicit_classes(pattern);
  int error = 0;
  PCRE2_SIZE error_at = 0;
  // MULTILINE: ^ and $ mean line ends in the oracle's regex library, always.
  const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  auto code = std::make_unique<Code>();
  code->pattern.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR8>(explicit_pattern.data()),
                                    explicit_pattern.size(), options, &error, &error_at, nullptr));
  if (!code->pattern) {
    return Error{ErrorCode::kUnsupported,
                 fmt::format("{}: want a regex that PCRE2 takes, found \"{}\": {}", where, pattern,
                             message_of(error))};
  }
  // A failure here only means that matching is interpreted: same pieces, slower.
  pcre2_jit_compile(code->pattern.get(), PCRE2_JIT_COMPLETE);
  code->context.reset(pcre2_match_context_create(nullptr));
  if (!code->context) return Error{ErrorCode::kOutOfMemory, where + ": no memory for the regex"};
  pcre2_set_match_limit(code->context.get(), kMatchLimit);
  return Pretokenizer(std::move(code));
}

Pretokenizer::Pretokenizer(std::unique_ptr<Code> code) : code_(std::move(code)) {}
Pretokenizer::Pretokenizer(Pretokenizer&&) noexcept = default;
Pretokenizer& Pretokenizer::operator=(Pretokenizer&&) noexcept = default;
Pretokenizer::~Pretokenizer() = default;

void Pretokenizer::split(std::string_view text, const OnPiece& on_piece) const {
  const std::unique_ptr<pcre2_match_data, FreeMatchData> data(pcre2_match_data_create(1, nullptr));
  const auto* subject = reinterpret_cast<PCRE2_SPTR8>(text.data());
  const auto match_from = [&](size_t at, uint32_t options) {
    return pcre2_match(code_->pattern.get(), subject, text.size(), at, options, data.get(),
                       code_->context.get());
  };
  size_t piece_start = 0;  // first byte that is in no piece yet
  size_t search_at = 0;
  while (data && search_at < text.size()) {
    int found = match_from(search_at, PCRE2_NO_UTF_CHECK);
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      found = match_from(search_at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT);
    }
    // No match, or a limit: what is left is one piece, so no byte is ever lost.
    if (found < 0) break;
    const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
    const size_t match_start = ends[0];
    const size_t match_end = ends[1];
    if (match_end <= match_start) {
      // An empty match cuts nothing; go on after one code point.
      search_at += utf8_step(text.substr(search_at)).length;
      continue;
    }
    if (match_start > piece_start) on_piece(text.substr(piece_start, match_start - piece_start));
    on_piece(text.substr(match_start, match_end - match_start));
    piece_start = search_at = match_end;
  }
  if (piece_start < text.size()) on_piece(text.substr(piece_start));
}

}  // namespace incipit::engine
