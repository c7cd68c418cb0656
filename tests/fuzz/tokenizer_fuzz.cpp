// First byte 'j': the rest is a tokenizer.json, 'm': a tokenizer.model of either kind; if it loads,
// text must come back from it unchanged.
// Anything else: the whole input is text for pocket's tokenizer.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"
#include "engine/tokenizer/utf8.h"
#include "kernels/common/check.h"

namespace {

using incipit::engine::StreamingDecoder;
using incipit::engine::TokenId;
using incipit::engine::Tokenizer;

void check_text(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<TokenId> ids = tokenizer.encode(text);
  CHECK(tokenizer.decode(ids) == text);
  for (const TokenId id : ids) CHECK(!tokenizer.is_special(id));

  StreamingDecoder decoder(tokenizer);
  std::string streamed;
  for (const TokenId id : ids) {
    const std::string part = decoder.push(id);
    CHECK_EQ(incipit::engine::valid_utf8_prefix(part), part.size());
    streamed += part;
  }
  streamed += decoder.flush();
  if (incipit::engine::valid_utf8_prefix(text) == text.size()) CHECK(streamed == text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with('j')) {
    const auto tokenizer = Tokenizer::parse(input.substr(1), "fuzz");
    if (tokenizer.ok()) check_text(*tokenizer.value(), "abc 123\r\n  \xff it's \u65e5\n");
    return 0;
  }
  if (input.starts_with('m')) {
    const auto tokenizer = Tokenizer::parse_model(input.substr(1), "fuzz");
    if (!tokenizer.ok()) {
      CHECK(!tokenizer.error().message.empty());
      return 0;
    }
    check_text(*tokenizer.value(), "abc 123\r\n  \xff it's \u65e5\n");
    (void)tokenizer.value()->encode("  \u2581abc", incipit::engine::TextStart::kBeginning);
    return 0;
  }
  static const auto pocket = Tokenizer::load(std::filesystem::path(INCIPIT_SOURCE_DIR) /
                                             "engine/models/pocket/tokenizer.json")
                                 .value();
  check_text(*pocket, input);
  return 0;
}
