#include "lsp/completion/prompt_builder.h"

#include <algorithm>
#include <string>

#include "lsp/completion/prompt_cut.h"
#include "lsp/completion/prompt_text.h"
#include "lsp/context/file_header.h"

namespace incipit::lsp {
namespace {

using engine::PromptLayout;
using engine::TokenId;
using std::string_view;

// bos, file separator, prefix, suffix, middle.
constexpr size_t kControlTokens = 5;
constexpr size_t kMaxPathTokens = 48;
constexpr size_t kMaxSuffixTokens = 512;
// Less room than this for the text before the cursor is of no use to any model.
constexpr size_t kMinPrefixTokens = 16;
// Bytes of the cursor's line by which its last token is found.
constexpr size_t kMaxTokenContext = 256;

// What is being typed and stands behind everything else: lines that are not blank, and how far back
// they are looked for; and how long it may grow before it begins anew nearer to the cursor.
constexpr int kLinesBegun = 2;
constexpr int kMaxLinesBack = 12;
constexpr size_t kMaxBytesBack = 1024;
constexpr size_t kMaxBegunBytes = 4096;
// Tokens that may come on top where texts that were counted apart meet.
constexpr size_t kJoints = 16;

// Shares in percent: of the whole budget for the text after the cursor; of the prefix budget that a
// fresh window fills (the rest is what the user can type before it moves again), that its header
// may take, and below which a window that begins too close to the cursor is made anew.
constexpr size_t kSuffixShare = 20;
constexpr size_t kFreshShare = 60;
constexpr size_t kHeaderShare = 20;
constexpr size_t kTooCloseShare = 25;
// Code has three to four bytes a token: fewer are shown for sure.
constexpr size_t kLeastBytesPerToken = 3;

// Half a statement on the cursor's line can make one error of the whole function around it. The
// tree without that line; null when there is no need for it.
Tree without_line(const SyntaxTree& tree, const CursorSite& site) {
  if (count_errors(tree, {site.line_start, site.line_end}) == 0) return nullptr;
  auto text = std::make_shared<std::string>(site.text);
  text->erase(site.line_start, site.line_end - site.line_start);
  return reparse(tree, std::move(text),
                 DocumentParser::Clock::now() + std::chrono::milliseconds(50));
}

}  // namespace

PromptLayout PromptBuilder::layout() const {
  if (format_->layout == PromptLayout::kFim && !format_->fim) return PromptLayout::kPlain;
  if (format_->layout == PromptLayout::kInstruct && !format_->chat) return PromptLayout::kBase;
  return format_->layout;
}

bool PromptBuilder::places_answer() const {
  return layout() == PromptLayout::kInstruct ||
         (layout() == PromptLayout::kFim && format_->fim->order == engine::FimOrder::kPrefixFirst);
}

PromptBuilder::Budget PromptBuilder::budget_for(const Path& path, int32_t budget_tokens) const {
  const size_t total = static_cast<size_t>(std::max(budget_tokens, 0));
  Budget budget{};
  budget.fixed = kControlTokens + path.tokens.size();
  if (layout() == PromptLayout::kInstruct || layout() == PromptLayout::kBase) {
    PromptAnchor wordiest;
    wordiest.language = "typescript";
    wordiest.fence = "```";
    budget.fixed = in_words(path.text, wordiest, {"a\n", ""}, "a\n").size() + kJoints;
  }
  const size_t fixed = std::min(total, budget.fixed);
  if (layout() != PromptLayout::kPlain) {
    budget.suffix = std::min(kMaxSuffixTokens, total * kSuffixShare / 100);
  }
  budget.suffix = std::min(budget.suffix, total - fixed);
  budget.prefix = total - fixed - budget.suffix;
  return budget;
}

PromptBuilder::Path PromptBuilder::short_path(string_view path, size_t max_tokens) const {
  const bool in_fim = layout() == PromptLayout::kFim && format_->fim->file_separator >= 0;
  if (layout() == PromptLayout::kPlain || (layout() == PromptLayout::kFim && !in_fim)) return {};
  for (;;) {
    std::vector<TokenId> tokens = tokenizer_->encode(std::string(path) + "\n");
    if (tokens.size() <= max_tokens) return {path, std::move(tokens)};
    // The last folders and the name say the most.
    const size_t slash = path.find_first_of("/\\");
    if (slash == string_view::npos) return {};
    path.remove_prefix(slash + 1);
  }
}

ContextMaker PromptBuilder::context_maker() const {
  const bool in_fim = layout() == PromptLayout::kFim;
  return {*tokenizer_, in_fim ? &*format_->fim : nullptr, context_};
}

// What of the document is shown anyway is not known before its window is; but nearly.
ContextPlace PromptBuilder::context_place(const Ask& ask, const PromptAnchor& anchor,
                                          Budget budget) const {
  const Language* language = ask.tree != nullptr
                                 ? &ask.tree->language()
                                 : find_language("", ask.path.empty() ? file_path_ : ask.path);
  const size_t before = budget.prefix * kFreshShare / 100 * kLeastBytesPerToken;
  const size_t start = ask.site.offset - std::min(ask.site.offset, before);
  return {&ask.site,  ask.tree, language,
          file_path_, ask.path, {start, anchor.suffix_start + anchor.suffix.size()}};
}

size_t PromptBuilder::size_of(const PromptContext& context) const {
  const std::string text = context.text();
  return context.tokens().size() + (text.empty() ? 0 : tokenizer_->encode(text).size());
}

PromptAnchor PromptBuilder::new_anchor(const Ask& ask, size_t suffix_start, Budget budget) const {
  const CursorSite& site = ask.site;
  const SyntaxTree* tree = ask.tree;
  PromptAnchor anchor;
  anchor.suffix_start = suffix_start;
  if (layout() == PromptLayout::kInstruct || layout() == PromptLayout::kBase) {
    const size_t reach = budget.prefix * kMaxBytesPerToken;
    const size_t from = site.offset - std::min(site.offset, reach);
    anchor.fence = fence_around(site.text.substr(from, 2 * reach));
    const Language* language = tree != nullptr ? &tree->language() : find_language("", ask.path);
    if (language != nullptr) anchor.language = language->fence;
  }
  CutText after = cut_after(*tokenizer_, site.text.substr(suffix_start), budget.suffix);
  anchor.suffix = std::move(after.text);
  anchor.suffix_to_end = after.to_end;
  anchor.suffix_tokens = std::move(after.tokens);
  anchor.context =
      context_maker().make(context_place(ask, anchor, budget), ask.open, budget.prefix);
  budget.prefix -= std::min(budget.prefix, size_of(anchor.context));
  // All of it while that fits with room to type; otherwise a good part of it.
  const size_t roomy = budget.prefix - budget.prefix / 10;
  if (site.offset <= roomy * kMaxBytesPerToken &&
      tokenizer_->encode(with_lf(site.text.substr(0, site.offset))).size() <= roomy) {
    return anchor;
  }
  anchor.start =
      window_start(*tokenizer_, site.text, site.offset, tree, budget.prefix * kFreshShare / 100);
  if (tree != nullptr) {
    const size_t max_bytes = budget.prefix * kHeaderShare / 100 * 3;
    const Tree calm = without_line(*tree, site);
    const string_view kept = site.text.substr(anchor.start, site.offset - anchor.start);
    anchor.header = file_header(calm == nullptr ? *tree : *calm, anchor.start, kept, max_bytes);
  }
  return anchor;
}

// Where the text that stands behind everything else begins: with the cursor's line and the one
// before it that is not blank.
size_t PromptBuilder::new_answer_start(const CursorSite& site, size_t window_start) const {
  size_t start = site.line_start;
  int n_lines = is_blank(site.before) ? 0 : 1;
  for (int i = 0; i < kMaxLinesBack && n_lines < kLinesBegun && start > window_start; ++i) {
    const size_t end = start < 2 ? string_view::npos : site.text.rfind('\n', start - 2);
    const size_t above = end == string_view::npos ? 0 : end + 1;
    if (site.line_start - above > kMaxBytesBack) break;
    if (!is_blank(site.text.substr(above, start - above))) ++n_lines;
    start = above;
  }
  return std::max(start, window_start);
}

// Kept while it lies before the cursor's line and the way from there is short.
void PromptBuilder::place_answer(const CursorSite& site, PromptAnchor& anchor) const {
  const size_t now = anchor.answer_start;
  const bool begins_line = now == 0 || now == anchor.start || site.text[now - 1] == '\n';
  const bool serves = anchor.start <= now && now <= std::max(site.line_start, anchor.start) &&
                      begins_line && site.offset - now <= kMaxBegunBytes;
  if (!serves) anchor.answer_start = new_answer_start(site, anchor.start);
}

PromptBuilder::Prefix PromptBuilder::prefix_of(const PromptAnchor& anchor, string_view text,
                                               size_t end) const {
  const size_t start = std::min(end, anchor.start);
  const size_t split = places_answer() ? std::clamp(anchor.answer_start, start, end) : end;
  return {anchor.context.text() + anchor.header + with_lf(text.substr(start, split - start)),
          with_lf(text.substr(split, end - split))};
}

std::vector<TokenId> PromptBuilder::with_fim_tokens(const std::vector<TokenId>& path,
                                                    const PromptAnchor& anchor,
                                                    const Prefix& prefix) const {
  const engine::FimFormat& fim = *format_->fim;
  std::vector<TokenId> out;
  const auto append = [&](const std::vector<TokenId>& tokens) {
    out.insert(out.end(), tokens.begin(), tokens.end());
  };
  if (format_->bos >= 0) out.push_back(format_->bos);
  append(anchor.context.tokens());
  if (fim.file_separator >= 0 && !path.empty()) {
    out.push_back(fim.file_separator);
    append(path);
  }
  const auto append_before = [&] {
    tokenizer_->encode_append(prefix.before, out, engine::TextStart::kBeginning);
  };
  const auto append_after = [&] {
    out.push_back(fim.suffix);
    append(anchor.suffix_tokens);
  };
  if (fim.order == engine::FimOrder::kPrefixFirst) {
    out.push_back(fim.prefix);
    append_before();
    append_after();
    out.push_back(fim.middle);
    tokenizer_->encode_append(prefix.begun, out);
  } else if (fim.middle_at_cursor) {
    append_after();
    out.push_back(fim.prefix);
    append_before();
    out.push_back(fim.middle);
  } else {
    out.push_back(fim.prefix);
    append_after();
    out.push_back(fim.middle);
    append_before();
  }
  return out;
}

std::vector<TokenId> PromptBuilder::in_words(string_view path, const PromptAnchor& anchor,
                                             const Prefix& prefix, string_view after) const {
  const PromptParts parts{path, anchor.language, anchor.fence, prefix.before, prefix.begun, after};
  return layout() == PromptLayout::kInstruct ? instruct_prompt(*tokenizer_, *format_, parts)
                                             : base_prompt(*tokenizer_, *format_, parts);
}

Prompt PromptBuilder::assemble(const Path& path, const PromptAnchor& anchor, string_view text,
                               size_t end) const {
  Prompt prompt;
  prompt.window_start = anchor.start;
  prompt.context = anchor.context.shown();
  const Prefix prefix = prefix_of(anchor, text, end);
  switch (layout()) {
    case PromptLayout::kFim:
      prompt.tokens = with_fim_tokens(path.tokens, anchor, prefix);
      break;
    case PromptLayout::kInstruct:
    case PromptLayout::kBase:
      prompt.tokens = in_words(path.text, anchor, prefix, with_lf(anchor.suffix));
      prompt.stop_strings = {anchor.fence};
      break;
    case PromptLayout::kPlain:
      if (format_->bos >= 0) prompt.tokens.push_back(format_->bos);
      tokenizer_->encode_append(prefix.before, prompt.tokens, engine::TextStart::kBeginning);
      break;
  }
  return prompt;
}

Result<Prompt> PromptBuilder::build(const CursorSite& site, const Text& text,
                                    const SyntaxTree* tree, string_view path, int32_t budget_tokens,
                                    PromptEnd where, const OpenDocuments* open) {
  const size_t n = n_left_off(site, where);
  window_.follow(text);
  Result<Prompt> prompt = build_shown({site, tree, path, open}, budget_tokens, site.offset - n);
  if (prompt) prompt->left_off = std::string(site.before.substr(site.before.size() - n));
  return prompt;
}

// The bytes before the cursor that a prompt leaves off.
size_t PromptBuilder::n_left_off(const CursorSite& site, PromptEnd where) const {
  if (site.before.empty()) return 0;
  if (site.before.ends_with(' ')) return 1;
  if (where == PromptEnd::kBeforeBlank) return 0;
  // Words do not reach further back, and pieces of them are split alike from there on.
  string_view line =
      site.before.substr(site.before.size() - std::min(site.before.size(), kMaxTokenContext));
  while (continues_utf8(line, 0)) line.remove_prefix(1);
  const std::vector<TokenId> tokens = tokenizer_->encode(line);
  if (tokens.empty()) return 0;
  size_t n = std::min(line.size(), tokenizer_->bytes(tokens.back()).size());
  while (n < line.size() && continues_utf8(line, line.size() - n)) ++n;
  return is_blank(line.substr(line.size() - n)) ? 0 : n;
}

// The prompt of an anchor that still serves; none: make one.
std::optional<Prompt> PromptBuilder::build_again(const Ask& ask, const Path& path, Budget budget,
                                                 size_t suffix_start, size_t end) {
  for (PromptAnchor* anchor = window_.find(ask.site.offset, suffix_start); anchor != nullptr;
       anchor = window_.find(ask.site.offset, suffix_start)) {
    if (ask.site.offset - anchor->start <= budget.prefix * kMaxBytesPerToken &&
        anchor->suffix_tokens.size() <= budget.suffix) {
      place_answer(ask.site, *anchor);
      context_maker().renew(context_place(ask, *anchor, budget), ask.open, budget.prefix,
                            anchor->context);
      Prompt prompt = assemble(path, *anchor, ask.site.text, end);
      const size_t size = prefix_size(prompt, *anchor, budget);
      const size_t others = std::min(size, size_of(anchor->context));
      const bool too_close =
          anchor->start > 0 && size - others < (budget.prefix - others) * kTooCloseShare / 100;
      if (size <= budget.prefix && !too_close) return prompt;
    }
    window_.drop(anchor);
  }
  return std::nullopt;
}

size_t PromptBuilder::prefix_size(const Prompt& prompt, const PromptAnchor& anchor,
                                  Budget budget) const {
  const size_t others = budget.fixed + anchor.suffix_tokens.size();
  return prompt.tokens.size() - std::min(prompt.tokens.size(), others);
}

Result<Prompt> PromptBuilder::build_shown(const Ask& ask, int32_t budget_tokens, size_t end) {
  const CursorSite& site = ask.site;
  const size_t max_path = std::min<size_t>(kMaxPathTokens, std::max(budget_tokens, 0) / 8);
  const Path shown_path = short_path(ask.path, max_path);
  const Budget budget = budget_for(shown_path, budget_tokens);
  if (budget.prefix < kMinPrefixTokens) {
    return Error{ErrorCode::kInvalidArgument,
                 "the prompt budget of " + std::to_string(budget_tokens) +
                     " tokens leaves no room for the text before the cursor"};
  }
  // Closers after the cursor are the editor's: they come and go while the user types, and the
  // model may write them itself.
  const size_t suffix_start = site.tail == LineTail::kClosers ? site.line_end : site.offset;
  if (auto again = build_again(ask, shown_path, budget, suffix_start, end)) return *again;

  PromptAnchor& anchor = window_.add(new_anchor(ask, suffix_start, budget));
  anchor.answer_start = new_answer_start(site, anchor.start);
  Prompt prompt = assemble(shown_path, anchor, site.text, end);
  if (prefix_size(prompt, anchor, budget) > budget.prefix) {
    // The header came on top of a window that was full already.
    anchor.header.clear();
    prompt = assemble(shown_path, anchor, site.text, end);
  }
  // Text that takes more tokens cut than whole.
  for (size_t size = prefix_size(prompt, anchor, budget);
       size > budget.prefix && anchor.start < end; size = prefix_size(prompt, anchor, budget)) {
    const size_t n_bytes = end - anchor.start;
    anchor.start += std::max<size_t>(1, n_bytes * (size - budget.prefix) / size);
    while (continues_utf8(site.text, anchor.start)) ++anchor.start;
    place_answer(site, anchor);
    prompt = assemble(shown_path, anchor, site.text, end);
  }
  return prompt;
}

}  // namespace incipit::lsp
