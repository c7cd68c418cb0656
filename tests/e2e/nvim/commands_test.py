"""Commands, options, help and health."""

import os
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, PLUGIN, ROOT, rule  # noqa: E402
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

    def test_works_as_an_optional_package(self):
        directory = tempfile.mkdtemp(prefix="incipit-nvim-")
        package = os.path.join(directory, "pack", "incipit", "opt", "incipit")
        os.makedirs(os.path.dirname(package))
        os.symlink(PLUGIN, package)
        nvim = NvimSession(None, f"""
          vim.opt.packpath:append('{directory}')
          vim.cmd('packadd incipit')
          require('incipit').setup {{ cmd = {{ '/nonexistent/incipit', 'lsp' }} }}""", directory)
        self.addCleanup(nvim.close)
        self.assertEqual(nvim.lua("return vim.fn.exists(':Incipit')"), 2)
        nvim.command("checkhealth incipit")
        self.assertIn("ERROR: the program was not found; looked for: /nonexistent/incipit", "\n".join(nvim.lines()))

    def test_checkhealth_reports(self):
        nvim = self.start()
        nvim.open("health.py", "\n")
        nvim.command("checkhealth incipit")
        report = "\n".join(nvim.lines())
        for part in ("the server is running, 1 buffer(s) attached", "the model: ready",
                     "suggestions are drawn over the rest of the line"):
            self.assertIn(part, report)
        self.assertNotIn("was mapped to something else", report)

    def test_checkhealth_names_a_key_that_something_else_took(self):
        nvim = self.start()
        nvim.open("health.py", "\n")
        nvim.command("inoremap <Tab> other")
        nvim.command("checkhealth incipit")
        self.assertIn("the key <Tab> (keys.accept) was mapped to something else", "\n".join(nvim.lines()))

    def test_subcommands_and_their_arguments_are_completed(self):
        nvim = self.start()
        def complete(line):
            return nvim.lua("return vim.fn.getcompletion(..., 'cmdline')", line)
        self.assertEqual(complete("Incipit "), [
            "chat", "docs", "explain", "fix", "log", "restart", "rewrite", "status", "stop", "tests", "toggle"])
        self.assertEqual(complete("Incipit re"), ["restart", "rewrite"])
        self.assertEqual(complete("1,3Incipit rewrite add"), ["add types"])
        self.assertEqual(complete("Incipit rewrite use clearer n"), ["names"])
        self.assertEqual(complete("Incipit status "), [])

    def test_a_wrong_subcommand_is_named(self):
        nvim = self.start()
        nvim.command("Incipit explian")
        nvim.command("Incipit log now")
        self.assertEqual(nvim.messages(), [
            "incipit: :Incipit explian: want one of chat, docs, explain, fix, log, restart, rewrite, status, stop, "
            "tests, toggle",
            'incipit: :Incipit log takes no argument, found "now"'])

    def test_log_opens_what_the_server_writes_to(self):
        nvim = self.start()
        path = os.path.join(nvim.directory, "server.log")
        with open(path, "w", encoding="utf-8") as file:
            file.write("one\ntwo\n")
        nvim.lua("require('incipit').config().cmd = { 'incipit', 'lsp', '--log-file', ... }", path)
        nvim.command("Incipit log")
        self.assertEqual(nvim.lua("return vim.api.nvim_buf_get_name(0)"), path)
        self.assertEqual(nvim.cursor(), [2, 0])

    def test_the_status_line_follows_the_server(self):
        line = "return require('incipit').statusline()"
        nvim = self.start(status={"state": "loading", "loadFraction": 0.42}, load=[50, 77])
        self.assertEqual(nvim.lua(line), "")
        nvim.lua("""_G.states = {}
          vim.api.nvim_create_autocmd('User', { pattern = 'IncipitState', callback = function()
            local state = require('incipit').state()
            table.insert(_G.states, state.name .. (state.percent or '')) end })""")
        nvim.open("status.py", "\n")
        nvim.wait("the percentage", lambda: nvim.lua(line) == "incipit 77%")
        self.assertEqual(nvim.lua("return require('incipit').statusline { escaped = true }"), "incipit 77%%")
        self.assertEqual(nvim.lua("return _G.states"), ["loading", "loading42", "loading50", "loading77"])

    def test_the_status_line_says_generating_and_off(self):
        line = "return require('incipit').statusline()"
        nvim = self.start(rule("a", hold=True))
        nvim.open("status.py", "\n")
        nvim.wait("the server to be ready", lambda: nvim.lua(line) == "incipit")
        nvim.command("set laststatus=2 statusline=%{v:lua.require'incipit'.statusline()}")
        nvim.type("ia")
        nvim.wait("the request", lambda: "incipit …" in nvim.screen())
        nvim.type("<Esc>")
        nvim.wait("the end of it", lambda: nvim.lua(line) == "incipit")
        nvim.command("Incipit toggle")
        self.assertIn("incipit off", nvim.screen())

    def test_the_status_line_says_that_the_model_failed(self):
        nvim = self.start(status={"state": "failed", "message": "no such model"})
        nvim.open("status.py", "\n")
        nvim.wait("the error", "require('incipit').statusline() == 'incipit !'")
        self.assertEqual(nvim.lua("return require('incipit').state().message"), "no such model")


if __name__ == "__main__":
    unittest.main()
