#include "engine/config/prompt_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "engine/config/prompt_format.h"

namespace incipit::engine {
namespace {

struct LayoutRow {
  std::string_view name;
  PromptLayout layout;
  std::optional<FimOrder> order;
};
constexpr LayoutRow kLayoutRows[] = {
    {"fim", PromptLayout::kFim, std::nullopt},
    {"fim-suffix-first", PromptLayout::kFim, FimOrder::kSuffixFirst},
    {"fim-prefix-first", PromptLayout::kFim, FimOrder::kPrefixFirst},
    {"instruct", PromptLayout::kInstruct, std::nullopt},
    {"base", PromptLayout::kBase, std::nullopt},
    {"plain", PromptLayout::kPlain, std::nullopt},
};

bool is_auto(std::string_view wish) {
  return wish.empty() || wish == "auto";
}

const LayoutRow* find_layout(std::string_view wish) {
  const auto* found = std::find_if(std::begin(kLayoutRows), std::end(kLayoutRows),
                                   [&](const LayoutRow& row) { return row.name == wish; });
  return found == std::end(kLayoutRows) ? nullptr : found;
}

PromptLayout best_layout(const PromptFormat& format) {
  if (format.fim) return PromptLayout::kFim;
  const bool answers = format.chat && format.chat->skill == ChatSkill::kAnything;
  return answers ? PromptLayout::kInstruct : PromptLayout::kBase;
}

Error lacks(std::string_view wish, std::string_view what) {
  return Error{ErrorCode::kUnsupported,
               fmt::format("prompt layout: want one that the model has tokens for, found \"{}\": "
                           "its tokenizer has no {} (base and plain work with every model)",
                           wish, what)};
}

}  // namespace

const char* name_of(PromptLayout layout) {
  switch (layout) {
    case PromptLayout::kFim:
      return "fim";
    case PromptLayout::kInstruct:
      return "instruct";
    case PromptLayout::kBase:
      return "base";
    case PromptLayout::kPlain:
      return "plain";
  }
  return "";
}

Result<void> check_prompt_layout(std::string_view wish) {
  if (is_auto(wish) || find_layout(wish) != nullptr) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("prompt layout: want auto, fim, fim-suffix-first, fim-prefix-first, "
                           "instruct, base or plain, found \"{}\"",
                           wish)};
}

Result<void> choose_prompt_layout(std::string_view wish, PromptFormat& format) {
  TRY(check_prompt_layout(wish));
  if (is_auto(wish)) {
    format.layout = best_layout(format);
    return {};
  }
  const LayoutRow& row = *find_layout(wish);
  if (row.layout == PromptLayout::kFim && !format.fim) {
    return lacks(wish, "fill-in-the-middle tokens");
  }
  if (row.layout == PromptLayout::kInstruct && !format.chat) return lacks(wish, "chat format");
  format.layout = row.layout;
  if (row.order) format.fim->order = *row.order;
  return {};
}

}  // namespace incipit::engine
