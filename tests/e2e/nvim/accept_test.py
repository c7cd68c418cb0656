"""What the keys do to a suggestion, and what they do without one."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, item, rule  # noqa: E402


class AcceptTest(ClientTest):
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

    def test_the_dismiss_key_takes_the_ghost_away_and_stays_in_insert_mode(self):
        nvim = self.start(rule("x = ", item("1")))
        nvim.open("esc.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost()
        nvim.type("<C-]>")
        nvim.wait_for_no_ghost()
        self.assertEqual(nvim.lua("return vim.fn.mode()"), "i")

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


if __name__ == "__main__":
    unittest.main()
