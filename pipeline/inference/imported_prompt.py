"""What an imported model is asked, as tokens.

blip        [bos] words that the text begins with                 given to the decoder
florence2   <s> the task's sentence </s>                          given to the encoder, after the picture
idefics3    the chat template, with the picture's tokens in it:
            <fake><row_1_col_1><image>...  row by row, then  <fake><global-img><image>...<fake>
"""

from __future__ import annotations

from tokenizers import Tokenizer

from pipeline.core.errors import UnsupportedByModel
from pipeline.inference.imported_config import PROMPT, ImportedConfig
from pipeline.inference.picture_input import Grid

IMAGE = "<image>"
_AROUND, _WHOLE = "<fake_token_around_image>", "<global-img>"


def prompt_ids(tokenizer: Tokenizer, config: ImportedConfig, prompt: str, grid: Grid = (0, 0)) -> list[int]:
    """The tokens of a prompt.

    Args:
        tokenizer: The model's.
        config: The model's.
        prompt: A preset's, or the user's own; "" asks nothing.
        grid: Of the picture's tiles.

    Raises:
        UnsupportedByModel: The prompt has text in it that the model takes for a mark of its own.
    """
    _check_marks(tokenizer, prompt)
    if config.family == "blip":
        _, *words, _ = tokenizer.encode(prompt).ids  # without [CLS] and [SEP]
        return [*config.writing.start, *words]
    if config.family == "florence2":
        ids: list[int] = tokenizer.encode(f"<s>{prompt}</s>", add_special_tokens=False).ids
        return ids
    before, _, after = config.template.partition(PROMPT)
    around = before.replace(IMAGE, _picture(config.picture_tokens, grid)), after
    return list(tokenizer.encode(prompt.join(around)).ids)


def _picture(tokens: int, grid: Grid) -> str:
    """Idefics3's way to write a picture down."""
    rows, columns = grid
    tiles = "".join(
        "".join(f"{_AROUND}<row_{row}_col_{column}>{IMAGE * tokens}" for column in range(1, columns + 1))
        + "\n"
        for row in range(1, rows + 1)
    )
    return f"{tiles}{chr(10) if tiles else ''}{_AROUND}{_WHOLE}{IMAGE * tokens}{_AROUND}"


def _check_marks(tokenizer: Tokenizer, prompt: str) -> None:
    for token in tokenizer.get_added_tokens_decoder().values():
        if token.special and token.content in prompt:
            raise UnsupportedByModel(f"prompt: {token.content!r} is a mark of the model's own")
