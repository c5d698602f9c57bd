"""Imports run one way: a room may use itself and those above it, and the calculus needs the standard library alone.

The order is the list ROOMS; the doors stand below all rooms, the commands below the doors. Every import is read from
the source, inside functions as well, so that a circle cannot hide in a function body.
"""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "backproof"

ROOMS = ["errors", "calculus", "derive", "lower", "networks", "engines", "oracles", "data", "train", "show", "check"]
FRONTS = ["estimators"]                 # hold a Model in the hand, as any user does
DOORS = ["network", "model", "derivation", "__init__"]
COMMANDS = ["cli", "commands", "run_files", "jobs", "results", "folds", "disk_sources", "word_jobs", "word_models", "measures", "outputs", "predictions", "runs", "slopes", "sources", "pages",
            "exchange", "onnx_graph", "torch_state", "sequence_jobs", "sequence_models", "doctor", "demo", "__main__"]
RANK = {**{name: rank for rank, name in enumerate(ROOMS)},
        **dict.fromkeys(DOORS, len(ROOMS)), **dict.fromkeys(FRONTS, len(ROOMS) + 1),
        **dict.fromkeys(COMMANDS, len(ROOMS) + 2)}
STANDARD_LIBRARY_ALONE = {"errors", "calculus", "derive", "lower"}
HEAVY = ["sklearn", "scipy", "pyarrow", "typer", "rich"]


def imported_names(source, package):
    """Yield (line, absolute dotted name) of every import in a source text; `package` is where relative ones start."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from ((node.lineno, ".".join([*base, alias.name])) for alias in node.names)


def violations(source, path):
    """The sentences that say which imports of a source text break the order; `path` is relative to src/backproof."""
    path = Path(path)
    room = path.parts[0].removesuffix(".py")
    if room not in RANK:
        return [f"{path}: '{room}' has no place in the order of rooms"]
    found = []
    for line, name in imported_names(source, ".".join(["backproof", *path.parts[:-1]])):
        top, *rest = name.split(".")
        if top == "backproof":
            target = rest[0] if rest and rest[0] in RANK else "__init__"
            if target == "cli" and room != "__main__":
                found.append(f"{path}:{line} imports {name}; nobody imports cli")
            elif RANK[target] > RANK[room]:
                found.append(f"{path}:{line} imports {name}; '{target}' stands below '{room}'")
        elif room in STANDARD_LIBRARY_ALONE and top not in sys.stdlib_module_names:
            found.append(f"{path}:{line} imports {name}; '{room}' uses the standard library alone")
    return found


def test_every_import_keeps_the_order_of_rooms():
    files = sorted(SOURCE.rglob("*.py"))
    assert SOURCE / "errors.py" in files
    assert [text for file in files for text in violations(file.read_text("utf-8"), file.relative_to(SOURCE))] == []


@pytest.mark.parametrize("source, path, message", [
    ("import numpy as np", "calculus/nodes.py", "standard library alone"),
    ("def f():\n    from numpy import linalg", "derive/sweep.py", "standard library alone"),
    ("from backproof.networks import losses", "derive/sweep.py", "'networks' stands below 'derive'"),
    ("from backproof import networks", "lower/program.py", "'networks' stands below 'lower'"),
    ("from ..engines import native", "networks/layers.py", "'engines' stands below 'networks'"),
    ("from .. import model", "train/loop.py", "'model' stands below 'train'"),
    ("def f():\n    import backproof.estimators.mlp", "check/causes.py", "'estimators' stands below 'check'"),
    ("from backproof import Network", "show/pages.py", "'__init__' stands below 'show'"),
    ("from backproof.calculus import nodes", "errors.py", "'calculus' stands below 'errors'"),
    ("from backproof.cli import main", "demo.py", "nobody imports cli"),
    ("from .demo import run", "model.py", "'demo' stands below 'model'"),
    ("", "extras/thing.py", "has no place"),
])
def test_a_broken_order_is_caught(source, path, message):
    [sentence] = violations(source, path)
    assert message in sentence


@pytest.mark.parametrize("source, path", [
    ("import math\nfrom backproof.errors import ShapeError", "calculus/nodes.py"),
    ("from ..calculus.nodes import Sum\nfrom . import rules", "derive/sweep.py"),
    ("import numpy\nfrom backproof.lower import program", "engines/reference.py"),
    ("from backproof.network import Network\nfrom backproof.check import gradients", "__init__.py"),
    ("from backproof.cli import main", "__main__.py"),
    ("from backproof import Network", "demo.py"),
])
def test_a_kept_order_is_let_through(source, path):
    assert violations(source, path) == []


def loaded_by(statement):
    code = f"{statement}\nimport sys\nprint(*(name for name in {HEAVY} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return run.stdout.split()


def test_import_backproof_loads_nothing_heavy():
    assert loaded_by("import backproof") == []


def test_a_fit_of_an_estimator_loads_no_more_of_scikit_learn_than_it_needs():
    code = """
        import sys, warnings
        import numpy as np
        warnings.simplefilter("ignore")
        from backproof.estimators import MLPClassifier
        X = np.arange(12.0).reshape(6, 2)
        MLPClassifier((3,), max_iter=1).fit(X, X[:, 0] > 4).predict(X)
        print([name for name in ("sklearn.metrics", "sklearn.model_selection", "sklearn.preprocessing",
                                 "backproof.estimators.words", "backproof.estimators.sequence") if name in sys.modules])
        MLPClassifier((3,), max_iter=1).fit(X, X[:, 0] > 4).score(X, X[:, 0] > 4)
        print("sklearn.metrics" in sys.modules)
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert run.stdout.split("\n")[:2] == ["[]", "True"], run.stderr


def test_the_check_for_heavy_imports_can_fail():
    assert loaded_by("import backproof, rich") == ["rich"]
