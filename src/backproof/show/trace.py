"""Traces: the recorded numbers of a run, every named equation with its value, at one or at several epochs.

Reads   a model and samples. The program keeps every equation that the derivation prints; no hook, no second formula.
Gives   arrays by name (z1, a1, delta1, adj.a1, grad.W1, W1, x, y, E, …) and the page that shows them.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from ..train.links import Links
from .trace_page import trace_page

__all__ = ["Recorder", "Recording", "Snapshot", "Trace"]

NEWEST = "now"


@dataclass
class Snapshot:
    """The numbers of one moment: when ("now", or how many epochs were trained), arrays in stored order, η."""

    when: object
    values: dict
    learning_rate: float | None = None


class Recording:
    """Runs a model's equations on fixed samples, at whatever parameters: ``recording(parameters)`` -> {name: array}.

    ``truncation_length``: with the adjoint cut every so many steps, the factors as ``xi``.
    Attributes  derivation   the equations that run, with the inputs' derivatives
                fixed        {input: array in stored order}; n: how many samples
    """

    def __init__(self, model, X, y, sample_weight=None, truncation_length=None):
        network, fed = model.network, model._feeds(X, y, sample_weight)
        links = Links.of(network, truncation_length, None, fed, 0)
        fed.how.update(links.how)
        wrt = [p.name for p in network.parameters] + ([] if network.vocabulary is not None else ["x"])
        self.network, self.n, self.lengths = network, fed.n, fed.lengths
        self.derivation = network.derive(wrt=wrt, **fed.how)
        self.names = tuple(self.derivation.system.equations)
        self.program = model.program(*self.names, derived=True, wrt=tuple(wrt), **fed.how)
        self.fixed = model._store(self.program, fed.arrays)
        if links.draw:
            self.fixed["xi"] = links.draw(0, 0).astype(model.dtype)
        self._run = lambda parameters: model.engine.Run(self.program, {**parameters, **self.fixed}, model.dtype)

    def __call__(self, parameters):
        found = self._run(parameters).outputs()
        values = {
            name: _ordered(found[name], self.program.outputs[name].labels, self.derivation.system[name].axes)
            for name in self.names
        }
        return {**{name: np.array(array) for name, array in parameters.items()}, **self.fixed, **values}


def _ordered(array, labels, axes):
    array = np.asarray(array)
    return array.transpose([list(labels).index(axis) for axis in axes]) if axes else array


@dataclass
class Trace:
    """The numbers of a run: what ``model.trace(X, y)`` gives.

    Attributes  snapshots      in order of time; ``values`` are the newest one's, sample-first
                derivation     the equations behind the names
                feature_names, class_names   what inputs and outputs are called, or None
                learning_rate  η of the update that the page shows

    >>> import numpy as np
    >>> from backproof import Network
    >>> model = Network("2 | 3 tanh | 1", loss="squared_error").build(seed=0, dtype="float64")
    >>> trace = model.trace(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0]))
    >>> trace.values["delta1"].shape, trace.values["W1"].shape
    ((2, 3), (2, 3))
    >>> bool((trace.values["delta1"] == model.deltas([[0.0, 1.0], [1.0, 0.0]], [1.0, 0.0])["delta1"]).all())
    True
    """

    derivation: object
    snapshots: list
    n: int
    lengths: object = None
    feature_names: list | None = None
    class_names: list | None = None
    learning_rate: float = 0.1
    title: str = ""
    rows: list | None = None
    adjoints: dict = field(default_factory=dict)

    @classmethod
    def of(cls, recording, snapshots, **about):
        return cls(
            recording.derivation,
            snapshots,
            recording.n,
            recording.lengths,
            adjoints=dict(recording.derivation.sweep.adjoints),
            **about,
        )

    @property
    def network(self):
        return self.derivation.network

    @property
    def values(self):
        """{name: array} of the newest snapshot, sample-first."""
        return self.at(-1)

    def at(self, k):
        """{name: array} of snapshot k, sample-first."""
        return {name: self._sample_first(name, array) for name, array in self.snapshots[k].values.items()}

    def _sample_first(self, name, array):
        kinds = [index.kind for index in self.axes(name)]
        return np.moveaxis(array, kinds.index("sample"), 0) if "sample" in kinds else array

    def axes(self, name):
        """The indices of a quantity, in stored order."""
        system = self.derivation.system
        return system[name].axes if name in system else system.variables[name].axes

    def to_html(self, path=None, language="en"):
        """Write the page, one self-contained file, and give its path; without a path the page's text."""
        page = trace_page(self, language)
        if path is None:
            return page
        Path(path).write_text(page, "utf-8")
        return str(path)

    def _repr_html_(self):
        return framed(self.to_html())

    def __repr__(self):
        epochs = f", {len(self.snapshots)} epochs" if len(self.snapshots) > 1 else ""
        return f"Trace({self.network.spec or 'network'}, {self.n} samples{epochs}; .values, .to_html(path))"


def framed(page, height=720):
    """A page inside a notebook's cell: a frame of its own that may run its script and reach nothing."""
    return (
        f'<iframe sandbox="allow-scripts" srcdoc="{escape(page, quote=True)}" title="backproof" '
        f'style="width:100%;height:{height}px;border:1px solid #8888;border-radius:6px"></iframe>'
    )


class Recorder:
    """A callback of ``fit`` that records traces: the start and every ``every``-th epoch, at most ``most`` of them.

    >>> import numpy as np
    >>> from backproof import Network
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    >>> recorder = Recorder(X, y)
    >>> model = Network("2 | 3 tanh | 1", loss="squared_error").build(seed=0)
    >>> _ = model.fit(X, y, epochs=3, callbacks=[recorder])
    >>> [snapshot.when for snapshot in recorder.trace().snapshots]
    [0, 1, 2, 3]
    """

    def __init__(self, X, y, every=1, most=100):
        self.samples, self.every, self.most = (X, y), every, most
        self.recording, self.snapshots, self.about = None, [], {}

    def begin(self, model, X=None, y=None):
        """Called by fit before the first step."""
        if self.recording is None:
            self.recording = Recording(model, *self.samples)
            self.about = {"feature_names": model.feature_names}
            self.snapshots.append(Snapshot(0, self.recording(model.parameters)))

    def watch(self, record, parameters):
        """Called by fit after every epoch; asks for no end."""
        when = record["epoch"] + 1
        if when % self.every == 0:
            self.snapshots.append(Snapshot(when, self.recording(parameters()), record["learning_rate"]))
        if len(self.snapshots) > self.most:  # half of them, twice as far apart
            self.snapshots, self.every = self.snapshots[:1] + self.snapshots[2::2], 2 * self.every
        return False

    def trace(self, **about):
        """The Trace of what was recorded."""
        rates = [s.learning_rate for s in self.snapshots if s.learning_rate]
        return Trace.of(
            self.recording,
            list(self.snapshots),
            **{**self.about, **({"learning_rate": rates[-1]} if rates else {}), **about},
        )
