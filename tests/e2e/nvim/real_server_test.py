"""A real Neovim, the real server, the real model: what a user sees and gets.

usage: real_server_test.py PATH/TO/incipit"""

import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from key_times import time_keys  # noqa: E402
from nvim_session import PATIENCE, NvimSession  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.abspath(os.path.join(HERE, "../../../editors/nvim"))
BINARY = os.path.abspath(sys.argv.pop(1))

PYTHON = '''class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, dx, dy):
        return Point(self.x + dx, self.y + dy)


def area(width, height):
    """Returns the area of a rectangle."""

'''


class RealServerTest(unittest.TestCase):
    def start(self):
        # How sure the small model is of what these tests let it write is not their subject.
        settings = "settings = { completion = { minConfidence = 0 } }"
        self.nvim = NvimSession(
            PLUGIN, f"require('incipit').setup {{ cmd = {{ '{BINARY}', 'lsp' }}, debounce_ms = 20, {settings} }}")
        self.addCleanup(self.nvim.close)
        return self.nvim

    def accept_and_check(self, nvim, row, typed):
        """Accepts the ghost text shown behind `typed` on a 0-based row; the buffer must be what was
        on the screen. Returns the text accepted."""
        before = nvim.lines()
        ghost = nvim.wait_for_ghost()
        first_line = (before[row] + ghost[0]).rstrip()
        self.assertIn(first_line, nvim.screen())
        nvim.type("<Tab>")
        nvim.wait("the text to be inserted", lambda: nvim.lines() != before)
        after = nvim.lines()
        inserted = "\n".join(ghost)
        expected = before[:row] + (before[row] + inserted).split("\n") + before[row + 1:]
        self.assertEqual(after, expected)
        self.assertTrue(after[row].startswith(typed))
        self.assertEqual(nvim.cursor()[0], row + len(ghost))
        self.assertEqual(nvim.lua("return vim.fn.mode()"), "i")
        self.assertEqual(nvim.messages(), [])
        return inserted

    def test_typing_shows_ghost_text_and_tab_inserts_it(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.type("GA    return ")
        self.accept_and_check(nvim, len(PYTHON.splitlines()) - 1, "    return ")
        nvim.type("<Esc>")
        nvim.wait_for_no_ghost()

    def test_escape_takes_the_ghost_text_away_and_leaves_the_buffer(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.type("GA    return ")
        nvim.wait_for_ghost()
        nvim.type("<Esc>")
        nvim.wait_for_no_ghost()
        self.assertEqual(nvim.lines()[-1], "    return ")

    def test_a_suggestion_of_several_lines_is_drawn_below_and_inserted_whole(self):
        nvim = self.start()
        nvim.open("point.py", PYTHON)
        nvim.type("G")
        nvim.command("set noautoindent indentexpr=")
        ghost = None
        for line in ("def mean(values):", "def scaled(point, factor):"):
            nvim.type(f"<Esc>Go<Esc>o{line}")
            ghost = nvim.wait_for_ghost()
            if len(ghost) > 1:
                break
        self.assertGreater(len(ghost), 1, "no suggestion had several lines")
        row = nvim.cursor()[0] - 1
        self.assertIn("\n".join(text.rstrip() for text in ghost[1:]), nvim.screen())
        self.accept_and_check(nvim, row, line)

    def test_a_line_that_is_not_ascii(self):
        nvim = self.start()
        nvim.open("grüße.py", PYTHON.replace("width", "breite_größe"))
        nvim.type("GA    text, größe = '日本 😀', ")
        row = len(PYTHON.splitlines()) - 1
        self.accept_and_check(nvim, row, "    text, größe = '日本 😀', ")

    def test_a_dos_file(self):
        nvim = self.start()
        path = nvim.open("dos.py", PYTHON.replace("\n", "\r\n"), file_format="dos")
        nvim.type("GA    return ")
        self.accept_and_check(nvim, len(PYTHON.splitlines()) - 1, "    return ")
        self.assertNotIn("\r", "".join(nvim.lines()))
        nvim.type("<Esc>")
        nvim.command("write")
        with open(path, "rb") as file:
            data = file.read()
        self.assertEqual(data.count(b"\n"), data.count(b"\r\n"))

    def test_explains_a_selection_in_a_floating_window(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.type("6GVj:IncipitExplain<CR>")
        text = nvim.wait(
            "an explanation", "(require('incipit.float').text() or ''):match('%w+ %w+.*')")
        nvim.wait("the end of it", "require('incipit.explain').running() == false")
        text = nvim.lua("return require('incipit.float').text()")
        self.assertIn(text.split("\n")[0][:40], nvim.screen())
        self.assertEqual(nvim.lua("return #vim.api.nvim_list_wins()"), 2)
        nvim.type("q")
        nvim.wait("the window to close", "#vim.api.nvim_list_wins() == 1")
        self.assertEqual(nvim.lines(), PYTHON.split("\n")[:-1])
        self.assertEqual(nvim.messages(), [])

    def test_status_names_the_model(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.type("GA    return ")
        nvim.wait_for_ghost()
        nvim.type("<Esc>")
        nvim.command("IncipitStatus")
        status = nvim.wait("the status", "require('incipit.float').text()")
        self.assertIn("name: pocket", status)
        self.assertIn("lastCompletion:", status)

    def test_no_key_waits_for_a_server_that_is_stopped(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.wait("the model", "require('incipit').state().name == 'ready'")
        nvim.type("G")
        time_keys(nvim, "running")
        pid = nvim.lua("return require('incipit.client').describe().pid")
        os.kill(pid, signal.SIGSTOP)
        try:
            time_keys(nvim, "stopped")  # a key that waited for the server would be lost
            self.assertLessEqual(nvim.lua("return vim.tbl_count(require('incipit.client').get().requests)"), 2)
        finally:
            os.kill(pid, signal.SIGCONT)
        nvim.type("dkGo<C-u>    return width ")
        nvim.wait_for_ghost()
        self.assertEqual(nvim.messages(), [])

    def test_a_killed_server_comes_back(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.wait("the model", "require('incipit').state().name == 'ready'")
        pid = nvim.lua("return require('incipit.client').describe().pid")
        os.kill(pid, signal.SIGKILL)
        nvim.wait("a new server", f"(require('incipit.client').describe().pid or {pid}) ~= {pid}")
        nvim.wait("it to be ready", "require('incipit.client').ready(vim.fn.bufnr())")
        nvim.type("GA    return ")
        ghost = nvim.wait_for_ghost()
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines()[-len(ghost)].endswith("return " + ghost[0]))
        # Neovim's own words, and none of ours: it was restarted.
        self.assertEqual([text for text in nvim.messages() if "quit with exit code" not in text], [])

    def test_chat_explains_attached_code_and_says_what_else_it_needs(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.wait("the model", "require('incipit').state().name == 'ready'")
        nvim.command("6,7Incipit chat What does this do?")
        nvim.wait("the answer", "not require('incipit.chat').running()")
        transcript = nvim.lua("return require('incipit.chat').markdown()")
        answer = transcript.split("## incipit")[1].strip()
        self.assertIn("`area.py`, lines 6–7:", transcript)
        self.assertRegex(answer, r"^\w+ \w+")
        nvim.command("Incipit chat Tell me a story")
        nvim.wait("the refusal", "not require('incipit.chat').running()")
        self.assertRegex(nvim.lua("return require('incipit.chat').markdown()").split("## incipit")[2], "_.*model.*_")

    def test_checkhealth_is_content(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        nvim.command("checkhealth incipit")
        report = "\n".join(nvim.lines())
        self.assertIn("incipit doctor found no problem", report)
        self.assertNotIn("ERROR", report)

    def test_the_server_goes_with_neovim(self):
        nvim = self.start()
        nvim.open("area.py", PYTHON)
        pid = nvim.lua("return require('incipit.client').get().rpc.pid")
        self.assertTrue(os.path.exists(f"/proc/{pid}"))
        nvim.close()
        deadline = time.monotonic() + PATIENCE
        while self.is_running(pid):
            self.assertLess(time.monotonic(), deadline, "the server outlives Neovim")
            time.sleep(0.01)

    @staticmethod
    def is_running(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                return stat.read().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False


if __name__ == "__main__":
    unittest.main()
