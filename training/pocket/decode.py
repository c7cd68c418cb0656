"""Greedy continuations of many prompts at once, with a key/value cache."""
import torch

import attention
from tokenizer import PAD


class Forced:
    """Token healing: bytes with which an answer has to begin, in whatever tokens they come."""

    def __init__(self, pieces, rows, device):
        """pieces: bytes of each token; rows: what is wanted of each row, may be empty."""
        self.pieces, self.left, self.device, self.masks = pieces, list(rows), device, {}

    def _mask(self, left):
        if left not in self.masks:
            fits = [bool(p) and (p.startswith(left) or left.startswith(p)) for p in self.pieces]
            self.masks[left] = torch.tensor(fits, device=self.device)
        return self.masks[left]

    def argmax(self, logits):
        """logits: [rows, 1, vocabulary]; the best token of each row that goes on with what is wanted of it."""
        for r, left in enumerate(self.left):
            if left:
                fits = self._mask(left)
                logits[r, 0, :len(fits)].masked_fill_(~fits, float("-inf"))
                logits[r, 0, len(fits):] = float("-inf")
        best = logits.argmax(-1)
        for r, token in enumerate(best[:, 0].tolist()):
            if self.left[r]:
                self.left[r] = self.left[r][len(self.pieces[token]):]
        return best


@torch.no_grad()
def greedy(net, prompts, most, stop, batch=1100, forced=None):
    """For each prompt the ids that follow, up to `most`, the last one of a kind that stop(ids) wants. Prompts are
    padded on the left, so all rows write at the same place. forced: (bytes of each token, what each answer begins with)."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    out = [[] for _ in prompts]
    for k in range(0, len(order), batch):
        rows = order[k:k + batch]
        pieces, wanted = forced or ((), [b""] * len(prompts))
        _batch(net, prompts, rows, most, stop, out, Forced(pieces, [wanted[i] for i in rows], net.cos.device))
    return out


def _batch(net, prompts, rows, most, stop, out, forced):
    device = net.cos.device
    width = max(len(prompts[i]) for i in rows)
    ids = torch.full((len(rows), width), PAD, dtype=torch.long)
    for r, i in enumerate(rows):
        ids[r, width - len(prompts[i]):] = torch.tensor(prompts[i])
    padding = torch.tensor([width - len(prompts[i]) for i in rows], device=device)
    ids, caches, done = ids.to(device), [[] for _ in net.model.layers], [False] * len(rows)
    at = 0
    for _ in range(most):
        total = at + ids.shape[1]
        where = torch.arange(at, total, device=device)
        positions = (where[None] - padding[:, None]).clamp(min=0)
        keys = torch.arange(total, device=device)
        seen = (keys[None, None] <= where[None, :, None]) & (keys[None, None] >= padding[:, None, None])
        seen |= keys[None, None] == where[None, :, None]  # a padding sees itself, so that no row is empty
        mask = torch.zeros(seen.shape, dtype=net.dtype, device=device).masked_fill(~seen, float("-inf"))[:, None]
        x = net.model.embed_tokens(ids).to(net.dtype)
        cos, sin = net.cos[positions][:, None], net.sin[positions][:, None]
        for block, cache in zip(net.model.layers, caches):
            x = block(x, cos, sin, cache, lambda q, k, v: attention.plain(q, k, v, mask))
        following = forced.argmax(net.logits(net.model.norm(x[:, -1:])).float())
        at, ids = total, following
        for r, (i, token) in enumerate(zip(rows, following[:, 0].tolist())):
            if not done[r]:
                out[i].append(token)
                done[r] = stop(out[i])
        if all(done):
            return
