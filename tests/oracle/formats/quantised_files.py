"""Linears as the quantisers store them: the tensors of one linear, name: (dtype, array), and quantization_config. Each
function follows one family's published convention and shares nothing with the engine."""

import json
import struct

import numpy as np

AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]  # nibble j of a word is output 8c + AWQ_ORDER[j]


def words(nibbles):
    """Along the last axis eight values become one int32, the first lowest."""
    shifted = (nibbles.astype(np.uint32) & np.uint32(15)) << (4 * np.arange(8, dtype=np.uint32))
    return np.bitwise_or.reduce(shifted, axis=-1).view(np.int32)


def eights(array, axis):
    """The axis split into groups of eight, which become the last axis."""
    shape = list(array.shape)
    shape[axis:axis + 1] = [shape[axis] // 8, 8]
    return np.moveaxis(array.reshape(shape), axis + 1, -1)


def gptq(name, linear, stored_less=1, with_index=True, with_bias=False):
    tensors = {f'{name}.qweight': ('I32', words(eights(linear.quant.T, 0))),
               f'{name}.qzeros': ('I32', words(eights(linear.zero - stored_less, 1))),
               f'{name}.scales': ('F16', linear.scale)}
    if with_index:
        tensors[f'{name}.g_idx'] = ('I32', linear.group_of.astype(np.int32))
    if with_bias:
        tensors[f'{name}.bias'] = ('F16', np.zeros(linear.quant.shape[0]))
    return tensors


def awq(name, linear):
    return {f'{name}.qweight': ('I32', words(eights(linear.quant.T, 1)[..., AWQ_ORDER])),
            f'{name}.qzeros': ('I32', words(eights(linear.zero, 1)[..., AWQ_ORDER])),
            f'{name}.scales': ('F16', linear.scale)}


def compressed(name, linear, symmetric=True, with_index=False, scale_dtype='BF16'):
    tensors = {f'{name}.weight_packed': ('I32', words(eights(linear.quant, 1))),
               f'{name}.weight_scale': (scale_dtype, linear.scale.T),
               f'{name}.weight_shape': ('I64', np.array(linear.quant.shape))}
    if not symmetric:
        tensors[f'{name}.weight_zero_point'] = ('I32', words(eights(linear.zero.T, 0)))
    if with_index:
        tensors[f'{name}.weight_g_idx'] = ('I32', linear.group_of.astype(np.int32))
    return tensors


def gptq_config(group, version='gptq', desc_act=False, sym=True):
    return {'quant_method': 'gptq', 'bits': 4, 'group_size': group, 'desc_act': desc_act, 'sym': sym, 'lm_head': False,
            'checkpoint_format': version, 'damp_percent': 0.01, 'true_sequential': True}


def awq_config(group):
    return {'quant_method': 'awq', 'bits': 4, 'group_size': group, 'zero_point': True, 'version': 'gemm',
            'modules_to_not_convert': None}


def compressed_config(group, symmetric=True, actorder=None):
    weights = {'num_bits': 4, 'type': 'int', 'symmetric': symmetric, 'strategy': 'channel' if group < 0 else 'group',
               'group_size': None if group < 0 else group, 'actorder': actorder, 'observer': 'minmax', 'dynamic': False}
    return {'quant_method': 'compressed-tensors', 'format': 'pack-quantized', 'quantization_status': 'compressed',
            'ignore': ['lm_head'],
            'config_groups': {'group_0': {'targets': ['Linear'], 'weights': weights, 'input_activations': None,
                                          'output_activations': None}}}


def tensor_bytes(dtype, array):
    """Numbers that the type cannot hold exactly are an error of the fixture."""
    array = np.ascontiguousarray(array)
    if dtype == 'BF16':
        single = array.astype('<f4')
        bits = single.view('<u4')
        assert (bits & 0xffff == 0).all() and (single == array).all(), dtype
        return (bits >> 16).astype('<u2').tobytes()
    made = array.astype({'F16': '<f2', 'F32': '<f4', 'I32': '<i4', 'I64': '<i8'}[dtype])
    assert (made == array).all(), dtype
    return made.tobytes()


def safetensors(tensors):
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    for name, (dtype, array) in tensors.items():
        content = tensor_bytes(dtype, array)
        header[name] = {'dtype': dtype, 'shape': list(array.shape), 'data_offsets': [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    return struct.pack('<Q', len(text)) + text + data
