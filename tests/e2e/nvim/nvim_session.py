"""A real Neovim without a terminal, driven over its RPC: keys go in as if typed, the screen and
the buffers are read back through its API. Nothing sleeps for a fixed time: wait() asks until a
condition holds."""

import os
import select
import shutil
import subprocess
import tempfile
import time

from msgpack import Unpacker, pack
from screen import Screen

WIDTH, HEIGHT = 100, 30
# Generous: a loaded machine, a server under sanitizers.
PATIENCE = float(os.environ.get("INCIPIT_TEST_PATIENCE", "120"))


DESCRIBE_CLIENT = "return vim.inspect(require('incipit.client').describe())"


class NvimError(Exception):
    pass


class NvimSession:
    def __init__(self, plugin, setup, directory=None):
        """`plugin` is the folder editors/nvim, or None when `setup`, the Lua that init.lua runs, adds
        it itself."""
        self.directory = directory or tempfile.mkdtemp(prefix="incipit-nvim-")
        init = os.path.join(self.directory, "init.lua")
        with open(init, "w", encoding="utf-8") as file:
            # Without the providers Neovim does not look for a Python of each version when it opens a Python file.
            file.write("_G.messages = {}\n"
                       "vim.g.loaded_python3_provider, vim.g.loaded_node_provider = 0, 0\n"
                       "vim.notify = function(text) table.insert(_G.messages, text) end\n"
                       + (f"vim.opt.runtimepath:append([[{plugin}]])\n" if plugin else "")
                       + setup + "\n")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NVIM")}
        for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            environment[name] = os.path.join(self.directory, name)
        self._process = subprocess.Popen(
            ["nvim", "--headless", "--embed", "--clean", "-u", init, "-n", "-i", "NONE"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=environment, cwd=self.directory)
        self._unpacker = Unpacker()
        self._next_id = 0
        self._screen = Screen(WIDTH, HEIGHT)
        self.call("nvim_ui_attach", WIDTH, HEIGHT, {"ext_linegrid": True})

    def call(self, method, *arguments):
        self._next_id += 1
        self._process.stdin.write(pack([0, self._next_id, method, list(arguments)]))
        self._process.stdin.flush()
        deadline = time.monotonic() + PATIENCE
        while True:
            for message in self._unpacker:
                if message[0] == 1 and message[1] == self._next_id:
                    if message[2] is not None:
                        raise NvimError(f"{method}: {message[2]}")
                    return message[3]
                if message[0] == 2 and message[1] == "redraw":
                    self._screen.apply(message[2])
            self._read(deadline)

    def _read(self, deadline):
        stream = self._process.stdout
        ready, _, _ = select.select([stream], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            raise NvimError("Neovim does not answer (does it wait for a key?)")
        data = os.read(stream.fileno(), 65536)
        if not data:
            raise NvimError("Neovim ended")
        self._unpacker.feed(data)

    def lua(self, code, *arguments):
        return self.call("nvim_exec_lua", code, list(arguments))

    def command(self, text):
        self.call("nvim_command", text)

    def type(self, keys):
        """Keys as a person would press them: typed, mapped, seen by autocommands."""
        self.call("nvim_input", keys)

    def wait(self, what, condition, timeout=PATIENCE):
        """Asks `condition` (a Python callable or a Lua expression) until it is truthy."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition() if callable(condition) else self.lua("return " + condition)
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"waited {timeout:.0f} s for {what}\n{self.report()}")
            time.sleep(0.01)

    def report(self):
        return (f"screen:\n{self.screen()}\nmessages: {self.messages()}\n"
                f"client: {self.lua(DESCRIBE_CLIENT)}")

    def open(self, name, text, file_format="unix"):
        """Writes a file (bytes as given) and edits it; returns when the server knows it."""
        path = os.path.join(self.directory, name)
        with open(path, "wb") as file:
            file.write(text.encode("utf-8"))
        self.command("edit " + path)
        assert self.lua("return vim.bo.fileformat") == file_format
        self.wait("the server to be ready", "require('incipit.client').ready(vim.fn.bufnr())")
        return path

    def lines(self):
        return self.call("nvim_buf_get_lines", 0, 0, -1, False)

    def cursor(self):
        return self.lua("return vim.api.nvim_win_get_cursor(0)")

    def messages(self):
        return self.lua("return _G.messages")

    def ghost(self):
        """What is drawn as ghost text, read back from the extmarks: a list of lines, or None."""
        return self.lua("""
          local namespace = require('incipit.ghost_text').namespace
          local function ghostly(chunks)
            local text = ''
            for _, chunk in ipairs(chunks) do
              if chunk[2] == 'IncipitGhost' then text = text .. chunk[1] end
            end
            return text
          end
          local marks = vim.api.nvim_buf_get_extmarks(0, namespace, 0, -1, { details = true })
          for _, mark in ipairs(marks) do
            local details = mark[4]
            if details.virt_text then
              local lines = { ghostly(details.virt_text) }
              for _, chunks in ipairs(details.virt_lines or {}) do
                table.insert(lines, ghostly(chunks))
              end
              return lines
            end
          end
          return vim.NIL""")

    def wait_for_ghost(self, text=None):
        def seen():
            ghost = self.ghost()
            return ghost if ghost and (text is None or "\n".join(ghost) == text) else None
        return self.wait(f"ghost text {text!r}" if text else "ghost text", seen)

    def wait_for_no_ghost(self):
        self.wait("the ghost text to go", lambda: self.ghost() is None)

    def screen(self):
        """The screen as drawn, with virtual text and floating windows."""
        self.command("redraw")
        self.call("nvim_eval", "1")  # what was drawn has arrived before this answer
        return self._screen.text()

    def close(self):
        """Ends Neovim as a user would; may be called twice."""
        if self._process.stdin.closed:
            return
        try:
            self._process.stdin.write(pack([2, "nvim_command", ["qall!"]]))
            self._process.stdin.flush()
            self._process.wait(timeout=30)
        except (OSError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()
        shutil.rmtree(self.directory, ignore_errors=True)
