"""Pixels to a `.tri` file and back: windows through the transforms, tiles through hyperprior and coder.

pixels ── windows ── g_a ── y ── tiles ── TileNetworks ── TriFile
pixels ── windows ── g_s ── y_hat ── tiles ── TileNetworks ── TriFile

Windows and tiles are independent. A window is computed with a halo of the receptive field, so windows leave
no seams; a tile knows nothing of its neighbours, so it can be read, and can break, by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.container import QUALITIES, TILE_PX, Extras, TriFile
from pipeline.codec.entropy_tables import EntropyTables
from pipeline.codec.halves import Floats
from pipeline.codec.planes import place_pixels, planes_of
from pipeline.codec.tiling import Box, boxes, even_boxes
from pipeline.core.errors import ArtifactNotFound
from pipeline.core.operation import Device, LoadedArtifact
from pipeline.inference.batching import Batcher
from pipeline.inference.session import AbsentSession, OrtSession, Session
from pipeline.inference.tile_networks import TileNetworks

MODEL_BYTES = 16
CELL_PX = 16  # pixels a cell of y, each way
REDUCTION = 8
LAYOUT = 1  # of artifacts that this reads
WINDOW_PX = 1536  # side of what g_a and g_s compute at once, without the halo: about 300 MB
_GRID = 2  # rows and columns of the grid of 1/8 in a cell of y
_TILE = TILE_PX // CELL_PX
ROLES = ("analysis", "hyper_analysis", "parameters", "context", "synthesis", "reduction")
MAKING = ("analysis", "hyper_analysis")  # without these, files can still be read
_MAX_BATCH = {"cpu": 1, "cuda": 8}

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Latent:
    """A picture after g_a: every quality is coded from it.

    Attributes:
        y: float32 (M/4, 2 rows, 2 columns), on the grid of 1/8.
        height_px: Of the picture.
        width_px: Of the picture.
    """

    y: Floats
    height_px: int
    width_px: int


class TriCodec:
    """The codec of one artifact. Threads may share it.

    Args:
        graphs: By role, as `pipeline.models.compression.graphs` describes them.
        tables: The artifact's.
        digest: The artifact's, hex.
        halo_px: How far g_a and g_s look, a multiple of 16.
        max_batch: Tiles of a file that run together.
        window_px: Side of a window without its halo, a multiple of 16.
    """

    def __init__(
        self,
        graphs: dict[str, Session],
        tables: EntropyTables,
        *,
        digest: str,
        halo_px: int,
        max_batch: int = 1,
        window_px: int = WINDOW_PX,
    ) -> None:
        self._graphs, self._tables = graphs, tables
        self.tile_networks = TileNetworks(
            graphs["hyper_analysis"], graphs["parameters"], graphs["context"], tables
        )
        self.digest = digest
        self._model = bytes.fromhex(digest)[:MODEL_BYTES]
        self._halo, self._window, self._max_batch = halo_px // CELL_PX, window_px // CELL_PX, max_batch

    @classmethod
    def from_artifact(
        cls, artifact: LoadedArtifact, device: Device = "cpu", device_index: int = 0
    ) -> TriCodec:
        """Loads the graphs of an artifact on a device.

        Raises:
            ProviderUnavailable: The device is not there.
            ArtifactCorrupt: The artifact cannot be loaded.
            ArtifactNotFound: It has a layout that this version does not know.
        """
        artifact.require_layout(LAYOUT)
        batch = _MAX_BATCH[device]

        def loaded(role: str) -> Session:
            path = artifact.path(role)
            if role in MAKING and not path.is_file():
                return AbsentSession(f"{role} of {artifact.digest[:12]}")
            return Batcher(OrtSession(path, device, device_index), batch)

        return cls(
            {role: loaded(role) for role in ROLES},
            EntropyTables.load(artifact.path("tables")),
            digest=artifact.digest,
            halo_px=artifact.manifest.config["halo_px"],
            max_batch=batch,
        )

    def encode(
        self, pixels: Pixels, quality: int, *, is_grey: bool = False, extras: Extras | None = None
    ) -> TriFile:
        """Codes a picture, uint8 (H, W, 3) sRGB. The same input gives the same file on one machine.

        Args:
            pixels: The picture.
            quality: 1 to 100.
            is_grey: Marks a picture whose decoded planes are to be made equal.
            extras: Carried along.
        """
        return self.code(self.analyse(pixels), quality, is_grey=is_grey, extras=extras)

    @property
    def can_encode(self) -> bool:
        """Whether all graphs are there; of an older model those that only encode may be gone."""
        return not any(isinstance(self._graphs[role], AbsentSession) for role in MAKING)

    def analyse(self, pixels: Pixels) -> Latent:
        """Runs g_a: the part of encoding that does not depend on quality."""
        height, width = pixels.shape[:2]
        area = _cells(height, width)
        y = np.empty((self._tables.channels // 4, _GRID * area.bottom, _GRID * area.right), np.float32)
        for core in even_boxes(area, self._window):
            outer = core.grown(self._halo, area.bottom, area.right)
            planes = planes_of(pixels, outer.scaled(CELL_PX))
            (window,) = self._graphs["analysis"].run({"planes": planes[None]})
            inner = core.relative_to(outer).scaled(_GRID)
            y[:, *core.scaled(_GRID).slices()] = window[0][:, *inner.slices()]
        return Latent(y, height, width)

    def code(
        self, latent: Latent, quality: int, *, is_grey: bool = False, extras: Extras | None = None
    ) -> TriFile:
        """Codes an analysed picture: what a search over qualities repeats. See `encode`."""
        if not 1 <= quality <= QUALITIES:
            raise ValueError(f"quality must be 1 to {QUALITIES}, not {quality}")
        tiles: list[bytes] = []
        for batch in self._batches(list(_tile_boxes(latent.height_px, latent.width_px))):
            parts = [latent.y[:, *box.scaled(_GRID).slices()] for _, box in batch]
            tiles += self.tile_networks.encode(parts, quality)
        return TriFile(
            width_px=latent.width_px,
            height_px=latent.height_px,
            quality=quality,
            model=self._model,
            is_grey=is_grey,
            tiles=tuple(tiles),
            extras=extras or Extras(),
        )

    def decode(self, file: TriFile) -> Pixels:
        """The picture, uint8 (H, W, 3); the planes of a grey one are equal.

        Raises:
            ArtifactNotFound: Another model wrote the file.
            CorruptBitstream: A tile does not decode to the symbols that were coded.
        """
        return self.decode_region(file, Box(0, 0, file.height_px, file.width_px))

    def decode_region(self, file: TriFile, region: Box) -> Pixels:
        """A part of the picture, uint8 (h, w, 3), from the tiles and windows that it needs.

        Args:
            file: The whole file.
            region: In pixels, inside the picture.

        Raises:
            ValueError: The region is empty or not inside the picture.
            ArtifactNotFound: Another model wrote the file.
            CorruptBitstream: A tile that is needed is damaged.
        """
        if region != region.within(Box(0, 0, file.height_px, file.width_px)) or not region.size:
            raise ValueError("the region is empty or not inside the picture")
        self._check_model(file)
        pixels = np.empty((region.height, region.width, 3), np.uint8)
        area = _cells(file.height_px, file.width_px)
        cores = list(even_boxes(region.over(CELL_PX), self._window))
        outers = [core.grown(self._halo, area.bottom, area.right) for core in cores]
        for core, outer, y_hat in zip(cores, outers, self._latents(file, outers), strict=True):
            (planes,) = self._graphs["synthesis"].run({"y_hat": y_hat[None]})
            target = core.scaled(CELL_PX).within(region)
            source = target.relative_to(outer.scaled(CELL_PX))
            place_pixels(planes[0], source, pixels[target.relative_to(region).slices()])
        return _grey(pixels) if file.is_grey else pixels

    def decode_reduced(self, file: TriFile) -> Pixels:
        """The picture at 1/8 of its size, uint8 (ceil(H/8), ceil(W/8), 3), without the decoder network.

        Raises:
            ArtifactNotFound: Another model wrote the file.
            CorruptBitstream: A tile is damaged.
        """
        self._check_model(file)
        size = (-(-file.height_px // REDUCTION), -(-file.width_px // REDUCTION))
        pixels = np.empty((*size, 3), np.uint8)
        every = [box for _, box in _tile_boxes(file.height_px, file.width_px)]
        for box, y_hat in zip(every, self._latents(file, every), strict=True):
            (planes,) = self._graphs["reduction"].run({"y_hat": y_hat[None]})
            target = box.scaled(_GRID).within(Box(0, 0, *size))
            pixels[target.slices()] = planes[0].transpose(1, 2, 0)[: target.height, : target.width]
        return _grey(pixels) if file.is_grey else pixels

    def _latents(self, file: TriFile, windows: Sequence[Box]) -> Iterator[Floats]:
        """y_hat of each window (in cells). Tiles are decoded when first needed and kept until last needed."""
        tiles = list(_tile_boxes(file.height_px, file.width_px))
        needed = [[entry for entry in tiles if entry[1].meets(window)] for window in windows]
        last = {i: step for step, entries in enumerate(needed) for i, _ in entries}
        held: dict[int, Floats] = {}
        for step, (window, entries) in enumerate(zip(windows, needed, strict=True)):
            for batch in self._batches([entry for entry in entries if entry[0] not in held]):
                payloads = [file.tiles[i] for i, _ in batch]
                box = batch[0][1]
                decoded = self.tile_networks.decode(payloads, box.height, box.width, file.quality)
                held.update(zip((i for i, _ in batch), decoded, strict=True))
            yield _cut(window, [(box, held[i]) for i, box in entries])
            held = {i: y_hat for i, y_hat in held.items() if last[i] > step}

    def _batches(self, tiles: list[tuple[int, Box]]) -> Iterator[list[tuple[int, Box]]]:
        """Neighbours in order that have the same shape, at most `max_batch` of them."""
        for _, group in groupby(tiles, key=lambda entry: (entry[1].height, entry[1].width)):
            alike = list(group)
            for start in range(0, len(alike), self._max_batch):
                yield alike[start : start + self._max_batch]

    def _check_model(self, file: TriFile) -> None:
        if file.model != self._model:
            raise ArtifactNotFound(
                f"the file was written by model {file.model.hex()[:12]}..., and this is {self.digest[:12]}..."
            )


def _cells(height_px: int, width_px: int) -> Box:
    """The cells of y that a picture has."""
    return Box(0, 0, -(-height_px // CELL_PX), -(-width_px // CELL_PX))


def _tile_boxes(height_px: int, width_px: int) -> Iterator[tuple[int, Box]]:
    """Each tile's number and cells."""
    area = _cells(height_px, width_px)
    return enumerate(boxes(area.bottom, area.right, _TILE))


def _cut(window: Box, tiles: list[tuple[Box, Floats]]) -> Floats:
    """y_hat of a window, put together from the tiles that it meets."""
    if len(tiles) == 1 and tiles[0][0] == window:
        return tiles[0][1]
    channels = tiles[0][1].shape[0]
    y_hat = np.empty((channels, _GRID * window.height, _GRID * window.width), np.float32)
    for box, part in tiles:
        shared = box.within(window)
        source, target = shared.relative_to(box), shared.relative_to(window)
        y_hat[:, *target.scaled(_GRID).slices()] = part[:, *source.scaled(_GRID).slices()]
    return y_hat


def _grey(pixels: Pixels) -> Pixels:
    """Sets all three planes to their rounded mean, in place, row by row."""
    for row in pixels:
        row[:] = ((row.sum(axis=1, dtype=np.uint16) + 1) // 3).astype(np.uint8)[:, None]
    return pixels
