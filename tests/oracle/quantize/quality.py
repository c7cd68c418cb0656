#!/usr/bin/env python3
"""How far quantised models are from the model in full precision, whoever quantised them; wants torch and transformers.

    quality.py DENSE TOKENS NAME=DIR... [--device cuda|cpu]

DENSE is a Hugging Face checkpoint in full precision. TOKENS is a JSON file: a list of sequences, lists of token ids that
no quantiser has seen. A DIR is what `oracle_model --export-only` wrote of a model of ours, or a GPTQ checkpoint (version 1,
symmetric, without desc_act). Every model is LlamaForCausalLM in fp32 with dequantised weights, so only the weights differ.
Prints, over all positions: mean KL divergence from DENSE's next-token distribution in nats, share of positions with the
same most probable token, mean loss of the token that came.
"""
import argparse
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, LlamaConfig

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / 'model'))
import compare  # noqa: E402


def dense_model(directory, device):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation='sdpa')
    return model.to(device).eval()


def exported_model(directory, device):
    manifest = json.loads((directory / 'manifest.json').read_text(encoding='utf-8'))
    config = {**manifest['config'], 'tie_word_embeddings': False}  # the INT8 head is not the embedding
    return compare.build_model(config, compare.Weights(directory, manifest, device), device)


def dequantised(tensors, base, group):
    """fp32 [outputs, inputs] of qweight [inputs / 8, outputs] and scales [inputs / group, outputs]."""
    words = tensors[base + '.qweight']
    shifts = torch.arange(0, 32, 4, dtype=torch.int32, device=words.device).view(1, 8, 1)
    q = (words.unsqueeze(1) >> shifts & 15).reshape(-1, words.shape[1]).float() - 8
    return (q * tensors[base + '.scales'].float().repeat_interleave(group, dim=0)).t()


def gptq_model(directory, device):
    config = json.loads((directory / 'config.json').read_text(encoding='utf-8'))
    quant = config.pop('quantization_config')
    if quant['quant_method'] != 'gptq' or quant['bits'] != 4 or quant['desc_act'] or not quant['sym']:
        sys.exit(f'quality: {directory}: want symmetric 4-bit GPTQ without desc_act, found {quant}')
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(LlamaConfig.from_dict(config), attn_implementation='sdpa').float().eval()
    tensors = load_file(directory / 'model.safetensors', device=device)
    for name, parameter in model.named_parameters():
        base = name.removesuffix('.weight')
        parameter.copy_(dequantised(tensors, base, quant['group_size']) if base + '.qweight' in tensors else tensors[name])
    return model


def open_model(directory, device):
    directory = pathlib.Path(directory)
    return (exported_model if (directory / 'manifest.json').exists() else gptq_model)(directory, device)


def log_probabilities(model, sequence, device):
    ids = torch.tensor([sequence], device=device)
    return model(input_ids=ids, use_cache=False).logits[0, :-1].float().log_softmax(-1)


class Sums:
    def __init__(self):
        self.n, self.divergence, self.same, self.loss = 0, 0.0, 0, 0.0

    def add(self, truth, found, targets):
        self.n += len(targets)
        self.divergence += float((truth.exp() * (truth - found)).sum(-1).double().sum())
        self.same += int((truth.argmax(-1) == found.argmax(-1)).sum())
        self.loss -= float(found.gather(1, targets.unsqueeze(1)).double().sum())

    def row(self):
        return f'{self.divergence / self.n:10.4f}  {100 * self.same / self.n:6.2f} %  {self.loss / self.n:8.4f}'


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('dense')
    parser.add_argument('tokens')
    parser.add_argument('models', nargs='+')
    parser.add_argument('--device', default='cuda')
    a = parser.parse_args()
    compare.whole_numbers_only()
    sequences = json.loads(pathlib.Path(a.tokens).read_text(encoding='utf-8'))
    models = {'full precision': dense_model(a.dense, a.device)}
    for entry in a.models:
        name, _, directory = entry.partition('=')
        models[name] = open_model(directory, a.device)
    sums = {name: Sums() for name in models}
    for sequence in sequences:
        targets = torch.tensor(sequence[1:], device=a.device)
        truth = None
        for name, model in models.items():
            found = log_probabilities(model, sequence, a.device)
            truth = found if truth is None else truth
            sums[name].add(truth, found, targets)
    width = max(map(len, models))
    print(f'{len(sequences)} sequences, {sums["full precision"].n} tokens\n{"":{width}}     mean KL      top-1      loss')
    for name, one in sums.items():
        print(f'{name:{width}}  {one.row()}')


if __name__ == '__main__':
    main()
