"""What the tests of the Neovim client share: a Neovim, and a server with known answers."""

import json
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from nvim_session import NvimSession  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "../../.."))
PLUGIN = os.path.abspath(os.path.join(HERE, "../../../editors/nvim"))


def item(text, start=None, end=None):
    result = {"insertText": text}
    if start is not None:
        result["range"] = {"start": {"line": start[0], "character": start[1]},
                           "end": {"line": end[0], "character": end[1]}}
    return result


def rule(after, *items, hold=False, by_hand=False, until=""):
    """By hand: only for who asks by hand. Until: answered once the document holds that."""
    return {"after": after, "items": list(items), "hold": hold, "by_hand": by_hand, "until": until}


class ClientTest(unittest.TestCase):
    def start(self, *completions, before_setup="", options="debounce_ms = 10", **rules):
        directory = tempfile.mkdtemp(prefix="incipit-nvim-")
        rules_path = os.path.join(directory, "rules.json")
        self.log_path = os.path.join(directory, "log.jsonl")
        with open(rules_path, "w", encoding="utf-8") as file:
            json.dump({"completions": completions, **rules}, file)
        fake = os.path.join(HERE, "fake_server.py")
        self.nvim = NvimSession(PLUGIN, f"""
            {before_setup}
            local cmd = {{ '{sys.executable}', '{fake}', '{rules_path}', '{self.log_path}' }}
            require('incipit').setup {{ cmd = cmd, {options} }}
            """, directory)
        self.addCleanup(self.nvim.close)
        return self.nvim

    def received(self, method):
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path, encoding="utf-8") as log:
            messages = [json.loads(line) for line in log if line.endswith("\n")]
        return [message for message in messages if message.get("method") == method]

    def server_text(self):
        return self.nvim.lua("""
          local client = require('incipit.client').get()
          local params = { uri = vim.uri_from_bufnr(0) }
          return client.request_sync('fake/text', params, 20000, 0).result""")
