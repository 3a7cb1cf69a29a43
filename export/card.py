"""The model card: written from the manifest, so that its numbers are the artifact's."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.artifact import MANIFEST, ArtifactManifest, digest_of

_CARD = """# Model card: compression

Written by `python -m export compression`; do not edit. Digest `{digest}`.

**What it is.** An image codec for photographs and other 8-bit RGB pictures (docs/format.md): PixelUnshuffle
by 8, depthwise residual blocks, {channels} latent channels at 1/16 (handed over at 1/8: 1024x1024 becomes
128x128), a mean-scale hyperprior and a two-step context in exact integers, rANS. One model serves quality 1
to 100.

**Training.** `python -m pipeline.training.compression`: bits + lambda * 255^2 * MSE, lambda from 0.001 to 0.2
drawn per sample and the loss weighted by lambda^-1/2, patches of 128 pixels, Adam 4e-4, weights averaged
(0.9995), started as a Karhunen-Loeve transform, at the end a part with a falling learning rate, 256-pixel
patches and rounded entropy parameters. {steps} steps, {hours} CPU hours on one core. Residuals' tables and
the map to 1/8 of the size are fitted to training photographs at export. `checkpoint.safetensors` beside this
card and the graphs together hold the averaged weights; `--resume` takes the file where it lies.

**Data.** {data}.

**Terms.** {licence}. {note}

**Measured** (whole files, headers included; mean over the set):

| set | quality | bits a pixel | RGB PSNR, dB |
|---|---|---|---|
{rows}

**ONNX Runtime against torch.** {parity}

**Limits.** Trained for PSNR on small photographs: text, line art and screens cost more bits than they need
to. At low quality, fine texture turns smooth. Encoding the same picture on another CPU or GPU may round a few
symbols the other way; such files still decode everywhere, to the same symbols.
"""


def write_card(directory: Path) -> None:
    """Writes MODEL_CARD.md beside a manifest."""
    data = (directory / MANIFEST).read_bytes()
    manifest = ArtifactManifest.model_validate_json(data)
    text = _CARD.format(
        digest=digest_of(data),
        channels=manifest.config["latent_channels"],
        steps=f"{manifest.config['training_steps']:,}",
        hours=manifest.config["training_cpu_hours"],
        data="; ".join(manifest.terms.data_sets),
        licence=manifest.terms.licence.capitalize(),
        note=manifest.terms.note,
        rows="\n".join(_metric_rows(manifest.metrics)),
        parity=" ".join(_parity_sentence(role, facts) for role, facts in manifest.parity.items()),
    )
    (directory / "MODEL_CARD.md").write_text(text, encoding="utf-8")


def _metric_rows(metrics: dict[str, float]) -> list[str]:
    points = dict.fromkeys(name.rpartition("/")[0] for name in metrics)
    rows = []
    for point in points:
        data_set, quality = point.split("/")
        bpp, psnr = metrics[f"{point}/bpp"], metrics[f"{point}/psnr_db"]
        rows.append(f"| {data_set} | {quality[1:]} | {bpp:.3f} | {psnr:.2f} |")
    return rows or ["| not measured | | | |"]


def _parity_sentence(role: str, facts: dict[str, object]) -> str:
    return (
        f"{role.capitalize()}: {facts['differing']} of {facts['values']} values differ,"
        f" by at most {facts['max_abs_difference']:g}."
    )
