"""PyTorch and JAX: their documentation's examples pass, planted mistakes fail with the cause."""

import numpy as np
import pytest

from backproof.check import check_gradients


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="PyTorch is not installed")


@pytest.fixture
def jax():
    return pytest.importorskip("jax", reason="JAX is not installed")


def exponential(torch, back):
    class Exp(torch.autograd.Function):
        @staticmethod
        def forward(ctx, i):
            result = i.exp()
            ctx.save_for_backward(result)
            return result

        @staticmethod
        def backward(ctx, upstream):
            result, = ctx.saved_tensors
            return back(upstream, result)
    return Exp


def test_torch_documentations_exp_passes(torch):
    assert check_gradients(exponential(torch, lambda g, r: g * r), at=torch.randn(3, 4))


@pytest.mark.parametrize("back, cause", [(lambda g, r: r, "upstream not used"), (lambda g, r: 2 * g * r, "factor of all"),
                                         (lambda g, r: -g * r, "factor of all"), (lambda g, r: g * g * r, "not linear")])
def test_a_planted_mistake_in_an_autograd_function_is_named(torch, back, cause):
    report = check_gradients(exponential(torch, back), at=torch.randn(3, 4))
    assert report.verdict == "fail" and cause in [c.key for c in report.causes], report


def test_a_torch_module_passes_with_its_parameters_by_name(torch):
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.ReLU(), torch.nn.Linear(3, 2))
    report = check_gradients(module, torch.randn(5, 4), torch.randn(5, 2), loss=torch.nn.MSELoss())
    assert report and [b.name for b in report.blocks] == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert check_gradients(module, torch.randn(5, 4))


def test_a_torch_function_of_several_tensors_passes(torch):
    assert check_gradients(lambda x, w: (torch.tanh(x @ w) ** 2).sum(), at=(torch.randn(5, 4), torch.randn(4, 2)))


def test_a_mistake_inside_a_torch_module_is_named_by_its_twin(torch):
    class Slope(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            a = torch.tanh(z)
            ctx.save_for_backward(a)
            return a

        @staticmethod
        def backward(ctx, upstream):
            a, = ctx.saved_tensors
            return upstream * (1 - torch.tanh(a) ** 2)

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.out = torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)

        def forward(self, x):
            return self.out(Slope.apply(self.hidden(x)))
    report = check_gradients(Net(), torch.randn(5, 4), torch.randn(5, 2), loss=torch.nn.MSELoss(), like="4 | 3 tanh | 2")
    assert report.verdict == "fail" and [c.key for c in report.causes] == ["f'(a) for f'(z)"], report


def custom(jax, back):
    """JAX's documentation's example of custom_vjp, f(x, y) = sin(x) y, with a backward pass of ours."""
    jnp = jax.numpy

    @jax.custom_vjp
    def f(x, y):
        return jnp.sin(x) * y
    f.defvjp(lambda x, y: (f(x, y), (jnp.cos(x), jnp.sin(x), y)), back)
    return f


def test_jax_documentations_custom_vjp_passes(jax):
    at = (jax.numpy.array([1.0, 2.0, -0.5]), jax.numpy.array([3.0, 0.5, 1.5]))
    assert check_gradients(custom(jax, lambda r, g: (r[0] * g * r[2], r[1] * g)), at=at)


@pytest.mark.parametrize("back, cause", [(lambda r, g: (r[0] * r[2], r[1] * g), "upstream not used"),
                                         (lambda r, g: (2 * r[0] * g * r[2], r[1] * g), "factor"),
                                         (lambda r, g: (-r[0] * g * r[2], -r[1] * g), "factor of all")])
def test_a_planted_mistake_in_a_custom_vjp_is_named(jax, back, cause):
    at = (jax.numpy.array([1.0, 2.0, -0.5]), jax.numpy.array([3.0, 0.5, 1.5]))
    report = check_gradients(custom(jax, back), at=at)
    assert report.verdict == "fail" and cause in [c.key for c in report.causes], report


def test_a_jax_function_over_a_pytree_passes(jax):
    jnp = jax.numpy
    at = {"w": jnp.full((2, 3), 0.3), "b": jnp.array(2.0), "more": [jnp.ones(2)]}
    report = check_gradients(lambda p: jnp.sum(jnp.tanh(p["w"] @ jnp.ones(3)) ** 2 * p["more"][0]) + p["b"] ** 2, at=at)
    assert report and np.prod(report.blocks[-1].shape) == 6


def test_neither_library_is_loaded_by_a_check_of_numpy_functions():
    import subprocess
    import sys
    code = ("import sys, numpy as np\nfrom backproof.check import check_gradients\n"
            "check_gradients((lambda w: (w**2).sum(), lambda w: 2*w), at=np.ones(2))\n"
            "print([m for m in ('torch', 'jax', 'sklearn', 'scipy') if m in sys.modules])")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
