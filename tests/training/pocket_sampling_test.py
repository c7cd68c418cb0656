"""Tokenizer and sample cutting of the training program, on the project's own sources."""
import json
import os
import unittest

import toy_corpus  # first: sets the work folder

import numpy as np

import tokenizer as t
from data import CROSS_FILE, END_WEIGHT, FIM, FIM_PREFIX_FIRST, PLAIN, TARGET, TARGET_WEIGHT, Files, Sampler, mixture, split_targets


class Sampling(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.chats = toy_corpus.prepare()
        cls.tok = t.Tokenizer()
        cls.sampler = Sampler(cls.tok)

    def documents(self, kinds, count=120):
        """(kind, text of the file, ids, marks) of documents of all languages and of several sizes."""
        for number, (language, held) in enumerate(self.sampler.languages):
            files = Files(language, held=False)
            for k in range(count):
                kind, room = kinds[k % len(kinds)], (160, 300, 700, 2048)[k // 2 % 4]
                doc = self.sampler.document(number, k % len(files), kind, room, 100 + k)
                if len(doc):
                    self.assertLessEqual(len(doc), room)
                    yield kind, files.get(k % len(files))[1], (doc & 0x3FFF).tolist(), (doc & TARGET) != 0

    def test_encodes_as_hugging_face_does(self):
        with open(os.path.join(toy_corpus.ROOT, "tests/golden/tokenizer/pocket_encodings.json"), encoding="utf8") as f:
            cases = json.load(f)["encodings"]
        compared = 0
        for case in cases:
            if not any(i >= t.BASE for i in case["ids"]):  # there that library reads special tokens from the text
                self.assertEqual(self.tok.encode(case["text"]).tolist(), case["ids"], case["text"])
                self.assertEqual(self.tok.decode(case["ids"]), case["text"])
                compared += 1
        self.assertGreater(compared, 20)

    def test_holes_put_the_file_together_again_and_each_part_is_encoded_alone(self):
        seen = {kind: 0 for kind in (FIM, FIM_PREFIX_FIRST, CROSS_FILE)}
        for kind, text, ids, marks in self.documents(list(seen)):
            middle = [i for i, m in zip(ids, marks) if m]
            self.assertEqual((middle[-1], ids[-1], ids[0]), (t.EOS, t.EOS, t.BOS))
            middle, suffix_at, middle_at = middle[:-1], ids.index(t.SUFFIX), ids.index(t.MIDDLE)
            prefix_at = ids.index(t.PREFIX)
            self.assertEqual(ids[middle_at + 1:-1], middle)  # the mark at the cursor, then nothing but the middle
            self.assertEqual(prefix_at < suffix_at, kind == FIM_PREFIX_FIRST)
            suffix = ids[suffix_at + 1:middle_at if prefix_at < suffix_at else prefix_at]
            before = ids[prefix_at + 1:suffix_at if prefix_at < suffix_at else middle_at]
            self.assertTrue(middle)
            before_text, after_text = self.tok.decode(before), self.tok.decode(suffix)
            self.assertIn(before_text + self.tok.decode(middle) + after_text, text)
            self.assertTrue(not before or text.startswith(before_text) or "\n" + before_text in text, "begins inside a line")
            self.assertTrue(after_text[-1:] in ("", "\n") or text.endswith(after_text), "ends inside a line")
            for part in (before, middle, suffix):
                self.assertEqual(self.tok.encode(self.tok.decode(part)).tolist(), part)
            seen[kind] += 1
        self.assertGreater(min(seen.values()), 20, seen)

    def test_other_files_stand_before_the_one_that_is_edited(self):
        with_name = others = 0
        for language, _ in self.sampler.languages:
            files = Files(language, held=False)
            texts, kept = dict(map(files.get, range(len(files)))), Files(language)
            hidden = {kept.get(i)[0] for i in range(len(kept))}
            for own, ids in self.cross_file_documents(language, 60):
                opening = ids[:ids.index(t.SUFFIX)]
                if t.REPO in ids:
                    with_name += 1
                    self.assertTrue(self.tok.decode(opening).startswith("<|begin_of_text|><|repo_name|>incipit\n<|file_sep|>"))
                marks = [i for i, token in enumerate(opening) if token == t.FILE_SEP] + [len(opening)]
                shown = [self.tok.decode(opening[a + 1:b]) for a, b in zip(marks, marks[1:])]
                self.assertEqual(shown.pop(), own + "\n")
                for name, _, body in (part.partition("\n") for part in shown):
                    others += 1
                    self.assertNotEqual(name, own)
                    self.assertNotIn(name, hidden)
                    self.assertTrue(body)
                    self.assertIn(body, texts[name])
        self.assertGreater(with_name, 20)
        self.assertGreater(others, 60)

    def cross_file_documents(self, language, count):
        """(path of the file, ids)"""
        number = [name for name, _ in self.sampler.languages].index(language)
        files = Files(language, held=False)
        for k in range(count):
            doc = self.sampler.document(number, k % len(files), CROSS_FILE, 2048, 100 + k)
            if len(doc):
                yield files.get(k % len(files))[0], (doc & 0x3FFF).tolist()

    def test_plain_documents_are_stretches_of_the_file(self):
        for _, text, ids, marks in self.documents([PLAIN], 40):
            start = ids.index(t.FILE_SEP) if t.FILE_SEP in ids else 0
            body = self.tok.decode(i for i in ids[start + 1:] if i < t.BASE)
            self.assertFalse(marks.any())
            self.assertIn(body.split("\n", 1)[-1] if start else body, text)

    def test_the_same_seed_gives_the_same_document(self):
        a, b = (self.sampler.document(0, 3, FIM, 500, 9).tolist() for _ in range(2))
        self.assertEqual(a, b)
        self.assertNotEqual(a, self.sampler.document(0, 3, FIM, 500, 10).tolist())

    def test_one_thread_gives_the_same_rows_for_the_same_seed(self):
        def rows(seed):
            self.sampler.start(mixture(256, True), 1, seed, 8)
            taken = self.sampler.take()
            self.sampler.stop()
            return taken.tolist()
        self.assertEqual(rows(7), rows(7))
        self.assertNotEqual(rows(7), rows(8))

    def test_rows_are_full_and_hold_no_held_out_file(self):
        self.sampler.start(mixture(256, False), 2, 5, 16)
        rows = np.concatenate([self.sampler.take() for _ in range(4)])
        self.sampler.stop()
        self.assertEqual(rows.shape, (64, 257))
        ids, targets, weights = split_targets(rows)
        self.assertLess((ids == t.PAD).mean(), .1)
        self.assertTrue((weights[targets == t.PAD] == 0).all())
        marked = (rows[:, 1:] & TARGET) != 0
        self.assertEqual(set(np.unique(weights[marked & (targets == t.EOS)])), {float(END_WEIGHT)})
        self.assertEqual(set(np.unique(weights[marked & (targets != t.EOS)])), {float(TARGET_WEIGHT)})
        self.assertEqual(set(np.unique(weights[~marked & (targets != t.PAD)])), {1.0})
        self.assertFalse(self.shows_a_hidden_file(rows))

    def shows_a_hidden_file(self, rows):
        return any(toy_corpus.HIDDEN_WORD in self.tok.decode(row & 0x3FFF) for row in rows)

    def test_a_held_out_file_would_be_seen_if_it_were_drawn(self):
        for language, held in self.sampler.languages:
            base = os.path.join(toy_corpus.WORK.name, "data", language)
            index = dict(np.load(base + ".index.npz"))
            self.assertTrue((index["weight"][held == 1] == 0).all())
            self.assertTrue((index["weight"][held == 0] > 0).all())
            self.assertEqual(int(held.sum()), len(Files(language)))
            self.assertGreater(int(held.sum()), 0)
            np.savez(base + ".index.npz", **{**index, "weight": index["weight"] + 100 * held})
            self.addCleanup(np.savez, base + ".index.npz", **index)
        careless = Sampler(self.tok)
        careless.start(mixture(256, False), 1, 5, 16)
        rows = careless.take()
        careless.stop()
        self.assertTrue(self.shows_a_hidden_file(rows))

    def test_conversations_end_their_answer(self):
        self.assertGreater(len(self.chats), 5)
        ids = np.load(os.path.join(toy_corpus.WORK.name, "data", "chat.ids.npy"))[:self.chats[0]]
        self.assertEqual((int(ids[0]), int(ids[-1])), (t.BOS, t.EOT | TARGET))


if __name__ == "__main__":
    unittest.main()
