#!/usr/bin/env python3
"""Registers, spills and shared memory of the CUDA kernels, as ptxas counted them in the build.

    cuda_resources_test.py --compile COMMAND...   a compiler launcher: runs the command and keeps what ptxas
                                                  says in OBJECT.resources
    cuda_resources_test.py FOLDER                 reads these files of a build; exits 1 where a kernel spills on
                                                  an architecture of MUST_NOT_SPILL or takes too much memory

Shared memory that is asked for at the launch is not in the reports: its limits are asserted in the kernels.
"""
import os
import re
import subprocess
import sys

# The reference card. (For 9.0 two wide products spill 8 to 16 bytes.)
MUST_NOT_SPILL = {'sm_86'}
MAX_STATIC_SHARED = 48 * 1024

ENTRY = re.compile(r"Compiling entry function '([^']+)' for '([^']+)'")
USED = 'Used '
SPILLS = re.compile(r'(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads')
OF_PTXAS = re.compile(r'^(ptxas info\b|\s+\d+ bytes stack frame)')


def compile_and_keep(command):
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
    report, rest = [], []
    for line in done.stderr.splitlines(keepends=True):
        (report if OF_PTXAS.match(line) else rest).append(line)
    sys.stderr.write(''.join(rest))
    if '-o' in command:
        with open(command[command.index('-o') + 1] + '.resources', 'w', encoding='utf-8') as file:
            file.writelines(report)
    return done.returncode


def kernels(report):
    """(kernel, architecture, spilled bytes, static shared bytes) of each entry function."""
    name, architecture, spilled = None, None, 0
    for line in report.splitlines():
        entry, spills = ENTRY.search(line), SPILLS.search(line)
        if entry:
            name, architecture, spilled = entry.group(1), entry.group(2), 0
        elif spills:
            spilled += int(spills.group(2)) + int(spills.group(3))
        elif USED in line and name:
            shared = re.search(r'(\d+) bytes smem', line)
            yield name, architecture, spilled, int(shared.group(1)) if shared else 0
            name = None


def problems(report):
    for name, architecture, spilled, shared in kernels(report):
        if spilled and architecture in MUST_NOT_SPILL:
            yield f'{name} spills {spilled} bytes on {architecture}'
        if shared > MAX_STATIC_SHARED:
            yield f'{name} takes {shared} bytes of shared memory on {architecture}'


SAMPLE = '''ptxas info    : Compiling entry function 'good' for 'sm_86'
ptxas info    : Function properties for good
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 36 registers, used 1 barriers, 8192 bytes smem, 416 bytes cmem[0]
ptxas info    : Compiling entry function 'spilling' for 'sm_86'
ptxas info    : Function properties for spilling
    24 bytes stack frame, 8 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 255 registers
'''


def main():
    if sys.argv[1] == '--compile':
        return compile_and_keep(sys.argv[2:])
    assert list(problems(SAMPLE)) == ['spilling spills 24 bytes on sm_86'], list(problems(SAMPLE))
    assert [k[3] for k in kernels(SAMPLE)] == [8192, 0]
    n_kernels, found = 0, []
    for folder, _, names in os.walk(sys.argv[1]):
        for name in sorted(names):
            if name.endswith('.resources'):
                with open(os.path.join(folder, name), encoding='utf-8') as file:
                    report = file.read()
                n_kernels += len(list(kernels(report)))
                found += [f'{name}: {problem}' for problem in problems(report)]
    print('\n'.join([*found, f'{n_kernels} kernels (one count an architecture), {len(found)} problems']))
    return 1 if found or n_kernels == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
