#include "tests/support/in_memory_transport.h"

namespace incipit::test {

bool InMemoryTransport::read(std::string& out) {
  auto bytes = input_.pop();
  if (!bytes) return false;
  out += *bytes;
  return true;
}

bool InMemoryTransport::write(std::string_view bytes) {
  return output_.push(std::string(bytes));
}

void InMemoryTransport::close() {
  input_.close();
  output_.close();
}

}  // namespace incipit::test
