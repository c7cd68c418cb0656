"""A text buffer with a cursor, as an editor has one: closing brackets come by themselves, edits can be undone.

Positions are (line, column) in characters; the texts of traces are ASCII. Every method returns the changes that it made,
in order: (start, end, text), where text took the place of what stood between the two positions.
"""

PAIRS = {'(': ')', '[': ']', '{': '}', '"': '"', "'": "'"}
CLOSERS = set(PAIRS.values())
INDENTS = ' \t'


def position_of(text, offset):
    line = text.count('\n', 0, offset)
    return line, offset - (text.rfind('\n', 0, offset) + 1)


def offset_of(text, line, column):
    at = 0
    for _ in range(line):
        at = text.index('\n', at) + 1
    return at + column


class Buffer:
    def __init__(self, text):
        self.text = text
        self.cursor = 0
        self._own_closers = []  # those that came by themselves and were not typed yet
        self._undo = []         # (text, cursor) before each group of edits
        self._typing = False    # the next key belongs to the group that is open

    def position(self):
        return position_of(self.text, self.cursor)

    def replace(self, start, end, new):
        """Puts the cursor behind `new`."""
        change = (position_of(self.text, start), position_of(self.text, end), new)
        self.text = self.text[:start] + new + self.text[end:]
        self.cursor = start + len(new)
        return [change]

    def go_to(self, line, column):
        self.cursor = offset_of(self.text, line, column)
        self._end_group()
        self._own_closers.clear()

    def key(self, key):
        """One press: a character, or a line end with the indentation that the editor adds."""
        self._begin_group(is_typing=True)
        before, after = self.text[:self.cursor], self.text[self.cursor:self.cursor + 1]
        if key in CLOSERS and after == key and key in self._own_closers:
            self._own_closers.remove(key)
            self.cursor += 1
            return []
        opens = key in PAIRS and (after in CLOSERS or after.strip() == '')
        if key in '"\'' and (before[-1:].isalnum() or before[-1:] in ('"', "'", '\\')):
            opens = False
        if not opens:
            return self.replace(self.cursor, self.cursor, key)
        self._own_closers.append(PAIRS[key])
        changes = self.replace(self.cursor, self.cursor, key + PAIRS[key])
        self.cursor -= 1
        return changes

    def back(self):
        self._begin_group(is_typing=True)
        return self.replace(max(0, self.cursor - 1), self.cursor, '')

    def paste(self, text):
        self._begin_group(is_typing=False)
        return self.replace(self.cursor, self.cursor, text)

    def insert(self, start, end, text):
        """What the editor does with a suggestion."""
        self._begin_group(is_typing=False)
        return self.replace(start, end, text)

    def delete_lines(self, first, n):
        self._begin_group(is_typing=False)
        return self.replace(offset_of(self.text, first, 0), offset_of(self.text, first + n, 0), '')

    def undo(self):
        """The text before the last group; as editors do, by replacing what differs."""
        if not self._undo:
            return []
        text, cursor = self._undo.pop()
        shortest = min(len(text), len(self.text))
        start = next((i for i in range(shortest) if text[i] != self.text[i]), shortest)
        n_tail = 0
        while n_tail < shortest - start and text[-1 - n_tail] == self.text[-1 - n_tail]:
            n_tail += 1
        changes = self.replace(start, len(self.text) - n_tail, text[start:len(text) - n_tail])
        self.cursor = cursor
        self._typing = False
        self._own_closers.clear()
        return changes

    def _begin_group(self, is_typing):
        if not (is_typing and self._typing):
            self._undo.append((self.text, self.cursor))
        self._typing = is_typing

    def _end_group(self):
        self._typing = False


def keys_of(text):
    """What each key press inserts: a character, or a line end with the indentation that follows."""
    keys = []
    for character in text:
        if character in INDENTS and keys and keys[-1].startswith('\n') and keys[-1].strip(INDENTS + '\n') == '':
            keys[-1] += character
        else:
            keys.append(character)
    return keys
