#!/usr/bin/env python3
"""Checks the tree against the rules of docs/style.md and docs/architecture.md.

    tidy.py --list                 the names of the rules
    tidy.py RULE... [--root DIR]   checks them; prints FILE:LINE: what is wrong, exits 1 if anything is

Each rule is a function from a tree ({path: text}) to (path, line, message); `tidy_test.py` feeds each a
tree that breaks it. ctest runs every rule as a case of its own, label "tidy".
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

RULES = {}
SKIPPED_DIRS = {'.git', 'build', 'dist', 'node_modules', '.cache'}
# Data: samples of other people's style, fuzz inputs.
SKIPPED_PREFIXES = ('tests/golden/', 'tests/fuzz/corpus/', 'engine/models/')
CODE = ('.h', '.cpp', '.cu', '.cuh')
TEXT = CODE + ('.c', '.py', '.mjs', '.js', '.ts', '.lua', '.sh', '.scm', '.cmake', '.md', '.vim', 'CMakeLists.txt',
               'Makefile')
PRODUCT = ('kernels/', 'engine/', 'lsp/')


def rule(function):
    RULES[function.__name__] = function
    return function


def read_tree(root):
    tree = {}
    for folder, dirs, files in os.walk(root):
        dirs[:] = sorted(d for d in dirs if d not in SKIPPED_DIRS)
        for name in sorted(files):
            path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, '/')
            if name.endswith(TEXT) and not path.startswith(SKIPPED_PREFIXES):
                with open(os.path.join(folder, name), encoding='utf-8', errors='replace') as file:
                    tree[path] = file.read()
    return tree


def code_of(tree, prefixes=('',)):
    return {path: text for path, text in tree.items() if path.endswith(CODE) and path.startswith(prefixes)}


TOKEN = re.compile(
    r'(?P<raw>R"(?P<tag>[^()\s\\]{0,16})\(.*?\)(?P=tag)")'
    r'|(?P<text>"(?:\\.|[^"\\\n])*")'
    r"|(?P<unit>(?<![0-9A-Za-z_])'(?:\\.|[^'\\\n])+')"
    r'|(?P<comment>//[^\n]*|/\*.*?\*/)', re.DOTALL)


def without(source, *kinds):
    """The C++ source with "comment", "raw" (string) or "text" (string, character) blanked; lines stay where they are."""
    def blank(match):
        kind = 'comment' if match.group('comment') else 'raw' if match.group('raw') else 'text'
        return re.sub(r'[^\n]', ' ', match.group()) if kind in kinds else match.group()
    return TOKEN.sub(blank, source)


INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def includes(text):
    """(line, path, quoted) of every include."""
    for number, line in enumerate(without(text, 'comment', 'raw').split('\n'), start=1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1) or match.group(2), match.group(1) is not None


def matching_lines(text, pattern):
    for number, line in enumerate(text.split('\n'), start=1):
        if pattern.search(line):
            yield number


# What lsp may see of the engine: its face, and values that cross it.
ENGINE_FOR_LSP = re.compile(
    r'^engine/(engine\.h|base/[^/]+|config/(chat_prompt|engine_options|model_config|prompt_format|prompt_layout)\.h|tokenizer/tokenizer\.h'
    r'|sampling/(sampling_params|stop_rules)\.h|tools/[^/]+\.h)$')


def may_include(layer, path):
    if path.startswith('kernels/'):
        return layer != 'lsp' or path == 'kernels/common/check.h'
    if path.startswith('engine/'):
        return layer == 'engine' or (layer == 'lsp' and ENGINE_FOR_LSP.match(path) is not None)
    return path.startswith('lsp/') and layer == 'lsp'


@rule
def include_direction(tree):
    """kernels <- engine <- lsp; includes of ours start at the root; nobody includes tests."""
    for path, text in code_of(tree, PRODUCT + ('tests/',)).items():
        layer = path.split('/')[0]
        for line, included, quoted in includes(text):
            ours = included.startswith(PRODUCT + ('tests/',))
            if quoted and not ours:
                yield path, line, f'"{included}": includes of ours start at the root (kernels/, engine/, lsp/)'
            elif not quoted and ours:
                yield path, line, f'<{included}>: includes of ours are written with quotes'
            elif ours and layer != 'tests' and not may_include(layer, included):
                yield path, line, f'{layer} must not include {included}'


# Library -> the only places of the product that may include it.
FENCES = (
    (r'spdlog/', r'engine/base/log\.cpp'),
    (r'tree_sitter/', r'lsp/syntax/'),
    (r'asio(\.hpp|/)', r'lsp/(rpc/|server|stdio_server)'),
    (r'nlohmann/', r'lsp/(rpc|protocol|cli)/|lsp/settings|engine/(config|weights|tokenizer|tools)/'),
    (r'pcre2\.h', r'engine/tokenizer/pretokenizer\.cpp'),
    (r'CLI/', r'lsp/(cli/|main\.cpp)'),
    (r'(cuda|cublas|curand|cooperative_groups|mma\.h)', r'kernels/cuda/|engine/model/cuda_'),
)


@rule
def library_fences(tree):
    """A library is seen by the folder that wraps it, and by no other."""
    for path, text in code_of(tree, PRODUCT).items():
        for line, included, quoted in includes(text):
            for library, places in FENCES:
                if not quoted and re.match(library, included) and not re.match(places, path):
                    yield path, line, f'<{included}> belongs to {places}'


STDOUT = re.compile(r'\bstd::(w?cout)\b|\bSTDOUT_FILENO\b|\bstdout\b|(?<![\w.>])(?:std::|::)?(?:printf|puts|putchar|vprintf)'
                    r'\s*\(|\bfmt::print(?:ln)?\s*\(\s*(?!stderr|std::stderr)|(?<![\w.>])(?:::)?write\s*\(\s*1\s*,')
MAY_WRITE_STDOUT = re.compile(r'lsp/(cli/|rpc/stdio_transport|stdio_server)')


@rule
def no_stdout(tree):
    """stdout carries frames in `incipit lsp`: only the command line and the stdio transport write to it."""
    for path, text in code_of(tree, PRODUCT).items():
        if not MAY_WRITE_STDOUT.match(path):
            for line in matching_lines(without(text, 'comment', 'raw', 'text'), STDOUT):
                yield path, line, 'writes to stdout'


@rule
def file_length(tree):
    """A file of more than 600 lines wants to be two."""
    for path, text in tree.items():
        n_lines = text.count('\n')
        if n_lines > 600 and not path.startswith('docs/'):
            yield path, 601, f'{n_lines} lines, want at most 600'


UNFINISHED = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b')


@rule
def no_unfinished_marks(tree):
    """What is not done is in the issues, not in the code."""
    for path, text in tree.items():
        # Documents may name the marks: "no ..." is a rule of the style page.
        if not path.endswith('.md'):
            for line in matching_lines(text, UNFINISHED):
                yield path, line, 'an unfinished mark'


@rule
def pragma_once(tree):
    """A header opens with a comment on what it owns, then #pragma once."""
    for path, text in code_of(tree, PRODUCT + ('tests/support/',)).items():
        if path.endswith(('.h', '.cuh')):
            if not text.startswith('//'):
                yield path, 1, 'want a comment on what the header owns, who calls it, on which thread'
            if not re.search(r'^#pragma once$', text, re.MULTILINE):
                yield path, 1, 'want #pragma once'


OWN_METHOD = re.compile(r'"(\$?/?incipit(?:/|\.)[A-Za-z][A-Za-z0-9_./-]*)"')


@rule
def own_methods_documented(tree):
    """Every method and command of our own stands in docs/lsp-extensions.md."""
    page = tree.get('docs/lsp-extensions.md', '')
    for path, text in code_of(tree, ('lsp/',)).items():
        for number, line in enumerate(without(text, 'comment').split('\n'), start=1):
            for name in OWN_METHOD.findall(line):
                if not INCLUDE.match(line) and not re.search(rf'(?<![\w./]){re.escape(name)}(?![\w/])', page):
                    yield path, number, f'{name} is not in docs/lsp-extensions.md'


# A row of the table of settings, lsp/settings.cpp: SettingRow{"completion.maxTokens", ...
SETTING_ROW = re.compile(r'\bSettingRow\s*\{\s*"([A-Za-z.]+)"\s*,')


@rule
def settings_documented(tree):
    """Every setting stands in README.md or in a page of docs/."""
    pages = tree.get('README.md', '') + ''.join(text for path, text in tree.items() if path.startswith('docs/'))
    for path, text in code_of(tree, ('lsp/settings.cpp',)).items():
        rows = list(SETTING_ROW.finditer(without(text, 'comment')))
        if not rows:
            yield path, 1, 'no SettingRow{"name", ...} found: does this rule still read the table?'
        for row in rows:
            if not re.search(rf'(?<![\w.])(?:incipit\.)?{re.escape(row.group(1))}(?!\w)', pages):
                line = text.count('\n', 0, row.start()) + 1
                yield path, line, f'setting {row.group(1)} is in no page of docs/ and not in README.md'


@rule
def own_header_first(tree):
    """x.cpp includes x.h before anything else, so every build proves that the header stands alone."""
    for path, text in code_of(tree, PRODUCT).items():
        header = re.sub(r'\.cpp$', '.h', path)
        if path.endswith('.cpp') and header in tree:
            first = next(includes(text), None)
            if first is None or first[1] != header:
                yield path, first[0] if first else 1, f'want "{header}" as the first include'


def only_includer(text):
    """A header whose opening comment says "Included by simd.h only" is a part of that file; None for others."""
    opening = ' '.join(line.lstrip('/ ') for line in text[:text.find('#pragma once')].split('\n'))
    match = re.search(r'Included by (\S+) only', opening)
    return match.group(1) if match else None


@rule
def parts_included_by_their_file_only(tree):
    """A part of a file ("Included by simd.h only") is included by that file, in its own folder, and by no other."""
    code = code_of(tree)
    owner_of = {path: os.path.join(os.path.dirname(path), only_includer(text))
                for path, text in code.items() if path.endswith('.h') and only_includer(text)}
    for path, text in code.items():
        for line, included, _ in includes(text):
            if included in owner_of and path != owner_of[included]:
                yield path, line, f'{included} is a part of {owner_of[included]}'


def write_tree(tree, folder):
    for path, text in tree.items():
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, 'w', encoding='utf-8') as file:
            file.write(text)


def chains_of_includers(headers, code):
    """The headers in few lists, each header included, directly or not, by the one after it."""
    direct = {path: [name for _, name, quoted in includes(text) if quoted and name in code] for path, text in code.items()}

    def included_by(path):
        seen, left = set(), [path]
        while left:
            new = [name for name in direct[left.pop()] if name not in seen]
            seen.update(new)
            left += new
        return [name for name in headers if name in seen and name != path]

    before = {path: included_by(path) for path in headers}
    after = {}  # a header's place in a chain: the one that follows it

    def takes_one(path, refused):  # augmenting paths: a largest matching gives the fewest chains
        for name in before[path]:
            if name not in refused:
                refused.add(name)
                if name not in after or takes_one(after[name], refused):
                    after[name] = path
                    return True
        return False

    for path in headers:
        takes_one(path, set())
    for path in headers:
        if path not in after.values():
            chain = [path]
            while chain[-1] in after:
                chain.append(after[chain[-1]])
            yield chain


@rule
def headers_compile_alone(tree, compiler='g++', flags=()):
    """Headers that no .cpp includes first; own_header_first and the build prove the others."""
    code = code_of(tree, PRODUCT)
    proven = {first[1] for first in (next(includes(text), None) for path, text in code.items() if path.endswith('.cpp')) if first}
    headers = [path for path, text in code.items() if path.endswith('.h') and path not in proven
               and not path.startswith('kernels/cuda/') and only_includer(text) is None]
    for_isa = [path for path in headers if path.startswith('kernels/cpu/')]
    others = [path for path in headers if path not in for_isa]
    # What a header includes can come before it without giving it anything, so a chain is compiled at once.
    chains = [*chains_of_includers(for_isa, code), *chains_of_includers(others, code)]
    with tempfile.TemporaryDirectory() as folder:
        write_tree(code, folder)

        def compile_chain(chain):
            # As kernels/CMakeLists.txt compiles what includes them.
            isa = ['-mavx2', '-mfma', '-mf16c', '-DKERNELS_ISA=avx2', '-DKERNELS_ISA_AVX2'] if chain[0] in for_isa else []
            included = [word for path in chain for word in ('-include', path)]
            command = [compiler, '-std=c++20', '-fsyntax-only', '-I', '.', *isa, *flags, *included, '-x', 'c++', os.devnull]
            return chain, subprocess.run(command, cwd=folder, capture_output=True, text=True)

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for chain, done in pool.map(compile_chain, chains):
                if done.returncode != 0:
                    where = re.search(r'^(?:\./)?([^\n:]*):(\d+):\d+: (?:fatal )?error: ([^\n]*)', done.stderr, re.MULTILINE)
                    path, line, what = where.groups() if where else (chain[-1], 1, done.stderr.strip()[:300])
                    yield path, int(line), f'does not compile alone: {what}'


@rule
def formatting(tree):
    """clang-format 14 with the tree's .clang-format; `make format` repairs."""
    program = shutil.which('clang-format-14')
    if program is None:
        yield 'scripts/packages.txt', 1, 'clang-format-14 is not installed: run scripts/setup.sh'
        return
    with tempfile.TemporaryDirectory() as folder:
        files = code_of(tree)
        write_tree({**files, '.clang-format': tree['.clang-format']}, folder)
        done = subprocess.run([program, '--dry-run', '-Werror', *files], cwd=folder, capture_output=True, text=True)
        seen = set()
        for path, line, what in re.findall(r'^([^\n:]+):(\d+):\d+: error: ([^\n]*)', done.stderr, re.MULTILINE):
            if path not in seen:  # the first place of a file is enough
                seen.add(path)
                yield path, int(line), f'{what.strip()} (make format)'
        if done.returncode != 0 and not seen:
            yield '.clang-format', 1, done.stderr.strip()[:500]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('rules', nargs='*', metavar='RULE')
    parser.add_argument('--root', default=os.path.join(os.path.dirname(__file__), '../..'))
    parser.add_argument('--list', action='store_true')
    arguments = parser.parse_args()
    if arguments.list:
        print('\n'.join(RULES))
        return 0
    unknown = [name for name in arguments.rules if name not in RULES]
    if unknown:
        parser.error(f'unknown rules: {", ".join(unknown)}')
    tree = read_tree(arguments.root)
    with open(os.path.join(arguments.root, '.clang-format'), encoding='utf-8') as file:
        tree['.clang-format'] = file.read()
    if not code_of(tree, PRODUCT):
        parser.error(f'{arguments.root} holds no code of ours')
    n_problems = 0
    for name in arguments.rules or RULES:
        for path, line, message in RULES[name](tree):
            print(f'{path}:{line}: {name}: {message}')
            n_problems += 1
    print(f'{len(tree)} files, {n_problems} problems')
    return 1 if n_problems else 0


if __name__ == '__main__':
    sys.exit(main())
