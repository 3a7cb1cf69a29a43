"""Exports the stylization networks: three graphs, manifest, model card."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from export.graph import round_weights_to_half
from export.manifest import write_manifest
from export.stylization_card import write_card
from export.stylization_graphs import ROLES, export_graphs, known_range
from pipeline.core.artifact import Terms, read_manifest
from pipeline.inference.painter import LAYOUT
from pipeline.models.stylization.from_artifact import load_run
from pipeline.models.stylization.model import StylizationModel
from pipeline.models.stylization.shape import (
    CELL_PX,
    STRIDE_PX,
    Shape,
    decoder_halo_px,
    encoder_halo_px,
)

TERMS = Terms(
    licence="weights: non-commercial research use",
    data_sets=(
        "wikiart224, a part (about 1,200 paintings; CC BY-NC-SA, works not certified one by one)",
        "public_domain (about 60 paintings from Standard Ebooks covers; US public domain as stated there)",
        "imagenet_sample (883 photographs of imagenet-sample-images; ImageNet terms: research)",
        "bsds_train (200 photographs of BSDS500; research)",
        "cc (61 photographs of desktop background sets; CC0, CC BY, CC BY-SA, file by file)",
    ),
    attributions=(
        "loss networks, in training only: VGG-19 (Simonyan and Zisserman, CC BY 4.0) as normalised in"
        " deep-transfer (Apache-2.0), and its compressed copy of Collaborative-Distillation (MIT)",
        "teacher, in training only: pictures painted by MicroAST (Wang et al., AAAI 2023; weights MIT)",
    ),
    note="Trained partly on research-only and non-commercial data. Settle its terms, or train again, before"
    " commercial use.",
)


def export_stylization(
    checkpoint: Path,
    out: Path,
    *,
    name: str,
    record: Path | None = None,
    styles: Sequence[np.ndarray] = (),
    terms: Terms = TERMS,
) -> str:
    """Writes the artifact.

    Args:
        checkpoint: `.pt` or `.safetensors`, or an artifact's directory.
        out: The artifact's directory; files of the same names are replaced.
        name: The artifact's name.
        record: The training's `record.jsonl`, whose last line has the dev marks for the manifest.
        styles: Paintings of training, whose style vectors give the range of all; none: there is no limit.
        terms: What the weights are under; by default those of the weights that ship.

    Returns:
        The digest.

    Raises:
        ParityError: ONNX Runtime does not compute what torch does.
    """
    out.mkdir(parents=True, exist_ok=True)
    saved = load_run(checkpoint)
    model = load_model(checkpoint)
    marks = (
        read_manifest(checkpoint).metrics if checkpoint.is_dir() and record is None else _dev_marks(record)
    )
    round_weights_to_half(model)
    graphs, parity = export_graphs(model, out, known_range(model, styles) if styles else None)
    shape = model.shape
    digest = write_manifest(
        out,
        name=name,
        version=LAYOUT,
        files={role: f"{role}.onnx" for role in ROLES},
        graphs=graphs,
        parity=parity,
        metrics=marks,
        config={
            "stride_px": STRIDE_PX,
            "cell_px": CELL_PX,
            "encoder_halo_px": encoder_halo_px(shape),
            "decoder_halo_px": decoder_halo_px(shape),
            "channels": shape.channels,
            "style_size": shape.style_size,
            "shape": asdict(shape),
            "training_steps": saved["step"],
            "training_cpu_hours": round(saved["cpu_seconds"] / 3600, 2),
        },
        terms=terms,
    )
    write_card(out)
    return digest


def load_model(checkpoint: Path) -> StylizationModel:
    """The averaged model of a checkpoint or artifact, ready to evaluate."""
    saved = load_run(checkpoint)
    model = StylizationModel(Shape(**saved["shape"]))
    model.load_state_dict(saved["model"])
    return model.eval()


def _dev_marks(record: Path | None) -> dict[str, float]:
    if record is None:
        return {}
    last = json.loads(record.read_text(encoding="utf-8").splitlines()[-1])
    names = ("content", "style_shallow", "style_deep", "ssim", "identity_psnr_db")
    return {f"dev/{name}": round(last[name], 4) for name in names}
