"""The work that ``benchmarks.growth`` measures: what the verbs do, in this process."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.growth_inputs import say_ok

ROUNDS = 5


@dataclass(frozen=True)
class Job:
    """One piece of work.

    Attributes:
        size: Of what its stage varies.
        given: Folder with the inputs.
        out: An empty folder.
    """

    size: int
    given: Path
    out: Path


@dataclass(frozen=True)
class Prepared:
    """What is to be measured, after a preparation that is not."""

    work: Callable[[], object]


def simulate_scripted(job: Job, rounds: int = ROUNDS) -> None:
    """Play cards with scripted models on both sides."""
    import esc_eval

    script = f"scripted:{job.given / 'script.json'}"
    esc_eval.simulate(f"m={script}", job.given / "cards.jsonl", seeker=script, rounds=rounds, out=job.out / "run")


def simulate_again(job: Job) -> None:
    """The same call on a run that has all."""
    simulate_scripted(replace(job, out=job.given))


def simulate_function(job: Job) -> None:
    """Play cards with a Python function as the supporter."""
    import esc_eval

    script = f"scripted:{job.given / 'script.json'}"
    esc_eval.simulate(say_ok, job.given / "cards.jsonl", seeker=script, rounds=ROUNDS, out=job.out / "run")


def simulate_rounds(job: Job) -> None:
    """So many rounds of few cards with scripted models."""
    simulate_scripted(job, rounds=job.size)


def simulate_engine(job: Job) -> None:
    """So many rounds with a small transformer of random weights on both sides, replies of a fixed length."""
    import torch

    from benchmarks.shapes import build
    from esc_eval.chat.engine.hf import HFModel
    from esc_eval.files.records import read_cards
    from esc_eval.prompts.protocol import Generation, load_protocol
    from esc_eval.simulation.plan import Plan
    from esc_eval.simulation.run import Run
    from esc_eval.simulation.simulate import play_plan

    torch.set_num_threads(1)
    weights = build("tiny", job.out / "model", torch.device("cpu"), "float32")
    model = HFModel(str(job.out / "model"), dtype="float32", weights=weights, batch_size=8, stands_for="benchmark")
    model.stops = set()
    fixed = Generation(max_new_tokens=32, temperature=0.0)
    protocol = load_protocol().model_copy(update={"rounds": job.size, "seeker": fixed, "supporter": fixed})
    with Run(job.out / "run") as run:
        play_plan(Plan(protocol, list(read_cards(job.given / "cards.jsonl")), model, [model]), run)


def score_text(job: Job) -> None:
    """Rate with the text scorer that is shipped."""
    import esc_eval

    esc_eval.score(job.given / "dialogues.jsonl", out=job.out / "run")


def score_function(job: Job, judges: int = 1) -> None:
    """Rate with Python functions as judges."""
    import esc_eval

    esc_eval.score(job.given / "dialogues.jsonl", {f"judge-{n}": say_ok for n in range(judges)}, out=job.out / "run")


def score_judges(job: Job) -> None:
    """Rate with so many judges."""
    score_function(job, judges=job.size)


def report_run(job: Job) -> None:
    """Write every file of a report."""
    import esc_eval

    esc_eval.report(job.given, out=job.out)


def compare_run(job: Job) -> None:
    """Compare supporters."""
    import esc_eval

    esc_eval.compare(job.given)


def agree(job: Job) -> None:
    """Agreement of raters with intervals, as the verb ``agreement`` does it."""
    from esc_eval.files.ratings_table import read_table
    from esc_eval.reporting.agreement import agreement_report
    from esc_eval.statistics.bootstrap import Bootstrap

    agreement_report(read_table([job.given], None, pairs=True), Bootstrap())


def start_view(job: Job) -> Any:
    """All that ``view`` does before it serves."""
    from esc_eval.view.app import make_view
    from esc_eval.view.collection import Collection

    collection = Collection.open([job.given])
    assert collection.boards
    return make_view(collection)


def open_pages(job: Job) -> Prepared:
    """Each page once, after the start: boards, list, a search, a dialogue, two side by side, rounds."""
    from starlette.testclient import TestClient

    app = start_view(job)

    def ask() -> None:
        client = TestClient(app, base_url="http://127.0.0.1")
        key = app.state.viewer.collection.entries[-1].key
        for page in ("/", "/dialogues", "/dialogues?find=needle+haystack", f"/dialogues/{key}", "/side-by-side"):
            assert client.get(page).status_code == 200, page

    return Prepared(ask)


def open_rounds(job: Job) -> Prepared:
    """The page on rounds, which is computed when it is first asked for."""
    from starlette.testclient import TestClient

    app = start_view(job)

    def ask() -> None:
        assert TestClient(app, base_url="http://127.0.0.1").get("/rounds").status_code == 200

    return Prepared(ask)


def build_run(job: Job) -> None:
    """Build a dataset of a run."""
    from dataset_builder.build import Inputs, build_dataset

    build_dataset(Inputs(runs=[job.given]), job.out / "built")


def build_cards(job: Job) -> None:
    """Build a dataset of role cards alone."""
    from dataset_builder.build import Inputs, build_dataset

    build_dataset(Inputs(cards=[job.given / "cards.jsonl"]), job.out / "built")


def check_built(job: Job) -> Prepared:
    """Check a build that is there."""
    from dataset_builder.check.build import check_build

    build_run(job)

    def check() -> None:
        assert not (found := check_build(job.out / "built")), found[0]

    return Prepared(check)


def export_run(job: Job) -> None:
    """Write official files."""
    from esc_eval.api.workflow import export_official

    export_official(job.given, job.out / "official")


def merge_parts(job: Job) -> None:
    """Merge run folders."""
    import esc_eval

    esc_eval.merge(sorted(job.given.glob("part-*")), job.out / "whole")
