"""A Llama as a GGUF file: what convert_hf_to_gguf.py and a quantiser make of a checkpoint, written from the descriptions of
the format and its blocks. The blocks stand for integers -8 .. 7 times a scale a 32 inputs, which each type can say."""

import struct

import numpy as np

TYPES = {'F32': 0, 'F16': 1, 'Q4_0': 2, 'Q4_1': 3, 'Q5_0': 6, 'Q5_1': 7, 'Q8_0': 8, 'Q4_K': 12, 'Q5_K': 13, 'Q6_K': 14,
         'BF16': 30}


def halves(numbers):
    made = np.asarray(numbers).astype('<f2')
    assert (made == numbers).all()
    return made[..., None].view(np.uint8)


def nibbles(q):
    """[..., 32] in 16 bytes: element j below, element j + 16 above."""
    return (q[..., :16] | q[..., 16:] << 4).astype(np.uint8)


def fifth_bits(q):
    return (np.bitwise_or.reduce((q >> 4).astype(np.uint32) << np.arange(32, dtype=np.uint32), axis=-1)
            .astype('<u4')[..., None].view(np.uint8))


def small_block(kind, c, s):
    """c: [blocks, 32] integers, s: [blocks] scales."""
    if kind == 'Q8_0':
        return [halves(s / 16), (16 * c).astype(np.int8).view(np.uint8)]
    if kind == 'Q4_0':
        return [halves(s), nibbles(c + 8)]
    if kind == 'Q4_1':
        return [halves(s), halves(-8 * s), nibbles(c + 8)]
    x = 2 * c + 16  # 0 .. 30
    if kind == 'Q5_0':
        return [halves(s / 2), fifth_bits(x), nibbles(x & 15)]
    assert kind == 'Q5_1', kind
    return [halves(s / 2), halves(-8 * s), fifth_bits(x), nibbles(x & 15)]


def six_bits(scales, mins):
    """[blocks, 8] pairs of 6 bits in 12 bytes."""
    low = [scales[:, :4] | (scales[:, 4:] >> 4) << 6, mins[:, :4] | (mins[:, 4:] >> 4) << 6]
    return np.concatenate(low + [scales[:, 4:] & 15 | (mins[:, 4:] & 15) << 4], axis=1).astype(np.uint8)


def k_nibbles(q):
    pairs = (q & 15).reshape(-1, 4, 2, 32)  # of each 64 elements the first 32 below, the others above
    return (pairs[:, :, 0] | pairs[:, :, 1] << 4).reshape(-1, 128).astype(np.uint8)


def k_block(kind, c, mantissa, exponent):
    """c: [blocks, 256], mantissa: [blocks, 8] of 2^exponent."""
    n, scales = len(c), 4 * mantissa
    unit = np.full(n, 2.0**exponent / 4)  # so that a scale is a whole number of them
    if kind == 'Q4_K':
        return [halves(unit), halves(8 * unit), six_bits(scales, scales), k_nibbles(c + 8)]
    assert kind == 'Q5_K', kind
    x = 2 * c + 16
    fifth = np.bitwise_or.reduce((x >> 4).reshape(n, 8, 32) << np.arange(8)[:, None], axis=1).astype(np.uint8)
    return [halves(unit / 2), halves(8 * unit), six_bits(scales, scales), fifth, k_nibbles(x)]


def q6_k(x, scales, d):
    """x: [blocks, 256] integers -32 .. 31, scales: [blocks, 16], d: a number."""
    parts = (x + 32).reshape(-1, 2, 4, 32)  # halves, their quarters
    low = parts & 15
    low = np.concatenate([low[:, :, 0] | low[:, :, 2] << 4, low[:, :, 1] | low[:, :, 3] << 4], axis=2)
    high = np.bitwise_or.reduce((parts >> 4) << 2 * np.arange(4)[:, None], axis=2)
    return [low.reshape(-1, 128).astype(np.uint8), high.reshape(-1, 64).astype(np.uint8),
            scales.astype(np.int8).view(np.uint8), halves(np.full(len(x), d))]


def joined(parts):
    return np.concatenate(parts, axis=1).tobytes()


def linear_bytes(kind, linear, order):
    """The rows of `linear` in `order`."""
    if kind in ('F32', 'F16', 'BF16'):
        return plain_bytes(kind, linear.weights()[order])
    integers, mantissa = (linear.quant - 8)[order], linear.mantissa.T[order]
    if kind == 'Q6_K':
        return joined(q6_k(4 * integers.reshape(-1, 256), np.repeat(mantissa.reshape(-1, 8), 2, axis=1),
                           2.0**linear.exponent / 4))
    if kind.endswith('_K'):
        return joined(k_block(kind, integers.reshape(-1, 256), mantissa.reshape(-1, 8), linear.exponent))
    return joined(small_block(kind, integers.reshape(-1, 32), mantissa.reshape(-1) * 2.0**linear.exponent))


def plain_bytes(kind, array):
    if kind == 'BF16':
        bits = np.ascontiguousarray(array).astype('<f4').view('<u4')
        assert (bits & 0xffff == 0).all()
        return (bits >> 16).astype('<u2').tobytes()
    made = array.astype({'F32': '<f4', 'F16': '<f2'}[kind])
    assert (made == array).all()
    return made.tobytes()


def in_pairs(rows, head_dim):
    """Elements i and i + head_dim / 2 of a head side by side, for rotating neighbours."""
    return np.arange(rows).reshape(-1, 2, head_dim // 2).transpose(0, 2, 1).reshape(-1)


def text(string):
    return struct.pack('<Q', len(string.encode())) + string.encode()


def value(item):
    """Type number and bytes."""
    if isinstance(item, bool):
        return 7, struct.pack('<?', item)
    if isinstance(item, int):
        return 4, struct.pack('<I', item)
    if isinstance(item, float):
        return 6, struct.pack('<f', item)
    if isinstance(item, str):
        return 8, text(item)
    kind = 8 if not item or isinstance(item[0], str) else 5
    content = b''.join(text(one) if kind == 8 else struct.pack('<i', one) for one in item)
    return 9, struct.pack('<IQ', kind, len(item)) + content


def gguf(metadata, tensors):
    """tensors: name: (type, shape outermost first, bytes)"""
    head = b'GGUF' + struct.pack('<IQQ', 3, len(tensors), len(metadata))
    for key, item in metadata.items():
        number, content = value(item)
        head += text(key) + struct.pack('<I', number) + content
    data = b''
    for name, (kind, shape, content) in tensors.items():
        head += text(name) + struct.pack(f'<I{len(shape)}QIQ', len(shape), *reversed(shape), TYPES[kind], len(data))
        data += content + b'\0' * (-len(content) % 32)
    return head + b'\0' * (-len(head) % 32) + data
