"""Images: files of any common kind become uint8 arrays, or are reported."""

import io
import logging
import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from research.data.images import BadImages, UnreadableImage, decode, in_order, probe
from research.errors import UserError
from tests.data.sources import encoded

GREY = np.arange(0, 240, 4, dtype=np.uint8).reshape(6, 10)
COLOURED = np.stack([GREY, GREY.max() - GREY, GREY // 2], axis=-1)
LOSSLESS = ("png", "bmp", "ppm", "tiff")


def saved(image, file_format="png", **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


@pytest.mark.parametrize("file_format", LOSSLESS)
def test_pixels_of_lossless_formats_are_exact(file_format):
    np.testing.assert_array_equal(decode(encoded(COLOURED, file_format), 3, ()), COLOURED)
    np.testing.assert_array_equal(decode(encoded(GREY, file_format), 1, ())[..., 0], GREY)


@given(
    pixels=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(4))),
    mode=st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA"]),
    channels=st.sampled_from([1, 3]),
    transparent=st.booleans(),
)
def test_png_of_any_kind_is_what_pillow_makes_of_it(pixels, mode, channels, transparent):
    image = Image.fromarray(pixels).convert(mode)
    colour = {"transparency": (1, 2, 3) if mode == "RGB" else 1}
    file = saved(image, **colour if transparent and mode in ("L", "P", "RGB") else {})
    expected = np.asarray(Image.open(io.BytesIO(file)).convert("L" if channels == 1 else "RGB"))
    np.testing.assert_array_equal(decode(file, channels, ()).squeeze(), expected.squeeze())


def test_jpeg_is_close():
    smooth = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
    decoded = decode(encoded(smooth, "jpeg"), 1, ())[..., 0]
    np.testing.assert_allclose(decoded.astype(int), smooth.astype(int), atol=8)


def test_grey_becomes_three_equal_channels():
    np.testing.assert_array_equal(decode(encoded(GREY), 3, ()), np.stack([GREY] * 3, axis=-1))


def test_colour_becomes_grey_by_luma():
    weights = [0.299, 0.587, 0.114]  # ITU-R BT.601
    grey = decode(encoded(COLOURED), 1, ())[..., 0]
    np.testing.assert_allclose(grey, COLOURED @ weights, atol=1)


def test_transparency_is_left_out():
    opaque = Image.fromarray(COLOURED)
    opaque.putalpha(77)
    np.testing.assert_array_equal(decode(saved(opaque), 3, ()), COLOURED)


def test_palettes_become_their_colours():
    palette = Image.fromarray(COLOURED).quantize(60)
    expected = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(decode(saved(palette), 3, ()), expected)


@pytest.mark.parametrize("file_format", ["png", "tiff", "ppm"])
def test_upper_half_of_16_bit_pixels_is_kept(file_format):
    deep = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    file = saved(Image.fromarray(deep), file_format)
    np.testing.assert_array_equal(decode(file, 1, ())[..., 0], deep >> 8)
    np.testing.assert_array_equal(decode(file, 3, ())[..., 2], deep >> 8)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_fixed_range_are_refused(dtype):
    file = saved(Image.fromarray(GREY.astype(dtype)), "tiff")
    with pytest.raises(UnreadableImage, match="32-bit numbers .* convert them to 8 bits"):
        decode(file, 1, ())


@given(height=st.integers(1, 20), width=st.integers(1, 20), channels=st.sampled_from([1, 3]))
def test_images_are_scaled_to_the_size_asked_for(height, width, channels):
    scaled = decode(encoded(COLOURED), channels, (height, width))
    assert scaled.shape == (height, width, channels) and scaled.dtype == np.uint8


def test_scaling_down_averages():
    checkerboard = (255 * (np.indices((16, 16)).sum(0) % 2)).astype(np.uint8)
    scaled = decode(encoded(checkerboard), 1, (2, 2))
    np.testing.assert_allclose(scaled, 127.5, atol=3)


@pytest.mark.parametrize("pixels, channels", [(GREY, 1), (COLOURED, 3)])
def test_probe_reads_size_and_colour_from_the_header(tmp_path, pixels, channels):
    (tmp_path / "image.png").write_bytes(encoded(pixels)[:60])
    assert probe(tmp_path / "image.png") == ((6, 10), channels)


@pytest.mark.parametrize("contents", [b"", b"no image"])
def test_what_is_no_image_is_unreadable(tmp_path, contents):
    (tmp_path / "image.png").write_bytes(contents)
    path = tmp_path / "image.png"
    for read in (lambda: probe(path), lambda: decode(path, 1, ()), lambda: decode(contents, 1, ())):
        with pytest.raises(UnreadableImage, match="not an image of a known format"):
            read()


def test_link_to_nothing_is_unreadable(tmp_path):
    (tmp_path / "image.png").symlink_to(tmp_path / "gone.png")
    for read in (probe, lambda path: decode(path, 1, ())):
        with pytest.raises(UnreadableImage, match="No such file"):
            read(tmp_path / "image.png")


@given(data=st.data(), file_format=st.sampled_from(["png", "jpeg", "gif", "webp", "bmp"]))
def test_truncated_image_is_unreadable_or_whole(data, file_format):
    file = encoded(COLOURED, file_format)
    length = data.draw(st.integers(0, len(file) - 1))
    try:
        array = decode(file[:length], 3, ())
    except UnreadableImage as error:
        assert str(error)
    else:
        np.testing.assert_array_equal(array, decode(file, 3, ()))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@given(data=st.data(), file_format=st.sampled_from(["png", "jpeg", "gif", "webp", "bmp"]))
def test_damaged_image_raises_no_other_error(data, file_format):
    file = bytearray(encoded(COLOURED, file_format))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # huge sizes would only cost time
        try:
            array = decode(bytes(file), 3, (6, 10))
        except UnreadableImage:
            return
    assert array.shape == (6, 10, 3)


# Many at once


def test_results_keep_their_order_however_long_each_takes():
    def wait(item):
        time.sleep(0.02 * (item % 3 == 0))
        return item

    assert list(in_order(wait, range(20))) == list(range(20))


def test_no_more_is_read_ahead_than_two_results_a_core():
    begun = []
    results = in_order(begun.append, range(10_000))
    next(results)
    assert len(begun) <= 2 * os.cpu_count() + 1
    results.close()


# Bad images


def collected(skip, count):
    bad = BadImages(skip)
    for number in range(count):
        bad.add(f"{number}.png", UnreadableImage("truncated\nand more"))
    return bad


def test_bad_images_are_counted_named_and_refused():
    with pytest.raises(UserError) as error:
        collected(skip=False, count=2).report(total=10)
    assert str(error.value).splitlines() == [
        "2 of 10 images can't be read:",
        "  0.png: truncated",
        "  1.png: truncated",
        "Mend or remove them, or leave them out with --config.data.skip_bad=true",
    ]


def test_only_the_first_bad_images_are_named():
    with pytest.raises(UserError, match="12 of 50 images can't be read") as error:
        collected(skip=False, count=12).report(total=50)
    assert "4.png" in str(error.value) and "5.png" not in str(error.value)
    assert "… and 7 more" in str(error.value)


def test_bad_images_that_may_be_left_out_are_a_warning(caplog):
    collected(skip=True, count=2).report(total=10)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "2 of 10 images can't be read" in record.message and "1.png" in record.message


def test_a_split_of_bad_images_alone_is_always_an_error():
    with pytest.raises(UserError, match="3 of 3 images can't be read"):
        collected(skip=True, count=3).report(total=3)


def test_no_bad_images_no_report(caplog):
    collected(skip=False, count=0).report(total=10)
    assert not caplog.records
