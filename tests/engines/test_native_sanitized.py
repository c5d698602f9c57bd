"""The C++ core under sanitizers: compiled by g++ alone, without Python; and the whole extension, under the native tests."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from backproof import Network
from backproof.train import OPTIMIZERS

native = pytest.importorskip("backproof.engines.native")
NATIVE = pathlib.Path(__file__).parents[2] / "native"
SOURCES = ["dispatch", "fold", "bind", "resolve", "step", "run", "machine", "epoch", "look", "pool", "rows"]
NETWORKS = [("7 | 19 relu | 5 tanh | 2 softmax", "cross_entropy", "adam", {"l2": 1e-3}),
            ("3 | lstm 5 | dropout 0.2 | last | 2 softmax", "cross_entropy", "momentum", {}),
            ("3 | bi gru 4 | mean | 1", "squared_error", "sgd", {}),
            ("window 3 vocabulary=2 embedding 37 | 4 sigmoid | 2 softmax", "cross_entropy", "nesterov", {}),
            ("4 | layer_norm | 17 gelu | 3", "huber", "rmsprop", {})]


class Recorder:
    """Stands for the core's builder and writes its calls down."""

    def __init__(self):
        self.lines, self.counts = [], {"index": 0, "value": 0}

    def __getattr__(self, call):
        def record(*arguments):
            def text(a):
                if isinstance(a, (list, tuple)):
                    return " ".join(map(str, [len(a), *a]))
                return str(int(a)) if isinstance(a, bool) else str(a) or "-"
            self.lines.append(" ".join([call, *map(text, arguments)]))
            if call in self.counts:
                self.counts[call] += 1
                return self.counts[call] - 1
        return record


def script(monkeypatch):
    """The step programs of the networks, as the calls that build them."""
    lines = []
    for spec, loss, optimizer, options in NETWORKS:
        network = Network(spec, loss=loss, **options)
        model = network.build()
        program = model._step_program({"target": "class" if loss == "cross_entropy" else "dense"}, OPTIMIZERS[optimizer], None, None, False)
        recorder = Recorder()
        monkeypatch.setattr(native._native, "Builder", lambda recorder=recorder: recorder)
        bound = native.Bound(program)
        losses = [bound.value[program.outputs[name].value] for name in ("L", "J")]
        lines += [*recorder.lines, "extent T 4", f"losses {losses[0]} {losses[1]}", "end"]
    return "\n".join(lines) + "\n"


def compiled(folder, sanitizers):
    common = ["g++", "-std=c++20", "-g", "-O1", "-fno-omit-frame-pointer", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off",
              f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all", f"-I{NATIVE}"]
    jobs = [[*common, "-DBP_ISA=baseline", "-DBP_VEC=16", "-c", NATIVE / "kernels.cpp", "-o", folder / "kernels.o"]]
    jobs += [[*common, "-c", NATIVE / f"{name}.cpp", "-o", folder / f"{name}.o"] for name in SOURCES]
    jobs += [[*common, "-c", pathlib.Path(__file__).with_name("smoke.cpp"), "-o", folder / "smoke.o"]]
    for start in range(0, len(jobs), 2):                                    # two at once
        for process in [subprocess.Popen(job) for job in jobs[start:start + 2]]:
            assert process.wait(300) == 0
    subprocess.run([*common, *sorted(folder.glob("*.o")), "-o", folder / "smoke", "-pthread"], check=True, timeout=300)
    return folder / "smoke"


def clean(tmp_path, monkeypatch, sanitizers):
    if shutil.which("g++") is None:
        pytest.skip("no g++")
    done = subprocess.run([compiled(tmp_path, sanitizers)], input=script(monkeypatch), capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout == f"{len(NETWORKS)} programs\n"


def test_no_address_or_undefined_behaviour_error(tmp_path, monkeypatch):
    clean(tmp_path, monkeypatch, "address,undefined")


@pytest.mark.long
def test_no_data_race(tmp_path, monkeypatch):
    clean(tmp_path, monkeypatch, "thread")


# The native tests in an interpreter that has the sanitizers' library loaded first, past an editable installation.
SUITE = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
sys.path[:0] = [{folder!r}, {tests!r}]
import backproof.engines._native as core
assert core.__file__.startswith({folder!r}), core.__file__
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "-m", "not long", "--deselect", {memory!r}, *{files!r}]))
"""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_the_native_tests_are_clean_under_address_and_undefined_behaviour_sanitizers(tmp_path):
    """Without the tests of memory that grows or ends: the sanitizers keep what is freed, and take terabytes of addresses."""
    pytest.importorskip("scikit_build_core")
    if shutil.which("g++") is None or sys.platform != "linux":
        pytest.skip("needs g++ on Linux")
    folder, tests = tmp_path / "sanitized", pathlib.Path(__file__).parents[1]
    how = ["--quiet", "--no-deps", "--no-build-isolation", "-C", "cmake.define.BP_SANITIZE=address,undefined"]
    done = subprocess.run([sys.executable, "-m", "pip", "install", *how, "--target", folder, NATIVE.parent],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    libraries = [subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
                 for name in ("libasan.so", "libstdc++.so")]             # the second, or ASan finds no __cxa_throw to stand before
    here = tests / "engines" / "test_native.py"
    script = SUITE.format(folder=str(folder), tests=str(tests), memory=f"{here.relative_to(tests.parent)}::test_memory_does_not_grow_over_fits",
                          files=[str(here), str(here.with_name("test_native_words.py"))])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=3000, cwd=tests.parent, env={
        **os.environ, "LD_PRELOAD": " ".join(libraries), "PYTHONMALLOC": "malloc",
        "ASAN_OPTIONS": f"detect_leaks=0:log_path={tmp_path / 'report'}",
        "UBSAN_OPTIONS": f"halt_on_error=1:print_stacktrace=1:log_path={tmp_path / 'report'}"})
    said = done.stdout + done.stderr + "".join(report.read_text() for report in tmp_path.glob("report*"))
    assert "AddressSanitizer" not in said and "runtime error:" not in said, said[-6000:]
    assert done.returncode == 0 and " passed" in done.stdout, said[-6000:]
    assert "memory_does_not_grow" not in said, "deselected by a name that pytest does not know"
