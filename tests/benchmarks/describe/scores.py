"""BLEU, CIDEr, ROUGE-L by pycocoevalcap, distinct captions, recall."""

from __future__ import annotations

import contextlib
import io
import re

import numpy as np
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

_TOKEN = re.compile(r"[a-z0-9']+")


def tokens(text: str, language: str) -> str:
    """Tokens with a space between: English words, Chinese characters."""
    if language == "en":
        return " ".join(_TOKEN.findall(text.lower()))
    return " ".join(text.strip("。").replace(" ", ""))


def caption_scores(texts: list[str], references: list[list[str]], language: str) -> dict[str, float]:
    found = {i: [tokens(text, language)] for i, text in enumerate(texts)}
    wanted = {i: [tokens(text, language) for text in every] for i, every in enumerate(references)}
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, _ = Bleu(4).compute_score(wanted, found)
        cider, _ = Cider().compute_score(wanted, found)
        rouge, _ = Rouge().compute_score(wanted, found)
    return {
        "BLEU-1": 100 * bleu[0],
        "BLEU-4": 100 * bleu[3],
        "CIDEr": float(cider),
        "ROUGE-L": 100 * float(rouge),
        "distinct": float(len(set(texts))),
        "words": float(np.mean([len(text[0].split()) for text in found.values()])),
    }


def recalls(photos: np.ndarray, queries: np.ndarray) -> dict[str, float]:
    """Part of the queries whose own photograph is among the first 1, 5, 10."""
    scores = queries @ photos.T
    if not np.isfinite(scores).all():
        raise ValueError("embeddings that are no numbers")
    ranks = (scores >= scores.diagonal()[:, None]).sum(axis=1)  # a tie is no find
    return {str(k): float((ranks <= k).mean()) for k in (1, 5, 10)}
