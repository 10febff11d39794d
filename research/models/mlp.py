"""The multi-layer perceptron."""

from research.models import base
from research.records import record


@record
class Mlp(base.Layered):
    """Dense layers, each followed by an activation, then a linear layer of logits.

    Rumelhart, Hinton & Williams 1986; BatchNorm before the activation as in
    Ioffe & Szegedy 2015 (arXiv:1502.03167), dropout after it as in Srivastava
    et al. 2014. Without `widths` it is multinomial logistic regression.
    """

    name: str = "mlp"
    widths: tuple[int, ...] = (128, 64)
    dropout_rate: float = 0.0
    """Dropout after every dense layer."""

    def forward(self, x, *, num_classes, train):
        from research.models import layers

        x = x.reshape(x.shape[0], -1)
        for index, width in enumerate(self.widths):
            x = layers.dense(self, x, width, train=train, name=f"dense_{index}")
        return layers.logits(self, x, num_classes)

    def validate(self, path):
        super().validate(path)
        base.check_widths(self.widths, f"{path}.widths")
        base.check_rate(self.dropout_rate, f"{path}.dropout_rate")
