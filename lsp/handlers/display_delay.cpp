#include "lsp/handlers/display_delay.h"

#include <utility>

namespace incipit::lsp {

void DisplayDelay::shown(const std::string& uri, std::string if_taken) {
  if (is_open_ && (uri != uri_ || if_taken != if_taken_)) learn(false);
  is_open_ = true;
  uri_ = uri;
  if_taken_ = std::move(if_taken);
}

void DisplayDelay::changed(const std::string& uri, std::string_view text) {
  if (is_open_ && uri == uri_ && text == if_taken_) learn(true);
}

void DisplayDelay::learn(bool taken) {
  constexpr double kWeight = 0.125;  // of the newest: what was before the last dozen hardly counts
  taken_share_ += kWeight * ((taken ? 1.0 : 0.0) - taken_share_);
  is_open_ = false;
}

}  // namespace incipit::lsp
