"""Writes tests/golden/gguf: one tensor of each block type that GGUF files of Llama models have, made of random bits, and
the numbers that it stands for. The numbers are worked out here element by element from the description of each type, by
code that shares nothing with the engine's; Python's standard library alone.

usage: make_gguf.py [--check] DIRECTORY       --check: says what in DIRECTORY is not what would be written"""

import random
import struct
import sys

from fixture_files import write_or_check

BLOCKS = 2  # of each type


def half(number):
    return struct.unpack('<e', struct.pack('<e', number))[0]


def single(number):
    return struct.unpack('<f', struct.pack('<f', number))[0]


class Draw:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def half(self):
        return half(self.random.uniform(-0.02, 0.02))

    def ints(self, count, low, high):
        return [self.random.randint(low, high) for _ in range(count)]


def pack_half(number):
    return struct.pack('<e', number)


def pack_nibbles(q):
    """Sixteen bytes: element j below, element j + 16 above."""
    return bytes(q[j] | q[j + 16] << 4 for j in range(16))


def fma(scale, q, offset):
    """One rounding after each operation, as floats do it."""
    return single(single(scale * q) + offset)


def q4_0(draw):
    d, q = draw.half(), draw.ints(32, 0, 15)
    return pack_half(d) + pack_nibbles(q), [single(d * (x - 8)) for x in q]


def q4_1(draw):
    d, m, q = draw.half(), draw.half(), draw.ints(32, 0, 15)
    return pack_half(d) + pack_half(m) + pack_nibbles(q), [fma(d, x, m) for x in q]


def fifth_bits(q):
    return struct.pack('<I', sum((x >> 4) << j for j, x in enumerate(q)))


def q5_0(draw):
    d, q = draw.half(), draw.ints(32, 0, 31)
    return pack_half(d) + fifth_bits(q) + pack_nibbles([x & 15 for x in q]), [single(d * (x - 16)) for x in q]


def q5_1(draw):
    d, m, q = draw.half(), draw.half(), draw.ints(32, 0, 31)
    return (pack_half(d) + pack_half(m) + fifth_bits(q) + pack_nibbles([x & 15 for x in q]),
            [fma(d, x, m) for x in q])


def q8_0(draw):
    d, q = draw.half(), draw.ints(32, -128, 127)
    return pack_half(d) + struct.pack('<32b', *q), [single(d * x) for x in q]


def pack_six(scales, mins):
    """Eight pairs of 6 bits in 12 bytes: the first four whole, of the others 4 bits and the upper 2 bits above the first."""
    packed = [0] * 12
    for j in range(4):
        packed[j] = scales[j] | (scales[j + 4] >> 4) << 6
        packed[j + 4] = mins[j] | (mins[j + 4] >> 4) << 6
        packed[j + 8] = (scales[j + 4] & 15) | (mins[j + 4] & 15) << 4
    return bytes(packed)


def k_nibbles(q):
    """64 elements in 32 bytes: the first 32 below, the next 32 above."""
    return bytes((q[64 * t + l] & 15) | (q[64 * t + 32 + l] & 15) << 4 for t in range(4) for l in range(32))


def k_block(draw, high):
    d, dmin = draw.half(), draw.half()
    scales, mins, q = draw.ints(8, 0, 63), draw.ints(8, 0, 63), draw.ints(256, 0, high)
    numbers = [fma(single(d * scales[i // 32]), x, -single(dmin * mins[i // 32])) for i, x in enumerate(q)]
    return pack_half(d) + pack_half(dmin) + pack_six(scales, mins), q, numbers


def q4_k(draw):
    head, q, numbers = k_block(draw, 15)
    return head + k_nibbles(q), numbers


def q5_k(draw):
    head, q, numbers = k_block(draw, 31)
    fifth = bytes(sum((q[32 * j + l] >> 4) << j for j in range(8)) for l in range(32))
    return head + fifth + k_nibbles(q), numbers


def q6_k(draw):
    d, scales, q = draw.half(), draw.ints(16, -128, 127), draw.ints(256, 0, 63)
    low, high = bytearray(128), bytearray(64)
    for i, x in enumerate(q):
        half_idx, quarter, l = i // 128, i % 128 // 32, i % 32
        low[64 * half_idx + 32 * (quarter % 2) + l] |= (x & 15) << (4 if quarter >= 2 else 0)
        high[32 * half_idx + l] |= (x >> 4) << (2 * quarter)
    numbers = [single(single(d * scales[i // 16]) * (x - 32)) for i, x in enumerate(q)]
    return bytes(low) + bytes(high) + struct.pack('<16b', *scales) + pack_half(d), numbers


TYPES = {'Q4_0': (2, q4_0), 'Q4_1': (3, q4_1), 'Q5_0': (6, q5_0), 'Q5_1': (7, q5_1), 'Q8_0': (8, q8_0),
         'Q4_K': (12, q4_k), 'Q5_K': (13, q5_k), 'Q6_K': (14, q6_k)}
F32 = 0


def text(string):
    return struct.pack('<Q', len(string)) + string.encode()


def gguf(tensors):
    """name: (type number, elements, bytes), each tensor a row; the data begins and goes on at multiples of 32."""
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), 1) + text('general.architecture') + struct.pack('<I', 8) + text('llama')
    data = b''
    for name, (number, count, content) in tensors.items():
        head += text(name) + struct.pack('<IQIQ', 1, count, number, len(data))
        data += content + b'\0' * (-len(content) % 32)
    return head + b'\0' * (-len(head) % 32) + data


def files():
    tensors = {}
    for seed, (name, (number, make)) in enumerate(TYPES.items()):
        draw = Draw(seed)
        content, numbers = b'', []
        for _ in range(BLOCKS):
            block, values = make(draw)
            content, numbers = content + block, numbers + values
        tensors[name] = (number, len(numbers), content)
        tensors[f'{name}.wanted'] = (F32, len(numbers), struct.pack(f'<{len(numbers)}f', *numbers))
    yield 'blocks.gguf', gguf(tensors)


if __name__ == '__main__':
    write_or_check(files(), sys.argv[1:])
