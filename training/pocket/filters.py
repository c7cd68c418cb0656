"""Which files are fit to learn from, and their text cleaned: one file in, language and text out."""
import hashlib
import re
import zlib

import numpy as np

FORBIDDEN = re.compile(
    r"General Public Licen|\b[AL]?GPL(v?[23])?\b|Mozilla Public|\bMPL[- /]?[12]|Creative Commons|\bCC[- ]BY"
    r"|confidential|trade secret|proprietary|NVIDIA (Software )?License Agreement|LicenseRef-Nvidia", re.I)
GENERATED = re.compile(
    r"DO NOT (EDIT|MODIFY)|auto-?generated|@generated|generated (by|from|automatically|file|code)"
    r"|automatically generated|machine generated", re.I)
LICENCE_TEXT = re.compile(r"copyright|licen[sc]e|SPDX|all rights reserved", re.I)
CPP = re.compile(r"^\s*(class \w|template ?<|namespace|using |public:)|std::", re.M)


def without_licence(text, hash_comments):
    """Text without comments at its beginning that speak of the licence (they would be learnt by heart)."""
    first = ""
    text = text.removeprefix("\ufeff")
    if text.startswith("#!"):
        i = text.find("\n") + 1
        first, text = text[:i], text[i:]
    for _ in range(3):
        s = text.lstrip("\n\r \t")
        m = re.match(r"(?:#[^\n]*\n)+" if hash_comments else r"/\*.*?\*/[ \t]*\n?|(?://[^\n]*\n)+|(?:--[^\n]*\n)+", s, re.S)
        if not m or not LICENCE_TEXT.search(m.group(0)):
            break
        text = s[m.end():]
    return first + text.lstrip("\n\r")


def good(text):
    """Looks like code that people wrote: sizes, letters, digits, how well it compresses."""
    n = len(text)
    if not 200 <= n <= 100_000:
        return False
    lines = text.split("\n")
    if len(lines) < 8 or max(map(len, lines)) > 600 or not 6 <= n / len(lines) <= 90:
        return False
    if sum(map(text.count, "etaoinsrhl")) < .20 * n or sum(map(text.count, "0123456789")) > .16 * n:
        return False
    if n - len(text.encode("ascii", "ignore")) > .03 * n or text.count("\\x") > n / 60 or text.count("0x") > n / 45:
        return False
    return 1.6 <= n / len(zlib.compress(text.encode(), 1)) <= 9


def digest_of(text):
    return hashlib.blake2b("".join(text.split()).encode(), digest_size=12).digest()


def line_hashes(text):
    return np.array([hash(x) for x in map(str.strip, text.split("\n")) if len(x) >= 12], np.int64)


def clean(data, language):
    """(language, text, digest) of a file's bytes, or None. What is called cpp may turn out to be c or cuda."""
    if not 200 <= len(data) <= 110_000 or b"\0" in data[:4000]:
        return None
    try:
        text = data.decode("utf8")
    except UnicodeDecodeError:
        return None
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "")
    if GENERATED.search(text[:1500]) or FORBIDDEN.search(text[:3500]):
        return None
    text = without_licence(text, language in ("python", "shell"))
    text = re.sub(r"\n{4,}", "\n\n\n", "\n".join(x.rstrip() for x in text.split("\n"))).rstrip("\n") + "\n"
    if language == "cpp":
        if re.search(r"__global__|__device__", text[:20000]):
            language = "cuda"
        elif not CPP.search(text[:8000]):
            language = "c"
    if not good(text):
        return None
    return language, text, digest_of(text)


class Duplicates:
    """Remembers what was kept: exact copies (but for blanks) and files of which two thirds of the lines are known."""

    def __init__(self):
        self.digests, self.lines = set(), {}

    def remember(self, language, text):
        """What is kept already, elsewhere."""
        self.digests.add(digest_of(text))
        self.lines.setdefault(language, set()).update(line_hashes(text).tolist())

    def reason_against(self, language, digest, hashes):
        """None, and the file is remembered; else why it is not wanted."""
        if digest in self.digests:
            return "exact copy"
        self.digests.add(digest)
        known, lines = self.lines.setdefault(language, set()), hashes.tolist()
        if lines:
            if sum(x in known for x in lines) > .65 * len(lines):
                return "near copy"
            if len(set(lines)) < .35 * len(lines):
                return "repeats itself"
        known.update(lines)
        return None
