"""The exported describing model: parity, shared weights, texts that neighbours do not change, errors."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export.__main__ import main
from export.description_tokens import _gap
from export.shared_weights import in_levels
from pipeline.core.artifact import ArtifactManifest, read_manifest
from pipeline.core.errors import ArtifactCorrupt
from pipeline.inference.artifacts import load_directory
from pipeline.inference.describe_model import DescribeModel, State, Written
from pipeline.inference.stored_weights import read_weights
from pipeline.models.description.shape import AND, CAPTION, EN, Shape
from pipeline.models.description.transformer import causal_mask
from pipeline.training.description_checkpoint import load_description, tables_of
from pipeline.training.description_data import TABLES
from pipeline.training.sampling import write
from tests.support.description import (
    NAMES,
    SMALL,
    picture,
    sound,
    untrained,
    without_published_sounds,
    write_checkpoint,
)
from tests.support.kv_cache import keep_on_device, tokens_found_anywhere

# torch's exporter itself warns of its own deprecations.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:torch")


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of random weights, made by the command."""
    folder = tmp_path_factory.mktemp("description")
    checkpoint = write_checkpoint(folder / "run")
    record = folder / "run" / "record.jsonl"
    record.write_text(json.dumps({"step": 7, "cost": 0.7, "cider_en": 0.3, "labels_esc10": 0.9}) + "\n")
    arguments = ["description", "--checkpoint", str(checkpoint), "--out", str(folder / "made")]
    arguments += ["--weights", str(folder), "--record", str(record)]
    with without_published_sounds():
        assert main(arguments) == 0
    return folder / "made"


@pytest.fixture(scope="module")
def model(artifact: Path) -> DescribeModel:
    return DescribeModel(load_directory(artifact))


@pytest.fixture(scope="module")
def states(model: DescribeModel) -> list[State]:
    """Five pictures, two of them with a sound; two more sounds of other lengths alone."""
    items = [(picture(i), sound(i, 1.5) if i > 2 else None) for i in range(5)]
    return model.encode_batch([*items, (None, sound(8, 0.2)), (None, sound(9, 3.0))])


def test_manifest_reads_back_and_names_its_facts(artifact: Path) -> None:
    """Digests match; parity of graphs and of tokens, marks and terms are there; the card shows them."""
    manifest: ArtifactManifest = read_manifest(artifact)
    graphs = {"image", "audio", "prefix", "step", "text", "attention"}
    assert set(manifest.files) == graphs | {"weights", "tokenizer", "names"}
    assert all(manifest.parity[role]["max_abs_difference"] < 1e-2 for role in graphs)
    assert manifest.parity["tokens"]["distinct_tokens"] >= 20
    assert manifest.parity["tokens"]["texts"] == 2 * (2 * 3 + 3 + 4 * 3)
    assert manifest.metrics == {"dev/cider_en": 0.3, "dev/labels_esc10": 0.9}
    assert "non-commercial" in manifest.terms.licence
    assert "dev/cider_en: 0.3" in (artifact / "MODEL_CARD.md").read_text()


def test_weights_are_stored_once(artifact: Path) -> None:
    """No graph holds weights; what they name adds up to the parameters that the manifest counts."""
    assert all(path.stat().st_size < 100_000 for path in artifact.glob("*.onnx"))
    stored = read_weights(artifact / "weights.npz")
    manifest = read_manifest(artifact)
    assert sum(array.size for array in stored.values()) == manifest.config["parameters"]
    named = {name.removesuffix(":T") for graph in manifest.graphs.values() for name in graph["weights"]}
    assert named <= set(stored)
    unused = {name for name in set(stored) - named if stored[name].size >= 64}
    assert unused <= {name for name in stored if name.endswith(("bias", "norm.weight"))}


def test_training_goes_on_from_the_artifact(artifact: Path) -> None:
    """It holds every trained weight as precisely as it is stored, the sizes, and the steps so far."""
    saved = load_description(artifact)
    assert saved["step"] == 7
    assert Shape(**saved["shape"]) == SMALL
    expected = untrained().state_dict()
    assert set(saved["model"]) == set(expected)
    for name, value in expected.items():
        step = value.abs().max() / 63 if value.ndim == 2 else 1e-3
        torch.testing.assert_close(saved["model"][name], value, rtol=1e-3, atol=float(step) / 2 + 1e-6)
    assert all((tables_of(artifact) / name).is_file() for name in TABLES)


def test_texts_do_not_depend_on_neighbours(model: DescribeModel, states: list[State], beams: int) -> None:
    """Pictures with and without a sound, written together and alone, in both languages."""
    seen = states[:5]
    for language in model.languages:
        together = model.write(seen, "caption", language, beams=beams)
        alone = [model.write([state], "caption", language, beams=beams)[0] for state in seen]
        assert [one.tokens for one in together] == [one.tokens for one in alone]
        assert [one.score for one in together] == pytest.approx([one.score for one in alone], abs=1e-4)
    assert len({token for one in together for token in one.tokens}) >= 10


def test_a_sound_changes_no_word_of_a_caption(model: DescribeModel, beams: int) -> None:
    """A picture's caption is the same with any sound; the sound's sentence is what follows after it."""
    shown = picture(3)
    items = [(shown, None), (shown, sound(1, 1.5)), (shown, sound(2, 2.5))]
    alone, one, other = model.write(model.encode_batch(items), max_tokens=8, beams=beams)
    assert alone.text == one.text == other.text
    assert alone.sound_text is None
    assert one.sound_text != other.sound_text
    assert [*one.tokens[: len(alone.tokens) + 1]] == [*alone.tokens, AND]


def test_a_cut_sentence_of_a_sound_leaves_the_caption_whole(
    model: DescribeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its full stop and its score are the ones that it has without a sound, and the other way round."""
    items = [(picture(i), sound(i, 1.5)) for i in range(6)]
    plain = model.encode_batch([(shown, None) for shown, _ in items])
    both = model.encode_batch(items)
    texts = [one.tokens for one in model.write(both, max_tokens=6)]
    seen = set()
    for token in tokens_found_anywhere(texts):
        monkeypatch.setitem(model._special, "<end>", token)
        for alone, one in zip(model.write(plain, max_tokens=6), model.write(both, max_tokens=6), strict=True):
            assert (one.text, one.score) == (alone.text, pytest.approx(alone.score, abs=1e-4))
            seen.add((alone.truncated, one.truncated))
    assert (False, True) in seen


def test_the_longest_texts_of_both_have_places(model: DescribeModel) -> None:
    """A caption of the most tokens leaves some for the sentence."""
    states = model.encode_batch([(picture(3), sound(1, 1.5))])
    never_ends = model._special["<end>"]
    model._special["<end>"] = model._special["<embed>"]  # a token that random weights never choose so early
    try:
        (written,) = model.write(states, max_tokens=model.most_tokens)
    finally:
        model._special["<end>"] = never_ends
    assert written.truncated
    assert len(written.tokens) + len(written.prompt) == SMALL.positions


@pytest.fixture(params=[1, 3], ids=["greedy", "beams"])
def beams(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def ended_early(
    model: DescribeModel, states: list[State], beams: int, patch: pytest.MonkeyPatch
) -> list[Written]:
    """Texts of at least four lengths, with another token at which they end."""
    texts = [one.tokens for one in model.write(states, beams=beams)]
    for token in tokens_found_anywhere(texts):
        patch.setitem(model._special, "<end>", token)
        written = model.write(states, beams=beams)
        if len({len(one.tokens) for one in written}) >= 4:
            return written
    raise AssertionError("no token ends these texts at four places")


def test_texts_are_the_same_from_a_device_s_memory(
    model: DescribeModel, states: list[State], beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bound to the device as on CUDA, though it is the CPU: finished items read along, then are dropped."""
    seen = [*states[:5], *model.encode_batch([(picture(i), None) for i in range(5, 16)])]
    expected = ended_early(model, seen, beams, monkeypatch)
    watch = keep_on_device(monkeypatch, "cpu")
    found = model.write(seen, beams=beams)
    assert [one.tokens for one in found] == [one.tokens for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-4)
    assert watch.read_along
    assert watch.dropped
    assert [model.write([one], beams=beams)[0].tokens for one in seen] == [one.tokens for one in expected]


@pytest.mark.gpu
def test_cuda_writes_the_same_texts(
    artifact: Path, model: DescribeModel, states: list[State], beams: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the same states, token for token, with keys and values in the GPU's memory."""
    seen = [*states[:5], *model.encode_batch([(picture(i), None) for i in range(5, 16)])]
    expected = ended_early(model, seen, beams, monkeypatch)
    cuda = DescribeModel(load_directory(artifact), "cuda")
    monkeypatch.setitem(cuda._special, "<end>", model._special["<end>"])
    watch = keep_on_device(monkeypatch, "cuda")
    assert [one.tokens for one in cuda.write(seen, beams=beams)] == [one.tokens for one in expected]
    assert watch.read_along
    assert watch.dropped


def test_beams_find_likelier_texts_than_greed(model: DescribeModel, states: list[State]) -> None:
    greedy = model.write(states[3:], "label", max_tokens=8)
    beams = model.write(states[3:], "label", max_tokens=8, beams=4)
    assert sum(one.score for one in beams) > sum(one.score for one in greedy)


def test_scores_are_those_of_torch(model: DescribeModel, states: list[State]) -> None:
    """The mean log-probability of a text's tokens, worked out with the whole text in view."""
    (written,) = model.write([states[0]], max_tokens=5)
    network = untrained()
    network.load_state_dict(_stored_state(model))
    tokens = torch.tensor([[*written.prompt, *written.tokens]])
    prefix = tuple(torch.from_numpy(array)[:, None] for array in vars(states[0].whole).values())
    length, before = tokens.shape[1], prefix[0].shape[3]
    with torch.no_grad():
        mask = causal_mask(length, before, tokens.device)
        found, _ = network.read(tokens, torch.arange(length), prefix, mask)
        scores = network.logits(found).log_softmax(dim=2)[0]
    chosen = [float(scores[1 + i, token]) for i, token in enumerate(written.tokens)]
    if not written.truncated:
        chosen.append(float(scores[-1, 1]))
    assert written.score == pytest.approx(np.mean(chosen), abs=2e-3)


def _stored_state(model: DescribeModel) -> dict[str, torch.Tensor]:
    weights = read_weights(model.directory / "weights.npz")
    return {name: torch.from_numpy(weights[name]) for name in untrained().state_dict()}


def test_tags_classes_and_embeddings(model: DescribeModel, states: list[State]) -> None:
    """A picture has tags and classes, a sound sound names; embeddings are of length 1 and differ."""
    assert set(states[0].tags) == set(NAMES.english)
    assert set(states[0].tags_zh) == set(NAMES.chinese)
    assert not states[0].sounds
    assert len(states[3].sounds) == len(states[3].classes) == 5
    assert not states[5].tags
    for state in states:
        assert np.linalg.norm(state.embedding) == pytest.approx(1, abs=1e-5)
    long = "a dog runs on the beach and a man looks at it"
    together, alone = model.embed_texts(["a dog", long]), model.embed_texts(["A Dog"])
    np.testing.assert_allclose(together[0], alone[0], atol=1e-5)  # padding and capitals change nothing
    assert abs(float(together[0] @ together[1])) < 0.999


def test_attention_is_a_map_for_each_token(model: DescribeModel, states: list[State]) -> None:
    """Of sum 1 over the cells; other pictures, other maps."""
    maps = []
    for state in states[:2]:
        (written,) = model.write([state], max_tokens=4)
        maps.append(model.attention(state, written))
        assert maps[-1].shape == (len(written.tokens), 8, 8)
        np.testing.assert_allclose(maps[-1].sum(axis=(1, 2)), 1, atol=1e-5)
        assert len(model.token_texts(written)) == len(written.tokens)
    assert np.abs(maps[0][0] - maps[1][0]).max() > 1e-4


def test_what_the_model_cannot_do_is_said(model: DescribeModel, states: list[State]) -> None:
    with pytest.raises(ValueError, match="not 'de'"):
        model.write([states[0]], language="de")
    with pytest.raises(ValueError, match="needs a sound"):
        model.write([states[0]], "label")
    with pytest.raises(ValueError, match="needs a picture"):
        model.write([states[5]], "caption")
    with pytest.raises(ValueError, match="max_tokens"):
        model.write([states[0]], max_tokens=1000)
    with pytest.raises(ValueError, match="a picture or a sound"):
        model.encode(None, None)
    with pytest.raises(ValueError, match="240"):
        model.encode(np.zeros((100, 240, 3), np.uint8), None)
    with pytest.raises(ValueError, match="no picture"):
        model.attention(states[5], model.write([states[5]], "label")[0])


def test_a_missing_weight_is_refused(artifact: Path, tmp_path: Path) -> None:
    """A graph never runs with a weight that is not there, nor with a file that holds none."""
    shutil.copytree(artifact, tmp_path / "broken")
    loaded = replace(load_directory(artifact), directory=tmp_path / "broken")
    with np.load(artifact / "weights.npz") as file:
        kept = {name: file[name] for name in file.files if name != "tags.weight"}
    np.savez(tmp_path / "broken" / "weights.npz", **kept)
    with pytest.raises(ArtifactCorrupt, match=r"tags\.weight"):
        DescribeModel(loaded)
    (tmp_path / "broken" / "weights.npz").write_bytes(b"no archive")
    with pytest.raises(ArtifactCorrupt, match="holds no weights"):
        DescribeModel(loaded)


def test_levels_keep_whole_numbers_of_an_int8_network() -> None:
    """Weights that came from int8 numbers and a scale come out unchanged: the audio encoder loses nothing."""
    numbers = torch.randint(-127, 128, (6, 20), generator=torch.Generator().manual_seed(0))
    numbers[:, 0] = 127
    weight = numbers * torch.linspace(0.001, 0.02, 6)[:, None]
    torch.testing.assert_close(torch.from_numpy(in_levels(weight, 127).floats()), weight, rtol=1e-6, atol=0)


def test_a_tie_is_told_from_an_error() -> None:
    """The gap is torch's own at the first token that differs: nothing for a tie, much for anything else."""
    network = untrained()
    prefix = network.encode(torch.randn(1, 6, SMALL.width, generator=torch.Generator().manual_seed(3)))[1]
    prompt = (CAPTION, EN)
    (text,) = write(network, prefix, prompt, most=6)
    place = 0 if text[0] != 50 else 1
    other = [*text[:place], 50, *text[place + 1 :]]
    gap = _gap(network, prefix, prompt, (text, other))
    assert gap > 0.05
    with torch.no_grad():  # both tokens are now one in all but number
        network.words.weight[50] = network.words.weight[text[place]]
    assert _gap(network, prefix, prompt, (text, other)) < 1e-5
