"""Which of the two feeds a run has."""

from jax.sharding import Mesh

from research import processes
from research.data.feeds import Feed, ResidentFeed, StreamedFeed, fits_on_devices
from research.data.splits import Split
from research.experiment import Experiment, Timetable


def open_feed(experiment: Experiment, plan: Timetable, split: Split, mesh: Mesh) -> Feed:
    """Returns the feed of an experiment's training split, as its options have it."""
    options = experiment.feeding
    source = options.source
    if source == "auto":
        fits = processes.decided(lambda: fits_on_devices(split, mesh))
        source = "resident" if fits else "streamed"
    most = most_steps(experiment, plan)
    given = split, experiment.global_batch_size, experiment.seed, mesh, most
    if source == "resident":
        return ResidentFeed(*given)
    return StreamedFeed(*given, plan.total_steps, options.threads)


def most_steps(experiment: Experiment, plan: Timetable) -> int:
    """Returns the most steps that an experiment lets the devices make at once."""
    return min(experiment.feeding.steps_at_once or plan.total_steps, plan.steps_until_pause(0))
