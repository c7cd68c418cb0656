// Pretokenizer: cuts valid UTF-8 into the pieces that byte-pair merging may not cross, by the regex
// that tokenizer.json names, run by PCRE2 (UTF, UCP, JIT where it is available). Called by
// Tokenizer. Immutable after create; any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace incipit::engine {

class Pretokenizer {
 public:
  // `where` names file and field in the error for a pattern that PCRE2 refuses.
  static Result<Pretokenizer> create(std::string_view pattern, const std::string& where);
  Pretokenizer(Pretokenizer&&) noexcept;
  Pretokenizer& operator=(Pretokenizer&&) noexcept;
  ~Pretokenizer();

  // Calls `on_piece` for every piece in order; together they are `text`. Text between two matches
  // is a piece as well ("behavior": "Isolated").
  using OnPiece = std::function<void(std::string_view)>;
  void split(std::string_view text, const OnPiece& on_piece) const;

 private:
  struct Code;  // the compiled pattern
  explicit Pretokenizer(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code_;
};

}  // namespace incipit::engine
