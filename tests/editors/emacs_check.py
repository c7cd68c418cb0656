#!/usr/bin/env python3
"""Emacs with eglot in a terminal, the real server: a completion is asked for and inserted. Not part of `make test`: Emacs
is large. Needs the Debian packages emacs-nox, elpa-eglot and tmux.

usage: emacs_check.py PATH/TO/incipit

Prints the screen before and after; exits with 1 when nothing was completed."""

import os
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
SOURCE = """class Inventory:
    def __init__(self):
        self.items = {}

    def add(self, name, count):
        self.items[name] = self.items.get(name, 0) + count

    def remove(self, name, count):
        self.items[name] = self.ite"""

INIT = """(require 'eglot)
(add-to-list 'eglot-server-programs '(python-mode . ("%s" "lsp")))
(add-hook 'python-mode-hook 'eglot-ensure)
(menu-bar-mode -1)
(setq native-comp-async-report-warnings-errors nil)
"""


class Terminal:
    """A program in tmux, on a server of its own."""

    def __init__(self, directory, command):
        self._tmux = ["tmux", "-S", os.path.join(directory, "tmux")]
        self._run("new-session", "-d", "-x", "80", "-y", "24", command)

    def _run(self, *arguments):
        return subprocess.run([*self._tmux, *arguments], check=True, capture_output=True, text=True).stdout

    def keys(self, *keys):
        self._run("send-keys", *keys)

    def screen(self):
        return self._run("capture-pane", "-p").rstrip()

    def wait(self, what, condition):
        deadline = time.monotonic() + PATIENCE
        while not condition(self.screen()):
            if time.monotonic() > deadline:
                sys.exit(f"waited for {what}; the screen:\n{self.screen()}")
            time.sleep(0.1)

    def close(self):
        subprocess.run([*self._tmux, "kill-server"], check=False)


def run(binary, directory):
    init, source = os.path.join(directory, "init.el"), os.path.join(directory, "inventory.py")
    with open(init, "w", encoding="utf-8") as file:
        file.write(INIT % binary)
    with open(source, "w", encoding="utf-8") as file:
        file.write(SOURCE)
    terminal = Terminal(directory, f"env HOME={directory} emacs -nw -q -l {init} {source}")
    try:
        terminal.wait("eglot to be connected", lambda screen: "[eglot:" in screen)
        time.sleep(2)  # the model loads; the mode line does not tell
        terminal.keys("M->")
        before = terminal.screen()
        terminal.keys("C-M-i")
        terminal.wait("the completion", lambda screen: "self.items[name] = self.items." in screen.split("def remove")[-1])
        print(f"{before}\n\n---- after C-M-i\n\n{terminal.screen()}")
    finally:
        terminal.close()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory(prefix="incipit-emacs-") as directory:
        run(os.path.abspath(sys.argv[1]), directory)


if __name__ == "__main__":
    main()
