// DeviceFault: what Model::forward() and copy_page() throw when their device has failed: nothing
// that it holds can be trusted any more, its KV pages least of all. Caught by EngineLoop, which
// asks for another model.
#pragma once

#include <stdexcept>
#include <string>

namespace incipit::engine {

class DeviceFault : public std::runtime_error {
 public:
  enum class Kind {
    kFailed,        // it reported an error
    kDoesNotAnswer  // a step took longer than it may: giving its memory back would wait for it
  };
  DeviceFault(Kind kind, const std::string& what) : std::runtime_error(what), kind_(kind) {}
  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

}  // namespace incipit::engine
