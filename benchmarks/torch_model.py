"""What PyTorch trains: the layers of an experiment's model, made of its own."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import nn

    from research.experiment import Experiment


class Layers(NamedTuple):
    """The layers of a model, as plain values.

    Attributes:
      channels: of 3×3 convolutions, each followed by 2×2 max pooling.
      widths: of the dense layers after them.
      batch_norm: whether BatchNorm stands before each ReLU.
      dropout_rate: after every dense layer.
      stage_dropout_rate: after every pooling.
    """

    channels: tuple[int, ...]
    widths: tuple[int, ...]
    batch_norm: bool
    dropout_rate: float
    stage_dropout_rate: float

    @classmethod
    def of(cls, experiment: "Experiment") -> "Layers":
        """Returns those of an experiment whose model is an MLP or a CNN."""
        model = experiment.model
        return cls(
            tuple(channels for (channels,) in getattr(model, "stages", ())),
            model.widths,
            model.batch_norm,
            model.dropout_rate,
            getattr(model, "stage_dropout_rate", 0.0),
        )

    def module(self, image_shape: tuple[int, int, int], num_classes: int) -> "nn.Sequential":
        """Returns the network for images [batch, channels, height, width].

        Args:
          image_shape: (height, width, channels) of an image.
          num_classes: of logits.
        """
        from torch import nn

        height, width, features = image_shape
        bias = not self.batch_norm  # which has one of its own
        layers = []
        for channels in self.channels:
            layers.append(nn.Conv2d(features, channels, 3, padding=1, bias=bias))
            layers += [nn.BatchNorm2d(channels)] if self.batch_norm else []
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
            layers += [nn.Dropout(self.stage_dropout_rate)] if self.stage_dropout_rate else []
            height, width, features = height // 2, width // 2, channels
        layers.append(nn.Flatten())
        features *= height * width
        for units in self.widths:
            layers.append(nn.Linear(features, units, bias=bias))
            layers += [nn.BatchNorm1d(units)] if self.batch_norm else []
            layers.append(nn.ReLU())
            layers += [nn.Dropout(self.dropout_rate)] if self.dropout_rate else []
            features = units
        return nn.Sequential(*layers, nn.Linear(features, num_classes))
