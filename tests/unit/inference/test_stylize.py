"""stylize as workers run it: what is kept of a picture, what styles cost, what masks cover, what fails."""

from __future__ import annotations

import hashlib
import io
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import (
    ImageTooLarge,
    InvalidParams,
    MaskMismatch,
    TriptychError,
    UndecodableImage,
    UnusableObject,
)
from pipeline.core.operation import HandlerContext, Installed, Limits, resolve_handler
from pipeline.imaging.decode import DecodedImage, decode_image
from pipeline.imaging.recolour import palette_of
from pipeline.inference.stylize import Stylizer
from pipeline.operations import stylize as operation
from pipeline.operations.stylize import StylizeParams, StylizeReceipt
from tests.support import icc
from tests.support.codec import codec, landscape
from tests.support.image_bytes import saved
from tests.support.stylize import (
    MemoryMemo,
    artifact,
    fast_artifact,
    gallery_path,
    gallery_picture,
    png,
    stylize,
    stylizer,
)

HANDLER = stylizer()
PIXELS = landscape(96, 136)
PNG = png(PIXELS)
OWN = saved(Image.fromarray(landscape(80, 70, seed=5)), "JPEG", quality=90)


def painted(data: bytes = PNG, objects: dict[str, bytes] | None = None, **params: object) -> DecodedImage:
    """What a reader sees of the output."""
    output = stylize(HANDLER, data, objects, **{"format": "png", **params})
    return decode_image(output.data or b"", Limits(), keep_profile=True)


def receipt_of(*arguments: object, **params: object) -> StylizeReceipt:
    receipt = stylize(HANDLER, *arguments, **params).receipt  # type: ignore[arg-type]
    assert isinstance(receipt, StylizeReceipt)
    return receipt


def test_the_registry_names_this_handler() -> None:
    assert resolve_handler(operation.OPERATION) is Stylizer


def test_output_is_deterministic() -> None:
    """The same input and params give the same bytes, warm or cold, style encoded here or found."""
    memo = MemoryMemo()
    first, second = stylizer(memo), stylizer(memo)
    second.warm_up()
    outputs = [
        stylize(one, PNG, {"a/b.jpg": OWN}, styles=["wave", "a/b.jpg"]) for one in (first, first, second)
    ]
    assert len({output.data for output in outputs}) == 1
    assert [output.receipt.styles_encoded for output in outputs] == [2, 0, 0]  # type: ignore[attr-defined]


def test_receipts_say_what_was_done() -> None:
    """Size, styles by name or digest, strength, model, and stages."""
    receipt = receipt_of(PNG, {"a/b.jpg": OWN}, styles=["night", "a/b.jpg"], strength=0.25, format="webp")
    assert (receipt.width_px, receipt.height_px, receipt.bytes_in) == (136, 96, len(PNG))
    assert receipt.styles == ("night", hashlib.sha256(OWN).hexdigest()[:16])
    assert (receipt.alpha, receipt.beta, receipt.windows) == (0.75, 0.25, 1)
    assert receipt.model == artifact().digest
    assert set(receipt.seconds) == {"read", "styles", "paint", "write"}


def test_strength_goes_from_the_picture_to_the_style() -> None:
    """At 0 the picture is given back nearly, and the more strength, the farther from it."""
    distances = [np.abs(painted(strength=s).pixels.astype(int) - PIXELS).mean() for s in (0, 0.3, 0.6, 1)]
    assert distances == sorted(distances)
    assert distances[0] < 8 < distances[-1]


def test_blends_are_vector_arithmetic() -> None:
    """Weights are proportions, a style of weight 0 is not there, and order does not matter."""
    alone = painted(styles=["wave"]).pixels
    assert np.array_equal(painted(styles=["wave", "glass"], style_weights=[2, 0]).pixels, alone)
    assert np.array_equal(painted(styles=["wave", "wave"]).pixels, alone)
    half = painted(styles=["wave", "glass"], style_weights=[1, 3]).pixels
    assert (
        np.abs(half.astype(int) - painted(styles=["glass", "wave"], style_weights=[6, 2]).pixels).max() <= 1
    )
    assert not np.array_equal(half, painted(styles=["wave", "glass"]).pixels)


# -- what a style costs ------------------------------------------------------------------------------
def test_a_style_is_encoded_once_a_worker() -> None:
    """By the bytes, not by the name; whoever finds it in the store does not encode at all."""
    memo = MemoryMemo()
    worker, other = stylizer(memo), stylizer(memo)
    encoded = [
        stylize(worker, PNG, {name: OWN}, styles=[name]).receipt.styles_encoded  # type: ignore[attr-defined]
        for name in ("a/1.jpg", "a/1.jpg", "a/2.jpg", "a/1.jpg")
    ]
    assert encoded == [1, 0, 0, 0]
    assert memo.asked == {"get": 1, "put": 1}
    assert len(next(iter(memo.known.values()))) == 4 * artifact().manifest.config["style_size"]
    assert stylize(other, PNG, {"x/y.jpg": OWN}, styles=["x/y.jpg"]).receipt.styles_encoded == 0  # type: ignore[attr-defined]
    assert stylize(other, PNG, styles=["wave"]).receipt.styles_encoded == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("damage", [b"", b"short", np.full(320, np.nan, "<f4").tobytes()])
def test_a_damaged_memo_is_not_believed(damage: bytes) -> None:
    """A vector of another length, or one that is no number, is made again."""
    memo = MemoryMemo()
    good = stylize(stylizer(memo), PNG).data
    for name in memo.known:
        memo.known[name] = damage
    again = stylize(stylizer(memo), PNG)
    assert again.receipt.styles_encoded == 1  # type: ignore[attr-defined]
    assert again.data == good


# -- what is kept ------------------------------------------------------------------------------------
def test_alpha_survives_and_hidden_colours_do_not_count() -> None:
    """Every alpha value comes back; what stands under transparency changes nothing that is seen."""
    alpha = np.zeros(PIXELS.shape[:2], np.uint8)
    alpha[:, :80] = 255
    alpha[:, 80:84] = 120
    pictures = []
    for hidden in (0, 255):
        behind = PIXELS.copy()
        behind[alpha == 0] = hidden
        pictures.append(painted(png(np.dstack([behind, alpha]))))
    for picture in pictures:
        assert picture.alpha is not None
        assert np.array_equal(picture.alpha, alpha)
    assert np.array_equal(pictures[0].pixels, pictures[1].pixels)


def test_auto_is_png_only_where_something_is_transparent() -> None:
    """JPEG would lose alpha; asked for, it is laid over white."""
    transparent = png(np.dstack([PIXELS, np.zeros(PIXELS.shape[:2], np.uint8)]))
    assert (stylize(HANDLER, PNG).extension, stylize(HANDLER, transparent).extension) == (".jpg", ".png")
    output = stylize(HANDLER, transparent, format="jpeg")
    assert (output.content_type, output.extension) == ("image/jpeg", ".jpg")
    assert decode_image(output.data or b"", Limits()).pixels.min() > 250


def test_pictures_come_out_upright() -> None:
    """Turned by its orientation before it is painted; the tag that is kept says upright."""
    exif = Image.Exif()
    exif[274], exif[271] = 6, "camera"
    data = saved(Image.fromarray(np.rot90(PIXELS)), "JPEG", quality=95, exif=exif.tobytes())
    assert painted(data).pixels.shape == PIXELS.shape
    kept = stylize(HANDLER, data, format="jpeg", keep=["exif"]).data or b""
    with Image.open(io.BytesIO(kept)) as image:
        assert (image.getexif()[274], image.getexif()[271]) == (1, "camera")
    with Image.open(io.BytesIO(stylize(HANDLER, data, format="jpeg").data or b"")) as image:
        assert not image.getexif()


def test_profiles_are_kept_when_asked_for() -> None:
    """Without `keep` the output is sRGB; with it, it carries the profile."""
    data = saved(Image.fromarray(PIXELS), "PNG", icc_profile=icc.display_p3())
    assert painted(data).icc_profile is None
    assert painted(data, keep=["icc"]).icc_profile == icc.display_p3()


def test_grey_pictures_take_colours_unless_theirs_are_kept() -> None:
    """Painted, a grey picture has the style's colours; with its own, it is one channel again."""
    grey = png(PIXELS[:, :, 0])
    assert not painted(grey, styles=["glass"]).is_grey
    assert painted(grey, styles=["glass"], preserve_colors="luma").is_grey


def test_a_profile_of_grey_does_not_stay_with_colours() -> None:
    """It describes one channel; the painted picture has three, in sRGB, and a note says so."""
    data = saved(Image.fromarray(PIXELS[:, :, 0]), "PNG", icc_profile=icc.linear_grey())
    assert painted(data, keep=["icc"]).icc_profile is None
    assert "profile is one of grey" in " ".join(receipt_of(data, keep=["icc"]).notes)
    assert painted(data, keep=["icc"], preserve_colors="luma").icc_profile == icc.linear_grey()


def test_tri_files_are_contents_and_styles() -> None:
    """What `compress` has written is an image like any other."""
    tri = codec().encode(PIXELS, 80).to_bytes()
    assert painted(tri).pixels.shape == PIXELS.shape
    assert painted(PNG, {"a/s.tri": tri}, styles=["a/s.tri"]).pixels.shape == PIXELS.shape


# -- colours and sizes -------------------------------------------------------------------------------
def test_luma_keeps_chroma() -> None:
    """Cb and Cr are the picture's but for rounding, where nothing is clipped; Y is the painted one's."""
    soft = (PIXELS // 2 + 64).astype(np.uint8)
    kept = painted(png(soft), preserve_colors="luma").pixels.astype(float)
    free = painted(png(soft)).pixels.astype(float)
    inside = ((kept > 0) & (kept < 255)).all(axis=2) & ((free > 0) & (free < 255)).all(axis=2)
    assert inside.mean() > 0.5
    luma = np.array([0.299, 0.587, 0.114])
    chroma = [picture - (picture @ luma)[..., None] for picture in (kept, soft.astype(float))]
    assert np.abs(chroma[0] - chroma[1])[inside].max() <= 1
    assert np.abs(kept @ luma - free @ luma)[inside].max() <= 1


def test_matched_colours_come_from_the_picture() -> None:
    """The painted picture's mean colour is nearer to its own than when the style brings colours along."""
    mean = palette_of(PIXELS).mean
    plain, matched = (
        palette_of(painted(styles=["glass"], preserve_colors=how).pixels).mean for how in ("none", "matched")
    )
    assert np.abs(matched - mean).sum() < np.abs(plain - mean).sum()
    assert receipt_of(PNG, styles=["glass", "wave"], preserve_colors="matched").styles_encoded == 2


def test_sizes() -> None:
    """`max_side_px` makes smaller, never larger; strokes of another size leave the size as it is."""
    assert painted(max_side_px=68).pixels.shape == (48, 68, 3)
    assert painted(max_side_px=1000).pixels.shape == PIXELS.shape
    large = landscape(1100, 140)
    assert receipt_of(png(large)).windows == 2
    coarse = stylize(HANDLER, png(large), stroke_scale=2)
    assert coarse.receipt.windows == 1  # type: ignore[attr-defined]
    assert decode_image(coarse.data or b"", Limits()).pixels.shape == large.shape
    assert not np.array_equal(painted(stroke_scale=0.5).pixels, painted().pixels)


def test_small_strokes_must_fit_the_limits() -> None:
    """Painting at twice the size counts like a picture of that size."""
    limits = Limits(max_pixels=20_000)
    tight = Stylizer(HandlerContext("cpu", {"stylization": artifact()}, limits))
    assert stylize(tight, PNG).data
    with pytest.raises(ImageTooLarge, match=r"stroke_scale 0\.5 would paint 272 x 192"):
        stylize(tight, PNG, stroke_scale=0.5)


# -- masks -------------------------------------------------------------------------------------------
def test_one_style_where_its_mask_is_white() -> None:
    """Elsewhere the picture's own pixels, exactly."""
    mask = np.zeros((48, 68), np.uint8)
    mask[:, :34] = 255
    picture = painted(PNG, {"m/1.png": png(mask)}, mask=["m/1.png"], mask_feather_px=2)
    assert np.array_equal(picture.pixels[:, 90:], PIXELS[:, 90:])
    assert np.array_equal(picture.pixels[:, :50], painted().pixels[:, :50])


@pytest.mark.parametrize("levels", [(0, 1, 2), (0, 128, 255)])
def test_label_images(levels: tuple[int, int, int]) -> None:
    """Plain numbers or even steps of grey: each style has its band."""
    labels = np.repeat(np.array(levels, np.uint8), 46)[None, :136].repeat(96, axis=0)
    styles = ["wave", "glass", "night"]
    mixed = painted(PNG, {"m/1.png": png(labels)}, styles=styles, mask=["m/1.png"], mask_feather_px=0).pixels
    for style, columns in zip(styles, (slice(0, 36), slice(60, 82), slice(104, 136)), strict=True):
        assert np.array_equal(mixed[:, columns], painted(styles=[style]).pixels[:, columns])


def test_a_mask_a_style() -> None:
    """Two grey masks: each style under its own, the picture itself under none."""
    left, right = np.zeros((2, 96, 136), np.uint8)
    left[:, :40], right[:, 96:] = 255, 255
    masks = {"m/l.png": png(left), "m/r.png": png(right)}
    mixed = painted(PNG, masks, styles=["wave", "glass"], mask=list(masks), mask_feather_px=0).pixels
    assert np.array_equal(mixed[:, :32], painted(styles=["wave"]).pixels[:, :32])
    assert np.array_equal(mixed[:, 50:88], PIXELS[:, 50:88])
    assert np.array_equal(mixed[:, 104:], painted(styles=["glass"]).pixels[:, 104:])


def test_what_a_mask_leaves_is_sharp_with_coarse_strokes() -> None:
    """The picture's own pixels are never resized."""
    mask = np.zeros((96, 136), np.uint8)
    mask[:48] = 255
    picture = painted(PNG, {"m/1.png": png(mask)}, mask=["m/1.png"], mask_feather_px=0, stroke_scale=3)
    assert np.array_equal(picture.pixels[60:], PIXELS[60:])


# -- what fails --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        (png(np.zeros((50, 50), np.uint8)), MaskMismatch, "50 x 50 and the picture 136 x 96"),
        (png(PIXELS), MaskMismatch, "has colours"),
        (b"no image", UnusableObject, "mask 'm/1.png': this is text"),
    ],
)
def test_unusable_masks(body: bytes, error: type[TriptychError], words: str) -> None:
    """Named by their reference, with what is wrong."""
    with pytest.raises(error, match=words):
        stylize(HANDLER, PNG, {"m/1.png": body}, mask=["m/1.png"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "style 'a/s.jpg': the file is empty"),
        (b"%PDF-1.7", "a PDF document"),
        (OWN[:900], "style 'a/s.jpg'"),
    ],
)
def test_unusable_styles(body: bytes, words: str) -> None:
    """A style that is no image fails its items by the style's name, again and again, and poisons nothing."""
    for _ in range(2):
        with pytest.raises(UnusableObject, match=words):
            stylize(HANDLER, PNG, {"a/s.jpg": body}, styles=["wave", "a/s.jpg"])
    assert stylize(HANDLER, PNG).data


def test_a_broken_picture_is_its_own_fault() -> None:
    """It is not called a style or a mask."""
    with pytest.raises(UndecodableImage):
        stylize(HANDLER, PNG[:200])


def test_samples_have_previews() -> None:
    """Before and after, when they are asked for."""
    assert stylize(HANDLER, PNG).previews == {}
    previews = stylize(HANDLER, PNG, sample=True).previews
    assert list(previews) == ["before", "after"]
    assert previews["before"] != previews["after"]


def test_gallery_styles_differ() -> None:
    """Each of the built-in ones paints another picture, and is what its file says."""
    pictures = [painted(styles=[name]).pixels.tobytes() for name in operation.GALLERY]
    assert len(set(pictures)) == len(operation.GALLERY)
    own = painted(PNG, {"a/wave.jpg": gallery_path("wave").read_bytes()}, styles=["a/wave.jpg"])
    assert np.array_equal(own.pixels, painted(styles=["wave"]).pixels)
    assert gallery_picture("wave").shape == (512, 512, 3)


def test_threads_share_a_handler() -> None:
    """Eight at once encode a new style once, and each paints what one alone would."""
    handler, pictures = stylizer(), [png(landscape(40, 48, seed)) for seed in range(8)]
    objects, styles = {"a/s.jpg": OWN}, ["a/s.jpg"]
    with ThreadPoolExecutor(8) as pool:
        outputs = list(pool.map(lambda data: stylize(handler, data, objects, styles=styles), pictures))
    assert sum(output.receipt.styles_encoded for output in outputs) == 1  # type: ignore[attr-defined]
    alone = [stylize(HANDLER, data, objects, styles=styles).data for data in pictures]
    assert [output.data for output in outputs] == alone


def test_a_job_has_one_model() -> None:
    """`model` names the artifact that is pinned; an item that wants the other one is refused, by its name."""
    assert StylizeParams(styles=("wave",)).artifacts() == ("stylization",)
    fast = Stylizer(HandlerContext("cpu", {"stylization_fast": fast_artifact()}))
    output = stylize(fast, PNG, model="fast", format="png")
    assert output.receipt.model == fast_artifact().digest  # type: ignore[attr-defined]
    assert output.data != stylize(HANDLER, PNG, format="png").data
    for handler, model in ((fast, "standard"), (HANDLER, "fast")):
        with pytest.raises(InvalidParams, match=model):
            stylize(handler, PNG, model=model)
    installed = Installed({"stylization": artifact().manifest})
    check = operation.OPERATION.check
    assert check is not None
    assert check(StylizeParams(styles=("wave",)), installed) == ()
    ((name, _),) = check(StylizeParams(styles=("wave",), model="fast"), installed)
    assert name == "model"


def test_fast_is_faster() -> None:
    """Less than half of the arithmetic: CPU time of both in turn, the best of three."""
    fast, picture = (
        Stylizer(HandlerContext("cpu", {"stylization_fast": fast_artifact()})),
        png(landscape(256, 384)),
    )
    spent: dict[str, list[float]] = {"fast": [], "standard": []}
    for _ in range(4):
        for model, handler in (("fast", fast), ("standard", HANDLER)):
            began = time.process_time()
            stylize(handler, picture, model=model)
            spent[model].append(time.process_time() - began)
    assert min(spent["fast"]) < 0.7 * min(spent["standard"])
