#include "lsp/server.h"

#include <deque>
#include <exception>
#include <string>
#include <thread>
#include <utility>
#include <variant>

#include "engine/base/bounded_queue.h"
#include "engine/base/log.h"
#include "lsp/handlers/session.h"
#include "lsp/rpc/json_rpc_connection.h"
#include "lsp/rpc/message_framer.h"

namespace incipit::lsp {
namespace {

// Far more than an editor has in flight: a client that writes a long script before it reads the
// first answer must not stop both sides.
constexpr size_t kQueueCapacity = 1 << 16;

struct EndOfInput {};
using Task = std::function<void()>;
using Event = std::variant<Frame, EndOfInput, Task>;

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

}  // namespace

struct Server::Impl {
  Impl(ServerOptions options, Transport& wire, EngineFactory make_engine)
      : transport(wire),
        on_stopping(options.on_stopping),
        connection([this](std::string_view frame) { write(frame); },
                   [this](IncomingRequest request) { session->handle(std::move(request)); },
                   [this](const IncomingNotification& n) { session->handle(n); }),
        session(std::make_unique<Session>(
            std::move(options), std::move(make_engine), connection,
            [this](Task task) { post(std::move(task)); }, [this] { transport.close(); })) {}

  // Any thread. What io posts to itself must not wait for room in the queue.
  void post(Task task) {
    if (std::this_thread::get_id() == io_thread) {
      own_tasks.push_back(std::move(task));
    } else {
      queue.push(std::move(task));
    }
  }

  void write(std::string_view frame) {
    if (!output_broken && !transport.write(frame)) output_broken = true;
  }

  void read_frames() {
    MessageFramer framer;
    std::string bytes;
    while (transport.read(bytes)) {
      framer.feed(bytes);
      bytes.clear();
      while (auto frame = framer.next()) {
        if (!queue.push(std::move(*frame))) return;
      }
    }
    queue.push(EndOfInput{});
  }

  // Empty when a deadline passed instead.
  std::optional<Event> next_event() {
    if (!own_tasks.empty()) {
      Event event(std::move(own_tasks.front()));
      own_tasks.pop_front();
      return event;
    }
    if (auto event = queue.try_pop()) return event;
    session->on_idle();
    if (!own_tasks.empty()) return next_event();
    const auto deadline = session->next_deadline();
    return deadline ? queue.pop_until(*deadline) : queue.pop();
  }

  // A defect of ours, or memory that ran out, costs one message: a request dropped on the way is
  // answered with InternalError by its Reply.
  void handle(Event event) {
    try {
      dispatch(event);
    } catch (const std::exception& failure) {
      log::error("server: {}", failure.what());
    }
  }

  void dispatch(Event& event) {
    std::visit(Overloaded{[this](Frame& frame) {
                            if (frame.kind == Frame::Kind::kMessage) {
                              connection.receive(std::move(frame.text));
                            } else {
                              connection.receive_framing_error(frame.text);
                            }
                          },
                          [this](EndOfInput) { session->end("the input ended"); },
                          [](Task& task) { task(); }},
               event);
  }

  void stop() {
    if (on_stopping) on_stopping(session->exit_code());
    session->answer_everything();
    transport.close();
    queue.close();
    session.reset();
    if (reader.joinable()) reader.join();
  }

  Transport& transport;
  const std::function<void(int)> on_stopping;
  const std::thread::id io_thread = std::this_thread::get_id();
  BoundedQueue<Event> queue{kQueueCapacity};
  std::deque<Task> own_tasks;
  bool output_broken = false;
  JsonRpcConnection connection;
  std::unique_ptr<Session> session;
  std::thread reader;
};

Server::Server(ServerOptions options, Transport& transport, EngineFactory make_engine)
    : impl_(std::make_unique<Impl>(std::move(options), transport, std::move(make_engine))) {}

Server::~Server() {
  if (impl_->session) impl_->stop();
}

int Server::run() {
  Impl& impl = *impl_;
  impl.reader = std::thread([&impl] { impl.read_frames(); });
  while (!impl.session->ended()) {
    if (auto event = impl.next_event()) {
      impl.handle(std::move(*event));
    } else {
      impl.session->on_deadline();
    }
    if (impl.output_broken) impl.session->end("the output is broken");
  }
  const int code = impl.session->exit_code();
  impl.stop();
  return code;
}

}  // namespace incipit::lsp
