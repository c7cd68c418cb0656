"""The Neovim client against a server with known answers: what is drawn, sent and inserted."""

import json
import os
import random
import re
import shutil
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


def rule(after, *items, hold=False):
    return {"after": after, "items": list(items), "hold": hold}


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

    def test_shows_what_the_server_suggests_and_tab_inserts_it(self):
        nvim = self.start(rule("return ", item("a + b")))
        nvim.open("sum.py", "def add(a, b):\n    \n")
        nvim.type("jA")
        nvim.type("return ")
        self.assertEqual(nvim.wait_for_ghost(), ["a + b"])
        self.assertIn("    return a + b", nvim.screen())
        self.assertEqual(nvim.lines()[1], "    return ")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[1] == "    return a + b")
        self.assertEqual(nvim.cursor(), [2, 16])
        self.assertEqual(nvim.lua("return vim.fn.mode()"), "i")
        nvim.wait_for_no_ghost()
        self.assertEqual(nvim.messages(), [])

    def test_tab_without_a_suggestion_is_the_tab_key(self):
        nvim = self.start()
        nvim.open("tab.py", "\n")
        nvim.command("set expandtab softtabstop=4")
        nvim.type("ix<Tab>y")
        nvim.wait("the tab", lambda: nvim.lines()[0] == "x   y")

    def test_tab_without_a_suggestion_is_what_the_user_mapped(self):
        lua_function = "function() return 'mapped' end"
        for mapping in ("vim.api.nvim_set_keymap('i', '<Tab>', 'mapped', {})",
                        f"vim.keymap.set('i', '<Tab>', {lua_function}, {{ expr = true }})",
                        "vim.cmd([[inoremap <expr> <Tab> 'map' . 'ped']])"):
            with self.subTest(mapping=mapping):
                nvim = self.start(rule("go ", item("on")), before_setup=mapping)
                nvim.open("tab.py", "\n")
                nvim.type("i<Tab>")
                nvim.wait("the mapping", lambda: nvim.lines()[0] == "mapped")
                nvim.type(" go ")
                nvim.wait_for_ghost("on")
                nvim.type("<Tab>")
                nvim.wait("the suggestion", lambda: nvim.lines()[0] == "mapped go on")

    def test_setup_twice_keeps_the_first_fallback(self):
        nvim = self.start(before_setup="vim.api.nvim_set_keymap('i', '<Tab>', 'mapped', {})")
        nvim.lua("require('incipit').setup(require('incipit').config())")
        nvim.open("tab.py", "\n")
        nvim.type("i<Tab>")
        nvim.wait("the mapping", lambda: nvim.lines()[0] == "mapped")

    def test_typing_what_the_ghost_says_keeps_it_and_asks_nothing(self):
        nvim = self.start(rule("x = ", item("compute(1)")))
        nvim.open("type.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost("compute(1)")
        asked = len(self.received("textDocument/inlineCompletion"))
        for count, key in enumerate("comp", start=1):
            nvim.type(key)
            nvim.wait_for_ghost("compute(1)"[count:])
        self.assertEqual(len(self.received("textDocument/inlineCompletion")), asked)
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[0] == "x = compute(1)")

    def test_typing_something_else_takes_the_ghost_away(self):
        nvim = self.start(rule("x = ", item("compute(1)")))
        nvim.open("type.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost()
        nvim.type("z")
        nvim.wait_for_no_ghost()
        self.assertEqual(nvim.lines()[0], "x = z")

    def test_typing_a_line_break_that_the_ghost_holds_keeps_it(self):
        nvim = self.start(rule("if a:", item("\n    b()\n    c()")))
        nvim.open("type.py", "\n")
        nvim.type("iif a:")
        nvim.wait_for_ghost("\n    b()\n    c()")
        nvim.type("<CR>b")  # indented by Neovim, as the suggestion is
        nvim.wait_for_ghost("()\n    c()")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[:3] == ["if a:", "    b()", "    c()"])

    def test_escape_takes_the_ghost_away(self):
        nvim = self.start(rule("x = ", item("1")))
        nvim.open("esc.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost()
        nvim.type("<Esc>")
        nvim.wait_for_no_ghost()
        self.assertEqual(nvim.lines()[0], "x = ")

    def test_the_dismiss_key_takes_the_ghost_away_and_stays_in_insert_mode(self):
        nvim = self.start(rule("x = ", item("1")))
        nvim.open("esc.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost()
        nvim.type("<C-]>")
        nvim.wait_for_no_ghost()
        self.assertEqual(nvim.lua("return vim.fn.mode()"), "i")

    def test_draws_and_inserts_several_lines(self):
        nvim = self.start(rule("try:", item("\n    run()\nexcept OSError:\n    pass")))
        nvim.open("lines.py", "\nend = 1\n")
        nvim.type("itry:")
        nvim.wait_for_ghost("\n    run()\nexcept OSError:\n    pass")
        self.assertIn("try:\n    run()\nexcept OSError:\n    pass\nend = 1", nvim.screen())
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines() == [
            "try:", "    run()", "except OSError:", "    pass", "end = 1"])
        self.assertEqual(nvim.cursor(), [4, 8])

    def test_the_rest_of_the_line_is_drawn_behind_the_ghost(self):
        nvim = self.start(rule("f(", item("a, b")), rule("g(", item("a,\n  b")))
        nvim.open("rest.py", "f(); x = 1\ng() + rest\n")
        nvim.type("f(a")
        nvim.wait_for_ghost("a, b")
        self.assertTrue(nvim.screen().startswith("f(a, b); x = 1"), nvim.screen())
        nvim.type("<Esc>j0f(a")
        nvim.wait_for_ghost("a,\n  b")
        self.assertIn("g(a,\n  b) + rest\n", nvim.screen())
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines() == ["f(); x = 1", "g(a,", "  b) + rest"])

    def test_a_range_replaces_text_on_both_sides_of_the_cursor(self):
        # The editor closed the bracket; the server's text brings its own.
        nvim = self.start(rule("print(", item("print(value)", (0, 0), (0, 7))))
        nvim.open("range.py", "\n")
        nvim.type("iprint()<Left>")
        nvim.wait_for_ghost("value)")
        self.assertTrue(nvim.screen().startswith("print(value)\n"), nvim.screen())
        nvim.type("va")
        nvim.wait_for_ghost("lue)")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[0] == "print(value)")
        self.assertEqual(nvim.cursor(), [1, 12])

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

    def test_a_range_in_utf16_units_lands_on_the_right_bytes(self):
        nvim = self.start(rule("é = ", item("é = '😀'", (0, 2), (0, 6))))
        nvim.open("units.py", "\n")
        nvim.type("i😀é = ")
        nvim.wait_for_ghost("'😀'")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[0] == "😀é = '😀'")
        self.assertEqual(nvim.cursor(), [1, len("😀é = '😀'".encode())])

    def test_a_dos_file_gets_no_carriage_returns_in_the_buffer(self):
        nvim = self.start(rule("try:", item("\r\n    run()\r\nfinally:")))
        path = nvim.open("dos.py", "x = 1\r\n\r\n", file_format="dos")
        nvim.type("jitry:")
        nvim.wait_for_ghost("\n    run()\nfinally:")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines() == ["x = 1", "try:", "    run()", "finally:"])
        self.assertEqual(self.server_text(), "x = 1\r\ntry:\r\n    run()\r\nfinally:\r\n")
        nvim.type("<Esc>")
        nvim.command("write")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"x = 1\r\ntry:\r\n    run()\r\nfinally:\r\n")

    def test_tabs_in_the_suggestion_are_drawn_as_wide_as_they_become(self):
        nvim = self.start(rule("if x {", item("\n\t\treturn\n\t}")))
        nvim.open("tabs.go", "func f() {\n\t\n}\n")
        nvim.command("set tabstop=4 noexpandtab noautoindent indentexpr= nocindent nosmartindent")
        nvim.type("jAif x {")
        nvim.wait_for_ghost()
        self.assertIn("    if x {\n        return\n    }\n}", nvim.screen())
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines() == [
            "func f() {", "\tif x {", "\t\treturn", "\t}", "}"])

    def test_accepts_a_word_at_a_time(self):
        nvim = self.start(rule("x = ", item("größe + other(1)\nnext")))
        nvim.open("word.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost()
        for expected in ("x = größe", "x = größe +", "x = größe + other", "x = größe + other("):
            nvim.type("<M-Right>")
            nvim.wait(expected, lambda expected=expected: nvim.lines()[0] == expected)
        self.assertEqual(nvim.wait_for_ghost(), ["1)", "next"])

    def test_accepts_a_line_at_a_time(self):
        nvim = self.start(rule("x = ", item("[\n    1,\n]")))
        nvim.open("line.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost()
        nvim.type("<M-Down>")
        nvim.wait("one line", lambda: nvim.lines() == ["x = ["])
        nvim.wait_for_ghost("\n    1,\n]")
        nvim.type("<M-Down>")
        nvim.wait("two lines", lambda: nvim.lines() == ["x = [", "    1,"])
        nvim.type("<Tab>")
        nvim.wait("all lines", lambda: nvim.lines() == ["x = [", "    1,", "]"])

    def test_undo_takes_back_the_suggestion_and_keeps_what_was_typed(self):
        nvim = self.start(rule("x = ", item("compute()")))
        nvim.open("undo.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost()
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[0] == "x = compute()")
        nvim.type("<Esc>u")
        nvim.wait("the undo", lambda: nvim.lines()[0] == "x = ")

    def test_hides_while_the_popup_menu_is_open(self):
        nvim = self.start(rule("wo", item("rd_one()")))
        nvim.open("popup.py", "word_two\nword_three\n\n")
        nvim.type("2jiwo")
        nvim.wait_for_ghost()
        nvim.type("<C-n>")
        nvim.wait("the popup menu", "vim.fn.pumvisible() == 1")
        nvim.wait_for_no_ghost()

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

    def test_the_server_is_restarted_twice_and_then_left_alone_with_one_message(self):
        nvim = self.start(rule("x", item("yz")))
        nvim.open("dies.py", "\n")
        for deaths in (1, 2):
            nvim.type("iDIE")
            nvim.wait("the restart",
                      lambda starts=deaths + 1: len(self.received("initialize")) == starts)
            # The fresh server got the document as it is now, and would die of it again: mend it.
            nvim.type("<Esc>cc<Esc>")
            nvim.wait("the line to be empty", lambda: nvim.lines()[0] == "")
            nvim.wait("the fresh server", "require('incipit.client').ready(vim.fn.bufnr())")
            nvim.type("ix")
            nvim.wait_for_ghost("yz")
            nvim.type("<Esc>cc<Esc>")
        self.assertEqual(self.server_text(), "\n")
        nvim.type("iDIE")
        nvim.wait("the message", lambda: any(":IncipitRestart" in text for text in nvim.messages()))
        nvim.type(" and more<Esc>cc<Esc>")
        nvim.wait("the line to be empty", lambda: nvim.lines()[0] == "")
        self.assertEqual(sum("left alone" in text for text in nvim.messages()), 1)
        self.assertEqual(len(self.received("initialize")), 3)
        nvim.command("IncipitRestart")
        nvim.wait("the server", "require('incipit.client').ready(vim.fn.bufnr())")
        nvim.type("ix")
        nvim.wait_for_ghost("yz")

    def test_a_missing_program_is_one_message(self):
        self.log_path = "/nonexistent"
        self.nvim = NvimSession(
            PLUGIN, "require('incipit').setup { cmd = { '/nonexistent/incipit', 'lsp' } }")
        self.addCleanup(self.nvim.close)
        for name in ("one.py", "two.py"):
            self.nvim.command("edit " + os.path.join(self.nvim.directory, name))
            self.nvim.type("itext<Esc>")
            self.nvim.wait("the text", lambda: self.nvim.lines()[0] == "text")
            self.nvim.command("write")
        messages = self.nvim.messages()
        self.assertEqual(len(messages), 1, messages)
        self.assertIn("/nonexistent/incipit", messages[0])

    def test_wrong_settings_are_named_and_keep_their_defaults(self):
        nvim = self.start(
            options="debounce_ms = 'fast', colour = 1, keys = { acept = 'x', dismiss = 3 }")
        messages = "\n".join(nvim.messages())
        for part in ("debounce_ms: want a number, found \"fast\"", "colour: want one of",
                     "keys.acept: want one of", "keys.dismiss: want a key"):
            self.assertIn(part, messages)
        self.assertEqual(nvim.lua("return require('incipit').config().debounce_ms"), 120)

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

    def test_explains_a_selection_in_a_floating_window_as_it_streams(self):
        nvim = self.start(explanation=["Adds ", "two\n", "numbers."], hold_explanation=True)
        nvim.open("explain.py", "def add(a, b):\n    return a + b\n\n")
        nvim.type("Vj:IncipitExplain<CR>")
        nvim.wait("the pieces so far", "require('incipit.float').text() == 'Adds two\\nnumbers.'")
        request = self.received("workspace/executeCommand")[0]["params"]
        self.assertEqual(request["command"], "incipit.explain")
        self.assertEqual(request["arguments"][1], {"start": {"line": 0, "character": 0},
                                                   "end": {"line": 1, "character": 16}})
        self.assertNotEqual(nvim.lua("return vim.api.nvim_win_get_config(0).relative"), "")
        self.assertIn("numbers.", nvim.screen())
        nvim.type("q")
        nvim.wait("the window to close", "#vim.api.nvim_list_wins() == 1")
        nvim.wait("the cancel", lambda: self.received("$/cancelRequest"))
        self.assertEqual(nvim.messages(), [])

    def test_explains_exactly_the_selected_characters(self):
        nvim = self.start(explanation=["ok"])
        nvim.open("explain.py", "x = '😀' + élan\n")
        nvim.type("0f'v2l:IncipitExplain<CR>")
        nvim.wait("the answer", "require('incipit.float').text() == 'ok'")
        request = self.received("workspace/executeCommand")[0]["params"]
        self.assertEqual(request["arguments"][1], {"start": {"line": 0, "character": 4},
                                                   "end": {"line": 0, "character": 8}})

    def test_sends_the_commands_that_change_code(self):
        nvim = self.start(edit_result={"result": {"applied": True, "edits": 1, "text": "x"}})
        nvim.open("size.py", "def f(a):\n    return b\n")
        nvim.lua("vim.diagnostic.set(vim.api.nvim_create_namespace('test'), 0, "
                 "{ { lnum = 1, col = 11, message = 'undefined b', severity = 1 } }) return 0")
        nvim.command("1,2IncipitFix")
        nvim.command("2IncipitDocument")
        nvim.command("1,2IncipitRewrite return a instead")
        nvim.wait("three commands", lambda: len(self.received("workspace/executeCommand")) == 3)
        fix, document, rewrite = (
            message["params"] for message in self.received("workspace/executeCommand"))
        self.assertEqual(fix["command"], "incipit.fix")
        self.assertEqual(fix["arguments"][1], {"start": {"line": 0, "character": 0},
                                               "end": {"line": 1, "character": 12}})
        self.assertEqual([one["message"] for one in fix["arguments"][2]], ["undefined b"])
        self.assertEqual(document["command"], "incipit.document")
        self.assertEqual(len(document["arguments"]), 2)
        self.assertEqual(rewrite["arguments"][2], "return a instead")

    def test_shows_tests_that_have_no_file_of_their_own(self):
        nvim = self.start(edit_result={"result": {
            "applied": False, "text": "import unittest\n", "message": "it exists already"}})
        nvim.open("size.py", "def f(a):\n    return b\n")
        nvim.command("1,2IncipitTests")
        nvim.wait("the text", lambda: nvim.lines() == ["import unittest"])
        self.assertIn("incipit: it exists already", nvim.messages())

    def test_says_why_nothing_is_explained(self):
        nvim = self.start()
        nvim.open("blank.py", "x = 1\n    \n\n")
        nvim.type("2GV:IncipitExplain<CR>")
        nvim.wait("the message", "#_G.messages == 1")
        nvim.type("3Gv4l:IncipitExplain<CR>")
        nvim.wait("the message", "#_G.messages == 2")
        self.assertEqual(nvim.messages(), ["incipit: nothing to explain: the selection is blank"] * 2)
        self.assertEqual(self.received("workspace/executeCommand"), [])

    def test_status_is_shown_with_what_people_look_for_first(self):
        nvim = self.start(status={"model": {"name": "fake"}, "version": "1", "state": "ready",
                                  "lastCompletion": {"finish": "x", "items": 0, "whyEmpty": "y"}})
        nvim.open("status.py", "\n")
        nvim.command("IncipitStatus")
        text = nvim.wait("the status", "require('incipit.float').text()")
        self.assertEqual(text.split("\n"), [
            "state: ready", "lastCompletion:", "  whyEmpty: y", "  items: 0", "  finish: x", "model:",
            "  name: fake", "version: 1"])

    def test_says_why_a_buffer_has_no_server(self):
        nvim = self.start()
        nvim.type(":IncipitExplain<CR>")
        nvim.wait("the message", "#_G.messages == 1")
        nvim.command("edit notes.txt")
        nvim.command("IncipitExplain")
        nvim.command("IncipitStatus")
        self.assertEqual(nvim.messages(), [
            "incipit: nothing is explained here: this buffer has no file name yet",
            'incipit: nothing is explained here: the file type "text" is not in setup{ filetypes }',
            'incipit: there is no status: the file type "text" is not in setup{ filetypes }'])

    def test_messages_of_the_server_begin_with_what_they_are_about(self):
        for message, shown in (("incipit.threads: want 1", "incipit.threads: want 1"),
                               ("no model", "incipit: no model")):
            with self.subTest(message=message):
                nvim = self.start(message=message)
                nvim.open("message.py", "\n")
                nvim.wait("the message", "#_G.messages == 1")
                self.assertEqual(nvim.messages(), [shown])

    def test_help_is_there_after_the_lines_of_the_readme(self):
        directory = tempfile.mkdtemp(prefix="incipit-nvim-")
        copy = os.path.join(directory, "incipit")
        shutil.copytree(PLUGIN, os.path.join(copy, "editors", "nvim"),
                        ignore=shutil.ignore_patterns("tags"))
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
            lines = re.search(r"three lines in `init.lua`:\n\n((?:    .*\n)+)", file.read()).group(1)
        self.assertEqual(lines.count("\n"), 3)
        nvim = NvimSession(None, lines.replace("/path/to/incipit", copy), directory)
        self.addCleanup(nvim.close)
        nvim.command("help incipit")
        self.assertIn("*incipit*", "\n".join(nvim.lines()))
        self.assertEqual(nvim.messages(), [])

    def test_checkhealth_reports(self):
        nvim = self.start()
        nvim.open("health.py", "\n")
        nvim.command("checkhealth incipit")
        report = "\n".join(nvim.lines())
        self.assertIn("the server is running, 1 buffer(s) attached", report)


if __name__ == "__main__":
    unittest.main()
