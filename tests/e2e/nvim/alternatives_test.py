"""Going through several suggestions for one place."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_case import ClientTest, item, rule  # noqa: E402


class AlternativesTest(ClientTest):
    def test_next_and_previous_go_round_and_tab_takes_the_one_on_display(self):
        nvim = self.start(rule("x = ", item("one()"), item("two()"), item("three()")))
        nvim.open("several.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost("one()")
        nvim.type("<M-]>")
        nvim.wait_for_ghost("two()")
        self.assertIn("x = two() (2/3)", nvim.screen())
        nvim.type("<M-]><M-]>")
        nvim.wait_for_ghost("one()")
        nvim.type("<M-[>")
        nvim.wait_for_ghost("three()")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines() == ["x = three()"])
        self.assertEqual(len(self.received("textDocument/inlineCompletion")), 1)

    def test_those_that_no_longer_fit_are_passed_over(self):
        nvim = self.start(rule("x = ", item("take(1)"), item("make(2)"), item("tally(3)")))
        nvim.open("several.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost("take(1)")
        nvim.type("ta")
        nvim.wait_for_ghost("ke(1)")
        nvim.type("<M-]>")
        nvim.wait_for_ghost("lly(3)")
        nvim.type("<M-]>")
        nvim.wait_for_ghost("ke(1)")

    def test_a_single_one_has_others_asked_for_by_hand(self):
        # What comes by hand repeats the first, in the words of a range: it is counted once.
        nvim = self.start({**rule("x = ", item("x = one()", (0, 0), (0, 4)), item("two()")), "by_hand": True},
                          rule("x = ", item("one()")))
        nvim.open("several.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost("one()")
        nvim.type("<M-]>")
        nvim.wait_for_ghost("two()")
        self.assertIn("(2/2)", nvim.screen())
        asked = self.received("textDocument/inlineCompletion")
        self.assertEqual([m["params"]["context"]["triggerKind"] for m in asked], [2, 1])
        nvim.type("<M-]>")
        nvim.wait_for_ghost("one()")

    def test_typing_through_the_first_while_others_are_fetched_keeps_it_and_brings_them(self):
        others = [item(text, (0, 4), (0, 6)) for text in ("alpha(1)", "alpha(2)")]
        nvim = self.start(rule("x = al", *others, by_hand=True), rule("x = ", *others, by_hand=True, until="x = al"),
                          rule("x = ", item("alpha(1)")))
        nvim.open("several.py", "\n")
        nvim.type("ix = ")
        nvim.wait_for_ghost("alpha(1)")
        nvim.type("<M-]>")
        nvim.wait("the question", lambda: len(self.received("textDocument/inlineCompletion")) == 2)
        nvim.type("al")
        nvim.wait_for_ghost("pha(2)")
        self.assertIn("x = alpha(2) (2/2)", nvim.screen())
        nvim.type("<M-[>")
        nvim.wait_for_ghost("pha(1)")
        nvim.type("<Tab>")
        nvim.wait("the text", lambda: nvim.lines() == ["x = alpha(1)"])

    def test_the_keys_do_their_old_work_without_a_suggestion(self):
        nvim = self.start(before_setup="vim.api.nvim_set_keymap('i', '<M-]>', 'old', {})")
        nvim.open("several.py", "\n")
        nvim.type("i<M-]>")
        nvim.wait("the mapping", lambda: nvim.lines() == ["old"])


if __name__ == "__main__":
    unittest.main()
