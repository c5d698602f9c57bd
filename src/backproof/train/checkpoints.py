"""Checkpoints: a run that was interrupted goes on as if nothing had happened, bit for bit.

Reads   a folder; the progress, parameters, optimizer state and history of a run while it trains.
Gives   files "checkpoint-000000001234.safetensors", named by the step, each written atomically; the newest that is whole.

A killed process leaves a whole checkpoint or none. Older ones are deleted only after a newer one is in place. One run at a
time owns the folder: the lock is the kernel's and goes with the process.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import socket
import time
import warnings
from dataclasses import asdict, dataclass

import numpy as np

from ..data.messages import DataWarning, shown
from ..engines import Steps
from ..errors import DtypeError, FileProblem, ModelFileError, OptionError
from .files import load_tensors, save_tensors
from .history import History
from .loop import Interrupted, Progress

__all__ = ["Checkpoint", "Checkpoints", "identity"]

FORMAT = "backproof-checkpoint/1"
NAME = re.compile(r"checkpoint-(\d{12})\.safetensors")
LEFT_OVER = re.compile(r"\.(checkpoint-|model|history).*\.tmp")


@dataclass
class Checkpoint:
    """All that a run's continuation depends on, besides the data and the options."""

    parameters: dict
    state: dict
    progress: Progress
    history: History
    stopping: dict


class Checkpoints:
    """A folder of checkpoints.

    Parameters  folder    made where it is missing; None: only the time limit is watched
                every     steps between two looks at the clock and at ``stop``
                seconds   between two checkpoints; 0 writes one at every look
                keep      how many are kept
                time_limit  seconds after which the run is interrupted, with a checkpoint; None for no limit
    ``stop(reason)``, safe to call from a signal handler, interrupts the run at the next look.

    >>> import tempfile
    >>> folder = Checkpoints(tempfile.mkdtemp(), seconds=0)
    >>> folder.steps()
    []
    """

    def __init__(self, folder, *, every=100, seconds=60.0, keep=2, time_limit=None):
        self.folder, self.every, self.seconds, self.keep = None if folder is None else os.fspath(folder), every, seconds, keep
        self.time_limit, self.began = time_limit, time.monotonic()
        self.identity, self.reason, self.lock = None, None, None
        self.written, self.last = None, time.monotonic()

    # ------------------------------------------------------------------------------------------ the folder

    def begin(self, identity):
        """Own the folder, and sweep what a killed process left in it. ``identity`` says which run this is."""
        self.identity = identity
        if self.folder is None:
            return
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._take_lock()
            for name in os.listdir(self.folder):
                if LEFT_OVER.fullmatch(name):
                    os.unlink(os.path.join(self.folder, name))
        except FileProblem:
            raise
        except OSError as error:
            raise FileProblem(f"the folder of the checkpoints cannot be used: {error.strerror}", where=shown(self.folder, 200),
                              fix="choose a folder you may write to", state="nothing was trained") from None

    def _take_lock(self):
        if self.lock is not None:
            return
        handle = os.open(os.path.join(self.folder, ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(handle, 200, 0).decode("utf-8", "replace").strip()
            os.close(handle)
            problem = FileProblem(f"another run writes this folder: {shown(owner)}", where=shown(self.folder, 200),
                                  fix="wait for it, or choose another folder", state="nothing was trained")
            problem.errno = errno.EAGAIN
            raise problem from None
        try:
            same = os.stat(os.path.join(self.folder, ".lock")).st_ino == os.fstat(handle).st_ino
        except FileNotFoundError:
            same = False
        if not same:                                       # its owner was just going, and took the file along
            os.close(handle)
            return self._take_lock()
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        self.lock = handle

    def close(self):
        """Give the folder free."""
        if self.lock is not None:
            handle, self.lock = self.lock, None
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self.folder, ".lock"))
            os.close(handle)

    def __del__(self):
        with contextlib.suppress(Exception):
            self.close()

    def steps(self):
        """The steps of the checkpoints that lie in the folder, ascending. Clocks do not matter."""
        with contextlib.suppress(FileNotFoundError):
            if self.folder is None:
                return []
            return sorted(int(match[1]) for match in map(NAME.fullmatch, os.listdir(self.folder)) if match)
        return []

    def path(self, step):
        return os.path.join(self.folder, f"checkpoint-{step:012d}.safetensors")

    def clear(self):
        """Delete the checkpoints: the run is complete, and its model is saved."""
        for step in self.steps():
            os.unlink(self.path(step))

    # ------------------------------------------------------------------------------------------ reading

    def newest(self):
        """The newest Checkpoint that is whole, or None; one that is not is kept as .corrupt, with a warning."""
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                found, identity = _read(path)
            except (ModelFileError, FileProblem) as error:
                os.replace(path, path + ".corrupt")
                warnings.warn(f"the checkpoint of step {step} cannot be read and is kept as {shown(path + '.corrupt', 200)}: "
                              f"{error.what}; going on from the one before", DataWarning, stacklevel=2)
                continue
            _same_run(self.identity, identity, self.folder)
            return found
        return None

    # ------------------------------------------------------------------------------------------ writing

    def stop(self, reason="interrupted"):
        """Ask for the end of the run at its next look."""
        self.reason = reason

    def look(self, progress, session, history, stopping):
        """Between two steps: write a checkpoint where it is time, and end the run where that was asked for."""
        if self.time_limit is not None and self.reason is None and time.monotonic() - self.began > self.time_limit:
            self.reason = f"the time limit of {self.time_limit:g} s was reached"
        due = time.monotonic() - self.last >= self.seconds and progress.steps != self.written
        if (due or self.reason) and progress.epoch < progress.end:
            self.write(Checkpoint(session.parameters, session.state, progress, history, stopping.state()))
        if self.reason and progress.epoch < progress.end:
            reason, self.reason = self.reason, None
            raise Interrupted(progress.steps, reason, progress.best)

    def last_words(self, progress, session, history, stopping):
        """A checkpoint of the last complete step of a run that was interrupted."""
        if progress.steps != self.written and progress.epoch < progress.end:
            self.write(Checkpoint(session.parameters, session.state, progress, history, stopping.state()))

    def write(self, checkpoint):
        """Write one, then delete what is older than the last ``keep``."""
        if self.folder is None:
            return
        progress = checkpoint.progress
        tensors = {f"{kind}/{name}": array for kind, group in
                   (("parameters", checkpoint.parameters), ("state", checkpoint.state), ("best", progress.best or {}))
                   for name, array in group.items()}
        plain = {"format": FORMAT, "progress": {**{k: v for k, v in asdict_shallow(progress).items() if k != "best"},
                                                "within": asdict(progress.within)},
                 "has_best": progress.best is not None, "history": vars(checkpoint.history), "stopping": checkpoint.stopping,
                 "identity": self.identity}
        save_tensors(self.path(progress.steps), tensors, {"checkpoint": json.dumps(plain, sort_keys=True)})
        self.written, self.last = progress.steps, time.monotonic()
        for step in self.steps()[:-self.keep]:
            if step < progress.steps:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(self.path(step))


def asdict_shallow(record):
    return {name: getattr(record, name) for name in record.__dataclass_fields__}


def _read(path):
    tensors, metadata = load_tensors(path)
    try:
        plain = json.loads(metadata["checkpoint"])
        if plain["format"] != FORMAT:
            raise ModelFileError(f"its format is {shown(plain['format'])}; this version reads {FORMAT!r}")
        groups = {"parameters": {}, "state": {}, "best": {}}
        for name, array in tensors.items():
            kind, _, rest = name.partition("/")
            groups[kind][rest] = np.array(array)
        progress = Progress(**{**plain["progress"], "within": Steps(**plain["progress"]["within"])},
                            best=groups["best"] if plain["has_best"] else None)
        return Checkpoint(groups["parameters"], groups["state"], progress, History(**plain["history"]), plain["stopping"]), \
            plain["identity"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"it is no checkpoint of this version: {error}") from None


def identity(model, data, rows, options, signature):
    """Which run this is: the network, the data by checksum, the seed and the options, as text by name."""
    about = {"network": model.network.digest, "dtype": model.dtype.name, "seed": str(model.seed), "optimizer": repr(signature)}
    about.update({f"option {name}": repr(value) if not callable(value) else getattr(value, "__name__", "a function")
                  for name, value in asdict_shallow(options).items()})
    digest = hashlib.sha256()
    for name in sorted(data):
        array = data[name]
        if hasattr(array, "fingerprint"):
            digest.update(array.fingerprint().encode())
        else:
            digest.update(f"{name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
    if rows is not None and not hasattr(rows, "shuffled"):
        digest.update(np.ascontiguousarray(rows).view(np.uint8))
    return {**about, "data": digest.hexdigest()}


def _same_run(wanted, found, folder):
    differing = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if not differing:
        return
    kind = DtypeError if "dtype" in differing else OptionError
    said = "; ".join(f"{name}: {found.get(name, 'none')} there, {wanted.get(name, 'none')} now" if name != "data" else
                     "the data are others" for name in differing)
    raise kind(f"the checkpoints in {shown(folder, 200)} belong to another run: {said}",
               fix="resume with the same data, options and seed, or choose another folder", state="nothing was changed")
