"""Files of the prepared corpus, and rows of training tokens from the sampler's threads."""
import ctypes
import os

import numpy as np

import tokenizer
from common import LANGUAGES, MIX, WORK

TARGET = 0x8000  # set on tokens whose prediction counts more: the middle of a hole, the answer of a conversation
TARGET_WEIGHT, END_WEIGHT = 2, 3  # the end of a middle counts most: where it is missed, the answer runs on
FIM, FIM_PREFIX_FIRST, CROSS_FILE, PLAIN = range(4)


class Files:
    """The held-out or all files of one language: paths and texts by number."""

    def __init__(self, language, held=True):
        base = os.path.join(WORK, "data", language)
        self.rows = np.load(base + (".held.npy" if held else ".all.npy"))
        self.bytes = np.memmap(base + ".bin", np.uint8, "r") if len(self.rows) else np.zeros(0, np.uint8)

    def __len__(self):
        return len(self.rows)

    def get(self, i):
        po, pn, to, tn = self.rows[i]
        name = self.bytes[po:po + pn].tobytes().decode("utf8", "replace")
        return name.split("\x01", 1)[-1], self.bytes[to:to + tn].tobytes().decode("utf8", "replace")


class Mixture(ctypes.Structure):
    """How rows are filled; the same fields as sampler.cpp's."""
    _fields_ = [("row_tokens", ctypes.c_int64), ("chat", ctypes.c_double), ("plain", ctypes.c_double),
                ("cross_file", ctypes.c_double), ("prefix_first", ctypes.c_double),
                ("size_chance", ctypes.c_double * 4), ("size_tokens", ctypes.c_int64 * 4)]


def mixture(length, late):
    """Documents of a phase. Short ones hold more holes a token, long ones teach the far context."""
    chances, sizes = ((.20, .30, .30, .20), (350, 650, 1200, length)) if not late else \
                     ((.18, .27, .30, .25), (400, 800, 1800, length))
    return Mixture(length, .13, .16, .22 if late else .14, .04, (ctypes.c_double * 4)(*chances),
                   (ctypes.c_int64 * 4)(*sizes))


class Sampler:
    """One for a process; rows come from its threads. The corpus stays mapped while it lives."""

    def __init__(self, tok):
        self.lib, self.keep, self.languages = tok.lib, [tok], []
        self.handle = ctypes.c_void_p(self.lib.pk_sampler_new(tok.tables))
        self.encoder = tok.handle
        self.waited = 0.0
        for language in LANGUAGES:
            base = os.path.join(WORK, "data", language)
            rows = np.ascontiguousarray(np.load(base + ".all.npy"))
            index = np.load(base + ".index.npz")
            cumulative = np.cumsum(index["weight"])
            if not len(rows) or cumulative[-1] <= 0:
                continue
            data = np.memmap(base + ".bin", np.uint8, "r")
            arrays = (data, rows, cumulative, np.ascontiguousarray(index["group"]), np.ascontiguousarray(index["held"]))
            self.keep.append(arrays)
            self.lib.pk_add_language(self.handle, *map(tokenizer.pointer, arrays), ctypes.c_uint64(len(rows)),
                                     ctypes.c_double(MIX[language]))
            self.languages.append((language, arrays[4]))
        ids, offsets = (np.load(os.path.join(WORK, "data", "chat.%s.npy" % x)) for x in ("ids", "offsets"))
        self.keep += [ids, offsets]
        self.lib.pk_set_chats(self.handle, tokenizer.pointer(ids), tokenizer.pointer(offsets),
                              ctypes.c_uint64(len(offsets) - 1))

    def start(self, mix, threads, seed, block_rows, ahead=200):
        self.shape = (block_rows, mix.row_tokens + 1)
        self.lib.pk_start(self.handle, ctypes.byref(mix), threads, ctypes.c_uint64(seed), ctypes.c_uint64(block_rows),
                          ctypes.c_uint64(ahead))

    def take(self):
        """uint16 [rows, tokens + 1], TARGET set on some."""
        out = np.empty(self.shape, np.uint16)
        self.waited += self.lib.pk_take(self.handle, tokenizer.pointer(out))
        return out

    def stop(self):
        self.lib.pk_stop(self.handle)

    def shares(self):
        """Share of tokens by kind so far, for the log."""
        s = np.zeros(16)
        self.lib.pk_stats(self.handle, tokenizer.pointer(s))
        total = max(1.0, s[:5].sum() + s[6])
        names = ("fim", "prefix first", "cross-file", "plain", "chat", "targets", "padding")
        return {n: round(v / total, 4) for n, v in zip(names, s)} | {"mean document": round(total / max(1, s[7]))}

    def document(self, language_number, file, kind, room, seed):
        """One document as ids with TARGET, or an empty array; the same seed gives the same one."""
        out = np.empty(room + 8, np.uint16)
        n = self.lib.pk_document(self.handle, self.encoder, language_number, ctypes.c_uint64(file), kind,
                                 ctypes.c_uint64(room), ctypes.c_uint64(seed), tokenizer.pointer(out),
                                 ctypes.c_uint64(out.size))
        return out[:n]


def split_targets(rows):
    """(inputs, targets, weights of the targets) of rows with TARGET bits; numpy, the padding's weight is 0."""
    ids = (rows & 0x3FFF).astype(np.int32)
    targets = ids[:, 1:]
    marked = (rows[:, 1:] & TARGET) != 0
    weights = np.where(marked, np.float32(TARGET_WEIGHT), np.float32(1))
    weights[marked & (targets == tokenizer.EOS)] = END_WEIGHT
    weights[targets == tokenizer.PAD] = 0
    return ids[:, :-1], targets, weights
