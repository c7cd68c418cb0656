#!/usr/bin/env python3
"""The first completion of a server that starts in yesterday's file: without `--kv-disk`, in its first run, and after a restart.

    warm_start.py [--binary build/release/incipit] [--device cuda]
"""

import argparse
import os
import pathlib
import sys
import tempfile
import time

import trace as traces
from editor import EditorError, Server

HERE = pathlib.Path(__file__).resolve().parent
RUNS = (('without', '0'), ('first run', '2GiB'), ('restarted', '2GiB'), ('once more', '2GiB'))
INVOKED = 1


def first_completion(command, root, file, log):
    """(seconds to ready, the server's timings, pages restored, seconds to stop)"""
    server, began = Server(command, log), time.monotonic()
    try:
        server.start(root, {'incipit.prewarm': False})
        ready = time.monotonic() - began
        document = {'uri': (root / 'yesterday.cpp').as_uri()}
        server.notify('textDocument/didOpen', {'textDocument': {
            **document, 'languageId': file.language, 'version': 1, 'text': file.text}})
        server.request('textDocument/inlineCompletion', {
            'textDocument': document, 'position': {'line': 60, 'character': 999}, 'context': {'triggerKind': INVOKED}})
        status = server.request('incipit/status', None)
    finally:
        stopping = time.monotonic()
        server.stop()
    return ready, status['lastCompletion']['timings'], status['pages']['restored'], time.monotonic() - stopping


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=str(HERE.parents[2] / 'build/release/incipit'))
    parser.add_argument('--device', default='auto')
    arguments = parser.parse_args()
    file = next(iter(traces.read(HERE / 'traces/cpp.trace').files.values()))
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryDirectory() as root, tempfile.TemporaryFile() as log:
        os.environ['XDG_CACHE_HOME'] = cache
        for name, size in RUNS:
            command = [arguments.binary, 'lsp', '--device', arguments.device, '--kv-disk', size]
            try:
                ready, timings, restored, stop = first_completion(command, pathlib.Path(root).resolve(), file, log)
            except (EditorError, OSError) as error:
                print(f'warm_start: {error}', file=sys.stderr)
                return 1
            print(f'{name:10} ready {ready:5.2f} s, {restored:4} pages restored, {timings["cachedTokens"]:5} of '
                  f'{timings["promptTokens"]} prompt tokens cached, first token {timings["firstTokenMs"]:8.1f} ms in '
                  f'{timings["stepsToFirstToken"]} steps, stop {stop:.2f} s')
    return 0


if __name__ == '__main__':
    sys.exit(main())
