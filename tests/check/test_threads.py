"""Defects from public issue threads fail the check and get their name."""

import numpy as np
import pytest
from check.threads import THREADS

from backproof.check import check_gradients


def report_of(thread, seed=0):
    rng = np.random.default_rng(seed)
    program, X, y, point = thread.make(rng)
    if thread.layer:
        return check_gradients(program, X, seed=1)
    options = {"at": point, "seed": 1}
    if not thread.arrays:
        options["like"] = program.spec()
        if getattr(program, "masks", None):
            options["noise"] = {"noise1": program.masks[1]}
    if thread.update:
        return check_gradients((program.loss, program.step), X, y, update=program.rate, **options)
    return check_gradients((program.loss, program.gradient), X, y, **options)


@pytest.mark.parametrize("thread", THREADS, ids=lambda t: f"{t.link}: {t.defect}")
def test_the_defect_of_a_thread_is_found_and_named(thread):
    report = report_of(thread)
    assert report.verdict == "fail"
    assert thread.name in {name for cause in report.causes for name in cause.names}, report


def test_there_are_thirty_threads_and_the_same_programs_pass_without_the_mistake():
    assert len({thread.link for thread in THREADS}) >= 30
    for thread in THREADS:
        if not thread.layer:
            program, X, y, point = thread.make(np.random.default_rng(0))
            program.mistake = ""
            assert check_gradients((program.loss, program.gradient), X, y, at=point).verdict == "pass", thread
