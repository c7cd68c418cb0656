"""Weights that anybody can make again without a file: number i of a tensor is a hash of its name and i, so that the C++
test (tests/support/hashed_checkpoint.h) makes the very same ones. All are integers times a power of two, few enough bits
for bf16, fp16 and fp32 alike, and such that the engine's packed layouts hold them exactly:

  draw(name, i)  SplitMix64's output i + 1 from the seed FNV-1a-64(name)
  norms          (96 + draw % 64) / 128
  tables         (draw % 255 - 127) / 128, and 127 / 128 at column (row mod columns): an INT8 head has no error
  linears        groups of 32 inputs: (draw(name, i) % 15 - 7) times the group's scale, and -8 times it where
                 (input mod 32) = draw(name + ".extreme", row * groups + g) % 8, so that a search for the scale finds it;
                 scale g of a row: (8 + draw(name + ".scale", row * groups + g) % 8) * 2^exponent_of(inputs)

The integers' mean is nearly zero. Were it not, all outputs would share a direction that grows from layer to layer until
attention is all or nothing, and then rounding changes more than the bound of the engine's test (golden_model.h) says."""

import numpy as np

ROUNDED_GROUP = 32


def draw(name, *shape):
    seed = 14695981039346656037
    for byte in name.encode():
        seed = (seed ^ byte) * 1099511628211 % 2**64
    count = int(np.prod(shape))
    with np.errstate(over='ignore'):
        z = np.uint64(seed) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).reshape(shape)


def draw_below(name, n, *shape):
    return (draw(name, *shape) % np.uint64(n)).astype(np.int64)


def norm(name, n):
    return (96 + draw_below(name, 64, n)) / 128


def table_integers(name, rows, cols):
    integers = draw_below(name, 255, rows, cols) - 127
    integers[np.arange(rows), np.arange(rows) % cols] = 127
    return integers


def table(name, rows, cols):
    return table_integers(name, rows, cols) / 128


def exponent_of(cols):
    """Outputs keep about the size of the inputs: an integer and a scale have a root mean square of 53 together."""
    return -(6 + ((cols - 1).bit_length() + 1) // 2)


class Linear:
    """weight[n, k] = (quant[n, k] - zero[g, n]) * mantissa[g, n] * 2^exponent, g = group_of[k]."""

    def __init__(self, quant, zero, mantissa, group_of):
        self.quant, self.zero, self.mantissa, self.group_of = quant, zero, mantissa, group_of
        self.exponent = exponent_of(quant.shape[1])
        self.scale = mantissa * 2.0**self.exponent

    def weights(self):
        return (self.quant - self.zero[self.group_of].T) * self.scale[self.group_of].T


def at_extremes(name, rows, cols):
    place = draw_below(name + '.extreme', 8, rows, -(-cols // ROUNDED_GROUP))
    return np.arange(cols) % ROUNDED_GROUP == np.repeat(place, ROUNDED_GROUP, axis=1)[:, :cols]


def mantissas(name, rows, n_groups):
    return 8 + draw_below(name + '.scale', 8, rows, n_groups).T


def linear(name, rows, cols, group=ROUNDED_GROUP, zeros=(8, 8)):
    """Integers of 4 bits in runs of `group` inputs (-1: one run); each zero within `zeros`."""
    group = cols if group < 0 else group
    n_groups = -(-cols // group)
    quant = 1 + draw_below(name, 15, rows, cols)
    quant[at_extremes(name, rows, cols)] = 0
    low, high = zeros
    zero = low + draw_below(name + '.zero', high - low + 1, n_groups, rows)
    return Linear(quant, zero, mantissas(name, rows, n_groups), np.arange(cols) // group)


def reordered_linear(name, rows, cols, group, order_name, movable):
    """Inputs belong to groups in any order, as GPTQ's desc_act leaves them. Where the engine cannot move the inputs it
    rounds again, in other groups; so that this loses nothing, the groups of a row have 1, 2 or 4 times one scale, and
    integers so much smaller. Which group an input belongs to matters all the same."""
    n_groups = cols // group
    rank = np.argsort(np.argsort(draw(order_name, cols), kind='stable'), kind='stable')
    group_of = rank // group
    if movable:
        plain = linear(name, rows, cols, group)
        return Linear(plain.quant, plain.zero, plain.mantissa, group_of)
    times = 2 ** draw_below(name + '.times', 3, n_groups, rows)
    factor = times[group_of].T  # [rows, cols]
    integers = (draw(name, rows, cols) % (16 // factor - 1).astype(np.uint64)).astype(np.int64) - 8 // factor + 1
    extremes = at_extremes(name, rows, cols)
    integers[extremes] = (-8 // factor)[extremes]
    mantissa = times * mantissas(name, rows, 1)
    return Linear(integers + 8, np.full((n_groups, rows), 8), mantissa, group_of)
