"""Thirty defects of backward passes from public issue threads, collected before the hypotheses of the checker were written.

Each entry: the thread, what was wrong in our words, a program of ours that has the mistake, and the name it must get. Where
the thread's code is a layer, the entry is a layer.
"""

from dataclasses import dataclass

import numpy as np

from .programs import Perceptron, Recurrent, logistic

GITHUB = "https://github.com/"


@dataclass(frozen=True)
class Thread:
    """``name`` is what the checker must call it; ``make(rng)`` gives (program or layer, X, y, p)."""

    link: str
    defect: str
    name: str
    make: object
    update: bool = False
    layer: bool = False
    arrays: bool = False                        # told from the arrays alone (no twin)


def net(mistake, sizes=(4, 3, 2), acts=("sigmoid", "sigmoid"), kind="squared", layer=None, **more):
    def make(rng):
        program = Perceptron(list(sizes), list(acts), kind, mistake=mistake, layer=layer, **more)
        X, y = rng.normal(size=(5, sizes[0])), rng.random((5, sizes[-1]))
        if kind == "cross":
            y = np.eye(sizes[-1])[rng.integers(0, sizes[-1], 5)]
        elif kind == "bernoulli":
            y = rng.integers(0, 2, (5, sizes[-1])) * 1.0
        return program, X, y, program.start(rng)
    return make


def recurrent(mistake):
    def make(rng):
        program = Recurrent(3, 4, 2, mistake)
        X, y = rng.normal(size=(5, 4, 3)), rng.normal(size=(5, 4, 2))
        return program, X, y, program.start(rng)
    return make


def dropped(mistake):
    def make(rng):
        mask = (rng.random((5, 6)) > 0.5) * 2.0
        mask[0, 0], mask[1, 1] = 2.0, 0.0
        program = Perceptron([4, 6, 2], ["tanh", "linear"], mistake=mistake, masks={1: mask})
        return program, rng.normal(size=(5, 4)), rng.normal(size=(5, 2)), program.start(rng)
    return make


class Rectifier:
    def forward(self, x):
        self.x = x
        return x * (x.real > 0)

    def backward(self, upstream):
        return (self.x > 0) * 1.0                                    # overwrites the gradient from above


class Bias:
    def __init__(self):
        self.b = np.array([0.1, -0.2, 0.3])

    def forward(self, x):
        return x + self.b

    def backward(self, upstream):
        self.db = upstream                                           # one row per sample
        return upstream


class Softmax:
    def forward(self, x):
        e = np.exp(x - x.real.max(axis=1, keepdims=True))
        self.s = e / e.sum(axis=1, keepdims=True)
        return self.s

    def backward(self, upstream):
        return self.s * (1 - self.s) * upstream                      # the diagonal of the Jacobian alone


class Sigmoid:
    def forward(self, x):
        self.x = x
        return logistic(x)

    def backward(self, upstream):
        return self.x * (1 - self.x) * upstream                      # meant for the output, given the input


def layer(kind):
    return lambda rng: (kind(), rng.normal(size=(5, 3)), None, None)


THREADS = [
    Thread("Bot-Academy/NeuralNetworkFromScratch/pull/3", "output error without the sigmoid's slope", "shortcut a - y",
           net("shortcut")),
    Thread("kim-marcel/basic_neural_network/issues/7", "the error below computed with updated weights", "weights updated early",
           net("updated early"), update=True),
    Thread("joelgrus/data-science-from-scratch/issues/31", "output weights updated before the hidden deltas",
           "weights updated early", net("updated early", (2, 5, 1)), update=True),
    Thread("CodingTrain/Toy-Neural-Network-JS/issues/72", "weights updated too early, three layers", "weights updated early",
           net("updated early", (2, 4, 3, 1), ("sigmoid", "sigmoid", "sigmoid")), update=True),
    Thread("kyle8998/Sudo-Productivity/issues/3", "x(1 − x) applied to the pre-activation", "closed form at z",
           net("y(1-y) at z")),
    Thread("BoltzmannEntropy/interviews.ai/issues/15", "a sigmoid layer's backward takes x(1 − x) of its input",
           "closed form at x", layer(Sigmoid), layer=True),
    Thread("kvfrans/notes/issues/5", "mean over the batch for the bias, sum for the loss", "1/m twice",
           net("db over m twice", acts=("tanh", "linear"), layer=1)),
    Thread("mlpack/mlpack/pull/3679", "the bias gradient of a layer is not summed over the batch", "not summed",
           layer(Bias), layer=True),
    Thread("rasbt/stat453-deep-learning-ss21/issues/5", "one sum over samples and classes for every bias",
           "bias summed over the units too", net("bias: single sum", (4, 3), ("softmax",), "cross")),
    Thread("rust0258/Deeplearning.ai-Natural-Language-Processing-Specialization/issues/64",
           "bias gradient summed from the weights' gradient", "bias from the weights' gradient",
           net("bias: from weights", (4, 3, 5), ("relu", "softmax"), "cross")),
    Thread("deeplearning4j/deeplearning4j/pull/364", "bias mean over the wrong dimension", "bias summed over the wrong axis",
           net("bias: wrong axis", (4, 5, 5), ("tanh", "linear"))),
    Thread("jxgu1016/MNIST_center_loss_pytorch/issues/9", "gradient not divided by the batch size", "1/m missing",
           net("times m")),
    Thread("jingtinghuang/CS231n-Spring-2017/issues/3", "factor 2 missing in the penalty's gradient", "penalty halved",
           net("penalty halved", (4, 3), ("softmax",), "cross", lam=0.5)),
    Thread("andersbll/nnet/issues/4", "the penalty's gradient has the wrong sign", "penalty sign",
           net("penalty sign", (4, 3, 3), ("tanh", "softmax"), "cross", lam=0.3)),
    Thread("andersbll/nnet/issues/4", "tanh' computed as tanh (a comment of the same thread)", "value for slope",
           net("value for slope", (4, 3, 3), ("tanh", "softmax"), "cross", layer=1)),
    Thread("Burton2000/CS231n-2017/issues/9", "the biases' penalty is in the loss and not in the gradient", "penalty forgotten",
           net("bias penalty forgotten", (4, 3, 3), ("relu", "softmax"), "cross", lam=0.3, lam_biases=0.3)),
    Thread("deeplearning4j/libnd4j/issues/440", "softmax derived as its diagonal a(1 − a)", "softmax diagonal",
           net("softmax diagonal", (4, 3, 3), ("tanh", "softmax"))),
    Thread("HomericIntelligence/Odyssey/issues/2134", "softmax backward without the dot product", "softmax uncoupled",
           net("softmax uncoupled", (4, 3, 3), ("relu", "softmax"))),
    Thread("scutan90/DeepLearning-500-questions/issues/544", "tanh' printed as −tanh²", "one forgotten in the slope",
           net("-a^2", (4, 3, 2), ("tanh", "linear"), layer=1)),
    Thread("davidrmiller/neural2d/issues/40", "the derivative is called with the output", "f'(a) for f'(z)",
           net("f'(a)", (4, 3, 2), ("tanh", "tanh"))),
    Thread("infostreams/neural-network/issues/1", "tanh taken once more of a value that is a tanh already", "f'(a) for f'(z)",
           net("f'(a)", (4, 6, 1), ("tanh", "linear"), layer=1)),
    Thread("apache/incubator-retired-horn/pull/4", "1 − x² applied to the pre-activation", "closed form at z",
           net("y(1-y) at z", (4, 3, 2), ("tanh", "linear"), layer=1)),
    Thread("dennybritz/nn-from-scratch/issues/11", "δ = y − ŷ, the sign of the output error", "wrong sign",
           net("output sign", (2, 3, 2), ("tanh", "softmax"), "cross")),
    Thread("hunkim/DeepLearningZeroToAll/issues/112", "slope kept though cross-entropy cancels it", "slope kept",
           net("slope kept", (4, 3, 2), ("sigmoid", "sigmoid"), "bernoulli")),
    Thread("udacity/deep-learning-v2-pytorch/issues/75", "logistic unit, cross-entropy, error times sigmoid'", "slope kept",
           net("slope kept", (4, 1), ("sigmoid",), "bernoulli")),
    Thread("filipecalasans/mlp/issues/1", "local gradient without the activation's derivative", "slope forgotten",
           net("no slope", (4, 3, 2), ("sigmoid", "linear"), layer=1)),
    Thread("ujjwalkarn/Machine-Learning-Tutorials/pull/16", "deltas without the slope in every hidden layer", "slope forgotten",
           net("no slope", (4, 3, 5, 2), ("tanh", "sigmoid", "linear"))),
    Thread("maziarraissi/backprop/issues/1", "the weights' gradient takes z of the layer below", "pre-activation for activation",
           net("z below", (4, 3, 2), ("tanh", "linear"), layer=2)),
    Thread("bighuang624/Andrew-Ng-Deep-Learning-notes/issues/10", "dW2 doubled and db1 with 4/m", "factor",
           net("2 dW2 and 4 db1", (4, 3, 5, 1), ("relu", "relu", "sigmoid"), "bernoulli"), arrays=True),
    Thread("patrickloeber/MLfromscratch/issues/18", "the factor 2 of the squared error missing", "factor of all",
           net("half", (4, 1), ("linear",)), arrays=True),
    Thread("jiexunsee/Neural-Network-with-Python/issues/1", "error instead of delta at the output of three layers",
           "shortcut a - y", net("shortcut", (3, 5, 4, 1), ("sigmoid", "sigmoid", "sigmoid"))),
    Thread("parasdahal/tinyml/issues/1", "output error not multiplied with the derivative", "shortcut a - y",
           net("shortcut", (5, 4, 3))),
    Thread("haifengl/smile/issues/528", "the rectifier overwrites the gradient from above", "upstream not used",
           layer(Rectifier), layer=True),
    Thread("ddbourgin/numpy-ml/issues/94", "dropout's backward pass divides by 1 − p without the mask",
           "dropout rescaled without the mask", dropped("rescaled, no mask")),
    Thread("VikParuchuri/zero_to_gpt/issues/9", "h of the same step in the recurrent weights' gradient", "state of the same step",
           recurrent("h of the same step")),
    Thread("d2l-ai/d2l-en/issues/2616", "∂h/∂W without the terms of the earlier steps", "later step's error forgotten",
           recurrent("later error forgotten")),
    Thread("JWarmenhoven/Coursera-Machine-Learning/issues/3", "the bias decays with the weights", "decay on biases",
           net("decay on biases", (4, 3, 2), ("sigmoid", "sigmoid"), "bernoulli", lam=0.4)),
    Thread("iamtrask/Grokking-Deep-Learning/pull/22", "weight deltas transposed", "gradient transposed",
           net("gradient transposed", (3, 3), ("linear",))),
    Thread("karpathy/micrograd/pull/102", "a second backward pass adds to the first", "piles up", net("piles up")),
    Thread("scikit-learn/scikit-learn/issues/8349", "loss averaged over outputs, gradient summed", "factor of the outputs",
           net("times outputs", (4, 3, 2), ("relu", "linear"), mean_outputs=True)),
]
