"""The level-probability objective: what the model would say next is drawn to how people's levels are distributed.

At the place where a scorer's level probabilities are read, the loss is the cross-entropy of the next token's
distribution, over the whole vocabulary, against the raters' distribution over the levels' tokens.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from datasets import Dataset
from trl import SFTTrainer

from esc_eval.chat.engine.encoder import Encoder
from esc_eval.errors import EscEvalError
from esc_eval.scoring.score import judge_prompts
from training.common.together import in_one_line
from training.rank.data import RankSet

COLUMNS = ("input_ids", "levels", "weight")


@dataclass(frozen=True)
class LevelRow:
    """One question and how people answered it.

    Attributes:
        ids: Tokens of the prompt up to where the level's token comes, shape (length,).
        levels: Share of raters on each level, shape (levels,).
        weight: Of the row in the loss.
        origin, dimension: What was asked about.
    """

    ids: tuple[int, ...]
    levels: tuple[float, ...]
    weight: float
    origin: str
    dimension: str


@dataclass(frozen=True)
class Questions:
    """Rows of questions.

    Attributes:
        tokens: The token of each level; empty where answers are words.
        left_out: Questions that were longer than allowed.
    """

    rows: tuple[Any, ...]
    tokens: tuple[int, ...]
    left_out: int


def level_rows(
    ranked: RankSet, asked: Sequence[tuple[int, int, float]], encoder: Encoder, max_length: int
) -> Questions:
    """Rows of questions; each prompt is token for token that of scoring.

    Args:
        asked: Dialogue, dimension (indices) and weight of each row.
        max_length: Rows with more tokens are left out.

    Raises:
        EscEvalError: A level is not one token after the rubric's lead.
    """
    text = {language: ranked.rubric.text(language) for language in {d.language for d in ranked.dialogues}}
    options = [str(level) for level in ranked.rubric.levels]
    rows: list[LevelRow] = []
    tokens: list[int] = []
    left_out = 0
    every: dict[int, list[Any]] = {}
    for i, j, weight in asked:
        dialogue = ranked.dialogues[i]
        conversation = every.setdefault(i, judge_prompts(dialogue, ranked.rubric))[j]
        found = encoder.answers(conversation, text[dialogue.language].lead, options)
        if found is None or (tokens and found[1] != tokens):
            raise EscEvalError(
                f"{encoder.name}: after {text[dialogue.language].lead!r} not each of {', '.join(options)} is one token "
                "of its own; train with objective: text"
            )
        lead, tokens = found
        ids = encoder.encode(conversation, lead)
        if len(ids) > max_length:
            left_out += 1
            continue
        levels = tuple(float(share) for share in ranked.labels[i, j])
        rows.append(LevelRow(tuple(ids), levels, weight, dialogue.id, ranked.rubric.keys[j]))
    return Questions(tuple(rows), tuple(tokens), left_out)


def level_dataset(rows: Sequence[LevelRow]) -> Dataset:
    """Rows as the trainer takes them."""
    return Dataset.from_dict(
        {
            "input_ids": [list(row.ids) for row in rows],
            "levels": [list(row.levels) for row in rows],
            "weight": [row.weight for row in rows],
        }
    )


def wanted_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
    """Tensors ``levels`` (rows, levels) and ``weight`` (rows,): what is to be learnt of each row."""
    return {
        "levels": torch.tensor([list(row["levels"]) for row in rows], dtype=torch.float32),
        "weight": torch.tensor([row["weight"] for row in rows], dtype=torch.float32),
    }


class Behind:
    """Puts rows one behind the other; ``ends`` says where each one's level comes."""

    def __init__(self, pad: int) -> None:
        self.line = in_one_line(pad)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """As TRL has it of rows without padding, with ``ends`` (rows,), ``levels``, ``weight``."""
        made = self.line([{"input_ids": row["input_ids"]} for row in rows])
        made.pop("labels")
        return {**made, "ends": made["cu_seq_lens_q"][1:].long() - 1, **wanted_of(rows)}


class Beside:
    """Puts rows side by side, padded on the left, so that all end where the level comes."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """Tensors ``input_ids``, ``attention_mask``, ``position_ids`` (rows, longest), ``levels``, ``weight``."""
        longest = max(len(row["input_ids"]) for row in rows)
        ids = torch.full((len(rows), longest), self.pad)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, longest - len(row["input_ids"]) :] = torch.tensor(row["input_ids"])
            mask[number, longest - len(row["input_ids"]) :] = 1
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
            **wanted_of(rows),
        }


def level_loss(logits: torch.Tensor, levels: torch.Tensor, weight: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Weighted mean cross-entropy in nats.

    Args:
        logits: Of the next token, shape (rows, vocabulary).
        levels: Shape (rows, levels), rows sum to 1.
        weight: Shape (rows,).
        tokens: Token of each level, shape (levels,).
    """
    logp = logits.float().log_softmax(-1)[:, tokens]
    return (weight * -(levels * logp).sum(-1)).mean()


class LevelTrainer(SFTTrainer):
    """TRL's trainer with the level-probability objective.

    Args:
        tokens: Token of each level.
        data_collator: How rows are put together; None = side by side.

    Attributes:
        share: Of the step's rows, those of the batch that is computed.
    """

    share = 1.0
    collates: ClassVar = {False: Beside, True: Behind}

    def __init__(self, *args: Any, tokens: Sequence[int], data_collator: Any = None, **kwargs: Any) -> None:
        pad = kwargs["processing_class"].pad_token_id
        super().__init__(*args, data_collator=data_collator or Beside(pad), **kwargs)
        self.tokens = torch.tensor(list(tokens))
        self.loss_is_scaled_for_ga = False  # the trainer divides by the accumulated batches

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns = list(COLUMNS)

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, **_: Any) -> Any:
        """The loss of a batch; a row's share does not depend on how many tokens it has."""
        levels, weight, ends = inputs.pop("levels"), inputs.pop("weight"), inputs.pop("ends", None)
        out = model(**inputs, use_cache=False, logits_to_keep=1 if ends is None else ends)
        logits = out.logits[:, -1] if ends is None else out.logits[0]
        loss = self.share * level_loss(logits, levels, weight, self.tokens.to(logits.device))
        return (loss, out) if return_outputs else loss
