"""The model card of description: written from the manifest, so that its numbers are the artifact's."""

from __future__ import annotations

from pathlib import Path

from pipeline.core.artifact import MANIFEST, ArtifactManifest, digest_of

_CARD = """# Model card: {name}

Written by `python -m export description`; do not edit. Digest `{digest}`.

**What it is.** A small multimodal model: a photograph and/or a sound in; an English or Chinese caption, a
sentence about the sound, its class, tags and a search embedding out. Frozen encoders (EfficientNet-Lite1 at
240x240 pixels, YAMNet on log-mel patches of a second) give tokens through a connector each, and the names
of the image encoder's two likeliest classes go in as words; one causal Transformer ({layers} layers, width
{width}) reads them with full attention and writes after them, one byte-level token of {vocabulary} at a
time. {parameters} parameters in all, stored as whole numbers of 6 to 8 bits and a scale a channel,
deflated.

**Training.** `python -m pipeline.training.description`: text alone, then captions with a contrastive and a
tag loss, sounds, photographs joined with unrelated sounds, captions of text alone from the classes that
they mention, any name that the encoder might say beside any picture, and at last self-critical training
on CIDEr. {steps} steps, {hours} CPU hours on one core.

**Data.** {data}.

**Terms.** {licence}. {note} {attributions}

**Marks at the end of training** (before rounding; greedy, 1,000 dev photographs of Flickr8k; sounds kept out
by fold and by speaker; "written", "named": pictures of other kinds, most known to the image encoder):

{marks}

**ONNX Runtime against torch.** {parity}

**Limits.** It learnt captions from 6,000 photographs of people and dogs out of doors, and it shows: colours,
numbers, what is done and what is held are often wrong, sex and age are guesses. Where the image encoder is
sure of another kind of thing, the caption may be no more than its name, and sometimes a misspelt or wrong
one; where it is not, the caption is often made up: of people and dogs, or "a painting of a woman". Chinese
sentences about other things than Flickr8k's are often garbled.
Do not rely on it to describe people, for accessibility without a person's look, or for anything that
matters. It reads no text, and takes no free prompts. Sounds: 29 classes; anything else gets the nearest,
classes of city sounds are right half of the time, and which digit is spoken is a guess. A picture is
squashed to a square first. Scores of texts are likelihoods of words, not of being right.
"""


def write_card(directory: Path) -> None:
    """Writes MODEL_CARD.md beside a manifest."""
    data = (directory / MANIFEST).read_bytes()
    manifest = ArtifactManifest.model_validate_json(data)
    config, terms = manifest.config, manifest.terms
    tokens = manifest.parity["tokens"]
    largest = max(facts["max_abs_difference"] for facts in manifest.parity.values())
    text = _CARD.format(
        name=manifest.name,
        digest=digest_of(data),
        **{key: config[key] for key in ("layers", "width", "vocabulary")},
        parameters=f"{config['parameters']:,}",
        steps=f"{config['training_steps']:,}",
        hours=config["training_cpu_hours"],
        data="; ".join(terms.data_sets),
        licence=terms.licence.capitalize(),
        note=terms.note,
        attributions="; ".join(terms.attributions) + ".",
        marks="\n".join(f"- {key}: {value:g}" for key, value in manifest.metrics.items()) or "not measured",
        parity=f"{tokens['texts'] - tokens['ties']} of {tokens['texts']} texts equal, token for token"
        f" ({tokens['distinct_tokens']} distinct ones); largest difference of any output {largest:g}.",
    )
    (directory / "MODEL_CARD.md").write_text(text, encoding="utf-8")
