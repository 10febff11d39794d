"""Numbers that are not finite end a run before its files know of them."""

import jax

from research import manifest
from research.checkpoints import Checkpoints
from research.errors import DivergedError, shortened
from research.experiment import Experiment
from research.program import Program
from research.state import TrainState
from research.workdir import Workdir


class Watch:
    """Looks at losses, gradients and states whenever the loop stops for them anyway.

    The step itself notes the first number that is not finite
    (`research.steps`), so that nothing has to be fetched for it at every step.
    """

    def __init__(
        self, experiment: Experiment, program: Program, files: Workdir, checkpoints: Checkpoints
    ):
        """Watches over a run."""
        self._may_skip = experiment.optimizer.apply_if_finite
        self._program = program
        self._files = files
        self._checkpoints = checkpoints

    def check(self, first_nonfinite_step: int) -> None:
        """Raises `DivergedError` if a step has been noted, which 0 is none of."""
        if step := int(first_nonfinite_step):
            after = f" after {self._may_skip} in a row that were skipped" if self._may_skip else ""
            raise self._error(
                step, f"the loss or its gradient was not a finite number at step {step}{after}"
            )

    def check_state(self, state: TrainState) -> None:
        """Raises `DivergedError` if no run could go on from a state."""
        step, noted, sound = jax.device_get(
            (state.step, state.first_nonfinite_step, self._program.is_finite(state))
        )
        self.check(noted)
        if not sound.all():
            paths = manifest.describe_leaves(state)
            bad = [path for path, ok in zip(paths, sound, strict=True) if not ok]
            raise self._error(
                step, f"step {step} left numbers that are not finite in {shortened(bad)}"
            )

    def _error(self, step: int, what: str) -> DivergedError:
        self._checkpoints.wait()
        last = self._checkpoints.latest_step()
        kept = (
            f"The checkpoint of step {last} in {self._files.checkpoints} is kept"
            if last
            else "No checkpoint had been saved yet"
        )
        return DivergedError(
            f"{what}; training has stopped. {kept}.\nWhere they arose says\n"
            f"  python -m launch.replay --workdir={self._files.home} --step={step}\n"
            "Try a smaller --config.optimizer.learning_rate, --config.optimizer.clip_norm=1, or "
            "--config.optimizer.apply_if_finite to skip such steps, in another --workdir"
        )
