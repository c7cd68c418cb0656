"""Commands, options, help and health."""

import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, PLUGIN, ROOT  # noqa: E402
from nvim_session import NvimSession  # noqa: E402


class CommandsTest(ClientTest):
    def test_wrong_settings_are_named_and_keep_their_defaults(self):
        nvim = self.start(
            options="debounce_ms = 'fast', colour = 1, keys = { acept = 'x', dismiss = 3 }")
        messages = "\n".join(nvim.messages())
        for part in ("debounce_ms: want a number from 0 to 60000, found \"fast\"", "colour: want one of",
                     "keys.acept: want one of", "keys.dismiss: want a key"):
            self.assertIn(part, messages)
        self.assertEqual(nvim.lua("return require('incipit').config().debounce_ms"), 120)

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
