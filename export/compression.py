"""Exports the compression network: encoder and decoder graphs, tables, checkpoint, manifest."""

from __future__ import annotations

from pathlib import Path

import torch
from torch.export import Dim

from export.compression_cases import decoder_cases, encoder_cases, pixels_agree, symbols_agree
from export.graph import check_parity, export_graph, round_weights_to_half
from export.manifest import write_manifest
from export.measure import measure
from export.tables import make_tables
from pipeline.core.artifact import Terms
from pipeline.inference.session import OrtSession
from pipeline.inference.tri_codec import TriCodec
from pipeline.models.blocks import STRIDE
from pipeline.models.checkpoint import load_checkpoint, load_model, save_weights
from pipeline.models.compression import receptive_field_px
from pipeline.models.compression_graphs import DecoderGraph, EncoderGraph

LAYOUT_VERSION = 0
TERMS = Terms(
    licence="weights: non-commercial research use",
    data_sets=(
        "imagenet_sample (883 photographs of imagenet-sample-images; ImageNet terms: research)",
        "bsds_train (200 photographs of BSDS500; research)",
        "cc (61 photographs of desktop background sets; CC0, CC BY, CC BY-SA, file by file)",
    ),
    note="Trained partly on research-only data. Settle its terms, or train again, before commercial use.",
)


def export_compression(checkpoint: Path, out: Path, dev: Path | None = None) -> str:
    """Writes the artifact and its model card.

    Args:
        checkpoint: `.pt` or `.safetensors`.
        out: The artifact's directory; files of the same names are replaced.
        dev: A folder of photographs to measure real bytes and PSNR on.

    Returns:
        The digest.

    Raises:
        ParityError: ONNX Runtime does not compute what torch does.
    """
    out.mkdir(parents=True, exist_ok=True)
    saved, model = load_checkpoint(checkpoint), load_model(checkpoint)
    save_weights(out / "checkpoint.safetensors", model, step=saved["step"], cpu_seconds=saved["cpu_seconds"])
    tables = make_tables(model)
    tables.save(out / "tables.npz")
    round_weights_to_half(model.g_a)
    round_weights_to_half(model.g_s)
    encoder, decoder = EncoderGraph(model.g_a).eval(), DecoderGraph(model.g_s).eval()
    graphs = {"encoder": _export_encoder(encoder, out), "decoder": _export_decoder(decoder, out)}
    parity = {
        "encoder": check_parity(encoder, out / "encoder.onnx", encoder_cases(model), allowed=symbols_agree),
        "decoder": check_parity(decoder, out / "decoder.onnx", decoder_cases(model), allowed=pixels_agree),
    }
    codec = TriCodec(
        OrtSession(out / "encoder.onnx"),
        OrtSession(out / "decoder.onnx"),
        tables,
        digest="00" * 32,  # not known yet; it takes the same room in a file
        stride_px=STRIDE,
        halo_px=receptive_field_px(model.shape),
    )
    return write_manifest(
        out,
        name="compression",
        version=LAYOUT_VERSION,
        files={"encoder": "encoder.onnx", "decoder": "decoder.onnx", "tables": "tables.npz"},
        graphs=graphs,
        parity=parity,
        metrics={} if dev is None else measure(codec, dev),
        config={
            "stride_px": STRIDE,
            "halo_px": receptive_field_px(model.shape),
            "latent_channels": model.shape.latent_channels,
            "training_steps": saved["step"],
            "training_cpu_hours": round(saved["cpu_seconds"] / 3600, 2),
        },
        terms=TERMS,
    )


def _export_encoder(encoder: EncoderGraph, out: Path) -> dict[str, object]:
    channels = encoder.g_a.head.out_channels
    n, h, w = Dim("n"), Dim("h"), Dim("w")
    return export_graph(
        encoder,
        (torch.zeros(2, 64, 72, 3, dtype=torch.uint8), torch.ones(2, channels)),
        out / "encoder.onnx",
        inputs=("pixels", "gain"),
        outputs={"symbols": ("n", channels, "h", "w")},
        dynamic_shapes=({0: n, 1: STRIDE * h, 2: STRIDE * w}, {0: n}),
    )


def _export_decoder(decoder: DecoderGraph, out: Path) -> dict[str, object]:
    channels = decoder.g_s.stem.in_channels
    n, h, w = Dim("n"), Dim("h"), Dim("w")
    return export_graph(
        decoder,
        (torch.zeros(2, channels, 8, 9, dtype=torch.int16), torch.ones(2, channels)),
        out / "decoder.onnx",
        inputs=("symbols", "inverse_gain"),
        outputs={"pixels": ("n", "8*h", "8*w", 3)},
        dynamic_shapes=({0: n, 2: h, 3: w}, {0: n}),
    )
