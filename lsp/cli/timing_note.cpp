#include "lsp/cli/timing_note.h"

#include <fmt/core.h>

namespace incipit::lsp::cli {

std::string timing_note(const engine::Timings& timings) {
  const double first_ms = static_cast<double>(timings.first_token.count()) / 1e3;
  const double total_ms = static_cast<double>(timings.total.count()) / 1e3;
  std::string rate;
  // The first token belongs to reading the prompt; the rate is that of the steps after it.
  if (timings.n_generated > 1 && total_ms > first_ms) {
    rate = fmt::format(" ({:.0f}/s)", (timings.n_generated - 1) * 1e3 / (total_ms - first_ms));
  }
  return fmt::format(
      "first token {:.1f} ms, {} tokens in {:.1f} ms{}, {} of {} prompt tokens from "
      "the cache",
      first_ms, timings.n_generated, total_ms, rate, timings.n_cached_tokens,
      timings.n_prompt_tokens);
}

}  // namespace incipit::lsp::cli
