// Transport: bytes in, bytes out; knows no frame. Two implementations: stdio and, for tests,
// memory.
#pragma once

#include <string>
#include <string_view>

namespace incipit::lsp {

class Transport {
 public:
  virtual ~Transport() = default;

  // Reader thread. Waits for bytes and appends them to `out`; false when no more will come: end of
  // input, the peer no longer listens, or close().
  virtual bool read(std::string& out) = 0;

  // Io thread. Writes all of it; false when the peer no longer listens, or, after the end of input,
  // does not for a while.
  virtual bool write(std::string_view bytes) = 0;

  // Any thread. A waiting read() returns false soon; a write() that makes no progress gives up.
  virtual void close() = 0;
};

}  // namespace incipit::lsp
