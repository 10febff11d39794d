"""Random damage to everything that is read."""

import contextlib
import io
import pathlib
import random

import numpy as np
from PIL import Image

from launch.flags import load_recorded, parse_experiment
from research import records, workdir
from research.data import TfdsImages
from research.data.folder import ImageFolder
from research.data.splits import open_dataset
from research.errors import UserError
from tests.faults import common
from tests.runs import experiment

VALUES = (
    "", "0", "-1", "1e400", "nan", "1e-3", "true", "None", "(1,2)", "((1,),)", "'", "[]", "mlp",
    "cnn", "adam", "../..", "{}", "__import__('os')", "9" * 30, "\x00", "ü", "a b",
)  # fmt: skip


def fuzzed_overrides(cases: int, folder: pathlib.Path, seed: int = 0) -> common.Table:
    """Gives random overrides: each is refused in one message, or does what it says."""
    table = common.Table("random overrides")
    draw = random.Random(seed)
    fields = [path for path, _ in records.paths(experiment())]
    default = experiment()
    for _ in range(cases):
        given = [_draw_override(draw, fields) for _ in range(draw.choice((1, 1, 2)))]
        arguments = [argument for _, parts in given for argument in parts]
        try:
            chosen, _ = parse_experiment(arguments, lambda flags: None, "")
        except UserError as error:
            message = str(error)
            table.demand(len(message) < 2000, "refused", f"{arguments}: a message of {message!r}")
            continue
        except BaseException as error:
            table.wrong.append(f"{arguments}: {type(error).__name__}: {error}")
            continue
        changed = {line.split(":")[0] for line in records.difference(default, chosen)}
        components = tuple(field.removesuffix("name") for field, _ in given)
        meant = {path for path in changed if path.startswith(components)}
        table.demand(changed <= meant, "accepted", f"{arguments} changed {changed - meant}")
    return table


def _draw_override(draw: random.Random, fields: list[str]) -> tuple[str, list[str]]:
    """Returns a field's path, perhaps misspelt, and arguments that give it some value."""
    field, value = draw.choice(fields), draw.choice(VALUES)
    if draw.random() < 0.3:
        position = draw.randrange(len(field))
        field = field[:position] + draw.choice("x._-= é") + field[position + 1 :]
    if draw.random() < 0.3:
        value = "".join(chr(draw.randrange(32, 1000)) for _ in range(draw.randrange(8)))
    forms = (
        [f"--config.{field}={value}"],
        [f"-config.{field}={value}"],
        [f"--config.{field}", value],
        [f"--config.{field}"],
        [f"--noconfig.{field}"],
    )
    return field, draw.choice(forms)


def fuzzed_experiments(cases: int, folder: pathlib.Path, seed: int = 0) -> common.Table:
    """Damages experiment.json: never a stack trace, never another experiment unnoticed."""
    table = common.Table("damaged experiment.json")
    draw = random.Random(seed)
    files = workdir.open_workdir(str(folder / "run"))
    chosen = experiment()
    workdir.claim(files, chosen, "digest")
    original = files.experiment.read_bytes()
    for _ in range(cases):
        files.experiment.write_bytes(harm(original, draw))
        try:
            workdir.claim(files, chosen, "digest")
            recorded = load_recorded(files.experiment)
        except UserError:
            table.outcomes["refused"] += 1
        except BaseException as error:
            table.wrong.append(f"{type(error).__name__}: {error}")
        else:
            table.outcomes["harmless"] += 1
            if recorded != chosen:
                table.wrong.append(f"taken for {recorded}")
    return table


def fuzzed_images(cases: int, folder: pathlib.Path, seed: int = 0) -> common.Table:
    """Damages image files of a folder: each is named, or still an image."""
    table = common.Table("damaged images")
    draw = random.Random(seed)
    files = _write_images(folder, seed)
    data = ImageFolder(
        data_dir=str(folder / "images"), test_fraction=0.25, validation_fraction=0.25
    )
    for _ in range(cases):
        victim = draw.choice(files)
        original = victim.read_bytes()
        victim.write_bytes(harm(original, draw))
        _open(data, table, victim.name)
        victim.write_bytes(original)
    return table


def fuzzed_records(cases: int, folder: pathlib.Path, seed: int = 0) -> common.Table:
    """Damages the files of a prepared TFDS data set: refused, or read as they were."""
    from tests.data.tfds_sets import prepare_tiny

    table = common.Table("damaged array_record files")
    draw = random.Random(seed)
    images = [path.read_bytes() for path in _write_images(folder, seed) if path.suffix == ".png"]
    examples = [(image, index % 2) for index, image in enumerate(images * 3)]
    with contextlib.redirect_stdout(io.StringIO()):
        prepare_tiny(folder / "tfds", {"train": examples}, (12, 12, 3))
    data = TfdsImages(
        name="tiny", data_dir=str(folder / "tfds"), test_fraction=0.25, validation_fraction=0.25
    )
    files = [path for path in sorted((folder / "tfds").rglob("*")) if path.is_file()]
    expected = open_dataset(data).fingerprint
    for _ in range(cases):
        victim = draw.choice(files)
        original = victim.read_bytes()
        victim.write_bytes(harm(original, draw))
        _open(data, table, victim.name, expected)
        victim.write_bytes(original)
    return table


def harm(data: bytes, draw: random.Random) -> bytes:
    """Returns data with a random stretch cut, overwritten, doubled or a bit flipped."""
    start = draw.randrange(len(data))
    stretch = slice(start, start + draw.randrange(1, 20))
    return {
        "cut": lambda: data[:start],
        "removed": lambda: data[: stretch.start] + data[stretch.stop :],
        "overwritten": lambda: data[:start] + draw.randbytes(8) + data[start + 8 :],
        "doubled": lambda: data[: stretch.stop] + data[stretch],
        "flipped": lambda: (
            data[:start] + bytes([data[start] ^ (1 << draw.randrange(8))]) + data[start + 1 :]
        ),
    }[draw.choice(["cut", "removed", "overwritten", "doubled", "flipped"])]()


def _write_images(folder: pathlib.Path, seed: int) -> list[pathlib.Path]:
    """Writes train/a and train/b with eight PNG and eight JPEG files."""
    files = []
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 12, 12, 3), np.uint8)
    for index, image in enumerate(pixels):
        name = f"{index}.{('png', 'jpg')[index // 8]}"
        files.append(folder / "images" / "train" / "ab"[index % 2] / name)
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(files[-1])
    return files


def _open(data, table: common.Table, victim: str, expected: str = "") -> None:
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # TFDS's own words
            dataset = open_dataset(data)
            dataset.read_test()
    except UserError as error:
        named = victim in str(error) or "damaged" in str(error)
        table.outcomes["refused, file named" if named else "refused"] += 1
    except BaseException as error:
        table.wrong.append(f"{victim}: {type(error).__name__}: {error}")
    else:
        right = not expected or dataset.fingerprint == expected
        table.demand(right, "read", f"{victim}: other examples than were written")
