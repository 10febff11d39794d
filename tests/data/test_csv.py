"""CSV files: columns become numbers, and what is wrong is named by file, line and column."""

import numpy as np
import pytest

from launch import cli, train
from research.data.csv_table import Csv
from research.data.splits import open_dataset
from research.errors import UserError
from research.records import check

PETS = """\
age,colour,id,label
1,red,a,cat
2,green,b,dog
4.5,red,c,cat
-3e2,blue,d,dog
"""


def encoded(file, split="train", **options):
    """(inputs, labels, source) of a split as its file holds it."""
    source = Csv(path=str(file), **options).open()
    examples = source.splits[split]()
    return examples.inputs, examples.labels, source


def written(folder, text, name="train.csv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8", newline="")
    return folder / name


def error_of(file, **options):
    with pytest.raises(UserError) as error:
        source = Csv(path=str(file), **options).open()
        for split in source.splits.values():
            split()
    return str(error.value)


def rows(count, seed=0):
    """A file of so many rows with two numbers and a category, in two classes."""
    generator = np.random.default_rng(seed)
    lines = ["height,width,kind,label"]
    for label in np.arange(count) % 2:
        height, width = generator.normal(10 * label, 1, 2)
        lines.append(f"{height},{width},{'ab'[label]},{('no', 'yes')[label]}")
    return "\n".join(lines)


# What becomes of the cells


def test_numbers_stay_categories_become_one_hot_and_labels_positions(tmp_path):
    file = written(tmp_path, PETS)
    inputs, labels, source = encoded(file, ignored=("id",))
    expected = [[1, 0, 0, 1], [2, 0, 1, 0], [4.5, 0, 0, 1], [-300, 1, 0, 0]]
    np.testing.assert_array_equal(inputs, np.float32(expected))
    assert inputs.dtype == np.float32 and labels.dtype == np.int32
    assert labels.tolist() == [0, 1, 0, 1] and source.class_names == ("cat", "dog")
    assert source.categories == (range(1, 4),)


@pytest.mark.parametrize(
    "text",
    [
        PETS.replace("\n", "\r\n"),
        "\ufeff" + PETS,
        PETS.replace(",", " , "),
        PETS.replace("red", '"red"').replace("\n2,", "\n\n2,"),
        PETS.rstrip("\n"),
    ],
    ids=["Windows", "byte order mark", "spaces", "quotes and empty lines", "no last newline"],
)
def test_ways_to_write_the_same_table_are_read_alike(tmp_path, text):
    one = encoded(written(tmp_path / "one", PETS), ignored=("id",))
    other = encoded(written(tmp_path / "other", text), ignored=("id",))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


def test_quoted_cell_may_hold_delimiter_quote_and_line_end(tmp_path):
    text = 'x,y,label\n1,"a, ""b""\nc",no\n2,d,yes\n'
    inputs, _, _ = encoded(written(tmp_path, text))
    assert inputs.tolist() == [[1, 1, 0], [2, 0, 1]]


def test_other_delimiters_and_label_columns_can_be_chosen(tmp_path):
    file = written(tmp_path, "class;x\n0;1,5\n".replace(",", ".") + "1;2\n")
    inputs, labels, _ = encoded(file, delimiter=";", label="class")
    assert inputs.tolist() == [[1.5], [2]] and labels.tolist() == [0, 1]


def test_numbers_can_be_declared_categories(tmp_path):
    file = written(tmp_path, "zip,x,label\n20,1,a\n100,2,b\n20,3,a\n")
    assert encoded(file, categorical=("zip",))[0][:, :2].tolist() == [[0, 1], [1, 0], [0, 1]]


def test_classes_that_are_numbers_are_in_their_order(tmp_path):
    file = written(tmp_path, "x,label\n" + "".join(f"1,{n}\n" for n in (10, 9, 2, 10)))
    _, labels, source = encoded(file)
    assert source.class_names == ("2", "9", "10") and labels.tolist() == [2, 1, 0, 2]


def test_statistics_are_those_of_train_as_it_was_cut(tmp_path):
    dataset = open_dataset(Csv(path=str(written(tmp_path, rows(100)))))
    held = dataset.train.gather(np.arange(len(dataset.train)))["input"].astype(np.float64)
    np.testing.assert_allclose(dataset.mean, held.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(dataset.std, held.std(axis=0), rtol=1e-6)


# Splits


def test_a_folder_gives_the_splits_that_it_holds(tmp_path):
    for seed, (name, count) in enumerate({"train": 50, "validation": 10, "test": 20}.items()):
        written(tmp_path, rows(count, seed), f"{name}.csv")
    dataset = open_dataset(Csv(path=str(tmp_path)))
    sizes = [len(split) for split in (dataset.train, dataset.validation, dataset.read_test())]
    assert sizes == [50, 10, 20]


def test_columns_of_test_may_stand_in_another_order(tmp_path):
    written(tmp_path, PETS)
    written(tmp_path, "label,id,colour,age\ndog,z,green,7\n", "test.csv")
    inputs, labels, _ = encoded(tmp_path, "test", ignored=("id",))
    assert inputs.tolist() == [[7, 0, 1, 0]] and labels.tolist() == [1]


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("age,colour,label\n1,rde,cat\n", "line 2, column 'colour': train has no category 'rde'."),
        ("age,colour,label\n1,rde,cat\n", "Did you mean 'red'?"),
        ("age,colour,label\n1,red,cta\n", "line 2, column 'label': train has no class 'cta'. Did"),
        ("age,colour,label\nold,red,cat\n", "column 'age': 'old' is no number; train has numbers"),
        ("age,label\n1,cat\n", "has no column 'colour'"),
        ("age,colour,label,more\n1,red,cat,2\n", "train has no column 'more'"),
    ],
)
def test_what_train_does_not_know_is_an_error(tmp_path, test, message):
    written(tmp_path, PETS)
    file = written(tmp_path, test, "test.csv")
    found = error_of(tmp_path, ignored=("id",))
    assert message in found and str(file) in found


# Errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,label\n1,a\n,b\n3,a\n", "line 3, column 'x': the value is missing ('')"),
        ("x,label\n1,a\nNA,b\n?,a\n", "line 3, column 'x': the value is missing ('NA'). Missing"),
        ("x,label\n1,a\n2,\n", "line 3, column 'label': the value is missing"),
        ("x,y,label\n,2,a\n1,,b\n", "Missing by column: x 1, y 1"),
        ("x,label\n1,a\n2,3,b\n", "line 3: has 3 cells; the first line names 2 columns"),
        ("x,y,label\n1,2,a\n2,b\n", "line 3: has 2 cells; the first line names 3 columns"),
        ("x,label\n1,a\nl,b\n3,a\n", "line 3, column 'x': 'l' is no number, and 2 of 3 are"),
        ("x,label\nu,a\n1,b\nv,a\n", "line 3, column 'x': '1' is a number, and 2 of 3 are not"),
        ("x,label\n1,a\n1e39,b\n", "line 3, column 'x': '1e39' is too large for a float32"),
        ("x,label\n1,a\ninf,b\n", "line 3, column 'x': 'inf' is too large for a float32"),
        ("x,label\n1,1\n2,1.0\n", "line 3, column 'label': '1' and '1.0' are the same number"),
        ("x,label\n1,1.5\n2,2\n", "line 2, column 'label': '1.5' is a number with a fraction"),
        ('x,label\n1,a\n2,"b\n', "line 3: unexpected end of data"),
        ("x,,label\n1,2,a\n", "line 1: column 2 has no name"),
        ("x,x,label\n1,2,a\n", "line 1: two columns are called 'x'"),
        ("1,2,3\n1,2,3\n", "line 1: holds numbers; the first line must name the columns"),
        ("x;label\n1;a\n", "names one column alone, 'x;label'. Try --config.data.delimiter=';'"),
        ("x,label\n", "holds no rows"),
        ("", "is empty"),
        ("label,id\na,1\nb,2\n", "no column but the label is left"),
    ],
)
def test_bad_file_is_named_with_line_and_column(tmp_path, text, message):
    file = written(tmp_path, text)
    found = error_of(file, **({"ignored": ("id",)} if "id" in text else {}))
    assert message in found and str(file) in found


def test_text_that_differs_in_every_row_is_no_category(tmp_path):
    text = "name,label\n" + "".join(f"person {n},{n % 2}\n" for n in range(30))
    message = error_of(written(tmp_path, text))
    assert "column 'name': holds 30 different texts in 30 rows" in message
    assert "--config.data.ignored" in message


def test_numbers_that_float32_cannot_tell_apart_are_refused(tmp_path):
    text = "time,label\n" + "".join(f"{1_700_000_000 + n},{n % 2}\n" for n in range(30))
    assert "column 'time': as float32 most of its values" in error_of(written(tmp_path, text))


def test_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "train.csv").write_bytes(b"x,label\n\xff\xfe,1\n")
    assert "is not text in UTF-8" in error_of(tmp_path / "train.csv")


@pytest.mark.parametrize("field", ["label", "categorical", "ignored"])
def test_column_that_is_not_there_is_named_with_the_nearest(tmp_path, field):
    options = {field: "colur" if field == "label" else ("colur",)}
    message = error_of(written(tmp_path, PETS), **options)
    assert f"config.data.{field}: " in message
    assert "has no column 'colur'. Did you mean 'colour'?" in message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "data.path: give the CSV file"),
        ({"path": "a.csv", "delimiter": ";;"}, "takes one character such as"),
        ({"path": "a.csv", "ignored": ("label",)}, "data.label: 'label' stands among the columns"),
        ({"path": "a.csv", "balance": "smot"}, "unknown name 'smot'. Did you mean 'smote'"),
        ({"path": "a.csv", "smote_neighbors": 0}, "smote_neighbors: must be at least 1"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        check(Csv(**options), "config.data")


def test_file_that_is_not_there_is_named(tmp_path):
    assert f"no file {tmp_path / 'train.csv'}" in error_of(tmp_path)
    assert f"no file {tmp_path / 'a.csv'}" in error_of(tmp_path / "a.csv")


# Whole runs


def run(capsys, *argv):
    code = cli.guarded(train.main, ["--config.data.name=csv", *argv])
    return code, capsys.readouterr()


def test_a_file_is_trained_on_from_the_command_line(tmp_path, capsys):
    file = written(tmp_path, rows(200))
    code, shown = run(
        capsys,
        f"--config.data.path={file}",
        "--config.data.balance=smote",
        "--config.steps=40",
        f"--workdir={tmp_path / 'run'}",
    )
    assert code == cli.SUCCESS, shown.err
    assert "input shape (4,), balance smote" in shown.out
    assert "test accuracy 1.0000" in shown.out


def test_convolutions_on_a_table_are_refused_before_anything_is_compiled(tmp_path, capsys):
    file = written(tmp_path, rows(200))
    code, shown = run(
        capsys, f"--config.data.path={file}", "--config.model.name=cnn", f"--workdir={tmp_path}/run"
    )
    assert code == cli.BAD_INPUT
    assert "'cnn' takes images of (height, width, channels)" in shown.err
