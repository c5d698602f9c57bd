"""A compiled core that cannot be loaded is an error that says why and how to mend it: never a crash, never another engine."""

import pathlib
import shutil
import subprocess
import sys

import pytest

from backproof.engines import extension

pytest.importorskip("backproof.engines.native")
SOURCE = pathlib.Path(__file__).parents[2] / "src" / "backproof"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A package of its own: the sources and the compiled core."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(SOURCE, folder / "backproof", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
    core = pathlib.Path(extension.path())
    return folder, core, shutil.copy(core, folder / "backproof" / "engines" / core.name)


def ask(folder, code):
    """Run code that imports the package of a folder, past an editable installation of the same name."""
    head = (f"import sys\nsys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in type(f).__module__]\n"
            f"sys.path.insert(0, {str(folder)!r})\nimport backproof\nassert backproof.__file__.startswith({str(folder)!r})\n")
    return subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, timeout=120, cwd=folder)


BUILD = "from backproof import Network\nprint(Network('2 | 1').build().engine.name)"
COMMAND = "from backproof.cli import main\nsys.exit(main(['train', 'iris', '--epochs', '1']))"


def test_the_whole_copy_is_the_native_engine(copy):
    done = ask(copy[0], BUILD)
    assert (done.returncode, done.stdout) == (0, "native\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="cuts an ELF file")
@pytest.mark.parametrize("kept", [0, 1000, 0.5, -1])
def test_a_core_that_was_cut_short_is_named_with_what_is_missing(copy, kept):
    folder, core, broken = copy
    whole = core.read_bytes()
    pathlib.Path(broken).write_bytes(whole[:int(kept * len(whole)) if isinstance(kept, float) else kept])
    done = ask(folder, BUILD)
    assert done.returncode == 1 and not done.stdout                       # -7 would be SIGBUS
    assert "EngineError: the engine 'native' cannot be loaded" in done.stderr
    assert "cut short" in done.stderr and core.name in done.stderr and "pip install --force-reinstall" in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="an ELF file that is none")
def test_no_command_falls_back_or_shows_a_traceback(copy):
    folder, core, broken = copy
    pathlib.Path(broken).write_bytes(b"no library at all, but long enough to be looked at by the loader".ljust(4096, b"."))
    done = ask(folder, COMMAND)
    assert done.returncode == 70 and "cannot be loaded" in done.stderr and "fix" in done.stderr
    assert "Traceback" not in done.stderr and "epoch" not in done.stderr + done.stdout
    done = ask(folder, BUILD.replace("build()", "build(engine='reference')"))
    assert done.stdout == "reference\n", done.stderr                      # it stays selectable


@pytest.mark.skipif(sys.platform != "linux", reason="ELF")
def test_a_whole_file_has_no_damage_and_a_missing_one_is_said(tmp_path):
    assert extension.damage(extension.path()) is None
    assert "No such file" in extension.damage(tmp_path / "none.so")
