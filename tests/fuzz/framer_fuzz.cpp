// The first byte says how the rest is cut into pieces. However the bytes arrive, the frames are the
// same, and two good frames at the end bring the framer back.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/common/check.h"
#include "lsp/rpc/message_framer.h"

namespace {

using incipit::lsp::Frame;
using incipit::lsp::MessageFramer;

constexpr size_t kMaxBody = 4096;
constexpr std::string_view kGood = "Content-Length: 8\r\n\r\n{\"id\":7}";

void take(MessageFramer& framer, std::vector<std::string>& frames) {
  while (auto frame = framer.next()) {
    CHECK(frame->kind == Frame::Kind::kError || frame->text.size() <= kMaxBody);
    frames.push_back((frame->kind == Frame::Kind::kError ? "!" : "=") + frame->text);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t piece = data[0] % 61 + 1;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  std::vector<std::string> whole;
  MessageFramer at_once(kMaxBody);
  at_once.feed(bytes);
  take(at_once, whole);
  CHECK_LE(whole.size(), bytes.size());

  std::vector<std::string> pieces;
  MessageFramer in_pieces(kMaxBody);
  for (size_t at = 0; at < bytes.size(); at += piece) {
    in_pieces.feed(bytes.substr(at, piece));
    take(in_pieces, pieces);
  }
  CHECK(whole == pieces);

  // Enough of them to fill up a body that was announced and did not come.
  for (size_t fed = 0; fed <= kMaxBody; fed += kGood.size()) at_once.feed(kGood);
  take(at_once, whole);
  CHECK(!whole.empty());
  CHECK(whole.back() == "={\"id\":7}");
  return 0;
}
