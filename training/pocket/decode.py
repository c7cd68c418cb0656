"""Greedy continuations of many prompts at once, with a key/value cache."""
import torch

from tokenizer import PAD


@torch.no_grad()
def greedy(net, prompts, most, stop, batch=256):
    """For each prompt the ids that follow, up to `most`, the last one of a kind that stop(ids) wants. Prompts are
    padded on the left, so all rows write at the same place."""
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    out = [[] for _ in prompts]
    for k in range(0, len(order), batch):
        _batch(net, prompts, order[k:k + batch], most, stop, out)
    return out


def _batch(net, prompts, rows, most, stop, out):
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
            x = block(x, cos, sin, cache, mask)
        following = net.logits(net.model.norm(x[:, -1:])).float().argmax(-1)
        at, ids = total, following
        for r, (i, token) in enumerate(zip(rows, following[:, 0].tolist())):
            if not done[r]:
                out[i].append(token)
                done[r] = stop(out[i])
        if all(done):
            return
