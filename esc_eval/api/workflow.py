"""What the other verbs do with a run: read its answers again, fit, weigh, export."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from esc_eval.api.progress import OnProgress, Progress, stay_quiet
from esc_eval.api.rate import load_dialogues, load_ratings
from esc_eval.errors import EscEvalError
from esc_eval.escaping import escape_cell, put_on_one_line
from esc_eval.files import official
from esc_eval.files.names import name_files
from esc_eval.files.preferences import format_preferences, read_preferences
from esc_eval.files.records import read_dialogues, read_ratings, write_official
from esc_eval.files.run_folder import PREFERENCES, RATINGS, is_run_folder, read_run_ratings
from esc_eval.files.writing import write_jsonl, write_whole
from esc_eval.reading import is_file, read_json
from esc_eval.reporting.making import group_reasons
from esc_eval.reporting.render import show_estimate
from esc_eval.schema import Dialogue, Rating
from esc_eval.scoring import calibration
from esc_eval.scoring import ensemble as ensembles
from esc_eval.scoring.monotone import FEWEST_CARDS
from esc_eval.scoring.parsers import reparse_ratings
from esc_eval.scoring.rating_checks import rubric_of
from esc_eval.simulation.unfinished import describe_stage, read_run, refresh_runs

PREFERENCES_TABLE = "preferences.csv"


def run_reparse(folder: Path, rubric: str | None, parser: str, on_progress: OnProgress = stay_quiet) -> Path:
    """Read a run's raw answers by another rule into ``ratings-PARSER.jsonl``; no model is asked.

    Each rating is read by the levels of the rubric that it carries.
    """
    ratings: list[Rating] = []
    count = 0
    for _, group in groupby(read_ratings(folder), lambda rating: rating.rubric):
        before = list(group)
        after, read = reparse_ratings(before, rubric_of(before, rubric, folder).marks, parser)
        ratings, count = ratings + after, count + read
    if not count:
        raise EscEvalError(f"{folder}: no rating has a raw answer; those of level probabilities have nothing to parse")
    path = folder / f"ratings-{parser}.jsonl"
    write_jsonl(path, ratings)
    unscored = sum(rating.unscored for rating in ratings)
    on_progress(Progress(message=f"{count} of {len(ratings)} ratings read by the {parser} rule; {unscored} unscored"))
    return path


def run_calibration(ratings: Sequence[Path], labels: Sequence[Path], out: Path, rubric: str | None, seed: int) -> str:
    """Fit maps and temperatures, save them, and return tables of what they change."""
    refresh_runs(ratings)
    runs = [path for path in ratings if is_run_folder(path)]
    cards = {d.id: d.card_id for run in runs for d in read_dialogues(run) if d.card_id}
    given = load_ratings(ratings)
    levels = rubric_of(given, rubric, next(iter(runs), None)).levels
    fitted = calibration.fit_calibration(given, load_ratings(labels), levels, seed, cards)
    fitted.save(out)
    lines = ["dimension\tn\tcards\tshape\terror\tcalibrated\tmean alone\tgain [95%]\tgain over the mean [95%]"]
    for name, m in (fitted.maps or {}).items():
        errors = "\t".join(f"{error:.3f}" for error in m.error)
        gains = f"{show_estimate(m.gain)}\t{show_estimate(m.gain_over_mean)}"
        lines.append(f"{_cell(name)}\t{m.n}\t{m.clusters}\t{m.shape}\t{errors}\t{gains}")
    lines += describe_left(fitted)
    if few := [name for name in dict.fromkeys(rating.dimension for rating in given) if name not in (fitted.maps or {})]:
        names = ", ".join(map(_cell, few))
        lines.append(f"not fitted, under {FEWEST_CARDS} role cards with both a score and people's level: {names}")
    if not fitted.dimensions:
        return "\n".join(lines) + "\n"
    lines += ["", "dimension\tn\ttemperature\tlog loss\tcalibrated\theld-out gain [95%]\tcalibration error\tcalibrated"]
    for name, d in fitted.dimensions.items():
        lines.append(
            f"{_cell(name)}\t{d.n}\t{d.temperature:.3f}\t{d.log_loss[0]:.3f}\t{d.log_loss[1]:.3f}\t{show_estimate(d.held_out_gain)}"
            f"\t{d.calibration_error[0]:.3f}\t{d.calibration_error[1]:.3f}"
        )
    return "\n".join(lines) + "\n"


def describe_left(fitted: calibration.Calibration) -> list[str]:
    """Sentences where a fit leaves dimensions as the judge gives them, and where it is worse there than people's mean;
    none where it bends all.
    """
    left = [_cell(name) for name, one in (fitted.maps or {}).items() if one.left]
    worse = [_cell(name) for name, one in (fitted.maps or {}).items() if one.worse_than_mean]
    said = [
        f"no gain: left as it is: {', '.join(left)}. A map is written only where it is closer to people on cards that "
        "it was not fitted to: by two standard errors than the judge, and by one than people's mean alone."
    ] * bool(left)
    return said + [
        f"{name}: the judge's levels as given are further from people's than their mean is." for name in worse
    ]


def apply_calibration(ratings: Sequence[Path], fit: Path, on_progress: OnProgress = stay_quiet) -> str:
    """Ratings bent to people's by a fit, as JSON Lines; what it leaves as it is is said."""
    fitted = calibration.Calibration.load(fit)
    for sentence in describe_left(fitted):
        on_progress(Progress(message=sentence))
    return "".join(rating.to_json() + "\n" for rating in fitted.bend(load_ratings(ratings)))


def run_ensemble(
    ratings: Sequence[Path],
    labels: Sequence[Path],
    out: Path,
    dialogues: Sequence[Path],
    rubric: str | None,
    seed: int,
) -> str:
    """Fit weights, save them, and return a table of weights and held-out errors."""
    refresh_runs(ratings)
    runs = [path for path in ratings if is_run_folder(path)]
    known = [*load_dialogues(dialogues), *(dialogue for run in runs for dialogue in read_dialogues(run))]
    cards = {dialogue.id: dialogue.card_id for dialogue in known if dialogue.card_id} or None
    given = load_ratings(ratings)
    levels = rubric_of(given, rubric, next(iter(runs), None)).levels
    fitted = ensembles.fit_ensemble(given, load_ratings(labels), levels, cards, seed)
    fitted.save(out)
    lines = ["dimension\tn\tcards\trater\tweight\theld-out error [95%]"]
    for name, d in fitted.dimensions.items():
        for rater, error in d.error.items():
            weight = f"{d.weights[rater]:.3f}" if rater in d.weights else "-"
            lines.append(f"{_cell(name)}\t{d.n}\t{d.clusters}\t{_cell(rater)}\t{weight}\t{show_estimate(error)}")
    return "\n".join(lines) + "\n"


def _cell(name: str) -> str:
    return escape_cell(put_on_one_line(name))


def apply_ensemble(ratings: Sequence[Path], weights: Path) -> str:
    """Ratings of the ensemble, as JSON Lines."""
    fitted = ensembles.Ensemble.load(weights)
    return "".join(rating.to_json() + "\n" for rating in fitted.apply(load_ratings(ratings)))


def export_official(folder: Path, out: Path, on_progress: OnProgress = stay_quiet) -> list[Path]:
    """Write a run as official result and score files, one a supporter, language and rater; return their paths.

    Where several seekers played, each has files of its own, SUPPORTER-SEEKER: the format knows none.
    Preferences, which the format does not know, go into preferences.csv, as ``rate --pairwise`` writes them.

    A card that was played again with a supporter goes into a file of its own, SUPPORTER-2 and so on: the format knows
    cards by their place in the file.

    A file that is there may only grow: by the dialogues that the run has played since it was written.

    Beside ratings that have an official form, those under another rubric are left out, and it is said.

    Dialogues that ended early are written as far as they go, with -1 for scores: the format has no place for a reason.

    Raises:
        EscEvalError: The run is broken, its ratings have no official form, or a file is there that says something
            else; nothing was written then.
    """
    card = read_run(folder)
    dialogues = read_dialogues(folder)
    for sentence in describe_stage(card, (dialogue.id for dialogue in dialogues)):
        on_progress(Progress(message=sentence))
    given = read_run_ratings(folder)
    ratings = list(filter(official.has_official_rubric, given)) or given
    official.check_official_form(ratings)
    for code in {dialogue.language for dialogue in dialogues}:
        official.official_names(code)
    files: dict[Path, Any] = {}
    labels = _label_repetitions(dialogues)
    stems = name_files(labels.values())
    rater_stems = name_files(rating.rater for rating in ratings)

    def kind(dialogue: Dialogue) -> tuple[str, str]:
        return labels[dialogue.id], dialogue.language

    kinds = {dialogue.id: kind(dialogue) for dialogue in dialogues}
    rated: dict[tuple[str, str], dict[str, list[Rating]]] = defaultdict(dict)
    for rating in ratings:
        if rating.dialogue_id in kinds:
            rated[kinds[rating.dialogue_id]].setdefault(rating.rater, []).append(rating)
    for (supporter, language), group in groupby(sorted(dialogues, key=kind), key=kind):
        chosen = list(group)
        name = f"{stems[supporter]}_{official.official_names(language).suffix}.json"
        content = official.dialogues_to_official(chosen)
        keys = dict(zip((dialogue.id for dialogue in chosen), content, strict=True))
        files[out / "result" / name] = content
        by_rater = rated[supporter, language]
        for rater, own in by_rater.items():
            score_folder = out / "score" if len(by_rater) == 1 else out / "score" / rater_stems[rater]
            files[score_folder / name] = official.ratings_to_official(own, keys)
    for path, data in files.items():
        _refuse_other(path, data)
    for path, data in files.items():
        write_official(path, data)
    if is_file(folder / PREFERENCES):
        files[out / PREFERENCES_TABLE] = None
        write_whole(out / PREFERENCES_TABLE, [format_preferences(read_preferences(folder), dialogues)])
    if ended := [why for dialogue in dialogues if (why := dialogue.problem or dialogue.too_long)]:
        on_progress(
            Progress(
                message=f"{len(ended)} of {len(dialogues)} dialogues ended early and are written as far as they go, "
                f"with -1 for scores that they have not: {group_reasons(ended)}"
            )
        )
    if others := Counter(rating.rubric for rating in given if not official.has_official_rubric(rating)):
        each = ", ".join(f"{n} under {rubric}" for rubric, n in others.items())
        on_progress(
            Progress(message=f"ratings that have no official form stay in the run's own {RATINGS} alone: {each}")
        )
    if unscored := [r.problem or "" for r in ratings if r.score is None]:
        on_progress(
            Progress(
                message=f"{len(unscored)} of {len(ratings)} ratings are unscored and written as -1: "
                f"{group_reasons(unscored)}"
            )
        )
    return list(files)


def _label_repetitions(dialogues: Sequence[Dialogue]) -> dict[str, str]:
    """The supporter of each dialogue, by its id; with its seeker where several played in its language, and a number
    where it plays a card again that has no official key.
    """
    times: Counter[tuple[str, str]] = Counter()
    names = {dialogue.supporter for dialogue in dialogues}
    seekers = Counter(language for language, _ in {(dialogue.language, dialogue.seeker) for dialogue in dialogues})
    labels = {}
    for dialogue in dialogues:
        label = dialogue.supporter or "unknown"
        if seekers[dialogue.language] > 1:
            label = f"{label}-{dialogue.seeker or 'unknown'}"
        if dialogue.card_id is not None and dialogue.key is None:
            times[label, dialogue.card_id] += 1
            if (again := times[label, dialogue.card_id]) > 1:
                label = f"{label}-{again}"
                label += "-again" if label in names else ""
        labels[dialogue.id] = label
    return labels


def _refuse_other(path: Path, content: Mapping[str, Any]) -> None:
    """Leave an official file alone that holds anything else than what is about to be written.

    Raises:
        EscEvalError: It does.
    """
    if not is_file(path):
        return
    there = read_json(path)
    if not isinstance(there, dict) or any(content.get(key) != value for key, value in there.items()):
        raise EscEvalError(f"{path}: is there and holds something else; move it away, or choose another --out")
