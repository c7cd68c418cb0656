// A source file named on the command line, and places in it. Errors name the file, what is wanted
// and what was found. Main thread.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "lsp/cli/command_line.h"
#include "lsp/document/line_index.h"
#include "lsp/document/snapshot.h"

namespace incipit::lsp::cli {

struct SourceFile {
  std::string name;                         // as the user wrote it
  std::shared_ptr<const std::string> text;  // valid UTF-8, without a byte order mark
  LineIndex lines;
  DocumentSnapshot snapshot;  // shares `text`
};

// Reads FILE or standard input. Refused are directories, devices, named pipes that nobody writes
// to, binaries, other encodings than UTF-8 and files over kMaxSourceBytes.
constexpr size_t kMaxSourceBytes = 64 << 20;
Result<SourceFile> read_source(const SourceChoice& choice);

// The same for a text in hand; `name` is for messages and tells the language.
Result<SourceFile> make_source(std::string name, std::string text, std::string language);

// Every language that has a grammar, with commas, for messages.
std::string language_names();

// "LINE:COLUMN", 1-based, the column in bytes, one past the end of the line allowed. Yields the
// byte offset.
Result<size_t> parse_position(std::string_view at, const SourceFile& source);

struct ByteRange {
  size_t start = 0;
  size_t end = 0;
};

// "A:B" or "A", 1-based lines, both included. Yields the bytes from the start of A to the end of B,
// without B's line break.
Result<ByteRange> parse_lines(std::string_view lines, const SourceFile& source);

}  // namespace incipit::lsp::cli
