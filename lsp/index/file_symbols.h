// FileSymbols: what one file offers to others, as the symbol index keeps it: names and signatures
// in one block of text. Pure; a value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lsp/syntax/parser.h"
#include "lsp/syntax/scope.h"

namespace incipit::lsp {

class FileSymbols {
 public:
  // Signatures are shortened to this, on one line where they are shorter.
  static constexpr size_t kMaxSignatureBytes = 240;
  // A small type is shown with its body: its fields are what its users need.
  static constexpr size_t kMaxWholeTypeBytes = 400;
  static constexpr size_t kMaxSymbols = 2000;

  FileSymbols() = default;
  explicit FileSymbols(const SyntaxTree& tree);

  size_t size() const { return records_.size(); }
  std::string_view name(size_t i) const;       // the last part: "add" of "Shop::add"
  std::string_view signature(size_t i) const;  // as the file has it, shortened
  DefinitionKind kind(size_t i) const { return records_[i].kind; }
  uint32_t line(size_t i) const { return records_[i].line; }  // from 0

 private:
  struct Record {
    uint32_t name_start = 0;  // in text_; the signature follows
    uint32_t line = 0;
    uint16_t name_bytes = 0;
    uint16_t signature_bytes = 0;
    DefinitionKind kind = DefinitionKind::kFunction;
  };
  std::string text_;
  std::vector<Record> records_;
};

}  // namespace incipit::lsp
