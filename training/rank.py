"""ESC-RANK, from recipe to checkpoint."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory

import numpy as np
from filelock import FileLock

from esc_eval.chat import embedded
from esc_eval.chat.encoder import Encoder
from esc_eval.checkpoints.hub import BASE, Source, fetch
from esc_eval.checkpoints.internlm2 import convert_internlm2
from esc_eval.errors import EscEvalError
from esc_eval.schema import digest
from esc_eval.score import prompts
from esc_eval.wording import fill
from training import checkpoint, rank_data, sft
from training.config import Base
from training.level_loss import LevelRow, LevelTrainer, Questions, level_dataset, level_rows
from training.outlook import lines_of, shape_of
from training.rank_data import TEST, TRAIN, VALIDATION, RankSet, balanced
from training.rank_recipe import RankRecipe, TextRecipe
from training.rows import Row, make


@dataclass(frozen=True)
class Asked:
    """Which questions are learnt from: dialogue and dimension (indices), and weight of each; and what was kept out."""

    rows: tuple[tuple[int, int, float], ...]
    held_out: str


def choose(recipe: RankRecipe, ranked: RankSet) -> Asked:
    """The questions of a recipe.

    Dialogues are taken in the order of a seeded hash; of each, the recipe's number of dimensions, in turn.

    Raises:
        EscEvalError: The split cannot be made, or nothing is left.
    """
    data, seed = recipe.data, recipe.optimise.seed
    parts = np.where(np.isnan(ranked.labels[..., 0]), rank_data.NOWHERE, TRAIN)
    held_out = "nothing"
    if data.split != "none":
        placed = rank_data.place(ranked, data.split, data.split, 0, [data.held_out])
        [parts] = placed.folds
        [manifest] = placed.manifests
        count = int((parts == TEST).any(axis=1).sum())
        what = f" ({data.held_out})" if data.held_out else ""
        held_out = f"{count} dialogues: test of {data.split}{what}, sha256 {manifest['sha256'][:16]}"
    learnt = np.isin(parts, (TRAIN, VALIDATION))
    order = sorted(
        np.flatnonzero(learnt.any(axis=1)).tolist(),
        key=lambda i: sha256(f"esc-rank\n{seed}\n{ranked.dialogues[i].id}".encode()).hexdigest(),
    )[: data.dialogues]
    pairs, turn = [], 0
    for i in order:
        columns = np.flatnonzero(learnt[i]).tolist()
        count = min(data.asks or len(columns), len(columns))
        pairs += [(i, columns[(turn + k) % len(columns)]) for k in range(count)]
        turn += count
    if not pairs:
        raise EscEvalError(f"{recipe.name}: no rated dialogue is left to learn from")
    weights = np.ones(len(pairs))
    columns = np.array([j for _, j in pairs])
    levels = np.array([ranked.levels[i, j] for i, j in pairs])
    for j in np.unique(columns):
        own = columns == j
        weights[own] = balanced(levels[own], ranked.labels.shape[2], data.cap)
    return Asked(tuple((i, j, float(w)) for (i, j), w in zip(pairs, weights, strict=True)), held_out)


def train(
    recipe: RankRecipe,
    ranked: RankSet,
    out: Path,
    report_to: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
    only: Sequence[str] = (),
) -> None:
    """Train a recipe into a folder that ``esc-eval evaluate --scorer`` opens, or into one for each adapter.

    Args:
        only: Of one adapter for each dimension and language: these, e.g. ``empathy_en``.

    Raises:
        EscEvalError: Data, base or memory are missing; the message says which and what to do.
    """
    asked = choose(recipe, ranked)
    if recipe.adapters == "one":
        _train(recipe, ranked, asked, out, report_to, say)
        return
    parts = by_adapter(ranked, asked)
    if unknown := set(only) - set(parts):
        raise EscEvalError(f"--only {sorted(unknown)[0]}: no such adapter; there is: {', '.join(parts)}")
    for name, part in parts.items():
        if not only or name in only:
            say(name)
            own = recipe.model_copy(update={"name": f"{recipe.name}-{name}"})
            _train(own, ranked, part, out / name, report_to, say)


def by_adapter(ranked: RankSet, asked: Asked) -> dict[str, Asked]:
    """The questions of each dimension and language, by the adapter's name: ``DIMENSION_LANGUAGE``."""
    found: dict[str, list[tuple[int, int, float]]] = {}
    for i, j, weight in asked.rows:
        name = f"{ranked.rubric.keys[j]}_{ranked.dialogues[i].language}"
        found.setdefault(name, []).append((i, j, weight))
    return {name: Asked(tuple(rows), asked.held_out) for name, rows in found.items()}


def _train(
    recipe: RankRecipe,
    ranked: RankSet,
    asked: Asked,
    out: Path,
    report_to: Sequence[str],
    say: Callable[[str], None],
) -> None:
    checkpoint.refuse_taken(out)
    opened = sft.open_base(_plain(recipe.base), out)
    sft.check_targets(recipe.adapter, opened.model)
    encoder = Encoder(opened.tokenizer, recipe.base.model)
    made = make_rows(recipe, ranked, asked, encoder)
    data = use_of(ranked, made.rows, asked.held_out)
    state = sft.processes()
    if state.is_main_process:
        checkpoint.claim(out, recipe, data.sha256)
        say(f"{len({r.origin for r in made.rows})} dialogues, {len(made.rows)} questions, {data.tokens} tokens")
        say(f"{made.left_out} do not fit into {recipe.optimise.max_length} tokens; kept out: {asked.held_out}")
    state.wait_for_everyone()
    if recipe.objective == "levels":
        more = {"trainer_class": LevelTrainer, "tokens": made.tokens}
        finished = sft.train(recipe, opened, level_dataset(made.rows), out, report_to=report_to, **more)
    else:
        finished = sft.train(recipe, opened, sft.dataset_of(made.rows), out, report_to=report_to)
    if state.is_main_process:
        checkpoint.finish(out, "rank", recipe, data, finished, rubric=ranked.rubric.id)
        rmtree(out / sft.STATES, ignore_errors=True)


def make_rows(recipe: RankRecipe, ranked: RankSet, asked: Asked, encoder: Encoder) -> Questions:
    """The recipe's questions as tokens, with what is to be learnt of each.

    Raises:
        EscEvalError: None fits, or a level is not one token (objective ``levels``).
    """
    if recipe.objective == "levels":
        made = level_rows(ranked, asked.rows, encoder, recipe.optimise.max_length)
    else:
        made = text_rows(recipe, ranked, asked, encoder)
    if not made.rows:
        raise EscEvalError(f"{recipe.name}: no question fits: give the recipe a larger optimise.max_length")
    return made


def text_rows(recipe: RankRecipe, ranked: RankSet, asked: Asked, encoder: Encoder) -> Questions:
    """Questions answered in words; the loss is on the answer only. Where raters differ: the commonest, lowest level."""
    rows: list[Row] = []
    left_out = 0
    for i, j, _ in asked.rows:
        dialogue, key = ranked.dialogues[i], ranked.rubric.keys[j]
        name = ranked.rubric.text(dialogue.language).dimensions[key].name
        answer = fill(recipe.answer, level=ranked.rubric.levels[ranked.levels[i, j]], name=name)
        conversation = [*prompts(dialogue, ranked.rubric)[j], {"role": "assistant", "content": answer}]
        made = make(encoder, conversation, recipe.optimise.max_length, "turn", f"{dialogue.id}|{key}", ranked.source)
        rows += made.rows
        left_out += made.left_out
    return Questions(tuple(rows), (), left_out)


def _plain(base: Base) -> Base:
    """InternLM2 as the ordinary Llama model that it can be written as: its own code does not run any more."""
    if base.model != BASE.repo:
        return base
    folder = embedded.cache_folder() / f"internlm2-chat-7b-llama-{(base.revision or '')[:8]}"
    if not (folder / "config.json").is_file():
        source = fetch(Source(BASE.repo, base.revision or BASE.revision))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")), TemporaryDirectory(dir=folder.parent) as temporary:
            if not (folder / "config.json").is_file():
                made = Path(temporary) / "base"
                made.mkdir()
                convert_internlm2(source, made)
                made.rename(folder)
    return base.model_copy(update={"model": str(folder), "revision": None})


def outlook(recipe: RankRecipe | TextRecipe, ranked: RankSet, out: Path, tflops: float | None = None) -> str:
    """What a recipe would take, in lines for people; nothing is trained.

    Args:
        tflops: As of ``outlook.lines_of``.
    """
    lines = [f"{recipe.name}: {ranked.source} ({ranked.license}), rubric {ranked.rubric.id}"]
    if isinstance(recipe, TextRecipe):
        lines.append(f"{len(ranked.dialogues)} dialogues, {int((ranked.levels >= 0).sum())} ratings; minutes, no GPU")
        return "\n".join(lines) + "\n"
    asked = choose(recipe, ranked)
    lines.append(f"{len({i for i, _, _ in asked.rows})} dialogues, {len(asked.rows)} questions; out: {asked.held_out}")
    try:
        tokenizer = sft.tokenizer_of(recipe.base, out)
    except EscEvalError as error:
        lines.append(f"tokens, memory and hours need the base's tokenizer: {error}")
        return "\n".join(lines) + "\n"
    made = make_rows(recipe, ranked, asked, Encoder(tokenizer, recipe.base.model))
    lengths = [len(row.ids) for row in made.rows]
    lines.append(f"{sum(lengths)} tokens, the longest question {max(lengths)}; {made.left_out} questions do not fit")
    lines += lines_of(recipe, shape_of(recipe, out), sum(lengths), len(lengths), tflops)
    return "\n".join(lines) + "\n"


def use_of(ranked: RankSet, rows: Sequence[LevelRow | Row], held_out: str) -> checkpoint.DataUse:
    """What goes into training.json."""
    conversations = len({row.origin.partition("|")[0] for row in rows})
    return checkpoint.DataUse(
        sha256=digest([[r.levels, r.weight, r.ids] if isinstance(r, LevelRow) else [r.labels, r.ids] for r in rows]),
        sources=(checkpoint.SourceUse(ranked.source, ranked.license, conversations, len(rows), ranked.about),),
        rows=len(rows),
        tokens=sum(len(row.ids) for row in rows),
        held_out=held_out,
        files={ranked.rubric.id: ranked.sha256},
    )
