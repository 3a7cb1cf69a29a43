"""Rate-distortion curves as a picture for the README."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.codec.codecs import OURS
from tests.benchmarks.codec.curves import Curve

# Okabe and Ito's colours, told apart by those who see fewer of them, and markers of their own.
STYLES = {
    "jpeg": ("#999999", "s"),
    "webp": ("#E69F00", "^"),
    "avif": ("#0072B2", "D"),
    "avif-psnr": ("#56B4E9", "v"),
    "jxl": ("#009E73", "P"),
    OURS: ("#D55E00", "o"),
}
AXES = (("psnr_db", "PSNR (RGB), dB"), ("ms_ssim_db", "MS-SSIM, dB"))
LEAST_BPP, MOST_BPP = 0.12, 2.0


def draw(curves: Sequence[Curve], path: Path, title: str) -> None:
    """Quality over bits a pixel, PSNR left, MS-SSIM right. The file's name says in which format."""
    import matplotlib as mpl  # noqa: PLC0415 - only who draws has it

    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415
    from matplotlib.ticker import NullFormatter  # noqa: PLC0415

    figure, panels = plt.subplots(1, 2, figsize=(10, 4.4), layout="constrained")
    for panel, (measure, label) in zip(panels, AXES, strict=True):
        for curve in curves:
            colour, marker = STYLES[curve.codec]
            shown = [point for point in curve.points if point.bpp <= 1.6 * MOST_BPP]
            panel.plot(
                [point.bpp for point in shown],
                [getattr(point, measure) for point in shown],
                color=colour,
                marker=marker,
                markersize=5,
                linewidth=2.4 if curve.codec == OURS else 1.4,
                zorder=3 if curve.codec == OURS else 2,
                label=curve.title,
            )
        panel.set_xscale("log")
        panel.set_xlim(LEAST_BPP, MOST_BPP)
        ticks = [0.15, 0.25, 0.5, 1.0, 2.0]
        panel.set_xticks(ticks, labels=[f"{tick:g}" for tick in ticks])
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.set_xlabel("bits a pixel, whole file")
        panel.set_ylabel(label)
        panel.grid(alpha=0.25)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=150)
    plt.close(figure)
