"""What the real server with the real model does about code besides completing it, over pipes.

usage: code_commands_test.py PATH/TO/incipit"""

import ast
import json
import os
import subprocess
import sys
import unittest

BINARY = os.path.abspath(sys.argv.pop(1))
URI = "file:///work/primes.py"
SOURCE = '''def is_prime(n):
    for i in range(2, n):
        if n % i == 0:
            return False
    return True


print(is_prime(7))
'''
CAPABILITIES = {
    "general": {"positionEncodings": ["utf-8"]},
    "textDocument": {"codeAction": {"codeActionLiteralSupport": {}, "disabledSupport": True}},
    "workspace": {"applyEdit": True,
                  "workspaceEdit": {"documentChanges": True, "resourceOperations": ["create"]}},
}
REQUEST_FAILED, CANCELLED = -32803, -32800


def span(line, character, end_line, end_character):
    return {"start": {"line": line, "character": character},
            "end": {"line": end_line, "character": end_character}}


class Server:
    """The language server and what it has said that nobody asked for yet."""

    def __init__(self, options):
        self.process = subprocess.Popen([BINARY, "lsp", "--log-level", "off"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.next_id = 1
        self.kept = []
        self.call("initialize", {"capabilities": CAPABILITIES, "initializationOptions": options})
        self.notify("initialized", {})
        while self.call("incipit/status", None)["result"]["state"] == "loading":
            pass
        self.notify("textDocument/didOpen", {"textDocument": {
            "uri": URI, "languageId": "python", "version": 1, "text": SOURCE}})

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self.process.stdin.flush()

    def notify(self, method, params):
        self.send({"method": method, "params": params})

    def start(self, method, params):
        self.next_id += 1
        self.send({"id": self.next_id, "method": method, "params": params})
        return self.next_id

    def read(self):
        size = 0
        while True:
            line = self.process.stdout.readline()
            assert line, "the server ended"
            if line == b"\r\n":
                return json.loads(self.process.stdout.read(size))
            size = int(line.split(b":")[1])

    def wait_for(self, wanted):
        for message in self.kept:
            if wanted(message):
                self.kept.remove(message)
                return message
        while True:
            message = self.read()
            if wanted(message):
                return message
            self.kept.append(message)

    def reply_to(self, request):
        return self.wait_for(lambda m: m.get("id") == request and "method" not in m)

    def call(self, method, params):
        return self.reply_to(self.start(method, params))

    def command(self, name, *arguments, token=None):
        params = {"command": name, "arguments": [URI, *arguments]}
        if token:
            params["workDoneToken"] = token
        return self.start("workspace/executeCommand", params)

    def end(self):
        self.call("shutdown", None)
        self.notify("exit", None)
        self.process.stdin.close()
        code = self.process.wait(60)
        self.process.stdout.close()
        return code


def applied(text, edits):
    lines = text.splitlines(keepends=True)
    for edit in sorted(edits, key=lambda e: -e["range"]["start"]["line"]):
        first, last = edit["range"]["start"], edit["range"]["end"]
        assert first["character"] == last["character"] == 0, edit
        lines[first["line"]:last["line"]] = [edit["newText"]]
    return "".join(lines)


class CodeCommandsTest(unittest.TestCase):
    def setUp(self):
        self.server = Server({"hover": True})
        self.addCleanup(lambda: self.assertEqual(self.server.end(), 0))

    def test_documentation_goes_into_a_docstring_of_the_version_it_was_made_for(self):
        request = self.server.command("incipit.document", span(1, 4, 1, 4), token="t")
        edit = self.server.wait_for(lambda m: m.get("method") == "workspace/applyEdit")
        change = edit["params"]["edit"]["documentChanges"][0]
        self.assertEqual(change["textDocument"], {"uri": URI, "version": 1})
        tree = ast.parse(applied(SOURCE, change["edits"]))
        self.assertTrue(ast.get_docstring(tree.body[0]))
        self.server.send({"id": edit["id"], "result": {"applied": True}})
        self.assertEqual(self.server.reply_to(request)["result"]["applied"], True)
        pieces = []
        while True:
            value = self.server.wait_for(lambda m: m.get("method") == "$/progress")["params"]["value"]
            if value["kind"] == "end":
                break
            pieces.append(value.get("message", ""))
        self.assertIn(ast.get_docstring(tree.body[0]).split()[0], "".join(pieces))

    def test_a_text_that_changed_meanwhile_is_left_alone(self):
        request = self.server.command("incipit.document", span(0, 0, 4, 15))
        self.server.notify("textDocument/didChange", {
            "textDocument": {"uri": URI, "version": 2},
            "contentChanges": [{"range": span(0, 0, 0, 0), "text": "# new\n"}]})
        error = self.server.reply_to(request)["error"]
        self.assertEqual(error["code"], REQUEST_FAILED)
        self.assertIn("the text changed meanwhile", error["message"])

    def test_what_pocket_was_not_trained_for_is_refused_and_shown_as_such(self):
        for name, *more in [("incipit.tests",), ("incipit.fix",), ("incipit.rewrite", "shorter")]:
            reply = self.server.reply_to(self.server.command(name, span(0, 0, 4, 15), *more))
            self.assertEqual(reply["error"]["code"], REQUEST_FAILED)
            self.assertIn("need an Instruct model", reply["error"]["message"])
        actions = self.server.call("textDocument/codeAction", {
            "textDocument": {"uri": URI}, "range": span(0, 0, 4, 15), "context": {}})["result"]
        self.assertEqual([action["title"] for action in actions if "disabled" not in action],
                         ["Explain selection", "Write documentation"])
        self.assertIn("Generate tests",
                      [action["title"] for action in actions if "disabled" in action])

    def test_a_conversation_with_pocket_is_about_what_is_attached(self):
        question = {"role": "user", "content": "What does this do?",
                    "context": [{"path": "prime.py", "languageId": "python", "text": SOURCE}]}

        def ask(*messages):
            return self.server.call("workspace/executeCommand", {
                "command": "incipit.chat", "arguments": [{"messages": messages}]})

        result = ask(question)["result"]
        self.assertRegex(result["text"], r"^[A-Z].+\.")
        self.assertEqual((result["finish"], result["leftOut"]), ("stop", 0))
        error = ask(question, {"role": "assistant", "content": result["text"]},
                    {"role": "user", "content": "And why?"})["error"]
        self.assertEqual(error["code"], -32803)
        self.assertIn("attach the code", error["message"])
        self.assertEqual(self.server.call("incipit/status", None)["result"]["model"]["abilities"],
                         {"explain": True, "edit": False, "chat": False})

    def test_hover_explains_what_is_pointed_at_the_same_twice(self):
        where = {"textDocument": {"uri": URI}, "position": {"line": 7, "character": 8}}
        first = self.server.call("textDocument/hover", where)["result"]
        generated = self.server.call("incipit/status", None)["result"]["tokens"]["generated"]
        self.assertTrue(first["contents"]["value"])
        self.assertEqual(self.server.call("textDocument/hover", where)["result"], first)
        again = self.server.call("incipit/status", None)["result"]["tokens"]["generated"]
        self.assertEqual(again, generated)
        nothing = {"textDocument": {"uri": URI}, "position": {"line": 4, "character": 6}}
        self.assertIsNone(self.server.call("textDocument/hover", nothing)["result"])

    def test_status_says_why_there_was_no_suggestion(self):
        position = {"line": 0, "character": 6}  # in a word
        reply = self.server.call("textDocument/inlineCompletion", {
            "textDocument": {"uri": URI}, "position": position, "context": {"triggerKind": 2}})
        self.assertEqual(reply["result"]["items"], [])
        newest = self.server.call("incipit/status", None)["result"]["suppressed"][0]
        self.assertEqual((newest["uri"], newest["position"]), (URI, position))
        self.assertIn("word", newest["why"])


class PromptLayoutTest(unittest.TestCase):
    def complete(self, *options):
        return subprocess.run([BINARY, "complete", "primes.py", "--stdin", "--at", "8:1", "--json",
                               *options], input=SOURCE.encode(), capture_output=True, timeout=300,
                              check=False)

    def test_every_layout_that_the_model_has_tokens_for_completes(self):
        for layout in ["auto", "fim", "fim-prefix-first", "instruct", "base", "plain"]:
            result = self.complete("--prompt-layout", layout)
            self.assertEqual(result.returncode, 0, layout + ": " + result.stderr.decode())
            for item in json.loads(result.stdout)["items"]:
                self.assertNotIn("```", item["insertText"])

    def test_an_unknown_layout_is_refused_with_the_known_ones(self):
        result = self.complete("--prompt-layout", "chat")
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"fim-prefix-first", result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
