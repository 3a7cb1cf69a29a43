"""Pixels to a `.tri` file and back: windows through the networks, tiles through the entropy coder.

pixels ── windows ── g_a * gain, rounded ── symbols ── tiles ── rANS ── TriFile
pixels ── windows ── g_s ── inverse gain ── symbols ── tiles ── rANS ── TriFile
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from pipeline.codec.container import TILE_PX, Extras, Tile, TriFile
from pipeline.codec.tables import ChannelTable, ProbabilityTables
from pipeline.codec.tile_coder import decode_tile, encode_tile
from pipeline.codec.tiling import Box, boxes, cut_padded
from pipeline.core.errors import ArtifactNotFound, CorruptBitstream
from pipeline.core.operation import Device, LoadedArtifact
from pipeline.inference.batching import Batcher
from pipeline.inference.session import OrtSession, Session

MODEL_BYTES = 16
_MAX_BATCH = {"cpu": 1, "cuda": 8}


class TriCodec:
    """The codec of one artifact. Threads may share it.

    Args:
        encoder: pixels uint8 (N, 8h, 8w, 3), gain (N, C) to symbols int16 (N, C, h, w).
        decoder: symbols, inverse_gain (N, C) to pixels.
        tables: Gains and probabilities by quality.
        digest: The artifact's digest, hex.
        stride_px: Pixels a cell, each way.
        halo_px: How far the networks look, a multiple of the stride.
        window_px: Side of what the networks compute at once, without the halo; a multiple of the tile side.
    """

    def __init__(
        self,
        encoder: Session,
        decoder: Session,
        tables: ProbabilityTables,
        *,
        digest: str,
        stride_px: int,
        halo_px: int,
        window_px: int = TILE_PX,
    ) -> None:
        self._encoder, self._decoder, self._tables = encoder, decoder, tables
        self.digest = digest
        self._model = bytes.fromhex(digest)[:MODEL_BYTES]
        self._stride = stride_px
        self._halo = halo_px // stride_px
        self._window, self._tile = window_px // stride_px, TILE_PX // stride_px

    @classmethod
    def from_artifact(
        cls, artifact: LoadedArtifact, device: Device = "cpu", device_index: int = 0
    ) -> TriCodec:
        """Loads the graphs of an artifact on a device.

        Raises:
            ProviderUnavailable: The device is not there.
            ArtifactCorrupt: The artifact cannot be loaded.
        """
        encoder, decoder = (
            Batcher(OrtSession(artifact.path(role), device, device_index), _MAX_BATCH[device])
            for role in ("encoder", "decoder")
        )
        config = artifact.manifest.config
        return cls(
            encoder,
            decoder,
            ProbabilityTables.load(artifact.path("tables")),
            digest=artifact.digest,
            stride_px=config["stride_px"],
            halo_px=config["halo_px"],
        )

    def encode(
        self,
        pixels: NDArray[np.uint8],
        quality: int,
        *,
        is_grey: bool = False,
        extras: Extras = Extras(),
    ) -> TriFile:
        """Codes a picture. The same picture and quality give the same file on one machine.

        Args:
            pixels: uint8 (H, W, 3), sRGB.
            quality: 1 to 100.
            alpha: uint8 (H, W), kept without loss.
            is_grey: Marks a picture whose decoded planes are to be made equal.
        """
        height, width = pixels.shape[:2]
        rows, columns = self._cells(height, width)
        tables = self._tables.channel_tables(quality)
        tiles: dict[tuple[int, int], Tile] = {}
        for core in boxes(rows, columns, self._window):
            symbols = self._symbols_of_window(pixels, core, quality)
            for tile in boxes(core.height, core.width, self._tile):
                place = (core.top + tile.top, core.left + tile.left)
                tiles[place] = _coded(symbols[:, *tile.slices()], tables)
        return TriFile(
            width_px=width,
            height_px=height,
            quality=quality,
            model=self._model,
            is_grey=is_grey,
            tiles=tuple(tiles[place] for place in sorted(tiles)),
            extras=extras,
        )

    def decode(self, file: TriFile) -> NDArray[np.uint8]:
        """The picture, uint8 (H, W, 3), and its alpha plane, uint8 (H, W), or None.

        Raises:
            ArtifactNotFound: Another model wrote the file.
            CorruptBitstream: A tile does not decode to the symbols that were coded.
        """
        if file.model != self._model:
            raise ArtifactNotFound(
                f"the file was written by model {file.model.hex()[:12]}..., and this is {self.digest[:12]}..."
            )
        rows, columns = self._cells(file.height_px, file.width_px)
        symbols = self._symbols_of_file(file, rows, columns)
        pixels = np.empty((file.height_px, file.width_px, 3), np.uint8)
        for core in boxes(rows, columns, self._window):
            self._decode_window(symbols, core, file, pixels)
        if file.is_grey:
            _make_grey(pixels)
        return pixels

    def analyse(self, pixels):
        return pixels

    def code(self, latent, quality, *, is_grey=False, extras=Extras()):
        return self.encode(latent, quality, is_grey=is_grey, extras=extras)

    def decode_region(self, file, box):
        return np.ascontiguousarray(self.decode(file)[box.slices()])

    _all = decode

    def decode_reduced(self, file):
        full = cut_padded(self._all(file), Box(0, 0, -(-file.height_px // 8) * 8, -(-file.width_px // 8) * 8))
        rows, columns = full.shape[0] // 8, full.shape[1] // 8
        return full.reshape(rows, 8, columns, 8, 3).mean(axis=(1, 3)).round().astype(np.uint8)

    def _cells(self, height_px: int, width_px: int) -> tuple[int, int]:
        return -(-height_px // self._stride), -(-width_px // self._stride)

    def _symbols_of_window(self, pixels: NDArray[np.uint8], core: Box, quality: int) -> NDArray[np.int16]:
        """Symbols (C, h, w) of a core, computed with its halo."""
        outer = core.grown(self._halo, *self._cells(*pixels.shape[:2]))
        part = cut_padded(pixels, outer.scaled(self._stride))
        gain = self._tables.gain[quality - 1 : quality]
        (symbols,) = self._encoder.run({"pixels": part[None], "gain": gain})
        inner: NDArray[np.int16] = symbols[0, :, *core.relative_to(outer).slices()]
        return inner

    def _symbols_of_file(self, file: TriFile, rows: int, columns: int) -> NDArray[np.int16]:
        tables = self._tables.channel_tables(file.quality)
        symbols = np.empty((len(tables), rows, columns), np.int16)
        for tile, box in zip(file.tiles, boxes(rows, columns, self._tile), strict=True):
            decoded = decode_tile(tile.payload, box.height, box.width, tables)
            if _symbols_crc(decoded) != tile.symbols_crc:
                raise CorruptBitstream("a tile decoded to other symbols than were coded")
            symbols[:, *box.slices()] = decoded
        return symbols

    def _decode_window(
        self, symbols: NDArray[np.int16], core: Box, file: TriFile, pixels: NDArray[np.uint8]
    ) -> None:
        """Decodes a core with its halo and writes its pixels where they belong."""
        outer = core.grown(self._halo, *symbols.shape[1:])
        inverse_gain = self._tables.inverse_gain[file.quality - 1 : file.quality]
        (window,) = self._decoder.run(
            {"symbols": symbols[None, :, *outer.slices()], "inverse_gain": inverse_gain}
        )
        target = core.scaled(self._stride)
        target = Box(
            target.top, target.left, min(target.bottom, file.height_px), min(target.right, file.width_px)
        )
        pixels[target.slices()] = window[0][target.relative_to(outer.scaled(self._stride)).slices()]


def _coded(symbols: NDArray[np.int16], tables: list[ChannelTable]) -> Tile:
    return Tile(encode_tile(symbols, tables), _symbols_crc(symbols))


def _symbols_crc(symbols: NDArray[np.int16]) -> int:
    return zlib.crc32(np.ascontiguousarray(symbols, dtype="<i2").data)


def _make_grey(pixels: NDArray[np.uint8]) -> None:
    """Sets all three planes to their rounded mean, in place, row by row."""
    for row in pixels:
        row[:] = ((row.sum(axis=1, dtype=np.uint16) + 1) // 3).astype(np.uint8)[:, None]
