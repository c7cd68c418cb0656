"""What the server is asked and told."""

import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, item, rule  # noqa: E402


class RequestsTest(ClientTest):
    def test_asks_in_utf16_units_on_lines_that_are_not_ascii(self):
        # '😀' is two units and four bytes, 'é' one unit and two bytes.
        nvim = self.start(rule("é = ", item("1")))
        nvim.open("units.py", "\n")
        nvim.type("i😀é = ")
        nvim.wait_for_ghost("1")
        position = self.received("textDocument/inlineCompletion")[-1]["params"]["position"]
        self.assertEqual(position, {"line": 0, "character": 6})

    def test_tells_where_the_cursor_rests_outside_of_insert_mode(self):
        nvim = self.start()
        nvim.open("rest.py", "one\n😀 two\nthree\n")
        nvim.type("jfw")
        expected = {"line": 1, "character": 4}
        nvim.wait("the place", lambda: any(message["params"]["position"] == expected
                                           for message in self.received("incipit/didMoveCursor")))
        self.assertEqual(nvim.messages(), [])

    def test_cancels_the_request_that_a_newer_one_replaces(self):
        nvim = self.start(rule("ab", item("c")), rule("a", hold=True))
        nvim.open("cancel.py", "\n")
        nvim.type("ia")
        nvim.wait("the first request", lambda: self.received("textDocument/inlineCompletion"))
        nvim.type("b")
        nvim.wait_for_ghost("c")
        first = self.received("textDocument/inlineCompletion")[0]["id"]
        self.assertEqual([m["params"]["id"] for m in self.received("$/cancelRequest")], [first])
        # Neovim 0.7 never calls back for the cancelled one; the next suggestion must still come.
        nvim.type("<Esc>")
        nvim.wait_for_no_ghost()
        nvim.type("a")
        nvim.wait_for_ghost("c")

    def test_an_answer_that_text_was_typed_before_is_asked_for_again_at_once(self):
        # The server fits the range of its answer to what was typed since: measured on the line as it was when asked, it
        # would take the semicolon.
        nvim = self.start(rule("total(va", item("value", (0, 12), (0, 14))),
                          rule("total(", item("value", (0, 12), (0, 14)), until="total(va"), options="debounce_ms = 2000")
        nvim.open("late.py", "print(total());\n")
        nvim.type("0f)i")
        nvim.wait("the request", lambda: self.received("textDocument/inlineCompletion"))
        nvim.type("va")
        nvim.wait_for_ghost("lue")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines() == ["print(total(value));"])
        asked = self.received("textDocument/inlineCompletion")
        self.assertEqual([m["params"]["position"]["character"] for m in asked[:2]], [12, 14])
        self.assertEqual([m["params"]["context"]["triggerKind"] for m in asked[:2]], [2, 2])

    def test_leaving_insert_mode_cancels_the_request(self):
        nvim = self.start(rule("a", hold=True))
        nvim.open("cancel.py", "\n")
        nvim.type("ia")
        nvim.wait("the request", lambda: self.received("textDocument/inlineCompletion"))
        nvim.type("<Esc>")
        nvim.wait("the cancel", lambda: self.received("$/cancelRequest"))

    def test_automatic_suggestions_can_be_off_and_the_trigger_key_still_asks(self):
        nvim = self.start(rule("a", item("b")),
                          options="auto = false, keys = { trigger = '<C-g>t' }")
        nvim.open("manual.py", "\n")
        nvim.type("ia")
        nvim.type("<C-g>t")
        nvim.wait_for_ghost("b")
        asked = self.received("textDocument/inlineCompletion")
        self.assertEqual([m["params"]["context"]["triggerKind"] for m in asked], [1])

    def test_other_file_types_are_left_alone(self):
        nvim = self.start(rule("a", item("b")))
        nvim.open("one.py", "\n")
        path = os.path.join(nvim.directory, "notes.txt")
        nvim.command("edit " + path)
        nvim.type("ia<Esc>")
        nvim.wait("the edit", lambda: nvim.lines()[0] == "a")
        self.assertEqual(len(self.received("textDocument/didOpen")), 1)

    def test_random_edits_leave_the_server_with_the_same_text(self):
        seed = random.randrange(1 << 30)
        print(f"seed {seed}", file=sys.stderr)
        rng = random.Random(seed)
        nvim = self.start()
        nvim.open("edits.py", "eins\nzwei äöü\n😀 drei\n\nfünf\n")
        words = ["a", "é", "😀", "日本", "def f(x):", "\t", " ", "<CR>", "<BS>", "<Left>", "<C-w>"]
        for _ in range(120):
            row = rng.randint(1, max(1, nvim.lua("return vim.fn.line('$')")))
            keys = rng.choice(
                ["dd", "yyp", "x", "D", "J", "u", "<C-r>", "o", "O", "A", "I", "cw", ">>"])
            if keys in ("o", "O", "A", "I", "cw"):
                keys += "".join(rng.choice(words) for _ in range(rng.randint(0, 6)))
            nvim.type(f"{row}G{keys}<Esc>")
            if rng.random() < 0.2:
                nvim.wait("normal mode", "vim.api.nvim_get_mode().mode == 'n'")
                self.assertEqual(self.server_text(), "\n".join(nvim.lines()) + "\n")


if __name__ == "__main__":
    unittest.main()
