"""Records: typed, checked once, frozen, written and read back without loss."""

import dataclasses
import importlib
import json
import pathlib

import pytest
from hypothesis import given, settings

import configs
from research.errors import UserError
from research.experiment import Experiment
from research.records import (
    Record,
    check,
    choice,
    choose,
    components,
    difference,
    freeze,
    from_dict,
    paths,
    record,
    require,
    table,
)
from tests.strategies import EXPERIMENTS


@record
class Circle(Record):
    name: str = "circle"
    colour: str = "red"
    size: float = 1.0
    segments: int = 64


@record
class Square(Record):
    name: str = "square"
    colour: str = "blue"
    size: float = 2.0
    corner: float = 0.0

    def validate(self, path):
        require(self.corner >= 0, f"{path}.corner", f"must not be negative, not {self.corner}")


@record
class Image(Record):
    """Any other shape."""

    name: str


SHAPES = {"circle": Circle, "square": Square}


@record
class Frame(Record):
    width: float = 0.5


@record
class Drawing(Record):
    title: str
    layers: int = 1
    visible: bool = True
    sizes: tuple[int, ...] = (1, 2)
    grid: tuple[tuple[float, ...], ...] = ()
    frame: Frame = dataclasses.field(default_factory=Frame)
    shape: Record = choice(SHAPES, "circle")
    background: Record = choice(SHAPES, "square", otherwise=Image)


def shipped_configs():
    return sorted(path.stem for path in pathlib.Path(configs.__file__).parent.glob("[!_]*.py"))


@settings(deadline=None, max_examples=60)
@given(EXPERIMENTS)
def test_experiment_read_back_from_json_is_the_same(experiment):
    check(experiment)
    written = json.dumps(dataclasses.asdict(experiment))
    assert from_dict(Experiment, json.loads(written)) == experiment


@pytest.mark.parametrize("name", shipped_configs())
def test_shipped_config_is_valid_and_read_back_the_same(name):
    experiment = importlib.import_module(f"configs.{name}").get_config()
    check(experiment)
    assert experiment.name == name
    assert from_dict(Experiment, dataclasses.asdict(experiment)) == experiment


@settings(deadline=None, max_examples=40)
@given(EXPERIMENTS, EXPERIMENTS)
def test_difference_is_empty_exactly_for_equal_experiments(one, other):
    assert difference(one, one) == []
    assert (difference(one, other) == []) == (one == other)


def test_absent_fields_take_their_defaults():
    assert from_dict(Drawing, {"title": "x", "shape": {"name": "square"}}) == Drawing(
        title="x", shape=Square()
    )


def test_unknown_field_is_named_with_the_nearest_one():
    with pytest.raises(UserError) as error:
        from_dict(Drawing, {"title": "x", "shape": {"name": "circle", "color": "red"}})
    assert str(error.value) == "config.shape.color: unknown field. Did you mean 'colour'?"


def test_field_without_default_that_is_absent_is_named():
    with pytest.raises(UserError, match=r"config\.title: is missing"):
        from_dict(Drawing, {"layers": 2})


@pytest.mark.parametrize("values", [None, 3, "circle", ["title"]])
def test_something_that_is_no_object_is_refused(values):
    with pytest.raises(UserError, match="config.frame: expected an object with fields, found"):
        from_dict(Drawing, {"title": "x", "frame": values})


@pytest.mark.parametrize(
    ("field", "value", "takes"),
    [
        ("title", 3, "text, not 3"),
        ("title", None, "text, not None"),
        ("layers", "3", "a whole number, not '3'"),
        ("layers", 3.0, "a whole number, not 3.0"),
        ("layers", True, "a whole number, not True"),
        ("visible", 1, "true or false, not 1"),
        ("visible", "false", "true or false, not 'false'"),
        ("sizes", 3, "a tuple of whole numbers"),
        ("sizes", "12", "a tuple of whole numbers"),
        ("grid", 3, "a tuple of tuples of numbers"),
    ],
)
def test_ill_typed_value_is_named_with_what_the_field_takes(field, value, takes):
    drawing = Drawing(title="x")
    setattr(drawing, field, value)
    with pytest.raises(UserError) as error:
        check(drawing)
    assert str(error.value).startswith(f"config.{field}: takes {takes}")
    assert str(error.value).endswith(f"not {value!r}")


def test_ill_typed_element_is_named_by_its_position():
    with pytest.raises(UserError, match=r"config\.grid\[1\]\[0\]: takes a number, not 'a'"):
        check(Drawing(title="x", grid=((1.0,), ("a",))))


def test_whole_numbers_become_floats_and_lists_become_tuples():
    drawing = Drawing(title="x", sizes=[3], grid=[[1, 2.5]], frame=Frame(width=2))
    check(drawing)
    assert (drawing.sizes, drawing.grid, drawing.frame.width) == ((3,), ((1.0, 2.5),), 2.0)
    assert isinstance(drawing.frame.width, float) and isinstance(drawing.grid[0][0], float)


@pytest.mark.parametrize("value", [True, "0.5", None])
def test_nothing_but_numbers_becomes_a_float(value):
    with pytest.raises(UserError, match="config.frame.width: takes a number, not"):
        check(Drawing(title="x", frame=Frame(width=value)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_floats_must_be_finite(value):
    with pytest.raises(UserError, match="config.frame.width: takes a finite number, not"):
        check(Drawing(title="x", frame=Frame(width=value)))


def test_rules_of_records_within_are_checked_with_their_path():
    with pytest.raises(UserError) as error:
        check(Drawing(title="x", shape=Square(corner=-1.0)))
    assert str(error.value) == "config.shape.corner: must not be negative, not -1.0"


def test_component_whose_name_is_anothers_is_refused():
    with pytest.raises(UserError, match="'square' belongs to Square, but .* those of Circle"):
        check(Drawing(title="x", shape=Circle(name="square")))


def test_unknown_component_is_named_with_the_nearest_one_and_the_list():
    with pytest.raises(UserError) as error:
        from_dict(Drawing, {"title": "x", "shape": {"name": "sqare"}})
    assert str(error.value) == (
        "config.shape.name: unknown name 'sqare'. Did you mean 'square'?\n"
        "Known names: circle, square"
    )


@pytest.mark.parametrize("value", [{}, {"name": None}, {"name": ["circle"]}, 7])
def test_component_without_a_usable_name_is_refused(value):
    with pytest.raises(UserError, match="config.shape.name: unknown name"):
        from_dict(Drawing, {"title": "x", "shape": value})


def test_names_that_the_table_does_not_list_may_have_a_class_of_their_own():
    drawing = from_dict(Drawing, {"title": "x", "background": {"name": "sky.png"}})
    assert drawing.background == Image(name="sky.png")


@pytest.mark.parametrize("path", ["title", "frame.width", "shape.colour"])
def test_frozen_record_refuses_assignment_at_every_depth(path):
    drawing = Drawing(title="x")
    freeze(drawing)
    *parents, name = path.split(".")
    owner = drawing
    for parent in parents:
        owner = getattr(owner, parent)
    before = getattr(owner, name)
    with pytest.raises(dataclasses.FrozenInstanceError, match="use dataclasses.replace"):
        setattr(owner, name, "new")
    assert getattr(owner, name) == before


def test_replace_makes_a_changed_copy_of_a_frozen_record():
    drawing = Drawing(title="x")
    freeze(drawing)
    assert dataclasses.replace(drawing, layers=5) == Drawing(title="x", layers=5)
    assert drawing.layers == 1


def test_freezing_changes_no_value():
    drawing = Drawing(title="x")
    freeze(drawing)
    assert drawing == Drawing(title="x")
    assert dataclasses.asdict(drawing) == dataclasses.asdict(Drawing(title="x"))


def test_chosen_component_keeps_given_values_and_brings_its_own_defaults():
    drawing = Drawing(title="x", shape=Circle(colour="green"))
    choose(drawing, "shape", "square", "config.shape")
    assert drawing.shape == Square(colour="green", size=2.0)


def test_choosing_the_component_that_is_there_changes_nothing():
    drawing = Drawing(title="x", shape=Circle(size=5.0, segments=3))
    choose(drawing, "shape", "circle", "config.shape")
    assert drawing.shape == Circle(size=5.0, segments=3)


def test_choosing_an_unlisted_name_takes_the_class_for_such_names():
    drawing = Drawing(title="x")
    choose(drawing, "background", "sky.png", "config.background")
    choose(drawing, "background", "sea.png", "config.background")
    assert drawing.background == Image(name="sea.png")
    choose(drawing, "background", "circle", "config.background")
    assert drawing.background == Circle()


def test_choosing_an_unknown_component_lists_the_known_ones():
    with pytest.raises(UserError, match="Did you mean 'circle'?\n?.*\nKnown names: circle, square"):
        choose(Drawing(title="x"), "shape", "circel", "config.shape")


def test_table_holds_the_imported_components_that_have_a_name():
    names = {"Circle": Circle, "Record": Record, "Image": Image, "Frame": Frame, "math": 3}
    assert table(Record, names) == {"circle": Circle}


def test_table_refuses_two_components_of_one_name():
    @record
    class Disc(Circle):
        radius: float = 1.0

    with pytest.raises(TypeError, match="Circle and Disc are both 'circle'"):
        table(Record, {"Circle": Circle, "Disc": Disc})


def test_difference_lists_exactly_the_changed_fields():
    old = Drawing(title="x", sizes=(1,))
    new = Drawing(title="x", sizes=(1, 2), frame=Frame(width=0.75))
    assert difference(old, new) == ["sizes: (1,) -> (1, 2)", "frame.width: 0.5 -> 0.75"]


def test_difference_shows_fields_that_only_one_component_has():
    old = Drawing(title="x", shape=Circle())
    new = Drawing(title="x", shape=Square(colour="red", size=1.0))
    assert difference(old, new) == [
        "shape.name: 'circle' -> 'square'",
        "shape.segments: 64 -> (absent)",
        "shape.corner: (absent) -> 0.0",
    ]


def test_paths_name_every_field_that_is_not_a_record():
    assert [path for path, _ in paths(Drawing(title="x"))] == [
        "title",
        "layers",
        "visible",
        "sizes",
        "grid",
        "frame.width",
        "shape.name",
        "shape.colour",
        "shape.size",
        "shape.segments",
        "background.name",
        "background.colour",
        "background.size",
        "background.corner",
    ]


def test_components_are_found_at_every_depth():
    found = {
        path: getattr(owner, field).name for path, owner, field in components(Experiment(name="x"))
    }
    assert found == {
        "data": "digits",
        "augmentation.policy": "none",
        "model": "mlp",
        "loss": "softmax_cross_entropy",
        "optimizer": "adam",
        "optimizer.schedule": "constant",
    }
