"""Machine code of CUDA kernels as counts: the kernels in an object or program, their loops, and how many instructions
of each kind a loop has. Reads the ELF files itself, so that it needs no CUDA Toolkit.

An instruction of compute capability 7.0 to 9.0 has 16 bytes. Its lowest 9 bits say what it does, the next three where
its operands are (register, immediate, constant), bits 12 to 15 under which predicate it runs. A relative branch has
its distance in words of 4 bytes in bits 34 to 81, and on 9.0 eight more low bits in bits 16 to 23. All that can be seen
by assembling a few lines of PTX with ptxas.
"""
import struct
from collections import Counter
from dataclasses import dataclass, field

INSTRUCTION_BYTES = 16

# Lowest nine bits -> name. What stands in no loop of ours may be missing.
NAMES = {
    0x002: 'MOV', 0x003: 'P2R', 0x005: 'CS2R', 0x006: 'VOTE', 0x007: 'SEL', 0x008: 'FSEL', 0x009: 'FMNMX',
    0x00b: 'FSETP', 0x00c: 'ISETP', 0x010: 'IADD3', 0x011: 'LEA', 0x012: 'LOP3', 0x013: 'IABS', 0x016: 'PRMT',
    0x017: 'IMNMX', 0x019: 'SHF', 0x01c: 'PLOP3', 0x020: 'FMUL', 0x021: 'FADD', 0x023: 'FFMA', 0x024: 'IMAD',
    0x025: 'IMAD', 0x027: 'IMAD', 0x030: 'HADD2', 0x031: 'HFMA2', 0x032: 'HMUL2', 0x037: 'IMMA', 0x03b: 'LDSM',
    0x03c: 'HMMA', 0x03e: 'F2FP', 0x045: 'IMAD', 0x082: 'UMOV', 0x087: 'USEL', 0x08c: 'UISETP', 0x090: 'UIADD3',
    0x091: 'ULEA', 0x092: 'ULOP3', 0x099: 'USHF', 0x0a4: 'UIMAD', 0x0a5: 'UIMAD', 0x0b9: 'ULDC', 0x102: 'F2F',
    0x105: 'F2I', 0x106: 'I2F', 0x108: 'MUFU', 0x118: 'NOP', 0x119: 'S2R', 0x11a: 'DEPBAR', 0x11d: 'BAR', 0x141: 'BSYNC',
    0x142: 'BREAK', 0x144: 'CALL', 0x145: 'BSSY', 0x146: 'YIELD', 0x147: 'BRA', 0x148: 'WARPSYNC', 0x14d: 'EXIT',
    0x150: 'RET', 0x180: 'LD', 0x181: 'LDG', 0x182: 'LDC', 0x184: 'LDS', 0x185: 'ST', 0x186: 'STG', 0x188: 'STS',
    0x189: 'SHFL', 0x192: 'MEMBAR', 0x1a8: 'ATOMG', 0x1ab: 'ERRBAR', 0x1ae: 'LDGSTS', 0x1af: 'LDGDEPBAR',
    0x1c2: 'R2UR', 0x1c3: 'S2UR', 0x1c4: 'REDUX',
}
# Bytes a lane, by bits 73 to 75 of a load or store.
WIDTHS = (1, 1, 2, 2, 4, 8, 16, 16)


@dataclass
class Instruction:
    at: int  # bytes from the kernel's start
    low: int
    high: int

    @property
    def name(self):
        return NAMES.get(self.low & 0x1ff, f'0x{self.low & 0x1ff:03x}')

    @property
    def width(self):  # bytes a lane of a load, store or asynchronous copy
        if self.name == 'LDSM':
            return (4, 8, 16, 16)[self.high >> 8 & 3]
        return WIDTHS[self.high >> 9 & 7]

    def target(self, architecture):  # of a relative branch
        distance = (self.low >> 34) | (self.high & 0x3ffff) << 30
        if distance >= 1 << 47:
            distance -= 1 << 48
        if architecture >= 90:
            distance = distance << 8 | (self.low >> 16 & 0xff)
        return self.at + INSTRUCTION_BYTES + 4 * distance


@dataclass
class Kernel:
    name: str  # mangled
    architecture: int  # 86
    registers: int  # a thread
    instructions: list = field(default_factory=list)

    def loops(self):
        """(first, last) instruction indices of the innermost loops: backward branches that enclose no other."""
        spans = []
        for i, instruction in enumerate(self.instructions):
            target = instruction.target(self.architecture)
            if instruction.name == 'BRA' and target <= instruction.at:
                spans.append((target // INSTRUCTION_BYTES, i))
        # A branch to itself ends every kernel.
        spans = [span for span in set(spans) if span[0] < span[1]]
        return sorted(s for s in spans if not any(s != t and s[0] <= t[0] and t[1] <= s[1] for t in spans))

    def counts(self, span):
        """Counter of names with widths: {'LDS.16': 12, 'HMMA': 16, ...}."""
        counts = Counter()
        for instruction in self.instructions[span[0]:span[1] + 1]:
            name = instruction.name
            if name in ('LDS', 'LDSM', 'LDG', 'STS', 'STG', 'LDGSTS'):
                name += f'.{instruction.width}'
            counts[name] += 1
        return counts


def sections(elf):
    """(name, sh_info, bytes) of each section of a 64-bit ELF file."""
    table, = struct.unpack_from('<Q', elf, 40)
    entry_bytes, n_sections, names_index = struct.unpack_from('<HHH', elf, 58)
    headers = [struct.unpack_from('<IIQQQQIIQQ', elf, table + i * entry_bytes) for i in range(n_sections)]
    names = headers[names_index][4]
    for header in headers:
        name = elf[names + header[0]:elf.index(b'\0', names + header[0])].decode()
        yield name, header[7], b'' if header[1] == 8 else elf[header[4]:header[4] + header[5]]


def images(fat):
    """(architecture, ELF file) of the compiled images in a .nv_fatbin section."""
    at = 0
    while at + 16 <= len(fat):
        magic, _, header_bytes, size = struct.unpack_from('<IHHQ', fat, at)
        if magic != 0xba55ed50:
            at += 8
            continue
        entry, end = at + header_bytes, at + header_bytes + size
        while entry < end:
            kind, _, entry_header, body_bytes = struct.unpack_from('<HHIQ', fat, entry)
            architecture, = struct.unpack_from('<I', fat, entry + 28)
            body = fat[entry + entry_header:entry + entry_header + body_bytes]
            if kind == 2:
                if body[:4] != b'\x7fELF':
                    raise ValueError('compressed image: compile with -Xfatbin=-no-compress')
                yield architecture, body
            entry += entry_header + body_bytes
        at = end


def kernels(path, architecture):
    """The kernels for an architecture (86) in an object, a program, or a cubin."""
    with open(path, 'rb') as file:
        data = file.read()
    if data[:4] != b'\x7fELF':
        return
    found = [body for name, _, fat in sections(data) if name == '.nv_fatbin' for a, body in images(fat) if a == architecture]
    for cubin in found or [data]:
        for name, info, code in sections(cubin):
            if not name.startswith('.text.'):
                continue
            kernel = Kernel(name[len('.text.'):], architecture, registers=info >> 24)
            for at in range(0, len(code) - 15, INSTRUCTION_BYTES):
                kernel.instructions.append(Instruction(at, *struct.unpack_from('<QQ', code, at)))
            yield kernel
