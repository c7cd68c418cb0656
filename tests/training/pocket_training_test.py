"""One step of training, its gradient and resuming: the model and the trainer on rows made here."""
import os
import sys
import unittest

import toy_corpus  # first: sets the work folder

toy_corpus.need("torch")
import numpy as np
import torch

import quantize
import train
from common import CONFIG, hf_config
from data import END_WEIGHT, TARGET, TARGET_WEIGHT, split_targets
from optimizer import orthogonalize
from tokenizer import BOS, EOS, PAD

sys.path.insert(0, os.path.join(toy_corpus.ROOT, "tests", "oracle", "formats"))
import plain_llama  # the model in numpy's doubles, written for another test

WIDE, ROUNDOFF = 256, 2.0 ** -24  # the longest sum inside the toy model; half a unit in the last place of float32
PRODUCTS = 6 * CONFIG["layers"] + 1  # that follow each other from the embedding to the logits


def rows_of(rows, length, seed):
    """uint16 [rows, length + 1], each one document: random tokens of a small set (so that there is something to learn),
    a fifth of them marked, among these some ends, and a padded end."""
    draw = np.random.default_rng(seed)
    out = draw.integers(0, 300, (rows, length + 1)).astype(np.uint16)
    out[draw.random(out.shape) < .25] = EOS
    out[draw.random(out.shape) < .2] |= TARGET
    out[:, 0] = BOS
    for row in out:
        row[length + 1 - int(draw.integers(5, length // 4)):] = PAD
    return out


def loss_of(net, rows):
    ids, targets, weights = (torch.from_numpy(a) for a in split_targets(rows))
    return net(ids.long(), targets.long(), weights)


def weights_of(trainer):
    return {name: p.detach().clone() for name, p in trainer.net.named_parameters()}


class InDoubles:
    """The loss of rows, from the weights as numpy has them."""

    def __init__(self, net, rows):
        self.config = hf_config()
        self.weights = {name: p.detach().numpy().astype(np.float64) for name, p in net.named_parameters()}
        self.rows = rows

    def losses(self):
        """(nats, is padding, is marked, is an end) of each target"""
        nats = []
        for row in self.rows & 0x3FFF:
            z = plain_llama.logits(self.config, self.weights, row[:-1])
            z -= z.max(-1, keepdims=True)
            nats.append(np.log(np.exp(z).sum(-1)) - z[np.arange(len(z)), row[1:]])
        targets = self.rows[:, 1:]
        return np.stack(nats), (targets & 0x3FFF) == PAD, (targets & TARGET) != 0, (targets & 0x3FFF) == EOS

    def loss(self, marked_weight=TARGET_WEIGHT, end_weight=END_WEIGHT, padding_weight=0):
        nats, padding, marked, end = self.losses()
        counts = np.where(marked, np.where(end, end_weight, marked_weight), 1.0)
        counts[padding] = padding_weight
        return float((nats * counts).sum() / counts.sum())

    def slope(self, name, index, step):
        """Central difference of the loss by one weight."""
        array, kept, found = self.weights[name], self.weights[name][index], []
        for sign in (1, -1):
            array[index] = kept + sign * step
            found.append(self.loss())
        array[index] = kept
        return (found[0] - found[1]) / (2 * step)


class Loss(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        torch.set_num_threads(1)
        cls.trainer = train.Trainer()
        cls.rows = rows_of(2, 48, 1)
        for _ in range(3):  # losses of several sizes, so that their weights can be told from the mean
            cls.trainer.train_step([cls.rows], .2)
        cls.doubles = InDoubles(cls.trainer.net, cls.rows)
        # A float32 sum of n terms is off by at most n roundoffs of the sum of their sizes; here the terms of a chain of
        # products, each of which hands on what came before.
        cls.bound = WIDE * ROUNDOFF * PRODUCTS

    def test_marked_targets_weigh_more_their_ends_most_and_padding_nothing(self):
        found, right = float(loss_of(self.trainer.net, self.rows)), self.doubles.loss()
        self.assertEqual((TARGET_WEIGHT > 1, END_WEIGHT >= TARGET_WEIGHT), (True, True))
        bound = self.bound * max(1.0, float(self.doubles.losses()[0].max()))
        self.assertAlmostEqual(found, right, delta=bound)
        for wrong in (dict(marked_weight=1), dict(marked_weight=TARGET_WEIGHT + 1), dict(end_weight=1), dict(padding_weight=1)):
            self.assertGreater(abs(self.doubles.loss(**wrong) - right), bound, wrong)  # the bound tells them apart

    def test_what_stands_in_the_padding_does_not_matter(self):
        other = split_targets(self.rows)
        hidden = other[0] == PAD
        self.assertGreater(int(hidden.sum()), 5)
        ids, targets, weights = (torch.from_numpy(a.copy()) for a in other)
        ids[torch.from_numpy(hidden)] = 77
        targets[weights == 0] = 78
        self.assertEqual(float(self.trainer.net(ids.long(), targets.long(), weights)), float(loss_of(self.trainer.net, self.rows)))

    def test_the_gradient_is_the_slope_of_a_model_in_doubles(self):
        net, draw, step = self.trainer.net, np.random.default_rng(3), 1e-4
        net.zero_grad(set_to_none=True)
        loss_of(net, self.rows).backward()
        for name, p in net.named_parameters():
            gradient = p.grad.numpy()
            largest = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
            self.assertGreater(abs(gradient[largest]), 0, name)
            if ".layers.0." in name and name.endswith(("k_proj.weight", "up_proj.weight")):
                continue  # their kin are looked at: this takes a third of a second an entry
            entries = [largest] if p.dim() == 1 else [largest, tuple(draw.integers(0, n) for n in gradient.shape)]
            for entry in entries:
                slope = self.doubles.slope(name, entry, step)
                # Forwards and backwards it is a chain of twice as many products; the difference's own error, of the
                # order of step^2, is far below.
                self.assertAlmostEqual(float(gradient[entry]), slope, delta=2 * self.bound * abs(float(gradient[largest])) + step ** 2,
                                       msg="%s %s" % (name, entry))
        net.zero_grad(set_to_none=True)


class Steps(unittest.TestCase):
    def setUp(self):
        torch.set_num_threads(1)
        self.batches = [rows_of(4, 64, seed) for seed in range(6)]

    def steps(self, trainer, batches):
        for rows in batches:
            trainer.train_step([rows[:2], rows[2:]], .2)

    def test_one_step_lowers_the_loss_and_moves_every_parameter(self):
        trainer = train.Trainer()
        before, rows = weights_of(trainer), self.batches[0]
        loss, norm = trainer.train_step([rows], .2)
        self.assertTrue(np.isfinite(float(norm)))
        with torch.no_grad():
            self.assertLess(float(loss_of(trainer.net, rows)), float(loss))
        for name, p in trainer.net.named_parameters():
            self.assertTrue(torch.isfinite(p).all(), name)
            # The output matrix is the embedding, so each of its rows has a gradient; few entries round back.
            self.assertGreater(float((p != before[name]).float().mean()), .98, name)
        self.assertEqual((trainer.step, trainer.tokens), (1, 4 * 64))

    def test_the_schedule_reaches_the_weights(self):
        trainer = train.Trainer()
        before = weights_of(trainer)
        trainer.train_step([self.batches[0]], 1.0)  # the end: a learning rate of zero
        for name, p in trainer.net.named_parameters():
            self.assertTrue(torch.equal(p, before[name]), name)
        factors = [train.lr_factor(x) for x in (0, train.WARM, train.FLAT, (1 + train.FLAT) / 2, 1)]
        np.testing.assert_allclose(factors, [.02, 1, 1, .5, 0])

    def test_resuming_gives_the_weights_of_a_training_in_one_go(self):
        whole, first = train.Trainer(), train.Trainer()
        self.steps(whole, self.batches)
        self.steps(first, self.batches[:3])
        first.save("last.pt")
        torch.manual_seed(99)
        second = train.Trainer()
        with torch.no_grad():  # what resuming must replace
            for p in second.net.parameters():
                p.add_(1)
        second.resume()
        self.assertEqual((second.step, second.tokens), (3, 3 * 4 * 64))
        forgetful = train.Trainer()
        forgetful.net.load_state_dict(first.net.state_dict())
        self.steps(second, self.batches[3:])
        self.steps(forgetful, self.batches[3:])
        self.assertEqual((second.step, second.tokens), (whole.step, whole.tokens))
        # One thread does the same sums in the same order: no bit differs. Without the optimizers' state all do.
        for name, p in whole.net.named_parameters():
            self.assertTrue(torch.equal(p, dict(second.net.named_parameters())[name]), name)
            self.assertFalse(torch.equal(p, dict(forgetful.net.named_parameters())[name]), name)

    def test_the_clock_of_a_resumed_training_goes_on(self):
        first = train.Clock()
        second = train.Clock()
        self.assertEqual((first.begin, first.end), (second.begin, second.end))
        self.assertAlmostEqual(first.end - first.begin, train.TRAIN_S, delta=1e-3)


class Pieces(unittest.TestCase):
    def setUp(self):
        self.draw = torch.Generator().manual_seed(4)

    def test_muon_keeps_the_singular_vectors_and_evens_the_values(self):
        for shape in ((96, 40), (40, 96), (64, 64)):
            u, old, v = torch.linalg.svd(torch.randn(3, *shape, generator=self.draw), full_matrices=False)
            turned = u.transpose(-1, -2) @ orthogonalize(u @ torch.diag_embed(old) @ v) @ v.transpose(-1, -2)
            values = torch.diagonal(turned, dim1=-2, dim2=-1)
            # Five polynomials of degree five, each of three products in float32.
            self.assertLess(float((turned - torch.diag_embed(values)).abs().max()), 1e-4, shape)
            kept = values[old > .01 * old.norm(dim=-1, keepdim=True)]  # five steps raise no smaller ones to the plateau
            self.assertTrue(((kept > .6) & (kept < 1.25)).all(), (shape, float(kept.min()), float(kept.max())))

    def test_gptq_loses_less_of_the_outputs_than_rounding_to_nearest(self):
        weight = torch.randn(24, 256, generator=self.draw)
        inputs = torch.randn(400, 256, generator=self.draw) @ torch.randn(256, 256, generator=self.draw)
        codes, scales, result = quantize.gptq(weight, inputs.t() @ inputs)
        lost = lambda rounded: float(((weight - rounded) @ inputs.t()).norm())
        self.assertLess(lost(result), .8 * lost(quantize.nearest(weight)))
        self.assertEqual((int(codes.min()) >= -8, int(codes.max()) <= 7), (True, True))
        # What a loader reads is what was computed with, to the bit.
        packed = quantize.pack(codes, scales)
        np.testing.assert_array_equal(quantize.unpack(packed), result.numpy())
        self.assertEqual({k: (v.dtype.name, v.shape) for k, v in packed.items()}, dict(
            qweight=("int32", (32, 24)), qzeros=("int32", (2, 3)), scales=("float16", (2, 24)), g_idx=("int32", (256,))))


if __name__ == "__main__":
    unittest.main()
