"""A value becomes the picture that a scientist expects, pixel by pixel."""

from __future__ import annotations

import base64
import io
import os
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from IPython import display
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from cborg_magics.attachments import raster
from cborg_magics.attachments.attach import of
from cborg_magics.attachments.place import Place
from cborg_magics.errors import BadAttachment
from cborg_magics.exchange import Document, Picture

RED = '<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><path d="M0 0h30v9H0z" fill="red"/></svg>'  # noqa: E501


def picture(value: object, place: Place | None = None) -> Picture:
    """The one picture that `value` is sent as."""
    (made,) = of(value, "x", place)
    assert isinstance(made, Picture)
    assert made.name == "x"
    return made


def decoded(made: Picture) -> Image.Image:
    image = Image.open(io.BytesIO(made.data))
    image.load()
    assert image.size == made.size
    assert f"image/{(image.format or '').lower()}" == made.type
    return image


def pixels(made: Picture) -> Any:
    return np.asarray(decoded(made))


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(*shape: int) -> Any:
    return np.random.default_rng(1).integers(0, 256, shape, dtype="uint8")


@pytest.fixture(autouse=True)
def agg() -> Any:
    with mpl.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


# -- pictures of Pillow's --------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_picture_keeps_its_pixels(mode: str) -> None:
    image = Image.fromarray(noise(20, 30, 4), "RGBA").convert(mode)
    made = picture(image)
    assert (made.type, made.size, made.note) == ("image/png", (30, 20), "")
    assert decoded(made).mode == mode
    assert (pixels(made) == np.asarray(image)).all()


@pytest.mark.parametrize("mode", ["1", "P", "CMYK", "YCbCr", "HSV", "LAB"])
def test_a_picture_of_another_mode_looks_the_same(mode: str) -> None:
    image = Image.fromarray(noise(20, 30, 3))
    image = image.convert(mode) if mode != "LAB" else Image.new("LAB", (30, 20))
    made = picture(image)
    expected = image.convert("L" if mode == "1" else "RGB")
    assert (pixels(made) == np.asarray(expected)).all()


def test_transparency_of_a_palette_is_kept() -> None:
    image = Image.new("P", (4, 4))
    image.info["transparency"] = 0
    assert decoded(picture(image)).mode == "RGBA"


@pytest.mark.parametrize(
    ("values", "grey", "note"),
    [
        (np.array([[100, 4095]], "uint16"), [0, 255], "100 to 4,095 taken as black to white"),
        (np.array([[-5, 1000]], "int32"), [0, 255], "-5 to 1,000 taken as black to white"),
        (np.array([[0, 0.5, 1]], "float32"), [0, 128, 255], "floats 0 to 1 taken as black"),
        (np.array([[np.nan, 2, 4]], "float32"), [0, 0, 255], "1 pixels without a number are black"),
    ],
)
def test_numbers_as_pixels_are_seen(values: Any, grey: list[int], note: str) -> None:
    made = picture(Image.fromarray(values))
    assert pixels(made)[0].tolist() == grey
    assert note in made.note


def test_a_large_picture_is_scaled_down_and_says_so() -> None:
    made = picture(Image.new("RGB", (4096, 3000)))
    assert (made.size, made.note) == ((2048, 1500), "scaled from 4,096 × 3,000 px")


def test_the_longest_side_is_a_setting() -> None:
    made = picture(Image.new("L", (100, 10)), Place(longest_side=50))
    assert made.size == (50, 5)


def test_a_line_stays_a_line() -> None:
    assert picture(Image.new("L", (5000, 1))).size == (2048, 1)


def test_a_picture_is_never_scaled_up() -> None:
    made = picture(Image.new("L", (1, 1)))
    assert (made.size, made.note) == ((1, 1), "")


def test_what_is_too_large_as_png_is_sent_as_jpeg_and_says_so() -> None:
    made = picture(Image.fromarray(noise(1500, 1500, 3)))
    assert made.type == "image/jpeg"
    assert made.note == "as JPEG of quality 90"
    assert len(made.data) <= raster.MOST_BYTES


# -- pictures as bytes -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_a_picture_that_fits_is_sent_byte_for_byte(kind: str) -> None:
    data = saved(Image.fromarray(noise(20, 30, 3)), kind)
    made = picture(data)
    assert made.data == data
    assert (made.size, made.note) == ((30, 20), "")
    decoded(made)


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "PPM"])
def test_a_picture_of_another_format_is_sent_as_png(kind: str) -> None:
    original = noise(20, 30, 3)
    made = picture(saved(Image.fromarray(original), kind))
    assert made.type == "image/png"
    assert (pixels(made) == original).all()


@pytest.mark.parametrize("as_type", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_of_any_type_are_read(as_type: Callable[[bytes], object]) -> None:
    assert picture(as_type(saved(Image.new("L", (3, 2))))).size == (3, 2)


def test_a_buffer_that_was_just_written_is_read_from_its_start() -> None:
    buffer = io.BytesIO()
    Image.new("L", (3, 2)).save(buffer, "PNG")
    assert picture(buffer).size == (3, 2)


def test_an_open_file_is_read_and_stays_where_it_is(tmp_path: Any) -> None:
    (tmp_path / "a.png").write_bytes(saved(Image.new("L", (3, 2))))
    with (tmp_path / "a.png").open("rb") as file:
        file.seek(7)
        assert picture(file).size == (3, 2)
        assert file.tell() == 7


def test_a_moving_picture_is_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    made = picture(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    assert made.note == "first of 3 frames"
    assert decoded(made).convert("RGB").getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("turned", [2, 3, 6, 8])
def test_a_photograph_stands_upright(turned: int) -> None:
    image = Image.new("RGB", (32, 16), "red")
    image.paste("blue", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = turned
    made = picture(saved(image, "JPEG", exif=exif, quality=95))
    upright = decoded(made)
    assert upright.size == ((16, 32) if turned in (6, 8) else (32, 16))
    red, _, blue = upright.getpixel((2, 2))  # type: ignore[misc]
    # 2 mirrors, 3 and 6 and 8 turn: the blue half is then on the right, below, or on top.
    assert (blue > red) == (turned == 6)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_where_it_was_taken_is_not_sent(kind: str) -> None:
    image = Image.fromarray(noise(16, 24, 3))
    exif = Image.Exif()
    exif[0x010E] = "SECRET-PLACE"
    options: dict[str, Any] = {"exif": exif, "xmp": b"<x>SECRET-PLACE</x>"}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("Comment", "SECRET-PLACE")
        info.add_itxt("XML:com.adobe.xmp", "SECRET-PLACE")
        options = {"exif": exif, "pnginfo": info}
    if kind == "JPEG":
        options["comment"] = b"SECRET-PLACE"
    if kind == "WEBP":
        options["lossless"] = True
    data = saved(image, kind, **options) + b"SECRET-PLACE"
    assert data.count(b"SECRET-PLACE") >= 3
    made = picture(data)
    assert b"SECRET" not in made.data
    assert made.note == ""
    same = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert (np.asarray(decoded(made).convert("RGB")) == same).all()


@pytest.mark.parametrize("progressive", [False, True])
def test_taking_metadata_out_of_a_jpeg_leaves_its_pixels(progressive: bool) -> None:
    image = Image.fromarray(noise(64, 64, 3))
    plain = saved(image, "JPEG", progressive=progressive)
    told = saved(image, "JPEG", progressive=progressive, comment=b"by me", exif=Image.Exif())
    assert picture(told).data == plain


# -- IPython's -------------------------------------------------------------------------------


def test_ipythons_image_is_its_data(tmp_path: Any) -> None:
    data = saved(Image.new("L", (3, 2)))
    (tmp_path / "a.png").write_bytes(data)
    assert picture(display.Image(data)).data == data
    assert picture(display.Image(filename=str(tmp_path / "a.png"))).data == data


def test_ipythons_image_of_an_address_is_the_address() -> None:
    made = picture(display.Image(url="https://example.org/a.png"))
    assert (made.url, made.data) == ("https://example.org/a.png", b"")


def test_ipythons_drawing_is_drawn() -> None:
    made = picture(display.SVG(RED))
    assert made.size == (30, 20)
    assert decoded(made).convert("RGB").getpixel((5, 5)) == (255, 0, 0)


# -- arrays ----------------------------------------------------------------------------------

UNIT = "floats 0 to 1 taken as black to white"


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3), (20, 30, 4), (20, 30, 1), (2, 2, 3)])
def test_bytes_in_an_array_are_pixels(shape: tuple[int, ...]) -> None:
    array = noise(*shape)
    made = picture(array)
    assert made.note == ""
    assert (pixels(made) == array.squeeze()).all()


@pytest.mark.parametrize(
    ("row", "grey", "note"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255], UNIT),
        ([0.0, 0.0, 0.0], [0, 0, 0], UNIT),
        ([0.0, 128.0, 255.0], [0, 128, 255], "values 0 to 255 taken as black to white"),
        ([-2.0, 0.0, 2.0], [0, 128, 255], "-2 to 2 taken as black to white"),
        ([20.1, 21.1, 22.1], [0, 128, 255], "20.1 to 22.1 taken as black to white"),
        ([0.0, 0.001, 0.002], [0, 128, 255], "0 to 0.002 taken as black to white"),
        ([1e9, 2e9, 3e9], [0, 128, 255], "1e+09 to 3e+09 taken as black to white"),
        ([5.5, 5.5, 5.5], [0, 0, 0], "all values are 5.5, shown black"),
    ],
)
def test_measurements_are_grey_and_the_note_says_how(
    row: list[float], grey: list[int], note: str
) -> None:
    made = picture(np.tile(np.array(row), (10, 4)))
    assert made.note == note
    assert pixels(made)[0, :3].tolist() == grey


@pytest.mark.parametrize("kind", ["int8", "int16", "uint16", "int64", "float16", "float64", ">f4"])
def test_numbers_of_any_type_are_seen(kind: str) -> None:
    made = picture(
        np.tile(
            np.array([0 if kind == "uint16" else -100, 30 if kind == "uint16" else 100], kind),
            (10, 5),
        )
    )
    assert pixels(made)[0, :2].tolist() == [0, 255]


def test_counts_of_a_detector_are_stretched() -> None:
    made = picture(np.arange(100, dtype="uint16").reshape(10, 10) * 40)
    assert made.note == "0 to 3,960 taken as black to white"
    assert pixels(made)[0, 0] == 0
    assert pixels(made)[9, 9] == 255


def test_what_is_no_number_is_black_and_said_so() -> None:
    array = np.linspace(0, 1, 100).reshape(10, 10)
    array[9, 9], array[0, 5] = np.nan, np.inf
    made = picture(array)
    assert made.note == f"{UNIT}, 2 of 100 values are NaN or infinite, shown black"
    assert pixels(made)[9, 9] == pixels(made)[0, 5] == 0
    assert pixels(made)[9, 8] == round(98 / 99 * 255)


def test_a_mask_is_black_and_white() -> None:
    mask = np.eye(10, dtype=bool)
    assert (pixels(picture(mask)) == np.eye(10) * 255).all()


def test_what_is_masked_is_black() -> None:
    array = np.ma.masked_less(np.arange(100.0).reshape(10, 10), 50)
    made = picture(array)
    assert "50 of 100 values are NaN" in made.note
    assert (pixels(made)[:5] == 0).all()


def test_bytes_that_are_nearly_black_are_said_to_be() -> None:
    made = picture(np.eye(10, dtype="uint8"))
    assert made.note == "values up to 1 of 255, which is nearly black"
    assert pixels(made).max() == 1


def test_channels_first_is_understood() -> None:
    array = noise(3, 20, 30)
    made = picture(array)
    assert made.note == "taken as channels × height × width"
    assert (pixels(made) == array.transpose(1, 2, 0)).all()


def test_opaque_is_opaque_whatever_the_colours_are() -> None:
    array = np.dstack([np.linspace(-1, 3, 100).reshape(10, 10)] * 3 + [np.ones((10, 10))])
    made = picture(array)
    assert made.note == "-1 to 3 taken as black to white"
    assert (pixels(made)[:, :, 3] == 255).all()


def test_a_view_is_sent_as_it_is_seen() -> None:
    array = noise(20, 30)
    assert (pixels(picture(array[::-2, ::3])) == array[::-2, ::3]).all()


def test_a_tensor_is_read_as_an_array() -> None:
    class Tensor:
        shape = (20, 30)

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return np.zeros(self.shape)

    assert picture(Tensor()).size == (30, 20)


def test_a_small_matrix_is_numbers_not_a_speck() -> None:
    (made,) = of(np.array([[1.0, 2.0], [3.0, 4.0]]), "x")
    assert isinstance(made, Document)
    assert "3.0" in made.text


# -- matplotlib ------------------------------------------------------------------------------


def figure() -> Figure:
    made = Figure(figsize=(4, 3), dpi=100)
    made.add_subplot().plot([1, 2])
    return made


PARTS: dict[str, Callable[[], object]] = {
    "a figure": figure,
    "its axes": lambda: figure().axes[0],
    "its title": lambda: figure().axes[0].title,
    "a line": lambda: figure().axes[0].plot([1, 2])[0],
    "what plot() gives": lambda: figure().axes[0].plot([1, 2], [[1, 2], [2, 1]]),
    "what bar() gives": lambda: figure().axes[0].bar([1, 2], [3, 4]),
    "a picture in it": lambda: figure().axes[0].imshow(np.eye(3)),
    "axes in an array": lambda: Figure(figsize=(4, 3), dpi=100).subplots(2, 2),
    "axes in a list": lambda: list(Figure(figsize=(4, 3), dpi=100).subplots(2, 2).flat),
    "a mosaic": lambda: Figure(figsize=(4, 3), dpi=100).subplot_mosaic("AB"),
    "a subfigure": lambda: Figure(figsize=(4, 3), dpi=100).subfigures(1, 2)[1],
    "axes of a subfigure": lambda: (
        Figure(figsize=(4, 3), dpi=100).subfigures(1, 2)[1].add_subplot()
    ),
    "a grid of seaborn's": lambda: SimpleNamespace(figure=figure()),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_figure_and_its_parts_are_the_figure(part: str) -> None:
    assert picture(PARTS[part]()).size == (400, 300)


def test_a_figure_is_the_pixels_that_matplotlib_draws() -> None:
    drawn = figure()
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png")
    assert (pixels(picture(drawn)) == np.asarray(Image.open(buffer))).all()


def test_axes_among_others_say_that_all_are_sent() -> None:
    _, axes = plt.subplots(1, 2)
    assert picture(axes[0]).note == "the whole figure"


def test_a_closed_figure_is_drawn() -> None:
    drawn, _ = plt.subplots()
    plt.close(drawn)
    assert picture(drawn).size == (640, 480)


def test_a_legend_beside_the_figure_is_not_cut_off() -> None:
    drawn = figure()
    drawn.axes[0].legend(["one"], bbox_to_anchor=(1.2, 1), loc="upper left")
    width, height = picture(drawn).size or (0, 0)
    assert width > 430
    assert height == 300


def test_text_lost_far_outside_does_not_shrink_the_rest() -> None:
    drawn = figure()
    drawn.axes[0].text(1e4, 1e4, "lost", transform=drawn.axes[0].transAxes)
    assert picture(drawn).size == (400, 300)


def test_a_large_figure_is_drawn_as_large_as_it_may_be() -> None:
    size = picture(Figure(figsize=(400, 300), dpi=100)).size
    assert size == (2048, 1536)


def test_a_transparent_figure_is_on_white() -> None:
    drawn = figure()
    drawn.patch.set_alpha(0)
    assert pixels(picture(drawn))[0, 0].tolist() == [255, 255, 255]


def test_drawing_changes_nothing_of_the_figure() -> None:
    drawn = figure()
    before = (drawn.dpi, drawn.get_size_inches().tolist(), drawn.get_facecolor(), drawn.canvas)
    picture(drawn)
    now = (drawn.dpi, drawn.get_size_inches().tolist(), drawn.get_facecolor(), drawn.canvas)
    assert before == now


# -- charts and whatever draws itself --------------------------------------------------------


def test_an_altair_chart_is_exported() -> None:
    import altair
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2]})
    chart = altair.Chart(frame, width=200, height=100).mark_point().encode(x="x:Q")
    width, height = picture(chart).size or (0, 0)
    assert width >= 200
    assert height >= 100


PNG = saved(Image.new("L", (3, 2)))
IN_BASE64 = base64.b64encode(PNG).decode()


def drawing(**methods: Any) -> object:
    return type("Drawing", (), {name: lambda self, v=v, **_: v for name, v in methods.items()})()


@pytest.mark.parametrize(
    "value",
    [
        drawing(_repr_png_=PNG),
        drawing(_repr_png_=(PNG, {"width": 3})),
        drawing(_repr_png_=IN_BASE64),
        drawing(_repr_jpeg_=PNG),
        drawing(_repr_mimebundle_={"text/plain": "x", "image/png": IN_BASE64}),
        drawing(_repr_mimebundle_=({"image/png": PNG}, {})),
        drawing(_repr_png_=None, _repr_jpeg_=PNG),
    ],
)
def test_what_draws_itself_is_that_picture(value: object) -> None:
    assert picture(value).size == (3, 2)


def test_what_draws_itself_as_svg_is_drawn() -> None:
    assert picture(drawing(_repr_svg_=RED)).size == (30, 20)


def test_what_the_notebook_would_draw_comes_first() -> None:
    place = Place(bundle=lambda value: {"image/png": PNG})
    assert picture(drawing(_repr_svg_=RED), place).size == (3, 2)


def test_what_claims_every_attribute_is_no_picture() -> None:
    class Anything:
        def __getattr__(self, name: str) -> Any:
            return lambda *_, **__: "anything"

        def __repr__(self) -> str:
            return "Anything()"

    (made,) = of(Anything(), "x")
    assert isinstance(made, Document)


# -- thumbnails ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1"])
def test_a_thumbnail_is_small(mode: str) -> None:
    image = Image.fromarray(noise(900, 1200, 4), "RGBA").convert("RGB").convert(mode)
    made = picture(saved(image))
    data, kind = raster.thumbnail(made)
    assert len(data) <= raster.THUMBNAIL_BYTES
    small = Image.open(io.BytesIO(data))
    assert (small.size, f"image/{(small.format or '').lower()}") == ((128, 96), kind)


def test_a_thumbnail_of_a_banner_is_not_wide() -> None:
    data, _ = raster.thumbnail(picture(Image.new("L", (2000, 10))))
    assert Image.open(io.BytesIO(data)).size == (384, 2)


def test_a_thumbnail_is_no_larger_than_the_picture() -> None:
    data, kind = raster.thumbnail(picture(Image.new("RGB", (3, 2))))
    assert (Image.open(io.BytesIO(data)).size, kind) == ((3, 2), "image/png")


# -- what it costs those who do not use it ---------------------------------------------------


def test_nothing_is_imported_for_what_is_no_picture() -> None:
    program = (
        "import sys\n"
        "from cborg_magics.attachments.attach import of\n"
        "of({'a': 1}, 'x'), of('text', 'x'), of(len, 'x') if 0 else None\n"
        "heavy = {'PIL', 'numpy', 'matplotlib', 'plotly', 'altair', 'pandas', 'resvg_py',"
        " 'pypdfium2', 'ssl', 'subprocess'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr


def test_a_chart_without_its_exporter_says_what_to_install(monkeypatch: Any) -> None:
    import importlib.util

    import plotly.graph_objects as go

    # Python's own way to say that a module is not installed.
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "kaleido" else found(name)
    )
    with pytest.raises(BadAttachment, match="Run: pip install kaleido"):
        of(go.Figure(), "x")
