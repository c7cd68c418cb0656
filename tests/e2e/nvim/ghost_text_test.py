"""What is drawn as ghost text, where, and when it goes."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, item, rule  # noqa: E402


class GhostTextTest(ClientTest):
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

    def test_a_range_in_utf16_units_lands_on_the_right_bytes(self):
        nvim = self.start(rule("é = ", item("é = '😀'", (0, 2), (0, 6))))
        nvim.open("units.py", "\n")
        nvim.type("i😀é = ")
        nvim.wait_for_ghost("'😀'")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[0] == "😀é = '😀'")
        self.assertEqual(nvim.cursor(), [1, len("😀é = '😀'".encode())])

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

    def test_hides_while_the_popup_menu_is_open(self):
        nvim = self.start(rule("wo", item("rd_one()")))
        nvim.open("popup.py", "word_two\nword_three\n\n")
        nvim.type("2jiwo")
        nvim.wait_for_ghost()
        nvim.type("<C-n>")
        nvim.wait("the popup menu", "vim.fn.pumvisible() == 1")
        nvim.wait_for_no_ghost()

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


if __name__ == "__main__":
    unittest.main()
