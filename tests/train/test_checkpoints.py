"""Checkpoints: every step of a run can be its last, and every moment of a save as well."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

from backproof import Network
from backproof.data.messages import DataWarning
from backproof.errors import DtypeError, FileProblem, OptionError
from backproof.train import files
from backproof.train.checkpoints import Checkpoints
from backproof.train.loop import Interrupted

rng = np.random.default_rng(0)
X = rng.normal(size=(50, 4))
Y = (X.sum(1) > 0).astype(int)
NET = Network("4 | 8 relu | dropout 0.3 | 2 softmax", loss="cross_entropy", l2=1e-3)
RUN = {"epochs": 8, "batch_size": 12, "optimizer": "adam", "validation": (X[:10], Y[:10]), "patience": 6, "schedule": "cosine",
       "learning_rate": 0.1}
STEPS = 40


class StopAt(Checkpoints):
    """Stops after a step, as a signal would."""

    def __init__(self, folder, step, **options):
        super().__init__(folder, **{"every": 1, "seconds": 1e9, **options})
        self.at = step

    def look(self, progress, *rest):
        if progress.steps == self.at:
            self.stop()
        super().look(progress, *rest)


def fitted(folder=None, net=NET, seed=1, run=RUN, dtype="float32", data=(X, Y), **options):
    return net.build(seed=seed, dtype=dtype).fit(*data, **run, checkpoints=folder and Checkpoints(folder, **options))


def without_clock(history):
    return [{k: v for k, v in record.items() if k != "seconds"} for record in history.records], history.best, history.stopped


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
def test_any_step_can_be_the_last_and_the_run_ends_with_the_same_bits(tmp_path, schedule, optimizer):
    run = {**RUN, "schedule": schedule, "optimizer": optimizer, "learning_rate": 0.05}
    whole = fitted(run=run)
    assert whole.history.records[-1]["step"] <= STEPS
    for step in range(whole.history.records[-1]["step"]):
        folder = tmp_path / str(step)
        with pytest.raises(Interrupted, match=f"after step {step}"):
            NET.build(seed=1).fit(X, Y, **run, checkpoints=StopAt(folder, step))
        again = fitted(folder, run=run, every=7)
        for name, array in whole.parameters.items():
            assert array.tobytes() == again.parameters[name].tobytes(), (step, name)
        assert without_clock(again.history) == without_clock(whole.history)


def test_a_run_may_go_on_with_any_number_of_threads(tmp_path):                                                    # I8, row 8
    engine, run = Network("4 | 1").build().engine.name, {**RUN, "batch_size": 40, "epochs": 3}
    wide = Network("4 | 96 relu | dropout 0.3 | 80 tanh | 2 softmax", loss="cross_entropy")
    X, Y = rng.normal(size=(200, 4)), rng.integers(0, 2, 200)
    run["validation"] = (X[:20], Y[:20])
    whole = wide.build(seed=1, threads=1).fit(X, Y, **run)
    last = whole.history.records[-1]["step"]
    for step in range(1, last, 4):
        for before, after in ((1, 2), (2, 3), (3, 1)) if engine == "native" else ((1, 1),):
            folder = tmp_path / f"{step}-{before}"
            with pytest.raises(Interrupted):
                wide.build(seed=1, threads=before).fit(X, Y, **run, checkpoints=StopAt(folder, step))
            again = wide.build(seed=1, threads=after).fit(X, Y, **run, checkpoints=Checkpoints(folder))
            assert all(again.parameters[k].tobytes() == whole.parameters[k].tobytes() for k in whole.parameters), (step, before, after)
            assert without_clock(again.history) == without_clock(whole.history)


def test_lbfgs_goes_on_after_any_iteration_with_the_same_bits_and_repeats_no_evaluation(tmp_path):
    net, run = Network("4 | 6 tanh | 2 softmax", loss="cross_entropy", l2=1e-3), {"epochs": 12, "optimizer": "lbfgs", "validation": (X[:10], Y[:10])}
    whole, evaluations = net.build(seed=1), []
    whole.fit(X, Y, **run)
    assert len(whole.history) == 12
    for step in range(1, 12):
        folder = tmp_path / str(step)
        with pytest.raises(Interrupted, match=f"after step {step}"):
            net.build(seed=1).fit(X, Y, **run, checkpoints=StopAt(folder, step))
        again, heard = net.build(seed=1), []
        evaluations.append(len(Checkpoints(folder).steps()))
        again.fit(X, Y, **run, checkpoints=Checkpoints(folder), callbacks=[lambda record, heard=heard: heard.append(record["epoch"])])
        assert heard == list(range(step, 12))
        assert all(again.parameters[k].tobytes() == whole.parameters[k].tobytes() for k in whole.parameters), step
        assert without_clock(again.history) == without_clock(whole.history)
    assert evaluations == [1] * 11


def test_lbfgs_interrupted_by_ctrl_c_keeps_its_last_iteration(tmp_path):
    net = Network("4 | 6 tanh | 2 softmax", loss="cross_entropy")

    def stop(record):
        if record["epoch"] == 3:
            raise KeyboardInterrupt
    model = net.build(seed=1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=12, optimizer="lbfgs", callbacks=[stop], checkpoints=Checkpoints(tmp_path))
    assert model.objective(X, Y) == pytest.approx(model.history["objective"][3], rel=1e-6) and Checkpoints(tmp_path).steps() == [4]
    again = net.build(seed=1).fit(X, Y, epochs=12, optimizer="lbfgs", checkpoints=Checkpoints(tmp_path))
    whole = net.build(seed=1).fit(X, Y, epochs=12, optimizer="lbfgs")
    assert all(again.parameters[k].tobytes() == whole.parameters[k].tobytes() for k in whole.parameters)


def test_checkpointing_changes_no_bit(tmp_path):
    whole, often = fitted(), fitted(tmp_path, every=1, seconds=0, keep=3)
    assert all(whole.parameters[k].tobytes() == often.parameters[k].tobytes() for k in whole.parameters)
    assert len(Checkpoints(tmp_path).steps()) == 3


def test_a_time_limit_interrupts_with_a_checkpoint(tmp_path):
    with pytest.raises(Interrupted, match="time limit of 1e-09 s"):
        fitted(tmp_path, every=3, time_limit=1e-9)
    assert Checkpoints(tmp_path).steps() == [0]


# ------------------------------------------------------------------------------------- killed while saving

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "ftruncate", "pwrite")


def kill_at(ordinal, folder):
    """Train in a child that kills itself before its nth call of the file system; its wait status."""
    child = os.fork()
    if child == 0:
        count = [0]

        def counted(real):
            def call(*args, **options):
                count[0] += 1
                if count[0] == ordinal:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **options)
            return call
        try:
            for name in CALLS:
                setattr(os, name, counted(getattr(os, name)))
            fitted(folder, run={**RUN, "epochs": 2}, every=1, seconds=0)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1]


def test_kill_9_at_every_step_of_a_save(tmp_path):
    whole = fitted(run={**RUN, "epochs": 2})
    ordinal, killed, newest = 1, 0, -1
    while True:
        folder = tmp_path / str(ordinal)
        status = kill_at(ordinal, folder)
        if not os.WIFSIGNALED(status):
            break                                     # the run was over before that call: every one of them was tried
        assert os.WTERMSIG(status) == signal.SIGKILL
        killed += 1
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            steps = Checkpoints(folder).steps()
            assert max(steps, default=-1) >= newest and newest >= -1, "a save that was complete is lost"
            newest = max([newest, *steps])
            if ordinal % 5 == 0 or not steps:
                again = fitted(folder, run={**RUN, "epochs": 2})
                assert all(again.parameters[k].tobytes() == whole.parameters[k].tobytes() for k in whole.parameters)
                assert [name for name in os.listdir(folder) if name.endswith(".tmp")] == []
        ordinal += 1
    assert killed > 40 and newest >= 8


def test_the_kill_can_fail_to_happen(tmp_path):
    assert not os.WIFSIGNALED(kill_at(10**6, tmp_path / "x")) and Checkpoints(tmp_path / "x").steps()


@pytest.mark.long
def test_a_thousand_kills_at_random_moments_lose_nothing(tmp_path):                                                # row 9
    """Children that save as fast as they can are killed; the next one goes on in the same folder, to the same end."""
    run = {**RUN, "epochs": 400, "patience": None}
    draw, killed, newest = np.random.default_rng(0), 0, -1
    while killed < 1000:
        child = os.fork()
        if child == 0:
            try:
                fitted(tmp_path, run=run, every=1, seconds=0)
            finally:
                os._exit(0)
        time.sleep(float(draw.random()) * 0.05)
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status):
            break                                     # it came to the end before it could be killed
        killed += 1
        folder = Checkpoints(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")            # not one file is corrupt
            steps = folder.steps()
            for step in steps:
                files.load_tensors(folder.path(step))
        assert max(steps, default=-1) >= newest, "a checkpoint that was there is lost"
        newest = max([newest, *steps])
    assert killed > 100 and newest > 100
    again, whole = fitted(tmp_path, run=run), fitted(run=run)
    assert all(again.parameters[k].tobytes() == whole.parameters[k].tobytes() for k in whole.parameters)
    assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == []


# ------------------------------------------------------------------------------------- disks

def test_a_limit_on_the_file_size_is_loud_and_keeps_the_old_one(tmp_path):
    with pytest.raises(Interrupted):
        NET.build(seed=1).fit(X, Y, **RUN, checkpoints=StopAt(tmp_path, 5))
    path = Checkpoints(tmp_path).path(5)
    before, size = open(path, "rb").read(), os.path.getsize(path)
    for budget in range(0, size, max(1, size // 64)):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (max(budget, 200), resource.RLIM_INFINITY))   # the lock's text fits
                fitted(tmp_path, every=1, seconds=0)
            except FileProblem as error:
                code = 0 if error.errno == errno.EFBIG and "needed" in str(error) and "free" in str(error) else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, budget
        assert open(path, "rb").read() == before and Checkpoints(tmp_path).steps() == [5]
        assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == []


@pytest.mark.parametrize("call, number", [("write", errno.ENOSPC), ("fsync", errno.EIO), ("replace", errno.EROFS), ("open", errno.EACCES)])
def test_faults_of_the_disk_are_errors_with_the_old_file_kept(tmp_path, monkeypatch, call, number):
    with pytest.raises(Interrupted):
        NET.build(seed=1).fit(X, Y, **RUN, checkpoints=StopAt(tmp_path, 5))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    real, happened = getattr(os, call), []

    def broken(*args, **options):
        if call == "open" and str(args[0]).endswith(".lock"):
            return real(*args, **options)
        happened.append(1)
        raise OSError(number, os.strerror(number))
    checkpoints = Checkpoints(tmp_path, every=1, seconds=0)
    model = NET.build(seed=1)
    keep = checkpoints.write
    checkpoints.write = lambda checkpoint: (monkeypatch.setattr(files.os, call, broken), keep(checkpoint))
    with pytest.raises(FileProblem, match=os.strerror(number)):
        model.fit(X, Y, **RUN, checkpoints=checkpoints)
    monkeypatch.undo()
    assert happened and {name: (tmp_path / name).read_bytes() for name in before} == before
    assert all(np.isfinite(array).all() for array in model.parameters.values())


# ------------------------------------------------------------------------------------- the catalogue, rows I

def test_a_corrupt_newest_falls_back_loudly(tmp_path):
    fitted(tmp_path, every=1, seconds=0)
    folder = Checkpoints(tmp_path)
    older, newest = folder.steps()
    data = bytearray(open(folder.path(newest), "rb").read())
    data[-3] ^= 1
    open(folder.path(newest), "wb").write(data)
    with pytest.warns(DataWarning, match="kept as .*corrupt"):
        again = fitted(tmp_path, seconds=1e9)
    assert os.path.exists(folder.path(newest) + ".corrupt") and folder.steps() == [older]
    assert again.parameters["W1"].tobytes() == fitted().parameters["W1"].tobytes()


def test_two_runs_cannot_own_one_folder(tmp_path):
    first = Checkpoints(tmp_path)
    first.begin({})
    with pytest.raises(FileProblem, match=f"another run writes this folder: 'process {os.getpid()} on"):
        Checkpoints(tmp_path).begin({})
    first.close()
    Checkpoints(tmp_path).begin({})


@pytest.mark.parametrize("change, kind, message", [
    ({"seed": 2}, OptionError, "seed: 1 there, 2 now"), ({"data": (X + 1, Y)}, OptionError, "the data are others"),
    ({"run": {**RUN, "batch_size": 10}}, OptionError, "option batch_size: 12 there, 10 now"), ({"dtype": "float64"}, DtypeError, "dtype"),
    ({"run": {**RUN, "optimizer": "sgd"}}, OptionError, "optimizer"),
    ({"net": Network("4 | 9 relu | 2 softmax", loss="cross_entropy")}, OptionError, "network"),
])
def test_another_run_is_told_apart(tmp_path, change, kind, message):
    with pytest.raises(Interrupted):
        NET.build(seed=1).fit(X, Y, **RUN, checkpoints=StopAt(tmp_path, 5))
    with pytest.raises(kind, match=message):
        fitted(tmp_path, **change)
    assert Checkpoints(tmp_path).steps() == [5]


def test_a_folder_that_vanishes_is_an_error_and_the_weights_stay(tmp_path):
    folder = tmp_path / "run"
    checkpoints = Checkpoints(folder, every=1, seconds=0)

    def gone(record):
        for name in os.listdir(folder):
            os.unlink(folder / name)
        os.rmdir(folder)
    model = NET.build(seed=1)
    with pytest.raises(FileProblem, match="create the directory first"):
        model.fit(X, Y, **RUN, callbacks=[gone], checkpoints=checkpoints)
    assert all(np.isfinite(array).all() for array in model.parameters.values())


def test_the_order_is_by_step_not_by_clock(tmp_path):
    fitted(tmp_path, every=1, seconds=0)
    folder = Checkpoints(tmp_path)
    os.utime(folder.path(folder.steps()[0]), (2**31, 2**31))
    folder.begin(json.loads(files.load_tensors(folder.path(folder.steps()[0]))[1]["checkpoint"])["identity"])
    assert folder.newest().progress.steps == folder.steps()[-1]


def test_ctrl_c_anywhere_leaves_a_complete_step(tmp_path):
    """A signal at a random moment: the parameters are those after the step that the history of a twin has."""
    code = ("import sys, numpy as np; from backproof import Network; X = np.random.default_rng(0).normal(size=(4000, 30))\n"
            "m = Network('30 | 60 tanh | 1').build(seed=0)\nprint('go', flush=True)\n"
            "try: m.fit(X, X[:, 0], epochs=10**6, batch_size=64)\n"
            "except KeyboardInterrupt: pass\n"
            "steps = m._training[2][1]\n"
            "t = Network('30 | 60 tanh | 1').build(seed=0)\n"
            "whole, rest = divmod(steps, 63)\n"
            "from backproof.train.checkpoints import Checkpoints\n"
            "class Stop(Checkpoints):\n"
            "    def look(self, p, *a):\n"
            "        if p.steps == steps: raise KeyboardInterrupt\n"
            "try: t.fit(X, X[:, 0], epochs=10**6, batch_size=64, checkpoints=Stop(sys.argv[1], every=1))\n"
            "except KeyboardInterrupt: pass\n"
            "print(steps > 0 and all((m.parameters[k] == t.parameters[k]).all() for k in m.parameters))")
    for k in range(3):
        child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / str(k))], stdout=subprocess.PIPE, text=True)
        assert child.stdout.readline() == "go\n"
        time.sleep(0.3 + 0.17 * k)
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=120)[0].strip() == "True"
