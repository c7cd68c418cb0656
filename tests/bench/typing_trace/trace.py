"""The format of a recorded typing trace.

    # anything
    file src/report.py python        a file; its text follows, each line behind a "|"
    |import csv
    edit                             from here on one event a line:
    f src/report.py                  this file is looked at; opened the first time
    g 12 4                           the cursor goes to line 12, column 4 (both from 0)
    w 0.8                            a second less nothing is pressed (thinking)
    t total = 0\\n    for            keys; \\n is Enter with the indentation behind it, \\\\ a backslash
    b 3                              backspace, three times
    u 2                              undo, twice
    d 14 2                           lines 14 and 15 are selected and deleted
    p text                           the clipboard is pasted
    tab 3                            Tab, up to three times: each takes the suggestion that is shown; then undone
"""

import dataclasses


@dataclasses.dataclass
class File:
    name: str
    language: str
    text: str


@dataclasses.dataclass
class Trace:
    name: str
    files: dict   # name -> File
    events: list  # (kind, *values)


class TraceError(Exception):
    pass


def escape(text):
    return text.replace('\\', '\\\\').replace('\n', '\\n').replace('\t', '\\t')


def unescape(text):
    out, at = [], 0
    while at < len(text):
        if text[at] == '\\' and at + 1 < len(text):
            out.append({'n': '\n', 't': '\t', '\\': '\\'}[text[at + 1]])
            at += 2
        else:
            out.append(text[at])
            at += 1
    return ''.join(out)


def _event(kind, rest):
    if kind == 'f':
        return kind, rest
    if kind in ('t', 'p'):
        return kind, unescape(rest)
    if kind == 'w':
        return kind, float(rest)
    if kind in ('b', 'u', 'tab'):
        return kind, int(rest)
    if kind in ('g', 'd'):
        first, second = rest.split()
        return kind, int(first), int(second)
    raise ValueError(kind)


def read(path):
    files, events, file, editing = {}, [], None, False
    for number, line in enumerate(path.read_text(encoding='ascii').split('\n'), 1):
        try:
            if line.startswith('|') and file is not None and not editing:
                file.text += line[1:] + '\n'
            elif not line or line.startswith('#'):
                continue
            elif line == 'edit':
                editing = True
            elif line.startswith('file ') and not editing:
                _, name, language = line.split()
                file = files[name] = File(name, language, '')
            else:
                kind, _, rest = line.partition(' ')
                events.append(_event(kind, rest))
        except (ValueError, KeyError) as error:
            raise TraceError(f'{path}:{number}: want what tests/bench/typing_trace/trace.py says, '
                             f'found {line[:60]!r} ({error})') from None
    return Trace(path.stem, files, events)


def write(trace, comment):
    lines = [f'# {one}' for one in comment]
    for file in trace.files.values():
        lines.append(f'file {file.name} {file.language}')
        lines += ['|' + line for line in file.text.removesuffix('\n').split('\n')]
    lines.append('edit')
    for kind, *values in trace.events:
        shown = [escape(value) if kind in ('t', 'p') else str(value) for value in values]
        lines.append(' '.join([kind, *shown]))
    return '\n'.join(lines) + '\n'


def count_keys(events):
    from buffer import keys_of
    n = 0
    for kind, *values in events:
        n += {'t': lambda: len(keys_of(values[0])), 'b': lambda: values[0], 'u': lambda: values[0],
              'p': lambda: 1, 'd': lambda: 1, 'tab': lambda: values[0]}.get(kind, lambda: 0)()
    return n
