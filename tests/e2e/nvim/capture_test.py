"""The capture that the README opens with can be made, and shows what it says.

usage: capture_test.py PATH/TO/incipit"""

import os
import re
import sys
import unittest
import xml.dom.minidom

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from animation import Animation  # noqa: E402
from record_capture import record  # noqa: E402

BINARY = os.path.abspath(sys.argv.pop(1))


def texts(svg):
    document = xml.dom.minidom.parseString(svg)
    return ["".join(child.data for child in node.childNodes) for node in document.getElementsByTagName("text")]


class CaptureTest(unittest.TestCase):
    def test_a_completion_and_an_explanation_are_in_it(self):
        svg, line, explanation = record(BINARY)
        self.assertLess(len(svg.encode()), 100_000)
        self.assertNotIn("http", svg.replace("http://www.w3.org/2000/svg", ""))
        typed = "self.items[name] "
        self.assertTrue(line.strip().startswith(typed), line)
        ghost = line.strip()[len(typed):].strip()
        self.assertTrue(ghost, "nothing was suggested")
        # As ghost text it is a run of its own; accepted, its colours are those of code.
        self.assertIn(ghost, texts(svg))
        words = re.sub(r"\W+", " ", " ".join(texts(svg)))
        self.assertIn(" ".join(re.findall(r"\w+", explanation)[:4]), words)

    def test_what_stays_is_drawn_once(self):
        animation = Animation(4, 2, 0, "title")
        def runs(text):
            return ((0, text, 0xFFFFFF, 0, False, False),)
        animation.add(0.0, [runs("same"), runs("one ")], (0, 0))
        animation.add(1.0, [runs("same"), runs("two ")], (0, 0))
        self.assertEqual(sorted(texts(animation.svg(2))), ["one", "same", "two"])
        self.assertIn("50%{opacity:0}", animation.svg(2))


if __name__ == "__main__":
    unittest.main()
