"""How many threads a run takes: what the user asks for, what the process may use, and who else has a say."""

import os
import threading

import numpy as np
import pytest
import threadpoolctl

from backproof import Model, Network
from backproof.engines import threads
from backproof.engines.threads import MOST, available, quota, team
from backproof.errors import OptionError

native = pytest.importorskip("backproof.engines.native")
from backproof.engines import _native  # noqa: E402


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Four processors, and nobody has a say."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "available", lambda: 4)


@pytest.fixture
def asked(monkeypatch):
    """The threads of every machine that is made."""
    found = []
    for dtype, kind in native._MACHINES.items():
        monkeypatch.setitem(native._MACHINES, dtype, lambda builder, n, kind=kind: found.append(n) or kind(builder, n))
    return found


def fit(threads=None):
    X, y = np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 2
    return Network("3 | 4 tanh | 2 softmax", loss="cross_entropy").build(threads=threads).fit(X, y, epochs=1)


@pytest.mark.parametrize("wrong", [0, -1, 1.5, "2", True, np.nan])
def test_what_is_no_number_of_threads_is_refused_with_the_mend(wrong):
    with pytest.raises(OptionError, match="no number of threads.*\n.*None"):
        Network("3 | 2").build(threads=wrong)


def test_a_number_of_threads_is_held_to_what_a_team_can_be(asked):
    fit(threads=10**6)
    fit(threads=np.int64(3))
    assert asked == [MOST, 3]


def test_none_takes_what_the_process_may_use(asked):
    fit()
    assert asked == [4]


def test_threads_travel_with_a_model_and_hold_for_its_predictions(asked, tmp_path):
    model = fit(threads=3)
    model.predict(np.zeros((2, 3)))
    Model.load(model.save(tmp_path / "m.safetensors"), threads=2).predict(np.zeros((2, 3)))
    assert asked == [3, 3, 2]


def test_limits_of_threadpoolctl_are_obeyed_and_given_back(asked):
    listed = [found for found in threadpoolctl.threadpool_info() if found["user_api"] == "backproof"]
    assert len(listed) == 1 and listed[0]["num_threads"] == _native.processors()
    if _native.processors() == 1:
        pytest.skip("one processor: there is nothing to limit")
    with threadpoolctl.threadpool_limits(1):
        fit()
        fit(threads=8)
        assert [found["num_threads"] for found in threadpoolctl.threadpool_info() if found["user_api"] == "backproof"] == [1]
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        fit(threads=8)
    fit(threads=8)
    assert asked == [1, 1, 8, 8]


def test_the_variable_that_joblib_sets_in_its_workers_is_a_limit_of_the_default_alone(monkeypatch):
    for told, wanted in [("1", 1), ("3", 3), ("2,4", 2), ("100", 4), ("0", 4), ("", 4), ("many", 4)]:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
        assert team(None) == wanted, told
        assert team(8) == 8


def test_runs_side_by_side_share_the_processors():
    assert [team(None, beside=k) for k in range(6)] == [4, 2, 1, 1, 1, 1]
    assert team(3, beside=5) == 3
    assert team(None, limit=2) == 2


class Watched:
    """A machine that counts the members of all teams that are inside their epochs, and may be held there."""

    inside, most, machines, hold = [], [], [], None

    def __init__(self, kind, builder, threads):
        self.real, self.threads = kind(builder, threads), threads
        self.machines.append(self)

    def __getattr__(self, name):
        return getattr(self.real, name)

    def use(self, threads):
        self.threads = threads
        self.real.use(threads)
        self.most.append(sum(machine.threads for machine in self.inside))

    def epoch(self, *given):
        self.inside.append(self)
        self.most.append(sum(machine.threads for machine in self.inside))
        try:
            if self.hold is not None:
                self.hold(self)
            return self.real.epoch(*given)
        finally:
            self.inside.remove(self)


@pytest.fixture
def watched(monkeypatch):
    for name in ("inside", "most", "machines"):
        monkeypatch.setattr(Watched, name, [])
    for dtype, kind in native._MACHINES.items():
        monkeypatch.setitem(native._MACHINES, dtype, lambda builder, n, kind=kind: Watched(kind, builder, n))
    return Watched


def test_a_fit_gives_threads_away_in_the_middle_of_an_epoch_when_another_begins(watched, monkeypatch):
    inside, go_on = threading.Event(), threading.Event()

    def hold(machine):
        if machine is watched.machines[0]:
            inside.set()
            assert go_on.wait(60)
    monkeypatch.setattr(watched, "hold", staticmethod(hold))
    first = threading.Thread(target=fit)
    first.start()
    assert inside.wait(60)
    assert watched.machines[0].threads == 4
    fit()
    second = watched.machines[-1]
    assert second is not watched.machines[0] and second.threads == 2
    assert watched.machines[0].threads == 4                     # it has the processors for itself again
    assert max(watched.most) == 4 and 2 in watched.most
    go_on.set()
    first.join(60)
    assert threads._fits == [] and native._stepping == []


def test_a_number_of_threads_that_the_user_gave_is_no_matter_of_others(watched):
    with threads.at_work(), threads.at_work():
        fit(threads=3)
        assert watched.machines[-1].threads == 3
        fit()
        assert watched.machines[-1].threads == 1


@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_a_search_by_threads_never_has_more_members_at_work_than_processors(watched):
    import joblib
    from sklearn.model_selection import GridSearchCV

    from backproof.estimators import MLPRegressor
    X = np.random.default_rng(0).normal(size=(40, 3))
    search = GridSearchCV(MLPRegressor(hidden_layer_sizes=(4,), max_iter=6, tol=0.0, n_iter_no_change=99),
                          {"alpha": [0.0, 0.1, 0.2, 0.3]}, cv=2, n_jobs=4, refit=False)
    with joblib.parallel_config("threading"):
        search.fit(X, X[:, 0])
    assert len(watched.machines) >= 8 and 1 <= max(watched.most) <= 4
    assert threads._fits == [] and native._stepping == []


def test_a_team_that_changes_in_the_middle_of_an_epoch_changes_no_bit():
    X = np.random.default_rng(0).normal(size=(40_000, 16)).astype(np.float32)

    def trained(restless):
        model = Network("16 | 32 tanh | 1").build(seed=0, threads=3)
        done = threading.Event()

        def change():
            while not done.is_set():
                for session in list(native._stepping):
                    for count in (1, 3, 2, 64):
                        session.machine.use(count)
        other = threading.Thread(target=change)
        if restless:
            other.start()
        try:
            model.fit(X, X[:, :1], epochs=2, batch_size=16)
        finally:
            done.set()
            if restless:
                other.join(60)
        return model.parameters
    _native.set_worth_a_thread(0)
    try:
        still, restless = trained(False), trained(True)
    finally:
        _native.set_worth_a_thread(4e5)
    for name, array in still.items():
        np.testing.assert_array_equal(restless[name], array)


@pytest.mark.parametrize("text, granted", [("max 100000", None), ("50000 100000", 0.5), ("150000 100000", 1.5),
                                           ("800000 100000", 8.0), ("nonsense", None)])
def test_the_quota_of_the_control_group_is_read(text, granted, tmp_path):
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert quota(tmp_path) == granted


def test_the_quota_of_an_old_control_group_is_read(tmp_path):
    assert quota(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    for name, number in (("quota", -1), ("period", 100000)):
        (tmp_path / "cpu" / f"cpu.cfs_{name}_us").write_text(f"{number}\n")
    assert quota(tmp_path) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("250000\n")
    assert quota(tmp_path) == 2.5


@pytest.mark.parametrize("quota, expected", [(None, 3), (0.5, 1), (1.5, 2), (2.0, 2), (64.0, 3)])
def test_affinity_and_quota_bound_what_is_available(quota, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5}, raising=False)
    monkeypatch.setattr(threads, "granted", lambda: quota)
    assert available() == expected


def inner_threads(estimator, X, y):
    """A scorer that tells how many threads a fit would take where the search has put it."""
    return team(None, _native.limit())


@pytest.mark.long
def test_a_grid_search_with_processes_is_not_oversubscribed():
    from sklearn.model_selection import GridSearchCV

    from backproof.estimators import MLPRegressor
    X = np.random.default_rng(0).normal(size=(40, 3))
    search = GridSearchCV(MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, tol=0.0, n_iter_no_change=9), {"alpha": [0.0, 0.1]},
                          cv=2, n_jobs=2, scoring=inner_threads, refit=False)
    expected = max(1, os.cpu_count() // 2)
    assert (search.fit(X, X[:, 0]).cv_results_["mean_test_score"] <= expected).all()
