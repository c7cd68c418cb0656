#include "lsp/handlers/edit_sender.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <memory>
#include <utility>

#include "lsp/document/uri.h"
#include "lsp/protocol/methods.h"

namespace incipit::lsp {
namespace {

RpcError failed(const CodeCommand& command, std::string_view why) {
  return RpcError{RpcCode::kRequestFailed, fmt::format("{}: {}", command.name, why)};
}

struct TestName {
  std::string_view extension;
  std::string_view before;  // the file's name without its extension
  std::string_view after;
};
constexpr TestName kTestNames[] = {
    {"py", "test_", ""},  {"js", "", ".test"},  {"jsx", "", ".test"}, {"ts", "", ".test"},
    {"tsx", "", ".test"}, {"mjs", "", ".test"}, {"java", "", "Test"}, {"kt", "", "Test"},
    {"cs", "", "Tests"},  {"lua", "", "_spec"}, {"rb", "", "_spec"},  {"php", "", "Test"},
};

bool file_exists(const std::string& uri) {
  const auto path = Uri::parse(uri).file_path();
  std::error_code ignored;
  return path && std::filesystem::exists(*path, ignored);
}

}  // namespace

std::string test_file_uri(const std::string& uri) {
  if (!Uri::parse(uri).is_file()) return {};
  const size_t slash = uri.rfind('/');
  const size_t dot = uri.rfind('.');
  if (slash == uri.npos || dot == uri.npos || dot <= slash + 1) return {};
  const std::string_view extension = std::string_view(uri).substr(dot + 1);
  const auto* name =
      std::find_if(std::begin(kTestNames), std::end(kTestNames),
                   [&](const TestName& candidate) { return candidate.extension == extension; });
  const TestName parts = name == std::end(kTestNames) ? TestName{extension, "", "_test"} : *name;
  return uri.substr(0, slash + 1)
      .append(parts.before)
      .append(uri, slash + 1, dot - slash - 1)
      .append(parts.after)
      .append(uri, dot);
}

void EditSender::send_changes(const CodeCommand& command, const DocumentSnapshot& asked,
                              const ExplainOutcome& outcome, Reply<Json> reply) {
  const Document* document = documents_.find(asked.uri);
  if (document == nullptr) {
    return reply.fail(failed(command, "the document was closed meanwhile; nothing was changed"));
  }
  if (document->version() != asked.version || document->text() != *asked.text) {
    return reply.fail(failed(command, "the text changed meanwhile; nothing was changed"));
  }
  const PositionMapper positions = document->mapper(encoding_);
  TextDocumentEdit edit{asked.version, asked.uri, {}};
  for (const TextChange& change : outcome.changes) {
    edit.edits.push_back({positions.range_of(change.start, change.end), change.text});
  }
  const EditCommandResult done{true, static_cast<int32_t>(edit.edits.size()), outcome.text, {}, {}};
  send(command, {std::string(command.title), {{write_text_document_edit(edit)}}}, done,
       std::move(reply));
}

void EditSender::send_new_file(const CodeCommand& command, const DocumentSnapshot& asked,
                               const ExplainOutcome& outcome, Reply<Json> reply) {
  const std::string uri = test_file_uri(asked.uri);
  const auto refuse = [&](const std::string& why) {
    reply.ok(write_fields(EditCommandResult{false, 0, outcome.text, {}, why}));
  };
  if (!client_.create_files || !client_.versioned_edits) {
    return refuse("this editor does not make files for a server; the tests are in the answer");
  }
  if (uri.empty()) return refuse("the document is no file; the tests are in the answer");
  if (file_exists(uri) || documents_.find(uri) != nullptr) {
    return refuse(Uri::parse(uri).file_name() + " exists already; the tests are in the answer");
  }
  const TextDocumentEdit edit{nullptr, uri, {{Range{}, outcome.text}}};
  const EditCommandResult done{true, 1, outcome.text, uri, {}};
  send(command,
       {std::string(command.title),
        {{write_fields(CreateFile{"create", uri, {}}), write_text_document_edit(edit)}}},
       done, std::move(reply));
}

void EditSender::send(const CodeCommand& command, ApplyWorkspaceEditParams params,
                      EditCommandResult done, Reply<Json> reply) {
  // In a box: what waits for a response is copied.
  const auto box = std::make_shared<Reply<Json>>(std::move(reply));
  connection_.request<method::ApplyEdit>(
      params, [box, command = &command, done = std::move(done)](RpcResult<Json> result) {
        if (const auto* error = std::get_if<RpcError>(&result)) {
          return box->fail(failed(*command, "the editor refused the edit: " + error->message));
        }
        const auto answer = read_fields<ApplyWorkspaceEditResult>(std::get<Json>(result), "result");
        if (!answer) return box->fail(failed(*command, answer.error().message));
        if (answer->applied) return box->ok(write_fields(done));
        box->fail(failed(*command,
                         "the editor did not apply the edit, as after a change of the "
                         "text: " +
                             answer->failureReason.value_or("it gave no reason")));
      });
}

}  // namespace incipit::lsp
