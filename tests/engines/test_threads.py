"""How many threads a run takes: what the user asks for, what the process may use, and who else has a say."""

import os

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


@pytest.mark.parametrize("granted, expected", [(None, 3), (0.5, 1), (1.5, 2), (2.0, 2), (64.0, 3)])
def test_affinity_and_quota_bound_what_is_available(granted, expected, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 5}, raising=False)
    monkeypatch.setattr(threads, "quota", lambda: granted)
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
