"""Engines run programs; the generator draws for all of them.

An engine is a module with
    name, kernels       what it is called; the composed functions for which it has a word of its own
    Run(program, feeds, dtype)
                        one execution: outputs(), gradients(), first_non_finite()
    Session(program, parameters, state, dtype, threads)
                        training: steps(data, rows, batch_size, scalars, epoch, seed) applies one update per minibatch
                        and gives Steps; parameters and state are those after the last complete step
The same program gives the same numbers in all of them, within the tolerances of the case table in the tests.
"""

from dataclasses import dataclass

__all__ = ["Steps"]


@dataclass
class Steps:
    """What a run of training steps gives.

    Fields  done       steps applied
            loss       Σ over the steps of (samples × data loss); objective likewise; samples: how many were met
            failure    None, or (step, name of the first non-finite value): that step was not applied
    """

    done: int = 0
    samples: int = 0
    loss: float = 0.0
    objective: float = 0.0
    failure: tuple | None = None
