// FdTransport: a pair of file descriptors, which it borrows. Blocking reads wait in poll() (an
// epoll loop refuses regular files, and stdin may be one); writes go out in pieces that a pipe
// takes without blocking, so that an editor that stopped reading cannot hold up the end.
// StdioTransport takes stdin and stdout away from the rest of the process: whatever else prints to
// stdout lands on stderr, and the wire carries frames only.
#pragma once

#include <atomic>
#include <string>
#include <string_view>

#include "lsp/rpc/transport.h"

namespace incipit::lsp {

// An owned descriptor.
class UniqueFd {
 public:
  explicit UniqueFd(int fd = -1) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }
  void reset();

 private:
  int fd_;
};

// One flag that a poll() can wait for; set from any thread, for good.
class WakeFlag {
 public:
  WakeFlag();
  void set() const;
  int fd() const { return fd_.get(); }

 private:
  UniqueFd fd_;
};

class FdTransport : public Transport {
 public:
  FdTransport(int input_fd, int output_fd) : input_fd_(input_fd), output_fd_(output_fd) {}

  bool read(std::string& out) override;
  bool write(std::string_view bytes) override;
  void close() override;

 private:
  bool read_some(std::string& out) const;
  bool wait_writable() const;

  const int input_fd_;
  const int output_fd_;
  WakeFlag closing_;
  std::atomic<bool> closed_{false};
};

class StdioTransport : public Transport {
 public:
  StdioTransport();

  bool read(std::string& out) override { return inner_.read(out); }
  bool write(std::string_view bytes) override { return inner_.write(bytes); }
  void close() override { inner_.close(); }

 private:
  UniqueFd input_;
  UniqueFd output_;
  FdTransport inner_;
};

}  // namespace incipit::lsp
