#include "engine/config/chat_prompt.h"

namespace incipit::engine {
namespace {

// The template's own default, not today.
constexpr std::string_view kDates =
    "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";

// What Python's str.strip() takes for white space, which is what the template's "trim" does.
constexpr std::string_view kWhiteSpace[] = {
    "\t",     "\n",     "\v",     "\f",     "\r",     "\x1c",   "\x1d",   "\x1e",
    "\x1f",   " ",      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002",
    "\u2003", "\u2004", "\u2005", "\u2006", "\u2007", "\u2008", "\u2009", "\u200a",
    "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};

std::string_view trimmed(std::string_view text) {
  for (bool again = true; again;) {
    again = false;
    for (const std::string_view space : kWhiteSpace) {
      if (text.starts_with(space)) {
        text.remove_prefix(space.size());
        again = true;
      }
      if (text.ends_with(space)) {
        text.remove_suffix(space.size());
        again = true;
      }
    }
  }
  return text;
}

}  // namespace

std::vector<TokenId> chat_prompt(const Tokenizer& tokenizer, TokenId bos, const ChatFormat& format,
                                 std::span<const ChatTurn> turns, std::string_view answer) {
  std::vector<TokenId> out;
  if (bos >= 0) out.push_back(bos);
  const auto add_turn = [&](std::string_view role, std::string_view dates, std::string_view text) {
    out.push_back(format.start_header);
    tokenizer.encode_append(role, out);
    out.push_back(format.end_header);
    tokenizer.encode_append(std::string("\n\n").append(dates).append(text), out);
  };
  if (format.system == SystemTurn::kAlwaysDated) {
    const bool has_one = !turns.empty() && turns.front().role == "system";
    add_turn("system", kDates, has_one ? trimmed(turns.front().text) : std::string_view());
    out.push_back(format.end_of_turn);
    if (has_one) turns = turns.subspan(1);
  }
  for (const ChatTurn& turn : turns) {
    add_turn(turn.role, "", trimmed(turn.text));
    out.push_back(format.end_of_turn);
  }
  add_turn("assistant", "", answer);
  return out;
}

}  // namespace incipit::engine
