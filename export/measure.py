"""Real bytes and real PSNR of an exported codec on a folder of photographs."""

from __future__ import annotations

from pathlib import Path

from pipeline.codec.container import parse
from pipeline.core.operation import Limits
from pipeline.imaging.decode import decode_image
from pipeline.inference.tri_codec import TriCodec
from pipeline.metrics.psnr import psnr_db

QUALITIES = (1, 10, 25, 50, 75, 90, 100)


def measure(codec: TriCodec, directory: Path, qualities: tuple[int, ...] = QUALITIES) -> dict[str, float]:
    """Mean bits a pixel (whole files) and mean RGB PSNR, by quality.

    Returns:
        "<folder>/q<quality>/bpp" and ".../psnr_db".

    Raises:
        FileNotFoundError: The folder holds no file.
    """
    paths = sorted(path for path in directory.iterdir() if path.is_file())
    if not paths:
        raise FileNotFoundError(f"nothing to measure in {directory}")
    pictures = [decode_image(path.read_bytes(), Limits()).pixels for path in paths]
    metrics = {}
    for quality in qualities:
        bpps, psnrs = [], []
        for pixels in pictures:
            coded = codec.encode(pixels, quality).to_bytes()
            decoded = codec.decode(parse(coded))
            bpps.append(8 * len(coded) / (pixels.shape[0] * pixels.shape[1]))
            psnrs.append(psnr_db(pixels, decoded) or 100.0)
        metrics[f"{directory.name}/q{quality}/bpp"] = round(sum(bpps) / len(bpps), 4)
        metrics[f"{directory.name}/q{quality}/psnr_db"] = round(sum(psnrs) / len(psnrs), 3)
    return metrics
