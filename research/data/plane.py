"""Problems of points in a plane, and features made of their two coordinates."""

from typing import TYPE_CHECKING

from research.data.base import Table
from research.records import record, require, require_known

if TYPE_CHECKING:
    import numpy as np

    from research.data.base import Examples

FEATURES = ("x1", "x2", "x1^2", "x2^2", "x1*x2", "sin(x1)", "sin(x2)")


@record
class Plane(Table):
    """Options of a problem whose examples are points; a subclass draws them."""

    features: tuple[str, ...] = ("x1", "x2")
    """What the model sees of a point, in this order, such as ('x1','x2','x1*x2')."""

    seed: int = 0
    """Decides the points; independent of the experiment's seed."""

    def examples_of(self, points: "np.ndarray", labels: "np.ndarray") -> "Examples":
        """Returns the features of points, float64 [n, 2], with their labels."""
        import numpy as np

        from research.data.arrays import examples

        columns = [feature(name, *points.T) for name in self.features]
        return examples(np.stack(columns, axis=1).astype(np.float32), labels.astype(np.int32))

    def validate(self, path):
        super().validate(path)
        require(bool(self.features), f"{path}.features", "needs at least one")
        for index, name in enumerate(self.features):
            require_known(name, FEATURES, f"{path}.features[{index}]")
        repeated = [name for name in self.features if self.features.count(name) > 1]
        require(not repeated, f"{path}.features", f"gives {repeated[:1]} twice")
        require(0 <= self.seed < 2**32, f"{path}.seed", "must lie in [0, 2**32)")


def feature(name: str, x1: "np.ndarray", x2: "np.ndarray") -> "np.ndarray":
    """Returns the feature called `name`, an entry of FEATURES, of points; float64 [n]."""
    import numpy as np

    return {
        "x1": lambda: x1,
        "x2": lambda: x2,
        "x1^2": lambda: x1**2,
        "x2^2": lambda: x2**2,
        "x1*x2": lambda: x1 * x2,
        "sin(x1)": lambda: np.sin(x1),
        "sin(x2)": lambda: np.sin(x2),
    }[name]()
