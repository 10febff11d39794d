"""What training minimises, and what is measured beside it.

A loss decides how many outputs the model has and what they say: a logit for
each class, one for two classes, or, where no classes but numbers are to be
predicted, this number, standardised by train. Penalties on the parameters are
the optimizer's (`research.optimizers.chain`). Reported losses are the data's
alone, without penalties and, at evaluation, without label smoothing, class
weights and focus, so that runs with and without them can be compared.
"""

from typing import TYPE_CHECKING, NamedTuple

from research.records import Record, record, require, table

if TYPE_CHECKING:
    import jax


@record
class Loss(Record):
    """Options of a loss; a subclass adds its own and defines `measure`."""

    name: str

    takes_shares = True  # of classes, as targets between 0 and 1
    takes_numbers = False  # to be predicted, in place of classes

    label_smoothing: float = 0.0
    """Share of each target that is spread over all classes (arXiv:1512.00567)."""

    class_weights: tuple[float, ...] = ()
    """Factor of the loss of each class's examples; () is 1 for all of them."""

    def num_outputs(self, num_classes: int) -> int:
        """Returns how many outputs the model needs to tell so many classes apart."""
        return num_classes

    def measure(self, outputs: "jax.Array", targets: "jax.Array") -> "jax.Array":
        """Returns the loss of each example that is reported, float32 [batch].

        Args:
          outputs: those of the model, float32 [batch, outputs].
          targets: probabilities of the classes, float32 [batch, classes].
        """
        raise TypeError(f"{type(self).__name__} defines no measure")

    def minimized(self, outputs: "jax.Array", targets: "jax.Array") -> "jax.Array":
        """Returns what training minimises in the place of `measure`; the same, for most."""
        return self.measure(outputs, targets)

    def pool(self, outputs: "jax.Array") -> "jax.Array":
        """Returns outputs that say the mean prediction of several.

        Of probabilities, where outputs say them, not of logits: what is predicted is
        then a mixture, whose loss is at most the mean of the losses.

        Args:
          outputs: float32 [samples, batch, outputs].

        Returns:
          float32 [batch, outputs]; for probabilities, the logits of their mean.
        """
        return outputs.mean(axis=0)

    def predict(self, outputs: "jax.Array") -> "jax.Array":
        """Returns the class with the largest output, int32 [batch]."""
        import jax.numpy as jnp

        return jnp.argmax(outputs, axis=-1).astype(jnp.int32)

    def validate(self, path):
        _check_share(self.label_smoothing, f"{path}.label_smoothing")
        for index, weight in enumerate(self.class_weights):
            require(weight > 0, f"{path}.class_weights[{index}]", "must be positive")


@record
class SoftmaxCrossEntropy(Loss):
    """−Σₖ tₖ·log softmax(logits)ₖ in nats, over a logit for each class."""

    name: str = "softmax_cross_entropy"

    def measure(self, outputs, targets):
        import optax

        return optax.losses.softmax_cross_entropy(outputs, targets)

    def pool(self, outputs):
        import jax

        return _log_mean(jax.nn.log_softmax(outputs))


@record
class OneForTwo(Loss):
    """A loss under which one output tells two classes apart: that of the second."""

    def num_outputs(self, num_classes):
        return 1 if num_classes == 2 else num_classes

    def boundary(self) -> float:
        """The output above which a single one says that it is the second class."""
        return 0.0

    def predict(self, outputs):
        import jax.numpy as jnp

        if outputs.shape[-1] > 1:
            return super().predict(outputs)
        return (outputs[:, 0] > self.boundary()).astype(jnp.int32)


@record
class SigmoidCrossEntropy(OneForTwo):
    """−t·log σ(z) − (1−t)·log σ(−z) in nats, summed over the outputs.

    With more than two classes each is told from all the others.
    """

    name: str = "sigmoid_cross_entropy"

    def measure(self, outputs, targets):
        import optax

        targets = _of_outputs(targets, outputs)
        return optax.losses.sigmoid_binary_cross_entropy(outputs, targets).sum(axis=-1)

    def pool(self, outputs):
        import jax

        return _log_mean(jax.nn.log_sigmoid(outputs)) - _log_mean(jax.nn.log_sigmoid(-outputs))


@record
class Focal(SigmoidCrossEntropy):
    """Sigmoid cross-entropy times α(1−p)^γ, p being the probability of what is true.

    Lin et al. 2017 (arXiv:1708.02002), equation 5. Cross-entropy itself is what
    is reported at evaluation.
    """

    name: str = "focal"

    gamma: float = 2.0
    """γ: how little well-classified examples count; 0 is cross-entropy."""

    alpha: float = 0.25
    """α where a class is there, and 1−α where it isn't; 0: 1 for both."""

    def minimized(self, outputs, targets):
        import optax

        losses = optax.losses.sigmoid_focal_loss(
            outputs, _of_outputs(targets, outputs), alpha=self.alpha or None, gamma=self.gamma
        )
        return losses.sum(axis=-1)

    def validate(self, path):
        super().validate(path)
        require(self.gamma >= 0, f"{path}.gamma", "must not be negative")
        _check_share(self.alpha, f"{path}.alpha")


@record
class MeanSquaredError(OneForTwo):
    """(output − target)², the mean over the outputs.

    Targets are 0 and 1 for classes, and numbers to be predicted themselves.
    """

    name: str = "mse"
    takes_numbers = True

    def measure(self, outputs, targets):
        import jax.numpy as jnp

        return jnp.square(outputs - _of_outputs(targets, outputs)).mean(axis=-1)

    def boundary(self):
        return 0.5


@record
class PerceptronCriterion(OneForTwo):
    """|z| of every output whose sign is wrong, 0 of the others, summed.

    Its gradient step is Rosenblatt's rule of 1958, w ← w + η(t − [z > 0])x.
    """

    name: str = "perceptron"
    takes_shares = False

    def measure(self, outputs, targets):
        error = (outputs > 0) - _of_outputs(targets, outputs)
        return (error * outputs).sum(axis=-1)

    def validate(self, path):
        super().validate(path)
        require(
            not self.label_smoothing,
            f"{path}.label_smoothing",
            "the perceptron's rule takes classes, not shares of them; use 0",
        )


LOSSES = table(Loss, globals())


class Objective(NamedTuple):
    """A loss of labels that tell so many classes apart, or that are numbers.

    Throughout, `outputs` are the model's, float32 [batch, num_outputs], and
    `labels` are int32 [batch] in [0, num_classes), or where examples are mixed the
    shares of the classes, float32 [batch, num_classes]. Where num_classes is 0,
    they are numbers to be predicted, float32 [batch].
    """

    loss: Loss
    num_classes: int
    class_weights: tuple[float, ...] = ()

    @property
    def num_outputs(self) -> int:
        """How many outputs the model needs."""
        return self.loss.num_outputs(self.num_classes) if self.num_classes else 1

    def train(self, outputs: "jax.Array", labels: "jax.Array") -> "jax.Array":
        """Returns what training minimises, of each example, float32 [batch]."""
        import jax.numpy as jnp
        import optax

        targets, weights = self._targets(labels), self.class_weights
        smooth = optax.losses.smooth_labels(targets, self.loss.label_smoothing)
        losses = self.loss.minimized(outputs, smooth)
        return losses * (targets * jnp.asarray(weights)).sum(axis=-1) if weights else losses

    def evaluate(self, outputs: "jax.Array", labels: "jax.Array") -> "jax.Array":
        """Returns what evaluation reports, of each example, float32 [batch]."""
        return self.loss.measure(outputs, self._targets(labels))

    def pool(self, outputs: "jax.Array") -> "jax.Array":
        """Returns outputs that say the mean prediction of [samples, batch, num_outputs]."""
        return self.loss.pool(outputs)

    def predict(self, outputs: "jax.Array") -> "jax.Array":
        """Returns the classes that the outputs say, int32 [batch]."""
        return self.loss.predict(outputs)

    def correct(self, outputs: "jax.Array", labels: "jax.Array") -> "jax.Array":
        """Whether the outputs say the class, of several the one with most, bool [batch].

        A number to be predicted counts as none.
        """
        import jax.numpy as jnp

        if not self.num_classes:
            return jnp.zeros(len(labels), bool)
        classes = labels if labels.ndim == 1 else labels.argmax(axis=-1)
        return self.predict(outputs) == classes

    def _targets(self, labels):
        import jax

        if labels.ndim > 1:
            return labels
        if not self.num_classes:
            return labels[:, None]
        return jax.nn.one_hot(labels, self.num_classes)


def objective(loss: Loss, num_classes: int, class_weights: tuple[float, ...] = ()) -> Objective:
    """Returns the objective of a loss for so many classes.

    Args:
      loss: the options.
      num_classes: how many the labels tell apart; 0: they are numbers to be predicted.
      class_weights: factors of the losses of each class's examples, of data that
        is balanced by them; those of the options otherwise.

    Raises:
      UserError: if there are not as many class weights as classes.
    """
    given = len(loss.class_weights)
    require(
        given in (0, num_classes),
        "config.loss.class_weights",
        f"{given} weights are given for {num_classes} classes",
    )
    return Objective(loss, num_classes, class_weights or loss.class_weights)


def _of_outputs(targets, outputs):
    """The targets of the outputs: a single one is that of the second of two classes."""
    return targets[:, -outputs.shape[-1] :]


def _log_mean(logs):
    """The logarithm of the mean over the first axis, of logarithms."""
    import jax
    import jax.numpy as jnp

    return jax.nn.logsumexp(logs, axis=0) - jnp.log(len(logs))


def _check_share(share: float, path: str) -> None:
    require(0 <= share < 1, path, f"must lie in [0, 1), not {share}")
