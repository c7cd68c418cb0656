"""Safetensors files, written and read without the library, and bf16 as bit patterns in uint16 arrays."""
import json
import os
import struct

import numpy as np

_NAMES = {"float32": "F32", "float16": "F16", "int32": "I32", "uint16": "BF16", "int64": "I64", "int8": "I8"}
_TYPES = {name: np.dtype(numpy_name) for numpy_name, name in _NAMES.items()}


def save(file, tensors):
    """tensors: name -> numpy array; uint16 arrays are bf16 bit patterns."""
    head, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        a = tensors[name]
        head[name] = dict(dtype=_NAMES[a.dtype.name], shape=list(a.shape), data_offsets=[offset, offset + a.nbytes])
        offset += a.nbytes
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(file + ".tmp", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            f.write(np.ascontiguousarray(tensors[name]).tobytes())
    os.replace(file + ".tmp", file)


def load(file):
    with open(file, "rb") as f:
        data = f.read()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    out = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            a, b = entry["data_offsets"]
            out[name] = np.frombuffer(data[start + a:start + b], _TYPES[entry["dtype"]]).reshape(entry["shape"])
    return out


def to_bf16(a):
    """float32 -> bf16 bit patterns, rounded to nearest even."""
    u = np.ascontiguousarray(a, np.float32).view(np.uint32)
    return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(np.float32)
