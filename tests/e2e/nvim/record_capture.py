#!/usr/bin/env python3
"""Records the animated capture of the README and a picture of the chat: a real Neovim, the real server, the real model, in
real time.

usage: record_capture.py PATH/TO/incipit FOLDER    writes neovim.svg and neovim-chat.svg there, as in docs/images"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from animation import Animation  # noqa: E402
from nvim_session import NvimSession  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
PLUGIN = os.path.abspath(os.path.join(HERE, "../../../editors/nvim"))
WIDTH, HEIGHT = 80, 20
KEY_SECONDS = 0.09
BACKGROUND = 0x1E2127

COLOURS = """
  vim.opt.laststatus, vim.opt.ruler, vim.opt.showmode, vim.opt.shortmess = 0, false, false, 'filnxtToOFIcsS'
  vim.opt.shiftwidth, vim.opt.expandtab, vim.opt.fillchars = 4, true, { eob = ' ' }
  vim.cmd [[
    syntax on
    highlight Normal guifg=#d7dae0 guibg=#1e2127
    highlight NormalFloat guifg=#d7dae0 guibg=#2b303b
    highlight FloatBorder guifg=#7f8ea3 guibg=#2b303b
    highlight IncipitGhost guifg=#8a93a3 gui=italic
    highlight Comment guifg=#98c379
    highlight String guifg=#98c379
    highlight Statement guifg=#c678dd gui=NONE
    highlight Identifier guifg=#61afef gui=NONE
    highlight Function guifg=#61afef
    highlight Constant guifg=#d19a66
    highlight PreProc guifg=#c678dd
    highlight Special guifg=#d19a66
    highlight Visual guibg=#3e4f6b
    highlight MsgArea guifg=#d7dae0
    highlight Title guifg=#61afef
    highlight VertSplit guifg=#7f8ea3 guibg=#1e2127 gui=NONE
    highlight StatusLine guifg=#d7dae0 guibg=#3a4150 gui=NONE
    highlight StatusLineNC guifg=#a3adbd guibg=#2b303b gui=NONE
  ]]
"""

SOURCE = '''import json


class Inventory:
    """What is in stock, by name."""

    def __init__(self):
        self.items = {}

    def add(self, name, count):
        self.items[name] = self.items.get(name, 0) + count

    def remove(self, name, count):
'''


class Recorder(NvimSession):
    """A session whose screens are kept with the time they were drawn at."""

    def begin(self, title):
        self.animation = Animation(WIDTH, HEIGHT, BACKGROUND, title)
        self.screen()
        self.started = time.monotonic()
        self.keep()

    def seconds(self):
        return time.monotonic() - self.started

    def keep(self):
        self.animation.add(self.seconds(), self._screen.rows(), self._screen.cursor)

    def pause(self, seconds):
        """Lets time pass, and keeps what is drawn meanwhile."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.call("nvim_eval", "1")
            self.keep()
            time.sleep(0.01)

    def keys(self, keys):
        for key in keys:
            self.type("<lt>" if key == "<" else key)
            self.pause(KEY_SECONDS)


def start(binary):
    nvim = Recorder(PLUGIN, f"{COLOURS} require('incipit').setup {{ cmd = {{ '{binary}', 'lsp' }} }}")
    nvim.call("nvim_ui_try_resize", WIDTH, HEIGHT)
    nvim.open("inventory.py", SOURCE)
    nvim.wait("the model", "require('incipit').state().name == 'ready'")
    return nvim


def play(nvim):
    """Types the beginning of a line, takes the suggestion, has what was written explained."""
    nvim.pause(0.8)
    nvim.type("o")
    nvim.keys("self.items[name] ")
    nvim.wait_for_ghost()
    nvim.pause(1.2)
    nvim.type("<Tab>")
    nvim.pause(1.0)
    nvim.type("<Esc>")
    nvim.pause(0.4)
    nvim.type("13GVj")
    nvim.pause(0.8)
    nvim.keys(":")
    nvim.keys("Incipit explain")
    nvim.type("<CR>")
    nvim.wait("the explanation", "not require('incipit.explain').running()")
    nvim.pause(3.0)
    text = nvim.lua("return require('incipit.float').text()")
    nvim.type("q")
    nvim.pause(0.8)
    return text


def record(binary):
    """Returns the SVG, the line that was completed, and the explanation."""
    nvim = start(binary)
    try:
        nvim.type("G")
        nvim.begin("Neovim: a completion is typed, shown as grey text and accepted; what was written is explained in a window")
        explanation = play(nvim)
        return nvim.animation.svg(round(nvim.seconds(), 1)), nvim.lines()[13], explanation
    finally:
        nvim.close()


def picture_of_chat(binary):
    """Returns the SVG of one screen."""
    nvim = start(binary)
    try:
        nvim.command("set laststatus=2 nowrap statusline=%t fillchars+=vert:│")
        nvim.command("10,11Incipit chat What does this do?")
        nvim.wait("the answer", "not require('incipit.chat').running()")
        nvim.begin("Neovim: the chat beside the code, with a method attached and the answer of the model")
        return nvim.animation.svg(1)
    finally:
        nvim.close()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    binary, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    svg, line, explanation = record(binary)
    print(f"{line}\n{explanation}", file=sys.stderr)
    for name, picture in (("neovim.svg", svg), ("neovim-chat.svg", picture_of_chat(binary))):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            file.write(picture)
        print(f"{name}: {len(picture.encode())} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
