#include "engine/engine.h"

namespace incipit::engine {

const char* name_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStopToken:
      return "stop token";
    case FinishReason::kStopString:
      return "stop string";
    case FinishReason::kLineLimit:
      return "line limit";
    case FinishReason::kTokenLimit:
      return "token limit";
    case FinishReason::kContextFull:
      return "context full";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kPrefilled:
      return "prefilled";
    case FinishReason::kError:
      return "error";
  }
  return "unknown";
}

}  // namespace incipit::engine
