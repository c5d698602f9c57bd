"""The counter-based generator: every draw is a pure function of a seed, a stream and an address.

Reads   a seed of 64 bits, the name of a stream, an address of three words.
Gives   words, uniform and normal draws; initial values, the order of samples, dropout masks, truncation links.
Source  Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3 (SC'11), Philox4x32-10.

No draw depends on a draw before it, on the position in a batch, on the number of threads or on an interruption.
Every engine implements this definition:

key        of a stream: words 0 and 1 of philox(counter=(stream number, 0, 0, 0), key=(seed mod 2^32, seed div 2^32)),
           so that seeds of 64 bits and streams never run into each other.
counter    (address 0, address 1, block, address 2); the table STREAMS says what the address words mean.
sequence   at one address, blocks 0, 1, 2, ... one after the other are a sequence of words of 32 bits:
           word m is word m mod 4 of block m div 4. Draw m of 64 bits is word 2m + 2^32 * word 2m+1.
uniform    of 24 bits: (word m >> 8) * 2^-24; of 53 bits: (draw m >> 11) * 2^-53. Both lie in [0, 1) and are exact.
normal     Box-Muller: uniforms u = 2b, v = 2b+1 of 53 bits (block b) give r = sqrt(-2 log(1 - u)) and the normals
           2b: r cos(2 pi v) and 2b+1: r sin(2 pi v). Bits of log, cos and sin differ between maths libraries, so
           initial values are drawn here for all engines; order, masks and links are exact on every machine.
"""

import math
from typing import NamedTuple

import numpy as np

from ..errors import OptionError, ShapeError

__all__ = ["STREAMS", "dropout_mask", "initial_values", "normal", "order", "philox", "stream_key", "truncation_links",
           "uniform", "words"]


class Stream(NamedTuple):
    """The number of a stream and the meaning of the three words of its addresses."""

    number: int
    address: tuple


# Epochs, steps, rows, layers and parameters count from 0, except that layers and parameters keep the numbers given.
# Numbers are part of the definition: never reuse or renumber, or old seeds give other networks.
STREAMS = {
    "parameters": Stream(1, ("0", "0", "parameter number")),
    "order":      Stream(2, ("epoch", "0", "0")),
    "dropout":    Stream(3, ("epoch", "original row", "layer number")),
    "truncation": Stream(4, ("epoch", "step in the epoch", "0")),
    "corrupt":    Stream(5, ("epoch", "original row", "number of the corruption")),
}

_MULTIPLY = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_ROUNDS = 10
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_CHUNK = 1 << 14         # blocks worked on at once; temporaries stay in cache
_PAIRS = 1 << 18         # pairs of normals drawn at once: 20 MB of temporaries


def philox(counter, key):
    """Philox4x32-10: a bijection of counters of 128 bits for each key of 64 bits.

    Shapes   counter (..., 4) and key (2,), words below 2^32, low word first; returns uint32 (..., 4).

    >>> [f"{word:08x}" for word in philox([0, 0, 0, 0], [0, 0])]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    counter = np.asarray(counter, dtype=np.uint32)
    if counter.ndim == 0 or counter.shape[-1] != 4:
        raise ShapeError(f"counter has shape {counter.shape}", fix="give (..., 4): four words of 32 bits per block")
    flat = counter.reshape(-1, 4)
    result = np.empty_like(flat)
    for first in range(0, len(flat), _CHUNK):
        a, b, c, d = flat[first:first + _CHUNK].T.astype(np.uint64)
        k, m = (int(word) for word in key)
        for _ in range(_ROUNDS):
            p, q = a * _MULTIPLY[0], c * _MULTIPLY[1]
            a, b, c, d = (q >> _HALF) ^ b ^ np.uint64(k), q & _LOW, (p >> _HALF) ^ d ^ np.uint64(m), p & _LOW
            k, m = (k + _WEYL[0]) & 0xFFFFFFFF, (m + _WEYL[1]) & 0xFFFFFFFF
        for i, word in enumerate((a, b, c, d)):
            result[first:first + _CHUNK, i] = word
    return result.reshape(counter.shape)


def stream_key(seed, stream):
    """The two key words of a stream under a seed, as uint32 (2,).

    Raises   OptionError for an unknown stream or a seed outside 0 ... 2^64 - 1.

    >>> stream_key(0, "order").tolist() == stream_key(1 << 32, "order").tolist()
    False
    """
    if stream not in STREAMS:
        raise OptionError(f"there is no stream {stream!r}", fix=f"take one of {', '.join(STREAMS)}")
    seed = _whole("seed", seed, 1 << 64)
    return philox([STREAMS[stream].number, 0, 0, 0], [seed & 0xFFFFFFFF, seed >> 32])[:2]


def words(seed, stream, count, at=(0, 0, 0), block=0):
    """The first count words of 32 bits of the sequence at an address (or at many), from a block on.

    Shapes   at: three whole numbers or arrays that broadcast to (...); returns uint32 (..., count).

    >>> words(0, "dropout", 6, at=(0, [7, 8], 1)).shape
    (2, 6)
    >>> bool((words(0, "dropout", 6, at=(0, [7, 8], 1))[1] == words(0, "dropout", 6, at=(0, 8, 1))).all())
    True
    """
    key = stream_key(seed, stream)
    count = _whole("count", count, 1 << 34)
    first, second, third = np.broadcast_arrays(*(_address(word) for word in at))
    counter = np.empty((*first.shape, -(-count // 4), 4), dtype=np.uint32)
    counter[..., 0], counter[..., 1], counter[..., 3] = first[..., None], second[..., None], third[..., None]
    counter[..., 2] = np.arange(block, block + counter.shape[-2])
    return philox(counter, key).reshape(*first.shape, 4 * counter.shape[-2])[..., :count]


def uniform(seed, stream, count, at=(0, 0, 0), bits=53, block=0):
    """The first count uniform draws in [0, 1) at an address, float64, exact multiples of 2^-bits; from a block on.

    Shapes   at: three whole numbers or arrays that broadcast to (...); returns (..., count).
    Raises   OptionError unless bits is 24 (one word a draw) or 53 (two words a draw).

    >>> u = uniform(5, "corrupt", 3, at=(0, 12, 0), bits=24)
    >>> bool((u * 2**24 == np.floor(u * 2**24)).all() and (0 <= u).all() and (u < 1).all())
    True
    """
    if bits == 24:
        return (words(seed, stream, count, at, block) >> np.uint32(8)) * 2.0**-24
    if bits == 53:
        return (_draws(seed, stream, count, at, block) >> np.uint64(11)) * 2.0**-53
    raise OptionError(f"uniform draws have 24 or 53 bits, not {bits!r}", fix="say bits=24 or bits=53")


def normal(seed, stream, count, at=(0, 0, 0)):
    """The first count normal draws (mean 0, variance 1) at an address, float64, by Box-Muller.

    Shapes   at: three whole numbers or arrays that broadcast to (...); returns (..., count).

    >>> float(abs(normal(0, "parameters", 10000).mean())) < 0.05
    True
    """
    parts = []
    for first in range(0, max(count, 1), 2 * _PAIRS):                       # a table of millions is drawn part by part
        pairs = (min(count - first, 2 * _PAIRS) + 1) // 2
        u = uniform(seed, stream, 2 * pairs, at, block=first // 2)          # a block of four words is a pair
        u, v = u[..., 0::2], u[..., 1::2]
        radius, angle = np.sqrt(-2 * np.log1p(-u)), 2 * math.pi * v
        parts.append(np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1).reshape(*u.shape[:-1], 2 * pairs))
    return np.concatenate(parts, axis=-1)[..., :count]


def initial_values(distribution, shape, seed, parameter_number):
    """The initial values of a parameter, float64, from a distribution given as plain data.

    ("normal", mean, deviation), ("uniform", low, high), ("zeros",), ("constant", value), ("orthogonal", gain): the
    rows or columns, whichever are fewer, are orthogonal and have length gain.

    Shapes   element m in row-major order takes draw m; "orthogonal" wants a matrix.
    Raises   OptionError for an unknown distribution, ShapeError for an orthogonal parameter that is no matrix.
    Source   Saxe, McClelland & Ganguli (2014) for orthogonal; Mezzadri (2007) for the sign of its QR.

    >>> initial_values(("uniform", -0.5, 0.5), (3, 2), seed=0, parameter_number=1).shape
    (3, 2)
    >>> Q = initial_values(("orthogonal", 1.0), (3, 3), seed=0, parameter_number=2)
    >>> bool(np.allclose(Q.T @ Q, np.eye(3)))
    True
    """
    name, *numbers = distribution
    wanted = {"normal": 2, "uniform": 2, "zeros": 0, "constant": 1, "orthogonal": 1}
    if name not in wanted or len(numbers) != wanted[name]:
        raise OptionError(f"{tuple(distribution)!r} is no distribution of initial values",
                          fix="('normal', mean, deviation), ('uniform', low, high), ('zeros',), ('constant', value) "
                              "or ('orthogonal', gain)")
    if not all(math.isfinite(number) for number in numbers):
        raise OptionError(f"{tuple(distribution)!r} has a number that is not finite", fix="give finite numbers")
    shape, at = tuple(shape), (0, 0, parameter_number)
    count = math.prod(shape)
    if name == "normal":
        mean, deviation = numbers
        return mean + deviation * normal(seed, "parameters", count, at).reshape(shape)
    if name == "uniform":
        low, high = numbers
        return low + (high - low) * uniform(seed, "parameters", count, at).reshape(shape)
    if name == "orthogonal":
        return numbers[0] * _orthogonal(shape, seed, at)
    return np.full(shape, float(numbers[0]) if numbers else 0.0)


def order(seed, epoch, n):
    """The order of rows 0 ... n-1 in an epoch: rows sorted by (draw of 64 bits, row); draw m belongs to row m.

    Shapes   returns int64 (n), a permutation.

    >>> order(seed=0, epoch=0, n=4).tolist() == order(seed=0, epoch=0, n=4).tolist()
    True
    >>> sorted(order(seed=0, epoch=1, n=5).tolist())
    [0, 1, 2, 3, 4]
    """
    n = _whole("n", n, 1 << 32)
    return np.argsort(_draws(seed, "order", n, at=(epoch, 0, 0)), kind="stable")


def dropout_mask(seed, epoch, rows, units, layer_number, rate, dtype=np.float64):
    """The inverted dropout mask of a layer: 0 with probability rate, else 1/(1 - rate).

    Unit j of a row is dropped where uniform draw j (24 bits) of the row's sequence is below rate. The draw depends on
    the original row and the epoch, never on the place in a batch.

    Shapes   rows (n), row numbers in the training set; returns dtype (n, units). 1/(1 - rate) is rounded to dtype once.
    Raises   OptionError unless 0 <= rate < 1.

    >>> alone = dropout_mask(0, 3, [17], 8, layer_number=1, rate=0.5)
    >>> bool((dropout_mask(0, 3, [4, 17], 8, layer_number=1, rate=0.5)[1] == alone[0]).all())
    True
    """
    if not 0 <= rate < 1:
        raise OptionError(f"dropout rate {rate!r}", fix="give a rate of at least 0 and below 1")
    kept = uniform(seed, "dropout", units, at=(epoch, rows, layer_number), bits=24) >= rate
    return np.where(kept, np.dtype(dtype).type(1 / (1 - rate)), np.dtype(dtype).type(0))


def truncation_links(seed, epoch, step, T, probability):
    """The link factors of randomised truncation: xi[t] = 1/p with probability p, else 0; their mean is 1.

    xi[t] belongs to the link t-1 -> t (t = 0 is the link from the carried state) and follows uniform draw t (53 bits):
    1/p where it is below p. One draw serves a whole minibatch, all its layers and carried states.

    Shapes   returns float64 (T).
    Raises   OptionError unless 0 < probability <= 1.

    >>> truncation_links(0, epoch=0, step=0, T=3, probability=1.0).tolist()
    [1.0, 1.0, 1.0]
    """
    if not 0 < probability <= 1:
        raise OptionError(f"continue probability {probability!r}", fix="give a probability above 0, at most 1")
    kept = uniform(seed, "truncation", T, at=(epoch, step, 0)) < probability
    return np.where(kept, 1 / probability, 0.0)


def _draws(seed, stream, count, at, block=0):
    """Draws of 64 bits: uint64 (..., count), word 2m low, word 2m+1 high."""
    pairs = words(seed, stream, 2 * _whole("count", count, 1 << 33), at, block).astype(np.uint64)
    return pairs[..., 0::2] | pairs[..., 1::2] << _HALF


def _orthogonal(shape, seed, at):
    if len(shape) != 2:
        raise ShapeError(f"an orthogonal parameter of shape {shape}", fix="it must be a matrix (inputs, outputs)")
    draws = normal(seed, "parameters", math.prod(shape), at).reshape(shape)
    tall = shape[0] >= shape[1]
    q, r = np.linalg.qr(draws if tall else draws.T)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)    # without the signs, the distribution would depend on the QR routine
    return q if tall else q.T


def _whole(name, value, limit):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < limit:
        raise OptionError(f"{name} is {value!r}", fix=f"give a whole number from 0 to {limit - 1}")
    return int(value)


def _address(word):
    """An address word, checked: NumPy would wrap a negative row round without a word."""
    word = np.asarray(word)
    if word.size == 0:
        return word.astype(np.uint32)
    if word.dtype.kind not in "iu" or word.min() < 0 or word.max() >= 1 << 32:
        raise OptionError(f"an address word is {word.dtype} from {word.min()} to {word.max()}",
                          fix="epochs, steps, rows and layers are whole numbers from 0 to 4294967295")
    return word.astype(np.uint32)
