"""Packs the checkout, with the versions of this environment, for other machines.

    python -m launch.cloud.pack --output=hanok.tar.gz

Takes what git tracks and what is new and not ignored, as it lies on the disk, and
adds constraints.txt with the version of every installed package. Exit codes: 0
done, 2 bad input.
"""

import gzip
import io
import pathlib
import subprocess
import tarfile

from absl import flags

import research
from launch import cli
from launch.cloud.versions import constraints, installed
from launch.flags import parse
from research.errors import UserError

CHECKOUT = pathlib.Path(research.__file__).parents[1]
LARGEST_MEGABYTES = 100


def main(argv: list[str]) -> int:
    """Runs the command; returns its exit code."""
    values = parse(argv, _define, __doc__)
    if not values.output:
        raise UserError("--output: give the path of the archive, such as hanok.tar.gz")
    files = checkout_files()
    output = pathlib.Path(values.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    # Without the time in it, equal checkouts make equal archives.
    with (
        gzip.GzipFile(output, "wb", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for path in files:
            archive.add(CHECKOUT / path, arcname=str(path), recursive=False)
        pinned = constraints(installed()).encode()
        entry = tarfile.TarInfo("constraints.txt")
        entry.size = len(pinned)
        archive.addfile(entry, io.BytesIO(pinned))
    print(f"{len(files)} files, {output.stat().st_size / 1e6:.1f} MB: {output}")
    return cli.SUCCESS


def checkout_files() -> list[pathlib.Path]:
    """Returns the files that belong to the checkout, relative to its root.

    Raises:
      UserError: if there is no git checkout, or it is too big to be copied around.
    """
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or error
        raise UserError(
            f"{CHECKOUT} can't be packed: git does not list its files ({str(said).strip()}). "
            "Launch from a git checkout, with git installed"
        ) from error
    listed = sorted({pathlib.Path(name) for name in done.stdout.split("\0") if name})
    files = [path for path in listed if (CHECKOUT / path).is_file()]
    sizes = {path: (CHECKOUT / path).stat().st_size for path in files}
    if sum(sizes.values()) > LARGEST_MEGABYTES * 1e6:
        largest = sorted(files, key=sizes.__getitem__, reverse=True)[:3]
        shown = ", ".join(f"{path} ({sizes[path] / 1e6:.0f} MB)" for path in largest)
        raise UserError(
            f"the checkout holds more than {LARGEST_MEGABYTES} MB; the largest files are {shown}. "
            "Move them elsewhere, or let .gitignore name them"
        )
    return files


def _define(values: flags.FlagValues) -> None:
    flags.DEFINE_string("output", "", "path of the archive", flag_values=values)


if __name__ == "__main__":
    cli.run(main)
