"""Programs by key: made once, a copy for every owner, bounded, in any number of threads, after a fork."""

import os
import pickle
import sys
import threading

import pytest

from backproof import Network
from backproof.lower import Shared


def program():
    return Network("2 | 3 tanh | 1").build(engine="reference").program("prediction")


def test_a_key_is_made_once_and_every_owner_has_tables_of_its_own():
    shared, made = Shared(), program()
    one, two = (shared.of("key", lambda: made) for _ in range(2))
    assert shared.made == 1 and one == two == made
    assert one is not two and one.values is not two.values and one.outputs is not two.outputs
    one.values.clear()
    one.outputs["prediction"] = None
    assert two.values and shared.of("key", lambda: made) == two
    assert one.bound is two.bound                           # what engines made of the instructions


def test_without_a_key_nothing_is_shared():
    shared = Shared()
    for _ in range(3):
        shared.of(None, program)
    assert shared.made == 3 and len(shared) == 0


def test_what_was_not_used_for_longest_is_forgotten_first():
    shared, made = Shared(most=2), program()
    for key in ("a", "b", "a", "c"):
        shared.of(key, lambda: made)
    assert shared.made == 3 and len(shared) == 2
    shared.of("a", lambda: pytest.fail("a was used after b"))
    shared.of("b", lambda: made)
    assert shared.made == 4


def test_what_cannot_be_made_leaves_nothing_behind():
    shared = Shared()
    with pytest.raises(ZeroDivisionError):
        shared.of("key", lambda: 1 / 0)
    assert len(shared) == 0 and shared.of("key", program) is not None


def test_threads_that_want_the_same_program_at_once_get_equal_ones_over_one_content():
    shared, begin, found = Shared(most=3), threading.Barrier(8), []

    def work(k):
        begin.wait(20)
        for j in range(50):
            found.append(shared.of((k + j) % 5, program))
    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(interval)
    assert len(found) == 400 and all(each == found[0] for each in found) and len(shared) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_child_of_a_process_whose_lock_was_held_does_not_wait_for_it():
    shared = Shared()
    shared.of("key", program)
    with shared._lock:
        child = os.fork()
        if not child:
            done = threading.Thread(target=shared.of, args=("key", program), daemon=True)
            done.start()
            done.join(20)
            os._exit(3 if done.is_alive() else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_program_is_pickled_without_what_engines_made_of_it():
    made = Network("2 | 3 tanh | 1").build().program("prediction")
    made.bound["an engine"] = lambda: None                   # no pickle takes it
    again = pickle.loads(pickle.dumps(made))
    assert again == made and again.bound == {}
