#include "lsp/syntax/parser.h"

#include <tree_sitter/api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace incipit::lsp {
namespace {

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

TSPoint point_of(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 == 0: the first line
  return {static_cast<uint32_t>(std::count(before.begin(), before.end(), '\n')),
          static_cast<uint32_t>(offset - line_start)};
}

struct Limits {
  DocumentParser::Clock::time_point deadline;
  const CancelToken* cancel;

  static bool exceeded(TSParseState* state) {
    const auto* limits = static_cast<const Limits*>(state->payload);
    return (limits->cancel != nullptr && limits->cancel->cancelled()) ||
           DocumentParser::Clock::now() >= limits->deadline;
  }
};

const char* read_text(void* payload, uint32_t offset, TSPoint, uint32_t* size) {
  const auto* text = static_cast<const std::string*>(payload);
  *size = offset < text->size() ? static_cast<uint32_t>(text->size() - offset) : 0;
  return *size == 0 ? "" : text->data() + offset;
}

// Null when a limit was hit: the parser then holds the state of the unfinished parse.
TSTree* run(TSParser* parser, const TSTree* base, const std::string& text, Limits limits) {
  TSInput input{};
  input.payload = const_cast<std::string*>(&text);
  input.read = read_text;
  input.encoding = TSInputEncodingUTF8;
  TSParseOptions options{};
  options.payload = &limits;
  options.progress_callback = Limits::exceeded;
  return ts_parser_parse_with_options(parser, base, input, options);
}

// A copy of the tree, told where the text changed. Owned by the caller.
TSTree* edited_copy(const SyntaxTree& tree, std::string_view text, const TextDifference& edit) {
  TSTree* copy = ts_tree_copy(tree.raw());
  TSInputEdit change{};
  change.start_byte = static_cast<uint32_t>(edit.start);
  change.old_end_byte = static_cast<uint32_t>(edit.old_end);
  change.new_end_byte = static_cast<uint32_t>(edit.new_end);
  change.start_point = point_of(text, edit.start);
  change.old_end_point = point_of(*tree.text(), edit.old_end);
  change.new_end_point = point_of(text, edit.new_end);
  ts_tree_edit(copy, &change);
  return copy;
}

}  // namespace

TextDifference difference(std::string_view before, std::string_view after) {
  const size_t shorter = std::min(before.size(), after.size());
  size_t prefix = static_cast<size_t>(
      std::mismatch(before.begin(), before.begin() + static_cast<ptrdiff_t>(shorter), after.begin())
          .first -
      before.begin());
  // The byte after the common part may continue a sequence that began inside it.
  const auto inside = [](std::string_view text, size_t at) {
    return at < text.size() && is_continuation(text[at]);
  };
  while (prefix > 0 && (inside(before, prefix) || inside(after, prefix))) --prefix;

  const size_t most = shorter - prefix;
  size_t suffix = static_cast<size_t>(
      std::mismatch(before.rbegin(), before.rbegin() + static_cast<ptrdiff_t>(most), after.rbegin())
          .first -
      before.rbegin());
  while (suffix > 0 && is_continuation(before[before.size() - suffix])) --suffix;
  return {prefix, before.size() - suffix, after.size() - suffix};
}

SyntaxTree::~SyntaxTree() {
  ts_tree_delete(tree_);
}

std::string SyntaxTree::s_expression() const {
  char* text = ts_node_string(ts_tree_root_node(tree_));
  std::string result(text);
  std::free(text);  // tree-sitter's allocator is malloc
  return result;
}

DocumentParser::DocumentParser(const Language& language)
    : language_(&language), parser_(ts_parser_new()) {
  if (!ts_parser_set_language(parser_, language.grammar())) {
    ts_parser_delete(parser_);  // a grammar of another ABI: documents go without trees
    parser_ = nullptr;
  }
}

DocumentParser::~DocumentParser() {
  if (pending_base_ != nullptr) ts_tree_delete(pending_base_);
  if (parser_ != nullptr) ts_parser_delete(parser_);
}

bool DocumentParser::resume(Clock::time_point deadline, const CancelToken& cancel) {
  TSTree* tree = run(parser_, pending_base_, *pending_, {deadline, &cancel});
  if (tree == nullptr) return false;
  last_ = std::make_shared<SyntaxTree>(*language_, std::move(pending_), tree);
  pending_ = nullptr;
  if (pending_base_ != nullptr) ts_tree_delete(pending_base_);
  pending_base_ = nullptr;
  return true;
}

Tree DocumentParser::parse(const Text& text, Clock::time_point deadline,
                           const CancelToken& cancel) {
  if (parser_ == nullptr || text == nullptr || text->size() > kMaxTextBytes) return nullptr;
  // An older text first, when one is half done: its tree makes this one cheap, and starting over at
  // every keystroke would never finish a large document.
  if (pending_ != nullptr && !resume(deadline, cancel)) return nullptr;
  if (last_ != nullptr) {
    if (last_->text() == text) return last_;
    const TextDifference edit = difference(*last_->text(), *text);
    if (edit.empty()) return last_;
    pending_base_ = edited_copy(*last_, *text, edit);
  }
  pending_ = text;
  return resume(deadline, cancel) ? last_ : nullptr;
}

bool DocumentParser::advance(Clock::time_point deadline) {
  return pending_ != nullptr && !resume(deadline, {});
}

Tree reparse(const SyntaxTree& base, Text text, DocumentParser::Clock::time_point deadline) {
  const TextDifference edit = difference(*base.text(), *text);
  const std::unique_ptr<TSParser, decltype(&ts_parser_delete)> parser(ts_parser_new(),
                                                                      ts_parser_delete);
  if (!ts_parser_set_language(parser.get(), base.language().grammar())) return nullptr;
  const std::unique_ptr<TSTree, decltype(&ts_tree_delete)> old(edited_copy(base, *text, edit),
                                                               ts_tree_delete);
  TSTree* tree = run(parser.get(), old.get(), *text, {deadline, nullptr});
  if (tree == nullptr) return nullptr;
  return std::make_shared<SyntaxTree>(base.language(), std::move(text), tree);
}

}  // namespace incipit::lsp
