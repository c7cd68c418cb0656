#include "lsp/completion/trigger_policy.h"

#include "lsp/context/secret_files.h"

namespace incipit::lsp {
namespace {

bool has_text(std::string_view text, size_t at_least) {
  size_t n = 0;
  for (const char c : text) {
    if (!is_blank({&c, 1}) && ++n >= at_least) return true;
  }
  return false;
}

// Whether what stands right of the cursor ends or separates what is being written there. An operand
// or an operator does not: the line is complete, and a suggestion could only get in its way.
bool leaves_a_gap(const CursorSite& site) {
  if (site.tail != LineTail::kCode) return true;
  const std::string_view rest = trim(site.after);
  const char first = rest.front();
  const bool adjacent = site.after.front() == first;
  switch (first) {
    case ')':
    case ']':
    case '}':
    case ';':
    case ',':
      return true;
    case '"':
    case '\'':
    case '`':
      return first == site.open_quote;
    case ':':  // not "::" and ":="
      return rest.size() == 1 || (rest[1] != ':' && rest[1] != '=');
    case '>':  // <div |>, vector<|>
      return adjacent && (rest.size() == 1 || (rest[1] != '=' && rest[1] != '>'));
    case '{':  // if x | {
      return rest.size() == 1;
    default:
      return rest.starts_with("</") || rest.starts_with("/>") || rest.starts_with("*/");
  }
}

}  // namespace

std::string TriggerPolicy::refusal(const CursorSite& site, std::string_view path,
                                   bool invoked) const {
  if (looks_secret(path)) {
    return "the file looks like it holds secrets; such files are never shown to the model";
  }
  if (invoked) return "";
  if (!site.after.empty() && is_identifier(site.after.front())) {
    return "the cursor stands in or right before a word";
  }
  if (!leaves_a_gap(site)) return "the line goes on right of the cursor";
  if (!has_text(site.text, min_text_chars)) return "the document is still empty";
  return "";
}

}  // namespace incipit::lsp
