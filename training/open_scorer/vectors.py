"""Sentence vectors of training texts, kept on disk by the hash of each text: encoding is what takes the time."""

from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from esc_eval.files.writing import fill_folder
from esc_eval.scoring.sentences import load_sentences
from esc_eval.scoring.text_scorer import encode_texts

FILE = "vectors.safetensors"
CHUNK = 2048


def warm_encoder(texts: Iterable[str], cache: Path, told: Callable[[str], None] = lambda _: None) -> None:
    """Let the encoder know the vectors of texts, from the cache where they are there; a stopped call goes on.

    Args:
        texts: Any number, in any order.
        cache: Folder; made if missing. It holds hashes and vectors and no text.
    """
    wanted = sorted(set(texts), key=lambda text: (len(text), text))
    keys = {text: sha256(text.encode("utf-8", "surrogatepass")).digest() for text in wanted}
    kept: dict[bytes, np.ndarray] = {}
    if (cache / FILE).is_file():
        stored = load_file(cache / FILE)
        kept = dict(zip(map(bytes, stored["keys"]), stored["vectors"], strict=True))
    encoder = load_sentences()
    encoder.most += len(keys)
    encoder.known.update({text: kept[key] for text, key in keys.items() if key in kept})
    fresh = [text for text, key in keys.items() if key not in kept]
    for start in range(0, len(fresh), CHUNK):
        part = fresh[start : start + CHUNK]
        kept |= {keys[t]: v for t, v in zip(part, encode_texts(part).astype(np.float32), strict=True)}
        with fill_folder(cache) as folder:
            hashes = np.frombuffer(b"".join(kept), dtype=np.uint8).reshape(-1, 32)
            save_file({"keys": hashes.copy(), "vectors": np.stack(list(kept.values()))}, folder / FILE)
        told(f"{start + len(part)} of {len(fresh)} texts read")
