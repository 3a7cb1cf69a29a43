"""The describing model's training learns, resumes, and packs texts as if each were alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from pipeline.core.artifact import built_in_directory
from pipeline.models.description.model import DescriptionModel
from pipeline.models.description.shape import CAPTION, EN, ZH
from pipeline.training import captions, description, description_data, image_features, sounds
from pipeline.training.captions import caption_words, chinese_tags, normal_chinese, normal_english, words_of
from pipeline.training.description import Recipe, Run, train
from pipeline.training.description_checkpoint import load_description
from pipeline.training.fast_encoder import fast_encoder
from pipeline.training.packing import pack, text_loss, text_tokens
from pipeline.training.sampling import write
from pipeline.training.sounds import DEV_SPEAKER, find_clips
from tests.support.description import LABELS, SMALL, picture, random_yamnet, sound, untrained

CAPTIONS = {"en": ("A dog runs on the beach .", "A brown dog ."), "zh": ("一只狗在海边跑。", "棕色的狗。")}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures with captions, seven sounds, no text beside."""
    folder = tmp_path_factory.mktemp("data")
    flickr = folder / "captions" / "flickr8k"
    for part in ("images", "splits"):
        (flickr / part).mkdir(parents=True)
    names = [f"{i}.jpg" for i in range(12)]
    for i, name in enumerate(names):
        Image.fromarray(picture(i)).resize((224, 224)).save(flickr / "images" / name)
    for file, language in (("captions.csv", "en"), ("captions_zh.csv", "zh")):
        lines = [f"{name},{text}" for name in names for text in CAPTIONS[language]]
        (flickr / file).write_text("\n".join(["image,caption", *lines]), encoding="utf-8")
    (folder / "captions" / "extra").mkdir()
    (folder / "captions" / "extra" / "coco_cn_tags655_zh.txt").write_text("狗\n海\n", encoding="utf-8")
    (flickr / "splits" / "train.txt").write_text("\n".join(names[:9]))
    (flickr / "splits" / "dev.txt").write_text("\n".join(names[9:]))
    clips = [f"esc10/001 - Dog bark/{name}-A.ogg" for name in ("1-11", "2-12", "4-13")]
    clips += [
        "urbansound8k/fold1/13-3-0-0.ogg",
        "urbansound8k/fold1/14-1-0-0.ogg",
        "urbansound8k/fold3/15-1-0-0.ogg",
    ]
    clips += [f"spoken_digits/7_{name}_1.ogg" for name in ("george", DEV_SPEAKER)]
    for i, name in enumerate(clips):
        path = folder / "audio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, sound(i, 1.2), 16_000 if "digits" not in name else 8_000)
    return folder


@pytest.fixture
def recipe(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    def plain(module: torch.nn.Module, _example: torch.Tensor):  # type: ignore[no-untyped-def]
        def run(x: np.ndarray) -> list[np.ndarray]:
            with torch.no_grad():
                found = module(torch.from_numpy(x))
            return [value.numpy() for value in (found if isinstance(found, tuple) else (found,))]

        return run

    for module in (image_features, sounds):
        monkeypatch.setattr(module, "fast_encoder", plain)  # exporting takes longer than encoding this little
    monkeypatch.setattr(description_data, "load_yamnet", lambda _path: random_yamnet())
    monkeypatch.setattr(description_data, "class_labels", lambda _path: LABELS)
    monkeypatch.setattr(description_data, "VOCABULARY", SMALL.vocabulary)
    monkeypatch.setattr(description, "Shape", lambda **sizes: replace(SMALL, **sizes))
    cache = data / "features"
    return Recipe(
        data, tmp_path, 0.1, cache, batch=6, texts=5, text_steps=0, views=3, sound_views=2, sounds=4, joined=2
    )


def test_training_lowers_the_loss_and_resumes(recipe: Recipe) -> None:
    """Some steps teach the captions that there are; a second run goes on from the first one's checkpoint."""
    run = Run(recipe)
    first = run.train_step(0.0)
    losses = [run.train_step(0.1) for _ in range(60)]
    assert losses[-1] < 0.85 * first
    train(recipe)
    points = [json.loads(line) for line in (recipe.out / "record.jsonl").read_text().splitlines()]
    assert points[-1]["step"] > 0
    assert {"cider_en", "cider_zh", "recall_at_10", "labels_esc10"} <= set(points[-1])
    more = Run(replace(recipe, resume=recipe.out / "checkpoint.pt"))
    assert more.state.step == points[-1]["step"]
    before = [parameter.clone() for parameter in more.state.model.parameters()]
    more.train_step(0.5)
    still = [
        n
        for (n, p), old in zip(more.state.model.named_parameters(), before, strict=True)
        if torch.equal(p, old)
    ]
    assert not still


def test_pictures_with_captions_of_ours_are_learnt_too(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They follow Flickr8k's; some are kept apart, and say whether pictures of classes are named.

    Whatever class the encoder says, its name is learnt from that, not from the picture.
    """
    folder, table = recipe.data / "photos", tmp_path / "captions.tsv"
    folder.mkdir(exist_ok=True)
    names = [f"n{i:08}_thing_{i}.png" for i in range(16)]
    for i, name in enumerate(names):
        Image.fromarray(picture(i)).save(folder / name)
    lines = [f"photos/{name}\ta thing {i}\ta thing\t一个东西" for i, name in enumerate([*names, "gone.png"])]
    table.write_text("\n".join(["picture\tenglish\tenglish_again\tchinese", *lines]), encoding="utf-8")
    monkeypatch.setattr(captions, "WRITTEN", table)
    run = Run(recipe)
    kept, apart = run.data.written, run.data.written_dev
    assert (kept.start, kept.stop) == (9, len(run.data.photos.names))
    assert len(kept) + len(apart.names) == 16
    assert 0 < len(apart.names) < 8
    assert {len(run.data.photos.english[i]) for i in kept} == {2}
    before = float(run._named_loss().detach())
    for _ in range(40):
        run.state.descend(run._named_loss(), 3e-3)
    assert float(run._named_loss().detach()) < 0.8 * before
    marks = run.evaluate()
    assert marks["cider_written"] >= 0
    assert 0 <= marks["named"] <= 1


def test_training_goes_on_from_the_artifact_that_ships(recipe: Recipe) -> None:
    """Its weights, its tokenizer and its tags are taken over; nothing else of it is kept beside."""
    directory = built_in_directory("description")
    run = Run(replace(recipe, resume=directory))
    saved = load_description(directory)
    assert run.state.step == saved["step"] > 0
    assert run.data.tokenizer.get_vocab_size() == run.state.model.shape.vocabulary == 4096
    assert len(run.data.names) == run.state.model.shape.tags
    assert run.train_step(0.5) > 0
    assert run.state.step == saved["step"] + 1


def test_rewards_make_good_captions_likelier(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a reward for one token alone, that token is drawn more and more often."""
    run = Run(replace(recipe, reward=True, learning_rate=3e-3, batch=9))
    wanted = 60
    monkeypatch.setattr(run, "_reward", lambda _photo, ids, _language: float(wanted in ids))
    run.random.random()

    def part() -> float:
        model = run.state.model.eval()
        with torch.no_grad():
            _, prefix = model.encode(run._image_tokens(list(range(9))))
            drawn = write(model, prefix, (CAPTION, EN), most=22, samples=20)
        return float(np.mean([wanted in ids for ids in drawn]))

    before = part()
    for _ in range(60):
        run.state.model.train()
        run.state.descend(run._reward_loss(), 3e-3)
        run.state.step += run.state.step % 3 == 2  # English only
    assert part() > before + 0.2


def test_packed_texts_are_read_as_if_alone() -> None:
    """Two photographs, several texts each: the loss is that of every text by itself."""
    model = untrained()
    tokens = torch.randn(2, 7, SMALL.width, generator=torch.Generator().manual_seed(0))
    texts = [
        [text_tokens(CAPTION, EN, [20, 30]), text_tokens(CAPTION, ZH, [40, 50, 60])],
        [text_tokens(CAPTION, EN, [70])],
    ]
    with torch.no_grad():
        together = text_loss(model, pack(texts), model.encode(tokens)[1])
        total, count = 0.0, 0
        for row, own in zip(tokens, texts, strict=True):
            for text in own:
                loss = text_loss(model, pack([[text]]), model.encode(row[None])[1])
                total, count = total + float(loss) * (len(text) - 2), count + len(text) - 2
    assert float(together) == pytest.approx(total / count, rel=1e-4)


def test_hidden_tokens_of_a_prefix_change_nothing() -> None:
    """A padded row encodes and writes as the row alone does."""
    model: DescriptionModel = untrained()
    tokens = torch.randn(1, 5, SMALL.width, generator=torch.Generator().manual_seed(0))
    padded = torch.cat([tokens, torch.full((1, 3, SMALL.width), 9.0)], dim=1)
    mask = torch.arange(8)[None] < 5
    with torch.no_grad():
        pooled, prefix = model.encode(tokens)
        pooled_padded, prefix_padded = model.encode(padded, mask)
    torch.testing.assert_close(pooled, pooled_padded)
    alone = write(model, prefix, (CAPTION, EN), most=12)
    assert write(model, prefix_padded, (CAPTION, EN), most=12, mask=mask) == alone


def test_sounds_are_split_by_fold_speaker_and_recording(data: Path) -> None:
    """Recording 13 is in ESC-10's dev fold: the clip that UrbanSound8K cut from it is left out."""
    clips = {clip.path.name: clip for clip in find_clips(data / "audio")}
    assert "13-3-0-0.ogg" not in clips
    dev = {name for name, clip in clips.items() if clip.dev}
    assert dev == {"4-13-A.ogg", "15-1-0-0.ogg", f"7_{DEV_SPEAKER}_1.ogg"}
    assert clips["14-1-0-0.ogg"].label == "car horn"
    assert clips["7_george_1.ogg"].label == "digit seven"


def test_texts_are_normalised(tmp_path: Path) -> None:
    assert normal_english('A man , in a "red" shirt .') == "a man, in a red shirt"
    assert normal_chinese(" 一只 狗。") == "一只狗"
    captions = {"1": ["a dog runs", "the brown dog"], "2": ["a dog"]}
    assert caption_words(captions, 2, least_photos=1)[0] == "dog"
    assert words_of(captions["1"], 2) == {"dog"}
    (tmp_path / "tags.txt").write_text("狗\n海\n船\n", encoding="utf-8")
    found = chinese_tags(tmp_path / "tags.txt", {"1": ["海边的狗"], "2": ["狗"]}, 5, least_photos=1)
    assert found == ["狗", "海"]


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning:torch")
def test_fast_encoder_is_the_encoder() -> None:
    """Under ONNX Runtime a network gives what torch gives, for any batch."""
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()).eval()
    run = fast_encoder(network, torch.zeros(2, 3, 8, 8))
    x = np.random.default_rng(0).normal(size=(5, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(run(x)[0], network(torch.from_numpy(x)).numpy(), atol=1e-5)
