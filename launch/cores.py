"""A device for every core of a CPU, where that is faster than one for all of them.

So it is for replicas of a population, each of which a core trains by itself, and up to
jaxlib 0.10 for convolutions, which one device computes on one core
(`research.models.convolution`). Whoever gives $JAX_NUM_CPU_DEVICES has decided.
"""

import contextlib
import dataclasses
import math
import os

from research.experiment import Experiment
from research.run_options import Mesh


def prepare(experiment: Experiment) -> None:
    """Makes cores devices; to be called before JAX starts its backends.

    Where it has started them, as in a notebook, they stay as they are.
    """
    if (count := _devices(experiment)) > 1:
        import jax

        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


def spread(experiment: Experiment) -> Experiment:
    """Returns the experiment, its batches divided over the devices that `prepare` made.

    To be called where JAX may start its backends, for those tell whether there is
    anything but a CPU. What is computed does not change, only where.
    """
    import jax

    if experiment.population.size > 1 or not 1 < _devices(experiment) == jax.device_count():
        return experiment
    if jax.default_backend() != "cpu":
        return experiment
    return dataclasses.replace(experiment, mesh=Mesh(mode="pmap"))


def _devices(experiment: Experiment) -> int:
    """Returns how many devices a CPU is to have."""
    import jax

    cores = os.cpu_count() or 1
    if os.environ.get("JAX_NUM_CPU_DEVICES") or jax.distributed.is_initialized():
        return 1
    if experiment.population.size > 1:
        return cores
    on_one_core = experiment.model.convolves and jax.__version_info__ < (0, 11)
    if not on_one_core or experiment.mesh != Mesh():
        return 1
    sizes = math.gcd(experiment.global_batch_size, experiment.evaluation.global_batch_size)
    return max(count for count in range(1, cores + 1) if sizes % count == 0)
