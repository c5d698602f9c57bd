"""The examples of the five articles, run: every figure that docs/articles-examples.md reports is asserted here."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name):
    """The module of an example file."""
    spec = importlib.util.spec_from_file_location(f"examples_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a0_the_expanded_derivative_grows_exponentially_and_the_recurrence_linearly():
    rows = {row["depth"]: row for row in example("a0_terms").main()}
    assert [rows[d]["terms"] for d in (1, 2, 3, 4)] == [4, 24, 144, 864]
    assert rows[10]["terms"] == 4 * 6**9
    assert rows[10]["symbols"] > 1e10
    assert [rows[d]["recurrence"] for d in (1, 2, 3, 4, 10)] == [23, 43, 63, 83, 203]
    assert [rows[d]["equations"] for d in (1, 2, 10)] == [8, 14, 62]


def test_a0_the_expanded_derivative_is_the_derivative():
    from backproof import Network
    from backproof.calculus import System
    from backproof.engines.reference import Run
    from backproof.lower import lower
    module = example("a0_terms")
    net = Network("3 | 3 sigmoid | 3 sigmoid", loss="squared_error")
    derived = net.gradient_system().system
    alone = System()
    alone.define("whole", module.expanded(derived, "grad.W1"), axes=derived["grad.W1"].axes)
    rng = np.random.default_rng(0)
    feeds = {**net.build(dtype="float64").parameters, "x": rng.normal(size=(4, 3)), "y": rng.normal(size=(4, 3))}
    whole = Run(lower(alone, ["whole"]), feeds).outputs()["whole"]
    stepwise = Run(lower(derived, ["grad.W1"]), feeds).outputs()["grad.W1"]
    assert np.abs(whole - stepwise).max() < 1e-15


def test_a0_counts_as_one_would_by_hand():
    from backproof.calculus import Index, Variable, total
    module = example("a0_terms")
    i = Index("i", 3)
    w, x, b = Variable("w", (i,)), Variable("x", (i,)), Variable("b")
    assert module.terms(total(w * x, over="i") + b) == 4
    assert module.symbols(total(w * x, over="i") + b) == 7
    assert module.terms((b + 1) * (b - w) * 2) == 4


def test_a1_numerical_gradients_train_alike_and_cost_one_pass_per_parameter_more():
    found = example("a1_numerical_training").main(steps=100)
    assert (found["parameters"], found["passes_per_step"]) == (13, 14)
    assert found["apart"] < 1e-7
    first, last = found["losses"][0][1], found["losses"][-1][1]
    assert last < 0.7 * first


@pytest.mark.parametrize("seed", [0, 1])
def test_b2_both_updates_bring_the_loss_down_and_only_one_is_a_gradient(seed):
    found = example("b2_ten_layers").main(seed)
    right, faulty = found["losses"]["right"], found["losses"]["faulty"]
    assert len(right) == len(faulty) == 501
    assert right[0] == pytest.approx(faulty[0], rel=1e-12)
    assert 0.3 < right[0] < 0.7
    assert right[-1] < 1e-4 and faulty[-1] < 1e-5
    assert all(later < earlier for earlier, later in zip(right[:50], right[1:50]))
    deltas = found["deltas"]
    assert list(deltas) == [f"delta{l}" for l in range(1, 10)]
    assert 1e-7 < deltas["delta1"] / deltas["delta9"] < 1e-5
    assert found["report"].verdict == "fail"
    assert {block.verdict for block in found["report"].blocks} == {"fail"}


def test_b2_the_faulty_update_is_what_is_said_and_not_ours():
    """With the three mistakes mended its program gives our gradients."""
    from backproof import Network
    module = example("b2_ten_layers")
    model = Network(module.SPEC, loss="squared_error", initial=("uniform", 0.0, 1.0)).build(dtype="float64")
    p, x = model.parameters, module.SAMPLE[0]
    a = [x]
    for l in range(1, 10):
        a.append(module.f(a[-1] @ p[f"W{l}"] + p[f"b{l}"]))
    up, ours = a[-1] - x, model.gradients(module.SAMPLE, module.SAMPLE)
    for l in range(9, 0, -1):
        delta = up * a[l] * (1 - a[l])
        assert np.allclose(np.outer(a[l - 1], delta), ours[f"W{l}"], rtol=1e-11, atol=0)
        up = p[f"W{l}"] @ delta


def test_c1_one_neuron_is_logistic_regression():
    assert all(difference < 1e-6 for difference in example("c1_logistic_regression").main().values())


def test_c3_decay_on_biases_makes_little_difference():
    found = example("c3_decay_biases").main()
    one, other = found["loss"].values()
    assert abs(one - other) < 0.01
    assert found["disagree"] < 0.02
    assert found["bias_norm"]["weights and biases"] < found["bias_norm"]["weights"]


def test_c5_equal_units_stay_equal_and_starts_end_in_different_minima():
    found = example("c5_symmetry").main()
    assert found["equal"] == 0
    assert found["broken"] > 1
    assert found["loss_equal"] > 0.4 > 0.05 > found["loss_broken"]
    assert set(np.round(found["minima"], 1)) == {0.1, 0.4}


def test_c7_accumulating_over_the_samples_is_fit_with_sgd():
    found = example("c7_batch_gradient_descent").main()
    assert found["apart"] < 2e-15
    assert found["objective"][1] < found["objective"][0]


def test_d0_a_linear_classifier_fails_and_the_network_does_not():
    found = example("d0_museums").main()
    assert found["linear"] == 0.5
    assert found["linear loss"] == pytest.approx(np.log(2), abs=1e-6)
    assert found["network"] == 1
    assert found["network loss"] < 0.01


def test_d2_a_window_with_an_entity_scores_above_one_without():
    found = example("d2_named_entities").main()
    assert (found["inputs"], found["loss"]) == (20, "pairwise_margin")
    assert found["network"].endswith("| 8 sigmoid | score: 1 nobias")
    assert found["ordered"] > 0.95
    assert found["idle"][0] < found["idle"][1] < found["idle"][2] == 1
    assert max(found["scores"], key=found["scores"].get) == "Paris" and found["scores"]["Paris"] > found["threshold"]
    assert sum(share for *_, share in found["shares"]) == pytest.approx(1)


def test_d2_windows_of_words_score_places():
    found = example("d2_windows").main()
    assert found["shapes"] == {"E1": (28, 4), "W2": (20, 8), "b2": (8,), "W3": (8, 1)}
    assert 0 < found["loss"] and found["by_hand"] < 1e-15 and found["checked"] < 1e-6
    assert found["idle"] == [0.0, 1.0] and found["ranked"] == 1.0
    place = found["new"].pop("CAIRO")
    assert place > 2 and max(found["new"].values()) < 0.5
    assert set(found["moved"]) <= {"in", "to", "trains", "from", "met"}


def test_d4_the_signal_is_shared_out_by_hand_as_derived():
    found = example("d4_error_sharing").main()
    assert np.allclose(found["delta"], found["derived_delta"], rtol=1e-14)
    assert np.allclose(found["x"], found["derived_x"], rtol=1e-14)
    assert found["W14"] == pytest.approx(found["derived_W14"], rel=1e-14)
    assert found["b1"] == pytest.approx(found["derived_b1"], rel=1e-14)
    assert found["losses"][0] > 0 == found["losses"][1]
    assert found["signals"] == [[-1, 1], [0, 0]]


def test_d7_the_derivatives_of_a_product():
    found = example("d7_graph").main()
    assert (found["f"], found["df/dx"], found["df/dy"]) == (-12, -3, 4)
    assert found["change per step"] == pytest.approx(-3)
    assert found["equations"] == ["f[] = x·y", "df/dx = y", "df/dy = x"]


def test_e2_the_chain_in_the_order_of_the_article():
    found = example("e2_chain").main()
    assert found["order"] == ["da2", "dz2", "dw2", "db2", "da1", "dz1", "dw1", "db1"]
    assert max(found["apart"].values()) < 1e-14


def test_char_model_comes_near_the_entropy_and_writes_words_of_the_text():
    module = example("char_model")
    found = module.main(units=32, epochs=5, batch_size=8, learning_rate=1e-2, length=200, temperature=0.5)
    assert found["entropy"] == pytest.approx(8 * 4000 / 73122)
    assert found["entropy"] < found["bits"] < found["entropy"] + 0.1
    words = {word.strip() for four in module.WORDS for word in four}
    written = found["sample"].split()[:-1]
    assert len(written) > 30 and np.mean([word in words for word in written]) > 0.9
    args = found["model"], found["alphabet"], "t", 50
    assert module.write(*args, seed=1) == module.write(*args, seed=1) != module.write(*args, seed=2)


def test_char_model_carries_its_state_from_character_to_character():
    module = example("char_model")
    model = module.describe("abc", units=4, embedding=3).build(seed=2, dtype="float64")
    text = module.write(model, "abc", "abca", 12, temperature=1e-6)
    numbers = module.encoded(text, "abc")[1]
    assert model.predict(numbers[None, :-1])[0].argmax(axis=-1)[3:].tolist() == numbers[4:].tolist()


def test_every_example_has_a_test_and_a_row_in_the_docs():
    here = Path(__file__).read_text(encoding="utf-8")
    listed = (EXAMPLES.parent / "docs" / "articles-examples.md").read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'example("{path.stem}")' in here, path
        assert f"{path.name}" in listed, path
