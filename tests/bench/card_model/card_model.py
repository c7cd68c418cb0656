#!/usr/bin/env python3
"""What a step of Llama-3-8B (INT4 groups of 128, INT8 head, fp16 keys and values) should take on a card that is not at
hand: from the bytes it reads, the instructions of the kernels as compiled (sass.py) and how many of their blocks run at
once. docs/performance.md shows the result for the RTX 3060.

    card_model.py OBJECTS [--card rtx3060|h100]      OBJECTS: .../kernels/cuda/CMakeFiles/kernels_cuda.dir of a build

For each kernel: microseconds by memory, by issue slots (one instruction a cycle and quarter of a multiprocessor), by the
integer and the float pipe, by the tensor pipe, and by shared memory (128 bytes a cycle), each as if nothing else
mattered. The largest binds, and the multiprocessor with most blocks ends last. Every kernel adds the boundary to the
next one. The card h100 is there to see how far such a model may be trusted: it is
measured (without dependent launches, which the RTX 3060 does not have).
"""
import argparse
import math
import os
import sys
from dataclasses import dataclass

import sass

KB = 1024
HIDDEN, FFN, VOCAB, LAYERS, HEADS, KV_HEADS, HEAD_DIM = 4096, 14336, 128256, 32, 32, 8, 128
QKV = (HEADS + 2 * KV_HEADS) * HEAD_DIM


@dataclass(frozen=True)
class Card:
    name: str
    architecture: int
    n_processors: int
    hertz: float
    read: float  # bytes a second that a kernel can have of the memory
    hmma_cycles: float  # of an m16n8k16 with float sums, on one of a multiprocessor's four tensor cores
    half_cycles: float  # of an instruction on fp16 pairs
    shared_bytes: int  # of a multiprocessor
    block_shared_bytes: int  # of a block, at most
    threads: int  # of a multiprocessor
    boundary: float = 3e-6  # between two kernels of a graph (docs/performance.md: PDL hides 2.8 us of it)


# RTX 3060 12 GB: 28 multiprocessors at 1.777 GHz (NVIDIA's boost clock), 360 GB/s, of which other engines reach up to
# 92 % on cards of this generation; 51 TFLOP/s with fp16 sums, so 25.5 with float sums: 64 multiply-adds a cycle and
# tensor core, 32 cycles for 2,048. fp16 outside of the tensor cores is as fast as float: 64 pairs a cycle. Shared memory
# and threads: CUDA C++ Programming Guide, compute capability 8.6.
# H100 SXM: 132 multiprocessors, 3,085 GB/s and 644 TFLOP/s with this instruction as measured; 1.755 GHz.
CARDS = {
    'rtx3060': Card('RTX 3060 12 GB', 86, 28, 1.777e9, 330e9, 32, 2, 100 * KB, 99 * KB, 1536),
    'h100': Card('H100 SXM', 90, 132, 1.755e9, 3085e9, 2 * 2048 * 132 * 4 * 1.755e9 / 644e12, 1, 228 * KB, 227 * KB, 2048),
}

# Instructions of each pipe, and cycles a warp and quarter of a multiprocessor: CUDA C++ Programming Guide, "Arithmetic
# Instructions": 64 results a cycle and multiprocessor are 2 cycles, 128 one, 16 eight.
INTEGER = ('IADD3', 'LEA', 'LOP3', 'SHF', 'ISETP', 'SEL', 'PRMT', 'IMNMX', 'IABS', 'FMNMX', 'FSETP', 'FSEL', 'PLOP3', 'VOTE', 'MOV')
FLOAT = {'FFMA': 1, 'FMUL': 1, 'FADD': 1, 'IMAD': 2}
HALF = ('HADD2', 'HFMA2', 'HMUL2', 'F2FP')
SPECIAL = ('MUFU', 'I2F', 'F2I', 'F2F')


class Load:
    """What warps want of each resource: cycles of a quarter of a multiprocessor, of a multiprocessor for shared."""

    def __init__(self, card):
        self.card, self.bytes = card, 0.0
        self.cycles = dict.fromkeys(('issue', 'integer', 'float', 'tensor', 'shared'), 0.0)

    def add(self, counts, times):
        for name, n in counts.items():
            base, _, width = name.partition('.')
            n *= times
            self.cycles['issue'] += n
            if base in INTEGER:
                self.cycles['integer'] += 2 * n
            elif base in FLOAT:
                self.cycles['float'] += FLOAT[base] * n
            elif base in HALF:
                self.cycles['float'] += self.card.half_cycles * n
            elif base in SPECIAL:
                self.cycles['integer'] += 8 * n
            elif base == 'HMMA':
                self.cycles['tensor'] += self.card.hmma_cycles * n
            elif base in ('LDS', 'LDSM', 'STS', 'LDGSTS', 'SHFL'):  # a warp's bytes, 128 a cycle
                self.cycles['shared'] += max(1, int(width or 4) * 32 // 128) * n

    def seconds(self):
        quarters = 4 * self.card.n_processors * self.card.hertz
        result = {pipe: cycles / (quarters / 4 if pipe == 'shared' else quarters) for pipe, cycles in self.cycles.items()}
        return {'memory': self.bytes / self.card.read, **result}


@dataclass
class Timed:
    name: str
    load: Load
    n_blocks: int
    at_once: int  # blocks of a multiprocessor
    in_flight: float = 0  # bytes asked for ahead, of a multiprocessor
    n_kernels: int = 1

    def by(self):
        return self.load.seconds()

    def bound(self):
        times = self.by()
        return max(times, key=times.get)

    def seconds(self):
        share = self.n_blocks / self.load.card.n_processors
        times = self.by()
        if share < 1:  # a few blocks can have all of the memory, but not of what idle multiprocessors have
            memory = times.pop('memory')
            busiest = max(memory, max(times.values()) / share)
        else:
            busiest = max(times.values()) * math.ceil(share) / share
        return busiest + self.n_kernels * self.load.card.boundary


class Kernels:
    """The kernels of a build, by what their mangled names contain."""

    def __init__(self, folder, architecture):
        self.all = []
        for name in sorted(os.listdir(folder)):
            if name.endswith('.cu.o'):
                self.all += sass.kernels(os.path.join(folder, name), architecture)
        if not self.all:
            sys.exit(f'{folder}: no kernels for compute capability {architecture / 10}')

    def get(self, *parts):
        found = [k for k in self.all if all(part in k.name for part in parts)]
        if not found:
            sys.exit(f'no kernel has {parts} in its name')
        return min(found, key=lambda k: len(k.instructions))  # of formats of pages, fp16: it expands nothing

    @staticmethod
    def main_loop(kernel):
        """The counts of the loop with most tensor instructions, and of all else."""
        loops = [kernel.counts(span) for span in kernel.loops()]
        loop = max(loops, key=lambda counts: counts['HMMA'])
        assert loop['HMMA'], kernel.name
        rest = kernel.counts((0, len(kernel.instructions) - 1))
        rest.subtract(loop)
        del rest['NOP']
        return loop, rest


def at_once(card, kernel, n_threads, shared):
    limits = [card.threads // n_threads, card.shared_bytes // (shared + KB)]
    if kernel.registers:
        limits.append(64 * KB // (-(-kernel.registers // 8) * 8 * n_threads))
    return max(1, min(limits))


# The launches of flat_parts.h, flat_narrow.cuh and flat_wide.cuh. Stages are 128 inputs.
@dataclass(frozen=True)
class Matrix:
    name: str
    epilogue: str
    rows: int
    cols: int
    bits: float = 4.125
    words: int = 2  # of 512 bytes of a tile and stage
    codec: str = 'Int4Group128'

    @property
    def n_tiles(self):
        return self.rows // 16

    @property
    def bytes(self):
        return self.rows * self.cols * self.bits / 8

    def parts(self):
        units = -(-self.cols // 512)
        wanted = min(8, max(1, 3072 // self.n_tiles))
        part_units = -(-units // wanted)
        return -(-units // part_units), part_units * 512


MATRICES = (Matrix('qkv', 'RopeAppendEpilogue', QKV, HIDDEN), Matrix('out', 'AddEpilogue', HIDDEN, HIDDEN),
            Matrix('gate, up', 'GateUpEpilogue', 2 * FFN, HIDDEN), Matrix('down', 'AddEpilogue', HIDDEN, FFN))
HEAD = Matrix('head', 'LogitsEpilogue', VOCAB, HIDDEN, 8 + 32 / HIDDEN, 4, 'Int8Codec')


def balanced_tiles(card, n_tiles, least, most):
    return min(range(most, least - 1, -1), key=lambda t: -(-(-(-n_tiles // t)) // card.n_processors) * t)


def narrow_launch(card, m, n_rows):
    """(tiles a block, stages of a warp's ring, shared bytes of a block), or nothing: the wide kernel then."""
    n_parts, part_cols = m.parts()
    stage_bytes = m.words * 512 + (128 if m.bits < 8 else 0)
    longest = 16 // m.words
    for resident in (2,) if card.block_shared_bytes >= 128 * KB else (2, 1):
        for ring in (longest, longest // 2):
            stages = min(ring, max(part_cols // 128, longest // 2))
            for most in (8, 14, 4):
                tiles = balanced_tiles(card, m.n_tiles, 4, most) if n_parts == 1 else 1
                n_resident = min(resident, -(-(-(-m.n_tiles // tiles)) // card.n_processors))
                shared = n_parts * tiles * stages * stage_bytes + n_rows * -(-m.cols // 512) * KB
                if n_rows <= 8 and shared <= card.block_shared_bytes // n_resident - 5632:
                    return tiles, stages, shared
    return None


def product(card, kernels, m, n_rows):
    n_parts, part_cols = m.parts()
    n_stages = m.rows * m.cols / (16 * 128)  # of tiles
    load = Load(card)
    load.bytes = m.bytes
    shape = narrow_launch(card, m, n_rows)
    if shape:
        tiles, ring, shared = shape
        kernel = kernels.get('flat_narrow', m.codec, m.epilogue)
        loop, rest = kernels.main_loop(kernel)
        load.add(loop, n_stages / (loop['HMMA'] / 8))
        load.add(rest, m.n_tiles * n_parts)
        n_blocks, n_threads, stages = -(-m.n_tiles // tiles), n_parts * tiles * 32, ring * n_parts * tiles
        shared += 4096
    else:
        tilings = [(8, (1, 1, 1)), (16, (1, 2, 1)), (32, (1, 4, 1)), (64, (2, 4, 2))]
        if m.bits >= 8:
            tilings = [(16, (1, 2, 1)), (64, (2, 4, 2))]
        tokens, (out_tiles, token_tiles, token_warps) = next(t for t in tilings if n_rows <= t[0])
        ring = {8: 6, 16: 5, 32: 4, 64: 3}[tokens]
        if m.bits >= 8 and tokens == 16:
            ring = 4
        elif n_parts == 1 and m.bits < 8:
            ring += {8: 2, 16: 2}.get(tokens, 0)
        name = f'WideTilingILi{out_tiles}ELi{token_tiles}ELi{token_warps}ELi{ring}E'
        kernel = kernels.get('flat_wide', m.codec, m.epilogue, name)
        loop, rest = kernels.main_loop(kernel)
        tiles = balanced_tiles(card, m.n_tiles, 7, 8) if out_tiles == 1 and n_parts == 1 else 8
        n_blocks, n_threads = n_parts * -(-m.n_tiles // tiles), 256
        load.add(loop, n_stages / out_tiles * token_warps)
        load.add(rest, n_blocks * 8)
        stage_bytes = 8 * (m.words * 512 + (128 if m.bits < 8 else 0)) + tokens * 256
        shared, stages = ring * stage_bytes, (ring - 1) * 8
    n = at_once(card, kernel, n_threads, shared)
    return Timed(f'{m.name} ({"narrow" if shape else "wide"})', load, n_blocks, n, n * stages * m.words * 512)


def flat_attention(card, kernels, n_rows, n_keys):
    """n_rows of one sequence behind the others of its n_keys."""
    wide = n_rows * 4 > 16
    chunk = 128 if n_keys <= 1024 else 256
    while n_keys > 16 * chunk and n_keys > 1024:
        chunk *= 2
    n_chunks, queries = -(-n_keys // chunk), 64 if wide else 16
    n_items = -(-n_rows * 4 // queries)
    kernel = kernels.get('wide_attention' if wide else 'narrow_attention', 'ILi128E')
    loop, rest = kernels.main_loop(kernel)
    n_blocks, shared = n_items * KV_HEADS * n_chunks, (48 if wide else 96) * KB
    load = Load(card)
    load.bytes = n_keys * KV_HEADS * HEAD_DIM * 4
    load.add(loop, n_items * KV_HEADS * n_keys / 32 * (4 if wide else 1))
    load.add(rest, n_blocks * 4)
    n = at_once(card, kernel, 128, shared)
    return Timed(f'attention ({"wide" if wide else "narrow"})', load, n_blocks, n, n * shared, 2 if wide and n_chunks > 1 else 1)


def prefill_attention(card, kernels, n_rows, n_keys):
    kernel = kernels.get('prefill_attention', 'ILi128E')
    loop, rest = kernels.main_loop(kernel)
    n_blocks = -(-n_rows // 32) * KV_HEADS
    load = Load(card)
    load.bytes = n_keys * KV_HEADS * HEAD_DIM * 4
    pairs = n_rows * (n_keys - n_rows + n_keys + 64) / 2  # rows and keys in whole tiles of 64
    load.add(loop, pairs * KV_HEADS / 32 / 64 * 4)
    load.add(rest, n_blocks * 4)
    n = at_once(card, kernel, 128, 96 * KB)
    return Timed('attention (prefill)', load, n_blocks, n, n * 64 * KB)


def flat_step(card, kernels, n_rows, n_keys, n_logits=1):
    """(kernels of a layer, the head, seconds of the step)."""
    layer = [product(card, kernels, MATRICES[0], n_rows), flat_attention(card, kernels, n_rows, n_keys)]
    layer += [product(card, kernels, m, n_rows) for m in MATRICES[1:]]
    head = product(card, kernels, HEAD, n_logits)
    others = 3 * card.boundary  # embedding, candidates
    return layer, head, LAYERS * sum(k.seconds() for k in layer) + head.seconds() + others


def expansion(card):
    """Seconds that weights take to become fp16 in memory, a step: read and written once. The products wait."""
    n = sum(m.rows * m.cols for m in MATRICES)
    return LAYERS * n * (4.125 / 8 + 2) / card.read


def prompt(card, kernels, n_tokens, chunk=512, cublas_share=0.9):
    """Seconds (by flat products in turns, by cuBLAS at a share of the tensor pipe's peak)."""
    macs = LAYERS * sum(m.rows * m.cols for m in MATRICES)
    peak = 2 * 2048 / card.hmma_cycles * 4 * card.n_processors * card.hertz
    turns = LAYERS * sum(product(card, kernels, m, 64).seconds() for m in MATRICES)
    by_turns = by_cublas = 0.0
    for first in range(0, n_tokens, chunk):
        n = min(chunk, n_tokens - first)
        others = LAYERS * (prefill_attention(card, kernels, n, first + n).seconds() + 4 * card.boundary)
        by_turns += others + -(-n // 64) * turns
        by_cublas += others + expansion(card) + 2 * macs * n / (cublas_share * peak)
    return by_turns, by_cublas


def show(timed):
    times = timed.by()
    print(f'  {timed.name:22}' + ''.join(f'{times[p] * 1e6:9.1f}' for p in times) +
          f'  {timed.bound():8}{timed.seconds() * 1e6:9.1f}{timed.n_blocks:7}{timed.at_once:4}{timed.in_flight / KB:6.0f}')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('objects')
    parser.add_argument('--card', choices=CARDS, default='rtx3060')
    arguments = parser.parse_args()
    card = CARDS[arguments.card]
    kernels = Kernels(arguments.objects, card.architecture)
    print(f'{card.name}: us by each resource; predicted with balance and boundary; blocks, at once a multiprocessor, KB '
          'in flight there')
    head = f'  {"":22}' + ''.join(f'{p:>9}' for p in Load(card).seconds()) + '  binds    predict blocks  x    KB'
    for n_rows in (1, 2, 4, 8, 16, 32, 64):
        layer, logits, _ = flat_step(card, kernels, n_rows, 2048 + n_rows)
        products = LAYERS * sum(k.seconds() for k in layer if 'attention' not in k.name)
        print(f'{n_rows} rows behind 2,048: the products of 32 layers {products * 1e3:.3f} ms\n{head}')
        for kernel in (*layer, logits):
            show(kernel)
    for n_rows, n_keys in ((512, 512), (512, 2048), (512, 8192)):
        print(f'attention of {n_rows} rows, {n_keys} keys')
        show(prefill_attention(card, kernels, n_rows, n_keys))
    print('steps')
    for name, n_rows, n_keys in (('decode, up to 512', 1, 384), ('decode, 8,192', 1, 8192), ('decode, 16,384', 1, 16384),
                                 ('8 rows at 2,048', 8, 2056), ('16 rows at 2,048: first token', 16, 2064),
                                 ('32 rows at 2,048', 32, 2080), ('64 rows at 2,048', 64, 2112),
                                 ('16 rows at 7,936: first token', 16, 7952)):
        seconds = flat_step(card, kernels, n_rows, n_keys)[2]
        print(f'  {name:32}{seconds * 1e3:8.2f} ms {n_rows / seconds:8.1f} rows/s')
    for n_tokens in (512, 2048, 8192):
        turns, cublas = prompt(card, kernels, n_tokens)
        print(f'  prompt of {n_tokens}: by turns {turns:.3f} s, {n_tokens / turns:.0f} tok/s; '
              f'expanded + cuBLAS {cublas:.3f} s, {n_tokens / cublas:.0f} tok/s')


if __name__ == '__main__':
    main()
