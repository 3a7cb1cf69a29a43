"""Writing texts with the model that is being trained: greedily, to evaluate it; by chance, to reward it."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.models.description.model import DescriptionModel
from pipeline.models.description.shape import END, SPECIAL_TOKENS
from pipeline.models.description.transformer import Cache, causal_mask

_NEVER = [token for token in range(len(SPECIAL_TOKENS)) if token != END]


@torch.no_grad()
def write(
    model: DescriptionModel,
    prefix: Cache,
    prompt: tuple[int, ...],
    *,
    most: int,
    samples: int = 0,
    mask: Tensor | None = None,
) -> list[list[int]]:
    """Writes a text for each row of a prefix.

    Args:
        model: In evaluation mode.
        prefix: Keys and values of B rows.
        prompt: Task and language, and what of the text is there already.
        most: Tokens at most, the end not counted.
        samples: 0: the likeliest token each time; else this many texts a row drawn by chance, row by row.
        mask: bool (B, P), False where a row of the prefix has no token.

    Returns:
        Tokens of B (or B * samples) texts, without prompt and end.
    """
    past = prefix
    if samples:
        past = (prefix[0].repeat_interleave(samples, dim=1), prefix[1].repeat_interleave(samples, dim=1))
        mask = None if mask is None else mask.repeat_interleave(samples, dim=0)
    rows, length = past[0].shape[1], past[0].shape[3]
    tokens = torch.tensor(prompt).repeat(rows, 1)
    written = torch.zeros(rows, 0, dtype=torch.long)
    done = torch.zeros(rows, dtype=torch.bool)
    place = 0
    while written.shape[1] < most and not bool(done.all()):
        new = tokens.shape[1]
        seen = causal_mask(new, past[0].shape[3], tokens.device)[None, None]
        if mask is not None:
            hidden = torch.where(mask, 0.0, -1e4)[:, None, None]
            seen = seen + torch.nn.functional.pad(hidden, (0, seen.shape[3] - length))
        states, past = model.read(tokens, torch.arange(place, place + new), past, seen)
        logits = model.logits(states[:, -1]).float()
        logits[:, _NEVER] = -torch.inf
        following = torch.multinomial(logits.softmax(1), 1)[:, 0] if samples else logits.argmax(1)
        following = following.where(~done, torch.tensor(END))
        written = torch.cat([written, following[:, None]], dim=1)
        done |= following == END
        tokens, place = following[:, None], place + new
    return [_until_end(row) for row in written.tolist()]


def _until_end(row: list[int]) -> list[int]:
    return row[: row.index(END)] if END in row else row
