"""Files in a bucket of Google Cloud Storage: gs://BUCKET/FOLDER.

Objects of a bucket are written whole, at once: they can't be appended to,
renamed or locked. Orbax knows how to live with that. The small files of a work
directory are written to this machine's disk, like those of any other, and
copied there and back by a `Mirror`.
"""

import atexit
import contextlib
import functools
import importlib.util
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from etils import epath

from research import lease
from research.errors import UserError, first_line

SCHEME = "gs://"

# Where TensorFlow is installed, as on Colab, epath would read buckets through it, with
# other errors, and look for it once, whatever path comes first.
os.environ.setdefault("EPATH_USE_TF", "false")

RETRIES = 4
"""How often a request is tried again, with growing pauses: half a minute in all."""

LOG_IN = (
    "Log in with `gcloud auth application-default login` or name a key file in "
    "GOOGLE_APPLICATION_CREDENTIALS, as an account with the role roles/storage.objectUser there"
)

REMEDIES = {
    "Invalid GCS bucket name": "Give gs://BUCKET/FOLDER",
    "NOT_FOUND": "Is the bucket's name right? `gcloud storage buckets create` makes one",
    "UNAUTHENTICATED": LOG_IN,
    "PERMISSION_DENIED": LOG_IN,
    "": "Does the network reach it? The same command then goes on from the last complete "
    "checkpoint",
}
"""What to do, by what an error holds."""

Path = pathlib.Path | epath.Path
"""A path on a disk, or in a bucket."""


def locate(path: str | os.PathLike) -> Path:
    """Returns the path of a file or folder, on a disk (made absolute) or in a bucket.

    Raises:
      UserError: if it is elsewhere, or in a bucket and what reads buckets is not
        installed.
    """
    scheme, separator, _ = os.fspath(path).partition("://")
    if not separator:
        return pathlib.Path(path).expanduser().absolute()
    if scheme + separator != SCHEME:
        raise UserError(f"{path}: work directories are on a disk or in a bucket, {SCHEME}…")
    _prepare_epath()
    return epath.Path(path)


def is_remote(path: Path) -> bool:
    """Whether a path leads into a bucket."""
    return os.fspath(path).startswith(SCHEME)


def files_below(folder: Path) -> list[str]:
    """Returns the relative paths of all files in a folder and in those below, sorted."""
    if is_remote(folder):
        import fsspec

        # TensorStore would find nothing where it is not allowed to look.
        found = fsspec.filesystem("gcs").find(f"{folder}/")
        return sorted(f"{SCHEME}{name}".removeprefix(f"{folder}/") for name in found)
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def written_at(path: Path) -> float:
    """Returns when a file was written, in seconds since 1970."""
    found = path.stat()
    return found.mtime if is_remote(path) else found.st_mtime


def copy(folder: Path, target: Path, leave_out: tuple[str, ...] = ()) -> None:
    """Copies a folder file by file, from a disk or bucket to a disk or bucket.

    Args:
      folder: what is copied.
      target: the new folder.
      leave_out: relative paths that are not copied.
    """
    for name in files_below(folder):
        if name in leave_out:
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("rb") as source, (target / name).open("wb") as sink:
            shutil.copyfileobj(source, sink)


def move(folder: Path, target: Path) -> None:
    """Moves a folder; in a bucket, file by file, so that all are there at least once."""
    if not is_remote(folder):
        folder.rename(target)
        return
    copy(folder, target)
    remove(folder)


def remove(folder: Path) -> None:
    """Removes a folder, if it is there, with all that is in it."""
    epath.Path(folder).rmtree(missing_ok=True)


def open_store(folder: epath.Path) -> Any:
    """Returns the objects below a folder of a bucket as a `tensorstore.KvStore`."""
    import tensorstore

    context = tensorstore.Context({"gcs_request_retries": {"max_retries": RETRIES}})
    return tensorstore.KvStore.open(f"{folder}/", context=context).result()


@contextlib.contextmanager
def errors_of_bucket(folder: epath.Path) -> Iterator[None]:
    """Turns what a request to a bucket raises into an error that says what to do."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # TensorStore tells them apart in words alone
        reason = first_line(error).split(" [")[0]
        if isinstance(error, FileNotFoundError):  # gcsfs names the request alone
            reason = "NOT_FOUND: no such bucket"
        remedy = next(text for sign, text in REMEDIES.items() if sign in reason)
        raise UserError(f"{folder} can't be used: {reason}\n{remedy}") from error


class Mirror:
    """A folder of a bucket, and a copy of its small files on this machine's disk.

    The copy is this process's alone and goes with it; the bucket is what stays.

    Attributes:
      home: the folder in the bucket.
      root: the folder on the disk.
    """

    def __init__(self, home: epath.Path, elsewhere: tuple[str, ...]):
        """Begins with an empty copy; nothing is written to the bucket yet.

        Args:
          home: the folder in the bucket.
          elsewhere: folders in it that are not copied.
        """
        self.home = home
        self._elsewhere = elsewhere
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="hanok-"))
        atexit.register(shutil.rmtree, self.root, ignore_errors=True)
        with errors_of_bucket(home):
            self._store = open_store(home)
        self._lease = lease.Lease(self._store, home, lease.BEAT)
        self._in_bucket: dict[str, tuple[int, int]] = {}

    def check_writable(self) -> None:
        """Raises `UserError` unless objects can be written and removed."""
        # Each under a name of its own, as the processes of a run look at the same time.
        name = f"{self._elsewhere[-1]}/writable-{self.root.name}"
        with errors_of_bucket(self.home):
            self._store.write(name, b"").result()
            self._store.write(name, None).result()

    @contextlib.contextmanager
    def sole_writer(self) -> Iterator[None]:
        """Holds the folder while the block runs, with the files as they were left there.

        Raises:
          UserError: if another process holds it, saying which.
        """
        with contextlib.ExitStack() as stack:
            with errors_of_bucket(self.home):
                stack.enter_context(self._lease.held())
            self.pull()
            yield

    def pull(self) -> None:
        """Copies the files from the bucket to the disk.

        Raises:
          UserError: if the bucket does not give them.
        """
        with errors_of_bucket(self.home):
            self._store.read(lease.NAME).result()  # refused, if it is, in words we know
            names = filter(self._is_copied, files_below(self.home))
            reads = {name: self._store.read(name) for name in names}
            for name, read in reads.items():
                path = self.root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(read.result().value)
        self._in_bucket = self._on_disk()

    def push(self) -> None:
        """Returns once the bucket holds the same files as the disk.

        Raises:
          UserError: if it does not take them, or another process holds it by now.
        """
        self._lease.check()
        now = self._on_disk()
        changed = [name for name, stamp in now.items() if self._in_bucket.get(name) != stamp]
        with errors_of_bucket(self.home):
            writes = [
                *(self._store.write(name, (self.root / name).read_bytes()) for name in changed),
                *(self._store.write(name, None) for name in self._in_bucket.keys() - now.keys()),
            ]
            for write in writes:
                write.result()
        self._in_bucket = now

    def _on_disk(self) -> dict[str, tuple[int, int]]:
        """Returns name -> what changes when a file does."""
        stats = {name: (self.root / name).stat() for name in files_below(self.root)}
        return {name: (stat.st_mtime_ns, stat.st_size) for name, stat in stats.items()}

    def _is_copied(self, name: str) -> bool:
        return name != lease.NAME and name.split("/")[0] not in self._elsewhere


@functools.cache
def _prepare_epath() -> None:
    """Sees that Orbax can read buckets, and reads what is there, not what was."""
    if not importlib.util.find_spec("gcsfs"):
        raise UserError(
            f"{SCHEME}… needs a package that is not installed: pip install 'hanok[gcs]', or "
            "-e '.[gcs]' in a checkout"
        )
    import fsspec

    # Listings that one process remembers would hide what the others did since.
    fsspec.config.conf.setdefault("gcs", {})["use_listings_cache"] = False
