#!/usr/bin/env python3
"""Kate in a virtual screen, the real server: a completion is offered while typing, taken and saved. Not part of `make test`:
Kate is large. Needs the Debian packages kate, xvfb, xdotool, imagemagick and dbus.

usage: kate_check.py PATH/TO/incipit [PICTURE.png]

PICTURE gets the text and the list of completions; exits with 1 when nothing was completed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

SOURCE = """class Inventory:
    def __init__(self):
        self.items = {}

    def add(self, name, count):
        self.items[name] = self.items.get(name, 0) + count

    def remove(self, name, count):
        self.items[name] = self.ite"""
DISPLAY = ":77"
PATIENCE = 40
# Kate says nothing when its window is ready, the model loaded or a list drawn: a person would wait this long.
A_MOMENT = 3

KATERC = """[General]
Startup Session=new
[Kate Plugins]
lspclientplugin=true
[lspclient]
AllowedServerCommandLines={binary} lsp
"""


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def xdotool(*arguments):
    return subprocess.run(["xdotool", *arguments], check=False, capture_output=True, text=True).stdout.split()


def find_window():
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        windows = xdotool("search", "--onlyvisible", "--name", "inventory")
        if windows:
            return windows[0]
        time.sleep(0.2)
    sys.exit("Kate's window did not come")


def complete(source, picture):
    """Types a letter, takes the first of the list, saves."""
    window = find_window()
    xdotool("windowsize", window, "900", "560", "windowmove", window, "0", "0", "windowfocus", window)
    time.sleep(A_MOMENT)
    xdotool("key", "ctrl+End")
    xdotool("type", "m")
    time.sleep(A_MOMENT)
    if picture:
        subprocess.run(["import", "-window", "root", "-crop", "815x312+40+108", "+repage", "-strip", picture], check=True)
    xdotool("key", "Return")
    time.sleep(1)
    xdotool("key", "ctrl+s")
    time.sleep(1)
    with open(source, encoding="utf-8") as file:
        return file.read()


def run(binary, home, picture):
    source = os.path.join(home, "inventory.py")
    write(source, SOURCE)
    write(os.path.join(home, ".config/katerc"), KATERC.format(binary=binary))
    write(os.path.join(home, ".config/kate/lspclient/settings.json"), json.dumps(
        {"servers": {"python": {"command": [binary, "lsp"], "highlightingModeRegex": "^Python$"}}}))
    os.environ.update(HOME=home, DISPLAY=DISPLAY, XDG_RUNTIME_DIR=home)
    screen = subprocess.Popen(["Xvfb", DISPLAY, "-screen", "0", "900x560x24"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
    time.sleep(1)
    # A session of its own, so that Kate ends with the message bus that was started for it.
    kate = subprocess.Popen(["dbus-run-session", "--", "kate", "-b", "-n", source], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        return complete(source, picture)
    finally:
        os.killpg(kate.pid, signal.SIGKILL)
        kate.wait()
        screen.terminate()
        screen.wait()


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    picture = os.path.abspath(sys.argv[2]) if len(sys.argv) == 3 else None
    with tempfile.TemporaryDirectory(prefix="incipit-kate-", ignore_cleanup_errors=True) as home:
        text = run(os.path.abspath(sys.argv[1]), home, picture)
    print(text)
    if not text.startswith(SOURCE + "ms"):
        sys.exit("nothing was completed")


if __name__ == "__main__":
    main()
