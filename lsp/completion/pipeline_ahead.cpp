// PipelineWorker, the part that follows the user: the suggestion after the one on display is asked
// for before it is wanted, and what is made for a text that is gone ends.
#include <algorithm>
#include <utility>

#include "lsp/completion/pipeline_worker.h"
#include "lsp/context/secret_files.h"

namespace incipit::lsp {
namespace {

// The tree of the text ahead is made and unmade for each suggestion: not for large documents.
constexpr size_t kMaxAheadBytes = size_t{256} << 10;

bool same_limits(const CompletionOptions& a, const CompletionOptions& b) {
  return a.max_tokens == b.max_tokens && a.max_lines == b.max_lines &&
         a.context_tokens == b.context_tokens;
}

// The request that comes when `shown` has been taken.
CompletionRequest request_after(const CompletionRequest& request, const CompletionItem& shown) {
  CompletionRequest next;
  next.document = request.document;
  auto text = std::make_shared<std::string>(*request.document.text);
  text->replace(shown.replace_start, shown.replace_end - shown.replace_start, shown.insert_text);
  next.document.text = std::move(text);
  next.offset = shown.replace_start + shown.insert_text.size();
  next.open = request.open;
  next.options = request.options;
  return next;
}

}  // namespace

void PipelineWorker::prepare_next(const CompletionRequest& request, const CompletionItem& shown) {
  if (!request.options.prepare_next || request.selected_text ||
      request.document.text->size() > kMaxAheadBytes) {
    return;
  }
  const std::string& uri = request.document.uri;
  const bool is_overtaken = std::any_of(ready_.begin(), ready_.end(), [&](const auto& event) {
    const auto* start = std::get_if<StartEvent>(&event);
    return start != nullptr && start->request.document.uri == uri;
  });
  if (is_overtaken) return;
  StartEvent event{request_after(request, shown), [](const CompletionOutcome&) {},
                   PipelineClock::now(), true};
  const DocumentSnapshot& document = event.request.document;
  const size_t offset = event.request.offset;
  for (auto& [id, flight] : flights_) {
    if (flight.uri != uri || flight.completion == nullptr || !flight.completion->start.ahead)
      continue;
    const Place& other = flight.completion->place;
    if (!flight.completion->is_outdated && other.site.offset == offset &&
        *other.document.text == *document.text) {
      return;  // on its way
    }
    flight.completion->is_outdated = true;
    flight.engine_cancel.cancel();
  }
  const std::string& path = document.path.empty() ? uri : document.path;
  const Language* language = find_language(document.language_id, path);
  if (!policy_
           .refusal(look_at(*document.text, offset, language), looks_secret(uri) ? uri : path,
                    false)
           .empty() ||
      holds_private_key(*document.text, offset, offset)) {
    return;
  }
  Place place = documents_.read(document, offset);
  if (cache_.find(suggestion_place(uri, place.site, event.request.options))) return;
  Result<Prompt> prompt = prompt_of(event, place);
  if (!prompt) return;
  start_generation(std::move(event), std::move(place), std::move(*prompt), PipelineClock::now())
      .suggested_at = request.offset;
}

// Taken before it was ready: what was begun becomes the answer.
bool PipelineWorker::adopt_prepared(StartEvent& event, const Place& place) {
  if (event.request.selected_text) return false;
  for (auto& [id, flight] : flights_) {
    CompletionFlight* ahead = flight.completion.get();
    if (ahead == nullptr || !ahead->start.ahead || ahead->is_outdated ||
        flight.uri != place.document.uri || ahead->place.site.offset != place.site.offset ||
        !same_limits(ahead->start.request.options, event.request.options) ||
        *ahead->place.document.text != *place.document.text) {
      continue;
    }
    ahead->start = std::move(event);
    return true;
  }
  return false;
}

// What is being made for this document and cannot be of use for its new text ends within a step;
// what was computed stays in the prefix cache.
void PipelineWorker::drop_outdated(const DocumentSnapshot& document, size_t offset) {
  for (auto& [id, group] : groups_) {
    const DocumentSnapshot& asked = group.place.document;
    if (asked.uri == document.uri && *asked.text != *document.text) group.is_closed = true;
  }
  for (auto& [id, flight] : flights_) {
    if (flight.uri != document.uri || flight.completion == nullptr ||
        flight.completion->is_outdated || !is_outdated(*flight.completion, document, offset)) {
      continue;
    }
    flight.completion->is_outdated = true;
    flight.engine_cancel.cancel();
  }
}

// Whether the user went on in another way than with what is being made. Notes what was typed.
bool PipelineWorker::is_outdated(CompletionFlight& flight, const DocumentSnapshot& document,
                                 size_t offset) const {
  const std::string_view made_for = flight.place.site.text;
  const std::string_view now = *document.text;
  if (now == made_for) return false;
  if (flight.start.ahead) {  // on the way there as long as the suggestion before it is typed
    return offset < flight.suggested_at || offset > flight.place.site.offset ||
           now.substr(0, offset) != made_for.substr(0, offset);
  }
  if (flight.start.request.selected_text) return false;
  const CompletionOptions& options = flight.start.request.options;
  const CursorSite site = look_at(now, offset, flight.place.language);
  const auto typed = typed_since(suggestion_place(document.uri, flight.place.site, options),
                                 suggestion_place(document.uri, site, options));
  if (!typed) return true;
  flight.typed = *typed;
  return contradicts(generated_text(flight), flight.typed);
}

}  // namespace incipit::lsp
