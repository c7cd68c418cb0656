#!/usr/bin/env python3
"""Writes a random bf16 checkpoint in Hugging Face layout, in shards of at most 4 GB; wants torch for more than a toy.

    make_checkpoint.py DIR [--shape llama-3-8b|toy] [--layers N] [--seed N]

Norm weights differ from one and attention is as uneven as a trained model's, so that mistakes show. The tokenizer is
that of the pocket model; the rest of the vocabulary has embeddings and no text. (Without torch numbers come from
Python's own generator: half a minute for ten million.)
"""
import argparse
import array
import concurrent.futures
import json
import pathlib
import random
import shutil
import struct
import sys
import time

try:
    import torch
except ImportError:
    torch = None

POCKET = pathlib.Path(__file__).resolve().parents[3] / 'engine/models/pocket'
SHARD_BYTES = 4 << 30
PIECE = 1 << 26  # numbers that are drawn at a time
SHAPES = {
    'llama-3-8b': dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
                       num_key_value_heads=8, head_dim=128, vocab_size=128256, rope_theta=500000.0),
    'toy': dict(hidden_size=256, intermediate_size=384, num_hidden_layers=2, num_attention_heads=4,
                num_key_value_heads=2, head_dim=64, vocab_size=16384, rope_theta=10000.0),
}


def make_config(shape, n_layers):
    pocket = json.loads((POCKET / 'config.json').read_text(encoding='utf-8'))
    config = dict(SHAPES[shape])
    if n_layers:
        config['num_hidden_layers'] = n_layers
    config.update(architectures=['LlamaForCausalLM'], model_type='llama', max_position_embeddings=8192,
                  rms_norm_eps=1e-5, hidden_act='silu', tie_word_embeddings=False, torch_dtype='bfloat16',
                  bos_token_id=pocket['bos_token_id'], eos_token_id=pocket['eos_token_id'])
    return config


def tensors_of(config):
    """(name, shape, deviation or None for a norm), in the order of the files."""
    hidden, ffn, vocab = config['hidden_size'], config['intermediate_size'], config['vocab_size']
    q_rows = config['num_attention_heads'] * config['head_dim']
    kv_rows = config['num_key_value_heads'] * config['head_dim']
    one = hidden ** -0.5  # keeps what comes out as large as what goes in
    yield 'model.embed_tokens.weight', (vocab, hidden), 1.0
    for i in range(config['num_hidden_layers']):
        layer = f'model.layers.{i}.'
        yield layer + 'input_layernorm.weight', (hidden,), None
        yield layer + 'self_attn.q_proj.weight', (q_rows, hidden), 1.6 * one
        yield layer + 'self_attn.k_proj.weight', (kv_rows, hidden), 1.6 * one
        yield layer + 'self_attn.v_proj.weight', (kv_rows, hidden), one
        yield layer + 'self_attn.o_proj.weight', (hidden, q_rows), 0.5 * q_rows ** -0.5
        yield layer + 'post_attention_layernorm.weight', (hidden,), None
        yield layer + 'mlp.gate_proj.weight', (ffn, hidden), one
        yield layer + 'mlp.up_proj.weight', (ffn, hidden), one
        yield layer + 'mlp.down_proj.weight', (hidden, ffn), 0.5 * ffn ** -0.5
    yield 'model.norm.weight', (hidden,), None
    yield 'lm_head.weight', (vocab, hidden), one


def count_of(shape):
    count = 1
    for n in shape:
        count *= n
    return count


def shards_of(tensors):
    shard, size = [], 0
    for tensor in tensors:
        n_bytes = 2 * count_of(tensor[1])
        if shard and size + n_bytes > SHARD_BYTES:
            yield shard
            shard, size = [], 0
        shard.append(tensor)
        size += n_bytes
    yield shard


class TorchNumbers:
    def __init__(self, seed):
        self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def bf16(self, n, deviation):
        """The bytes of n numbers."""
        if deviation is None:
            values = torch.rand(n, device=self.device, generator=self.generator).mul_(0.8).add_(0.6)
        else:
            values = torch.randn(n, device=self.device, generator=self.generator).mul_(deviation)
        return memoryview(values.to(torch.bfloat16).cpu().view(torch.uint8).numpy())


class PlainNumbers:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def bf16(self, n, deviation):
        if deviation is None:
            floats = array.array('f', (self.random.uniform(0.6, 1.4) for _ in range(n)))
        else:
            floats = array.array('f', (self.random.gauss(0, deviation) for _ in range(n)))
        return array.array('H', floats.tobytes())[1::2].tobytes()  # the upper halves: rounded towards zero


def write_shard(path, tensors, seed):
    header, at = {}, 0
    for name, shape, _ in tensors:
        n_bytes = 2 * count_of(shape)
        header[name] = {'dtype': 'BF16', 'shape': list(shape), 'data_offsets': [at, at + n_bytes]}
        at += n_bytes
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    numbers = PlainNumbers(seed) if torch is None else TorchNumbers(seed)
    with open(path, 'wb', buffering=0) as file:
        for piece in [struct.pack('<Q', len(text)), text]:
            file.write(piece)
        for _, shape, deviation in tensors:
            left = count_of(shape)
            while left > 0:
                n = min(left, PIECE)
                piece = memoryview(numbers.bf16(n, deviation))
                while piece:  # an unbuffered write may take a part
                    piece = piece[file.write(piece):]
                left -= n
    return at


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('directory', type=pathlib.Path)
    parser.add_argument('--shape', default='llama-3-8b', choices=sorted(SHAPES))
    parser.add_argument('--layers', type=int, default=0)
    parser.add_argument('--seed', type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    config = make_config(arguments.shape, arguments.layers)
    arguments.directory.mkdir(parents=True)
    shards = list(shards_of(tensors_of(config)))
    names = [f'model-{i + 1:05}-of-{len(shards):05}.safetensors' for i in range(len(shards))]
    index = {tensor[0]: name for name, shard in zip(names, shards) for tensor in shard}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        sizes = list(pool.map(lambda i: write_shard(arguments.directory / names[i], shards[i],
                                                    1000 * arguments.seed + i), range(len(shards))))
    (arguments.directory / 'model.safetensors.index.json').write_text(
        json.dumps({'metadata': {'total_size': sum(sizes)}, 'weight_map': index}), encoding='utf-8')
    (arguments.directory / 'config.json').write_text(json.dumps(config, indent=1), encoding='utf-8')
    for name in ('tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json', 'pocket.json'):
        shutil.copy(POCKET / name, arguments.directory / name)
    print(f'made {arguments.shape} with {config["num_hidden_layers"]} layers: {sum(sizes) / 1e9:.2f} GB in '
          f'{len(shards)} files, {time.monotonic() - began:.1f} s', file=sys.stderr)


if __name__ == '__main__':
    main()
