"""Exports the compression network: graphs, tables, checkpoint, manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from export.calibration import fit_reduction, residual_counts
from export.compression_cases import ALLOWED, cases
from export.compression_graphs import export_graphs, graph_files, reduction_file
from export.compression_tables import fit_to_residuals, make_tables
from export.graph import check_parity
from export.manifest import write_manifest
from export.measure import measure
from pipeline.codec.entropy_tables import EntropyTables
from pipeline.codec.planes import planes_of
from pipeline.codec.tiling import Box
from pipeline.core.artifact import Terms
from pipeline.inference.session import OrtSession
from pipeline.inference.tile_networks import TileNetworks
from pipeline.inference.tri_codec import CELL_PX, LAYOUT, TriCodec
from pipeline.models.checkpoint import load_checkpoint, load_model, save_weights
from pipeline.models.compression.exact import set_quantised
from pipeline.models.compression.model import CompressionModel
from pipeline.models.compression.shape import Shape, halo_px

TERMS = Terms(
    licence="weights: non-commercial research use",
    data_sets=(
        "imagenet_sample (883 photographs of imagenet-sample-images; ImageNet terms: research)",
        "bsds_train (200 photographs of BSDS500; research)",
        "cc (61 photographs of desktop background sets; CC0, CC BY, CC BY-SA, file by file)",
    ),
    note="Trained partly on research-only data. Settle its terms, or train again, before commercial use.",
)
_LARGEST_CALIBRATION_PX = 768


def export_compression(
    checkpoint: Path,
    out: Path,
    photos: Sequence[np.ndarray],
    dev: Path | None = None,
    *,
    terms: Terms = TERMS,
) -> str:
    """Writes the artifact.

    Args:
        checkpoint: `.pt` or `.safetensors`.
        out: The artifact's directory; files of the same names are replaced.
        photos: Training photographs, uint8 (H, W, 3), from which tables and the 1/8 map are fitted.
        dev: A folder of photographs to measure real bytes and PSNR on.
        terms: What the weights are under; by default those of the weights that ship.

    Returns:
        The digest.

    Raises:
        ParityError: ONNX Runtime does not compute what torch does.
        NotExactError: An integer layer could leave the exact range.
    """
    out.mkdir(parents=True, exist_ok=True)
    saved, model = load_checkpoint(checkpoint), load_model(checkpoint)
    facts = {"step": saved["step"], "cpu_seconds": saved["cpu_seconds"]}
    set_quantised(model, True)
    files = graph_files(model)
    graphs = export_graphs(files, out)
    in_graphs = {"analysis.onnx": "g_a.", "synthesis.onnx": "g_s."}
    save_weights(out / "checkpoint.safetensors", load_model(checkpoint), in_graphs, **facts)
    tables, reduction = _calibrate(model, out, photos)
    tables.save(out / "tables.npz")
    files["reduction"] = reduction_file(*reduction)
    graphs |= export_graphs({"reduction": files["reduction"]}, out)
    inputs = cases(files)
    parity = {
        role: check_parity(file.module, out / f"{role}.onnx", inputs[role], allowed=ALLOWED[role])
        for role, file in files.items()
    }
    return write_manifest(
        out,
        name="compression",
        version=LAYOUT,
        files={role: f"{role}.onnx" for role in files} | {"tables": "tables.npz"},
        graphs=graphs,
        parity=parity,
        metrics={} if dev is None else measure(_codec(out, model.shape), dev),
        config=_config(model.shape)
        | {
            "training_steps": saved["step"],
            "training_cpu_hours": round(saved["cpu_seconds"] / 3600, 2),
        },
        terms=terms,
    )


def _config(shape: Shape) -> dict[str, int]:
    return {
        "halo_px": halo_px(shape),
        "latent_channels": shape.latent_channels,
        "hyper_channels": shape.hyper_channels,
    }


def _calibrate(
    model: CompressionModel, out: Path, photos: Sequence[np.ndarray]
) -> tuple[EntropyTables, tuple[Tensor, Tensor]]:
    """Tables fitted to residuals, and the map to 1/8 of the size."""
    tables = make_tables(model)
    hyper_analysis, parameters, context = (
        OrtSession(out / f"{role}.onnx") for role in ("hyper_analysis", "parameters", "context")
    )
    networks = TileNetworks(hyper_analysis, parameters, context, tables)
    analysis = OrtSession(out / "analysis.onnx")
    pictures = [_whole_cells(photo) for photo in photos]
    latents = [
        analysis.run({"planes": planes_of(picture, _all_of(picture))[None]})[0][0] for picture in pictures
    ]
    fitted = fit_to_residuals(tables, residual_counts(networks, latents))
    return fitted, fit_reduction(networks, latents, pictures)


def _whole_cells(photo: np.ndarray) -> np.ndarray:
    """The upper left part of a photograph, whole cells of y, not too large."""
    height, width = (min(side, _LARGEST_CALIBRATION_PX) // CELL_PX * CELL_PX for side in photo.shape[:2])
    return np.ascontiguousarray(photo[:height, :width])


def _all_of(picture: np.ndarray) -> Box:
    return Box(0, 0, *picture.shape[:2])


def _codec(directory: Path, shape: Shape) -> TriCodec:
    """The codec of what was written, before it has a digest: that takes the same room in a file."""
    roles = ("analysis", "hyper_analysis", "parameters", "context", "synthesis", "reduction")
    return TriCodec(
        {role: OrtSession(directory / f"{role}.onnx") for role in roles},
        EntropyTables.load(directory / "tables.npz"),
        digest="00" * 32,
        halo_px=_config(shape)["halo_px"],
    )
