#!/usr/bin/env python3
"""Compares our teacher-forced logits with Hugging Face's LlamaForCausalLM; wants torch and transformers.

    compare.py DIR [--device cuda|cpu]

DIR is what oracle_model wrote: plain weights, tokens and our logits. The weights go dequantised into an fp32 model,
which is the truth, and into a bf16 model, whose error is the yardstick: exits with 1 when one of our passes is further
from the truth than 1.2 times the bf16 model is, or when passes that must agree to the bit do not.
"""
import argparse
import gc
import json
import pathlib
import sys
import time

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

ALLOWED = 1.2  # times the error of the bf16 model
ROWS = 128     # positions looked at together: their logits in double precision take memory
START = time.monotonic()


def say(text):
    print(f'{time.monotonic() - START:6.1f} s  {text}', file=sys.stderr, flush=True)


def whole_numbers_only():
    """Nothing of the reference may be rounded to TF32 or summed in half precision."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.set_float32_matmul_precision('highest')
    torch.set_grad_enabled(False)


class Weights:
    """The plain files of one model, dequantised on the device one at a time."""

    def __init__(self, directory, manifest, device):
        self.directory, self.device = directory, device
        self.matrices = {matrix['name']: matrix for matrix in manifest['matrices']}

    def _file(self, name, count, dtype):
        values = torch.from_file(str(self.directory / name), shared=False, size=count, dtype=dtype)
        return values.to(self.device)

    def __call__(self, name):
        """fp32 [rows, cols], or [cols] for the weights of a norm."""
        m = self.matrices[name]
        rows, cols = m['rows'], m['cols']
        if m['kind'] == 'float':
            return self._file(m['values'], cols, torch.float32)
        if m['kind'] == 'half':
            return self._file(m['values'], rows * cols, torch.float16).view(rows, cols).float()
        if m['kind'] == 'int8':
            q = self._file(m['values'], rows * cols, torch.int8).view(rows, cols)
            return q.float() * self._file(m['scales'], rows, torch.float32).view(rows, 1)
        n_groups = -(-cols // m['group'])
        pairs = self._file(m['values'], rows * cols // 2, torch.uint8)
        q = torch.stack((pairs & 15, pairs >> 4), dim=-1).view(rows, cols).float() - 8
        scales = self._file(m['scales'], rows * n_groups, torch.float16).view(rows, n_groups).float()
        return q.mul_(scales.repeat_interleave(m['group'], dim=1)[:, :cols])


def parameters(config, weights):
    """(name in LlamaForCausalLM, fp32 tensor) of everything the model has."""
    yield 'model.embed_tokens.weight', weights('embedding')
    yield 'model.norm.weight', weights('final_norm')
    yield 'lm_head.weight', weights('head')
    q_rows = config['num_attention_heads'] * config['head_dim']
    kv_rows = config['num_key_value_heads'] * config['head_dim']
    for i in range(config['num_hidden_layers']):
        ours, theirs = f'layers.{i}.', f'model.layers.{i}.'
        yield theirs + 'input_layernorm.weight', weights(ours + 'input_norm')
        yield theirs + 'post_attention_layernorm.weight', weights(ours + 'post_norm')
        q, k, v = weights(ours + 'qkv').split((q_rows, kv_rows, kv_rows))
        yield theirs + 'self_attn.q_proj.weight', q
        yield theirs + 'self_attn.k_proj.weight', k
        yield theirs + 'self_attn.v_proj.weight', v
        yield theirs + 'self_attn.o_proj.weight', weights(ours + 'out')
        gate, up = weights(ours + 'gate_up').split(config['intermediate_size'])
        yield theirs + 'mlp.gate_proj.weight', gate
        yield theirs + 'mlp.up_proj.weight', up
        yield theirs + 'mlp.down_proj.weight', weights(ours + 'down')


def check_rope(model, config):
    """A rope_theta that the library overlooked would make both of its models wrong in the same way."""
    if config.get('rope_scaling'):
        return
    pair = torch.arange(0, config['head_dim'], 2, dtype=torch.float64)
    wanted = config['rope_theta'] ** (-pair / config['head_dim'])
    found = model.model.rotary_emb.inv_freq.double().cpu()
    if found.shape != wanted.shape or not torch.allclose(found, wanted, rtol=1e-5):
        sys.exit('compare: LlamaForCausalLM does not rotate by the rope_theta of the config')


def build_model(config, weights, device):
    # Eager attention is plain fp32 products and softmax, whatever kernels this build of torch has.
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(LlamaConfig.from_dict(config), attn_implementation='eager')
    model.eval()
    if model.dtype != torch.float32:
        sys.exit(f'compare: want an fp32 model, found {model.dtype}')
    check_rope(model, config)
    missing = dict(model.named_parameters())
    for name, tensor in parameters(config, weights):
        missing.pop(name).copy_(tensor)
    if missing:
        sys.exit(f'compare: without weights: {", ".join(missing)}')
    return model


def logits_of(model, tokens):
    return model(input_ids=tokens, use_cache=False).logits[0]


def reference_logits(manifest, directory, device):
    """(fp32, bf16) logits [n, vocab]; the models are gone afterwards."""
    tokens = torch.tensor([manifest['tokens']], device=device)
    model = build_model(manifest['config'], Weights(directory, manifest, device), device)
    say('built the fp32 model')
    truth = logits_of(model, tokens)
    say('ran the fp32 model')
    # Parameters alone, as a checkpoint is loaded: the rotation's frequencies stay fp32.
    for parameter in model.parameters():
        parameter.data = parameter.data.to(torch.bfloat16)
    if hasattr(model, 'set_attn_implementation'):
        model.set_attn_implementation('sdpa')  # how people run bf16; more exact than eager there
    bf16 = logits_of(model, tokens)
    if bf16.dtype != torch.bfloat16:
        sys.exit(f'compare: want bf16 logits of the bf16 model, found {bf16.dtype}')
    say('ran the bf16 model')
    del model
    gc.collect()
    return truth, bf16


class Score:
    """How far logits are from the truth, over all positions."""

    def __init__(self, truth, logits, clear_margin=None):
        """logits: a function from a range of rows to them."""
        n, vocab = truth.shape
        error = size = torch.zeros((), dtype=torch.float64, device=truth.device)
        self.max_error = self.worst_row = 0.0
        self.finite = True
        same, clear, clear_same = 0, 0, 0
        for begin in range(0, n, ROWS):
            rows = slice(begin, min(n, begin + ROWS))
            wanted, found = truth[rows].double(), logits(rows).double()
            difference = found - wanted
            self.finite &= bool(torch.isfinite(found).all())
            row_error, row_size = difference.square().sum(1), wanted.square().sum(1)
            error, size = error + row_error.sum(), size + row_size.sum()
            self.worst_row = max(self.worst_row, float((row_error / row_size).sqrt().max()))
            self.max_error = max(self.max_error, float(difference.abs().max()))
            agrees = found.argmax(1) == wanted.argmax(1)
            same += int(agrees.sum())
            if clear_margin is not None:
                top = wanted.topk(2, dim=1).values
                is_clear = top[:, 0] - top[:, 1] > clear_margin
                clear += int(is_clear.sum())
                clear_same += int((agrees & is_clear).sum())
        self.relative = float((error / size).sqrt())
        self.deviation = float((error / (n * vocab)).sqrt())
        self.top1 = same / n
        self.clear = (clear_same, clear)


def our_logits(directory, file, like):
    n, vocab = like.shape
    values = torch.from_file(str(directory / file), shared=False, size=n * vocab, dtype=torch.float32)
    return values.view(n, vocab).to(like.device)


def row_of(name, score, yardstick=None):
    ratio = '' if yardstick is None else f'{score.relative / yardstick.relative:.3f}'
    max_ratio = '' if yardstick is None else f'{score.max_error / yardstick.max_error:.3f}'
    clear = '' if score.clear[1] == 0 else f'{score.clear[0]}/{score.clear[1]}'
    return (name, f'{score.relative:.3e}', ratio, f'{score.worst_row:.3e}', f'{score.max_error:.3e}', max_ratio,
            f'{100 * score.top1:.2f} %', clear)


def print_table(rows):
    heading = ('logits against fp32', 'rel. RMS', '/ bf16', 'worst row', 'max error', '/ bf16', 'same top 1', 'clear ones')
    widths = [max(len(row[i]) for row in [heading] + rows) for i in range(len(heading))]
    for row in [heading] + rows:
        print('  '.join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))))


def faults_of(entry, score, yardstick):
    if not score.finite:
        yield f'{entry["name"]}: logits that are not finite'
    if not score.relative <= ALLOWED * yardstick.relative:
        yield f'{entry["name"]}: relative error {score.relative / yardstick.relative:.2f} x that of bf16'
    if not score.worst_row <= ALLOWED * yardstick.worst_row:
        yield f'{entry["name"]}: worst position {score.worst_row / yardstick.worst_row:.2f} x that of bf16'
    if not score.max_error <= ALLOWED * yardstick.max_error:
        yield f'{entry["name"]}: largest error {score.max_error / yardstick.max_error:.2f} x that of bf16'


def compare(directory, device):
    manifest = json.loads((directory / 'manifest.json').read_text(encoding='utf-8'))
    truth, bf16 = reference_logits(manifest, directory, device)
    # Where the truth's best leads by six deviations of the bf16 model's error, the order is no accident.
    margin = 6 * Score(truth, lambda rows: bf16[rows]).deviation
    yardstick = Score(truth, lambda rows: bf16[rows], margin)
    rows, faults = [row_of('Hugging Face, bf16', yardstick)], []
    for entry in manifest['passes']:
        ours = our_logits(directory, entry['file'], truth)
        score = Score(truth, lambda at, ours=ours: ours[at], margin)
        rows.append(row_of(entry['name'], score, yardstick))
        faults += faults_of(entry, score, yardstick)
        if entry['same_bits_as']:
            other = our_logits(directory, entry['same_bits_as'], truth)
            n_differ = int((ours.view(torch.int32) != other.view(torch.int32)).any(1).sum())
            if n_differ > 0:
                faults.append(f'{entry["name"]}: {n_differ} positions differ from {entry["same_bits_as"]}, want none')
        say(entry['name'])
    n, vocab = truth.shape
    size = float(truth.double().square().mean().sqrt())
    print(f'{manifest["shape"]}, {manifest["config"]["num_hidden_layers"]} layers, on {manifest.get("device")}: {n} '
          f'positions x {vocab} logits of size {size:.3f}; clear: the best leads by {margin:.3f}', flush=True)
    print_table(rows)
    return faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('directory', type=pathlib.Path)
    parser.add_argument('--device', default='cuda', choices=('cuda', 'cpu'))
    arguments = parser.parse_args()
    whole_numbers_only()
    faults = compare(arguments.directory, arguments.device)
    for fault in faults:
        print(f'compare: {fault}')
    print('compare: FAILED' if faults else f'compare: passed: every error is within {ALLOWED} x that of bf16')
    return 1 if faults else 0


if __name__ == '__main__':
    sys.exit(main())
