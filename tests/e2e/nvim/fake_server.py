"""A language server with known answers, to test the Neovim client alone.

usage: fake_server.py RULES.json LOG.jsonl

RULES: {"completions": [{"after": "def f(", "items": [...], "hold": false}, ...],
        "explanation": ["piece", ...], "hold_explanation": false,
        "status": {...}, "load": [percentage, ...] reported after the first answer to incipit/status,
        "message": "shown after initialized", "message_type": 2,
        "chat": {"pieces": ["piece", ...], "result": {...}, "error": {...}, "hold": false}}
The first rule whose "after" ends the cursor's line before the cursor gives the items ("by_hand": only to who asks by
hand); "hold" never answers until cancelled, "until" once the document holds that text. A document that contains DIE ends the process with status 3. Every message
received is one line of LOG. The request fake/text gives the server's copy of a document."""

import json
import sys


def units(text):
    return len(text.encode("utf-16-le")) // 2


def split_lines(text):
    """Lines with their ends, where CRLF, LF and CR each end one."""
    lines, start, at = [], 0, 0
    while at < len(text):
        if text[at] in "\r\n":
            at += 2 if text[at : at + 2] == "\r\n" else 1
            lines.append(text[start:at])
            start = at
        else:
            at += 1
    lines.append(text[start:])
    return lines


class FakeServer:
    def __init__(self, rules, log):
        self.rules = rules
        self.log = log
        self.documents = {}
        self.held = {}
        self.late = []  # (what the document has to hold, its uri, the answer)

    def send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        sys.stdout.buffer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        sys.stdout.buffer.flush()

    def offset(self, text, position):
        lines = split_lines(text)
        before = "".join(lines[: position["line"]])
        line = lines[position["line"]] if position["line"] < len(lines) else ""
        left, taken = position["character"], 0
        for char in line:
            if left <= 0:
                break
            left -= units(char)
            taken += 1
        return len(before) + taken

    def change(self, params):
        uri = params["textDocument"]["uri"]
        for change in params["contentChanges"]:
            if "range" not in change:
                self.documents[uri] = change["text"]
                continue
            text = self.documents[uri]
            start = self.offset(text, change["range"]["start"])
            end = self.offset(text, change["range"]["end"])
            self.documents[uri] = text[:start] + change["text"] + text[end:]
        for late in self.late[:]:
            until, of, answer = late
            if of == uri and until in self.documents[uri]:
                self.late.remove(late)
                self.send(answer)
        if "DIE" in self.documents[uri]:
            sys.exit(3)

    def complete(self, request):
        params = request["params"]
        uri = params["textDocument"]["uri"]
        text = self.documents[uri]
        before = text[: self.offset(text, params["position"])]
        line = split_lines(before)[-1]
        by_hand = params["context"]["triggerKind"] == 1
        for rule in self.rules.get("completions", []):
            if line.endswith(rule["after"]) and (by_hand or not rule.get("by_hand")):
                answer = {"id": request["id"], "result": {"items": rule["items"]}}
                if rule.get("hold"):
                    self.held[request["id"]] = True
                elif rule.get("until", "") not in text:
                    self.late.append((rule["until"], uri, answer))
                else:
                    self.send(answer)
                return
        self.send({"id": request["id"], "result": {"items": []}})

    def explain(self, request):
        token = request["params"].get("workDoneToken")
        def report(value):
            self.send({"method": "$/progress", "params": {"token": token, "value": value}})
        pieces = self.rules.get("explanation", [])
        report({"kind": "begin", "title": "Explaining"})
        for piece in pieces:
            report({"kind": "report", "message": piece})
        if self.rules.get("hold_explanation"):
            self.held[request["id"]] = True
            return
        report({"kind": "end"})
        self.send({"id": request["id"], "result": "".join(pieces)})

    def load(self):
        for count, percentage in enumerate(self.rules.pop("load", [])):
            value = {"kind": "report" if count else "begin", "title": "Loading", "percentage": percentage}
            self.send({"method": "$/progress", "params": {"token": "incipit/load/1", "value": value}})

    def chat(self, request):
        token = request["params"].get("workDoneToken")
        def report(value):
            self.send({"method": "$/progress", "params": {"token": token, "value": value}})
        rules = self.rules.get("chat", {})
        report({"kind": "begin", "title": "Answering"})
        for piece in rules.get("pieces", []):
            report({"kind": "report", "message": piece})
        if rules.get("hold"):
            self.held[request["id"]] = True
            return
        report({"kind": "end"})
        if "error" in rules:
            self.send({"id": request["id"], "error": rules["error"]})
            return
        result = {"text": "".join(rules.get("pieces", [])), "finish": "stop", "leftOut": 0}
        self.send({"id": request["id"], "result": {**result, **rules.get("result", {})}})

    def handle(self, message):
        method, params = message.get("method"), message.get("params")
        self.log.write(json.dumps(message) + "\n")
        self.log.flush()
        if method == "initialize":
            self.send({"id": message["id"], "result": {"capabilities": {
                "textDocumentSync": {"openClose": True, "change": 2},
                "inlineCompletionProvider": {},
                "executeCommandProvider": {"commands": ["incipit.explain"]}}}})
        elif method == "initialized" and "message" in self.rules:
            self.send({"method": "window/showMessage",
                       "params": {"type": self.rules.get("message_type", 2), "message": self.rules["message"]}})
        elif method == "textDocument/didOpen":
            self.documents[params["textDocument"]["uri"]] = params["textDocument"]["text"]
        elif method == "textDocument/didChange":
            self.change(params)
        elif method == "textDocument/inlineCompletion":
            self.complete(message)
        elif method == "workspace/executeCommand" and params["command"] == "incipit.chat":
            self.chat(message)
        elif method == "workspace/executeCommand" and "edit_result" in self.rules:
            result = self.rules["edit_result"]
            self.send({"id": message["id"], **result})
        elif method == "workspace/executeCommand":
            self.explain(message)
        elif method == "fake/text":
            self.send({"id": message["id"], "result": self.documents[params["uri"]]})
        elif method == "incipit/status":
            self.send({"id": message["id"], "result": self.rules.get("status", {"state": "ready"})})
            self.load()
        elif method == "$/cancelRequest":
            if self.held.pop(params["id"], None):
                self.send({"id": params["id"], "error": {"code": -32800, "message": "cancelled"}})
        elif method == "shutdown":
            self.send({"id": message["id"], "result": None})
        elif method == "exit":
            sys.exit(0)

    def run(self):
        stream = sys.stdin.buffer
        while True:
            length = None
            while True:
                line = stream.readline()
                if not line:
                    return
                if line == b"\r\n":
                    break
                name, value = line.split(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            self.handle(json.loads(stream.read(length)))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        rules = json.load(file)
    with open(sys.argv[2], "a", encoding="utf-8") as log:
        FakeServer(rules, log).run()


if __name__ == "__main__":
    main()
