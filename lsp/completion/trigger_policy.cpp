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
  if (!has_text(site.text, min_text_chars)) return "the document is still empty";
  return "";
}

}  // namespace incipit::lsp
