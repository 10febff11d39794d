"""The network of airbench94: CIFAR-10 to 94% in seconds."""

from research.models import base
from research.records import record, require

PATCH = 2
"""Height and width of the patches that the first convolution sees."""

BATCH_NORM_MOMENTUM = 0.6
"""Of running statistics: the run is short, and the weights move fast."""


@record
class Airbench(base.Activated):
    """Whitened patches, blocks of two convolutions, the maximum over the image, logits.

    Jordan 2024 (arXiv:2404.00498), section 3.1, with 1,971,640 parameters on
    CIFAR-10: a convolution of 2×2 pixels, then in each block conv 3×3, max-pool 2,
    BatchNorm, activation, conv 3×3, BatchNorm, activation. BatchNorm has no scale,
    and there is no bias but its own and that of the first convolution.
    """

    name: str = "airbench"
    convolves = True
    widths: tuple[int, ...] = (64, 256, 256)
    """Output channels of the convolutions of each block."""

    whiten: bool = True
    """Whether the first convolution, `stem`, begins as one that whitens the patches of
    train. The paper keeps it: freeze "^stem/kernel$"."""

    logit_scale: float = 1 / 9
    """Factor of the logits."""

    activation: str = "gelu"
    initializer: str = "dirac"

    def forward(self, x, *, num_classes, train):
        from research.models import layers
        from research.models.pooling import max_pool

        patch_filters = 2 * PATCH**2 * x.shape[-1]
        x = layers.convolve(
            self, x, patch_filters, kernel_size=PATCH, padded=False, use_bias=True, name="stem"
        )
        x = layers.activate(self, x, name="stem")
        for block, width in enumerate(self.widths):
            for index in range(2):
                name = f"block_{block}_conv_{index}"
                x = layers.convolve(self, x, width, kernel_size=3, use_bias=False, name=name)
                if index == 0:
                    x = max_pool(x, 2)
                x = layers.batch_norm(
                    self, x, momentum=BATCH_NORM_MOMENTUM, use_scale=False, train=train, name=name
                )
                x = layers.activate(self, x, name=name)
        logits = layers.logits(self, x.max(axis=(1, 2)), num_classes, use_bias=False)
        return self.logit_scale * logits

    def from_data(self, dataset):
        if not self.whiten:
            return {}
        from research.models.whitening import whitening_kernel

        return {"stem/kernel": whitening_kernel(dataset.patch_covariance(PATCH), PATCH)}

    def check_input(self, input_shape):
        base.check_is_image(input_shape, self.name)
        base.check_has_pixels(
            input_shape,
            2 ** len(self.widths) + PATCH - 1,
            "config.model.widths",
            f"{len(self.widths)} blocks",
            "fewer blocks",
        )

    def validate(self, path):
        super().validate(path)
        require(bool(self.widths), f"{path}.widths", "needs at least one block")
        base.check_widths(self.widths, f"{path}.widths")
        require(self.logit_scale > 0, f"{path}.logit_scale", "must be positive")
