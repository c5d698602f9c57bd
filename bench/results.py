"""What was measured, kept as JSON: every row with its day, load and machine, so that a single row can be measured again."""

import json
import os
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent / "results.json"
PACKAGES = ("numpy", "scikit-learn", "torch", "jax")


def installed(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def processor():
    try:
        with open("/proc/cpuinfo") as file:
            return next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.processor())
    except OSError:
        return platform.processor()


def stamp(threads):
    """Where and when: written beside every row."""
    from backproof.engines import _native

    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "load": round(os.getloadavg()[0], 2),
        "processor": processor(),
        "processors": _native.processors(),
        "threads": threads,
        "kernels": _native.instruction_set(),
        "python": platform.python_version(),
        "versions": {name: installed(name) for name in PACKAGES if installed(name)},
    }


def load(path):
    return json.loads(Path(path).read_text()) if Path(path).exists() else {}


def keep(path, name, found):
    """Replace one row of the file, at once and as a whole."""
    results = load(path)
    results[name] = found
    fresh = Path(path).with_suffix(".new")
    fresh.write_text(json.dumps(results, indent=1) + "\n")
    fresh.replace(path)


def others_path():
    """PYTHONPATH of a fresh process that is to see the same packages as this one."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
