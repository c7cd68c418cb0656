#!/usr/bin/env python3
"""Runs a command and says how long it took and what memory it had at most, on stderr and as JSON.

    watch.py REPORT.json COMMAND...

Host memory is read from /proc five times a second: what the process has for itself (RssAnon), what it has of files
that it maps and that the system can drop at any time (RssFile, RssShmem), and the system's own records of the most
(VmHWM, maxrss); not every system has all of them. Device memory is what nvidia-smi counts as used beyond what was used before, by whomever, at the same rate.
Ends as the command ends.
"""
import json
import pathlib
import resource
import subprocess
import sys
import threading
import time

POLL_S = 0.2
KEYS = ('VmHWM', 'VmRSS', 'RssAnon', 'RssFile', 'RssShmem')


def host_kib(pid):
    values = {}
    try:
        for line in pathlib.Path(f'/proc/{pid}/status').read_text(encoding='ascii', errors='replace').splitlines():
            key, _, rest = line.partition(':')
            if key in KEYS:
                values[key] = int(rest.split()[0])
    except (OSError, ValueError, IndexError):
        pass  # it has ended
    return values


class DeviceMemory:
    """The most that is used of all devices, in MiB; nothing where there is no nvidia-smi."""

    QUERY = ['nvidia-smi', '--query-gpu=memory.used', '--format=csv,noheader,nounits']

    def __init__(self):
        self.before = self.most = None
        self.process = None
        self.stopped = threading.Event()
        try:
            self.before = self.read()
        except (OSError, subprocess.SubprocessError, ValueError):
            return
        self.most = self.before
        self.thread = threading.Thread(target=self.poll, daemon=True)
        self.thread.start()

    def read(self):
        answer = subprocess.run(self.QUERY, check=True, capture_output=True, text=True, timeout=30)
        return sum(int(line) for line in answer.stdout.split())

    def poll(self):
        while not self.stopped.wait(POLL_S):
            try:
                self.most = max(self.most, self.read())
            except (OSError, subprocess.SubprocessError, ValueError):
                continue

    def stop(self):
        self.stopped.set()
        return None if self.before is None else self.most - self.before


def main():
    report, command = pathlib.Path(sys.argv[1]), sys.argv[2:]
    device = DeviceMemory()
    most = {}
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        while True:
            for key, value in host_kib(process.pid).items():
                most[key] = max(most.get(key, 0), value)
            try:
                process.wait(POLL_S)
                break
            except subprocess.TimeoutExpired:
                continue
        wall = time.monotonic() - began
    device_mib = device.stop()
    most['maxrss'] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss if most else 0
    result = {'command': command, 'exit': process.returncode, 'seconds': round(wall, 2), 'deviceMiB': device_mib,
              'hostMiB': {key: round(value / 1024) for key, value in most.items()}}
    report.write_text(json.dumps(result, indent=1), encoding='utf-8')
    host = ', '.join(f'{key} {value} MiB' for key, value in result['hostMiB'].items())
    on_device = 'not known' if device_mib is None else f'{device_mib} MiB'
    print(f'watch: exit {process.returncode} after {wall:.1f} s; at most: {host}; device {on_device}', file=sys.stderr)
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


if __name__ == '__main__':
    sys.exit(main())
