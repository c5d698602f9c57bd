"""Wheels: built, audited, installed into clean environments and put to work there. Long: each is a whole build.

The clean environments see this one's site-packages behind their own, for NumPy and the rest: nothing is downloaded.
"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("scikit_build_core")
pytest.importorskip("nanobind")
pytestmark = [pytest.mark.long, pytest.mark.timeout(1800)]
ROOT = Path(__file__).parents[1]

FIT = """
import numpy as np, warnings
from backproof import Network
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    X = np.random.default_rng(0).normal(size=(200, 3))
    model = Network("3 | 8 relu | 1", loss="squared_error").build(seed=0)
    model.fit(X, X[:, :1], epochs=30, learning_rate=1e-2)
print(model.engine.name, model.history.records[-1]["loss"] < 0.2 * model.history.records[0]["loss"])
print(*[warning.message for warning in said], sep="\\n")
"""


def built(folder, **environment):
    how = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", *how, ROOT], capture_output=True, text=True,
                          env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr[-3000:]
    [wheel] = folder.glob("*.whl")
    return wheel


def installed(wheel, folder):
    """The interpreter of a clean environment with the wheel in it."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], check=True, capture_output=True)
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "behind.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    return installed(wheel, tmp_path_factory.mktemp("clean") / "venv")


def ask(python, *arguments):
    """Run it where no sources lie: what is imported is what was installed."""
    return subprocess.run([python, *arguments], capture_output=True, text=True, cwd=python.parents[1], timeout=300,
                          env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"})


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert all(re.match(r"backproof(-[\d.]+\.dist-info)?/", name) for name in names), names
    assert not [name for name in names if re.search(r"\.(cpp|hpp|a|o|pyc)$|test", name)]
    assert [name for name in names if name.endswith(".so")] == [name for name in names if "/_native" in name] != []
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "backproof").rglob("*")
               if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"}
    assert sources <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="auditwheel is for Linux")
def test_the_wheel_passes_the_audit(wheel):
    pytest.importorskip("auditwheel")
    done = subprocess.run([sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert re.search(r'consistent with the following platform tag: "manylinux_2_\d+_', said), said
    needed = set(re.findall(r"\b(?:lib|ld-)[\w+.-]*\.so[\w.]*", said))
    system = {"libc.so.6", "libm.so.6", "libgcc_s.so.1", "libstdc++.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
    assert "libstdc++.so.6" in needed and needed <= system


def test_the_wheel_trains_in_a_clean_environment(python):
    where = ask(python, "-c", "import backproof; print(backproof.__file__)").stdout
    assert where.startswith(str(python.parents[1])), where
    assert ask(python, "-c", FIT).stdout.split() == ["native", "True"]
    done = ask(python, "-m", "backproof", "train", "iris", "--epochs", "5", "--out", "run")
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr
    done = ask(python, "-m", "backproof", "doctor")
    assert done.returncode == 0 and "engine     native" in done.stdout


def test_the_pure_wheel_is_for_any_platform_and_names_its_engine_at_the_first_fit(tmp_path):
    wheel = built(tmp_path, BACKPROOF_PURE="1")
    assert wheel.name.endswith("-py3-none-any.whl")
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith((".so", ".pyd"))]
    python = installed(wheel, tmp_path / "venv")
    engine, warning = ask(python, "-c", FIT).stdout.strip().split("\n")
    assert engine == "reference True"
    assert "without its C++ core" in warning and "reference engine runs" in warning
    done = ask(python, "-c", "from backproof import Network; Network('2 | 1').build(engine='native')")
    assert "EngineError: this package was built without its C++ core" in done.stderr and "fix" in done.stderr
    done = ask(python, "-m", "backproof", "doctor")
    assert done.returncode == 0 and "engine     reference" in done.stdout
