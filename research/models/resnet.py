"""Residual convolutional networks."""

from research.models import base
from research.records import record, require, require_known

STEMS = ("small", "large")

# Depth -> blocks of each stage; a block holds two convolutions, and the first
# convolution and the last layer count, too.
_IMAGENET_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_CIFAR_BLOCKS = {depth: ((depth - 2) // 6,) * 3 for depth in (20, 32, 44, 56, 110)}
DEPTHS = _IMAGENET_BLOCKS | _CIFAR_BLOCKS


@record
class ResNet(base.Layered):
    """Blocks of two 3×3 convolutions that add to their input (arXiv:1512.03385).

    Depths 18 and 34 are those of the paper's table 1: four stages of 64 to 512
    channels, where 1×1 convolutions carry the input past a block that changes
    its shape (11,689,512 parameters at depth 18 on ImageNet). Depths 20, 32, 44,
    56 and 110 are those of its section 4.2 for CIFAR-10: three stages of 16 to
    64 channels, where every second pixel, padded with empty channels, does
    (0.27 million parameters at depth 20, 0.85 million at depth 56).
    """

    name: str = "resnet"
    convolves = True
    depth: int = 20

    stem: str = "small"
    """First layer: "small", 3×3, keeps all pixels; "large", 7×7 with stride 2 and
    max-pooling, for images of 100 pixels and more."""

    batch_norm: bool = True

    def forward(self, x, *, num_classes, train):
        from research.models import layers

        blocks, width = DEPTHS[self.depth], 64 if self.depth in _IMAGENET_BLOCKS else 16
        x = self._stem(x, width, train=train)
        for stage, count in enumerate(blocks):
            for index in range(count):
                stride = 2 if stage > 0 and index == 0 else 1
                name = f"block_{stage}_{index}"
                x = self._block(x, width * 2**stage, stride, train=train, name=name)
        return layers.logits(self, x.mean(axis=(1, 2)), num_classes)

    def _stem(self, x, width, *, train):
        from flax import linen as nn

        from research.models import layers

        size, stride = (3, 1) if self.stem == "small" else (7, 2)
        x = layers.convolution(
            self, x, width, kernel_size=size, stride=stride, train=train, name="stem"
        )
        x = layers.activate(self, x, name="stem")
        if self.stem == "small":
            return x
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))

    def _block(self, x, width, stride, *, train, name):
        from research.models import layers

        y = layers.convolution(
            self, x, width, kernel_size=3, stride=stride, train=train, name=f"{name}_conv_0"
        )
        y = layers.activate(self, y, name=f"{name}_conv_0")
        y = layers.convolution(self, y, width, kernel_size=3, train=train, name=f"{name}_conv_1")
        y += self._shortcut(x, width, stride, train=train, name=f"{name}_shortcut")
        return layers.activate(self, y, name=f"{name}_conv_1")

    def _shortcut(self, x, width, stride, *, train, name):
        import jax.numpy as jnp

        from research.models import layers

        added = width - x.shape[-1]
        if stride == 1 and not added:
            return x
        if self.depth in _IMAGENET_BLOCKS:
            return layers.convolution(
                self, x, width, kernel_size=1, stride=stride, train=train, name=name
            )
        padding = ((0, 0), (0, 0), (0, 0), (added // 2, added - added // 2))
        return jnp.pad(x[:, ::stride, ::stride], padding)

    def check_input(self, input_shape):
        base.check_is_image(input_shape, self.name)

    def validate(self, path):
        super().validate(path)
        require(
            self.depth in DEPTHS,
            f"{path}.depth",
            f"takes one of {', '.join(map(str, sorted(DEPTHS)))}, not {self.depth}",
        )
        require_known(self.stem, STEMS, f"{path}.stem")
