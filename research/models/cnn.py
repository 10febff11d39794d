"""The plain convolutional network."""

from research.models import base
from research.records import record, require, require_known

POOLINGS = ("max", "average")
HEADS = ("flatten", "global_average")


@record
class Cnn(base.Layered):
    """Stages of convolutions, each stage closed by pooling, then a dense head.

    LeCun et al. 1998. Convolutions are zero-padded ("SAME"), so that only
    pooling shrinks the image; BatchNorm stands before the activation
    (arXiv:1502.03167).
    """

    name: str = "cnn"
    convolves = True
    stages: tuple[tuple[int, ...], ...] = ((32,), (64,))
    """Output channels of every convolution, grouped by stage."""

    kernel_size: int = 3
    """Height and width of the convolution kernels."""

    pooling: str = "max"
    """Closes every stage: "max" or "average"."""

    pool_size: int = 2
    """Window and stride of the pooling; 1 leaves the image as it is."""

    head: str = "flatten"
    """What the dense layers see: "flatten" or "global_average"."""

    widths: tuple[int, ...] = (128,)
    """Dense layers between the convolutions and the logits."""

    batch_norm: bool = True
    dropout_rate: float = 0.0
    """Dropout after every dense layer."""

    stage_dropout_rate: float = 0.0
    """Dropout after the pooling of every stage."""

    def forward(self, x, *, num_classes, train):
        from research.models import layers

        for stage, channels in enumerate(self.stages):
            for index, features in enumerate(channels):
                name = f"conv_{stage}_{index}"
                x = layers.convolution(
                    self, x, features, kernel_size=self.kernel_size, train=train, name=name
                )
                x = layers.activate(self, x, name=name)
            x = layers.pool(self, x)
            x = layers.dropout(x, self.stage_dropout_rate, train=train)
        x = x.mean(axis=(1, 2)) if self.head == "global_average" else x.reshape(x.shape[0], -1)
        for index, width in enumerate(self.widths):
            x = layers.dense(self, x, width, train=train, name=f"dense_{index}")
        return layers.logits(self, x, num_classes)

    def check_input(self, input_shape):
        base.check_is_image(input_shape, self.name)
        base.check_has_pixels(
            input_shape,
            self.pool_size ** len(self.stages),
            "config.model.stages",
            f"{len(self.stages)} stages with pooling by {self.pool_size}",
            "fewer stages, a smaller config.model.pool_size",
        )

    def validate(self, path):
        super().validate(path)
        require(bool(self.stages), f"{path}.stages", "needs at least one stage")
        for index, channels in enumerate(self.stages):
            require(bool(channels), f"{path}.stages[{index}]", "needs at least one convolution")
            base.check_widths(channels, f"{path}.stages[{index}]")
        base.check_widths(self.widths, f"{path}.widths")
        require(self.kernel_size >= 1, f"{path}.kernel_size", "must be at least 1")
        require(self.pool_size >= 1, f"{path}.pool_size", "must be at least 1")
        require_known(self.pooling, POOLINGS, f"{path}.pooling")
        require_known(self.head, HEADS, f"{path}.head")
        base.check_rate(self.dropout_rate, f"{path}.dropout_rate")
        base.check_rate(self.stage_dropout_rate, f"{path}.stage_dropout_rate")
