"""Attention of the training program inside documents, and healed prompts, at toy size on the CPU. Wants torch."""
import unittest

import toy_corpus  # first: sets the work folder

toy_corpus.need("torch")
import torch

import attention
import holes
import tokenizer as t
from decode import Forced


def rows_of_documents(rows, tokens):
    generator = torch.Generator().manual_seed(3)
    ids = torch.randint(0, 16000, (rows, tokens), generator=generator)
    ids[torch.rand(rows, tokens, generator=generator) < 1 / 90] = t.BOS
    ids[:, 0] = t.BOS
    ids[1, 1:] = 5  # one document; and some that begin at the edges of blocks
    ids[0, 127::128] = ids[0, ::128] = t.BOS
    return ids


class InsideDocuments(unittest.TestCase):
    def test_slow_mask_is_each_document_alone(self):
        ids = rows_of_documents(2, 96)
        q, k, v = (torch.randn(2, heads, 96, 8, dtype=torch.float64) for heads in (4, 2, 2))
        together = attention.plain(q, k, v, attention.slow_mask(ids).double())
        for row in range(2):
            begins = [i for i in range(96) if ids[row, i] == t.BOS] + [96]
            for a, b in zip(begins, begins[1:]):
                alone = attention.plain(*(x[row:row + 1, :, a:b] for x in (q, k, v)))
                self.assertLess(float((together[row:row + 1, :, a:b] - alone).abs().max()), 1e-12)

    def test_block_lists_say_what_the_slow_mask_says(self):
        rows, tokens = 3, 6 * attention.BLOCK
        ids = rows_of_documents(rows, tokens)
        n = tokens // attention.BLOCK
        seen = (attention.slow_mask(ids)[:, 0] == 0).view(rows, n, attention.BLOCK, n, attention.BLOCK)
        seen = seen.permute(0, 1, 3, 2, 4).reshape(rows, n, n, -1)
        lists = attention.block_lists(attention.document_numbers(ids))
        self.assertGreater(int(lists[2].sum()), 0)
        for (count, index), wanted in zip((lists[:2], lists[2:]), (seen.any(-1) & ~seen.all(-1), seen.all(-1))):
            for row in range(rows):
                for block in range(n):
                    listed = index[row, 0, block, :int(count[row, 0, block])].tolist()
                    self.assertEqual(sorted(listed), wanted[row, block].nonzero()[:, 0].tolist())

    def test_ends_of_documents(self):
        ids = rows_of_documents(2, 256)
        ends = attention.document_ends(ids).tolist()
        begins = [i for i, token in enumerate(ids.reshape(-1).tolist()) if token == t.BOS]
        self.assertEqual(ends[:len(begins)], begins)
        self.assertEqual(set(ends[len(begins):]), {512})


class Healing(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tok = t.Tokenizer()

    def test_what_is_left_to_the_model_is_a_blank_or_the_last_token(self):
        for before, left in (("x = foo(", "("), ("return ", " "), ("a\n        ", " "), ("a\n", ""), ("a\n\t\t", ""),
                             ("", ""), ("über", None)):
            got = holes._left_to_the_model(self.tok, before)
            self.assertTrue(before.endswith(got))
            if left is not None:
                self.assertEqual(got, left, before)

    def test_an_answer_begins_with_what_is_forced(self):
        forced = Forced(self.tok.pieces, [b"return", b""], "cpu")
        logits, written = torch.randn(2, 1, 16384, generator=torch.Generator().manual_seed(1)), b""
        free = int(logits[1, 0].argmax())
        for step in range(8):
            best = forced.argmax(logits.clone())
            self.assertEqual(int(best[1, 0]), free)
            if len(written) < 6:
                written += self.tok.pieces[int(best[0, 0])]
                self.assertTrue(written.startswith(b"return") or b"return".startswith(written))
        self.assertTrue(written.startswith(b"return"))
        self.assertEqual(int(forced.argmax(logits.clone())[0, 0]), int(logits[0, 0].argmax()))


if __name__ == "__main__":
    unittest.main()
