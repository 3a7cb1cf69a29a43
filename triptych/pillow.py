"""A Pillow plugin: after `import triptych.pillow`, Pillow opens and saves .tri files.

    import triptych.pillow
    from PIL import Image

    with Image.open("x.tri") as image:      # size, mode, profile, EXIF: nothing is decoded yet
        image.thumbnail((128, 128))         # a small one comes from the latents, without the full decoder
    picture.save("y.tri", quality=60)       # or max_bytes=, min_psnr_db=; preview=True, exif=, icc_profile=

`info` has `icc_profile` and `exif` (upright, as the pixels are) where the file keeps them, `preview`, a small
WebP, where it has one, and the `quality`. Pillow's own limit on pixels holds. Needs the extra `cpu`.
"""

from __future__ import annotations

import functools
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from pipeline.codec.container import MAGIC, TriFile, parse
from pipeline.core.errors import CorruptBitstream, TriptychError
from pipeline.imaging.colour import in_own_space
from pipeline.imaging.decode import DecodedImage
from pipeline.imaging.exif import APP1_PREFIX, upright
from pipeline.imaging.formats import TYPES
from pipeline.imaging.planes import GREY_MODES, rgb_samples, split_alpha
from pipeline.operations.compress import CompressParams

if TYPE_CHECKING:
    from pipeline.inference.codecs import Codecs

FORMAT = "TRI"
_PARAMS = ("quality", "max_bytes", "min_psnr_db", "preview")
_REDUCTION = 8


class TriImageFile(ImageFile.ImageFile):
    """A .tri file as Pillow sees it; pixels are decoded when they are first needed."""

    format = FORMAT
    format_description = "Triptych learned codec"

    def _open(self) -> None:
        assert self.fp is not None  # noqa: S101 - Pillow opens it
        try:
            self._file: TriFile = parse(self.fp.read())
        except CorruptBitstream as error:
            raise SyntaxError(error.message) from error  # Pillow's word for "not one of mine"
        file, extras = self._file, self._file.extras
        self._size = (file.width_px, file.height_px)
        self._mode = ("L" if file.is_grey else "RGB") + ("" if extras.alpha is None else "A")
        self._reduced = False
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]  # until it is loaded
        exif = upright(extras.exif) if extras.exif else None
        found = {"icc_profile": extras.icc, "exif": exif, "preview": extras.preview, "quality": file.quality}
        self.info.update({name: value for name, value in found.items() if value is not None})

    def draft(
        self,
        mode: str | None,  # noqa: ARG002 - Pillow's form; a file has one mode
        size: tuple[int, int] | None,
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Loads an eighth of each side where that is enough; Pillow asks before it makes thumbnails."""
        if not self.tile or self._reduced or size is None:
            return None
        width, height = self.size
        if min(width // max(size[0], 1), height // max(size[1], 1)) < _REDUCTION:
            return None
        self._reduced = True
        self._size = (-(-width // _REDUCTION), -(-height // _REDUCTION))
        return self.mode, (0, 0, width / _REDUCTION, height / _REDUCTION)

    def load(self) -> Any:
        if self.tile:
            self.im = self._decoded().im
            self.tile = []
            if self.fp and self._exclusive_fp:
                self.fp.close()
                self.fp = None
        return super().load()

    def _decoded(self) -> Image.Image:
        from pipeline.inference.images import decoded  # noqa: PLC0415 - the model runtime, only for pixels

        try:
            picture = decoded(self._file, _codecs(), reduced=self._reduced)
        except TriptychError as error:
            raise OSError(error.message) from error
        image = Image.fromarray(picture.pixels)
        if picture.is_grey:
            image = image.getchannel(0)
        if picture.alpha is not None:
            image.putalpha(Image.fromarray(picture.alpha))
        return image


@functools.cache
def _codecs() -> Codecs:
    from pipeline.inference.codecs import Codecs  # noqa: PLC0415 - as above
    from pipeline.inference.local import local_context  # noqa: PLC0415

    return Codecs(local_context())


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:  # noqa: ARG001 - Pillow's form
    from pipeline.inference.compress import extras_of  # noqa: PLC0415 - as above
    from pipeline.inference.rate_control import coded  # noqa: PLC0415

    options: dict[str, Any] = getattr(image, "encoderinfo", {})
    given = {name: options[name] for name in _PARAMS if options.get(name) is not None}
    exif = options.get("exif") or b""
    exif = (exif.tobytes() if isinstance(exif, Image.Exif) else bytes(exif)).removeprefix(APP1_PREFIX)
    params = CompressParams(**given, keep=("icc", "exif") if exif else ("icc",))
    try:
        picture = _picture(image, options.get("icc_profile", image.info.get("icc_profile")), exif or None)
        result = coded(
            _codecs().pinned(),
            picture.pixels,
            params,
            is_grey=picture.is_grey,
            extras=extras_of(picture, params),
        )
    except TriptychError as error:
        raise OSError(error.message) from error
    file.write(result.data)


def _picture(image: Image.Image, icc_profile: bytes | None, exif: bytes | None) -> DecodedImage:
    """A Pillow image as our own reader would have given it."""
    bits, is_grey = 16 if image.mode.startswith("I;16") else 8, image.mode in GREY_MODES
    colour, alpha = split_alpha(image, bits, is_grey=is_grey)
    managed, space, _ = in_own_space(colour, icc_profile)
    return DecodedImage(
        pixels=rgb_samples(managed),
        alpha=alpha,
        is_grey=is_grey,
        icc_profile=icc_profile,
        format=FORMAT,
        width_px=image.width,
        height_px=image.height,
        frames=1,
        bits=bits,
        space=space,
        exif=exif,
    )


Image.register_open(FORMAT, TriImageFile, lambda prefix: prefix.startswith(MAGIC))
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".tri")
Image.register_mime(FORMAT, TYPES["tri"])
