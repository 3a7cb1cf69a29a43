"""Sound labels: what the model writes, beside two simple classifiers of the same clips."""

from __future__ import annotations

import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from pipeline.inference.describe_model import DescribeModel
from pipeline.inference.log_mel import log_mel_patches
from tests.benchmarks.describe.data import DevSound


def label_board(model: DescribeModel, sounds: list[DevSound], training: list[DevSound]) -> dict[str, float]:
    states = [model.encode(None, sound.samples) for sound in sounds]
    written = [one.text for one in model.write(states, "label")]
    wanted = [sound.label for sound in sounds]
    return {
        "the model": _right(written, wanted),
        "SVM on log-mel statistics": _svm(_statistics, sounds, training),
        "SVM on YAMNet's log mean scores": _svm(lambda sound: _scores(model, sound), sounds, training),
    }


def _svm(features, sounds: list[DevSound], training: list[DevSound]) -> float:
    machine = make_pipeline(StandardScaler(), SVC(C=10))
    machine.fit([features(sound) for sound in training], [sound.label for sound in training])
    found = machine.predict([features(sound) for sound in sounds])
    return _right(list(found), [sound.label for sound in sounds])


def _statistics(sound: DevSound) -> np.ndarray:
    frames = log_mel_patches(sound.samples).reshape(-1, 64)
    return np.concatenate([frames.mean(axis=0), frames.std(axis=0), frames.max(axis=0)])


def _scores(model: DescribeModel, sound: DevSound) -> np.ndarray:
    return np.log(model.sound_scores(sound.samples) + 1e-6)


def _right(found: list[str], wanted: list[str]) -> float:
    return float(np.mean([one == other for one, other in zip(found, wanted, strict=True)]))
