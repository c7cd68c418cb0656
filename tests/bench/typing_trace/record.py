#!/usr/bin/env python3
"""Makes a typing trace of source files: a session in which passages that were taken out are written again.

The person jumps from place to place, mistypes and corrects, adds a line at the top of the file and returns, looks into
another file and returns, undoes and writes again, pastes, deletes lines and thinks. The same seed and files give the same
trace. Sources are cut to --lines lines; what is not ASCII becomes "?".

    record.py --seed 1 src/a.py src/b.py > traces/python.trace
"""

import argparse
import pathlib
import random
import sys

import trace as traces
from buffer import Buffer, keys_of, position_of

LANGUAGES = {'.py': 'python', '.cpp': 'cpp', '.h': 'cpp', '.lua': 'lua', '.mjs': 'javascript', '.sh': 'shellscript',
             '.go': 'go', '.rs': 'rust', '.ts': 'typescript', '.java': 'java'}
TOP_LINES = {'python': 'import bisect', 'cpp': '#include <numeric>', 'lua': "local util = require('app.util')",
             'javascript': "import { inspect } from 'node:util';", 'shellscript': 'umask 022', 'go': '\t"strings"'}
TYPO_SHARE = 0.025
N_PLACES = {'main': 6, 'second': 2}


class Place:
    """A passage that is missing: where it goes (moved along with edits) and what it says."""

    def __init__(self, offset, text):
        self.offset, self.text = offset, text


def can_be_typed(text, offset, passage):
    trial = Buffer(text)
    trial.cursor = offset
    for key in keys_of(passage):
        trial.key(key)
    return trial.text == text[:offset] + passage + text[offset:]


def cut_passages(text, n, n_characters):
    """Takes n passages of whole lines out. Returns what is left and the places, the first one first."""
    places = []
    for i in reversed(range(n)):
        lines = text.split('\n')
        first = (i + 1) * len(lines) // (n + 1)
        while first < len(lines) - 3:
            end, size = first, 0
            while size < n_characters and end < len(lines) - 2:
                size += len(lines[end].lstrip()) + 1
                end += 1
            before = '\n'.join(lines[:first])
            passage = '\n' + '\n'.join(lines[first:end])
            rest = '\n' + '\n'.join(lines[end:])
            if lines[first].strip() and lines[first - 1].strip() and can_be_typed(before + rest, len(before), passage):
                text = before + rest
                for place in places:
                    place.offset -= len(passage)
                places.insert(0, Place(len(before), passage))
                break
            first += 1
    return text, places


class Recorder:
    def __init__(self, files, seed):
        self.random = random.Random(seed)
        self.files, self.buffers, self.places, self.events = files, {}, {}, []
        self.current = None
        for (name, file), role in zip(files.items(), ('main', 'second')):
            file.text, self.places[name] = cut_passages(file.text, N_PLACES[role], 25)
            self.buffers[name] = Buffer(file.text)

    @property
    def buffer(self):
        return self.buffers[self.current]

    def note(self, *event):
        self.events.append(event)

    def think(self, low, high):
        self.note('w', round(self.random.uniform(low, high), 1))

    def switch(self, name):
        self.current = name
        self.note('f', name)
        self.think(0.7, 2)

    def go_to(self, offset):
        line, column = position_of(self.buffer.text, offset)
        self.buffer.go_to(line, column)
        self.note('g', line, column)

    def follow(self, before):
        """Moves the places along with what has just been changed in the current file."""
        after = self.buffer.text
        shortest = min(len(before), len(after))
        start = next((i for i in range(shortest) if before[i] != after[i]), shortest)
        for place in self.places[self.current]:
            if place.offset > start:
                place.offset += len(after) - len(before)

    def press(self, text):
        before = self.buffer.text
        for key in keys_of(text):
            self.buffer.key(key)
        self.note('t', text)
        self.follow(before)

    def back(self, n):
        before = self.buffer.text
        for _ in range(n):
            self.buffer.back()
        self.note('b', n)
        self.follow(before)

    def write(self, text):
        """Types with a typo now and then, noticed after a few keys."""
        start = 0
        for at, character in enumerate(text):
            if not character.isalpha() or self.random.random() >= TYPO_SHARE:
                continue
            n_more = 0
            while n_more < 2 and text[at + 1 + n_more:at + 2 + n_more].isalpha() and self.random.random() < 0.5:
                n_more += 1
            self.press(text[start:at] + self.random.choice('etaoinsr') + text[at + 1:at + 1 + n_more])
            self.back(1 + n_more)
            start = at
        if start < len(text):
            self.press(text[start:])

    def undo_and_again(self):
        """Takes back what was typed last, thinks, and types it again."""
        before = self.buffer.text
        self.buffer.undo()
        self.note('u', 1)
        self.follow(before)
        self.think(0.4, 1)
        n_lost = len(before) - len(self.buffer.text)
        lost = before[self.buffer.cursor:self.buffer.cursor + n_lost]
        if n_lost > 0 and can_be_typed(self.buffer.text, self.buffer.cursor, lost):
            self.write(lost)

    def edit_above(self):
        here, before = self.buffer.cursor, len(self.buffer.text)
        lines = self.buffer.text.split('\n')
        at = self.random.randrange(1, min(8, len(lines)))
        self.go_to(len('\n'.join(lines[:at])))
        self.think(0.5, 1.2)
        self.write('\n' + TOP_LINES.get(self.files[self.current].language, ''))
        self.go_to(here + len(self.buffer.text) - before)
        self.think(0.5, 1.2)

    def delete_and_again(self):
        n = self.random.randrange(5, 11)
        tail = self.buffer.text[self.buffer.cursor - n:self.buffer.cursor]
        if '\n' in tail or not tail.isascii():
            return
        self.back(n)
        self.think(0.3, 0.6)
        self.write(tail)

    def paste_below(self):
        here = self.buffer.cursor
        lines = self.buffer.text.split('\n')
        first = self.random.randrange(len(lines) // 2, len(lines) - 4)
        text, before = '\n' + '\n'.join(lines[first:first + 2]), self.buffer.text
        line, _ = position_of(before, here)
        end_of_line = len('\n'.join(lines[:line + 3]))
        self.go_to(end_of_line)
        self.think(0.3, 0.8)
        self.buffer.paste(text)
        self.note('p', text)
        self.follow(before)
        self.go_to(here)
        self.think(0.4, 1)

    def delete_lines(self):
        here, before = self.buffer.cursor, self.buffer.text
        line, _ = position_of(before, here)
        if line + 6 > before.count('\n'):
            return
        self.buffer.delete_lines(line + 4, 1)
        self.note('d', line + 4, 1)
        self.follow(before)
        self.go_to(here)
        self.think(0.4, 0.9)

    def visit(self, name):
        """Another file, one passage there, and back."""
        home, here = self.current, self.buffer.cursor
        if not self.places[name]:
            return
        self.switch(name)
        self.fill(self.places[name].pop(self.random.randrange(len(self.places[name]))), None)
        self.switch(home)
        self.buffer.cursor = here

    def fill(self, place, interruption):
        self.go_to(place.offset)
        self.think(0.6, 1.6)
        half = len(place.text) // 2
        self.write(place.text[:half])
        if interruption is not None:
            interruption()
        self.write(place.text[half:])
        if self.random.random() < 0.4:
            self.note('tab', 3)
        self.think(0.3, 1)

    def session(self):
        main, second = list(self.files)
        self.switch(main)
        interruptions = [lambda: self.visit(second), self.edit_above, self.undo_and_again, self.delete_and_again,
                         self.paste_below, self.delete_lines]
        self.random.shuffle(interruptions)
        waiting = self.places[main]
        for i in range(len(waiting)):
            self.fill(waiting.pop(self.random.randrange(len(waiting))), interruptions[i % len(interruptions)])
        while self.places[second]:
            self.visit(second)
        return self.events


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sources', nargs=2, type=pathlib.Path, help='the file that is worked at, and another one')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--lines', type=int, default=150, help='of each file at most (default: 150)')
    arguments = parser.parse_args()
    files = {}
    for path in arguments.sources:
        text = path.read_text(encoding='utf-8').encode('ascii', 'replace').decode()
        text = '\n'.join(text.split('\n')[:arguments.lines]).rstrip('\n') + '\n'
        name = f'src/{path.name}'
        files[name] = traces.File(name, LANGUAGES[path.suffix], text)
    events = Recorder(files, arguments.seed).session()
    trace = traces.Trace('', files, events)
    print(traces.write(trace, [f'record.py --seed {arguments.seed} --lines {arguments.lines}: '
                               f'{traces.count_keys(events)} keys']), end='')
    return 0


if __name__ == '__main__':
    sys.exit(main())
