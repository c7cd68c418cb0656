#!/usr/bin/env python3
"""Plays a short editing session against `incipit lsp` and shows what the user would see.

The session is real: a source file of this repository is opened without one of its lines, the line
is typed key by key as an editor sends it, and after each pause a completion is asked for. Times and
token counts are those the server reports (incipit/status). Exits with 1 when nothing was suggested.
"""

import argparse
import json
import os
import pathlib
import queue
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PATIENCE = 120  # seconds for any one answer; packing the model on first use takes a few

# Each scene: a file of this repository, the text whose first occurrence is taken out of it, and
# what is typed in its place, in bursts. After each burst the user pauses.
SCENES = [
    ("scripts/demo.py", "            if \"error\" in answer:\n"
                        "                raise DemoError(f\"{method}: {answer['error']['message']}\")\n",
     ["            if ", "\"er", "ror\""]),
    ("lsp/cli/json_report.cpp", "  timings[\"totalMs\"] = milliseconds(outcome.timings.total);\n",
     ["  tim", "ings[\"total", "Ms\"] "]),
]


class DemoError(Exception):
    pass


class Server:
    """`incipit lsp` as a child process, spoken to as an editor does."""

    def __init__(self, binary, log):
        self._process = subprocess.Popen([binary, "lsp"], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=log)
        self._answers = queue.Queue()
        self._next_id = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        stream = self._process.stdout
        while True:
            length = 0
            while True:
                header = stream.readline()
                if not header:
                    self._answers.put(None)
                    return
                if header == b"\r\n":
                    break
                name, value = header.decode("ascii").split(":", 1)
                if name.lower() == "content-length":
                    length = int(value)
            message = json.loads(stream.read(length))
            if "method" in message and "id" in message:
                # The server asks the editor; this one has no configuration to offer.
                items = message.get("params", {}).get("items", [])
                self._send({"id": message["id"], "result": [None] * len(items) or None})
            elif "id" in message:
                self._answers.put(message)

    def _send(self, message):
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        try:
            self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            self._process.stdin.flush()
        except BrokenPipeError:
            raise DemoError(f"the server ended with {self._process.wait()}") from None

    def notify(self, method, params):
        self._send({"method": method, "params": params})

    def request(self, method, params):
        self._next_id += 1
        self._send({"id": self._next_id, "method": method, "params": params})
        while True:
            try:
                answer = self._answers.get(timeout=PATIENCE)
            except queue.Empty:
                raise DemoError(f"no answer to {method} within {PATIENCE} s") from None
            if answer is None:
                raise DemoError(f"the server ended with {self._process.wait()} during {method}")
            if answer["id"] != self._next_id:
                continue
            if "error" in answer:
                raise DemoError(f"{method}: {answer['error']['message']}")
            return answer["result"]

    def status(self):
        return self.request("incipit/status", None)

    def wait_until_loaded(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            status = self.status()
            if status["state"] == "ready":
                return status
            if status["state"] == "failed":
                raise DemoError(f"the model did not load: {status.get('message')}")
            time.sleep(0.05)
        raise DemoError(f"the model did not load within {PATIENCE} s")

    def stop(self):
        try:
            self.request("shutdown", None)
            self.notify("exit", None)
            self._process.stdin.close()
            return self._process.wait(timeout=10)
        except (DemoError, OSError, subprocess.TimeoutExpired):
            self._process.kill()
            return self._process.wait()


class Editor:
    """One open document and a cursor; every key goes to the server at once."""

    def __init__(self, server, path, text, cursor):
        self.server = server
        self.uri = pathlib.Path(path).as_uri()
        self.text = text
        self.cursor = cursor
        self.version = 1
        language = {".py": "python", ".cpp": "cpp", ".h": "cpp"}[pathlib.Path(path).suffix]
        server.notify("textDocument/didOpen", {"textDocument": {
            "uri": self.uri, "languageId": language, "version": 1, "text": text}})

    def position(self, offset):
        """LSP's default encoding counts UTF-16 units."""
        before = self.text[:offset]
        line = before.rpartition("\n")[2]
        return {"line": before.count("\n"), "character": len(line.encode("utf-16-le")) // 2}

    def insert(self, start, end, text):
        self.version += 1
        edit = {"range": {"start": self.position(start), "end": self.position(end)}, "text": text}
        self.text = self.text[:start] + text + self.text[end:]
        self.cursor = start + len(text)
        self.server.notify("textDocument/didChange", {
            "textDocument": {"uri": self.uri, "version": self.version}, "contentChanges": [edit]})

    def type(self, keys):
        for key in keys:
            self.insert(self.cursor, self.cursor, key)

    def offset(self, position):
        lines = self.text.split("\n")
        start = sum(len(line) + 1 for line in lines[: position["line"]])
        units = lines[position["line"]].encode("utf-16-le")[: 2 * position["character"]]
        return start + len(units.decode("utf-16-le", "ignore"))

    def suggestion(self):
        """The first item as (start, end, text), or None."""
        result = self.server.request("textDocument/inlineCompletion", {
            "textDocument": {"uri": self.uri}, "position": self.position(self.cursor),
            "context": {"triggerKind": 2}})
        if not result["items"]:
            return None
        item = result["items"][0]
        where = item.get("range")
        start = self.offset(where["start"]) if where else self.cursor
        end = self.offset(where["end"]) if where else self.cursor
        return start, end, item["insertText"]


class Paper:
    """Plain lines, or colours on a terminal that takes them."""

    def __init__(self):
        self.colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def line(self, text=""):
        print(text, flush=True)

    def title(self, text):
        self.line(f"\n\033[1m{text}\033[0m" if self.colour else f"\n{text}")

    def excerpt(self, text, start, end):
        """The lines around text[start:end], which is marked."""
        first = max(0, text.count("\n", 0, start) - 4)
        last = text.count("\n", 0, end) + 3
        opening, closing = ("\033[30;42m", "\033[0m") if self.colour else ("«", "»")
        marked = text[:start] + opening + text[start:end] + closing + text[end:]
        if self.colour:  # colour each line by itself, so that gutters stay plain
            inside = text[start:end].replace("\n", f"{closing}\n{opening}")
            marked = text[:start] + opening + inside + closing + text[end:]
        for number, line in enumerate(marked.split("\n")[first : last + 1], start=first + 1):
            self.line(f"  {number:4} | {line}")


def show_request(paper, typed, completion):
    timings = completion["timings"]
    if timings["promptTokens"] == 0:
        told = f"{timings['totalMs']:8.1f} ms, without the model: it continues the last suggestion"
    else:
        told = (f"{timings['firstTokenMs']:8.1f} ms to the first token, {timings['cachedTokens']} "
                f"of {timings['promptTokens']} prompt tokens from the cache")
    paper.line(f"  typed {typed!r:<18} {told}")


def play(server, paper, scene):
    """Returns the timings of each completion asked for, and whether the last one had an item."""
    name, hole, bursts = scene
    path = ROOT / name
    text = path.read_text(encoding="utf-8")
    at = text.find(hole)
    if at < 0:
        raise DemoError(f"{name} no longer holds the lines that this demo types: {hole!r}")
    editor = Editor(server, path, text[:at] + "\n" + text[at + len(hole):], at)
    paper.title(f"{name}: written anew from line {text.count(chr(10), 0, at) + 1}")
    asked = []
    suggestion = None
    for burst in bursts:
        editor.type(burst)
        suggestion = editor.suggestion()
        asked.append(server.status()["lastCompletion"])
        show_request(paper, burst, asked[-1])
    if suggestion is None:
        paper.line(f"  nothing suggested: {asked[-1].get('whyEmpty')}")
        return asked, False
    start, end, inserted = suggestion
    already = len(os.path.commonprefix([inserted, editor.text[start:editor.cursor]]))
    editor.insert(start, end, inserted)
    paper.line()
    paper.excerpt(editor.text, start + already, start + len(inserted))
    return asked, True


def decode_rate(completions):
    """Tokens a second after the first token, over all completions; None when there were too few."""
    tokens = milliseconds = 0
    for timings in (completion["timings"] for completion in completions):
        if timings["generatedTokens"] > 1:
            tokens += timings["generatedTokens"] - 1
            milliseconds += timings["totalMs"] - timings["contextMs"] - timings["firstTokenMs"]
    return tokens * 1000 / milliseconds if milliseconds > 0 else None


def show_totals(paper, completions, tokens):
    with_model = [c["timings"] for c in completions if c["timings"]["promptTokens"] > 0]
    warm = [t for t in with_model if 2 * t["cachedTokens"] > t["promptTokens"]]
    paper.title("As the server counts")
    paper.line(f"  first token cold    {with_model[0]['firstTokenMs']:8.1f} ms "
               f"(the first: {with_model[0]['promptTokens']} tokens of prompt to read)")
    if warm:
        paper.line(f"  first token warm    {min(t['firstTokenMs'] for t in warm):8.1f} ms "
                   f"(the fastest of {len(warm)}: most of the prompt in the cache)")
    paper.line(f"  tokens reused       {tokens['reused']:8} of "
               f"{tokens['reused'] + tokens['prefilled']} prompt tokens came from the cache (with those read ahead)")
    rate = decode_rate(completions)
    if rate is not None:
        paper.line(f"  tokens per second   {rate:8.0f} while writing")


def run(binary, paper, log):
    started = time.monotonic()
    server = Server(binary, log)
    try:
        server.request("initialize", {
            "processId": os.getpid(), "rootUri": ROOT.as_uri(),
            "workspaceFolders": [{"uri": ROOT.as_uri(), "name": "incipit"}], "capabilities": {}})
        answered = time.monotonic() - started
        server.notify("initialized", {})
        model = server.wait_until_loaded()["model"]
        loaded = time.monotonic() - started
        paper.title("incipit lsp")
        paper.line(f"  answered initialize after {answered * 1000:.0f} ms, model {model['name']} "
                   f"ready after {loaded * 1000:.0f} ms, on {model['device']}")
        completions, shown = [], []
        for scene in SCENES:
            asked, ok = play(server, paper, scene)
            completions += asked
            shown.append(ok)
        show_totals(paper, completions, server.status()["tokens"])
    finally:
        server.stop()
    return all(shown)


NEXT_STEPS = """
Next
  Neovim:      vim.opt.runtimepath:append('{root}/editors/nvim'); require('incipit').setup {{}}
  VS Code:     make vsix, then code --install-extension build/incipit-*.vsix
  Llama-3-8B:  {binary} model add DIR|FILE.gguf, in any usual format
  Terminal:    {binary} complete FILE --at LINE:COLUMN"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--binary", default=str(ROOT / "build/release/incipit"))
    binary = parser.parse_args().binary
    paper = Paper()
    with tempfile.TemporaryFile() as log:
        try:
            ok = run(binary, paper, log)
        except (DemoError, OSError) as error:
            print(f"demo: {error}", file=sys.stderr)
            ok = False
        if not ok:
            log.seek(0)
            print(log.read().decode(errors="replace")[-4000:], file=sys.stderr)
            return 1
    paper.line(NEXT_STEPS.format(root=ROOT, binary=os.path.relpath(binary)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
