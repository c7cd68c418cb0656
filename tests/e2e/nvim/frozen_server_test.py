"""Typing while the server hangs: no key is lost or late, nothing piles up, and afterwards all goes on."""

import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, item, rule  # noqa: E402
from key_times import time_keys  # noqa: E402


class FrozenServerTest(ClientTest):
    def open_requests(self):
        return self.nvim.lua("return vim.tbl_count(require('incipit.client').get().requests)")

    def test_no_key_waits_for_a_server_that_is_stopped(self):
        nvim = self.start(rule("done", item("!")), options="debounce_ms = 1")
        nvim.open("frozen.py", "\n")
        pid = nvim.lua("return require('incipit.client').describe().pid")
        time_keys(nvim, "running")
        os.kill(pid, signal.SIGSTOP)
        try:
            time_keys(nvim, "stopped")  # a key that waited for the server would be lost
            self.assertLessEqual(self.open_requests(), 2)
            self.assertEqual(nvim.messages(), [])
        finally:
            os.kill(pid, signal.SIGCONT)
        nvim.type("odone")
        nvim.wait_for_ghost("!")
        self.assertEqual(self.server_text(), "\n".join(nvim.lines()) + "\n")
        nvim.wait("all to be answered", lambda: self.open_requests() == 0)
        self.assertEqual(nvim.messages(), [])

    def test_restart_gets_rid_of_a_server_that_is_stopped(self):
        nvim = self.start(rule("x", item("yz")))
        nvim.open("frozen.py", "\n")
        pid = nvim.lua("return require('incipit.client').describe().pid")
        os.kill(pid, signal.SIGSTOP)
        nvim.command("Incipit restart")
        nvim.wait("a new server", lambda: len(self.received("initialize")) == 2)
        nvim.wait("the server", "require('incipit.client').ready(vim.fn.bufnr())")
        nvim.type("ix")
        nvim.wait_for_ghost("yz")
        nvim.wait("the old one to end", lambda: not os.path.exists(f"/proc/{pid}"))


if __name__ == "__main__":
    unittest.main()
