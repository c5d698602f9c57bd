"""One cell of the matrix of processes: python cell.py PARENT START THROUGH. Prints how many children gave the parent's bits.

PARENT   untouched: the engine has not run; trained: a team has; training: another thread is training at this moment
START    fork, forkserver, spawn
THROUGH  multiprocessing, futures (ProcessPoolExecutor), loky (joblib's)
"""

import hashlib
import multiprocessing
import sys
import threading
from concurrent import futures

import numpy as np

from backproof import Network
from backproof.engines import _native


def trained(epochs=3, callbacks=()):
    """The digest of the parameters after a short training by a team of two."""
    _native.set_worth_a_thread(0)
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(64, 20)), draw.integers(0, 3, 64)
    model = Network("20 | 9 tanh | 3 softmax", loss="cross_entropy").build(seed=3, engine="native", threads=2)
    model.fit(X, y, epochs=epochs, batch_size=16, callbacks=callbacks)
    return hashlib.sha256(b"".join(array.tobytes() for array in model.parameters.values())).hexdigest()


def answer(queue):
    queue.put(trained())


def through_multiprocessing(start):
    context = multiprocessing.get_context(start)
    queue = context.Queue()
    process = context.Process(target=answer, args=(queue,))
    process.start()
    digest = queue.get(timeout=60)
    process.join(60)
    assert process.exitcode == 0
    return digest


def through_futures(start):
    with futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as pool:
        return pool.submit(trained).result(60)


def through_loky(start):
    from joblib.externals.loky import ProcessPoolExecutor
    from joblib.externals.loky.backend import get_context
    with ProcessPoolExecutor(1, context=get_context({"forkserver": "loky"}.get(start, start))) as pool:      # its own server
        return pool.submit(trained).result(60)


def main(parent, start, through, children=3):
    done, begun = threading.Event(), threading.Event()
    other = threading.Thread(target=trained, args=(10**6, [lambda record: begun.set() or done.is_set()]))
    if parent == "trained":
        trained()
    if parent == "training":
        other.start()
        assert begun.wait(60)
    found = [globals()[f"through_{through}"](start) for _ in range(children)]
    alive = other.is_alive()
    done.set()
    if parent == "training":
        other.join(60)
        assert alive, "the other thread was to train all the while"
    print(sum(digest == trained() for digest in found))


if __name__ == "__main__":
    main(*sys.argv[1:])
