"""Trains on a Cloud TPU slice with the flags of a training at home.

    python -m launch.cloud.tpu --type=v5litepod-8 --zone=us-west4-a --spot \\
        -- --config=configs/cifar10_cnn.py --workdir=gs://BUCKET/runs/a
    python -m launch.cloud.tpu … --print_only -- …    # shows the commands; needs no account

Orders the slice, waits for it, installs this checkout with the versions of this
environment on all hosts, runs launch.train there and shows its log. A slice that
is taken away is ordered again, and training goes on from its last checkpoint. At
the end, also after Ctrl-C, the slice is given back. The same command finds a
slice that was left behind. See launch/cloud/README.md.

Exit codes: 0 trained; that of launch.train if it failed by itself (1 crashed, 2
bad input, 3 not finite); 1 trained, but the slice could not be given back; 2 also
for what has to be mended first; 75 stopped by a signal, or no capacity, or
--retries used up: the same command goes on; 130 left at once after a second
Ctrl-C, with the slice left behind.
"""

import re
import shutil
import signal

from absl import flags

from launch import cli
from launch.cloud.commands import Plan
from launch.cloud.lifecycle import Lifecycle
from launch.cloud.orders import Limits
from launch.cloud.runner import Runner
from launch.cloud.screen import show
from launch.cloud.slices import parse_type
from launch.cloud.training import checked, split
from launch.flags import parse
from research.data.arrays import cache_root
from research.errors import UserError

_ZONE = re.compile(r"[a-z]+-[a-z]+\d+-[a-z]")
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    with cli.StopRequest() as stop:
        own, training = split(argv)
        values = parse(own, _define, __doc__)
        plan = _plan(values, training)
        limits = Limits(
            retries=values.retries,
            poll_seconds=values.poll_seconds,
            queue_hours=values.queue_hours,
            stall_minutes=values.stall_minutes,
        )
        if values.print_only:
            show(_script(plan, limits))
            return cli.SUCCESS
        if shutil.which("gcloud") is None:
            raise UserError(
                "gcloud is not installed. Install it (https://cloud.google.com/sdk/docs/install), "
                "then: gcloud auth login && gcloud config set project PROJECT"
            )
        _heed_hangup()
        return Lifecycle(plan, limits, Runner(stop), values.keep, _say).run()


def _plan(values: flags.FlagValues, training_flags: list[str]) -> Plan:
    slice_type = parse_type(values.type)
    if not _ZONE.fullmatch(values.zone):
        given = f"{values.zone!r} is no zone" if values.zone else "give a zone"
        raise UserError(
            f"--zone: {given}, such as us-west4-a; which zones have which types stands at "
            "https://cloud.google.com/tpu/docs/regions-zones"
        )
    training = checked(training_flags, values.setup)
    name = values.name or training.name(slice_type.name, values.zone, values.spot)
    if not _NAME.fullmatch(name):
        raise UserError(f"--name: {name!r} must be of a-z, 0-9 and -, a letter first, at most 63")
    return Plan(
        name=name,
        slice_type=slice_type,
        zone=values.zone,
        train_flags=training.flags,
        runtime_version=values.runtime_version or slice_type.generation.runtime_version,
        tarball=str(cache_root() / "launch" / f"{name}.tar.gz"),
        project=values.project,
        spot=values.spot,
        service_account=values.service_account,
        setup=values.setup,
    )


def _script(plan: Plan, limits: Limits) -> str:
    """Returns the commands of a launch in which nothing goes wrong, and what else may be run."""
    asked = (
        f"# Every {limits.poll_seconds:g} s, until the order is ACTIVE and its node READY;\n"
        "# afterwards to notice when the slice is taken away:"
    )
    return "\n\n".join(
        [
            str(plan.pack()),
            str(plan.create()),
            f"{asked}\n{plan.describe_order()}",
            str(plan.describe_node()),
            *map(str, plan.setting_up()),
            str(plan.versions()),
            str(plan.train(attempt=1)),
            f"# Only after Ctrl-C while it trains:\n{plan.stop()}",
            "# At the end, however it ends, and before a slice that was lost is ordered again:\n"
            f"{plan.delete()}",
        ]
    )


def _say(text: str) -> None:
    show(f"[launch] {text}")


def _heed_hangup() -> None:
    """Lets a closed terminal stop the launcher as SIGTERM does; not under nohup."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


def _define(values: flags.FlagValues) -> None:
    for name, default, meaning in (
        ("type", "", "accelerator type, such as v5litepod-8"),
        ("zone", "", "where, such as us-west4-a"),
        ("project", "", "Google Cloud project; gcloud's own unless given"),
        ("name", "", "of the slice; follows from work directory, type and zone unless given"),
        ("runtime_version", "", "image of the hosts; follows from the type unless given"),
        ("service_account", "", "of the hosts; must be allowed to use the bucket"),
        ("setup", "", "shell command for every host before training, such as to fetch data"),
    ):
        flags.DEFINE_string(name, default, meaning, flag_values=values)
    for name, meaning in (
        ("spot", "take a slice that may be taken away at any time, at a lower price"),
        ("keep", "do not give the slice back at the end"),
        ("print_only", "print the commands instead of running them"),
    ):
        flags.DEFINE_bool(name, False, meaning, flag_values=values)
    default = Limits()
    flags.DEFINE_integer(
        "retries",
        default.retries,
        "how often to order again or resume",
        lower_bound=0,
        flag_values=values,
    )
    for name, number, meaning in (
        ("poll_seconds", default.poll_seconds, "between looks at the slice; pauses grow with it"),
        ("queue_hours", default.queue_hours, "how long to wait for capacity"),
        ("stall_minutes", default.stall_minutes, "without a log line, training is started again"),
    ):
        flags.DEFINE_float(name, number, meaning, lower_bound=0.0, flag_values=values)


if __name__ == "__main__":
    cli.run(main)
