"""Points in a plane: the perceptron's problems, the playground's, and their features."""

import numpy as np
import pytest

from research.data.logic import GATES, Logic
from research.data.plane import FEATURES
from research.data.playground import PROBLEMS, Playground
from research.data.splits import open_dataset
from research.data.summary import summarize
from research.errors import UserError
from research.models.mlp import Mlp
from research.optimizers.adam import Adam
from research.optimizers.sgd import Sgd
from research.records import check
from tests.data.sources import contents
from tests.learning import accuracies

CROSSED = ("x1", "x2", "x1*x2")
LINEAR = Mlp(widths=())


def points(problem, **options):
    """All points of a problem, float64 [n, 2], and their colours, 1 for blue."""
    examples = Playground(problem=problem, **options).open().splits["train"]()
    return examples.inputs.astype(np.float64), examples.labels


# Logic


@pytest.mark.parametrize("gate", GATES)
def test_label_of_a_point_is_the_gates_output_at_the_nearest_corner(gate):
    dataset = open_dataset(Logic(gate=gate, points_per_corner=30, noise=0.2))
    compute = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}[gate]
    for split in (dataset.train, dataset.validation, dataset.read_test()):
        x = split.examples.inputs
        corners = np.round(x)
        assert np.abs(x - corners).max() < 0.2 and np.ptp(x - corners) > 0.3
        np.testing.assert_array_equal(compute(*corners.T), split.labels)
        assert np.unique(corners, axis=0, return_counts=True)[1].tolist() == [30] * 4


def test_splits_of_logic_share_no_point():
    dataset = open_dataset(Logic())
    splits = [contents(s) for s in (dataset.train, dataset.validation, dataset.read_test())]
    assert len(set.union(*splits)) == sum(map(len, splits)) == 3 * 200


def test_a_line_has_no_more_than_three_quarters_of_xor_right():
    dataset = open_dataset(Logic(noise=0.24))
    x, labels = dataset.train.examples.inputs, dataset.train.labels
    angles, offsets = np.meshgrid(np.linspace(0, 2 * np.pi, 73), np.linspace(-2, 2, 81))
    z = np.cos(angles)[..., None] * x[:, 0] + np.sin(angles)[..., None] * x[:, 1]
    assert (((z > offsets[..., None]) == labels).mean(axis=-1)).max() == 0.75
    optimizer = Adam(learning_rate=0.05)
    assert accuracies(Logic(), LINEAR, optimizer, epochs=10).max() <= 0.75


@pytest.mark.parametrize("gate", ["and", "or"])
def test_a_line_learns_and_and_or(gate):
    found = accuracies(Logic(gate=gate), LINEAR, Sgd(learning_rate=0.3), epochs=10)
    assert (found == 1).all()


def test_two_hidden_units_learn_xor():
    model = Mlp(widths=(2,), activation="tanh")
    found = accuracies(Logic(), model, Sgd(learning_rate=0.3), epochs=100, seeds=5)
    assert (found == 1).sum() >= 3


# Playground


def test_circle_is_blue_within_half_of_the_radius_and_empty_up_to_seven_tenths():
    x, blue = points("circle", num_points=2000)
    radius = np.hypot(*x.T)
    assert radius[blue == 1].max() < 2.5 and radius[blue == 0].min() >= 3.5 - 1e-6
    assert radius.max() < 5 + 1e-6
    # Radii are uniform, so that points are denser in the middle.
    assert np.mean(radius[blue == 1]) == pytest.approx(1.25, abs=0.1)
    assert np.bincount(blue).tolist() == [1000, 1000]


def test_xor_is_blue_where_signs_are_equal_and_empty_near_the_axes():
    x, blue = points("xor", num_points=2000)
    np.testing.assert_array_equal(blue, x.prod(axis=1) > 0)
    assert np.abs(x).min() >= 0.3 and np.abs(x).max() <= 5.3
    assert np.mean(blue) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("noise", "variance"), [(0, 0.5), (25, 2.25), (50, 4)])
def test_gauss_is_two_clouds_that_noise_spreads(noise, variance):
    x, blue = points("gauss", num_points=20000, noise=noise)
    for colour, center in ((1, 2), (0, -2)):
        cloud = x[blue == colour]
        np.testing.assert_allclose(cloud.mean(axis=0), center, atol=0.1)
        np.testing.assert_allclose(np.cov(cloud.T), variance * np.eye(2), atol=0.06 * variance)


def test_spiral_is_two_arms_of_growing_radius_half_a_turn_apart():
    x, blue = points("spiral")
    i = np.arange(250)
    t = 3.5 * np.pi * i / 250
    for colour, turn in ((1, 0), (0, np.pi)):
        expected = (5 * i / 250 * np.array([np.sin(t + turn), np.cos(t + turn)])).T
        np.testing.assert_allclose(x[blue == colour], expected, atol=1e-6)


@pytest.mark.parametrize("problem", ["circle", "xor"])
def test_noise_of_circle_and_xor_colours_points_near_the_border_otherwise(problem):
    clean, noisy = points(problem), points(problem, noise=20)
    np.testing.assert_array_equal(clean[0], noisy[0])
    assert 0.03 < np.mean(clean[1] != noisy[1]) < 0.3


def test_noise_of_the_spiral_moves_points_by_no_more_than_it_says():
    offsets = points("spiral", noise=20)[0] - points("spiral")[0]
    assert 0.18 < np.abs(offsets).max() <= 0.2


@pytest.mark.parametrize("problem", PROBLEMS)
def test_points_follow_from_their_own_seed(problem):
    options = {"problem": problem, "noise": 10}
    one, same, other = (
        open_dataset(Playground(**options, seed=seed)).fingerprint for seed in (1, 1, 2)
    )
    assert one == same != other


def test_spiral_is_learned_with_all_features_and_eight_hidden_units_twice():
    data = Playground(problem="spiral", features=FEATURES, test_fraction=0.1)
    model = Mlp(widths=(8, 8), activation="tanh")
    assert accuracies(data, model, Sgd(learning_rate=0.03), epochs=500).min() >= 0.98


def test_a_line_is_lost_on_the_spiral_and_on_xor_until_it_sees_the_product():
    optimizer = Sgd(learning_rate=0.03)
    assert accuracies(Playground(problem="spiral"), LINEAR, optimizer, epochs=50).max() <= 0.63
    assert accuracies(Playground(problem="xor"), LINEAR, optimizer, epochs=50).max() <= 0.63
    crossed = Playground(problem="xor", features=CROSSED)
    assert accuracies(crossed, LINEAR, optimizer, epochs=50).min() >= 0.98


# Features


def test_features_are_functions_of_the_coordinates_in_the_order_given():
    x, _ = points("gauss")
    x1, x2 = x.T
    expected = [np.sin(x2), x1 * x2, x1**2, x2, np.sin(x1), x2**2, x1]
    names = ("sin(x2)", "x1*x2", "x1^2", "x2", "sin(x1)", "x2^2", "x1")
    found, _ = points("gauss", features=names)
    np.testing.assert_allclose(found, np.transpose(expected), rtol=1e-5, atol=1e-6)
    assert set(names) == set(FEATURES)


def test_metadata_of_logic_say_what_reading_says():
    data = Logic(features=CROSSED)
    dataset, summary = open_dataset(data), summarize(data)
    assert summary.input_shape == dataset.input_shape == (3,)
    assert summary.input_dtype == dataset.train.examples.inputs.dtype.name
    assert (summary.train, summary.test) == (len(dataset.train), len(dataset.read_test()))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Playground(features=("x1", "x1x2")), r"data.features\[1\]: unknown name 'x1x2'. Did you"),
        (Playground(features=("x1", "x2", "x1")), r"data.features: gives \['x1'\] twice"),
        (Playground(features=()), "data.features: needs at least one"),
        (Playground(problem="spirals"), "unknown name 'spirals'. Did you mean 'spiral'"),
        (Playground(noise=51), r"data.noise: must lie in \[0, 50\], not 51"),
        (Playground(num_points=21), "takes an even number of at least 20, not 21"),
        (Logic(gate="nor"), "unknown name 'nor'. Did you mean 'xor'|'or'"),
        (Logic(noise=0.5), r"data.noise: must lie in \(0, 0.5\)"),
    ],
)
def test_options_out_of_range_are_refused(data, message):
    with pytest.raises(UserError, match=message):
        check(data, "config.data")
