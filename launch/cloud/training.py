"""The training that every host will run, checked before anything is paid for."""

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Sequence

from launch import train
from launch.cloud.pack import CHECKOUT, checkout_files
from launch.flags import parse_experiment, take_path
from research.errors import UserError
from research.experiment import Experiment

_IN_A_BUCKET = re.compile(r"gs://[^/]+/[^/].*")


@dataclasses.dataclass(frozen=True)
class Training:
    """A command line of launch.train that works on other machines.

    Attributes:
      experiment: what it trains.
      workdir: a path in a bucket.
      flags: its arguments; paths of configs are relative to the checkout.
    """

    experiment: Experiment
    workdir: str
    flags: tuple[str, ...]

    def name(self, *details: object) -> str:
        """Returns a name for what is rented, the same for the same training and details."""
        identity = repr((self.workdir.rstrip("/"), details)).encode()
        last = re.sub(r"[^a-z0-9]+", "-", pathlib.PurePath(self.workdir).name.lower()).strip("-")
        return f"hanok-{last[:30]}-{hashlib.sha256(identity).hexdigest()[:6]}"


def split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Splits a command line at the first "--".

    Raises:
      UserError: if nothing follows it.
    """
    argv = list(argv)
    middle = argv.index("--") if "--" in argv else len(argv)
    own, training = argv[:middle], argv[middle + 1 :]
    if not training and "--help" not in own:
        raise UserError(
            "no training is given: after -- belong the flags of launch.train, such as\n"
            "  -- --config=configs/cifar10_cnn.py --workdir=gs://BUCKET/runs/a"
        )
    return own, training


def checked(argv: Sequence[str], setup: str) -> Training:
    """Returns the training that flags of launch.train ask for.

    Args:
      argv: the flags, as for a run on this machine.
      setup: what is done on every host beforehand, "" if nothing.

    Raises:
      UserError: if they are wrong, or make no sense on another machine.
      SystemExit: after --help.
    """
    experiment, values = parse_experiment(list(argv), train._define, train.__doc__)
    if not _IN_A_BUCKET.fullmatch(values.workdir):
        given = f"not {values.workdir!r}" if values.workdir else "and there is none"
        raise UserError(
            "--workdir: must be a path in a bucket, gs://BUCKET/PATH, "
            f"{given}: the disks of a slice go with it"
        )
    if values.dry_run:
        raise UserError("--dry_run: needs no slice; give it to launch.train on this machine")
    if values.max_minutes is not None:
        raise UserError("--max_minutes: what stops by itself would only be started again")
    data_dir = getattr(experiment.data, "data_dir", None)
    if data_dir is not None and not setup and not data_dir.startswith("gs://"):
        raise UserError(
            f"data set {experiment.data.name!r} is not on the hosts; let them fetch it, as by\n"
            "  --setup='gcloud storage cp -r gs://BUCKET/tensorflow_datasets .'"
        )
    flags = list(argv)
    for flag in ("config", "config_json"):
        path, flags = take_path(flag, flags)
        if path:
            flags = [f"--{flag}={_within_checkout(flag, path)}", *flags]
    distributed = [] if "--distributed" in flags else ["--distributed"]
    return Training(experiment, values.workdir, (*flags, *distributed))


def _within_checkout(flag: str, path: str) -> pathlib.Path:
    found = pathlib.Path(path).resolve()
    if not found.is_relative_to(CHECKOUT) or found.relative_to(CHECKOUT) not in checkout_files():
        raise UserError(
            f"--{flag}: {path} is not among the files that go to the hosts, those of {CHECKOUT} "
            "that git does not ignore; move it there"
        )
    return found.relative_to(CHECKOUT)
