"""Writes tests/golden/formats: one small linear in each way that quantisers store 4-bit weights, with the numbers that
it stands for. Everything is made here from plain integers and each format's published convention, by code that shares
nothing with the engine's; Python's standard library alone.

usage: make_formats.py [--check] DIRECTORY       --check: says what in DIRECTORY is not what would be written"""

import json
import random
import struct
import sys

from fixture_files import write_or_check

ROWS, COLS, GROUP = 16, 64, 32  # outputs, inputs, inputs that share a scale
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # nibble j of a word is column 8c + AWQ_ORDER[j]


def half(number):
    return struct.unpack('<e', struct.pack('<e', number))[0]


def bfloat(number):
    bits = struct.unpack('<I', struct.pack('<f', number))[0] & 0xffff0000
    return struct.unpack('<f', struct.pack('<I', bits))[0]


class Linear:
    """weight(n, k) = (quant[n][k] - zero[g][n]) * scale[g][n], g the group of input k."""

    def __init__(self, seed, group=GROUP, zeros=None, order='plain', to_scale=half):
        draw = random.Random(seed)
        self.n_groups = COLS // group
        self.quant = [[draw.randrange(16) for _ in range(COLS)] for _ in range(ROWS)]
        low, high = zeros or (8, 8)
        self.zero = [[draw.randint(low, high) for _ in range(ROWS)] for _ in range(self.n_groups)]
        self.scale = [[to_scale(draw.uniform(0.002, 0.02)) for _ in range(ROWS)] for _ in range(self.n_groups)]
        self.group_of = [k // group for k in range(COLS)]
        if order == 'shuffled':
            draw.shuffle(self.group_of)
        if order == 'uneven':  # groups of different sizes
            self.group_of = [draw.randrange(self.n_groups) for _ in range(COLS)]

    def weight(self, n, k):
        group = self.group_of[k]
        return (self.quant[n][k] - self.zero[group][n]) * self.scale[group][n]


def word(nibbles):
    """Nibble j in bits 4j .. 4j + 3 of a little-endian int32."""
    return struct.pack('<I', sum(nibble << (4 * j) for j, nibble in enumerate(nibbles)))


def table(pack, outer, inner):
    return b''.join(pack(o, i) for o in range(outer) for i in range(inner))


def scales_by_group(linear):
    return table(lambda g, n: struct.pack('<e', linear.scale[g][n]), linear.n_groups, ROWS)


def group_index(linear):
    return struct.pack(f'<{COLS}i', *linear.group_of)


def gptq(linear, stored_less=1, with_index=True):
    groups = linear.n_groups
    tensors = {
        'x.qweight': ('I32', [COLS // 8, ROWS], table(
            lambda r, n: word(linear.quant[n][8 * r + j] for j in range(8)), COLS // 8, ROWS)),
        'x.qzeros': ('I32', [groups, ROWS // 8], table(
            lambda g, c: word((linear.zero[g][8 * c + j] - stored_less) & 15 for j in range(8)), groups, ROWS // 8)),
        'x.scales': ('F16', [groups, ROWS], scales_by_group(linear))}
    if with_index:
        tensors['x.g_idx'] = ('I32', [COLS], group_index(linear))
    return tensors


def awq(linear):
    groups = linear.n_groups
    return {
        'x.qweight': ('I32', [COLS, ROWS // 8], table(
            lambda k, c: word(linear.quant[8 * c + o][k] for o in AWQ_ORDER), COLS, ROWS // 8)),
        'x.qzeros': ('I32', [groups, ROWS // 8], table(
            lambda g, c: word(linear.zero[g][8 * c + o] for o in AWQ_ORDER), groups, ROWS // 8)),
        'x.scales': ('F16', [groups, ROWS], scales_by_group(linear))}


def compressed(linear, symmetric=True, with_index=False, bf16=True):
    """Signed integers -8 .. 7, stored with 8 added; so are zero points, of which -8 stands for 0 here."""
    groups = linear.n_groups
    pack_scale = (lambda s: struct.pack('<f', s)[2:]) if bf16 else (lambda s: struct.pack('<e', s))
    tensors = {
        'x.weight_packed': ('I32', [ROWS, COLS // 8], table(
            lambda n, c: word(linear.quant[n][8 * c + j] for j in range(8)), ROWS, COLS // 8)),
        'x.weight_scale': ('BF16' if bf16 else 'F16', [ROWS, groups], table(
            lambda n, g: pack_scale(linear.scale[g][n]), ROWS, groups)),
        'x.weight_shape': ('I64', [2], struct.pack('<2q', ROWS, COLS))}
    if not symmetric:
        tensors['x.weight_zero_point'] = ('I32', [ROWS // 8, groups], table(
            lambda r, g: word(linear.zero[g][8 * r + j] for j in range(8)), ROWS // 8, groups))
    if with_index:
        tensors['x.weight_g_idx'] = ('I32', [COLS], group_index(linear))
    return tensors


def safetensors(tensors):
    header, data = {}, b''
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {'dtype': dtype, 'shape': shape, 'data_offsets': [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + data


def gptq_config(group=GROUP, version='gptq', desc_act=False):
    return {'quant_method': 'gptq', 'bits': 4, 'group_size': group, 'checkpoint_format': version, 'desc_act': desc_act}


def awq_config():
    return {'quant_method': 'awq', 'bits': 4, 'group_size': GROUP, 'zero_point': True, 'version': 'gemm'}


def compressed_config(symmetric=True, strategy='group', actorder=None):
    weights = {'num_bits': 4, 'type': 'int', 'symmetric': symmetric, 'strategy': strategy, 'actorder': actorder,
               'group_size': GROUP if strategy == 'group' else None}
    return {'quant_method': 'compressed-tensors', 'format': 'pack-quantized', 'ignore': ['lm_head'],
            'config_groups': {'group_0': {'targets': ['Linear'], 'input_activations': None, 'weights': weights}}}


def cases():
    """name, linear, tensors, configuration, whether the engine can keep the integers"""
    plain = Linear(1)
    yield 'gptq_v1_symmetric', plain, gptq(plain), gptq_config(), True
    zeros = Linear(2, zeros=(1, 16))
    yield 'gptq_v1_asymmetric', zeros, gptq(zeros), gptq_config(), True
    zeros = Linear(3, zeros=(0, 15))
    yield 'gptq_v2_asymmetric', zeros, gptq(zeros, stored_less=0), gptq_config(version='gptq_v2'), True
    column = Linear(4, group=COLS, zeros=(1, 16))
    yield 'gptq_whole_column', column, gptq(column, with_index=False), gptq_config(group=-1), True
    shuffled = Linear(5, zeros=(1, 16), order='shuffled')
    yield 'gptq_act_order', shuffled, gptq(shuffled), gptq_config(desc_act=True), False
    uneven = Linear(6, order='uneven')
    yield 'gptq_uneven_groups', uneven, gptq(uneven), gptq_config(desc_act=True), False
    zeros = Linear(7, zeros=(0, 15))
    yield 'awq_gemm', zeros, awq(zeros), awq_config(), True
    plain = Linear(8, to_scale=bfloat)
    yield 'compressed_symmetric', plain, compressed(plain), compressed_config(), True
    zeros = Linear(9, zeros=(0, 15))
    yield ('compressed_asymmetric', zeros, compressed(zeros, symmetric=False, bf16=False),
           compressed_config(symmetric=False), True)
    column = Linear(10, group=COLS)
    yield 'compressed_channel', column, compressed(column, bf16=False), compressed_config(strategy='channel'), True
    shuffled = Linear(11, order='shuffled')
    yield ('compressed_act_order', shuffled, compressed(shuffled, with_index=True, bf16=False),
           compressed_config(actorder='group'), False)


def files():
    index = []
    for name, linear, tensors, config, keeps in cases():
        wanted = table(lambda n, k: struct.pack('<f', linear.weight(n, k)), ROWS, COLS)
        tensors['wanted'] = ('F32', [ROWS, COLS], wanted)
        yield f'{name}.safetensors', safetensors(tensors)
        index.append({'name': name, 'rows': ROWS, 'cols': COLS, 'keeps_integers': keeps, 'config': config})
    yield 'index.json', (json.dumps(index, indent=1) + '\n').encode()


if __name__ == '__main__':
    write_or_check(files(), sys.argv[1:])
