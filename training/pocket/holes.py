"""Single-line holes of held-out files. The draw is that of the first pocket, call for call: the same 200 a language."""
import random
import re

from common import LANGUAGES, TOY
from data import Files
from tokenizer import BOS, FILE_SEP, MIDDLE, PREFIX, SUFFIX

CONTEXT = 200 if TOY else 640  # tokens of path, prefix and suffix
CHARS_PER_TOKEN = 3.5
EDGE = re.compile(r"(?<=[\w\s.(\[{=,:>])(?=\S)|(?<=\W)(?=\w)")


def _cursor(rng, line):
    s, n = len(line) - len(line.lstrip()), len(line.rstrip())
    if n - s < 2:
        return None
    if rng.random() < .5:
        return rng.randint(s, n - 1)
    edges = [m.start() for m in EDGE.finditer(line) if s <= m.start() < n]
    return rng.choice(edges) if edges else rng.randint(s, n - 1)


def _rest_of_line(rng, text, starts):
    for _ in range(8):
        i = rng.randrange(len(starts))
        a, b = starts[i], starts[i + 1] - 1 if i + 1 < len(starts) else len(text)
        line = text[a:b]
        if not line.strip() or len(line) > 240:
            continue
        c = _cursor(rng, line)
        if c is not None:
            return a + c, b
    return None


def _windows(encode, text, a, b, prefix_room, suffix_room):
    start = max(0, a - int(prefix_room * CHARS_PER_TOKEN))
    if start > 0:
        newline = text.find("\n", start, a)
        start = newline + 1 if newline >= 0 else start
    end = min(len(text), b + int(suffix_room * CHARS_PER_TOKEN))
    if end < len(text):
        newline = text.rfind("\n", b, end)
        end = newline + 1 if newline > b else end
    return start, end


def _hole(encode, rng, path, text):
    starts = [0] + [m.end() for m in re.finditer("\n", text)]
    for _ in range(20):
        span = _rest_of_line(rng, text, starts)
        if not span:
            return None
        a, b = span
        middle = text[a:b]
        if not 3 <= len(middle.strip()) <= 80 or sum(c.isalnum() for c in middle) < 2 or a < 120:
            continue
        line = text[text.rfind("\n", 0, a) + 1:b].strip()
        if line.startswith(("//", "#", "*", "/*", "--")) and not line.startswith(("#include", "#define", "#if")):
            continue
        rng.random()  # the first pocket drew here, too
        head = [FILE_SEP] + encode(path + "\n").tolist()
        room = CONTEXT - len(head) - 60
        prefix_room = int(room * .7)
        start, end = _windows(encode, text, a, b, prefix_room, room - prefix_room)
        suffix = encode(text[b:end])[:room - prefix_room].tolist()
        return dict(head=head, path=path, text=middle, suffix=suffix, before=text[start:a], prefix_room=prefix_room,
                    after=text[b:b + 60])
    return None


def draw(tokenizer, count):
    """language -> holes"""
    out = {}
    for language in LANGUAGES:
        files, rng, holes, tries = Files(language), random.Random(17), [], 0
        while len(files) and len(holes) < count and tries < count * 30:
            path, text = files.get(rng.randrange(len(files)))
            tries += 1
            hole = _hole(tokenizer.encode, rng, path, text)
            if hole:
                holes.append(hole)
        if holes:
            out[language] = holes
    return out


def _left_to_the_model(tok, before):
    """What the editor's side takes off the prompt and asks for anew: a blank, or the token that the cursor may stand
    inside of (docs/decisions/001-prompt-layout.md)."""
    if before.endswith(" "):
        return " "
    line = before.encode("utf8")[-64:].decode("utf8", "ignore")
    ids = tok.encode(line)
    n = min(len(line.encode("utf8")), len(tok.pieces[ids[-1]])) if len(ids) else 0
    data = line.encode("utf8")
    while 0 < n < len(data) and data[-n] & 0xC0 == 0x80:
        n += 1
    tail = data[len(data) - n:].decode("utf8", "replace")
    return tail if tail.strip() else ""


ORDERS = ("spm", "spm joined", "psm")  # suffix first with a mark at the cursor, without one, and prefix first


def prompt(tok, hole, order="spm", heal=False):
    """Ids, and the text before the cursor that was left to the model, as the editor's side does it."""
    encode, before = tok.encode, hole["before"]
    left = _left_to_the_model(tok, before) if heal else ""
    prefix = encode(before[:len(before) - len(left)])[-hole["prefix_room"]:].tolist()
    ids = {"spm": [SUFFIX] + hole["suffix"] + [PREFIX] + prefix + [MIDDLE],
           "spm joined": [PREFIX, SUFFIX] + hole["suffix"] + [MIDDLE] + prefix,
           "psm": [PREFIX] + prefix + [SUFFIX] + hole["suffix"] + [MIDDLE]}[order]
    return [BOS] + hole["head"] + ids, left
