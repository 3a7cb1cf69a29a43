"""The model card of stylization: written from the manifest, so that its numbers are the artifact's."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.artifact import MANIFEST, ArtifactManifest, digest_of

_CARD = """# Model card: {name}

Written by `python -m export stylization`; do not edit. Digest `{digest}`.

**What it is.** Style transfer with any picture as the style. A content encoder maps 4x4 pixels to one cell of
{channels} numbers (H1), a style encoder maps a picture to {style_size} numbers; H1, normalised once and
restyled, is H2; a decoder paints alpha * H1 + beta * H2. Statistics of the content are inputs, so a picture
of any size can be painted tile by tile without seams (halos: {encoder_halo_px} and {decoder_halo_px} pixels).

**Training.** `python -m pipeline.training.stylization`: content loss at relu4_1, style loss on means and
deviations at relu1_1 to relu4_1 of VGG-19 and a compressed copy of it, identity at (1, 0), and from its later
part on also the distance from what MicroAST paints. {steps} steps, {hours} CPU hours on one core. The graphs
hold every weight, so training goes on from here: `--resume pipeline/artifacts/{name}`.

**Data.** {data}.

**Terms.** {licence}. {note} {attributions}

**Marks at the end of training** (eight dev pairs, before rounding, painted at 512 pixels, judged at 256):

{marks}

**ONNX Runtime against torch.** {parity}

**Limits.** Trained on paintings of about 200 pixels: colour and fine texture carry over, large motifs do not.
Very small pictures (below 64 pixels) and strengths outside of [0, 1] were not trained on.
"""


def write_card(directory: Path) -> None:
    """Writes MODEL_CARD.md beside a manifest."""
    data = (directory / MANIFEST).read_bytes()
    manifest = ArtifactManifest.model_validate_json(data)
    config, terms = manifest.config, manifest.terms
    text = _CARD.format(
        name=manifest.name,
        digest=digest_of(data),
        **{key: config[key] for key in ("channels", "style_size", "encoder_halo_px", "decoder_halo_px")},
        steps=f"{config['training_steps']:,}",
        hours=config["training_cpu_hours"],
        data="; ".join(terms.data_sets),
        licence=terms.licence.capitalize(),
        note=terms.note,
        attributions="; ".join(terms.attributions).capitalize() + ".",
        marks="\n".join(f"- {key}: {value:g}" for key, value in manifest.metrics.items()) or "not measured",
        parity=" ".join(
            f"{role.capitalize()}: largest difference {facts['max_abs_difference']:g}."
            for role, facts in manifest.parity.items()
        ),
    )
    (directory / "MODEL_CARD.md").write_text(text, encoding="utf-8")
