"""The life of the server process, and its messages."""

import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, PLUGIN, item, rule  # noqa: E402
from nvim_session import NvimSession  # noqa: E402


class ServerLifeTest(ClientTest):
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
        nvim.wait("the message", lambda: any(":Incipit restart" in text for text in nvim.messages()))
        nvim.type(" and more<Esc>cc<Esc>")
        nvim.wait("the line to be empty", lambda: nvim.lines()[0] == "")
        self.assertEqual(sum("left alone" in text for text in nvim.messages()), 1)
        self.assertEqual(len(self.received("initialize")), 3)
        nvim.command("IncipitRestart")
        nvim.wait("the server", "require('incipit.client').ready(vim.fn.bufnr())")
        nvim.type("ix")
        nvim.wait_for_ghost("yz")

    def test_a_killed_server_comes_back_and_goes_on(self):
        nvim = self.start(rule("x", item("yz")))
        nvim.open("killed.py", "\n")
        nvim.type("ix")
        nvim.wait_for_ghost("yz")
        os.kill(nvim.lua("return require('incipit.client').describe().pid"), signal.SIGKILL)
        nvim.wait_for_no_ghost()
        nvim.wait("a new server", lambda: len(self.received("initialize")) == 2)
        nvim.wait("the server", "require('incipit.client').ready(vim.fn.bufnr())")
        nvim.type("<BS>x")
        nvim.wait_for_ghost("yz")
        self.assertEqual(self.server_text(), "x\n")

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

    def test_messages_of_the_server_begin_with_what_they_are_about(self):
        for message, shown in (("incipit.threads: want 1", "incipit.threads: want 1"),
                               ("no model", "incipit: no model")):
            with self.subTest(message=message):
                nvim = self.start(message=message)
                nvim.open("message.py", "\n")
                nvim.wait("the message", "#_G.messages == 1")
                self.assertEqual(nvim.messages(), [shown])


if __name__ == "__main__":
    unittest.main()
