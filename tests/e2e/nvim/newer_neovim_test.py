"""Code paths for versions of Neovim that are newer than the one at hand, against a stub of what they add."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, item, rule  # noqa: E402

# The functions of vim.lsp.inline_completion that the plugin uses, as Neovim 0.12 has them: get() accepts later and tells
# at once whether it will; the item's range is a vim.Range.
NATIVE = """
  local calls, current = {}, nil
  _G.native = { calls = calls }
  local namespace = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
  function _G.native.offer(text, range)
    current = { insert_text = text, range = range }
    local at = vim.api.nvim_win_get_cursor(0)
    vim.api.nvim_buf_set_extmark(0, namespace, at[1] - 1, at[2], { virt_text = { { text } } })
  end
  vim.lsp.inline_completion = {
    enable = function(on, filter)
      assert(not (filter.bufnr and filter.client_id), 'bufnr and client_id are mutually exclusive')
      table.insert(calls, { 'enable', on, filter })
    end,
    select = function(options) table.insert(calls, { 'select', options.count }) end,
    get = function(options)
      if not current then return false end
      vim.schedule(function()
        local item = current
        current = nil
        vim.api.nvim_buf_clear_namespace(0, namespace, 0, -1)
        if options.on_accept then return options.on_accept(item) end
        table.insert(calls, { 'accept', item.insert_text })
      end)
      return true
    end,
  }
"""

# Neovim 0.10: takes 'inline', which the real one at hand would refuse.
INLINE = """
  local has = vim.fn.has
  vim.fn.has = function(what) return what == 'nvim-0.10' and 1 or has(what) end
  local set_extmark = vim.api.nvim_buf_set_extmark
  _G.positions = {}
  vim.api.nvim_buf_set_extmark = function(bufnr, namespace, row, col, options)
    table.insert(_G.positions, options.virt_text_pos)
    if options.virt_text_pos == 'inline' then options.virt_text_pos = 'overlay' end
    return set_extmark(bufnr, namespace, row, col, options)
  end
"""

SYSTEM = """
  vim.uv = vim.loop
  _G.programs = {}
  vim.system = function(cmd, options)
    table.insert(_G.programs, { cmd = cmd, timeout = options.timeout })
    return { wait = function() return { code = 0, stdout = 'incipit 9.9', stderr = '' } end }
  end
"""


class NewerNeovimTest(ClientTest):
    def calls(self, name):
        return [call[1:] for call in self.nvim.lua("return _G.native.calls") if call[0] == name]

    def start_native(self):
        nvim = self.start(before_setup=NATIVE)
        nvim.open("native.py", "\n")
        return nvim

    def test_neovim_asks_and_draws_where_it_can(self):
        nvim = self.start_native()
        client_id = nvim.lua("return require('incipit.client').get().id")
        self.assertEqual(self.calls("enable"), [[True, {"bufnr": 1}]])
        nvim.type("ix")
        nvim.wait("the text", lambda: nvim.lines() == ["x"])
        self.assertEqual(self.server_text(), "x\n")
        self.assertEqual(self.received("textDocument/inlineCompletion"), [])
        nvim.type("<Esc>")
        nvim.command("Incipit toggle")
        self.assertEqual(self.calls("enable")[-1], [False, {"client_id": client_id}])
        nvim.command("Incipit restart")
        nvim.wait("the server", lambda: len(self.received("initialize")) == 2)
        nvim.wait("the new one to be switched off too", lambda: self.calls("enable")[-1] == [
            False, {"client_id": nvim.lua("return require('incipit.client').get().id")}])
        nvim.command("Incipit toggle")
        self.assertEqual(self.calls("enable")[-1][0], True)

    def test_neovim_is_stopped_from_asking_a_server_that_hangs(self):
        nvim = self.start_native()
        nvim.lua("""local client = require('incipit.client').get()
          for i = 1, 4 do client.requests[1000 + i] = { type = 'pending', method = 'textDocument/inlineCompletion' } end
          vim.cmd('doautocmd <nomodeline> User LspRequest')""")
        nvim.wait("the pause", lambda: self.calls("enable")[-1][0] is False)
        nvim.lua("""local client = require('incipit.client').get()
          for i = 1, 4 do client.requests[1000 + i] = nil end
          vim.cmd('doautocmd <nomodeline> User LspRequest')""")
        nvim.wait("the end of it", lambda: self.calls("enable")[-1][0] is True)

    def test_keys_accept_all_or_a_part_of_what_neovim_shows(self):
        nvim = self.start_native()
        nvim.type("ix = ")
        nvim.wait("the text", lambda: nvim.lines() == ["x = "])
        nvim.lua("_G.native.offer('x = alpha + beta', { start_row = 0, start_col = 0, end_row = 0, end_col = 4 })")
        nvim.type("<M-Right>")
        nvim.wait("a word", lambda: nvim.lines() == ["x = alpha"])
        nvim.lua("_G.native.offer(' + beta\\nend', nil)")
        nvim.type("<M-Down>")
        nvim.wait("a line", lambda: nvim.lines() == ["x = alpha + beta"])
        self.assertEqual(nvim.cursor(), [1, 16])
        nvim.lua("_G.native.offer('all', nil)")
        nvim.type("<M-]>")
        nvim.wait("the next", lambda: self.calls("select") == [[1]])
        nvim.type("<M-[>")
        nvim.wait("the previous", lambda: self.calls("select") == [[1], [-1]])
        nvim.type("<Tab>")
        nvim.wait("all of it", lambda: self.calls("accept") == [["all"]])

    def test_dismissing_takes_away_and_inserts_nothing(self):
        nvim = self.start_native()
        nvim.type("ix")
        nvim.wait("the text", lambda: nvim.lines() == ["x"])
        nvim.lua("_G.native.offer('yz', nil)")
        self.assertTrue(nvim.lua("return require('incipit').visible()"))
        nvim.type("<C-]>")
        nvim.wait("it to go", "not require('incipit').visible()")
        self.assertEqual(nvim.lines(), ["x"])
        nvim.command("set expandtab softtabstop=4")
        nvim.type("<Tab>")
        nvim.wait("the plain key", lambda: nvim.lines() == ["x   "])

    def test_own_ghost_text_when_the_user_says_so(self):
        nvim = self.start(rule("a", item("b")), before_setup=NATIVE, options="debounce_ms = 10, ghost_text = 'own'")
        nvim.open("own.py", "\n")
        nvim.type("ia")
        nvim.wait_for_ghost("b")
        self.assertEqual(self.calls("enable"), [])

    def test_inline_virtual_text_where_it_exists(self):
        nvim = self.start(rule("f(", item("a, b")), rule("g(", item("a,\n b")), before_setup=INLINE)
        nvim.open("inline.py", ")\n\n")
        nvim.type("if(")
        nvim.wait_for_ghost("a, b")
        self.assertIn("inline", nvim.lua("return _G.positions"))

    def test_programs_are_run_by_vim_system_where_it_exists(self):
        nvim = self.start(before_setup=SYSTEM)
        nvim.open("health.py", "\n")
        nvim.command("checkhealth incipit")
        self.assertIn("incipit 9.9", "\n".join(nvim.lines()))
        programs = nvim.lua("return _G.programs")
        self.assertEqual([program["cmd"][1] for program in programs], ["--version", "doctor"])
        self.assertTrue(all(program["timeout"] > 0 for program in programs))


if __name__ == "__main__":
    unittest.main()
