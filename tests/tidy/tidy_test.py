#!/usr/bin/env python3
"""Every rule of tidy.py finds what it is there for, at the right line, and leaves sound code alone."""
import os
import unittest

import tidy

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
with open(os.path.join(ROOT, '.clang-format'), encoding='utf-8') as style:
    CLANG_FORMAT = style.read()


def found(rule, tree, **options):
    return [(path, line) for path, line, _ in tidy.RULES[rule]({**tree, '.clang-format': CLANG_FORMAT}, **options)]


class Rules(unittest.TestCase):
    def expect(self, rule, tree, *places):
        self.assertEqual(found(rule, tree), list(places), rule)

    def test_every_rule_has_a_test_here(self):
        tested = {name for test in dir(self) for name in tidy.RULES if test.startswith(f'test_{name}')}
        self.assertEqual(tested, set(tidy.RULES))

    def test_include_direction(self):
        self.expect('include_direction', {
            'kernels/a.h': '#include "kernels/b.h"\n#include <vector>\n',
            'engine/a.h': '#include "kernels/quant/x.h"\n#include "engine/kv/y.h"\n',
            'lsp/a.h': '#include "engine/engine.h"\n#include "engine/base/log.h"\n#include "kernels/common/check.h"\n'
                       '#include "engine/tools/bench.h"\n',
            'tests/a.cpp': '#include "engine/kv/y.h"\n#include "tests/support/z.h"\n',
            'engine/c.cpp': '// #include "lsp/x.h"\nconst char* text = R"(\n#include "lsp/x.h"\n)";\n/*\n#include "a.h"\n*/\n',
        })

    def test_include_direction_upwards(self):
        self.expect('include_direction', {'kernels/a.cpp': '\n#include "engine/engine.h"\n'}, ('kernels/a.cpp', 2))
        self.expect('include_direction', {'engine/a.cpp': '#include "lsp/server.h"\n'}, ('engine/a.cpp', 1))
        self.expect('include_direction', {'engine/a.cpp': '#include "tests/support/x.h"\n'}, ('engine/a.cpp', 1))

    def test_include_direction_past_the_face_of_the_engine(self):
        self.expect('include_direction', {'lsp/a.cpp': '#include "engine/kv/page_table.h"\n'}, ('lsp/a.cpp', 1))
        self.expect('include_direction', {'lsp/a.cpp': '#include "kernels/cpu/steps.h"\n'}, ('lsp/a.cpp', 1))
        self.expect('include_direction', {'lsp/a.cpp': '#include "engine/tokenizer/utf8.h"\n'}, ('lsp/a.cpp', 1))

    def test_include_direction_not_from_the_root(self):
        self.expect('include_direction', {'lsp/a.cpp': '#include "server.h"\n#include "../engine/engine.h"\n'},
                    ('lsp/a.cpp', 1), ('lsp/a.cpp', 2))
        self.expect('include_direction', {'lsp/a.cpp': '#include <lsp/server.h>\n'}, ('lsp/a.cpp', 1))

    def test_library_fences(self):
        sound = {'engine/base/log.cpp': '#include <spdlog/spdlog.h>\n', 'lsp/syntax/x.cpp': '#include <tree_sitter/api.h>\n',
                 'lsp/rpc/json.h': '#include <nlohmann/json.hpp>\n', 'lsp/cli/main.cpp': '#include <CLI/CLI.hpp>\n'}
        self.expect('library_fences', sound)
        for library in ('spdlog/spdlog.h', 'tree_sitter/api.h', 'asio.hpp', 'asio/post.hpp', 'nlohmann/json.hpp', 'pcre2.h',
                        'CLI/CLI.hpp', 'cuda_runtime.h', 'cublas_v2.h'):
            self.expect('library_fences', {'lsp/completion/x.cpp': f'\n\n#include <{library}>\n'},
                        ('lsp/completion/x.cpp', 3))

    def test_no_stdout(self):
        for line in ('std::cout << 1;', 'printf("x");', 'std::printf("x");', 'puts("x");', 'putchar(1);',
                     'std::fprintf(stdout, "x");', 'fwrite(a, 1, 2, stdout);', 'write(STDOUT_FILENO, a, 1);',
                     'fmt::print("x");', '::write(1, a, 2);', 'std::wcout << 1;'):
            self.expect('no_stdout', {'engine/x.cpp': f'\n{line}\n'}, ('engine/x.cpp', 2))
        self.expect('no_stdout', {
            'engine/x.cpp': '// printf("x")\nconst char* text = "std::cout";\nstd::fprintf(stderr, "x");\n'
                            'std::snprintf(a, 2, "x");\nfmt::print(stderr, "x");\nfile.write(1, 2);\n',
            'lsp/cli/x.cpp': 'std::cout << 1;\n', 'lsp/rpc/stdio_transport.cpp': 'write(STDOUT_FILENO, a, 1);\n',
            'tests/x.cpp': 'printf("x");\n'})

    def test_file_length(self):
        self.expect('file_length', {'lsp/x.cpp': '\n' * 600, 'docs/x.md': '\n' * 900})
        self.expect('file_length', {'tests/x_test.cpp': '\n' * 601}, ('tests/x_test.cpp', 601))

    def test_no_unfinished_marks(self):
        for mark in ('TO' 'DO', 'FIX' 'ME'):
            self.expect('no_unfinished_marks', {'scripts/x.sh': f'\n# {mark}: later\n'}, ('scripts/x.sh', 2))
        self.expect('no_unfinished_marks', {'lsp/x.cpp': 'int to' 'do_list;\n', 'docs/x.md': 'no TO' 'DO\n'})

    def test_pragma_once(self):
        self.expect('pragma_once', {'lsp/x.h': '// Owns x.\n#pragma once\n'})
        self.expect('pragma_once', {'lsp/x.h': '#pragma once\n'}, ('lsp/x.h', 1))
        self.expect('pragma_once', {'lsp/x.h': '// Owns x.\n'}, ('lsp/x.h', 1))

    def test_own_methods_documented(self):
        page = '| `incipit/status` | … |\n`incipit.explain`\n'
        code = 'k = "incipit/status";\n// "incipit/ghost"\nm = "incipit.explain";\n'
        self.expect('own_methods_documented', {'lsp/protocol/m.h': code, 'docs/lsp-extensions.md': page})
        self.expect('own_methods_documented', {'lsp/protocol/m.h': '\nk = "incipit/other";\n', 'docs/lsp-extensions.md': page},
                    ('lsp/protocol/m.h', 2))
        self.expect('own_methods_documented', {'lsp/protocol/m.h': 'k = "incipit/stat";\n', 'docs/lsp-extensions.md': page},
                    ('lsp/protocol/m.h', 1))
        self.expect('own_methods_documented', {'lsp/protocol/m.h': code}, ('lsp/protocol/m.h', 1), ('lsp/protocol/m.h', 3))

    def test_settings_documented(self):
        rows = 'kRows = {\n  SettingRow{"completion.maxLines", 1},\n  SettingRow{\n    "prewarm", true},\n};\n'
        self.expect('settings_documented', {'lsp/settings.cpp': rows, 'docs/settings.md': '`incipit.completion.maxLines`\n`prewarm`\n'})
        self.expect('settings_documented', {'lsp/settings.cpp': rows, 'README.md': 'completion.maxLinesPerHour x.prewarm\n'},
                    ('lsp/settings.cpp', 2), ('lsp/settings.cpp', 3))
        self.expect('settings_documented', {'lsp/settings.cpp': 'other\n'}, ('lsp/settings.cpp', 1))

    def test_own_header_first(self):
        header = {'lsp/x.h': '// X.\n#pragma once\n'}
        self.expect('own_header_first', {**header, 'lsp/x.cpp': '#include "lsp/x.h"\n#include <string>\n'})
        self.expect('own_header_first', {**header, 'lsp/x.cpp': '#include <string>\n#include "lsp/x.h"\n'}, ('lsp/x.cpp', 1))
        self.expect('own_header_first', {**header, 'lsp/x.cpp': 'int x;\n'}, ('lsp/x.cpp', 1))

    def test_parts_included_by_their_file_only(self):
        part = {'kernels/cpu/a_part.h': '// Half of a.h. Included by\n// a.h only.\n#pragma once\nx\n'}
        include = '#include "kernels/cpu/a_part.h"\n'
        self.expect('parts_included_by_their_file_only', {**part, 'kernels/cpu/a.h': include})
        self.expect('parts_included_by_their_file_only', {**part, 'kernels/cpu/b.h': '\n' + include}, ('kernels/cpu/b.h', 2))
        self.expect('headers_compile_alone', part)

    def test_headers_compile_alone(self):
        self.expect('headers_compile_alone', {'lsp/x.h': '#pragma once\n#include <string>\nstd::string x();\n'})
        self.expect('headers_compile_alone', {'lsp/x.h': '#pragma once\n\nstd::string x();\n'}, ('lsp/x.h', 3))
        self.expect('headers_compile_alone', {'lsp/x.h': '#include "lsp/nowhere.h"\n'}, ('lsp/x.h', 1))

    def test_formatting(self):
        self.expect('formatting', {'lsp/x.cpp': 'int f(int a) {\n  return a;\n}\n'})
        self.expect('formatting', {'lsp/x.cpp': 'int f(int a) {\n    return a;\n}\n'}, ('lsp/x.cpp', 1))


class Tree(unittest.TestCase):
    def test_reads_code_and_leaves_out_data_and_builds(self):
        tree = tidy.read_tree(ROOT)
        self.assertIn('engine/engine.h', tree)
        self.assertIn('tests/tidy/tidy.py', tree)
        for path in tree:
            self.assertFalse(path.startswith(('build/', 'tests/golden/', 'tests/fuzz/corpus/')), path)
            self.assertNotIn('node_modules', path)

    def test_blanks_comments_and_strings_in_place(self):
        source = 'a = "// no"; // yes\nb = R"(")"; /* c\n */ d = \'"\'; n = 1\'000;\n'
        self.assertEqual(tidy.without(source, 'comment').split('\n')[0].rstrip(), 'a = "// no";')
        blanked = tidy.without(source, 'comment', 'raw', 'text')
        self.assertEqual(blanked.count('\n'), source.count('\n'))
        self.assertEqual(blanked.split(), ['a', '=', ';', 'b', '=', ';', 'd', '=', ';', 'n', '=', "1'000;"])


if __name__ == '__main__':
    unittest.main()
