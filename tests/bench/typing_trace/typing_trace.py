#!/usr/bin/env python3
"""Types into a 1,000-line file through `incipit lsp` as a person would and reports how long suggestions take.

The file is made of this repository's sources; some of its lines are missing and are typed again, key by key, at
several places. As an editor does, it asks for a suggestion when no key came for a moment, and takes back a request that
is still unanswered when it asks for the next. Times to the first token are the server's own (incipit/status), times to
the reply are the client's.

    typing_trace.py --device cuda --synthetic llama-3-8b     random weights: text is noise, timing is real
    typing_trace.py                                          the model that comes with incipit
"""

import argparse
import json
import pathlib
import random
import sys
import tempfile
import time

from editor import Document, EditorError, Server

ROOT = pathlib.Path(__file__).resolve().parents[3]
N_LINES = 1000
N_PLACES = 8
AUTOMATIC = 2  # InlineCompletionTriggerKind

# Seconds from one key to the next. Bursts of a fluent typist, and a pause where a word or a line ends now and then.
FASTEST, MEAN_EXTRA = 0.06, 0.07
PAUSE_SHARE, SHORTEST_PAUSE, LONGEST_PAUSE = 0.3, 0.25, 0.9


def source_text():
    """1,000 lines of C++ of this repository, always the same ones of one revision."""
    lines = []
    for path in sorted((ROOT / 'lsp' / 'completion').glob('*.cpp')):
        lines += path.read_text(encoding='ascii', errors='replace').replace('\ufffd', '?').split('\n')
    return lines[:N_LINES]


def cut_places(lines, n_keys):
    """Takes runs of lines out of `lines`. Returns (line before the gap, text to type), the last place first.

    Cut and typed again from the end, so that no line number before a place changes.
    """
    places = []
    n_cut = 0
    for i in reversed(range(N_PLACES)):
        begin = end = (i + 1) * len(lines) // (N_PLACES + 1)
        while end == begin or n_cut * N_PLACES < n_keys * (N_PLACES - i):
            n_cut += 1 + len(lines[end].lstrip(' '))
            end += 1
        places.append((begin - 1, '\n' + '\n'.join(lines[begin:end])))
        del lines[begin:end]
    return places


def keys_of(text):
    """What each key press inserts: a character, or a line end with the indentation that the editor adds."""
    keys = []
    for character in text:
        if character == ' ' and keys and keys[-1].startswith('\n') and keys[-1].strip() == '':
            keys[-1] += ' '
        else:
            keys.append(character)
    return keys


class Typist:
    """Presses keys and asks for suggestions; keeps what became of each request."""

    def __init__(self, server, document, debounce_s, seed):
        self.server, self.document, self.debounce_s = server, document, debounce_s
        self.random = random.Random(seed)
        self.pending = None  # (request id, when it was sent)
        self.n_keys = self.n_asked = self.n_superseded = 0
        self.answers = []  # (seconds to the reply, the server's account of it)

    def gap_after(self, key):
        gap = FASTEST + self.random.expovariate(1 / MEAN_EXTRA)
        ends_word = key[-1] in ' \n(){};.,'
        if ends_word and self.random.random() < PAUSE_SHARE:
            gap += self.random.uniform(SHORTEST_PAUSE, LONGEST_PAUSE)
        return gap

    def write(self, text):
        for key in keys_of(text):
            self.document.type(key)
            self.n_keys += 1
            pressed = time.monotonic()
            next_key = pressed + self.gap_after(key)
            asks = pressed + self.debounce_s
            if asks < next_key:
                self.collect(asks)
                self.ask()
            self.collect(next_key)

    def ask(self):
        if self.pending is not None:
            self.server.cancel(self.pending[0])
            self.n_superseded += 1
        request_id = self.server.ask('textDocument/inlineCompletion', {
            'textDocument': {'uri': self.document.uri}, 'position': self.document.position(),
            'context': {'triggerKind': AUTOMATIC}})
        self.pending = (request_id, time.monotonic())
        self.n_asked += 1

    def collect(self, until):
        """Waits until that time; notes the answer to the pending request if it comes."""
        if self.pending is not None:
            found = self.server.answer(self.pending[0], until)
            if found is not None:
                sent, self.pending = self.pending[1], None
                if 'result' in found[0]:
                    status = self.server.request('incipit/status', None)
                    self.answers.append((found[1] - sent, status['lastCompletion']))
        time.sleep(max(0, until - time.monotonic()))

    def finish(self):
        self.collect(time.monotonic() + 5)


def quantile(values, share):
    return sorted(values)[round(share * (len(values) - 1))] if values else None


def summary(typist, tokens, model):
    """What the report says, times in milliseconds. tokens: of the whole session, reading ahead included."""
    told = [(reply * 1e3, c, c['timings']) for reply, c in typist.answers]
    with_model = [(reply, c, t) for reply, c, t in told if t['promptTokens'] > 0 and t['firstTokenMs'] > 0]
    n_prompt = sum(t['promptTokens'] for _, _, t in with_model)
    n_cached = sum(t['cachedTokens'] for _, _, t in with_model)
    n_further = sum(max(0, t['generatedTokens'] - 1) for _, _, t in with_model)
    further_ms = sum(t['totalMs'] - t['contextMs'] - t['firstTokenMs'] for _, _, t in with_model
                     if t['generatedTokens'] > 1)
    series = {
        'requestToFirstTokenMs': [t['contextMs'] + t['firstTokenMs'] for _, _, t in with_model],
        'engineFirstTokenMs': [t['firstTokenMs'] for _, _, t in with_model],
        'contextMs': [t['contextMs'] for _, _, t in with_model],
        'requestToReplyMs': [reply for reply, _, _ in with_model],
        'replyWithoutModelMs': [reply for reply, _, t in told if t['promptTokens'] == 0],
        'promptTokens': [t['promptTokens'] for _, _, t in with_model],
        'newTokens': [t['promptTokens'] - t['cachedTokens'] for _, _, t in with_model],
        'generatedTokens': [t['generatedTokens'] for _, _, t in with_model],
    }
    return {
        'model': model['name'], 'device': model['device'], 'keys': typist.n_keys, 'asked': typist.n_asked,
        'superseded': typist.n_superseded, 'answered': len(told), 'byTheModel': len(with_model),
        'withItems': sum(1 for _, c, _ in told if c['items'] > 0),
        'reusedShare': n_cached / n_prompt if n_prompt else None,
        'sessionReusedShare': tokens['reused'] / max(1, tokens['reused'] + tokens['prefilled']),
        'tokensPerSecond': n_further * 1e3 / further_ms if further_ms > 0 else None,
        'figures': {name: {'p50': quantile(v, 0.5), 'p95': quantile(v, 0.95), 'n': len(v)} for name, v in series.items()},
    }


NAMES = (
    ('requestToFirstTokenMs', 'request -> first token, ms'),
    ('contextMs', '  of that syntax, context, prompt'),
    ('engineFirstTokenMs', '  of that the engine'),
    ('requestToReplyMs', 'request -> reply, ms'),
    ('replyWithoutModelMs', 'reply without the model, ms'),
    ('promptTokens', 'prompt, tokens'),
    ('newTokens', '  of those not in the cache'),
    ('generatedTokens', 'generated, tokens'),
)


def print_report(report, what):
    print(f'{what} on {report["device"]}: {report["keys"]} keys, {report["asked"]} suggestions asked for, '
          f'{report["superseded"]} superseded, {report["answered"]} answered, {report["byTheModel"]} of them by the model')
    print(f'{"":36}{"p50":>9}{"p95":>9}{"n":>6}')
    for key, name in NAMES:
        figure = report['figures'][key]
        if figure['n'] > 0:
            print(f'{name:36}{figure["p50"]:9.1f}{figure["p95"]:9.1f}{figure["n"]:6}')
    if report['reusedShare'] is not None:
        print(f'prompt tokens from the cache: {100 * report["reusedShare"]:.1f} % of those asked for, '
              f'{100 * report["sessionReusedShare"]:.1f} % with reading ahead')
    if report['tokensPerSecond'] is not None:
        print(f'{report["tokensPerSecond"]:.0f} tokens a second after the first')


def play(arguments, log):
    command = [arguments.binary, 'lsp']
    for name in ('device', 'model', 'synthetic'):
        if getattr(arguments, name):
            command += [f'--{name}', getattr(arguments, name)]
    lines = source_text()
    places = cut_places(lines, arguments.keys)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        server = Server(command, log)
        try:
            model = server.start(root)['model']
            document = Document(server, root / 'trace.cpp', '\n'.join(lines), 'cpp')
            typist = Typist(server, document, arguments.debounce / 1e3, arguments.seed)
            for line, text in places:
                document.go_to(line)
                typist.write(text)
            typist.finish()
            tokens = server.request('incipit/status', None)['tokens']
        finally:
            server.stop()
    return summary(typist, tokens, model)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--binary', default=str(ROOT / 'build/release/incipit'))
    parser.add_argument('--device', help='auto, cpu, cuda or cuda:N (default: what the server chooses)')
    parser.add_argument('--model', help='a name or a directory (default: pocket)')
    parser.add_argument('--synthetic', metavar='SHAPE', help='random weights of that shape instead of a model')
    parser.add_argument('--keys', type=int, default=320, help='at least so many key presses (default: 320)')
    parser.add_argument('--debounce', type=float, default=120, help='ms without a key before asking (default: 120)')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--json', action='store_true', help='print the report as JSON')
    arguments = parser.parse_args()
    with tempfile.TemporaryFile() as log:
        try:
            report = play(arguments, log)
        except (EditorError, OSError) as error:
            log.seek(0)
            print(log.read().decode(errors='replace')[-4000:], file=sys.stderr)
            print(f'typing_trace: {error}', file=sys.stderr)
            return 1
    if arguments.json:
        print(json.dumps(report))
    else:
        what = f'{arguments.synthetic} (random weights)' if arguments.synthetic else report['model']
        print_report(report, what)
    return 0


if __name__ == '__main__':
    sys.exit(main())
