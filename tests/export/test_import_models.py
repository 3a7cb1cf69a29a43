"""Imported models write what the library writes, token for token: tiny ones, by the real import path."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from transformers import (
    BlipConfig,
    BlipForConditionalGeneration,
    Florence2Config,
    Florence2ForConditionalGeneration,
    Florence2Processor,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)

from export.imported.adapter import Adapter
from export.imported.checkpoint import Checkpoint
from export.imported.compare import smooth_noise
from export.imported.importing import import_model, load
from export.imported.verifying import verify
from pipeline.core.artifact import read_manifest
from pipeline.core.errors import ArtifactCorrupt, InvalidParams, UnsupportedByModel, UnusableCheckpoint
from pipeline.core.operation import HandlerContext, ItemInput
from pipeline.inference.artifacts import load_directory
from pipeline.inference.describe import Describer
from pipeline.inference.describe_engine import Answer, Question
from pipeline.inference.imported_engine import ImportedEngine
from pipeline.inference.imported_model import ImportedModel
from pipeline.inference.picture_input import numbers, prepare
from pipeline.inference.token_search import Found
from pipeline.operations.describe import DescribeParams, DescribeReceipt
from tests.support import checkpoints
from tests.support.image_bytes import saved
from tests.support.kv_cache import keep_on_device, tokens_found_anywhere

# torch's exporter and transformers warn of their own deprecations.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
MOST = 40
FAMILIES = ("blip", "florence2", "smolvlm")
# Wide, tall and square; 3 x 1, 1 x 2 and 2 x 2 tiles of 32 px.
PICTURES = [smooth_noise(*size) for size in ((30, 90), (64, 40), (77, 70))]


@dataclass(frozen=True)
class Imported:
    """A checkpoint and what was made of it."""

    family: str
    folder: Path
    directory: Path
    adapter: Adapter
    checkpoint: Checkpoint
    model: ImportedModel

    def prompt(self, preset: str = "caption") -> str:
        return self.model.config.prompts[preset]  # type: ignore[index]

    def torch(self, prompts: list[str], beams: int = 1) -> list[list[int]]:
        """One batch of the library's, a picture a prompt."""
        asked = list(zip(PICTURES, prompts, strict=False))
        return self.adapter.tokens_of_torch(self.checkpoint, asked, MOST, beams)

    def found(self, prompt: str, places: list[int], beams: int = 1) -> list[list[int]]:
        return [one.tokens for one in self.written(prompt, places, beams)]

    def written(self, prompt: str, places: list[int], beams: int = 1) -> list[Found]:
        prepared = [self.model.prepare(PICTURES[i]) for i in places]
        written = self.model.write(prepared, prompt, MOST, beams)
        return [one for one in written if isinstance(one, Found)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Imported]:
    """Imports each family once."""

    @cache
    def make(family: str) -> Imported:
        place = tmp_path_factory.mktemp(family)
        folder = place / "checkpoint"
        folder.mkdir()
        getattr(checkpoints, family)(folder)
        directory, digest = import_model(folder, place / "artifact", name=f"my-{family}")
        artifact = load_directory(directory, digest)
        assert [path.name for path in sorted(place.iterdir())] == ["artifact", "checkpoint"]
        return Imported(family, folder, directory, *load(folder), ImportedModel(artifact))

    return make


@pytest.fixture(params=FAMILIES)
def imported(request: pytest.FixtureRequest, made: Callable[[str], Imported]) -> Imported:
    return made(request.param)


def test_tokens_equal_alone_and_in_batches(imported: Imported) -> None:
    """Batch 1, batch 3, other neighbours; texts are long, full of words and each picture's own."""
    prompt = imported.prompt()
    alone = [imported.found(prompt, [i])[0] for i in range(3)]
    assert alone == [
        imported.adapter.tokens_of_torch(imported.checkpoint, [(picture, prompt)], MOST)[0]
        for picture in PICTURES
    ]
    assert alone == imported.torch([prompt] * 3)  # of several grids: the library pads tiles and tokens
    assert alone == imported.found(prompt, [0, 1, 2])
    assert [alone[2], alone[0], alone[2]] == imported.found(prompt, [2, 0, 2])
    assert len({token for tokens in alone for token in tokens}) >= 20
    assert len({tuple(tokens) for tokens in alone}) == 3


def test_prompts_of_other_lengths(imported: Imported) -> None:
    """The library pads prompts of one batch; here each is written as if it were alone."""
    if imported.family == "blip":  # padding would move BLIP's positions, in the library, too
        prompts = ["a picture of"] * 3
    elif imported.family == "florence2":
        prompts = [imported.prompt(), imported.prompt("detailed"), imported.prompt()]
    else:
        prompts = ["Where?", "What is there to see in this picture, and who made it?", "two words, please"]
    expected = imported.torch(prompts)
    assert expected == [imported.found(prompt, [i])[0] for i, prompt in enumerate(prompts)]
    assert all(expected)


def test_rows_end_when_they_end(made: Callable[[str], Imported]) -> None:
    """Texts of several lengths in one batch: who has ended leaves, the others go on as before."""
    smolvlm = made("smolvlm")
    prompt = smolvlm.prompt("title")
    places = [0, 0, 0, 1, 1, 2, 2]
    found = smolvlm.written(prompt, places)
    lengths = [len(one.tokens) for one in found]
    assert len(set(lengths)) > 1
    assert any(not one.truncated for one in found)
    alone = smolvlm.torch([prompt] * 3)
    assert [one.tokens for one in found] == [alone[i] for i in places]


def test_beams(imported: Imported) -> None:
    """The library's texts, but where one of the two takes another end; a row's text is its own."""
    prompt = imported.prompt()
    wide = imported.written(prompt, [0, 1, 2], beams=3)
    assert [one.tokens for one in wide] == [
        imported.written(prompt, [i], beams=3)[0].tokens for i in range(3)
    ]
    assert all(np.isfinite(one.score) and one.score < 0 for one in wide)
    pairs = zip(wide, imported.torch([prompt] * 3, beams=3), strict=True)
    same_end = [(one.tokens, tokens) for one, tokens in pairs if len(one.tokens) == len(tokens)]
    assert len(same_end) >= 2
    assert all(found == wanted for found, wanted in same_end)


def ended_early(
    model: ImportedModel, prompt: str, beams: int, patch: pytest.MonkeyPatch
) -> tuple[list[np.ndarray], list[list[int]]]:
    """Pictures of one grid, so written together, and texts of all lengths: another token ends them."""
    pictures = [model.prepare(smooth_noise(64, 40 + i)) for i in range(8)]
    end, *_ = tokens_found_anywhere(tokens_of(model, pictures, prompt, beams))
    writing = model.config.writing.model_copy(update={"ends": (end,)})
    patch.setattr(model, "config", model.config.model_copy(update={"writing": writing}))
    return pictures, tokens_of(model, pictures, prompt, beams)


def tokens_of(model: ImportedModel, pictures: list[np.ndarray], prompt: str, beams: int) -> list[list[int]]:
    return [one.tokens for one in model.write(pictures, prompt, MOST, beams) if isinstance(one, Found)]


@pytest.mark.parametrize("beams", [1, 3])
def test_texts_are_the_same_from_a_device_s_memory(
    imported: Imported, beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bound to the device as on CUDA, though it is the CPU; finished rows read along, then are dropped."""
    model, prompt = imported.model, imported.prompt()
    pictures, expected = ended_early(model, prompt, beams, monkeypatch)
    assert len({len(tokens) for tokens in expected}) >= 2
    watch = keep_on_device(monkeypatch, "cpu")
    assert tokens_of(model, pictures, prompt, beams) == expected
    assert watch.read_along
    assert watch.dropped
    assert [tokens_of(model, [picture], prompt, beams)[0] for picture in pictures] == expected


@pytest.mark.gpu
@pytest.mark.parametrize("beams", [1, 3])
def test_cuda_writes_the_same_texts(imported: Imported, beams: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Token for token, with keys and values in the GPU's memory."""
    prompt = imported.prompt()
    pictures, expected = ended_early(imported.model, prompt, beams, monkeypatch)
    cuda = ImportedModel(load_directory(imported.directory), "cuda")
    cuda.config = imported.model.config
    watch = keep_on_device(monkeypatch, "cuda")
    assert tokens_of(cuda, pictures, prompt, beams) == expected
    assert watch.read_along
    assert watch.dropped


def test_text_is_the_library_s(imported: Imported) -> None:
    (tokens,) = imported.found(imported.prompt(), [1])
    expected = imported.checkpoint.tokenizer.decode(tokens, skip_special_tokens=True)
    assert imported.model.text(tokens) == expected.strip()


def test_numbers_are_the_processor_s(imported: Imported) -> None:
    """Within 1e-3, at sizes of all kinds."""
    config = imported.model.config.picture
    for size in ((1, 1), (2, 300), (31, 33), (32, 32), (64, 64), (500, 333), (65, 129)):
        pixels = smooth_noise(*size)
        found = numbers(prepare(pixels, config), config)
        wanted = imported.adapter.numbers_of_torch(imported.checkpoint, pixels).numpy()
        assert found.shape == wanted.shape, size
        assert np.abs(found - wanted).max() < 1e-3, size
        assert found.dtype == np.float32


def test_pictures_that_are_not_cut(made: Callable[[str], Imported]) -> None:
    """A processor without splitting: the whole picture is the one tile."""
    smolvlm = made("smolvlm")
    _, checkpoint = load(smolvlm.folder)
    checkpoint.image_processor.do_image_splitting = False
    config = smolvlm.adapter.take_apart(checkpoint, ("en",), 48).config.picture
    assert (config.split, config.longest_px) == (False, 48)
    found = numbers(prepare(PICTURES[0], config), config)
    wanted = smolvlm.adapter.numbers_of_torch(checkpoint, PICTURES[0]).numpy()
    assert found.shape == wanted.shape == (1, 3, 32, 32)
    assert np.abs(found - wanted).max() < 1e-3


def test_artifacts_are_whole(imported: Imported) -> None:
    """Every file is named with its digest, weights beside graphs too; no path of this machine is in any."""
    manifest = read_manifest(imported.directory)
    named = {file.name for file in manifest.files.values()} | {"manifest.json"}
    assert named == {path.name for path in imported.directory.iterdir()}
    assert {"encode.onnx", "encode.onnx.data", "step.onnx", "step.onnx.data", "tokenizer.json"} <= named
    for role in ("encode", "step"):
        graph = (imported.directory / f"{role}.onnx").read_bytes()
        assert b"/export/" not in graph
        assert str(Path.cwd()).encode() not in graph
        onnx.checker.check_model(str(imported.directory / f"{role}.onnx"))
    assert manifest.parity["tokens"]["equal"]
    assert manifest.config["engine"] == "imported"
    step = manifest.graphs["step"]
    heads, size = imported.model.config.heads, imported.model.config.head_size
    assert step["inputs"]["text"]["axes"] == ["b", 2, 2, heads, "t", size]
    assert step["outputs"]["longer"]["axes"][:4] == ["b", 2, 2, heads]


def test_terms(made: Callable[[str], Imported]) -> None:
    """From the model card, else from the licence file, which travels along."""
    blip, florence2, smolvlm = (read_manifest(made(family).directory) for family in FAMILIES)
    assert (blip.terms.licence, blip.terms.data_sets) == ("weights: bsd-3-clause", ("coco",))
    assert smolvlm.terms.licence == "weights: apache-2.0"
    assert florence2.terms.licence == "weights: MIT License"
    assert "LICENSE" in {file.name for file in florence2.files.values()}


def test_damaged_artifacts_are_refused(imported: Imported, tmp_path: Path) -> None:
    """Weights beside a graph count as the graph does."""
    shutil.copytree(imported.directory, tmp_path / "a")
    data = tmp_path / "a" / "step.onnx.data"
    weights = bytearray(data.read_bytes())
    weights[len(weights) // 2] ^= 1
    data.write_bytes(weights)
    with pytest.raises(ArtifactCorrupt, match=r"step\.onnx\.data"):
        load_directory(tmp_path / "a")
    data.unlink()
    with pytest.raises(ArtifactCorrupt):
        list(verify(tmp_path / "a", imported.folder))


def test_verify(made: Callable[[str], Imported], tmp_path: Path) -> None:
    """Equal texts of built-in pictures; other weights are noticed before anything is compared."""
    blip = made("blip")
    compared = list(verify(blip.directory, blip.folder, most=8))
    assert len(compared) == 6
    assert all(one.equal and one.torch for one in compared)
    other = checkpoints.blip(tmp_path / "other", std=0.2)
    with pytest.raises(UnusableCheckpoint, match="other weights"):
        list(verify(blip.directory, other))


def test_operation(imported: Imported) -> None:
    """As a worker runs it: presets, what is not supported, a batch, an over-long prompt."""
    artifact = load_directory(imported.directory)
    name = artifact.manifest.name
    handler = Describer(HandlerContext("cpu", {name: artifact}))
    handler.warm_up()

    def asked(place: int, **params: object) -> ItemInput:
        wanted = DescribeParams.model_validate({"model": name, "max_tokens": 12, **params})
        return ItemInput(saved(Image.fromarray(PICTURES[place]), "PNG"), f"{place}.png", wanted)

    outputs = handler.run_batch([asked(0), asked(1), asked(0, language="zh"), asked(2, preset="title")])
    receipts = [output if isinstance(output, Exception) else output.receipt for output in outputs]
    assert isinstance(receipts[2], InvalidParams)
    said = [one for one in receipts if isinstance(one, DescribeReceipt)]
    assert len(said) == 3
    tokens = imported.model.write([imported.model.prepare(PICTURES[0])], imported.prompt(), 12)[0]
    assert isinstance(tokens, Found)
    expected = imported.model.text(tokens.tokens)
    assert said[0].text[1:] == expected[1:] or said[0].text == f"{expected[:1].upper()}{expected[1:]}."
    assert said[0].model == artifact.digest
    assert 0 < (said[0].score or 0) <= 1
    if not handler.engine(name).abilities.prompt:
        with pytest.raises(InvalidParams, match="takes no prompt"):
            handler.run(asked(0, prompt="hello"))
        return
    assert handler.run(asked(0, prompt="a picture")).receipt
    with pytest.raises(UnsupportedByModel, match="tokens"):
        handler.run(asked(0, prompt="z q " * 450))
    mark = "<image>" if imported.family == "smolvlm" else "[SEP]"
    with pytest.raises(UnsupportedByModel, match="mark of the model's own"):
        handler.run(asked(0, prompt=f"a {mark} b"))


def test_only_pictures(made: Callable[[str], Imported]) -> None:
    """A sound is refused for itself; its neighbour is answered."""
    blip = made("blip")
    engine = ImportedEngine(load_directory(blip.directory))
    sound = np.zeros(16_000, np.float32)
    picture = engine.prepare(PICTURES[0])
    refused, answered = engine.describe([Question(None, sound), Question(picture, None, max_tokens=4)])
    assert isinstance(refused, UnsupportedByModel)
    assert isinstance(answered, Answer)
    assert answered.truncated
    with pytest.raises(UnsupportedByModel):
        engine.embed_texts(["a"])


def test_florence_2_is_asked_in_the_library_s_words(made: Callable[[str], Imported]) -> None:
    florence2 = made("florence2")
    checkpoint = florence2.checkpoint
    processor = Florence2Processor(checkpoint.image_processor, checkpoint.tokenizer)
    tasks = {"caption": "<CAPTION>", "detailed": "<MORE_DETAILED_CAPTION>"}
    for preset, task in tasks.items():
        assert processor(images=PICTURES[0], text=task).input_ids == (
            processor(images=PICTURES[0], text=florence2.prompt(preset)).input_ids
        )


@pytest.mark.parametrize(
    ("build", "millions"),
    [
        # The published sizes: vision and text of BLIP-base, Florence-2-base, SmolVLM-256M.
        (
            lambda: BlipForConditionalGeneration(
                BlipConfig(
                    vision_config={"image_size": 384},
                    text_config={"num_attention_heads": 12, "encoder_hidden_size": 768, "vocab_size": 30524},
                )
            ),
            224.0,
        ),
        (
            lambda: Florence2ForConditionalGeneration(
                Florence2Config(
                    vision_config={"projection_dim": 768},
                    text_config={
                        "model_type": "bart",
                        "vocab_size": 51289,
                        "d_model": 768,
                        "encoder_layers": 6,
                        "decoder_layers": 6,
                        "encoder_attention_heads": 12,
                        "decoder_attention_heads": 12,
                        "encoder_ffn_dim": 3072,
                        "decoder_ffn_dim": 3072,
                        "max_position_embeddings": 1024,
                    },
                )
            ),
            231.4,
        ),
        (
            lambda: SmolVLMForConditionalGeneration(
                SmolVLMConfig(
                    scale_factor=4,
                    tie_word_embeddings=False,
                    vision_config={
                        "hidden_size": 768,
                        "intermediate_size": 3072,
                        "num_hidden_layers": 12,
                        "num_attention_heads": 12,
                        "image_size": 512,
                        "patch_size": 16,
                    },
                    text_config={
                        "model_type": "llama",
                        "vocab_size": 49280,
                        "hidden_size": 576,
                        "intermediate_size": 1536,
                        "num_hidden_layers": 30,
                        "num_attention_heads": 9,
                        "num_key_value_heads": 3,
                        "tie_word_embeddings": False,
                    },
                )
            ),
            256.5,
        ),
    ],
    ids=FAMILIES,
)
def test_full_size(build: Callable[[], torch.nn.Module], millions: float) -> None:
    """The classes that the adapters take apart are the published models' (on `meta`: no memory is used)."""
    with torch.device("meta"):
        model = build()
    model.tie_weights()  # type: ignore[operator]
    assert sum(value.numel() for value in model.parameters()) / 1e6 == pytest.approx(millions, rel=0.003)
