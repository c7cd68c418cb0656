#include "lsp/completion/clean_text.h"

#include <algorithm>

#include "lsp/context/cursor_site.h"

namespace incipit::lsp {
namespace {

using std::string_view;

// Spellings of control tokens. They cannot come from special tokens (those have no text); a model
// that writes them out has lost its way, so the text ends there.
constexpr string_view kSpecialSpellings[] = {"<|begin_of_text|>",
                                             "<|end_of_text|>",
                                             "<|start_header_id|>",
                                             "<|end_header_id|>",
                                             "<|eot_id|>",
                                             "<|fim_prefix|>",
                                             "<|fim_suffix|>",
                                             "<|fim_middle|>",
                                             "<|fim_pad|>",
                                             "<|repo_name|>",
                                             "<|file_sep|>",
                                             "<|endoftext|>",
                                             "<fim_prefix>",
                                             "<fim_suffix>",
                                             "<fim_middle>",
                                             "<PRE>",
                                             "<SUF>",
                                             "<MID>",
                                             "<EOT>"};

}  // namespace

void remove_special_spellings(std::string& text) {
  for (const string_view spelling : kSpecialSpellings) {
    const size_t at = text.find(spelling);
    if (at != std::string::npos) text.resize(at);
  }
}

// What no editor should be asked to insert ends the text: NUL and other control characters.
void end_at_control_character(std::string& text) {
  const auto bad = std::find_if(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u < 0x20 && c != '\n' && c != '\t') || u == 0x7F;
  });
  text.erase(bad, text.end());
}

// A chat model wraps code in a Markdown fence, and says a sentence before it and more behind it.
void remove_fence(std::string& text) {
  constexpr size_t kMaxProse = 400;  // bytes before the fence
  size_t fence = text.starts_with("```") ? 0 : text.find("\n```");
  if (fence == std::string::npos || fence > kMaxProse) return;
  if (fence > 0) {
    const size_t tag = fence + 4;
    const bool has_tag = tag < text.size() && is_identifier(text[tag]);
    const bool introduced = trim_right(string_view(text).substr(0, fence)).ends_with(':');
    if (!has_tag && !introduced) {  // code, and the end of a fence that the prompt began
      text.resize(fence);
      return;
    }
    text.erase(0, fence + 1);
  }
  const size_t first_line = text.find('\n');
  text.erase(0, first_line == std::string::npos ? text.size() : first_line + 1);
  const size_t close = text.find("\n```");
  if (close != std::string::npos) text.resize(close);
}

}  // namespace incipit::lsp
