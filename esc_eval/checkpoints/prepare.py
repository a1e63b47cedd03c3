"""ESC-RANK made ready: the base as a Llama model and its adapters as Llama adapters, in one folder, once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from esc_eval.checkpoints.adapters import CONFIG, convert_adapter
from esc_eval.checkpoints.convert_once import cache_folder, convert_once
from esc_eval.checkpoints.hub import BASE, ESC_RANK, fetch_checkpoint
from esc_eval.checkpoints.internlm2 import convert_internlm2, llama_config
from esc_eval.checkpoints.shards import SUMS
from esc_eval.checkpoints.tokenizer import default_system
from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import official_dimensions
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json
from esc_eval.languages import known_languages
from esc_eval.schema import digest

MANIFEST = "esc_rank.json"


def adapter_names() -> dict[tuple[str, str], str]:
    """Folder of each (dimension, language), e.g. ``("empathy", "en") -> "empathic_en"``."""
    return {
        (dimension.key, row.code): f"{dimension.adapter}{row.official.adapter}"
        for row in known_languages().values()
        if row.official and row.is_released
        for dimension in official_dimensions()
    }


def prepare_esc_rank(
    adapters: str | Path | None = None,
    base: str | Path | None = None,
    out: str | Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Path:
    """Convert ESC-RANK, or return what was converted before.

    Args:
        adapters: A local copy of the ESC-RANK repository, or a folder made by this function; None = the Hub.
        base: A local copy of internlm2-chat-7b; None = the Hub.
        out: Where the result goes; None = the cache folder, by the sources' fingerprints.
        progress: Told what is being done.

    Returns:
        The folder: ``base``, one folder an adapter, and ``esc_rank.json`` that says what it was made from.

    Raises:
        EscEvalError: Something is missing, damaged, pickled or for another base, or the disk is full.
    """
    if adapters is not None and (Path(adapters) / MANIFEST).is_file():
        return Path(adapters)
    source, base_source = fetch_checkpoint(ESC_RANK, adapters), fetch_checkpoint(BASE, base)
    found = {key: name for key, name in adapter_names().items() if (source / name / CONFIG).is_file()}
    if not found:
        raise EscEvalError(
            f"{source}: no adapters; expected folders {', '.join(adapter_names().values())}, each with {CONFIG}"
        )
    folder = Path(out) if out is not None else _cache_folder(source, base_source)
    if (folder / MANIFEST).is_file():
        return folder
    if folder.exists() and any(folder.iterdir()):
        raise EscEvalError(f"{folder}: not empty and not a prepared ESC-RANK; choose another folder")
    needed = sum(file.stat().st_size for file in base_source.glob("*.safetensors"))
    return convert_once(
        folder, MANIFEST, lambda target: _convert(source, base_source, found, target, folder, progress), needed
    )


def _convert(
    source: Path,
    base_source: Path,
    found: dict[tuple[str, str], str],
    temporary: Path,
    folder: Path,
    progress: Callable[[str], None],
) -> None:
    progress(f"converting {base_source} to an ordinary Llama model (once)")
    (temporary / "base").mkdir()
    base_sums = convert_internlm2(base_source, temporary / "base")
    config = llama_config(read_json_object(base_source / "config.json"), base_source / "config.json")
    sums = {}
    for name in found.values():
        progress(f"converting adapter {name}")
        (temporary / name).mkdir()
        base_path = str((folder / "base").resolve())
        sums[name] = convert_adapter(source / name, temporary / name, config, base_path, BASE.revision)
    manifest: dict[str, Any] = {
        "base": {"repo": BASE.repo, "revision": BASE.revision, "sha256": base_sums},
        "adapters": {"repo": ESC_RANK.repo, "revision": ESC_RANK.revision, "sha256": sums},
        "system": default_system(base_source),
    }
    write_json(temporary / MANIFEST, manifest)


def _cache_folder(source: Path, base_source: Path) -> Path:
    entries = [
        [str(file.relative_to(root)), file.stat().st_size, file.stat().st_mtime_ns]
        for root in (source, base_source)
        for file in sorted(root.rglob("*"))
        if file.is_file() and (file.suffix in {".safetensors", ".json", ".model", ".py"} or file.name == SUMS)
    ]
    return cache_folder() / f"ESC-RANK-{digest(entries)[:16]}"
