#include "engine/config/chat_prompt.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/tiny_tokenizer.h"

namespace incipit::engine {
namespace {

const std::vector<std::string> kChatSpecials = {"<|begin_of_text|>", "<|start_header_id|>",
                                                "<|end_header_id|>", "<|eot_id|>"};

std::shared_ptr<const Tokenizer> chat_tokenizer() {
  const auto json = support::tiny_tokenizer_json(
      {{"\n", "\n"}, {"u", "s"}, {"e", "r"}, {"us", "er"}}, kChatSpecials);
  return Tokenizer::parse(json.dump(), "tiny").value();
}

// As Hugging Face's library encodes a rendered conversation: special tokens by their spelling, what
// lies between two of them as one text.
std::vector<TokenId> encode_rendered(const Tokenizer& tokenizer, std::string_view text) {
  std::vector<TokenId> ids;
  while (!text.empty()) {
    size_t next = std::string_view::npos;
    std::string_view which;
    for (const std::string& spelling : kChatSpecials) {
      const size_t at = text.find(spelling);
      if (at < next) {
        next = at;
        which = spelling;
      }
    }
    tokenizer.encode_append(text.substr(0, next), ids);
    if (next == std::string_view::npos) break;
    ids.push_back(tokenizer.special(which).value());
    text.remove_prefix(next + which.size());
  }
  return ids;
}

// The golden file is what jinja2 renders (tests/oracle/tokenizer/chat_oracle.py).
TEST(ChatPrompt, IsWhatTheTemplateOfLlama3Renders) {
  std::ifstream file(std::filesystem::path(INCIPIT_SOURCE_DIR) /
                     "tests/golden/tokenizer/chat.json");
  const auto golden = nlohmann::json::parse(file);
  const auto tokenizer = chat_tokenizer();
  ChatFormat format{tokenizer->special("<|start_header_id|>").value(),
                    tokenizer->special("<|end_header_id|>").value(),
                    tokenizer->special("<|eot_id|>").value(), "", SystemTurn::kWhenGiven};
  ASSERT_EQ(golden["cases"].size(), 14u);
  for (const auto& one : golden["cases"]) {
    const auto texts = one["turns"].get<std::vector<std::pair<std::string, std::string>>>();
    std::vector<ChatTurn> turns;
    for (const auto& [role, text] : texts) turns.push_back({role, text});
    format.system =
        one["template"] == "llama-3.1" ? SystemTurn::kAlwaysDated : SystemTurn::kWhenGiven;
    const auto rendered = one["rendered"].get<std::string>();
    const TokenId bos = tokenizer->special("<|begin_of_text|>").value();
    EXPECT_EQ(chat_prompt(*tokenizer, bos, format, turns), encode_rendered(*tokenizer, rendered))
        << rendered;
  }
}

}  // namespace
}  // namespace incipit::engine
