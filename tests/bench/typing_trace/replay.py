#!/usr/bin/env python3
"""Plays the recorded traces of traces/ through `incipit lsp` and reports how warm the cache was when the editor asked.

Each trace (a language) is played twice, in a server of its own: with everything that runs ahead of requests switched on,
and with all of it off. The editor asks for a suggestion when no key came for --debounce ms, tells where the cursor goes
(incipit/didMoveCursor, as our clients do; not with --standard), and takes back a request that is still unanswered when it
asks for the next. What is counted of a request is the server's own account of it (incipit/status): prompt tokens that
were in the cache when it was asked, engine steps until its first token, and milliseconds.

    replay.py                                       the model that comes with incipit
    replay.py --device cuda --synthetic llama-3-8b  random weights: text is noise, timing is real
    replay.py traces/go.trace --json
"""

import argparse
import json
import pathlib
import random
import sys
import tempfile
import time

import trace as traces
from buffer import Buffer, keys_of, offset_of
from editor import EditorError, Server

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
INVOKED, AUTOMATIC = 1, 2  # InlineCompletionTriggerKind
OFF = {'incipit.prewarm': False, 'incipit.completion.prepareNext': False}

# Seconds from one key to the next, and from a suggestion on display to Tab.
FASTEST, MEAN_EXTRA, SLOWEST = 0.05, 0.07, 0.6
BEFORE_TAB = 0.35


class Typist:
    """Plays one trace; keeps what became of each request."""

    def __init__(self, server, root, trace, arguments):
        self.server, self.root, self.trace, self.arguments = server, root, trace, arguments
        self.random = random.Random(arguments.seed)
        self.buffers, self.versions, self.current = {}, {}, None
        self.pending = None  # (id, when it was sent, what came before it)
        self.asked = []      # a dict a request that was answered
        self.n_superseded = 0
        self.just = 'open'   # the last thing that was not a key

    @property
    def uri(self):
        return (self.root / self.current).as_uri()

    @property
    def buffer(self):
        return self.buffers[self.current]

    def place(self):
        line, column = self.buffer.position()
        return {'line': line, 'character': column}

    def sleep(self, seconds):
        self.collect(time.monotonic() + seconds / self.arguments.speed)

    def send(self, changes):
        if not changes:
            return
        self.versions[self.current] += 1
        self.server.notify('textDocument/didChange', {
            'textDocument': {'uri': self.uri, 'version': self.versions[self.current]},
            'contentChanges': [{'range': {'start': {'line': start[0], 'character': start[1]},
                                          'end': {'line': end[0], 'character': end[1]}}, 'text': text}
                               for start, end, text in changes]})

    def tell_cursor(self):
        if not self.arguments.standard:
            self.server.notify('incipit/didMoveCursor', {'textDocument': {'uri': self.uri}, 'position': self.place()})

    def look_at(self, name):
        self.current = name
        if name not in self.buffers:
            file = self.trace.files[name]
            self.buffers[name], self.versions[name] = Buffer(file.text), 1
            self.server.notify('textDocument/didOpen', {'textDocument': {
                'uri': self.uri, 'languageId': file.language, 'version': 1, 'text': file.text}})
        self.tell_cursor()

    def press(self, act):
        """One key; asks when none follows for a while."""
        self.send(act())
        gap = min(SLOWEST, FASTEST + self.random.expovariate(1 / MEAN_EXTRA)) / self.arguments.speed
        pressed = time.monotonic()
        debounce = self.arguments.debounce / 1e3
        if debounce < gap:
            self.collect(pressed + debounce)
            self.ask(AUTOMATIC)
        self.collect(pressed + gap)

    def ask(self, trigger):
        if self.pending is not None:
            self.server.cancel(self.pending[0])
            self.n_superseded += 1
        request = self.server.ask('textDocument/inlineCompletion', {
            'textDocument': {'uri': self.uri}, 'position': self.place(), 'context': {'triggerKind': trigger}})
        self.pending = (request, time.monotonic(), self.just)
        self.just = 'typing'

    def collect(self, until):
        """Waits until that time; notes the answer to the pending request if it comes. Returns its items."""
        items = None
        if self.pending is not None:
            found = self.server.answer(self.pending[0], until)
            if found is not None:
                (_, sent, after), self.pending = self.pending, None
                if 'result' in found[0]:
                    items = found[0]['result']['items']
                    last = self.server.request('incipit/status', None)['lastCompletion']
                    self.asked.append({'after': after, 'replyMs': (found[1] - sent) * 1e3, 'items': len(items),
                                       'finish': last.get('finish', ''), **last['timings']})
        time.sleep(max(0, until - time.monotonic())) if items is None else None
        return items

    def tab(self, n):
        """Takes up to n suggestions, one after the other, and all of them back."""
        self.sleep(self.arguments.debounce / 1e3 * self.arguments.speed)
        text, cursor, self.just = self.buffer.text, self.buffer.cursor, 'before Tab'
        for _ in range(n):
            self.ask(INVOKED)
            items = self.collect(time.monotonic() + 30)
            if not items:
                break
            time.sleep(BEFORE_TAB / self.arguments.speed)
            self.send(self.accept(items[0]))
            self.just = 'Tab'
        while self.buffer.text != text:
            self.send(self.buffer.undo())
        self.buffer.cursor, self.just = cursor, 'undo'

    def accept(self, item):
        start, end = item['range']['start'], item['range']['end']
        text = self.buffer.text
        return self.buffer.insert(offset_of(text, start['line'], start['character']),
                                  offset_of(text, end['line'], end['character']), item['insertText'])

    def play(self):
        for kind, *values in self.trace.events:
            if kind == 'w':
                self.sleep(values[0])
            elif kind == 'f':
                self.just = 'switch'
                self.look_at(values[0])
            elif kind == 'g':
                self.just = 'switch' if self.just in ('open', 'switch') else 'jump'
                self.buffer.go_to(*values)
                self.tell_cursor()
            elif kind == 't':
                for key in keys_of(values[0]):
                    self.press(lambda pressed=key: self.buffer.key(pressed))
            elif kind in ('b', 'u'):
                self.just = {'b': 'deletion', 'u': 'undo'}[kind]
                for _ in range(values[0]):
                    self.press(self.buffer.back if kind == 'b' else self.buffer.undo)
            elif kind == 'p':
                self.just = 'paste'
                self.press(lambda: self.buffer.paste(values[0]))
            elif kind == 'd':
                self.just = 'deletion'
                self.press(lambda: self.buffer.delete_lines(*values))
            elif kind == 'tab':
                self.tab(values[0])
        self.collect(time.monotonic() + 30)
        return self.asked


def play(trace, arguments, settings, log):
    command = [arguments.binary, 'lsp']
    for name in ('device', 'model', 'synthetic', 'threads'):
        if getattr(arguments, name):
            command += [f'--{name}', str(getattr(arguments, name))]
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        server = Server(command, log)
        try:
            model = server.start(root, settings, arguments.beside)['model']
            typist = Typist(server, root, trace, arguments)
            asked = typist.play()
            tokens = server.request('incipit/status', None)['tokens']
        finally:
            server.stop()
    return {'model': model, 'tokens': tokens, 'superseded': typist.n_superseded, 'requests': asked}


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, round(share * (len(values) - 1)))] if values else None


def figures(requests):
    """Of those that the model answered; shares: what half, and what 95 % of the requests reach at least."""
    asked = [r for r in requests if r['promptTokens'] > 0]
    started = [r for r in asked if r['firstTokenMs'] > 0]
    share = [r['cachedTokens'] / r['promptTokens'] for r in asked]
    after_tab = [r for r in requests if r['after'] == 'Tab']
    return {
        'answered': len(requests), 'byTheModel': len(asked), 'promptTokens': quantile([r['promptTokens'] for r in asked], 0.5),
        'reusedMedian': quantile(share, 0.5), 'reusedP95': quantile(share, 0.05),
        'stepsP50': quantile([r['stepsToFirstToken'] for r in started], 0.5),
        'stepsP95': quantile([r['stepsToFirstToken'] for r in started], 0.95),
        'firstTokenMsP50': quantile([r['contextMs'] + r['firstTokenMs'] for r in started], 0.5),
        'firstTokenMsP95': quantile([r['contextMs'] + r['firstTokenMs'] for r in started], 0.95),
        'afterTab': len(after_tab), 'afterTabWithoutModel': sum(1 for r in after_tab if r['promptTokens'] == 0),
        'afterTabReplyMsP50': quantile([r['replyMs'] for r in after_tab], 0.5),
        'afterTabReplyMsP95': quantile([r['replyMs'] for r in after_tab], 0.95),
    }


def row(name, f):
    if f['byTheModel'] == 0:
        return f'{name:22} the model was not asked'
    tab = ''
    if f['afterTab']:
        tab = (f'{f["afterTabWithoutModel"]:4} of {f["afterTab"]:3}{f["afterTabReplyMsP50"]:8.1f}'
               f'{f["afterTabReplyMsP95"]:8.1f}')
    return (f'{name:22}{f["byTheModel"]:6}{f["promptTokens"]:7}{100 * f["reusedMedian"]:9.1f}{100 * f["reusedP95"]:7.1f}'
            f'{f["stepsP50"]:7}{f["stepsP95"]:5}{f["firstTokenMsP50"]:9.1f}{f["firstTokenMsP95"]:8.1f}   {tab}')


def print_report(report):
    print(f'{report["model"]["name"]} on {report["model"]["device"]}, speed {report["speed"]}, debounce '
          f'{report["debounce"]} ms')
    print(f'{"":22}{"by the":>6}{"tokens":>7}{"  reused, %":>16}{"steps to 1st":>12}{"first token, ms":>17}'
          f'   {"after Tab: no model, reply ms"}')
    print(f'{"":22}{"model":>6}{"p50":>7}{"p50":>9}{"95 %":>7}{"p50":>7}{"p95":>5}{"p50":>9}{"p95":>8}'
          f'   {"":10}{"p50":>8}{"p95":>8}')
    for name, both in report['traces'].items():
        for mode, figure in both.items():
            print(row(f'{name}, {mode}', figure))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('traces', nargs='*', type=pathlib.Path, help='trace files (default: all of traces/)')
    parser.add_argument('--binary', default=str(ROOT / 'build/release/incipit'))
    parser.add_argument('--device', help='auto, cpu, cuda or cuda:N (default: what the server chooses)')
    parser.add_argument('--model', help='a name or a directory (default: pocket)')
    parser.add_argument('--synthetic', metavar='SHAPE', help='random weights of that shape instead of a model')
    parser.add_argument('--threads', type=int, help='of the engine')
    parser.add_argument('--debounce', type=float, default=120, help='ms without a key before asking (default: 120)')
    parser.add_argument('--speed', type=float, default=1, help='how much faster than recorded (default: 1)')
    parser.add_argument('--standard', action='store_true', help='an editor that does not tell where its cursor is')
    parser.add_argument('--beside', metavar='FOLDER', nargs='*', default=[], type=lambda name: pathlib.Path(name).resolve(),
                        help='further folders of the workspace, whose files the server reads meanwhile')
    parser.add_argument('--only', choices=('on', 'off'), help='one of the two')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', action='store_true', help='print the report as JSON, with every request')
    arguments = parser.parse_args()
    paths = arguments.traces or sorted((HERE / 'traces').glob('*.trace'))
    report = {'speed': arguments.speed, 'debounce': arguments.debounce, 'traces': {}, 'requests': {}}
    modes = {name: settings for name, settings in (('on', {}), ('off', OFF)) if arguments.only in (None, name)}
    everything = {mode: [] for mode in modes}
    with tempfile.TemporaryFile() as log:
        try:
            for path in paths:
                trace = traces.read(path)
                for mode, settings in modes.items():
                    played = play(trace, arguments, settings, log)
                    report['model'] = played['model']
                    report['traces'].setdefault(trace.name, {})[mode] = figures(played['requests'])
                    report['requests'].setdefault(trace.name, {})[mode] = played['requests']
                    everything[mode] += played['requests']
        except (EditorError, traces.TraceError, OSError) as error:
            log.seek(0)
            print(log.read().decode(errors='replace')[-4000:], file=sys.stderr)
            print(f'replay: {error}', file=sys.stderr)
            return 1
    report['traces']['all'] = {mode: figures(requests) for mode, requests in everything.items()}
    if arguments.json:
        print(json.dumps(report))
    else:
        print_report(report)
    return 0


if __name__ == '__main__':
    sys.exit(main())
