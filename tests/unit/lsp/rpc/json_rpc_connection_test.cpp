#include "lsp/rpc/json_rpc_connection.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lsp/rpc/dispatcher.h"
#include "lsp/rpc/message_framer.h"

namespace incipit::lsp {
namespace {

// The connection with what it sent, received requests and notifications laid open.
struct Wire {
  std::vector<Json> sent;
  std::vector<IncomingRequest> requests;
  std::vector<IncomingNotification> notifications;
  JsonRpcConnection connection{[this](std::string_view frame) {
                                 MessageFramer framer;
                                 framer.feed(frame);
                                 const auto message = framer.next();
                                 ASSERT_TRUE(message && !framer.next());
                                 sent.push_back(Json::parse(message->text));
                               },
                               [this](IncomingRequest r) { requests.push_back(std::move(r)); },
                               [this](IncomingNotification n) { notifications.push_back(n); }};

  void request(const Json& id) {
    connection.receive(Json{{"jsonrpc", "2.0"}, {"id", id}, {"method", "m"}}.dump());
  }
};

Json error_reply(const Json& id, int code, const std::string& message) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", code}, {"message", message}}}};
}

struct BadMessage {
  const char* name;
  std::string text;
  Json reply;
};

class BadMessages : public ::testing::TestWithParam<BadMessage> {};

TEST_P(BadMessages, GetOneError) {
  Wire wire;
  wire.connection.receive(GetParam().text);
  ASSERT_EQ(wire.sent.size(), 1u);
  EXPECT_EQ(wire.sent[0], GetParam().reply);
  EXPECT_TRUE(wire.requests.empty());
  EXPECT_TRUE(wire.notifications.empty());
}

INSTANTIATE_TEST_SUITE_P(
    JsonRpc, BadMessages,
    ::testing::Values(
        BadMessage{"batch", R"([{"jsonrpc":"2.0","id":1,"method":"m"}])",
                   error_reply(nullptr, -32600, "message: want an object, found array")},
        BadMessage{"empty_batch", "[]",
                   error_reply(nullptr, -32600, "message: want an object, found array")},
        BadMessage{"scalar", "17",
                   error_reply(nullptr, -32600, "message: want an object, found integer")},
        BadMessage{"no_method", R"({"jsonrpc":"2.0","id":1})",
                   error_reply(1, -32600, "message: method: want string, found nothing")},
        BadMessage{"empty_object", "{}",
                   error_reply(nullptr, -32600, "message: jsonrpc: want \"2.0\", found nothing")},
        BadMessage{"method_no_string", R"({"jsonrpc":"2.0","id":"x","method":5})",
                   error_reply("x", -32600, "message: method: want string, found integer")},
        BadMessage{"no_version", R"({"id":1,"method":"m"})",
                   error_reply(1, -32600, "message: jsonrpc: want \"2.0\", found nothing")},
        BadMessage{"wrong_version", R"({"jsonrpc":"1.0","id":1,"method":"m"})",
                   error_reply(1, -32600, "message: jsonrpc: want \"2.0\", found \"1.0\"")},
        BadMessage{"number_version", R"({"jsonrpc":2.0,"id":1,"method":"m"})",
                   error_reply(1, -32600, "message: jsonrpc: want \"2.0\", found number")},
        BadMessage{"null_id", R"({"jsonrpc":"2.0","id":null,"method":"m"})",
                   error_reply(nullptr, -32600, "message: id: want string or integer, found null")},
        BadMessage{"huge_id", R"({"jsonrpc":"2.0","id":100000000000000000000,"method":"m"})",
                   error_reply(nullptr, -32600,
                               "message: id: want an integer of at most 64 bits, found a larger "
                               "number")},
        BadMessage{
            "object_id", R"({"jsonrpc":"2.0","id":{},"method":"m"})",
            error_reply(nullptr, -32600, "message: id: want string or integer, found object")}),
    [](const auto& instance) { return instance.param.name; });

TEST(JsonRpcConnection, AnswersBrokenJsonWithParseErrorAndNullId) {
  Wire wire;
  wire.connection.receive("{\"jsonrpc\":");
  wire.connection.receive_framing_error("framing: want Content-Length, found none");
  ASSERT_EQ(wire.sent.size(), 2u);
  for (const Json& reply : wire.sent) {
    EXPECT_EQ(reply["error"]["code"], -32700);
    EXPECT_TRUE(reply["id"].is_null());
  }
}

TEST(JsonRpcConnection, SendsEveryKindOfIdBackAsItCame) {
  Wire wire;
  const std::vector<Json> ids = {1, 0, -3, "1", "", 1.5, 18446744073709551615ULL, "\u00e9\""};
  for (const Json& id : ids) {
    wire.request(id);
    wire.requests.back().reply.finish(Json("ok"));
    EXPECT_EQ(wire.sent.back()["id"].dump(), id.dump());
    EXPECT_EQ(wire.sent.back()["result"], "ok");
  }
  EXPECT_EQ(wire.sent.size(), ids.size());
}

TEST(JsonRpcConnection, RefusesAnIdThatIsStillInUse) {
  Wire wire;
  wire.request(1);
  wire.request("1");  // another id
  wire.request(1);
  wire.request(1.0);  // the same, for clients that know floating numbers only
  ASSERT_EQ(wire.requests.size(), 2u);
  ASSERT_EQ(wire.sent.size(), 2u);
  EXPECT_EQ(wire.sent[0]["error"]["code"], -32600);
  wire.requests[0].reply.finish(Json(true));
  EXPECT_EQ(wire.sent.back()["result"], true);
  wire.request(1);
  EXPECT_EQ(wire.requests.size(), 3u);
}

TEST(JsonRpcConnection, AnswersACancelledRequestAtOnceAndOnlyOnce) {
  Wire wire;
  wire.request("a");
  wire.connection.receive(R"({"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":"a"}})");
  ASSERT_EQ(wire.sent.size(), 1u);
  EXPECT_EQ(wire.sent[0], error_reply("a", -32800, "m: cancelled"));
  EXPECT_TRUE(wire.requests[0].cancel.cancelled());
  wire.requests[0].reply.finish(Json("late"));
  EXPECT_EQ(wire.sent.size(), 1u);
  EXPECT_EQ(wire.connection.n_pending(), 0u);
}

TEST(JsonRpcConnection, IgnoresACancelOfNothing) {
  Wire wire;
  wire.request(1);
  for (const char* params : {R"({"id":2})", R"({"id":"1"})", R"({"id":[]})", "{}", "[1]", "null"}) {
    wire.connection.receive(
        std::string(R"({"jsonrpc":"2.0","method":"$/cancelRequest","params":)") + params + "}");
  }
  EXPECT_TRUE(wire.sent.empty());
  EXPECT_FALSE(wire.requests[0].cancel.cancelled());
}

TEST(JsonRpcConnection, RunsTheCancelHookBeforeTheAnswer) {
  Wire wire;
  wire.request(1);
  wire.connection.on_cancel(wire.requests[0].serial,
                            [&wire] { wire.connection.notify("first", Json::object()); });
  wire.connection.cancel(wire.requests[0].serial, {RpcCode::kRequestCancelled, "second"});
  ASSERT_EQ(wire.sent.size(), 2u);
  EXPECT_EQ(wire.sent[0]["method"], "first");
  EXPECT_EQ(wire.sent[1]["error"]["message"], "second");
}

TEST(JsonRpcConnection, AnswersWhatIsPendingWhenItIsStopped) {
  Wire wire;
  for (int id = 0; id < 5; ++id) wire.request(id);
  wire.requests[2].reply.finish(Json(nullptr));
  wire.connection.cancel_all({RpcCode::kRequestCancelled, "stop"});
  EXPECT_EQ(wire.sent.size(), 5u);
  wire.requests.clear();
  EXPECT_EQ(wire.sent.size(), 5u);
}

TEST(JsonRpcConnection, HandsResponsesToWhoAsked) {
  Wire wire;
  std::string got;
  const auto note = [&got](RpcResult<Json> result) {
    const auto* error = std::get_if<RpcError>(&result);
    got = error ? "error " + error->message : std::get<Json>(result).dump();
  };
  wire.connection.request("ask", Json::array(), note);
  const Json asked = wire.sent.at(0);
  EXPECT_EQ(asked["method"], "ask");
  wire.connection.receive(Json{{"jsonrpc", "2.0"}, {"id", asked["id"]}, {"result", {1, 2}}}.dump());
  EXPECT_EQ(got, "[1,2]");
  wire.connection.request("ask", Json::array(), note);
  wire.connection.receive(
      Json{{"id", wire.sent.at(1)["id"]}, {"error", {{"message", "no"}}}}.dump());
  EXPECT_EQ(got, "error no");
}

TEST(JsonRpcConnection, NeverAnswersAResponse) {
  Wire wire;
  for (const char* text :
       {R"({"jsonrpc":"2.0","id":99,"result":1})", R"({"id":null,"error":{"code":1}})",
        R"({"id":"x","error":5})", R"({"result":1})", R"({"id":1.5,"result":{}})"}) {
    wire.connection.receive(text);
  }
  EXPECT_TRUE(wire.sent.empty());
}

TEST(Reply, SendsInternalErrorWhenDroppedUnanswered) {
  Wire wire;
  wire.request(3);
  { Reply<std::string> dropped(std::move(wire.requests[0].reply)); }
  ASSERT_EQ(wire.sent.size(), 1u);
  EXPECT_EQ(wire.sent[0], error_reply(3, -32603, "m: dropped by the server"));
}

TEST(Reply, AnswersOnceHoweverOftenItIsMovedOrCalled) {
  Wire wire;
  wire.request(3);
  Reply<std::string> one(std::move(wire.requests[0].reply));
  Reply<std::string> other(std::move(one));
  one = std::move(other);
  one.ok("first");
  one.ok("second");
  one.fail({RpcCode::kInternalError, "third"});
  ASSERT_EQ(wire.sent.size(), 1u);
  EXPECT_EQ(wire.sent[0]["result"], "first");
}

TEST(Reply, OutlivesItsConnection) {
  std::vector<IncomingRequest> kept;
  {
    Wire wire;
    wire.request(1);
    kept = std::move(wire.requests);
  }
  kept[0].reply.finish(Json("nobody is there"));
}

struct Echo {
  static constexpr std::string_view kName = "m";
  struct Params {
    std::string text;
  };
  using Result = std::string;
};
template <class V>
void visit_fields(V& v, Echo::Params& p) {
  v("text", p.text);
}

TEST(Dispatcher, ReadsParamsAndNamesWhatIsWrongWithThem) {
  Wire wire;
  Dispatcher<int> dispatcher;
  dispatcher.quick<Echo>([](int& calls, const Echo::Params& params) -> RpcResult<std::string> {
    ++calls;
    return params.text + "!";
  });
  int calls = 0;
  const auto dispatch = [&](const Json& params) {
    wire.connection.receive(
        Json{{"jsonrpc", "2.0"}, {"id", 1}, {"method", "m"}, {"params", params}}.dump());
    dispatcher.dispatch(calls, std::move(wire.requests.back()));
    return wire.sent.back();
  };
  EXPECT_EQ(dispatch({{"text", "a"}})["result"], "a!");
  EXPECT_EQ(dispatch({{"text", 5}}),
            error_reply(1, -32602, "params.text: want string, found integer 5"));
  EXPECT_EQ(dispatch(Json::array({1}))["error"]["message"], "params: want object, found array");
  EXPECT_EQ(dispatch(nullptr)["error"]["message"], "params: want object, found null");
  EXPECT_EQ(calls, 1);
}

TEST(Dispatcher, AnswersAnUnknownRequestAndIgnoresAnUnknownNotification) {
  Wire wire;
  Dispatcher<int> dispatcher;
  int session = 0;
  wire.request(1);
  dispatcher.dispatch(session, std::move(wire.requests.back()));
  EXPECT_EQ(wire.sent.back()["error"]["code"], -32601);
  dispatcher.dispatch(session, IncomingNotification{"$/unknown", nullptr});
  EXPECT_EQ(wire.sent.size(), 1u);
}

}  // namespace
}  // namespace incipit::lsp
