"""How well the built-in model describes: `python -m tests.benchmarks.describe --data DIR [--artifact DIR]`.

DIR is what the model was trained from; measured is what training never saw: Flickr8k's 1,000 dev photographs,
ESC-10's fold 4, and pictures of other kinds (`unlike.py`). English is counted in tokens `[a-z0-9']+` of lower
case, Chinese in characters. The control row gives every photograph another one's caption: what a score owes
to sentences that suit any photograph.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

from pipeline.core.artifact import built_in_directory
from pipeline.inference.artifacts import load_directory
from pipeline.inference.describe_model import DescribeModel, State
from tests.benchmarks.describe.attention import heat_in_quadrant
from tests.benchmarks.describe.data import DevPhoto, dev_photos, dev_sounds, training_sounds
from tests.benchmarks.describe.joined import joined
from tests.benchmarks.describe.scores import caption_scores, recalls
from tests.benchmarks.describe.sheet import write_sheets
from tests.benchmarks.describe.sounds import label_board
from tests.benchmarks.describe.unlike import unlike_flickr
from tests.support.measure import machine, table

LANGUAGES = {"en": "English", "zh": "Chinese"}
CONSTANTS = {
    "en": ("two dogs are running through the grass", "a man in a red shirt is standing in the street"),
    "zh": ("一只狗在草地上奔跑", "一个男人在水里", "两只狗在草地上奔跑"),
}
BEAMS = 3


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.describe", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, help="by default the built-in one")
    parser.add_argument("--output", type=Path, default=Path("bench-describe"))
    parser.add_argument("--photos", type=int, default=1000)
    given = parser.parse_args(argv)
    given.output.mkdir(parents=True, exist_ok=True)
    model = DescribeModel(load_directory(given.artifact or built_in_directory("description")))
    photos, sounds = dev_photos(given.data, given.photos), dev_sounds(given.data)
    print(machine())

    began = time.process_time()
    states = [model.encode(photo.pixels, None) for photo in photos]
    encoding_s = time.process_time() - began
    facts: dict[str, object] = {"photos": len(photos)}
    facts |= _captions(model, photos, states, encoding_s, given.output)
    facts["recall"] = recalls(
        np.stack([state.embedding for state in states]),
        model.embed_texts([photo.captions["en"][0] for photo in photos]),
    )
    print(table("text to photograph, first captions", ("recall at", "part"), [*facts["recall"].items()]))
    facts["labels"] = label_board(model, sounds, training_sounds(given.data))
    print(table("sound labels, ESC-10 fold 4", ("who", "right"), [*facts["labels"].items()]))
    facts["joined"] = joined(model, photos, states, sounds)
    print(table("picture and sound together", ("what", "value"), [*facts["joined"].items()]))
    facts["unlike"] = unlike_flickr(model, given.data, given.output, BEAMS)
    print(table("pictures unlike Flickr8k's", ("what", "value"), [*facts["unlike"].items()]))
    facts["heat_in_quadrant"] = heat_in_quadrant(model, photos[:100])
    print(f"\nattention in the photograph's quadrant: {facts['heat_in_quadrant']:.1%}")
    (given.output / "facts.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return 0


def _captions(
    model: DescribeModel, photos: list[DevPhoto], states: list[State], encoding_s: float, output: Path
) -> dict[str, object]:
    facts: dict[str, object] = {}
    texts = {}
    for language, name in LANGUAGES.items():
        references = [photo.captions[language] for photo in photos]
        rows = {}
        for label, beams in (("greedy", 1), (f"beam {BEAMS}", BEAMS)):
            began = time.process_time()
            written = model.write(states, "caption", language, beams=beams)
            seconds = time.process_time() - began
            texts[language, label] = [one.text for one in written]
            rows[label] = caption_scores(texts[language, label], references, language)
            rows[label]["a CPU-second"] = len(photos) / (encoding_s + seconds)
        best = texts[language, f"beam {BEAMS}"]
        rows["control: shuffled"] = caption_scores(best[1:] + best[:1], references, language)
        constants = [
            caption_scores([text] * len(photos), references, language) for text in CONSTANTS[language]
        ]
        rows["best of some constants"] = max(constants, key=lambda row: row["CIDEr"])
        head = [*rows["greedy"]]
        shown = [[label, *(row.get(column, "") for column in head)] for label, row in rows.items()]
        print(table(f"{name} captions of {len(photos)} photographs", ["", *head], shown))
        facts[language] = rows
    write_sheets(photos, texts["en", f"beam {BEAMS}"], texts["zh", f"beam {BEAMS}"], states, output)
    return facts


if __name__ == "__main__":
    sys.exit(main())
