"""Muon for the matrices inside the blocks (Jordan et al. 2024), AdamW for the rest."""
import torch


def orthogonalize(gradient):
    """Newton-Schulz iteration on a stack of matrices: singular values go to about 1, singular vectors stay."""
    x = gradient.to(torch.bfloat16 if gradient.is_cuda else torch.float32)
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.transpose(-1, -2)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = 3.4445, -4.7750, 2.0315
    for _ in range(5):
        s = x @ x.transpose(-1, -2)
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.transpose(-1, -2) if tall else x


class Muon:
    """Momentum, then orthogonalization; equal shapes are handled as one stack."""

    def __init__(self, params, weight_decay):
        by_shape = {}
        for p in params:
            by_shape.setdefault(tuple(p.shape), []).append(p)
        self.groups = list(by_shape.values())
        self.buffers = [torch.zeros(len(g), *g[0].shape, device=g[0].device) for g in self.groups]
        self.weight_decay = weight_decay

    @torch.no_grad()
    def step(self, lr, momentum):
        for group, buffer in zip(self.groups, self.buffers):
            gradient = torch.stack([p.grad for p in group])
            buffer.lerp_(gradient, 1 - momentum)
            update = orthogonalize(gradient.lerp(buffer, momentum)).float()
            scale = max(1, update.shape[-2] / update.shape[-1]) ** .5
            for p, u in zip(group, update):
                p.mul_(1 - lr * self.weight_decay).add_(u, alpha=-lr * scale)

    def state_dict(self):
        return self.buffers

    def load_state_dict(self, buffers):
        for mine, saved in zip(self.buffers, buffers):
            mine.copy_(saved)
