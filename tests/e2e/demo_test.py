"""`make demo`'s player against the real binary: it shows a completion, figures and the next steps,
without a terminal; and it fails when there is no completion.

usage: demo_test.py PATH/TO/incipit"""

import pathlib
import re
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = sys.argv.pop(1)


def play(binary):
    return subprocess.run([sys.executable, "-B", ROOT / "scripts/demo.py", "--binary", binary],
                          capture_output=True, text=True, timeout=300, check=False)


class DemoTest(unittest.TestCase):
    def test_shows_the_completion_the_figures_and_the_next_steps(self):
        result = play(BINARY)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, re.compile(r"^ +\d+ \| .*«.+", re.MULTILINE))
        for figure in (r"first token cold +\d", r"first token warm +\d", r"tokens reused +[1-9]",
                       r"tokens per second +[1-9]"):
            self.assertRegex(result.stdout, figure)
        for step in ("Neovim:", "VS Code:", "Llama-3-8B:"):
            self.assertIn(step, result.stdout)
        self.assertNotIn("\033", result.stdout)

    def test_fails_when_the_server_does_not_serve(self):
        result = play("/bin/false")
        self.assertEqual(result.returncode, 1)
        self.assertIn("the server ended with 1", result.stderr)


if __name__ == "__main__":
    unittest.main()
