"""Attention in several ways, and the choice among them.

A training row holds several documents one behind the other. The kinds "documents" and "packed" let no token see the
document before its own, which also saves the time of looking there; the others see all of the row. Which of them a
machine has, and which is fastest, is tried at the start (choose); each must give what the slow one gives."""
import inspect
import math
import time

import torch
import torch.nn.functional as F

from tokenizer import BOS

MODERN = int(torch.__version__.split(".")[0]) >= 2  # has scaled_dot_product_attention
BLOCK = 128  # tokens of a side of a block in the mask of "documents"
HIGHER_IS_BETTER = ("documents", "packed")  # teach nothing wrong: preferred unless a good deal slower


def repeated(k, n):
    return k.repeat_interleave(n, 1) if n > 1 else k


def plain(q, k, v, mask=None):
    """q: [batch, heads, new, d]; k, v: [batch, kv heads, all, d]; causal, or by an additive mask."""
    n = q.shape[1] // k.shape[1]
    k, v = repeated(k, n), repeated(v, n)
    if MODERN:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
    scores = (q @ k.transpose(-1, -2)) / math.sqrt(q.shape[-1])
    if mask is None:
        t = q.shape[2]
        mask = torch.full((t, t), float("-inf"), device=q.device).triu(1)
    return (scores + mask).softmax(-1) @ v


def grouped(q, k, v, scope=None):
    """The same, causal; only where a fused kernel takes fewer key heads than query heads."""
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


def by_cudnn(q, k, v, scope=None):
    """The same by cuDNN's kernels, which PyTorch takes only if it is told to."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        return grouped(q, k, v)


def document_numbers(ids):
    """int [rows, tokens]: counts the documents of each row; each begins with its first token."""
    return (ids == BOS).cumsum(1)


def slow_mask(ids):
    """Additive float mask [rows, 1, tokens, tokens]: causal, and inside the documents."""
    number, place = document_numbers(ids), torch.arange(ids.shape[1], device=ids.device)
    seen = (number[:, :, None] == number[:, None, :]) & (place[None, :, None] >= place[None, None, :])
    return torch.zeros(seen.shape, device=ids.device).masked_fill(~seen, float("-inf"))[:, None]


def block_lists(number):
    """From document numbers, which never fall along a row: which blocks of keys a block of queries sees in part and
    which whole. Two pairs (count [rows, 1, blocks], indices [rows, 1, blocks, blocks]), as BlockMask wants them."""
    first, last = number[:, ::BLOCK], number[:, BLOCK - 1::BLOCK]
    blocks = torch.arange(first.shape[1], device=number.device)
    earlier = blocks[:, None] > blocks[None, :]
    here = blocks[:, None] == blocks[None, :]
    seen = (earlier & (last[:, None, :] >= first[:, :, None])) | here
    whole = earlier & (first[:, None, :] == last[:, :, None])
    lists = []
    for chosen in (seen & ~whole, whole):
        chosen = chosen[:, None].to(torch.int32)
        order = chosen.argsort(dim=-1, descending=True, stable=True).to(torch.int32)
        lists += [chosen.sum(-1, dtype=torch.int32).contiguous(), order.contiguous()]
    return lists


def document_blocks(ids):
    from torch.nn.attention.flex_attention import BlockMask
    number = document_numbers(ids)

    def seen(row, head, query, key):
        return (query >= key) & (number[row, query] == number[row, key])

    return BlockMask.from_kv_blocks(*block_lists(number), BLOCK_SIZE=BLOCK, mask_mod=seen)


def documents(q, k, v, scope):
    from torch.nn.attention.flex_attention import flex_attention
    return flex_attention(q, k, v, block_mask=scope, enable_gqa=True)


MOST_ERROR = .05
MOST_DOCUMENTS = 96  # of a row on average, for "packed"; the last one takes what is more


def document_ends(ids):
    """int32 [most + 1]: where the documents of all rows begin, the rows one behind the other; filled with the end."""
    rows, tokens = ids.shape
    begins = ids == BOS
    begins[:, 0] = True
    most = MOST_DOCUMENTS * rows
    at = torch.arange(rows * tokens, device=ids.device)
    place = torch.where(begins.reshape(-1), at, rows * tokens)
    place = place.sort().values[:most]
    return torch.cat([place, place.new_full((1,), rows * tokens)]).to(torch.int32)


def packed(q, k, v, scope):
    from torch.nn.attention.varlen import varlen_attn
    rows, heads, tokens, d = q.shape
    q, k, v = (x.transpose(1, 2).reshape(rows * tokens, x.shape[1], d) for x in (q, repeated(k, heads // k.shape[1]),
                                                                                 repeated(v, heads // v.shape[1])))
    causal = dict(is_causal=True) if "is_causal" in inspect.signature(varlen_attn).parameters else dict(window_size=(-1, 0))
    y = varlen_attn(q, k, v, scope, scope, tokens, tokens, **causal)
    return y.view(rows, tokens, heads, d).transpose(1, 2)


KINDS = dict(documents=(documents, document_blocks), packed=(packed, document_ends), grouped=(grouped, None),
             cudnn=(by_cudnn, None), plain=(lambda q, k, v, scope: plain(q, k, v), None))
CHOSEN = "plain"


def scope_of(ids):
    """What the chosen kind wants to know of a micro-batch of ids, made once for all layers."""
    make = KINDS[CHOSEN][1]
    return make(ids) if make else None


def training(q, k, v, scope):
    return KINDS[CHOSEN][0](q, k, v, scope)


def _inputs(rows, length, config, device):
    generator = torch.Generator(device="cpu").manual_seed(7)
    ids = torch.randint(0, 16000, (rows, length), generator=generator)
    ids[torch.rand(rows, length, generator=generator) < 1 / 600] = BOS
    ids[:, 0] = BOS
    shape = lambda heads: (rows, heads, length, config["hidden"] // config["heads"])
    make = lambda heads: torch.randn(shape(heads), generator=generator).to(device, torch.bfloat16).requires_grad_()
    return ids.to(device), make(config["heads"]), make(config["kv"]), make(config["kv"])


def _compiled(kind):
    function, make = KINDS[kind]
    return torch.compile(lambda q, k, v, ids: function(q, k, v, make(ids) if make else None), dynamic=False)


def _passes(attend, q, k, v, ids):
    y = attend(q, k, v, ids)
    return y, torch.autograd.grad(y.float().square().sum(), (q, k, v))


def tried(kind, config, device, rows, length):
    """Seconds of both passes of one layer, and the largest relative error of output and gradients against the slow way
    in float32 (bfloat16 itself is good for a hundredth; a token that sees a wrong document gives far more)."""
    ids, q, k, v = _inputs(rows, length, config, device)
    attend = _compiled(kind)
    y, gradient = _passes(attend, q, k, v, ids)
    slow = [x.detach().float().requires_grad_() for x in (q, k, v)]
    want = plain(*slow, mask=slow_mask(ids) if KINDS[kind][1] else None)
    wanted = torch.autograd.grad(want.square().sum(), slow)
    error = max(float((a.float() - b).norm() / b.norm()) for a, b in zip((y, *gradient), (want, *wanted)))
    torch.cuda.synchronize()
    start = time.time()
    for _ in range(5):
        _passes(attend, q, k, v, ids)
    torch.cuda.synchronize()
    return (time.time() - start) / 5, error


def choose(config, device, rows, length, say):
    """Kinds that work here, best first; the last is always "plain"."""
    times = {}
    for kind in ("documents", "packed", "grouped", "cudnn"):
        try:
            seconds, error = tried(kind, config, device, rows, length)
            say("attention %s: %.2f ms a layer for %d x %d, error %.4f" % (kind, seconds * 1e3, rows, length, error))
            if error < MOST_ERROR:
                times[kind] = seconds
        except Exception as e:  # any refusal means: without
            say("attention %s: not here (%s: %s)" % (kind, type(e).__name__, str(e)[:200].replace("\n", " ")))
    best = sorted(times, key=lambda kind: times[kind] * (.8 if kind in HIGHER_IS_BETTER else 1))
    return best + ["plain"]
