"""Logs of Inspect as a run folder, and a run folder as logs of Inspect, one a supporter; nothing is lost either way."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4
from zipfile import BadZipFile

from inspect_ai.log import (
    EvalConfig,
    EvalDataset,
    EvalLog,
    EvalMetric,
    EvalPlan,
    EvalPlanStep,
    EvalResults,
    EvalSample,
    EvalScore,
    EvalSpec,
    EvalStats,
    list_eval_logs,
    read_eval_log,
    write_eval_log,
)

from esc_eval.api.progress import OnProgress, Progress, stay_quiet
from esc_eval.api.results import Results
from esc_eval.errors import EscEvalError
from esc_eval.files.names import name_files
from esc_eval.files.records import read_cards
from esc_eval.files.run_folder import CARDS
from esc_eval.inspect_tasks.contents import Contents, join_contents, write_run
from esc_eval.inspect_tasks.scorers import RATINGS, as_score, figures_of
from esc_eval.inspect_tasks.support import CARD, CONTENTS, DIALOGUE, TARGET, as_messages, as_output
from esc_eval.reading import is_file
from esc_eval.schema import Dialogue, Rating, RoleCard
from esc_eval.version import __version__

TASK, SOLVER = "esc_eval/support", "esc_eval/conversation"
ENDINGS = (".eval", ".json")


def write_run_of_logs(
    paths: Sequence[Path], out: Path, epoch: int | None = None, on_progress: OnProgress = stay_quiet
) -> int:
    """Make one run folder of logs of our task; returns the number of dialogues.

    Args:
        paths: Logs, and folders of logs.
        out: The run folder; new or empty.
        epoch: Which one, of logs with several: each has a seed of its own, and so is a run of its own.
        on_progress: Told what the run folder has no place for.

    Raises:
        EscEvalError: Something is no log, or of another task, or the logs are not of one run.
    """
    parts: list[Contents] = []
    dialogues: dict[str, Dialogue] = {}
    ratings: dict[tuple[str, ...], Rating] = {}
    cards: dict[str, RoleCard] = {}
    facts, clashes = [], []
    for path in _find_logs(paths):
        log = _read(path)
        samples = log.samples or []
        if epoch is None and len(epochs := {sample.epoch for sample in samples}) > 1:
            raise EscEvalError(f"{path}: has {len(epochs)} epochs; each is a run of its own: choose one with --epoch N")
        played = [one for one in samples if epoch in (None, one.epoch) and DIALOGUE in one.metadata]
        if not played:
            raise EscEvalError(f"{path}: holds no dialogue that {TASK} has played")
        if whole := (log.eval.metadata or {}).get(CONTENTS):
            parts.append(Contents.model_validate(whole))
        edited = 0
        for sample in played:
            parts.append(Contents.model_validate(sample.metadata[CONTENTS]))
            dialogue = Dialogue.model_validate(sample.metadata[DIALOGUE])
            if dialogues.setdefault(dialogue.id, dialogue) != dialogue:
                clashes.append(f"{path}: dialogue {dialogue.id!r} is not the same as in a log before it")
            if card := sample.metadata.get(CARD):
                cards[card["id"]] = RoleCard.model_validate(card)
            for score in (sample.scores or {}).values():
                about = score.metadata or {}
                edited += bool(score.history)
                for rating in map(Rating.model_validate, about.get(RATINGS, ())):
                    ratings.setdefault((rating.to_json(),), rating)
                if CONTENTS in about:
                    parts.append(Contents.model_validate(about[CONTENTS]))
        facts.append(_describe(path, log, played))
        for sentence in _tell(path, facts[-1], edited):
            on_progress(Progress(message=sentence))
    whole_run = join_contents(parts)  # it says first where two protocols or scorers differ
    if clashes:
        raise EscEvalError(clashes[0])
    write_run(whole_run, list(dialogues.values()), list(ratings.values()), list(cards.values()), facts, out)
    return len(dialogues)


def _find_logs(paths: Iterable[Path]) -> list[Path]:
    found = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
        elif there := [Path(one.name.removeprefix("file://")) for one in list_eval_logs(str(path), descending=False)]:
            found += there
        else:
            raise EscEvalError(f"{path}: holds neither a run nor a log of Inspect (.eval)")
    return found


def _read(path: Path) -> EvalLog:
    if path.suffix not in ENDINGS:
        raise EscEvalError(f"{path}: no log of Inspect; its logs end with {' or '.join(ENDINGS)}")
    if not is_file(path):
        raise EscEvalError(f"{path}: no such log")
    try:
        return read_eval_log(path, resolve_attachments="full")
    except (ValueError, KeyError, OSError, BadZipFile) as error:
        raise EscEvalError(f"{path}: cannot be read as a log of Inspect: {error}") from error


def _describe(path: Path, log: EvalLog, played: Sequence[EvalSample]) -> dict[str, Any]:
    """What run.json says of a log."""
    done = {sample.uuid or (sample.id, sample.epoch) for sample in played}
    others = [one for one in log.samples or [] if (one.uuid or (one.id, one.epoch)) not in done]
    scores = log.results.scores if log.results else []
    ours = {name for s in played for name, score in (s.scores or {}).items() if RATINGS in (score.metadata or {})}
    return {
        "file": path.name,
        "sha256": sha256(path.read_bytes()).hexdigest(),
        "status": log.status,
        "eval": log.eval.model_dump(mode="json", exclude_none=True, exclude={"metadata"}),
        "stats": log.stats.model_dump(mode="json", exclude_none=True),
        "dialogues": len(played),
        "left out": [f"{one.id}, epoch {one.epoch}" for one in others],
        "other scores": {
            score.name: {name: metric.value for name, metric in score.metrics.items()}
            for score in scores
            if score.name not in ours
        },
    }


def _tell(path: Path, facts: Mapping[str, Any], edited: int) -> list[str]:
    found = []
    if others := facts["left out"]:
        found.append(f"{path.name}: {len(others)} samples are not in the run (another epoch, or not played to an end)")
    if names := facts["other scores"]:
        found.append(f"{path.name}: scores of {', '.join(names)} are no ratings; run.json has their metrics")
    if edited:
        found.append(f"{path.name}: {edited} scores were edited in Inspect; the run holds what the scorer gave")
    return found


def write_logs_of_run(folder: Path, out: Path) -> list[Path]:
    """Write a run folder as logs that Inspect shows, one a supporter; returns their paths.

    Raises:
        EscEvalError: The folder is broken, or a log cannot be written.
    """
    results, whole = Results.load(folder), Contents.read(folder)
    cards = {card.id: card for card in read_cards(folder)} if is_file(folder / CARDS) else {}
    rest = whole.without(dialogue.id for dialogue in results.dialogues)
    by_supporter: dict[str, list[Dialogue]] = {}
    for dialogue in results.dialogues:
        by_supporter.setdefault(dialogue.supporter or "unknown", []).append(dialogue)
    stems = name_files(by_supporter)
    now = datetime.now(UTC)
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for supporter, own in by_supporter.items():
        log = _make_log(results, own, supporter, whole, rest, cards, now)
        stem = stems[supporter].replace("_", "-")  # Inspect reads the time, a name and an id between these
        path = out / f"{now:%Y-%m-%dT%H-%M-%S}-00-00_{stem}_{log.eval.task_id}.eval"
        write_eval_log(log, path)
        paths.append(path)
    return paths


def _make_log(
    results: Results,
    dialogues: Sequence[Dialogue],
    supporter: str,
    whole: Contents,
    rest: Contents,
    cards: Mapping[str, RoleCard],
    now: datetime,
) -> EvalLog:
    """The log of one supporter."""
    ids = {dialogue.id for dialogue in dialogues}
    given = [rating for rating in results.ratings if rating.dialogue_id in ids]
    by_rater: dict[str, list[Rating]] = {}
    by_dialogue: dict[str, dict[str, list[Rating]]] = defaultdict(dict)
    for rating in given:
        by_rater.setdefault(rating.rater, []).append(rating)
        by_dialogue[rating.dialogue_id].setdefault(rating.rater, []).append(rating)
    records: dict[str, list[tuple[str, str, int, str]]] = defaultdict(list)
    for row in whole.records:
        if row[1] in ids:
            records[row[1]].append(row)
    wording = Contents(files={path: text for path, text in whole.files.items() if path.startswith("rubrics/")})
    times = Counter(dialogue.card_id for dialogue in dialogues)
    samples = []
    for dialogue in dialogues:
        card = cards.get(dialogue.card_id or "")
        about = {CARD: card.model_dump(mode="json", exclude_none=True)} if card else {}
        own = Contents(records=records[dialogue.id])
        rated = {rater: found for rater in by_rater if (found := by_dialogue[dialogue.id].get(rater))}
        samples.append(
            EvalSample(
                id=dialogue.card_id if dialogue.card_id and times[dialogue.card_id] == 1 else dialogue.id,
                epoch=1,
                input=card.text if card else dialogue.id,
                target=TARGET,
                messages=as_messages(dialogue),
                output=as_output(dialogue),
                scores={rater: as_score(dialogue, found, wording) for rater, found in rated.items()} or None,
                metadata={
                    **about,
                    DIALOGUE: dialogue.model_dump(mode="json", exclude_none=True),
                    CONTENTS: own.model_dump(mode="json"),
                },
                uuid=uuid4().hex,
            )
        )
    stamp = now.isoformat(timespec="seconds")
    return EvalLog(
        status="success",
        eval=EvalSpec(
            eval_id=uuid4().hex,
            run_id=uuid4().hex,
            task_id=uuid4().hex,
            created=stamp,
            task=TASK,
            task_registry_name=TASK,
            task_version=1,
            dataset=EvalDataset(samples=len(samples), sample_ids=[str(sample.id) for sample in samples]),
            model=supporter,
            config=EvalConfig(),
            packages={"esc_eval": __version__},
            metadata={CONTENTS: rest.model_dump(mode="json")},
        ),
        plan=EvalPlan(steps=[EvalPlanStep(solver=SOLVER)]),
        results=EvalResults(
            total_samples=len(samples),
            completed_samples=len(samples),
            scores=[_total(results, dialogues, own_ratings, rater) for rater, own_ratings in by_rater.items()],
        ),
        stats=EvalStats(started_at=stamp, completed_at=stamp),
        samples=samples,
    )


def _total(results: Results, dialogues: Sequence[Dialogue], given: Sequence[Rating], rater: str) -> EvalScore:
    """A rater's figures, as the metric ``levels`` has them."""
    summary = Results(dialogues, given, rubric=results.given_rubric, folder=results.folder).summary
    figures = {name: value for name, value in figures_of(summary).items() if value is not None}
    metrics = {name: EvalMetric(name=name, group="levels", value=value) for name, value in figures.items()}
    rated = len({rating.dialogue_id for rating in given})
    return EvalScore(name=rater, scorer=rater, metrics=metrics, scored_samples=rated)
