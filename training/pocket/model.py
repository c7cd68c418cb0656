"""A plain Llama in PyTorch; parameter names are Hugging Face's, so state dicts need no renaming."""
import torch
import torch.nn as nn
import torch.nn.functional as F

import attention

class Norm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        h = x.float()
        h = h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + self.eps)
        return (self.weight.float() * h).to(x.dtype)


def linear(i, o):
    return nn.Linear(i, o, bias=False)


def joined(x, weights):
    """One product for several weight matrices that share their input."""
    w = torch.cat([w.to(x.dtype) for w in weights], 0)
    return F.linear(x, w).split([w.shape[0] for w in weights], -1)


def rotate(x, cos, sin):
    a, b = x.float().chunk(2, -1)  # Hugging Face's half-rotation layout
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, self.heads, self.kv = c["hidden"], c["heads"], c["kv"]
        self.size = d // self.heads
        self.q_proj, self.k_proj = linear(d, d), linear(d, self.kv * self.size)
        self.v_proj, self.o_proj = linear(d, self.kv * self.size), linear(d, d)

    def project(self, x):
        return joined(x, [self.q_proj.weight, self.k_proj.weight, self.v_proj.weight])

    def split(self, x, heads):
        return x.view(x.shape[0], x.shape[1], heads, self.size).transpose(1, 2)

    def mix(self, q, k, v, cos, sin, cache=None, attend=attention.plain):
        """cache: [keys, values] of earlier tokens, replaced by those with the new tokens."""
        q = rotate(self.split(q, self.heads), cos, sin)
        k, v = rotate(self.split(k, self.kv), cos, sin), self.split(v, self.kv)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        y = attend(q, k, v).transpose(1, 2)
        return y.reshape(y.shape[0], y.shape[1], -1)

    def forward(self, x, cos, sin, cache=None, attend=attention.plain):
        y = self.mix(*self.project(x), cos, sin, cache, attend)
        return F.linear(y, self.o_proj.weight.to(x.dtype))


class Mlp(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, f = c["hidden"], c["ffn"]
        self.gate_proj, self.up_proj, self.down_proj = linear(d, f), linear(d, f), linear(f, d)

    def inner(self, x):
        gate, up = joined(x, [self.gate_proj.weight, self.up_proj.weight])
        return F.silu(gate) * up

    def forward(self, x):
        return F.linear(self.inner(x), self.down_proj.weight.to(x.dtype))


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.input_layernorm = Norm(c["hidden"], c["eps"])
        self.post_attention_layernorm = Norm(c["hidden"], c["eps"])
        self.self_attn, self.mlp = Attention(c), Mlp(c)

    def forward(self, x, cos, sin, cache=None, attend=attention.plain):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, cache, attend)
        return x + self.mlp(self.post_attention_layernorm(x))


class Inner(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embed_tokens = nn.Embedding(c["vocab"], c["hidden"])
        self.layers = nn.ModuleList([Block(c) for _ in range(c["layers"])])
        self.norm = Norm(c["hidden"], c["eps"])


class Llama(nn.Module):
    """Float32 weights, arithmetic in `dtype`."""

    def __init__(self, c, dtype=torch.bfloat16):
        super().__init__()
        self.dtype = dtype
        self.model = Inner(c)
        d = c["hidden"] // c["heads"]
        frequency = 1.0 / (c["theta"] ** (torch.arange(0, d, 2).float() / d))
        angle = torch.outer(torch.arange(c["context"] + 64).float(), frequency)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)
        for name, p in self.named_parameters():
            if name.endswith("embed_tokens.weight"):
                nn.init.normal_(p, std=.02)
            elif p.dim() == 2:
                gain = .5 if name.endswith(("o_proj.weight", "down_proj.weight")) else .7
                nn.init.normal_(p, std=gain * p.shape[1] ** -.5)

    def hidden(self, ids, attend=attention.plain):
        cos, sin = self.cos[:ids.shape[1]], self.sin[:ids.shape[1]]
        x = self.model.embed_tokens(ids).to(self.dtype)
        for block in self.model.layers:
            x = block(x, cos, sin, attend=attend)
        return self.model.norm(x)

    def logits(self, h):
        return F.linear(h, self.model.embed_tokens.weight.to(h.dtype))

    def forward(self, ids, targets, weights):
        """Mean loss over the targets, each counted by its weight. Rows of documents one behind the other."""
        scope = attention.scope_of(ids)
        z = self.logits(self.hidden(ids, lambda q, k, v: attention.training(q, k, v, scope))).float()
        loss = F.cross_entropy(z.view(-1, z.shape[-1]), targets.reshape(-1), reduction="none")
        w = weights.reshape(-1)
        return (loss * w).sum() / w.sum()
