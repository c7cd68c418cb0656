#include "lsp/completion/prompt_context.h"

#include <algorithm>
#include <map>
#include <utility>

namespace incipit::lsp {
namespace {

using engine::TokenId;

// What a source may take: a share of the prefix budget in percent, and tokens.
struct Limit {
  size_t share = 0;
  size_t tokens = 0;

  size_t of(size_t prefix_tokens) const { return std::min(tokens, prefix_tokens * share / 100); }
};

constexpr Limit limit_of(ContextSource source) {
  switch (source) {
    case ContextSource::kDefinitions:
      return {20, 512};
    case ContextSource::kSimilar:
      return {25, 768};
    case ContextSource::kEdited:
      return {10, 256};
  }
  return {};
}
// Code has three to four bytes a token.
constexpr size_t kBytesPerToken = 3;

size_t bytes_for(ContextSource source, size_t prefix_tokens) {
  return limit_of(source).of(prefix_tokens) * kBytesPerToken;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

}  // namespace

std::vector<TokenId> PromptContext::tokens() const {
  std::vector<TokenId> tokens;
  if (definitions.tokens.empty() && open.tokens.empty()) return tokens;
  append(tokens, repository);
  append(tokens, definitions.tokens);
  append(tokens, open.tokens);
  return tokens;
}

std::vector<ShownPiece> PromptContext::shown() const {
  std::vector<ShownPiece> pieces = definitions.shown;
  append(pieces, open.shown);
  return pieces;
}

bool ContextMaker::as_files() const {
  return choice_->shown_as == FilesAs::kFiles && fim_ != nullptr && fim_->file_separator >= 0;
}

// The best pieces are last: they are the last to be left out.
ContextPart ContextMaker::part_of(const std::vector<ContextPiece>& pieces,
                                  const ContextPlace& place, size_t prefix_tokens) const {
  struct Told {
    const ContextPiece* piece;
    std::string text;
    std::vector<TokenId> tokens;
  };
  std::map<ContextSource, size_t> used;
  std::vector<Told> told;
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    Told one{&*piece, as_files() ? "" : as_comments(*piece, *place.language), {}};
    if (as_files()) one.tokens.push_back(fim_->file_separator);
    tokenizer_->encode_append(as_files() ? piece->path + "\n" + piece->text : one.text, one.tokens);
    size_t& n_used = used[piece->source];
    if (one.tokens.empty() ||
        n_used + one.tokens.size() > limit_of(piece->source).of(prefix_tokens)) {
      continue;
    }
    n_used += one.tokens.size();
    told.push_back(std::move(one));
  }
  ContextPart part;
  for (auto one = told.rbegin(); one != told.rend(); ++one) {
    const auto n_tokens = static_cast<int32_t>(one->tokens.size());
    part.shown.push_back({one->piece->source, one->piece->path, n_tokens});
    part.text += one->text;
    if (as_files()) append(part.tokens, one->tokens);
  }
  return part;
}

void ContextMaker::take_open(const ContextPlace& place, const OpenDocuments* open,
                             size_t prefix_tokens, PromptContext& context) const {
  context.open = {};
  context.n_prompts = 0;
  context.similar = open != nullptr && open->similar;
  context.edited = open != nullptr && open->edited;
  context.seen = open == nullptr ? 0 : open->changed_at;
  if (open == nullptr) return;
  context.open =
      part_of(open_pieces(*open, place, bytes_for(ContextSource::kSimilar, prefix_tokens),
                          bytes_for(ContextSource::kEdited, prefix_tokens)),
              place, prefix_tokens);
}

PromptContext ContextMaker::make(const ContextPlace& place, const OpenDocuments* open,
                                 size_t prefix_tokens) const {
  PromptContext context;
  if (place.language == nullptr) return context;
  const std::string_view repository = repository_of(place);
  if (as_files() && fim_->repository >= 0 && !repository.empty()) {
    context.repository.push_back(fim_->repository);
    tokenizer_->encode_append(std::string(repository) + "\n", context.repository);
  }
  if (choice_->symbols != nullptr) {
    const size_t max_bytes = bytes_for(ContextSource::kDefinitions, prefix_tokens);
    context.definitions =
        part_of(definition_pieces(*choice_->symbols, place, max_bytes), place, prefix_tokens);
  }
  take_open(place, open, prefix_tokens, context);
  return context;
}

bool ContextMaker::renew(const ContextPlace& place, const OpenDocuments* open, size_t prefix_tokens,
                         PromptContext& context) const {
  ++context.n_prompts;
  if (place.language == nullptr) return false;
  const bool other_settings = context.similar != (open != nullptr && open->similar) ||
                              context.edited != (open != nullptr && open->edited);
  const bool changed = open != nullptr && open->changed_at > context.seen;
  if (!other_settings && !(changed && context.n_prompts > kPromptsBetween)) return false;
  take_open(place, open, prefix_tokens, context);
  return true;
}

}  // namespace incipit::lsp
