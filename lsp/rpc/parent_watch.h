// ParentWatch: one thread that waits until a process ends. `on_gone` runs on that thread, at most
// once, also when there is no such process to begin with. Destruction stops the wait.
#pragma once

#include <sys/types.h>

#include <functional>
#include <thread>

#include "lsp/rpc/stdio_transport.h"

namespace incipit::lsp {

class ParentWatch {
 public:
  ParentWatch(pid_t pid, std::function<void()> on_gone);
  ~ParentWatch();
  ParentWatch(const ParentWatch&) = delete;
  ParentWatch& operator=(const ParentWatch&) = delete;

 private:
  void wait(pid_t pid, const std::function<void()>& on_gone) const;

  WakeFlag stop_;
  std::thread thread_;
};

}  // namespace incipit::lsp
