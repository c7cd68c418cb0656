#include "lsp/completion/document_states.h"

#include <algorithm>
#include <utility>

#include "lsp/document/uri.h"

namespace incipit::lsp {

using Clock = DocumentParser::Clock;

DocumentStates::DocumentStates(const engine::Engine& engine, ContextChoice context)
    : tokenizer_(engine.tokenizer()), format_(engine.info().prompt), context_(std::move(context)) {}

DocumentStates::State& DocumentStates::state_of(const DocumentSnapshot& document) {
  const auto found = states_.find(document.uri);
  if (found == states_.end() && states_.size() >= kMaxDocuments) {
    states_.erase(std::min_element(states_.begin(), states_.end(), [](auto& a, auto& b) {
      return a.second.last_used < b.second.last_used;
    }));
  }
  State& state = found == states_.end() ? states_[document.uri] : found->second;
  const Language* language =
      find_language(document.language_id, document.path.empty() ? document.uri : document.path);
  if (state.prompts == nullptr) {
    state.prompts = std::make_unique<PromptBuilder>(*tokenizer_, format_);
    state.prompts->use_context(context_, Uri::parse(document.uri).file_path().value_or(""));
  }
  if (language != state.language) {
    state.parser = language == nullptr ? nullptr : std::make_unique<DocumentParser>(*language);
    state.language = language;
  }
  state.last_used = ++clock_;
  return state;
}

Place DocumentStates::read(const DocumentSnapshot& document, size_t offset) {
  State& state = state_of(document);
  Place place;
  place.document = document;
  place.language = state.language;
  if (state.parser != nullptr) {
    const bool large = state.parser->unfinished() || document.text->size() > kLargeBytes;
    const auto budget = large ? kResumeBudget : kParseBudget;
    place.tree = state.parser->parse(document.text, Clock::now() + budget);
  }
  place.site = look_at(*document.text, offset, place.language);
  return place;
}

Tree DocumentStates::late_tree(const Place& place) {
  const auto found = states_.find(place.document.uri);
  if (found == states_.end() || found->second.parser == nullptr) return nullptr;
  DocumentParser& parser = *found->second.parser;
  if (parser.unfinished()) parser.advance(Clock::now() + kParseBudget);
  return parser.tree_of(place.document.text);
}

Result<Prompt> DocumentStates::prompt(const Place& place, int32_t budget_tokens, PromptEnd where,
                                      const OpenDocuments* open) {
  State& state = state_of(place.document);
  return state.prompts->build(place.site, place.document.text, place.tree.get(),
                              place.document.path, budget_tokens, where, open);
}

Result<Prompt> DocumentStates::prompt_ahead(const Place& place, int32_t budget_tokens,
                                            PromptEnd where, const OpenDocuments* open) {
  PromptBuilder ahead = *state_of(place.document).prompts;
  return ahead.build(place.site, place.document.text, place.tree.get(), place.document.path,
                     budget_tokens, where, open);
}

bool DocumentStates::repeats_last_prompt(const std::string& uri,
                                         const std::vector<engine::TokenId>& tokens) {
  const auto found = states_.find(uri);
  if (found == states_.end()) return false;
  const bool same = found->second.last_prompt == tokens;
  found->second.last_prompt = tokens;
  return same;
}

void DocumentStates::forget_last_prompt(const std::string& uri) {
  const auto found = states_.find(uri);
  if (found != states_.end()) found->second.last_prompt.clear();
}

bool DocumentStates::has_background_work() const {
  return std::any_of(states_.begin(), states_.end(), [](const auto& entry) {
    return entry.second.parser != nullptr && entry.second.parser->unfinished();
  });
}

bool DocumentStates::work_in_background(std::chrono::milliseconds slice) {
  for (auto& [uri, state] : states_) {
    if (state.parser != nullptr && state.parser->unfinished()) {
      state.parser->advance(Clock::now() + slice);
      return true;
    }
  }
  return false;
}

void DocumentStates::forget(const std::string& uri) {
  states_.erase(uri);
}

}  // namespace incipit::lsp
