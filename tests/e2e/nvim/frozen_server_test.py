"""Typing while the server hangs: no key is lost or late, nothing piles up, and afterwards all goes on."""

import os
import signal
import statistics
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, item, rule  # noqa: E402

N_KEYS = 500


class FrozenServerTest(ClientTest):
    def type_keys(self):
        """Types one key after the other; returns how long each took to be in the buffer, in milliseconds."""
        nvim, times = self.nvim, []
        line = ""
        for i in range(N_KEYS):
            key = "abcdefgh "[i % 9]
            line += key
            started = time.perf_counter()
            nvim.type(key)
            # Input is handled before this request is: what it returns is the line with the key.
            while nvim.call("nvim_get_current_line") != line:
                pass
            times.append((time.perf_counter() - started) * 1000)
        return times

    def open_requests(self):
        return self.nvim.lua("return vim.tbl_count(require('incipit.client').get().requests)")

    def measure(self, name):
        self.nvim.type("o")
        times = sorted(self.type_keys())
        self.nvim.type("<Esc>")
        print(f"{name}: median {statistics.median(times):.2f} ms, 99 % {times[N_KEYS * 99 // 100]:.2f} ms, "
              f"longest {times[-1]:.2f} ms a key, {N_KEYS} keys", file=sys.stderr)
        return times

    def test_no_key_waits_for_a_server_that_is_stopped(self):
        nvim = self.start(rule("done", item("!")), options="debounce_ms = 1")
        nvim.open("frozen.py", "\n")
        pid = nvim.lua("return require('incipit.client').describe().pid")
        running = self.measure("running")
        os.kill(pid, signal.SIGSTOP)
        try:
            frozen = self.measure("stopped")
            self.assertLessEqual(self.open_requests(), 2)
            self.assertEqual(nvim.messages(), [])
        finally:
            os.kill(pid, signal.SIGCONT)
        # A key that waited for the server would have waited for ever; a blocked pipe would show in the slowest.
        self.assertLess(statistics.median(frozen), 5 * statistics.median(running) + 5)
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
