"""Folders that cannot be imported: an error that says why, and nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Florence2Processor

from export.imported import importing
from export.imported.importing import import_model
from pipeline.core.errors import InvalidParams, OutputExists, ParityError, TriptychError, UnusableCheckpoint
from tests.support import checkpoints
from triptych.cli import main

pytestmark = pytest.mark.filterwarnings("ignore")
Change = Callable[[Path], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkpoints.blip(_made(tmp_path / "in" / "my-blip"))


def refused(folder: Path, why: type[TriptychError], match: str) -> None:
    """It fails so, and nothing is half there."""
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(why, match=match):
        import_model(folder, folder.parent / "out")
    assert sorted(folder.parent.rglob("*")) == before


def edit_json(name: str, **values: object) -> Change:
    """Sets, or with None takes away, some of a file's values."""

    def change(folder: Path) -> None:
        found = json.loads((folder / name).read_text()) | values
        kept = {key: value for key, value in found.items() if value is not None}
        (folder / name).write_text(json.dumps(kept))

    return change


def edit_weights(edit: Callable[[dict[str, torch.Tensor]], object]) -> Change:
    def change(folder: Path) -> None:
        weights = load_file(folder / "model.safetensors")
        edit(weights)
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return change


def rename_weight(weights: dict[str, torch.Tensor]) -> None:
    weights["something.else"] = weights.pop("vision_model.post_layernorm.weight")


def reshape_weight(weights: dict[str, torch.Tensor]) -> None:
    weights["vision_model.post_layernorm.weight"] = torch.zeros(3)


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def lose_shard(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


CHANGES: dict[str, tuple[Change, str]] = {
    "no config": (lambda folder: (folder / "config.json").unlink(), r"config\.json is missing"),
    "config renamed": (
        lambda folder: (folder / "config.json").rename(folder / "Config.json.txt"),
        r"config\.json is missing",
    ),
    "config cut": (lambda folder: (folder / "config.json").write_text('{"a": '), "cannot be read"),
    "config no object": (lambda folder: (folder / "config.json").write_text("[]"), "not an object"),
    "no architecture": (edit_json("config.json", architectures=None), "one architecture"),
    "unknown architecture": (
        edit_json("config.json", architectures=["BlipForQuestionAnswering"]),
        "no adapter for BlipForQuestionAnswering",
    ),
    "another architecture": (
        edit_json("config.json", architectures=["Florence2ForConditionalGeneration"]),
        "read as BlipForConditionalGeneration",
    ),
    "another model type": (edit_json("config.json", model_type="nothing-known"), "cannot be loaded"),
    "code": (edit_json("config.json", auto_map={"AutoModel": "modeling.Model"}), "auto_map"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "safetensors is missing"),
    "weights renamed": (
        lambda folder: (folder / "model.safetensors").rename(folder / "weights.safetensors"),
        "safetensors is missing",
    ),
    "weights cut": (cut_weights, "cannot be loaded"),
    "weights pickled": (pickle_weights, "pickled weights are not opened"),
    "shard lost": (lose_shard, "model-00001-of-00002"),
    "weight renamed": (edit_weights(rename_weight), r"lacks weights: vision_model\.post_layernorm\.weight"),
    "weight too many": (
        edit_weights(lambda weights: weights.update({"more": torch.zeros(2)})),
        "does not know: more",
    ),
    "weight reshaped": (edit_weights(reshape_weight), r"other shapes than the config says: .*post_layernorm"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), r"tokenizer\.json is missing"),
    "tokenizer cut": (
        lambda folder: (folder / "tokenizer.json").write_text('{"version"'),
        "cannot be loaded",
    ),
    "no preprocessor": (
        lambda folder: (folder / "preprocessor_config.json").unlink(),
        r"preprocessor_config\.json is missing",
    ),
    "another size": (
        edit_json("preprocessor_config.json", size={"height": 64, "width": 64}),
        "the network takes",
    ),
    "cropped": (
        edit_json("preprocessor_config.json", do_resize=False),
        "must be resized",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_folders_that_are_not_whole(folder: Path, what: str) -> None:
    change, match = CHANGES[what]
    change(folder)
    refused(folder, UnusableCheckpoint, match)


def test_positions_of_older_versions_are_no_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Published BLIP files have them; the library counts them as unexpected."""
    positions = {"text_decoder.bert.embeddings.position_ids": torch.arange(64)[None]}
    edit_weights(lambda weights: weights.update(positions))(folder)
    assert importing.load(folder)[1].architecture == "BlipForConditionalGeneration"


def test_processors_in_one_file(tmp_path: Path) -> None:
    """As version 5 of the library saves them."""
    folder = checkpoints.florence2(_made(tmp_path / "f"))
    _, checkpoint = importing.load(folder)
    (folder / "preprocessor_config.json").unlink()
    Florence2Processor(checkpoint.image_processor, checkpoint.tokenizer).save_pretrained(folder)
    assert not (folder / "preprocessor_config.json").exists()
    adapter, again = importing.load(folder)
    assert (
        adapter.take_apart(again, ("en",), None).config
        == adapter.take_apart(checkpoint, ("en",), None).config
    )


def test_florence_2_of_other_rules(tmp_path: Path) -> None:
    """A rule of the generation config that the engine does not have is not passed over."""
    folder = checkpoints.florence2(_made(tmp_path / "in" / "f"))
    edit_json("generation_config.json", bad_words_ids=[[3]])(folder)
    refused(folder, UnusableCheckpoint, "bad_words_ids")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda folder: (folder / "chat_template.json").unlink(), "chat_template.json is missing"),
        (edit_json("chat_template.json", chat_template="{{ nothing.at.all }}"), "template"),
        (edit_json("chat_template.json", chat_template="<image>"), "no place for one picture"),
        (
            edit_json("preprocessor_config.json", max_image_size={"longest_edge": 16}),
            "tiles must be of 32 px",
        ),
    ],
)
def test_smolvlm(tmp_path: Path, change: Change, match: str) -> None:
    folder = checkpoints.smolvlm(_made(tmp_path / "in" / "s"))
    change(folder)
    refused(folder, UnusableCheckpoint, match)


def test_a_difference_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last check comes after everything is written; its failure takes all of it away."""
    written: list[str] = []

    def differs(_adapter: object, _checkpoint: object, directory: Path) -> None:
        written.extend(path.name for path in directory.iterdir())
        raise ParityError("token 3")

    monkeypatch.setattr(importing, "check_tokens", differs)
    refused(folder, ParityError, "token 3")
    assert {"encode.onnx", "step.onnx", "manifest.json"} <= set(written)


def test_names_and_places(folder: Path) -> None:
    """Nothing is overwritten, and no model takes the name of something built in."""
    for name in ("description", "remote", "memo-1", "Upper", "compression-2", "a/b", "../x"):
        with pytest.raises(InvalidParams):
            import_model(folder, folder.parent / "out", name=name)
    (folder.parent / "out").mkdir()
    with pytest.raises(OutputExists):
        import_model(folder, folder.parent / "out")
    with pytest.raises(UnusableCheckpoint, match="not a folder"):
        import_model(folder / "nowhere", folder.parent / "other")


def test_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line on stderr, exit code 2: the user's doing."""
    (folder / "tokenizer.json").unlink()
    assert main(["models", "import", str(folder), "-o", str(folder.parent / "out")]) == 2
    assert capsys.readouterr().err == "triptych: tokenizer.json is missing\n"
    assert main(["models", "verify", str(folder), "--checkpoint", str(folder)]) == 1
    assert "manifest.json" in capsys.readouterr().err


def test_command_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without transformers the command says what to install."""
    import sys  # noqa: PLC0415

    for name in [name for name in sys.modules if name.startswith("export.imported")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["models", "import", "somewhere"]) == 2
    error = capsys.readouterr().err
    assert ".[export]" in error
    assert "transformers" in error


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
