"""MessagePack, as much of it as Neovim's RPC uses: enough to need no package for it."""

import struct


class Ext:
    """An extension value: Neovim's handles of buffers, windows and tab pages."""

    def __init__(self, kind, data):
        self.kind = kind
        self.data = data


class Incomplete(Exception):
    """The bytes so far end inside a value."""


def pack(value):
    if value is None:
        return b"\xc0"
    if value is True:
        return b"\xc3"
    if value is False:
        return b"\xc2"
    if isinstance(value, int):
        return _pack_int(value)
    if isinstance(value, float):
        return b"\xcb" + struct.pack(">d", value)
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogateescape")
        return b"\xdb" + struct.pack(">I", len(data)) + data
    if isinstance(value, (list, tuple)):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(pack(item) for item in value)
    if isinstance(value, dict):
        body = b"".join(pack(key) + pack(item) for key, item in value.items())
        return b"\xdf" + struct.pack(">I", len(value)) + body
    if isinstance(value, Ext):
        return b"\xc9" + struct.pack(">Ib", len(value.data), value.kind) + value.data
    raise TypeError(f"cannot pack {type(value).__name__}")


def _pack_int(value):
    if 0 <= value < 128:
        return bytes([value])
    if value >= 0:
        return b"\xcf" + struct.pack(">Q", value)
    return b"\xd3" + struct.pack(">q", value)


# first byte -> (struct format of a number)
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
            0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_LENGTHS = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xC7: ">B", 0xC8: ">H", 0xC9: ">I",
            0xD9: ">B", 0xDA: ">H", 0xDB: ">I", 0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}


class Unpacker:
    """Fed with bytes, yields whole values."""

    def __init__(self):
        self._bytes = bytearray()
        self._at = 0

    def feed(self, data):
        self._bytes += data

    def __iter__(self):
        while True:
            start = self._at
            try:
                value = self._value()
            except Incomplete:
                self._at = start
                return
            del self._bytes[: self._at]
            self._at = 0
            yield value

    def _take(self, count):
        if self._at + count > len(self._bytes):
            raise Incomplete
        self._at += count
        return bytes(self._bytes[self._at - count : self._at])

    def _number(self, layout):
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _value(self):
        first = self._take(1)[0]
        if first < 0x80:
            return first
        if first >= 0xE0:
            return first - 256
        if first < 0x90:
            return self._map(first & 15)
        if first < 0xA0:
            return self._list(first & 15)
        if first < 0xC0:
            return self._text(first & 31)
        if first in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[first]
        if first in _NUMBERS:
            return self._number(_NUMBERS[first])
        if 0xD4 <= first <= 0xD8:
            return self._ext(1 << (first - 0xD4))
        length = self._number(_LENGTHS[first])
        if first <= 0xC6:
            return self._take(length)
        if first <= 0xC9:
            return self._ext(length)
        if first <= 0xDB:
            return self._text(length)
        return self._list(length) if first <= 0xDD else self._map(length)

    def _text(self, length):
        return self._take(length).decode("utf-8", "surrogateescape")

    def _list(self, length):
        return [self._value() for _ in range(length)]

    def _map(self, length):
        return {self._value(): self._value() for _ in range(length)}

    def _ext(self, length):
        kind = self._number(">b")
        return Ext(kind, self._take(length))
