"""The chat: what is shown, what is sent, what is kept."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest  # noqa: E402

TRANSCRIPT = """
  for _, bufnr in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_get_name(bufnr):match('incipit://chat$') then
      return table.concat(vim.api.nvim_buf_get_lines(bufnr, 0, -1, false), '\\n')
    end
  end
  return ''"""


class ChatTest(ClientTest):
    def transcript(self):
        return self.nvim.lua(TRANSCRIPT)

    def wait_for_end(self):
        self.nvim.wait("the end of the answer", "not require('incipit.chat').running()")

    def chats(self):
        return [message["params"]["arguments"][0]["messages"]
                for message in self.received("workspace/executeCommand")
                if message["params"]["command"] == "incipit.chat"]

    def test_a_selection_goes_along_and_the_answer_streams_as_markdown(self):
        nvim = self.start(chat={"pieces": ["It **adds**:\n", "```python\nreturn 1\n", "```"], "hold": True})
        nvim.open("add.py", "def add(a, b):\n    return a + b\n\n")
        nvim.type("Vj:Incipit chat<CR>")
        nvim.wait("the windows", "#vim.api.nvim_list_wins() == 3")
        self.assertIn("with add.py:1-2", nvim.screen())
        nvim.type("iWhat is it?<Esc><CR>")
        nvim.wait("the pieces so far", lambda: "return 1" in self.transcript())
        self.assertEqual(self.transcript(), "\n".join([
            "## You", "", "`add.py`, lines 1–2:", "", "```python", "def add(a, b):", "    return a + b", "```", "",
            "What is it?", "", "## incipit", "", "It **adds**:", "```python", "return 1", "```"]))
        self.assertEqual(self.chats(), [[{
            "role": "user", "content": "What is it?", "context": [
                {"path": "add.py", "languageId": "python", "text": "def add(a, b):\n    return a + b"}]}]])
        self.assertEqual(nvim.lua("return require('incipit').statusline()"), "incipit …")
        nvim.type("<C-c>")
        self.wait_for_end()
        nvim.wait("the cancel", lambda: self.received("$/cancelRequest"))
        self.assertIn("_stopped_", self.transcript())

    def test_the_whole_conversation_is_sent_and_survives_closing_and_restart(self):
        nvim = self.start(chat={"pieces": ["First ", "answer."]})
        nvim.open("add.py", "\n")
        nvim.command("Incipit chat Why?")
        self.wait_for_end()
        nvim.type("q")
        nvim.wait("the windows to close", "#vim.api.nvim_list_wins() == 1")
        nvim.command("Incipit restart")
        nvim.wait("the server", lambda: len(self.received("initialize")) == 2)
        nvim.wait("the server", "require('incipit.client').ready(vim.fn.bufnr())")
        nvim.command("Incipit chat And then?")
        self.wait_for_end()
        self.assertEqual(self.chats()[-1], [
            {"role": "user", "content": "Why?"}, {"role": "assistant", "content": "First answer."},
            {"role": "user", "content": "And then?"}])

    def test_regenerate_takes_the_answer_back_and_asks_again(self):
        nvim = self.start(chat={"pieces": ["Answer."], "result": {"finish": "length", "leftOut": 2}})
        nvim.open("add.py", "\n")
        nvim.command("Incipit chat Why?")
        self.wait_for_end()
        self.assertIn("_cut off at incipit.chat.maxTokens; 2 older messages no longer fit and were left out_",
                      self.transcript())
        nvim.type("<C-w>kR")
        nvim.wait("the second question", lambda: len(self.chats()) == 2)
        self.wait_for_end()
        self.assertEqual(self.chats()[0], self.chats()[1])
        self.assertEqual(self.transcript().count("## incipit"), 1)

    def test_write_exports_and_y_copies_and_n_begins_anew(self):
        nvim = self.start(chat={"pieces": ["Answer."]})
        nvim.open("add.py", "\n")
        nvim.command("Incipit chat Why?")
        self.wait_for_end()
        path = os.path.join(nvim.directory, "chat.md")
        nvim.type("<C-w>ky")
        nvim.wait("the copy", lambda: nvim.lua("return vim.fn.getreg('\"')") == "Answer.")
        nvim.type(f":write {path}<CR>")
        nvim.wait("the file", lambda: os.path.exists(path))
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "## You\n\nWhy?\n\n## incipit\n\nAnswer.\n\n")
        nvim.type("N")
        nvim.wait("the empty chat", lambda: self.transcript() == "")

    def test_what_the_server_refuses_is_shown_and_not_sent_again(self):
        nvim = self.start(chat={"error": {"code": -32803, "message": "pocket explains code and nothing else"}})
        nvim.open("add.py", "\n")
        nvim.command("Incipit chat Why?")
        self.wait_for_end()
        self.assertIn("_pocket explains code and nothing else_", self.transcript())
        nvim.command("Incipit chat Really?")
        self.wait_for_end()
        self.assertEqual(self.chats()[-1], [{"role": "user", "content": "Really?"}])
        self.assertEqual(nvim.messages(), [])


if __name__ == "__main__":
    unittest.main()
