"""An exported artifact of stylization at work: whole pictures, and tiles with global statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from pipeline.core.artifact import read_manifest

_TINY = 1e-5
Statistics = tuple[np.ndarray, np.ndarray]


def session(path: Path) -> ort.InferenceSession:
    """One thread, as a worker has it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Painter:
    """The three graphs. Pictures are uint8 (1, H, W, 3), sides multiples of 8."""

    def __init__(self, artifact: Path) -> None:
        self.manifest = read_manifest(artifact)
        files = {role: artifact / file.name for role, file in self.manifest.files.items()}
        self._content, self._style, self._paint = (session(files[k]) for k in ("content", "style", "paint"))

    def style(self, pixels: np.ndarray) -> np.ndarray:
        """(1, S)."""
        found: np.ndarray = self._style.run(None, {"pixels": pixels})[0]
        return found

    def encode(self, pixels: np.ndarray) -> np.ndarray:
        """H1."""
        found: np.ndarray = self._content.run(None, {"pixels": pixels})[0]
        return found

    def decode(self, h1: np.ndarray, known: Statistics, style: np.ndarray, beta: float = 1.0) -> np.ndarray:
        """Paints with alpha = 1 - beta."""
        feeds = {
            "content_feat": h1,
            "mean": known[0],
            "spread": known[1],
            "style_feat": style[:, None],
            "style_weight": np.ones((1, 1), np.float32),
            "alpha": np.full((1, 1), 1 - beta, np.float32),
            "beta": np.full((1, 1), beta, np.float32),
        }
        found: np.ndarray = self._paint.run(None, feeds)[0]
        return found

    def paint(self, pixels: np.ndarray, style: np.ndarray, beta: float = 1.0) -> np.ndarray:
        """A whole picture at once."""
        h1 = self.encode(pixels)
        return self.decode(h1, statistics(h1), style, beta)

    def paint_tiles(self, pixels: np.ndarray, style: np.ndarray, tile_px: int) -> np.ndarray:
        """The same in two passes over tiles: statistics, then pixels; H1 is computed twice."""
        config = self.manifest.config
        cell, outer, inner = (config[k] for k in ("cell_px", "encoder_halo_px", "decoder_halo_px"))
        _, height, width, _ = pixels.shape
        corners = [(y, x) for y in range(0, height, tile_px) for x in range(0, width, tile_px)]
        sums = np.zeros((3, config["channels"]))
        for corner in corners:
            h1 = self._tile(pixels, corner, tile_px, (0, outer), cell).astype(np.float64)
            count = np.full(sums.shape[1], h1.shape[2] * h1.shape[3])
            sums += np.stack([count, h1.sum(axis=(0, 2, 3)), np.square(h1).sum(axis=(0, 2, 3))])
        mean, square = sums[1] / sums[0], sums[2] / sums[0]
        spread = np.sqrt(square - mean**2 + _TINY)
        known = (mean[None].astype(np.float32), spread[None].astype(np.float32))
        painted = np.empty_like(pixels)
        for top, left in corners:
            h1 = self._tile(pixels, (top, left), tile_px, (inner, outer), cell)
            tile = self.decode(h1, known, style)
            y, x = min(top, inner), min(left, inner)
            rows, columns = min(tile_px, height - top), min(tile_px, width - left)
            painted[:, top : top + rows, left : left + columns] = tile[:, y : y + rows, x : x + columns]
        return painted

    def _tile(
        self, pixels: np.ndarray, corner: tuple[int, int], tile_px: int, halos: tuple[int, int], cell: int
    ) -> np.ndarray:
        """H1 of a tile and the first halo around it, from pixels that reach the second halo farther."""
        kept, read = halos
        spans = [
            (max(0, at - kept), min(size, at + tile_px + kept), max(0, at - kept - read), size)
            for at, size in zip(corner, pixels.shape[1:3], strict=True)
        ]
        (y0, y1, top, height), (x0, x1, left, width) = spans
        window = pixels[:, top : min(height, y1 + read), left : min(width, x1 + read)]
        h1 = self.encode(np.ascontiguousarray(window))
        return h1[
            :,
            :,
            (y0 - top) // cell : (y1 - top) // cell,
            (x0 - left) // cell : (x1 - left) // cell,
        ]


def statistics(h1: np.ndarray) -> Statistics:
    """Mean and deviation of each channel, (1, C)."""
    return h1.mean(axis=(2, 3)), np.sqrt(h1.var(axis=(2, 3)) + _TINY)
