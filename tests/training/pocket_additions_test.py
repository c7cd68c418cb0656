"""What is added to the corpus: licences of files, copies of what is known, and the held-out set, which must stay as it is."""
import os
import sys
import tempfile
import unittest

try:
    import numpy  # noqa: F401
except ImportError:
    print("skipped: no numpy")
    sys.exit(77)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../training/pocket"))
os.environ.setdefault("PK_WORK", tempfile.mkdtemp())
import filters  # noqa: E402
import licences  # noqa: E402
import prepare  # noqa: E402

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2020 Somebody
License: Expat

Files: tests/assert.sh lib/old/*
Copyright: 2011 Somebody else
License: LGPL-3+

Files: lib/old/dual.lua
Copyright: 2012 Somebody else
License: GPL-2 or BSD-3-Clause
"""


class Gathering(unittest.TestCase):
    def test_the_last_paragraph_that_names_a_file_decides(self):
        may = licences.of_source(COPYRIGHT)
        self.assertTrue(may("src/main.lua"))
        self.assertFalse(may("tests/assert.sh"))
        self.assertFalse(may("lib/old/a/b.lua"))
        self.assertTrue(may("lib/old/dual.lua"))

    def test_files_of_a_binary_package_go_by_the_end_of_their_path(self):
        may = licences.of_binary(COPYRIGHT)
        self.assertTrue(may("share/tool/main.lua"))
        self.assertFalse(may("share/tool/tests/assert.sh"))
        self.assertFalse(licences.of_binary(COPYRIGHT.replace("License: Expat", "License: GPL-2"))("share/tool/main.lua"))

    def test_what_holds_at_once_must_all_be_permissive(self):
        for expression, answer in (("MIT", True), ("MIT AND GPL-2.0", False), ("(MIT OR Apache-2.0)", True), ("LGPL-2.1+", False),
                                   ("GPL-3 or Apache-2.0", True), ("CC-BY-4.0", False), ("MPL-2.0", False), ("", False)):
            self.assertEqual(licences.is_permissive(expression), answer, expression)

    def test_a_free_text_with_another_licence_rules_the_package_out(self):
        self.assertTrue(licences.of_source("Permission is hereby granted, free of charge")("a.c"))
        self.assertFalse(licences.of_source("Redistribution and use ... /usr/share/common-licenses/GPL-2")("a.c"))

    def test_copies_of_what_is_known_do_not_come_again(self):
        text = "".join("local value_%d = compute(%d)\n" % (i, i) for i in range(40))
        duplicates = filters.Duplicates()
        duplicates.remember("lua", text)
        reason = lambda t: duplicates.reason_against("lua", filters.digest_of(t), filters.line_hashes(t))
        self.assertEqual(reason(text.replace("\n", "\n\n")), "exact copy")
        self.assertEqual(reason(text + "return another_value_of_this_file\n"), "near copy")
        self.assertIsNone(reason("".join("function other_%d(argument)\nend\n" % i for i in range(40))))

    def test_additions_leave_the_held_out_files_as_they_are(self):
        for language, repository in (("lua", b"old"), ("python", b"device")):
            old = [(repository + b"\x01dir/%d" % i, b"this is the line %d of its file\n" % i * 9) for i in range(900)]
            held = [x for x in old if prepare.is_held(language, x[0])]
            new = [(b"new:copy\x01%d" % i, text) for i, (_, text) in enumerate(held)]
            new += [(b"new:more\x01dir/%d" % i, b"a line that only the file %d has\n" % i * 9) for i in range(900)]
            left = prepare.without_relatives(language, new + old)
            self.assertGreater(len(held), 2)
            self.assertEqual([x for x in left if prepare.is_held(language, x[0])], held)
            self.assertFalse([x for x in left if x[0].startswith(b"new:copy")])
            self.assertGreater(sum(x[0].startswith(b"new:more") for x in left), 800)


if __name__ == "__main__":
    unittest.main()
