"""Kill commands at random moments, run each again, and compare what lies there with what an unkilled command leaves.

Run as a script: everything is imported once, and every attempt is a fork of that. A moment is either an access to a
file (the process kills itself just before the n-th one) or a point in time. Prints JSON: kills, and what went wrong.
"""

import csv
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

from typer.testing import CliRunner

EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.scandir", "os.listdir"}
KEPT_APART = ("ledger.sqlite3", ".lock")
"""Files of a run folder whose bytes tell when something happened."""
DONE, REFUSED, FAILED = 0, 2, 1
Files = dict[str, bytes]


@dataclass(frozen=True)
class Scenario:
    """A command that writes.

    Attributes:
        prepare: Fills an empty folder with what the command needs.
        work: The command, in that folder.
        check: What must hold right after a kill, given the folder and the files before and after the whole command; a
            sentence where it does not.
    """

    prepare: Callable[[Path], None]
    work: Callable[[Path], None]
    check: Callable[[Path, Files, Files], str | None] = lambda folder, before, after: None


def files_of(folder: Path) -> Files:
    """The content of every file under a folder, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(KEPT_APART)
    }


def run_child(work: Callable[[Path], None], folder: Path, *, at: int | None = None, report: Path | None = None) -> int:
    """Fork, work, end; returns the child's process id.

    Args:
        at: Kill itself before this access to a file of the folder; None = never.
        report: Where to write the number of accesses and, after an error, its traceback.
    """
    if child := os.fork():
        return child
    seen, own = 0, str(folder)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if event in EVENTS and any(str(value).startswith(own) for value in arguments if value is not None):
            seen += 1
            if seen == at:
                os.kill(os.getpid(), signal.SIGKILL)

    code, said = DONE, ""
    try:
        sys.addaudithook(watch)
        work(folder)
    except BaseException as error:  # noqa: BLE001 - the child ends here
        code = REFUSED if type(error).__name__ == "EscEvalError" else FAILED
        said = traceback.format_exc()
    if report is not None:
        report.write_text(json.dumps([seen, said]), encoding="utf-8")
    os._exit(code)


def exit_code(child: int) -> int:
    """How a child ended; a negative number is a signal's."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_repeatedly(name: str, scenario: Scenario, kills: int, work: Path, rng: random.Random) -> list[str]:
    """Kill a scenario so many times; returns what went wrong."""
    template, report = work / f"{name}.template", work / "report.json"
    template.mkdir()
    scenario.prepare(template)
    before, folder = files_of(template), work / name
    shutil.copytree(template, folder)
    began = time.perf_counter()
    if exit_code(run_child(scenario.work, folder, report=report)) != DONE:
        return [f"{name}: fails unkilled: {json.loads(report.read_text())[1]}"]
    seconds, accesses = time.perf_counter() - began, json.loads(report.read_text())[0]
    after, problems, done = files_of(folder), [], 0
    while done < kills and not problems:
        shutil.rmtree(folder)
        shutil.copytree(template, folder)
        by_access = done % 3 != 2
        at = rng.randint(1, accesses) if by_access else None
        pause = rng.uniform(0, seconds)
        child = run_child(scenario.work, folder, at=at, report=report)
        if not by_access:
            time.sleep(pause)
            os.kill(child, signal.SIGKILL)
        if exit_code(child) != -signal.SIGKILL:
            continue  # it was faster
        done += 1
        moment = f"{name}: killed {f'before access {at} of {accesses}' if by_access else f'after {pause:.3f} s'}"
        if wrong := scenario.check(folder, before, after):
            problems.append(f"{moment}: {wrong}")
        code = exit_code(run_child(scenario.work, folder, report=report))
        found = files_of(folder)
        if code == FAILED or found != after:
            names = sorted(n for n in found.keys() | after.keys() if found.get(n) != after.get(n))
            problems.append(f"{moment}: the same command ends with {code} and others: {names}\n{report.read_text()}")
    return problems


# --- what is killed


def invoke(app: object, *arguments: object) -> None:
    """Run a verb; a refusal raises EscEvalError."""
    from esc_eval.errors import EscEvalError

    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exit_code == 2:
        raise EscEvalError(result.stderr)
    if result.exit_code:
        raise RuntimeError(result.output) from result.exception


def build(folder: Path) -> None:
    from dataset_builder.build import Inputs, build_dataset

    build_dataset(Inputs(seed=2), folder / "data")


def build_earlier(folder: Path) -> None:
    from dataset_builder.build import Inputs, build_dataset

    build_dataset(Inputs(seed=1), folder / "data")


def one_build_is_whole(folder: Path, before: Files, after: Files) -> str | None:
    """Whether the earlier or the new build is there, whole, in its place or aside."""
    places = [folder / "data", *folder.glob(".esc-eval-before-*")]
    found = [{f"data/{name}": data for name, data in files_of(p).items()} for p in places if p.is_dir()]
    return None if any(files in (before, after) for files in found) else f"no whole build in {sorted(folder.iterdir())}"


def no_part_of_a_build(folder: Path, before: Files, after: Files) -> str | None:
    """Whether the build is there whole or not at all."""
    found = {name: data for name, data in files_of(folder).items() if name.startswith("data/")}
    return None if found in ({}, after) else f"a part of a build: {sorted(found)}"


def prepare_roles(folder: Path) -> None:
    (folder / "sources" / "esconv").mkdir(parents=True)
    talks = [{"dialog": [{"text": f"Ferry {i} left without me.", "speaker": "usr"}]} for i in range(3)]
    (folder / "sources" / "esconv" / "train.txt").write_text("\n".join(map(json.dumps, talks)) + "\n")
    card = {"Age": "52", "Gender": "Male", "Occupation": "Ferryman", "Problem": "His boat is gone, he cannot work."}
    (folder / "writer.json").write_text(json.dumps([json.dumps(card)]))
    (folder / "judge.json").write_text(json.dumps([json.dumps({"decision": "keep", "reason": "one trouble"})]))
    roles(folder)
    sheet = folder / "work" / "review.csv"
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))[:2]  # the third is new when the sheet is written again
    rows[0] |= {"decision": "keep", "quality": "high", "reason": "mine", "reviewer": "jo"}
    with (folder / "filled.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    shutil.rmtree(folder / "work")


def roles(folder: Path) -> None:
    from dataset_builder.__main__ import app

    work = folder / "work"
    models = {name: f"scripted:{folder / name}.json" for name in ("writer", "judge")}
    invoke(app, "roles", "extract", "--sources", folder / "sources", "--work", work, "--model", models["writer"])
    invoke(app, "roles", "filter", "--work", work, "--model", models["judge"])
    if (folder / "filled.csv").exists() and not (work / "review.csv").exists():
        os.link(folder / "filled.csv", work / "review.csv")  # a person's sheet, there at once
    invoke(app, "roles", "sheet", "--work", work)
    if (folder / "filled.csv").exists():
        invoke(app, "roles", "review", work / "review.csv", "--work", work)
        invoke(app, "roles", "export", "--work", work, "--cards", folder / "cards.jsonl", "--tiers", folder / "t.csv")


def prepare_release_parts(folder: Path) -> None:
    from checkpoint_support import make_checkpoint

    build(folder)
    for kind in ("role", "rank"):
        make_checkpoint(folder / kind, kind)


def release(folder: Path) -> None:
    from release.prepare import prepare_release

    prepare_release(folder / "data", folder / "role", folder / "rank", folder / "out", draft=True)


def prepare_ratings(folder: Path) -> None:
    rng = random.Random(3)
    rows = [f"d{d},r{r},empathy,{rng.randint(0, 4)},c{d}" for d in range(12) for r in range(2)]
    (folder / "ratings.csv").write_text("\n".join(["dialogue_id,rater,dimension,score,card_id", *rows]) + "\n")
    said = [{"role": "seeker", "text": "I cannot sleep."}, {"role": "supporter", "text": "Since when?"}]
    talks = [
        {"id": f"d{d}", "language": "en", "turns": said, "supporter": "abc"[d % 3], "card_id": f"c{d // 3}"}
        for d in range(12)
    ]
    (folder / "dialogues.jsonl").write_text("".join(json.dumps(talk) + "\n" for talk in talks))


def analysis(folder: Path) -> None:
    from analysis.__main__ import app

    files = [x for form in ("json", "markdown", "latex") for x in (f"--{form}", folder / "found" / f"a.{form}")]
    invoke(app, "agreement", folder / "ratings.csv", "--draws", "100", *files)
    raters = ("--rater", "r", "--rater", "s")
    invoke(app, "plan", folder / "dialogues.jsonl", *raters, "--out", folder / "found" / "plan.csv")


def train(folder: Path) -> None:
    from rank_support import rated_set

    from training.rank.recipe import TextRecipe
    from training.rank.text_scorer import train_text_scorer

    data = {"rubric": "ieval", "method": "length only"}
    named = {"kind": "text-rank", "name": "toy", "about": "toy", "languages": ["en"]}
    recipe = TextRecipe.model_validate({**named, "data": data, "alpha": 1})
    train_text_scorer(recipe, rated_set(people=3), folder / "scorer")


SCENARIOS = {
    "build": (10, Scenario(lambda folder: None, build, no_part_of_a_build)),
    "rebuild": (30, Scenario(build_earlier, build, one_build_is_whole)),
    "roles": (20, Scenario(prepare_roles, roles)),
    "release": (15, Scenario(prepare_release_parts, release)),
    "analysis": (10, Scenario(prepare_ratings, analysis)),
    "training": (15, Scenario(lambda folder: None, train)),
}


def main(seed: int) -> None:
    """Kill every scenario, and print what happened."""
    import release.prepare
    import training.rank.text_scorer
    from dataset_builder.describe import croissant

    croissant.has_mlcroissant = lambda: False  # slow, and one file like the others
    release.prepare.find_refusals = lambda *_: []
    release.prepare.run_git = lambda *_: "0" * 40
    training.rank.text_scorer.time = SimpleNamespace(perf_counter=lambda: 0.0)  # else the record tells how long it took
    rng, problems = random.Random(seed), []
    with TemporaryDirectory() as name:
        for scenario, (kills, what) in SCENARIOS.items():
            problems += kill_repeatedly(scenario, what, kills, Path(name).resolve(), rng)
    print(json.dumps({"kills": sum(kills for kills, _ in SCENARIOS.values()), "problems": problems}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
