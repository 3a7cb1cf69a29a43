"""Trains the describing model: `python -m pipeline.training.description --data DIR --minutes N`.

DIR holds `captions` (flickr8k; multi30k, extra and audiocaps-text for text alone), `audio` (esc10,
urbansound8k, spoken_digits), `weights/yamnet_quant` and `weights/mobilenet_v2_quant` (whose file has the
names of ImageNet's classes). The encoders of pictures and sounds are frozen; what
they make of every photograph (in several views) and sound is cached first, under `--cache`.

1. Text alone, `--text-steps` steps: language, without anything to describe.
2. Captions: each step takes photographs with three captions a language (the prefix is encoded once for all of
   them), sounds with their labels and sentences, and a few photographs joined with a sound that has nothing
   to do with them, whose text is the caption and then the sound's sentence. Beside the next token it learns
   search embeddings (contrastive, from a start in closed form) and tags. Captions of text alone are learnt
   from the names of what they mention, as the image encoder might name it; and pictures of which the encoder
   is made to say any class, by that class's name. Where DIR has `photos` and `paintings`, pictures of
   everything else are learnt by captions of ours (written_captions.tsv).
3. `--reward` (a run of its own, from a checkpoint of 2): self-critical training. Captions are drawn by
   chance, and made likelier when their CIDEr is above that of the other draws for the same photograph.

At the end the search heads are computed in closed form for the averaged weights, and kept if they find more.

The moving average of the weights is what gets evaluated and exported.
"""

from __future__ import annotations

import argparse
import copy
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.metrics.cider import Cider
from pipeline.models.description.graphs import LOOKING_LAYERS, AttentionGraph
from pipeline.models.description.model import IMAGE_TOKENS, LOOK_TOKENS, DescriptionModel
from pipeline.models.description.shape import AND, CAPTION, EN, LABEL, PAD, SOUND, ZH, Shape
from pipeline.training.box import Shown, add_arguments, train_for
from pipeline.training.class_names import cells_and_classes, guessed, name_classes, sure_of
from pipeline.training.description_checkpoint import load_description, tables_of
from pipeline.training.description_data import TABLES, as_grid, load_data
from pipeline.training.description_judge import Judge, decoded, search_texts, seen, tokens_of
from pipeline.training.description_sheet import marks_line, plot_marks
from pipeline.training.packing import pack, predict, text_loss, text_tokens
from pipeline.training.sampling import write
from pipeline.training.search_start import align_search
from pipeline.training.sounds import stacked
from pipeline.training.state import TrainingState

SHOWN = Shown(marks_line, plot_marks)
_MOST_SAMPLED = 22


@dataclass(frozen=True)
class Recipe:
    """What a run does. Defaults were chosen for one CPU core."""

    data: Path
    out: Path
    minutes: float
    cache: Path
    resume: Path | None = None
    batch: int = 32
    captions: int = 3
    sounds: int = 16
    joined: int = 4
    texts: int = 160
    told: int = 48
    named: int = 8
    hidden: float = 0.1
    canvases: int = 8
    text_steps: int = 150
    views: int = 5
    sound_views: int = 3
    learning_rate: float = 1e-3
    cool_down: float = 0.0
    dropout: float = 0.1
    ema: float = 0.998
    contrastive_weight: float = 0.5
    tag_weight: float = 10.0
    looking_weight: float = 0.3
    align_search: bool = False
    reward: bool = False
    reward_samples: int = 5
    eval_every_s: float = 600.0
    seed: int = 0


class Run:
    """One training run: what it changes, and what it learns from."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        saved = load_description(recipe.resume) if recipe.resume else None
        if recipe.resume:
            _take_tables(tables_of(recipe.resume), recipe.out)
        self.data = load_data(
            recipe.data, recipe.cache, recipe.out, views=recipe.views, sound_views=recipe.sound_views
        )
        # A resumed run draws otherwise than the first one did.
        seed = recipe.seed + (saved["step"] if saved else 0)
        torch.manual_seed(seed)
        self.random = np.random.default_rng(seed)
        self.judge = Judge(self.data)
        shape = Shape(**saved["shape"]) if saved else replace(Shape(), tags=len(self.data.names))
        model = DescriptionModel(shape, recipe.dropout)
        name_classes(model, recipe.out)
        groups: list[dict[str, object]] = [{"params": list(model.parameters()), "haste": 1.0}]
        self.state = TrainingState(model, groups, recipe.ema)
        if saved is not None:
            self.state.restore(saved)
        self.trained_clips = [i for i, clip in enumerate(self.data.clips) if not clip.dev]
        self.order: list[int] = []
        self.cider = self._reward_tables() if recipe.reward else {}
        self.unaligned = saved is None or recipe.align_search

    def train_step(self, part: float) -> float:
        """One step at a part in [0, 1] of the run; returns the loss."""
        recipe, state = self.recipe, self.state
        if self.unaligned and state.step >= recipe.text_steps:
            self._align_search()
        state.model.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            if recipe.reward:
                loss = self._reward_loss() + 0.3 * self._caption_loss() + 0.3 * self._sound_loss()
                loss = loss + 0.1 * self._joined_loss() + 0.2 * self._told_loss()
                loss = loss + 0.3 * self._named_loss()
            elif state.step < recipe.text_steps:
                loss = self._alone_loss()
            else:
                loss = self._caption_loss() + 0.5 * self._sound_loss() + 0.2 * self._joined_loss()
                loss = loss + recipe.looking_weight * self._looking_loss()
                loss = loss + 0.3 * self._told_loss() + 0.3 * self._named_loss()
        return state.descend(loss, _learning_rate(recipe, state.step - state.begun, part))

    def _align_search(self) -> None:
        """Search begins with what is known in closed form, once there are states to compare."""
        model, average = self.state.model, self.state.average
        align_search(model.eval(), self.data.encoder, self.data.photos)
        for head in ("embed_prefix", "embed_words"):
            getattr(average, head).load_state_dict(getattr(model, head).state_dict())
        self.unaligned = False

    def settle_search(self) -> None:
        """Gives the average the heads in closed form if they find more than those that were trained."""
        average = self.state.average.eval()
        trained = copy.deepcopy((average.embed_prefix, average.embed_words))
        before = self.judge.recall(average)
        align_search(average, self.data.encoder, self.data.photos)
        after = self.judge.recall(average)
        print(f"recall at 10: {before:.3f} as trained, {after:.3f} in closed form")
        if after <= before:
            average.embed_prefix, average.embed_words = trained

    def evaluate(self) -> dict[str, Any]:
        """The average's marks on the dev sets."""
        model = self.state.average.eval()
        marks = self.judge.judge(model)
        return {"rates": [], "cost": 1 - marks["cider_en"], **marks}

    def _alone_loss(self) -> Tensor:
        """Language without anything to describe: some rows of a few texts each."""
        chosen = self.random.integers(len(self.data.texts), size=self.recipe.texts)
        rows = [[self.data.texts[i] for i in part] for part in np.array_split(chosen, self.recipe.texts // 5)]
        return text_loss(self.state.model, pack(rows), None)

    def _caption_loss(self) -> Tensor:
        recipe, model, photos = self.recipe, self.state.model, self.data.photos
        chosen = self._photos(recipe.batch)
        mask = self._partly_hidden(len(chosen))
        pooled, prefix = model.encode(self._image_tokens(chosen), mask)
        rows = []
        for i in chosen:
            row = [text_tokens(CAPTION, EN, ids) for ids in self._some(photos.english[i], recipe.captions)]
            row += [text_tokens(CAPTION, ZH, ids) for ids in self._some(photos.chinese[i], recipe.captions)]
            rows.append(row)
        words = text_loss(model, pack(rows), prefix, mask)
        tags = F.binary_cross_entropy_with_logits(
            model.tags(pooled).float()[:, : photos.tags.shape[1]], photos.tags[chosen]
        )
        texts = [
            [*self._some(captions[i], 1)[0]] for captions in (photos.english, photos.chinese) for i in chosen
        ]
        found = model.search_prefix(pooled).float()
        embedded = search_texts(model, texts).float()
        return (
            words + recipe.tag_weight * tags + recipe.contrastive_weight * self._contrastive(found, embedded)
        )

    def _partly_hidden(self, count: int) -> Tensor:
        """Which tokens of photographs are there: of some only the classes, of some all but the classes.

        So the classes' names are learnt to mean something, and are not relied on.
        """
        there = torch.ones(count, IMAGE_TOKENS, dtype=torch.bool)
        drawn = torch.from_numpy(self.random.random(count))
        there[drawn < self.recipe.hidden, :LOOK_TOKENS] = False
        there[drawn > 1 - self.recipe.hidden, LOOK_TOKENS:] = False
        return there

    def _told_loss(self) -> Tensor:
        """Without pictures: captions from classes that an encoder might have seen, and classes' names."""
        model, data, count = self.state.model, self.data, self.recipe.told
        if not data.told:
            return torch.zeros(())
        texts = [data.told[i] for i in self.random.integers(len(data.told), size=count)]
        sure = sure_of(self.random, count)
        said = [torch.cat(pair) for pair in zip(guessed(texts, self.random), sure, strict=True)]
        wanted = [text.ids for text in texts] + [data.class_names[i] for i in sure[0][:, 0].tolist()]
        _, prefix = model.encode(model.say(said[0], said[1]))
        return text_loss(model, pack([[text_tokens(CAPTION, EN, ids)] for ids in wanted]), prefix)

    def _named_loss(self) -> Tensor:
        """Pictures that the encoder says to be some class, surely, by that class's name.

        The class is any: a name has to be taken from what the encoder says. Left to the pictures alone, whose
        classes are few, it is learnt by heart, and other pictures get the name of one that looked alike.
        """
        model, data, count = self.state.model, self.data, self.recipe.named
        if not data.written:
            return torch.zeros(())
        chosen = self.random.choice(data.written, count).tolist()
        views = self.random.integers(len(data.photos.views), size=count).tolist()
        cells, _ = cells_and_classes(data.encoder, data.photos.features(chosen, views))
        classes, scores = sure_of(self.random, count)
        _, prefix = model.encode(torch.cat([model.image(cells), model.say(classes, scores)], dim=1))
        names = [data.class_names[i] for i in classes[:, 0].tolist()]
        return text_loss(model, pack([[text_tokens(CAPTION, EN, ids)] for ids in names]), prefix)

    def _contrastive(self, photos: Tensor, texts: Tensor) -> Tensor:
        """Every text should be nearest to its photograph and the other way round; (B, E) and (2 B, E)."""
        scale = self.state.model.log_temperature.clamp(max=4.0).exp()
        wanted = torch.arange(len(photos))
        pairs = [scale * own @ photos.T for own in texts.split(len(photos))]
        losses = [F.cross_entropy(one, wanted) for scores in pairs for one in (scores, scores.T)]
        return torch.stack(losses).mean()

    def _sound_loss(self) -> Tensor:
        model, names = self.state.model, self.data.names
        clips = self._clips(self.recipe.sounds)
        features, logits, mask = stacked([self._sound_view(i) for i in clips])
        pooled, prefix = model.encode(model.audio(self._noisy(features), logits), mask)
        rows = []
        for i in clips:
            said = self.data.said[self.data.clips[i].label]
            row = [text_tokens(LABEL, language, label) for language, (label, _) in said.items()]
            row += [
                text_tokens(SOUND, language, self._some(many, 1)[0]) for language, (_, many) in said.items()
            ]
            rows.append(row)
        words = text_loss(model, pack(rows), prefix, mask)
        wanted = torch.tensor([names.sounds.index(self.data.clips[i].label) for i in clips])
        scores = model.tags(pooled).float()[:, -len(names.sounds) :]
        tags = F.binary_cross_entropy_with_logits(scores, F.one_hot(wanted, len(names.sounds)).float())
        return words + self.recipe.tag_weight * tags / 2

    def _joined_loss(self) -> Tensor:
        """Photographs with a sound each: the caption, then the sound's sentence; and the label."""
        model, photos = self.state.model, self.data.photos
        chosen, clips = self._photos(self.recipe.joined), self._clips(self.recipe.joined)
        features, logits, heard = stacked([self._sound_view(i) for i in clips])
        tokens = torch.cat([self._image_tokens(chosen), model.audio(self._noisy(features), logits)], dim=1)
        mask = torch.cat(
            [torch.ones(len(tokens), tokens.shape[1] - heard.shape[1], dtype=torch.bool), heard], dim=1
        )
        _, prefix = model.encode(tokens, mask)
        rows = []
        for i, clip in zip(chosen, clips, strict=True):
            said = self.data.said[self.data.clips[clip].label]
            row = []
            for language, captions in ((EN, photos.english[i]), (ZH, photos.chinese[i])):
                label, sentences = said[language]
                row += [
                    text_tokens(CAPTION, language, [*caption, AND, *self._some(sentences, 1)[0]])
                    for caption in self._some(captions, 2)
                ]
                row.append(text_tokens(LABEL, language, label))
                row.append(text_tokens(SOUND, language, self._some(sentences, 1)[0]))
            rows.append(row)
        return text_loss(model, pack(rows), prefix, mask)

    def _looking_loss(self) -> Tensor:
        """Words should come from where the photograph is, when it fills only a part of the canvas.

        Otherwise the empty cells, which see all others, serve as notebooks, and maps of it show nothing.
        Minus the logarithm of what part of the attention to all cells is inside.
        """
        model, photos = self.state.model, self.data.photos
        features, filled = self.data.canvases
        chosen = self.random.choice(len(features), min(self.recipe.canvases, len(features)), replace=False)
        grids = as_grid(features[np.sort(chosen)])
        _, (keys, values) = model.encode(seen(model, self.data.encoder, grids))
        rows = [
            torch.tensor(text_tokens(CAPTION, EN, self._some(photos.english[i], 1)[0]))
            for i in np.sort(chosen)
        ]
        texts = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=PAD)
        looks = AttentionGraph(model)(texts, keys.transpose(0, 1), values.transpose(0, 1))
        looks = looks[:, list(LOOKING_LAYERS), :, 1:LOOK_TOKENS].float().mean(dim=1)
        inside = (looks * torch.from_numpy(filled[np.sort(chosen)])[:, None]).sum(dim=2) / looks.sum(dim=2)
        loss: Tensor = -inside.clamp(min=1e-4).log()[texts != PAD].mean()
        return loss

    def _reward_loss(self) -> Tensor:
        """Self-critical training (Rennie et al., 2017); the baseline: a photograph's other draws."""
        recipe, model, count = self.recipe, self.state.model, self.recipe.reward_samples
        chosen = self._photos(recipe.batch)
        language = EN if self.state.step % 3 else ZH
        model.eval()
        tokens = self._image_tokens(chosen)
        with torch.no_grad():
            _, prefix = model.encode(tokens)
        drawn = write(model, prefix, (CAPTION, language), most=_MOST_SAMPLED, samples=count)
        rewards = torch.tensor(
            [self._reward(chosen[i // count], ids, language) for i, ids in enumerate(drawn)]
        )
        per_photo = rewards.view(-1, count)
        baseline = (per_photo.sum(dim=1, keepdim=True) - per_photo) / (count - 1)
        advantage = (per_photo - baseline).flatten()
        rows = [
            [_as_drawn(language, ids) for ids in drawn[i : i + count]] for i in range(0, len(drawn), count)
        ]
        packed = pack(rows)
        _, prefix = model.encode(tokens)
        logits, targets = predict(model, packed, prefix, None)
        weights = advantage.view(-1, count).gather(1, packed.texts.clamp(min=0))[packed.targets >= 0]
        model.train()
        return (F.cross_entropy(logits, targets, reduction="none") * weights).sum() / len(drawn) / 4

    def _reward(self, photo: int, ids: list[int], language: int) -> float:
        text = decoded(self.data.tokenizer, ids)
        return self.cider[language].score(photo, tokens_of(text, language))

    def _reward_tables(self) -> dict[int, Cider]:
        references = self.data.photos.references
        return {
            language: Cider([[tokens_of(text, language) for text in texts] for texts in every])
            for language, every in zip((EN, ZH), references, strict=True)
        }

    def _photos(self, count: int) -> list[int]:
        """The next photographs of a random order; every one comes once before any comes again."""
        if len(self.order) < count:
            self.order = self.random.permutation(len(self.data.photos.names)).tolist()
        taken, self.order = self.order[:count], self.order[count:]
        return taken

    def _image_tokens(self, chosen: list[int]) -> Tensor:
        views = self.random.integers(len(self.data.photos.views), size=len(chosen)).tolist()
        return seen(self.state.model, self.data.encoder, self.data.photos.features(chosen, views))

    def _clips(self, count: int) -> list[int]:
        """Clips of training: as many of ESC-10, the smallest set, as of the others together."""
        esc = [i for i in self.trained_clips if "esc10" in self.data.clips[i].path.parts]
        half = self.random.choice(esc, count // 2).tolist()
        return [*half, *self.random.choice(self.trained_clips, count - count // 2).tolist()]

    def _sound_view(self, clip: int) -> Any:
        views = self.data.sounds[clip]
        return views[self.random.integers(len(views))]

    def _noisy(self, features: Tensor) -> Tensor:
        """Audio features with a part of them gone: there are few clips to learn from."""
        return F.dropout(features, 0.2, self.state.model.training)

    def _some(self, texts: list[list[int]], count: int) -> list[list[int]]:
        return [texts[i] for i in self.random.choice(len(texts), min(count, len(texts)), replace=False)]


def _as_drawn(language: int, ids: list[int]) -> list[int]:
    """A drawn caption's tokens; of one that was cut off, without an end that nobody drew."""
    tokens = text_tokens(CAPTION, language, ids)
    return tokens if len(ids) < _MOST_SAMPLED else tokens[:-1]


def train(recipe: Recipe) -> Path:
    """Runs until the time is up; returns the checkpoint's path. A kill loses a few minutes at most."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    run = Run(recipe)
    checkpoint = train_for(run, recipe.out, recipe.minutes, recipe.eval_every_s, SHOWN)
    run.settle_search()
    return run.state.save(checkpoint)


def _take_tables(source: Path, out: Path) -> None:
    """A resumed run goes on with the tokenizer and the tags of its checkpoint."""
    for name in TABLES:
        if source.resolve() != out.resolve():
            shutil.copyfile(source / name, out / name)


def _learning_rate(recipe: Recipe, step: int, part: float) -> float:
    """100 steps of warm-up, then constant; over the cool-down, if any, in a line down to 1 %."""
    left = min(1.0, (1 - part) / recipe.cool_down) if recipe.cool_down else 1.0
    return recipe.learning_rate * min(1, (step + 1) / 100) * (0.01 + 0.99 * left)


def _parse(argv: list[str] | None = None) -> tuple[Recipe, int]:
    parser = argparse.ArgumentParser(prog="python -m pipeline.training.description", description=__doc__)
    add_arguments(
        parser,
        out=Path("runs/description"),
        learning_rate=Recipe.learning_rate,
        eval_every_s=Recipe.eval_every_s,
    )
    add = parser.add_argument
    add("--cache", type=Path, help="for encoded features; by default under --out")
    add("--cool-down", type=float, default=0.0, help="part of this run over which the rate of learning falls")
    add("--dropout", type=float, default=Recipe.dropout)
    add("--batch", type=int, default=Recipe.batch, help="photographs a step")
    add("--told", type=int, default=Recipe.told, help="texts a step, and as many names of classes")
    add("--ema", type=float, default=Recipe.ema, help="what the average keeps of itself at each step")
    add("--views", type=int, default=Recipe.views, help="of each photograph")
    add("--text-steps", type=int, default=Recipe.text_steps, help="steps on text alone, at the beginning")
    add("--align-search", action="store_true", help="begin the search heads anew, in closed form")
    add("--reward", action="store_true", help="self-critical training on CIDEr")
    given = vars(parser.parse_args(argv))
    threads = given.pop("threads")
    for name in ("dev", "random_start"):  # the splits of the data say what is dev
        given.pop(name)
    given["data"] = given["data"][0]
    given["cache"] = given["cache"] or given["out"] / "features"
    return Recipe(**given), threads


if __name__ == "__main__":
    chosen_recipe, thread_count = _parse()
    torch.set_num_threads(thread_count)
    print(f"checkpoint: {train(chosen_recipe)}")
