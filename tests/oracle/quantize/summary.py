#!/usr/bin/env python3
"""Prints what run.sh measured; exits with 1 where it was too much.

    summary.py ADDED.json WATCHED.json

ADDED is what `incipit model add --json` said, WATCHED the report of watch.py.
"""
import json
import pathlib
import sys

MOST_HOST_MIB = 16 * 1000 ** 3 // 1024 ** 2
MOST_DEVICE_MIB = 12 * 1000 ** 3 // 1024 ** 2
PARTS = ('reading', 'products', 'hessians', 'rounding', 'packing', 'comparing')


def main():
    added, watched = (json.loads(pathlib.Path(name).read_text(encoding='utf-8')) for name in sys.argv[1:3])
    times, report = added['quantizing'], added['quantization']
    print(f'{added["conversion"]}\npacked: {added["packedBytes"] / 1e9:.2f} GB')
    if added.get('note'):
        print(f'note: {added["note"]}')
    rest = times['seconds'] - sum(times[part] for part in PARTS)
    print(f'wall time of the command: {watched["seconds"]:.1f} s, of that quantising {times["seconds"]:.1f} s')
    for part in PARTS:
        print(f'  {part:<10} {times[part]:8.1f} s')
    print(f'  {"the rest":<10} {rest:8.1f} s  (attention, norms, activations, writing)')
    host, device = watched['hostMiB'], watched['deviceMiB']
    resident = max(host.get(key, 0) for key in ('VmHWM', 'VmRSS', 'maxrss'))
    own = f'{host["RssAnon"]} MiB' if 'RssAnon' in host else 'not known'
    mapped = host.get('RssFile', 0) + host.get('RssShmem', 0)
    print(f'host memory at most: {resident} MiB resident; its own {own}, mapped files {mapped} MiB, each at its most')
    print(f'device memory at most: {device} MiB')
    errors = [section['outputError'] for section in report['sections']]
    damped = [f'{section["name"]} {section["damping"]}' for section in report['sections'] if section['damping'] > 0.0101]
    print(f'error of a section\'s outputs: mean {100 * sum(errors) / len(errors):.2f} %, most {100 * max(errors):.2f} %')
    after = ' '.join(f'{100 * layer["hiddenError"]:.2f}' for layer in report['layers'])
    print(f'error of the hidden states after each layer: {after} %')
    print(f'damped more than usual: {", ".join(damped) or "none"}')
    print(f'KL divergence {report["klDivergence"]:.4f}, top-1 agreement {100 * report["top1Agreement"]:.1f} %, loss '
          f'{report["lossFullPrecision"]:.4f} -> {report["lossQuantized"]:.4f} on {report["heldOutTokens"]} tokens')
    faults = []
    if resident == 0:
        faults.append('host memory: want a figure, found none')
    if resident > MOST_HOST_MIB:
        faults.append(f'host memory: want at most {MOST_HOST_MIB} MiB')
    if device is not None and device > MOST_DEVICE_MIB:
        faults.append(f'device memory: want at most {MOST_DEVICE_MIB} MiB')
    for fault in faults:
        print(f'summary: {fault}')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
