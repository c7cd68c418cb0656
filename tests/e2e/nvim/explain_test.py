"""Explanations and the commands that change code."""

import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest  # noqa: E402


class ExplainTest(ClientTest):
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

    def test_the_window_has_colours_for_markdown_and_the_code_in_it(self):
        nvim = self.start(explanation=["# Sum\n```", "python\nreturn 1\n```\n"])
        nvim.open("explain.py", "def add(a, b):\n    return a + b\n\n")
        nvim.command("1,2Incipit explain")
        nvim.wait("the end", "not require('incipit.explain').running()")
        group = "return vim.fn.synIDattr(vim.fn.synID(..., 1, 1), 'name')"
        self.assertEqual(nvim.lua(group, 3), "pythonStatement")
        self.assertIn("markdown", nvim.lua(group, 1))
        self.assertEqual(nvim.lua("return vim.bo.filetype"), "")

    def test_interrupt_stops_the_model_and_keeps_the_window_and_y_copies(self):
        nvim = self.start(explanation=["Adds two"], hold_explanation=True)
        nvim.open("explain.py", "def add(a, b):\n    return a + b\n\n")
        nvim.command("1,2Incipit explain")
        nvim.wait("the text", "require('incipit.float').text() == 'Adds two'")
        nvim.type("y")
        nvim.wait("the copy", lambda: nvim.lua("return vim.fn.getreg('\"')") == "Adds two")
        nvim.type("<C-c>")
        nvim.wait("the cancel", lambda: self.received("$/cancelRequest"))
        nvim.wait("the note", "require('incipit.float').text() == 'Adds two\\n\\n_cancelled_'")
        nvim.type("q")
        nvim.wait("the window to close", "#vim.api.nvim_list_wins() == 1")
        self.assertEqual(nvim.messages(), ["incipit: copied"])

    def test_a_server_that_dies_ends_the_explanation(self):
        nvim = self.start(explanation=["Adds two"], hold_explanation=True)
        nvim.open("explain.py", "def add(a, b):\n    return a + b\n\n")
        nvim.command("1,2Incipit explain")
        nvim.wait("the text", "require('incipit.float').text() == 'Adds two'")
        os.kill(nvim.lua("return require('incipit.client').describe().pid"), signal.SIGKILL)
        nvim.wait("the end", "require('incipit.float').text() == 'incipit: the server ended meanwhile'")

    def test_rewrite_without_an_instruction_asks_for_it(self):
        nvim = self.start(before_setup="vim.ui.input = function(_, on_done) on_done('be shorter') end",
                          edit_result={"result": {"applied": True, "edits": 1, "text": "x"}})
        nvim.open("size.py", "def f(a):\n    return a\n")
        nvim.command("1,2Incipit rewrite")
        nvim.wait("the command", lambda: self.received("workspace/executeCommand"))
        self.assertEqual(self.received("workspace/executeCommand")[0]["params"]["arguments"][2], "be shorter")

    def test_explains_exactly_the_selected_characters(self):
        nvim = self.start(explanation=["ok"])
        nvim.open("explain.py", "x = '😀' + élan\n")
        nvim.type("0f'v2l:IncipitExplain<CR>")
        nvim.wait("the answer", "require('incipit.float').text() == 'ok'")
        request = self.received("workspace/executeCommand")[0]["params"]
        self.assertEqual(request["arguments"][1], {"start": {"line": 0, "character": 4},
                                                   "end": {"line": 0, "character": 8}})

    def test_a_selection_that_excludes_its_end_is_explained_without_it(self):
        nvim = self.start(explanation=["ok"])
        nvim.open("explain.py", "alpha beta\nx = '😀'\n")
        nvim.command("set selection=exclusive")
        for count, (keys, end) in enumerate((("gg0viw", (0, 5)), ("gg0v", (0, 1)), ("gg0vj0f'l", (1, 7))), start=1):
            nvim.type(keys + ":IncipitExplain<CR>")
            nvim.wait("the question", lambda: len(self.received("workspace/executeCommand")) == count)
            request = self.received("workspace/executeCommand")[-1]["params"]
            self.assertEqual(request["arguments"][1], {"start": {"line": 0, "character": 0},
                                                       "end": {"line": end[0], "character": end[1]}}, keys)
            nvim.wait("the answer", "require('incipit.float').text() == 'ok'")
            nvim.type("q")
            nvim.wait("the window to close", "#vim.api.nvim_list_wins() == 1")

    def test_the_model_is_writing_is_said_unless_the_refusal_comes_at_once(self):
        refusal = "incipit.tests: this model only explains code"
        nvim = self.start(edit_result={"error": {"code": -32803, "message": refusal}})
        nvim.open("size.py", "def f(a):\n    return b\n")
        nvim.command("1,2Incipit tests")
        nvim.wait("the end", "not require('incipit.edit').running()")
        self.assertEqual(nvim.messages(), ["incipit: " + refusal])
        nvim = self.start(hold_explanation=True)
        nvim.open("size.py", "def f(a):\n    return b\n")
        nvim.command("1,2Incipit tests")
        nvim.wait("the notice", lambda: nvim.messages() == ["incipit: the model is writing …"])

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


if __name__ == "__main__":
    unittest.main()
