"""INT4 in groups of 128: GPTQ (Frantar et al. 2022), rounding to nearest to compare with, and the file layout."""
import numpy as np
import torch
import torch.nn.functional as F

import attention
import model
from common import CONFIG
from tokenizer import PAD

GROUP = 128
STAGES = [("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), ("self_attn.o_proj",),
          ("mlp.gate_proj", "mlp.up_proj"), ("mlp.down_proj",)]


def nearest(weight):
    """Rounded to nearest, dequantized."""
    o, i = weight.shape
    w = weight.view(o, i // GROUP, GROUP)
    scale = (2 * w.abs().amax(-1, keepdim=True) / 15).clamp(min=1e-6).half().float()
    return (torch.clamp(torch.round(w / scale), -8, 7) * scale).view(o, i)


def group_scale(w, moments):
    """Scale of each row of one group: of 40 candidates the one with the least error, weighted by the inputs' moments."""
    top = w.abs().amax(1, keepdim=True).clamp(min=1e-6) * 2 / 15
    least = best = None
    for ratio in np.linspace(.62, 1.07, 40):
        scale = (top * float(ratio)).half().float().clamp(min=6e-8)
        error = ((torch.clamp(torch.round(w / scale), -8, 7) * scale - w).pow(2) * moments).sum(1, keepdim=True)
        if best is None:
            least, best = error, scale
        else:
            best = torch.where(error < least, scale, best)
            least = torch.minimum(error, least)
    return best


def _inverse_factor(hessian):
    """Upper Cholesky factor of the inverse, with as much damping as it takes."""
    damping = .01 * torch.diag(hessian).mean()
    for _ in range(7):
        try:
            damped = hessian + damping * torch.eye(len(hessian), device=hessian.device, dtype=hessian.dtype)
            u = torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(damped)), upper=True)
            if torch.isfinite(u).all():
                return u
        except RuntimeError:  # not positive definite
            pass
        damping = damping * 10
    raise RuntimeError("no damping makes the second moments positive definite")


def gptq(weight, hessian):
    """Column by column; each column's error is passed on to those not yet rounded. (codes, scales, dequantized)"""
    w = weight.clone().float() if weight.is_cuda else weight.clone().double()
    outputs, n = w.shape
    hessian = hessian.double()
    dead = torch.diag(hessian) <= 0
    hessian[dead, dead] = 1
    w[:, dead] = 0
    u, moments = _inverse_factor(hessian).to(w.dtype), torch.diag(hessian).float()
    codes = torch.zeros(outputs, n, device=w.device, dtype=torch.int32)
    scales = torch.zeros(outputs, n // GROUP, device=w.device)
    result = torch.zeros_like(w)
    for g in range(n // GROUP):
        a, b = g * GROUP, (g + 1) * GROUP
        part, factor, errors = w[:, a:b].clone(), u[a:b, a:b], torch.zeros(outputs, GROUP, device=w.device, dtype=w.dtype)
        scales[:, g] = group_scale(part.float(), moments[a:b])[:, 0]
        scale = scales[:, g].to(w.dtype)
        for j in range(GROUP):
            q = torch.clamp(torch.round(part[:, j] / scale), -8, 7)
            codes[:, a + j], result[:, a + j] = q.int(), q * scale
            errors[:, j] = (part[:, j] - q * scale) / factor[j, j]
            part[:, j + 1:] -= errors[:, j, None] * factor[j, None, j + 1:]
        w[:, b:] -= errors @ u[a:b, b:]
    return codes, scales, result.float()


def pack(codes, scales):
    """qweight, qzeros, scales, g_idx as GPTQ checkpoints have them (version 1: the zero point is stored less one)."""
    o, n = codes.shape
    u = (codes + 8).cpu().numpy().astype(np.uint32).T.reshape(n // 8, 8, o)
    words = np.zeros((n // 8, o), np.uint32)
    for k in range(8):
        words |= u[:, k] << np.uint32(4 * k)
    zeros = np.full((n // GROUP, o // 8), 0x77777777, np.uint32)
    return dict(qweight=words.view(np.int32), qzeros=zeros.view(np.int32),
                scales=scales.cpu().numpy().T.astype(np.float16).copy(), g_idx=(np.arange(n) // GROUP).astype(np.int32))


def unpack(packed):
    """Dequantized float32 [outputs, inputs], read as a loader would."""
    u, z = packed["qweight"].view(np.uint32), packed["qzeros"].view(np.uint32)
    n, o = u.shape[0] * 8, u.shape[1]
    w = np.stack([(u >> np.uint32(4 * k)) & 15 for k in range(8)], 1).reshape(n, o).astype(np.int32)
    zero = np.stack([(z >> np.uint32(4 * k)) & 15 for k in range(8)], 2).reshape(z.shape[0], o).astype(np.int32) + 1
    group = packed["g_idx"]
    return ((w - zero[group]) * packed["scales"].astype(np.float32)[group]).T.copy()


def _inside_documents(ids):
    """Attention as in training: no token sees the document before its own."""
    mask = attention.slow_mask(ids)
    return lambda q, k, v: attention.plain(q, k, v, mask)


def _stage_inputs(block, stage, hidden, ids, cos, sin, batch):
    """Inputs of the products of one stage, at tokens that are no padding."""
    attn, mlp = block.self_attn, block.mlp
    for i in range(0, len(hidden), batch):
        x, shown = hidden[i:i + batch], ids[i:i + batch].to(hidden.device)
        y = block.input_layernorm(x)
        if stage >= 1:
            y = attn.mix(*attn.project(y), cos, sin, attend=_inside_documents(shown))
        if stage >= 2:
            x = x + F.linear(y, attn.o_proj.weight)
            y = block.post_attention_layernorm(x)
        if stage == 3:
            y = mlp.inner(y)
        yield y[shown != PAD].float()


@torch.no_grad()
def quantize(state, rows, device):
    """Block after block in the order of the computation; each step sees what was quantized before it.
    rows: integer [samples, tokens]. Returns name -> (codes, scales)."""
    net = model.Llama(CONFIG, torch.float32).to(device)
    net.load_state_dict(state)
    net.eval()
    ids = torch.from_numpy(rows.astype(np.int64))
    batch = 16 if device == "cuda" else 2
    hidden = torch.cat([net.model.embed_tokens(ids[i:i + batch].to(device)) for i in range(0, len(ids), batch)])
    cos, sin, out = net.cos[:ids.shape[1]], net.sin[:ids.shape[1]], {}
    for number, block in enumerate(net.model.layers):
        for stage, names in enumerate(STAGES):
            hessian = 0
            for y in _stage_inputs(block, stage, hidden, ids, cos, sin, batch):
                hessian = hessian + y.t() @ y
            for name in names:
                module = block.get_submodule(name)
                codes, scales, result = gptq(module.weight.data, hessian)
                module.weight.data.copy_(result)
                out["model.layers.%d.%s" % (number, name)] = (codes.cpu(), scales.cpu())
        for i in range(0, len(hidden), batch):
            attend = _inside_documents(ids[i:i + batch].to(hidden.device))
            hidden[i:i + batch] = block(hidden[i:i + batch], cos, sin, attend=attend)
    return out


def int8_rows(weight):
    """One scale a row, symmetric: (int8 codes, float32 scales), as the engine holds its head."""
    scale = weight.abs().amax(1).clamp(min=1e-8) / 127
    return torch.clamp(torch.round(weight / scale[:, None]), -127, 127).to(torch.int8), scale
