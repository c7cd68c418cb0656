"""The tokenizer through the compiled encoder; checked against `tokenizers` where that package is installed."""
import ctypes
import json
import os
import subprocess

import numpy as np

from common import HERE, TOKENIZER, WORK, path

SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>",
            "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>"]
BASE = 16373
BOS, EOS, START_HEADER, END_HEADER, EOT, PREFIX, SUFFIX, MIDDLE, PAD, REPO, FILE_SEP = range(BASE, BASE + 11)
FILE = os.path.join(TOKENIZER, "tokenizer.json")


def byte_of_char():
    """GPT-2's printable stand-ins for bytes."""
    plain = list(range(33, 127)) + list(range(161, 173)) + list(range(174, 256))
    table = {chr(b): b for b in plain}
    for k, b in enumerate(b for b in range(256) if b not in set(plain)):
        table[chr(256 + k)] = b
    return table


def library():
    """Compiles the encoder and sampler into the work folder if they are not there; returns the loaded library.
    PK_LIBRARY: another place for it, where it may have been built already."""
    so = os.environ.get("PK_LIBRARY") or path("libsampler.so")
    if not os.path.exists(so):
        tmp = "%s.%d" % (so, os.getpid())
        subprocess.run([os.environ.get("CXX", "g++"), "-O2", "-std=c++20", "-shared", "-fPIC", "-pthread", "-o", tmp,
                        os.path.join(HERE, "sampler.cpp")], check=True)
        os.replace(tmp, so)
    lib = ctypes.CDLL(so)
    for name in ("pk_encoder_tables", "pk_encoder_new", "pk_sampler_new"):
        getattr(lib, name).restype = ctypes.c_void_p
    for name in ("pk_encode", "pk_document"):
        getattr(lib, name).restype = ctypes.c_int64
    lib.pk_take.restype = ctypes.c_double
    return lib


def pointer(a):
    return a.ctypes.data_as(ctypes.c_void_p)


class Tokenizer:
    """encode() and decode() of ids without special tokens being read from the text; not for several threads."""

    def __init__(self, file=FILE):
        with open(file, encoding="utf8") as f:
            spec = json.load(f)["model"]
        vocab, to_byte = spec["vocab"], byte_of_char()
        self.pieces = [b""] * len(vocab)
        for text, i in vocab.items():
            self.pieces[i] = bytes(to_byte[c] for c in text)
        pairs = [m.split(" ") if isinstance(m, str) else m for m in spec["merges"]]
        left, right, result = (np.array(x, np.uint32) for x in zip(*((vocab[a], vocab[b], vocab[a + b]) for a, b in pairs)))
        lengths = np.array([len(p) for p in self.pieces], np.uint32)
        self.lib = library()
        self.tables = ctypes.c_void_p(self.lib.pk_encoder_tables(
            ctypes.c_uint32(len(self.pieces)), b"".join(self.pieces), pointer(lengths), ctypes.c_uint32(len(pairs)),
            pointer(left), pointer(right), pointer(result)))
        self.handle = ctypes.c_void_p(self.lib.pk_encoder_new(self.tables))
        self.buffer = np.empty(1 << 16, np.uint16)

    def encode(self, text):
        """int32 ids of a str or of UTF-8 bytes."""
        data = text.encode("utf8", "replace") if isinstance(text, str) else text
        if len(data) + 8 > self.buffer.size:
            self.buffer = np.empty(2 * len(data) + 16, np.uint16)
        n = self.lib.pk_encode(self.handle, data, ctypes.c_uint64(len(data)), pointer(self.buffer),
                               ctypes.c_uint64(self.buffer.size))
        return self.buffer[:n].astype(np.int32)

    def decode(self, ids):
        return b"".join(self.pieces[i] if i < BASE else SPECIALS[i - BASE].encode() for i in map(int, ids)).decode("utf8", "replace")


def compare_with_library(texts):
    """A line for the log: how many texts Hugging Face's tokenizers encodes otherwise."""
    try:
        from tokenizers import Tokenizer as Reference
    except ImportError:
        return "tokenizer: `tokenizers` is not installed, not compared"
    own, reference = Tokenizer(), Reference.from_file(FILE)
    differ = sum(own.encode(t).tolist() != reference.encode(t, add_special_tokens=False).ids for t in texts)
    return "tokenizer: %d of %d texts differ from `tokenizers`" % (differ, len(texts))
