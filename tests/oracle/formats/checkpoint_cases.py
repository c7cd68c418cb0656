"""The checkpoints that tests/golden/checkpoints is about: configuration, weights in doubles, and the files of each."""

import dataclasses
import json

import numpy as np

import gguf_files
import hashed_numbers as hashed
import quantised_files as quantised

VOCAB = 272  # 256 bytes, five merges, eleven special tokens
BOS, EOS, EOT = 261, 262, 265  # those of tests/support/tiny_checkpoint.h
N_TOKENS = 40  # more than two pages of the KV cache; more where a case says so
SPECIAL = ['<|begin_of_text|>', '<|end_of_text|>', '<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>',
           '<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|fim_pad|>', '<|repo_name|>', '<|file_sep|>']

# Stretched contexts are short, so that 40 positions see both ends of each scaling and the ramp between.
LLAMA3 = {'rope_type': 'llama3', 'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
          'original_max_position_embeddings': 32}
LLAMA31 = {**LLAMA3, 'original_max_position_embeddings': 8192}  # what GGUF's divisors are recognised as
LINEAR = {'rope_type': 'linear', 'factor': 4.0}
YARN = {'rope_type': 'yarn', 'factor': 4.0, 'original_max_position_embeddings': 32}
OWN_YARN = {'type': 'yarn', 'factor': 8.0, 'original_max_position_embeddings': 64, 'beta_fast': 4, 'beta_slow': 0.5,
            'attention_factor': 0.9}


@dataclasses.dataclass
class Case:
    name: str
    kind: str  # dense, quantised, gguf, saved
    config: dict
    weights: dict  # as transformers names them
    files: dict    # name: bytes
    info: dict     # for the test


def shape(hidden, heads, kv_heads, head_dim, ffn, layers=1, tied=False, eps=1e-5):
    return {'hidden_size': hidden, 'intermediate_size': ffn, 'num_hidden_layers': layers, 'num_attention_heads': heads,
            'num_key_value_heads': kv_heads, 'head_dim': head_dim, 'tie_word_embeddings': tied, 'rms_norm_eps': eps}


def older_config(model, theta=10000.0, scaling=None):
    """config.json as it was published with Llama 3."""
    return {'architectures': ['LlamaForCausalLM'], 'model_type': 'llama', 'hidden_act': 'silu', **model,
            'vocab_size': VOCAB, 'max_position_embeddings': 256, 'rope_theta': theta, 'rope_scaling': scaling,
            'attention_bias': False, 'mlp_bias': False, 'bos_token_id': BOS, 'eos_token_id': [EOS, EOT]}


def newer_config(model, theta=10000.0, scaling=None):
    """As transformers 5 writes it."""
    config = older_config(model)
    del config['rope_theta'], config['rope_scaling']
    config['rope_parameters'] = {'rope_type': 'default', **(scaling or {}), 'rope_theta': theta}
    return config


def linear_shapes(config):
    """name in a layer: (outputs, inputs)"""
    hidden, ffn, dim = config['hidden_size'], config['intermediate_size'], config['head_dim']
    q, kv = config['num_attention_heads'] * dim, config['num_key_value_heads'] * dim
    return {'self_attn.q_proj': (q, hidden), 'self_attn.k_proj': (kv, hidden), 'self_attn.v_proj': (kv, hidden),
            'self_attn.o_proj': (hidden, q), 'mlp.gate_proj': (ffn, hidden), 'mlp.up_proj': (ffn, hidden),
            'mlp.down_proj': (hidden, ffn)}


def linears(config, make=hashed.linear):
    """name: Linear, of all layers; make(name, outputs, inputs)"""
    return {f'model.layers.{i}.{name}': make(f'model.layers.{i}.{name}', rows, cols)
            for i in range(config['num_hidden_layers']) for name, (rows, cols) in linear_shapes(config).items()}


def other_weights(config):
    hidden = config['hidden_size']
    weights = {'model.embed_tokens.weight': hashed.table('model.embed_tokens', VOCAB, hidden)}
    for i in range(config['num_hidden_layers']):
        for name in ('input_layernorm', 'post_attention_layernorm'):
            weights[f'model.layers.{i}.{name}.weight'] = hashed.norm(f'model.layers.{i}.{name}', hidden)
    weights['model.norm.weight'] = hashed.norm('model.norm', hidden)
    if not config['tie_word_embeddings']:
        weights['lm_head.weight'] = hashed.table('lm_head', VOCAB, hidden)
    return weights


def weights_of(config, made):
    return {**other_weights(config), **{f'{name}.weight': linear.weights() for name, linear in made.items()}}


def json_bytes(value):
    return (json.dumps(value, indent=1) + '\n').encode()


def dense(name, config, dtype, shards=1):
    return Case(name, 'dense', config, weights_of(config, linears(config)), {'config.json': json_bytes(config)},
                {'dtype': dtype, 'shards': shards})


def dense_cases():
    small = shape(128, 4, 2, 64, 192, layers=2)
    wide = shape(192, 3, 1, 64, 96, layers=2, tied=True, eps=1e-6)  # attention as wide as the stream
    big_heads = shape(64, 2, 2, 128, 96, layers=2, tied=True)       # four times as wide; a key for each query
    grouped = shape(128, 2, 1, 128, 200, layers=2)                  # the last group of down_proj has eight inputs
    yield dense('plain_64', older_config(small), 'F32')
    yield dense('plain_128', newer_config(big_heads), 'BF16', shards=2)
    yield dense('theta_64', newer_config(wide, 500000.0), 'F16')
    yield dense('theta_128', older_config(grouped, 500000.0), 'BF16')
    yield dense('llama3_64', older_config(wide, 500000.0, LLAMA3), 'BF16', shards=3)
    yield dense('llama3_128', newer_config(grouped, 500000.0, LLAMA3), 'F16')
    yield dense('linear_64', newer_config(small, scaling=LINEAR), 'F16')
    yield dense('linear_128', older_config(big_heads, scaling={'type': 'linear', 'factor': 4.0}), 'F32')
    yield dense('yarn_64', older_config(small, 500000.0, YARN), 'BF16')
    yield dense('yarn_128', older_config(grouped, scaling=OWN_YARN), 'F16')
    yield dense('yarn_newer_64', newer_config(wide, scaling=OWN_YARN | {'rope_type': 'yarn'}), 'F32')


def packed(name, config, quantisation, pack, make=hashed.linear, beside=False):
    """Embedding, norms and head are numbers that the test makes; what is packed is a file."""
    made = linears(config, make)
    tensors = {}
    for linear_name, linear in made.items():
        tensors.update(pack(linear_name, linear))
    files = {'linears.safetensors': quantised.safetensors(tensors)}
    if beside:
        files['config.json'], files['quantize_config.json'] = json_bytes(config), json_bytes(quantisation)
    else:
        files['config.json'] = json_bytes({**config, 'quantization_config': quantisation})
    return Case(name, 'quantised', config, weights_of(config, made), files, {'dtype': 'F16'})


def made_with(**how):
    return lambda name, rows, cols: hashed.linear(name, rows, cols, **how)


def reordered(group):
    """Linears with the same inputs have the same order; those of down_proj can move."""
    def make(name, rows, cols):
        inputs = name.replace('k_proj', 'q_proj').replace('v_proj', 'q_proj').replace('up_proj', 'gate_proj')
        return hashed.reordered_linear(name, rows, cols, group, inputs + '.order', movable='down_proj' in name)
    return make


def quantised_cases():
    small, big_heads = shape(64, 2, 1, 64, 128), shape(64, 1, 1, 128, 128, tied=True)
    usual = shape(128, 2, 1, 64, 256)
    yield packed('gptq_v1_128', older_config(usual, 500000.0, LLAMA3), quantised.gptq_config(128), quantised.gptq,
                 made_with(group=128))
    yield packed('gptq_v1_zeros_32', older_config(small), quantised.gptq_config(32, sym=False),
                 lambda n, x: quantised.gptq(n, x, with_bias=True), made_with(zeros=(1, 16)), beside=True)
    yield packed('gptq_v2_zeros_64', newer_config(big_heads, 500000.0), quantised.gptq_config(64, 'gptq_v2', sym=False),
                 lambda n, x: quantised.gptq(n, x, stored_less=0), made_with(group=64, zeros=(0, 15)))
    yield packed('gptq_column', older_config(small, scaling=LINEAR), quantised.gptq_config(-1),
                 lambda n, x: quantised.gptq(n, x, with_index=False), made_with(group=-1))
    yield packed('gptq_desc_act', newer_config(small, 500000.0, YARN), quantised.gptq_config(32, desc_act=True),
                 quantised.gptq, reordered(32))
    yield packed('awq_32', older_config(small, 500000.0, YARN), quantised.awq_config(32), quantised.awq,
                 made_with(zeros=(0, 15)))
    yield packed('awq_64', newer_config(big_heads, 500000.0, LLAMA3), quantised.awq_config(64), quantised.awq,
                 made_with(group=64, zeros=(0, 15)))
    yield packed('compressed_32', newer_config(small, 500000.0, LLAMA3), quantised.compressed_config(32),
                 quantised.compressed)
    yield packed('compressed_zeros_64', older_config(big_heads, scaling=OWN_YARN),
                 quantised.compressed_config(64, symmetric=False),
                 lambda n, x: quantised.compressed(n, x, symmetric=False, scale_dtype='F16'),
                 made_with(group=64, zeros=(0, 15)))
    yield packed('compressed_channel', older_config(small, 500000.0), quantised.compressed_config(-1),
                 lambda n, x: quantised.compressed(n, x, scale_dtype='F32'), made_with(group=-1))
    yield packed('compressed_order', newer_config(small), quantised.compressed_config(32, actorder='group'),
                 lambda n, x: quantised.compressed(n, x, with_index=True), reordered(32))


def byte_alphabet():
    """GPT-2's: a character for each byte, printable ones stand for themselves; by code point."""
    printable = [b for b in range(256) if 33 <= b <= 126 or b >= 161 and b != 173]
    return sorted(map(chr, printable + [256 + i for i in range(256 - len(printable))]))


def gguf_metadata(name, config):
    _, kind, scaling = plain_rope(config)
    merges = ['r e', 'i n', 'o n', 'a t', 'e r']
    tokens = byte_alphabet() + [merge.replace(' ', '') for merge in merges] + SPECIAL
    metadata = {'general.architecture': 'llama', 'general.type': 'model', 'general.name': name,
                'llama.block_count': config['num_hidden_layers'], 'llama.context_length': config['max_position_embeddings'],
                'llama.embedding_length': config['hidden_size'], 'llama.feed_forward_length': config['intermediate_size'],
                'llama.attention.head_count': config['num_attention_heads'],
                'llama.attention.head_count_kv': config['num_key_value_heads'],
                'llama.rope.freq_base': float(config['rope_theta']),
                'llama.attention.layer_norm_rms_epsilon': config['rms_norm_eps'],
                'llama.attention.key_length': config['head_dim'], 'llama.attention.value_length': config['head_dim'],
                'llama.vocab_size': VOCAB, 'llama.rope.dimension_count': config['head_dim']}
    if kind in ('linear', 'yarn'):
        metadata |= {'llama.rope.scaling.type': kind, 'llama.rope.scaling.factor': scaling['factor']}
    if kind == 'yarn':
        metadata['llama.rope.scaling.original_context_length'] = scaling['original_max_position_embeddings']
    return metadata | {
        'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.tokens': tokens,
        'tokenizer.ggml.token_type': [1] * (VOCAB - len(SPECIAL)) + [3] * len(SPECIAL), 'tokenizer.ggml.merges': merges,
        'tokenizer.ggml.bos_token_id': BOS, 'tokenizer.ggml.eos_token_id': EOS, 'tokenizer.ggml.eot_token_id': EOT,
        'tokenizer.ggml.add_bos_token': True}


def plain_rope(config):
    scaling = config.get('rope_scaling') or {}
    return config['rope_theta'], scaling.get('rope_type', 'default'), scaling


GGUF_NAMES = {'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v',
              'self_attn.o_proj': 'attn_output', 'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up',
              'mlp.down_proj': 'ffn_down', 'input_layernorm': 'attn_norm', 'post_attention_layernorm': 'ffn_norm',
              'model.layers.': 'blk.', 'model.embed_tokens': 'token_embd', 'model.norm': 'output_norm',
              'lm_head': 'output'}


def gguf_name(name):
    for theirs, ours in GGUF_NAMES.items():
        name = name.replace(theirs, ours)
    return name


def table_in_blocks(name, kind, config, weights):
    """Of an embedding or head: the tensor, and in `weights` the numbers that it stands for."""
    rows, cols = VOCAB, config['hidden_size']
    if kind in ('F32', 'F16', 'BF16'):
        return kind, (rows, cols), gguf_files.plain_bytes(kind, weights[f'{name}.weight'])
    integers = hashed.table_integers(name, rows, cols)
    if kind == 'Q8_0':
        d = np.full(rows * cols // 32, 1 / 128)
        content = [gguf_files.halves(d), integers.reshape(-1, 32).astype(np.int8).view(np.uint8)]
        return kind, (rows, cols), gguf_files.joined(content)
    assert kind == 'Q6_K', kind
    x = hashed.draw_below(name, 64, rows * cols // 256, 256) - 32
    scales = 8 + hashed.draw_below(name + '.scale', 8, len(x), 16)
    weights[f'{name}.weight'] = (x * np.repeat(scales, 16, axis=1) / 512).reshape(rows, cols)
    return kind, (rows, cols), gguf_files.joined(gguf_files.q6_k(x, scales, 1 / 512))


def llama31_divisors(config):
    """rope_freqs.weight, as the converter computes it."""
    dim, theta = config['head_dim'], config['rope_theta']
    wave = 2 * np.pi * theta ** (2 * np.arange(dim // 2) / dim)
    smooth = np.clip((8192 / wave - 1) / (4 - 1), 0, 1)
    return 1 / ((1 - smooth) / config['rope_scaling']['factor'] + smooth)


def gguf(name, config, table_kind, kind_of, info=None):
    """kind_of: part of a linear's name: block type"""
    made = linears(config)
    weights = weights_of(config, made)
    tensors = {}
    if config['rope_scaling'] and config['rope_scaling']['rope_type'] == 'llama3':
        divisors = llama31_divisors(config)
        tensors['rope_freqs.weight'] = ('F32', divisors.shape, divisors.astype('<f4').tobytes())
    for weight in list(weights):
        part = weight.removesuffix('.weight')
        if part in made:
            kind = next(k for key, k in kind_of.items() if key in part)
            rows = weights[weight].shape[0]
            paired = 'q_proj' in part or 'k_proj' in part
            order = gguf_files.in_pairs(rows, config['head_dim']) if paired else np.arange(rows)
            tensors[gguf_name(weight)] = (kind, weights[weight].shape, gguf_files.linear_bytes(kind, made[part], order))
        elif weights[weight].ndim == 1:
            tensors[gguf_name(weight)] = ('F32', weights[weight].shape, gguf_files.plain_bytes('F32', weights[weight]))
        else:
            tensors[gguf_name(weight)] = table_in_blocks(part, table_kind, config, weights)
    return Case(name, 'gguf', config, weights, {'model.gguf': gguf_files.gguf(gguf_metadata(name, config), tensors)},
                info or {})


def gguf_cases():
    small, tied = shape(64, 2, 1, 64, 96), shape(64, 2, 1, 64, 96, tied=True)
    big_heads = shape(64, 1, 1, 128, 64)
    yield gguf('gguf_f16', older_config(tied, 500000.0, LLAMA31), 'F16', {'': 'F16'}, {'n_tokens': 120})
    yield gguf('gguf_bf16', older_config({**big_heads, 'tie_word_embeddings': True}, scaling=LINEAR), 'BF16', {'v_proj': 'F32', '': 'BF16'})
    yield gguf('gguf_q8_0', older_config(big_heads, 500000.0, YARN), 'Q8_0', {'': 'Q8_0'})
    yield gguf('gguf_small_blocks', older_config({**tied, 'num_hidden_layers': 2}), 'Q8_0',
               {'layers.1.mlp.gate': 'Q4_1', 'layers.1.mlp.up': 'Q5_0', 'layers.1.mlp.down': 'Q5_1',
                'layers.1.self_attn.q': 'Q4_1', 'layers.1.self_attn.k': 'Q5_0', '': 'Q4_0'})
    yield gguf('gguf_k_blocks', older_config(shape(256, 2, 1, 64, 256, tied=True), 500000.0), 'Q6_K',
               {'o_proj': 'Q4_1', 'v_proj': 'Q6_K', 'down': 'Q6_K', 'up': 'Q5_K', 'k_proj': 'Q5_K', '': 'Q4_K'}, {'rounded_head': True})


def saved_case():
    """Written by transformers itself, in BF16."""
    config = newer_config(shape(64, 2, 1, 64, 128, tied=True), 500000.0, LLAMA3)
    return Case('saved_by_transformers', 'saved', config, weights_of(config, linears(config)), {}, {})


def all_cases():
    yield from dense_cases()
    yield from quantised_cases()
    yield from gguf_cases()
    yield saved_case()


def tokens_of(case):
    n_tokens = case.info.get('n_tokens', N_TOKENS)
    return [BOS] + hashed.draw_below(case.name + '.tokens', VOCAB, n_tokens - 1).tolist()
