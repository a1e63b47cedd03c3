"""ESC-RANK, from recipe to checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import numpy as np

from dataset_builder.rows.splits import SCHEMES
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.checkpoints.hub import BASE
from esc_eval.checkpoints.judge_card import FILE, JudgeCard
from esc_eval.checkpoints.plain import plain_base
from esc_eval.checkpoints.prepare import adapter_names
from esc_eval.errors import EscEvalError
from esc_eval.files.official_dimensions import OUR_RUBRIC
from esc_eval.files.text import read_json_object
from esc_eval.prompts.protocol import Message
from esc_eval.prompts.wording import fill_template
from esc_eval.schema import digest
from esc_eval.scoring.score import judge_prompts
from model_cards.checkpoint import RECIPE, TRAINING, TrainingData
from training.common import checkpoint, sft
from training.common.config import load_recipe
from training.common.cost import find_anatomy, lines_of
from training.common.rows import Row, make_rows
from training.common.work import Load
from training.rank import data as rank_data
from training.rank.data import TEST, TRAIN, VALIDATION, RankSet, balance_rows
from training.rank.level_loss import LevelRow, LevelTrainer, Questions, level_dataset, level_rows
from training.rank.recipe import RankRecipe


@dataclass(frozen=True)
class Asked:
    """Which questions are learnt from: dialogue and dimension (indices), and weight of each; and what was kept out."""

    rows: tuple[tuple[int, int, float], ...]
    held_out: str


def choose_rows(recipe: RankRecipe, ranked: RankSet) -> Asked:
    """The questions of a recipe.

    Dialogues are taken in the order of a seeded hash; of each, the recipe's number of dimensions, in turn.

    Raises:
        EscEvalError: The split cannot be made, or nothing is left.
    """
    data, seed = recipe.data, recipe.optimise.seed
    parts = np.where(np.isnan(ranked.labels[..., 0]), rank_data.NOWHERE, TRAIN)
    held_out = "nothing"
    if data.split != "none":
        given = data.held_out
        held: str | Mapping[str, Sequence[str]] | None
        held = {", ".join(given): given} if isinstance(given, tuple) else given
        placed = rank_data.place_items(ranked, data.split, data.split, 0, [held])
        [parts] = placed.folds
        [manifest] = placed.manifests
        whole = SCHEMES[data.split].unit == "dialogue"
        count = f"{(parts == TEST).any(axis=1).sum()} dialogues" if whole else f"{(parts == TEST).sum()} ratings"
        [named] = placed.held_out
        what = f" ({named})" if named else ""
        held_out = f"{count}: test of {data.split}{what}, sha256 {manifest['sha256'][:16]}"
    learnt = np.isin(parts, (TRAIN, VALIDATION))
    order = sorted(
        np.flatnonzero(learnt.any(axis=1)).tolist(),
        key=lambda i: sha256(f"esc-rank\n{seed}\n{ranked.dialogues[i].id}".encode()).hexdigest(),
    )[: data.dialogues]
    pairs, turn = [], 0
    for i in order:
        asked = np.flatnonzero(learnt[i]).tolist()
        asks = min(data.asks or len(asked), len(asked))
        pairs += [(i, asked[(turn + k) % len(asked)]) for k in range(asks)]
        turn += asks
    if not pairs:
        raise EscEvalError(f"{recipe.name}: no rated dialogue is left to learn from")
    weights = np.ones(len(pairs))
    columns = np.array([j for _, j in pairs])
    levels = np.array([ranked.levels[i, j] for i, j in pairs])
    for j in np.unique(columns):
        own = columns == j
        weights[own] = balance_rows(levels[own], ranked.labels.shape[2], data.cap)
    if ranked.say is not None:
        weights *= ranked.say[[i for i, _ in pairs]]
        weights /= weights.mean()
    return Asked(tuple((i, j, float(w)) for (i, j), w in zip(pairs, weights, strict=True)), held_out)


def train_rank(
    recipe: RankRecipe,
    ranked: RankSet,
    out: Path,
    report_to: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
    only: Sequence[str] = (),
) -> None:
    """Train a recipe into a folder that ``esc-eval evaluate --scorer`` opens.

    With an adapter for each dimension and language the folder holds one folder for each; those that are finished are
    left as they are.

    Args:
        only: Of one adapter for each dimension and language: these, e.g. ``empathic_en``.

    Raises:
        EscEvalError: Data, base or memory are missing; the message says which and what to do.
    """
    asked = choose_rows(recipe, ranked)
    if recipe.adapters == "one":
        if only:
            raise EscEvalError(f"--only {only[0]}: {recipe.name} has one adapter for all (adapters: one)")
        _train(recipe, ranked, asked, out, out, report_to, progress)
        _tell_use(recipe, out, progress)
        return
    parts = by_adapter(ranked, asked)
    if unknown := set(only) - set(parts):
        raise EscEvalError(f"--only {sorted(unknown)[0]}: no such adapter; there is: {', '.join(parts)}")
    for name, part in parts.items():
        own = recipe.model_copy(update={"name": f"{recipe.name}-{name}"})
        if only and name not in only:
            continue
        if _is_finished(own, ranked, out / name):
            progress(f"{name}: finished before")
            continue
        progress(name)
        _train(own, ranked, part, out / name, out, report_to, progress)
    _tell_use(recipe, out, progress)


def _tell_use(recipe: RankRecipe, out: Path, progress: Callable[[str], None]) -> None:
    if sft.count_processes().is_main_process:
        for line in checkpoint.describe_use(out, "rank", recipe.data.rubric):
            progress(line)


def by_adapter(ranked: RankSet, asked: Asked) -> dict[str, Asked]:
    """The questions of each dimension and language, by the adapter's name: as the release calls it, where it has it."""
    released = adapter_names() if ranked.rubric.name == OUR_RUBRIC else {}
    found: dict[str, list[tuple[int, int, float]]] = {}
    for i, j, weight in asked.rows:
        key, language = ranked.rubric.keys[j], ranked.dialogues[i].language
        name = released.get((key, language), f"{key}_{language}")
        found.setdefault(name, []).append((i, j, weight))
    return {name: Asked(tuple(rows), asked.held_out) for name, rows in found.items()}


def _is_finished(recipe: RankRecipe, ranked: RankSet, out: Path) -> bool:
    """Whether a folder holds what this recipe makes of these data; what another made is refused in ``_train``."""
    if not checkpoint.is_finished(out):
        return False
    record = read_json_object(out / TRAINING)
    return load_recipe(out / RECIPE, RankRecipe) == recipe and record["data"]["files"] == _files(ranked)


def _files(ranked: RankSet) -> dict[str, str]:
    return {ranked.rubric.id: ranked.sha256}


def _train(
    recipe: RankRecipe,
    ranked: RankSet,
    asked: Asked,
    out: Path,
    work: Path,
    report_to: Sequence[str],
    progress: Callable[[str], None],
) -> None:
    checkpoint.refuse_taken(out)
    opened = _opened(recipe, work)
    sft.find_targets(recipe.adapter, opened.model)
    encoder = Encoder(opened.tokenizer, recipe.base.model)
    made = make_questions(recipe, ranked, asked, encoder)
    data = use_of(ranked, made.rows, asked.held_out)
    state = sft.count_processes()
    if state.is_main_process:
        checkpoint.claim_folder(out, recipe, data.sha256)
        progress(f"{len({r.origin for r in made.rows})} dialogues, {len(made.rows)} questions, {data.tokens} tokens")
        progress(f"{made.left_out} do not fit into {recipe.optimise.max_length} tokens; kept out: {asked.held_out}")
    state.wait_for_everyone()
    if recipe.objective == "levels":
        rows, trainer = level_dataset(made.rows), LevelTrainer
        finished = sft.train_adapter(
            recipe, opened, rows, out, report_to=report_to, trainer_class=trainer, tokens=made.tokens
        )
    else:
        finished = sft.train_adapter(recipe, opened, sft.dataset_of(made.rows), out, report_to=report_to)
    if state.is_main_process:
        make_judge_card(recipe, ranked, asked).save(out / FILE)
        base = checkpoint.describe_base(recipe.base)
        checkpoint.finish_checkpoint(
            out, "rank", recipe, data, finished, base=base, seed=recipe.seed, rubric=ranked.rubric.id
        )


def make_judge_card(recipe: RankRecipe, ranked: RankSet, asked: Asked) -> JudgeCard:
    """What a judge that was asked these questions may be asked in scoring."""
    columns = {j for _, j, _ in asked.rows}
    return JudgeCard(
        rubric=ranked.rubric.id,
        rubric_sha256=ranked.rubric.sha256,
        dimensions=tuple(key for j, key in enumerate(ranked.rubric.keys) if j in columns),
        languages=tuple(sorted({ranked.dialogues[i].language for i, _, _ in asked.rows})),
        answers=recipe.objective,
    )


def make_questions(recipe: RankRecipe, ranked: RankSet, asked: Asked, encoder: Encoder) -> Questions:
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
        answer = fill_template(recipe.answer, level=ranked.rubric.levels[ranked.levels[i, j]], name=name)
        said: Message = {"role": "assistant", "content": answer}
        conversation = [*judge_prompts(dialogue, ranked.rubric)[j], said]
        made = make_rows(
            encoder, conversation, recipe.optimise.max_length, "turn", f"{dialogue.id}|{key}", ranked.source
        )
        rows += made.rows
        left_out += made.left_out
    return Questions(tuple(rows), (), left_out)


def _opened(recipe: RankRecipe, work: Path) -> sft.Opened:
    """The base, ready to learn; InternLM2 as a Llama model, named as the Hub has it."""
    base, attention = recipe.base, sft.choose_attention(recipe)
    if base.model != BASE.repo:
        return sft.open_base(base, work, attention)
    plain = base.model_copy(update={"model": str(plain_base(base.revision)), "revision": None})
    return replace(sft.open_base(plain, work, attention), named=(base.model, base.revision))


def estimate_rank_cost(recipe: RankRecipe, ranked: RankSet, out: Path, tflops: float | None = None) -> str:
    """What a recipe would take, in lines for people; nothing is trained.

    Args:
        tflops: As of ``lines_of``.
    """
    lines = [f"{recipe.name}: {ranked.source} ({ranked.license}), rubric {ranked.rubric.id}"]
    asked = choose_rows(recipe, ranked)
    lines.append(f"{len({i for i, _, _ in asked.rows})} dialogues, {len(asked.rows)} questions; out: {asked.held_out}")
    tokenizer, told = sft.tokenizer_on_disk(recipe.base, out)
    made = make_questions(recipe, ranked, asked, Encoder(tokenizer, recipe.base.model))
    lengths = [len(row.ids) for row in made.rows]
    lines += told
    lines.append(f"{sum(lengths)} tokens, the longest question {max(lengths)}; {made.left_out} questions do not fit")
    scored = sum(row.learnt if isinstance(row, Row) else 1 for row in made.rows)
    lines += lines_of(recipe, find_anatomy(recipe, out), Load.of(lengths, scored), tflops)
    return "\n".join(lines) + "\n"


def use_of(ranked: RankSet, rows: Sequence[LevelRow | Row], held_out: str) -> TrainingData:
    """What goes into training.json."""
    return TrainingData(
        sha256=digest([[r.levels, r.weight, r.ids] if isinstance(r, LevelRow) else [r.labels, r.ids] for r in rows]),
        sources=ranked.used([row.origin.partition("|")[0] for row in rows]),
        rows=len(rows),
        tokens=sum(len(row.ids) for row in rows),
        held_out=held_out,
        files=_files(ranked),
    )
