"""The forward pass of a Llama in numpy's doubles, as the papers write it down: independent of torch and of the engine."""

import math

import numpy as np


def rope_parameters(config):
    """theta and the scaling, from the older or the newer place."""
    newer = config.get('rope_parameters') or {}
    scaling = dict(config.get('rope_scaling') or newer)
    kind = scaling.get('rope_type', scaling.get('type', 'default'))
    return config.get('rope_theta', newer.get('rope_theta', 10000.0)), kind, scaling


def rope(config):
    """Angles of one position, [head_dim / 2], and what queries and keys are multiplied with."""
    theta, kind, scaling = rope_parameters(config)
    dim = config['head_dim']
    frequency = theta ** (-2.0 * np.arange(dim // 2) / dim)
    if kind == 'default':
        return frequency, 1.0
    factor = scaling['factor']
    if kind == 'linear':
        return frequency / factor, 1.0
    original = scaling.get('original_max_position_embeddings', config['max_position_embeddings'])
    if kind == 'llama3':  # the share that keeps its frequency grows with the waves in the original context
        waves = original * frequency / (2 * math.pi)
        low, high = scaling['low_freq_factor'], scaling['high_freq_factor']
        kept = np.clip((waves - low) / (high - low), 0, 1)
        return frequency * (kept + (1 - kept) / factor), 1.0
    assert kind == 'yarn', kind
    def pair_of(turns):
        return dim * math.log(original / (turns * 2 * math.pi)) / (2 * math.log(theta))
    low = max(math.floor(pair_of(scaling.get('beta_fast', 32))), 0)
    high = min(math.ceil(pair_of(scaling.get('beta_slow', 1))), dim - 1)
    stretched = np.clip((np.arange(dim // 2) - low) / (high - low), 0, 1)
    size = scaling.get('attention_factor') or 0.1 * math.log(factor) + 1
    return frequency * (1 - stretched + stretched / factor), size


def rotated(x, cos, sin):
    """x: [heads, positions, head_dim]; element i turns with element i + head_dim / 2."""
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def normed(x, weight, eps):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + eps) * weight


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(x, weights, prefix, config):
    n, heads, kv_heads, dim = (len(x), config['num_attention_heads'], config['num_key_value_heads'], config['head_dim'])
    frequency, size = rope(config)
    angles = np.arange(n)[:, None] * frequency
    cos, sin = size * np.cos(angles), size * np.sin(angles)
    def heads_of(name, count):
        return (x @ weights[f'{prefix}{name}.weight'].T).reshape(n, count, dim).transpose(1, 0, 2)
    q, k = rotated(heads_of('q_proj', heads), cos, sin), rotated(heads_of('k_proj', kv_heads), cos, sin)
    v = heads_of('v_proj', kv_heads)
    k, v = np.repeat(k, heads // kv_heads, axis=0), np.repeat(v, heads // kv_heads, axis=0)
    scores = q @ k.transpose(0, 2, 1) / math.sqrt(dim)
    scores[:, np.triu(np.ones((n, n), bool), 1)] = -np.inf
    out = (softmax(scores) @ v).transpose(1, 0, 2).reshape(n, heads * dim)
    return out @ weights[f'{prefix}o_proj.weight'].T


def logits(config, weights, tokens):
    """[positions, vocabulary]"""
    eps = config['rms_norm_eps']
    embedding = weights['model.embed_tokens.weight']
    h = embedding[np.array(tokens)]
    for i in range(config['num_hidden_layers']):
        layer = f'model.layers.{i}.'
        h = h + attention(normed(h, weights[layer + 'input_layernorm.weight'], eps), weights, layer + 'self_attn.', config)
        x = normed(h, weights[layer + 'post_attention_layernorm.weight'], eps)
        gate, up = (x @ weights[f'{layer}mlp.{name}_proj.weight'].T for name in ('gate', 'up'))
        h = h + (gate / (1 + np.exp(-gate)) * up) @ weights[layer + 'mlp.down_proj.weight'].T
    head = embedding if config['tie_word_embeddings'] else weights['lm_head.weight']
    return normed(h, weights['model.norm.weight'], eps) @ head.T
