"""Every reader of files, a small valid input for each, and damage of every kind: what comes out is all records or a
sentence.

``python -m reader_fuzz --cases 100000 --seed 1 --out docs/fuzz.json`` (``make fuzz``) writes what was tried and what
crashed; a case is made from the seed and its number alone, so that ``--first 4711 --cases 1`` makes it again.
"""

import argparse
import csv
import io
import json
import random
import signal
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from made_identity import simulation_identity

from esc_eval.errors import EscEvalError

Files = dict[str, bytes]
HANG = 300
"""Seconds after which a reader counts as stuck; a busy machine may leave one without the processor for long."""


@dataclass(frozen=True)
class Reader:
    """A reader.

    Attributes:
        files: A valid input, by the names of its files in a folder.
        read: Reads the folder; returns the number of records, or None where there is no such number.
        damaged: Those of the files that are damaged.
        records: How many records a file holds, told from its bytes without the reader; None where that is not told.
    """

    files: Files
    read: Callable[[Path], int | None]
    damaged: tuple[str, ...]
    records: Callable[[bytes], int | None] = lambda _: None


def as_json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()


def as_lines(values: list) -> bytes:
    return "".join(json.dumps(value) + "\n" for value in values).encode()


def as_csv(rows: list[dict]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def as_yaml(value: object) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode()


def as_parquet(rows: list[dict]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


def count_lines(data: bytes) -> int | None:
    marks = {b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encoding = next((encoding for mark, encoding in marks.items() if data.startswith(mark)), "utf-8-sig")
    try:
        text = data.decode(encoding, "surrogateescape")
    except UnicodeDecodeError:
        return None
    return sum(bool(line.strip()) for line in text.split("\n"))


def count_items(data: bytes) -> int | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return len(value) if isinstance(value, list | dict) else None


@cache
def readers() -> dict[str, Reader]:
    import made_rated

    from analysis.rated import convert_set
    from analysis.studies.automatic import read_references
    from analysis.studies.ieval import BOTS, OVERALL, SCALES, SIDES, read_ieval
    from analysis.studies.manifests import read_split
    from analysis.studies.real import read_conversations
    from dataset_builder.describe.manifest import read_manifest
    from dataset_builder.roles.records import Extraction
    from dataset_builder.roles.review import read_sheet
    from dataset_builder.rows.annotations import read_annotations
    from dataset_builder.rows.dialogues import run_batch
    from dataset_builder.rows.role_cards import apply_tiers
    from dataset_builder.sources import SOURCES, parse_file
    from esc_eval import languages
    from esc_eval.api.results import Results
    from esc_eval.chat.backends.scripted import ScriptedModel
    from esc_eval.checkpoints.judge_card import JudgeCard
    from esc_eval.checkpoints.shards import Shards
    from esc_eval.cli.ratings_options import read_groups
    from esc_eval.files.metric_scores import read_scores
    from esc_eval.files.ratings_table import read_table
    from esc_eval.files.records import read_cards, read_dialogues, read_ratings
    from esc_eval.prompts import protocol, rubric
    from esc_eval.prompts.kept import kept_rubric
    from esc_eval.reading import parse_yaml, read_text
    from esc_eval.scoring.calibration import Calibration
    from esc_eval.scoring.ensemble import Ensemble
    from esc_eval.scoring.text_scorer import TextScorer
    from esc_eval.simulation import roster
    from model_cards.checkpoint import read_checkpoint
    from training.rank.recipe import load_any
    from training.role.data import read_role_play

    root = Path(__file__).resolve().parents[2]
    cards = [
        {"id": f"c{n}", "language": "en", "text": f"Age: {n}0\nProblem: lost keys", "source": "esc-eval sample"}
        for n in range(1, 4)
    ]
    official_cards = [
        {"base": "Age: 30", "res": "家庭生活", "source": "ExTES", "base_biaozhu": "", "language": "english", "id": n}
        for n in range(3)
    ]
    turns = [
        {"role": "supporter", "text": "Hello", "finish_reason": "scripted"},
        {"role": "seeker", "text": "I lost my keys, twice.", "seed": 7},
        {"role": "supporter", "text": "Oh no 😢"},
    ]
    talks = [
        {"id": f"d{n}", "language": "en", "turns": turns, "card_id": "c1", "supporter": f"m{n % 2}"} for n in range(3)
    ]
    official_talks = {str(n): ["AI assistant：Hello", "ESC-Role：I lost my keys", "AI assistant：Oh"] for n in range(3)}
    marks = [
        {"dialogue_id": f"d{n}", "dimension": key, "rater": "ana", "rater_kind": "human", "rubric": "esc-eval/1"}
        | {"score": n + 1}
        for n in range(3)
        for key in ("empathy", "fluency")
    ]
    official_marks = {str(n): {"fluency": 3, "empathic": -1, "tech": n} for n in range(3)}
    table = [{key: mark[key] for key in ("dialogue_id", "rater", "dimension", "score")} for mark in marks]
    words = {"system": "Rate.", "dialogue": "{dialogue}", "ask": "{name}", "lead": "Score:", "seeker": "A"}
    own_rubric = {
        "name": "mine",
        "version": "1",
        "levels": [0, 1, 2],
        "dimensions": [{"key": "warmth", "paper": "Warmth"}],
        "texts": {
            "en": words
            | {"supporter": "B", "dimensions": {"warmth": {"name": "W", "question": "?", "levels": ["a", "b", "c"]}}}
        },
    }
    own_protocol = {
        "name": "mine",
        "version": "1",
        "rounds": 2,
        "supporter_sees_opening": True,
        "seeker": {"max_new_tokens": 9},
        "supporter": {"temperature": 0.5},
        "texts": {"en": {"seeker": "{card}", "opening": "Hello", "supporter": "Help."}},
    }
    entry = {"name": "m", "group": "open", "languages": ["en"], "reach": "transformers", "id": "a/b"}
    own_roster = {"name": "mine", "source": "nobody", "models": [entry, entry | {"name": "n"}]}
    fitted = {"temperature": 1.5, "n": 12, "log_loss": [1.0, 0.9], "calibration_error": [0.1, 0.05]}
    calibration = {"rater": "j", "rubric": "esc-eval/1", "levels": [0, 1], "dimensions": {"empathy": fitted}}
    weights = {"weights": {"a": 0.5, "b": 0.5}, "offset": 0.0, "shrinkage": 1.0, "n": 10, "clusters": 5, "error": {}}
    ensemble = {"judges": ["a", "b"], "rubric": "esc-eval/1", "levels": [0, 1], "dimensions": {"empathy": weights}}
    scale = {"centre": 1.0, "slope": 1.0, "thresholds": [0.5], "cuts": [0.5]}
    text_scorer = {
        "name": "t",
        "rubric": "mine/1",
        "rubric_sha256": "0",
        "levels": [0, 1],
        "dimensions": {"warmth": scale},
        "rule": "spread",
        "blocks": [{"kind": "length", "centre": [3.0], "scale": [1.0]}],
    }
    labelled = {"labels": "0", "seed": 0}
    judge = {"rubric": "esc-eval/1", "rubric_sha256": "0", "dimensions": ["empathy"], "languages": ["en"]}
    identity = simulation_identity(supporters={"m0": {"revision": "y"}})
    run_card = {"simulation": {"identity": identity}, "scorings": {}, "version": "0"}
    header = json.dumps({"weights": {"dtype": "F32", "shape": [1, 1], "data_offsets": [0, 4]}}).encode()
    tensors = len(header).to_bytes(8, "little") + header + b"\0\0\x80?"
    sources: dict[str, dict[str, bytes]] = {
        "esconv": {
            "train.txt": as_lines(
                [
                    {
                        "situation": "keys",
                        "dialog": [{"speaker": "usr", "text": "Hi"}, {"speaker": "sys", "text": "Oh", "strategy": "Q"}],
                        "survey_score": {"seeker": {"empathy": "4", "relevance": ""}, "supporter": {"relevance": "3"}},
                    }
                ]
                * 3
            ),
            "ESConv.json": as_json(
                [{"dialog": [{"speaker": "seeker", "annotation": {"feedback": "4"}, "content": "Hi"}]}] * 3
            ),
        },
        "extes": {
            "ExTES.json": as_json(
                [{"scene": "s", "description": "d", "content": [{"User": "Hi"}, {"AI": "Oh", "AI Strategy": "Q"}]}] * 3
            ),
            "alpaca.jsonl": as_lines([{"instruction": "a", "output": "b", "history": [["c", "d"]]}] * 2),
        },
        "epitome": {
            "explorations-reddit.csv": as_csv(
                [
                    {"sp_id": "a", "rp_id": "b", "seeker_post": "My cat, twice", "response_post": "Oh"}
                    | {"level": "1", "rationales": "Oh|"}
                ]
                * 3
            )
        },
        "psych8k": {
            "pairs.json": as_json([{"instruction": "i", "input": "q", "output": "a"}] * 3),
            "question.jsonl": as_lines([{"question_id": n, "category": "c", "turns": ["q"]} for n in range(3)]),
        },
        "mhp": {
            "task_data.csv": as_csv(
                [
                    {"post_id": "p", "comment_id": "c", "author_type": "mhp", "subreddit": "s"}
                    | {"post_text": "q", "comment_text": "a"}
                ]
                * 3
            ),
            "subreddit_topics.csv": as_csv([{"subreddit": "s", "topic": "t"}]),
        },
        "psyqa": {
            "PsyQA_example.json": as_json(
                [
                    {
                        "questionID": 1,
                        "question": "问",
                        "description": "d",
                        "answers": [{"answer_text": "回答", "labels_sequence": [{"start": 0, "end": 1, "type": "t"}]}],
                    }
                ]
                * 3
            )
        },
        "smile": {"1.json": as_json([{"role": "client", "content": "问"}, {"role": "counselor", "content": "答"}])},
    }
    chat = dict.fromkeys(SCALES, 3) | dict.fromkeys(OVERALL, 2) | {"chat_log": "- Hi\n- Hello\n"}
    tasks = [{"part": 1} | {side: dict.fromkeys(BOTS, chat) for side in SIDES}]
    training = {
        "kind": "rank",
        "name": "n",
        "version": "0",
        "recipe_sha256": "0",
        "data": {"sha256": "0", "rows": 3},
        "seed": 0,
    }

    def rubric_of(folder: Path) -> None:
        rubric._load.cache_clear()
        rubric.load_rubric(folder / "mine.yaml")

    def protocol_of(folder: Path) -> None:
        protocol._load.cache_clear()
        protocol.load_protocol(folder / "mine.yaml")

    def roster_of(folder: Path) -> None:
        roster.load_roster.cache_clear()
        roster.load_roster(str(folder / "mine.yaml"))

    def source(key: str, name: str) -> Callable[[Path], int]:
        return lambda folder: len(list(parse_file(key, folder / name)))

    def rated(name: str) -> Callable[[Path], None]:
        def read(path: Path) -> None:
            convert_set(name, path, path.parent / "out")

        return read

    def sheet(folder: Path) -> int:
        made = Extraction(
            id="a", source="esconv", language="en", input_sha256="0", model="m", answer="k", text="Age: 30"
        )
        decided, waiting = read_sheet(folder / "review.csv", {"a": made})
        return len(decided) + waiting

    def tiers(folder: Path) -> None:
        row = {"id": "c1", "category": None, "tier_status": None}
        apply_tiers([row], folder / "tiers.csv")

    def run_folder(folder: Path) -> None:
        Results.load(folder)
        kept_rubric(folder, "mine/1")
        read_table([folder])
        run_batch(folder)

    def of(name: str, content: bytes, read: Callable[[Path], int | None], count: Callable = lambda _: None) -> Reader:
        return Reader({name: content}, lambda folder: read(folder / name), (name,), count)

    found = {
        "cards": of("cards.jsonl", as_lines(cards), lambda path: len(read_cards(path)), count_lines),
        "official cards": of("cards.json", as_json(official_cards), lambda p: len(read_cards(p)), count_items),
        "dialogues": of("dialogues.jsonl", as_lines(talks), lambda path: len(read_dialogues(path)), count_lines),
        "official dialogues": of(
            "llama3_en.json", as_json(official_talks), lambda p: len(read_dialogues(p)), count_items
        ),
        "ratings": of("ratings.jsonl", as_lines(marks), lambda path: len(read_ratings(path)), count_lines),
        "official scores": of(
            "llama3_en.json", as_json(official_marks), lambda p: len({r.dialogue_id for r in read_ratings(p)}) and None
        ),
        "ratings as CSV": of("r.csv", as_csv(table), lambda path: len(read_ratings(path))),
        "annotations": of("r.csv", as_csv(table), lambda path: len(read_annotations(path))),
        "ratings table": of("r.csv", as_csv(table), lambda path: len(read_table([path]).frame)),
        "ratings table of JSON Lines": of(
            "r.jsonl", as_lines(table), lambda path: len(read_table([path]).frame), count_lines
        ),
        "ratings table of Parquet": of("r.parquet", as_parquet(table), lambda path: len(read_table([path]).frame)),
        "metric scores": of(
            "m.csv",
            as_csv([{"dialogue_id": f"d{n}", "length": n, "bleu": 0.5} for n in range(3)]),
            lambda path: len(read_scores([path])),
        ),
        "groups": of(
            "g.csv", as_csv([{"model": "m", "group": "open"}] * 2), lambda path: len(read_groups(path)) and None
        ),
        "references": of(
            "r.jsonl", as_lines([{"dialogue_id": f"d{n}", "reference": "x"} for n in range(3)]), read_references
        ),
        "role play": of(
            "p.jsonl",
            as_lines([{"dialogue": [{"role": "a", "text": "x"}, {"role": "b", "text": "y"}]}] * 3),
            lambda path: len(list(read_role_play(path))) and None,
        ),
        "real conversations": of(
            "real.json", sources["esconv"]["ESConv.json"], lambda path: len(read_conversations(path, "en")) and None
        ),
        "FED": of("fed.json", as_json(made_rated.FED), rated("fed")),
        "USR": of("usr.json", as_json(made_rated.USR), rated("usr")),
        "ConTurE": of("data.json", as_json(made_rated.CONTURE), rated("conture")),
        "DUO": of("ed_en.jsonl", as_lines(made_rated.DUO), rated("duo")),
        "iEval": of("ieval.json", as_json(tasks), lambda path: len(read_ieval(path).dialogues) and None),
        "review sheet": of(
            "review.csv",
            as_csv([{"id": "a", "card": "Age: 30\nProblem: p", "decision": "keep", "quality": "high", "reason": "x"}]),
            lambda path: sheet(path.parent),
        ),
        "tiers": of(
            "tiers.csv",
            as_csv([{"card_id": "c1", "problem_type": "x", "confidence": "0.5", "status": "proposed"}]),
            lambda path: tiers(path.parent),
        ),
        "rubric": of("mine.yaml", as_yaml(own_rubric), lambda path: rubric_of(path.parent)),
        "protocol": of("mine.yaml", as_yaml(own_protocol), lambda path: protocol_of(path.parent)),
        "roster": of("mine.yaml", as_yaml(own_roster), lambda path: roster_of(path.parent)),
        "recipe": of(
            "smoke.yaml",
            (root / "training/recipes/esc_rank/smoke.yaml").read_bytes(),
            lambda path: load_any(path) and None,
        ),
        "config": of(
            "options.yaml",
            as_yaml({"limit": 4, "supporter": ["a", "b"], "seed": 0}),
            lambda path: parse_yaml(read_text(path), path) and None,
        ),
        "language": Reader(
            {"xx/language.yaml": as_yaml({"code": "xx", "name": "Made", "card": None, "overlap": {"size": 3}})},
            lambda folder: languages._read_row(folder / "xx") and None,
            ("xx/language.yaml",),
        ),
        "calibration": of("c.json", as_json(calibration | labelled), lambda p: Calibration.load(p) and None),
        "ensemble": of("e.json", as_json(ensemble | labelled), lambda p: Ensemble.load(p) and None),
        "judge card": of("rates.json", as_json(judge | {"answers": "levels"}), lambda p: JudgeCard.load(p) and None),
        "text scorer": Reader(
            {"text_scorer.json": as_json(text_scorer), "text_scorer.safetensors": tensors},
            lambda folder: TextScorer(folder) and None,
            ("text_scorer.json", "text_scorer.safetensors"),
        ),
        "weights": of("model.safetensors", tensors, lambda path: Shards(path.parent) and None),
        "weights index": Reader(
            {
                "model.safetensors.index.json": as_json({"weight_map": {"weights": "model-1.safetensors"}}),
                "model-1.safetensors": tensors,
            },
            lambda folder: Shards(folder) and None,
            ("model.safetensors.index.json",),
        ),
        "checkpoint": Reader(
            {
                "training.json": as_json(training),
                "metrics.json": as_json({"accuracy": {"value": 0.5, "n": 3}}),
                "log.jsonl": as_lines([{"loss": 1.0}, {"loss": 0.5}]),
            },
            lambda folder: read_checkpoint(folder) and None,
            ("training.json", "metrics.json", "log.jsonl"),
        ),
        "script": of(
            "s.json", as_json({"replies": ["a", "b"], "seconds": 0.0}), lambda path: ScriptedModel(path) and None
        ),
        "manifest": of(
            "manifest.json", as_json({"schema": 1, "counts": {}}), lambda p: read_manifest(p.parent) and None
        ),
        "split": of(
            "split.json",
            as_json(
                {"scheme": "s", "seed": 0, "sha256": "0", "splits": {"train": ["a"], "validation": [], "test": []}}
            ),
            lambda path: read_split(path) and None,
        ),
        "run folder": Reader(
            {
                "cards.jsonl": as_lines(cards),
                "dialogues.jsonl": as_lines(talks),
                "ratings.jsonl": as_lines(marks),
                "run.json": as_json(run_card),
                "rubrics/mine-1.yaml": as_yaml(own_rubric),
            },
            run_folder,
            ("cards.jsonl", "dialogues.jsonl", "ratings.jsonl", "run.json", "rubrics/mine-1.yaml"),
        ),
        "run folder in official form": Reader(
            {"dialogues_m.json": as_json(official_talks), "scores_m.json": as_json(official_marks)},
            lambda folder: run_batch(folder) and None,
            ("dialogues_m.json", "scores_m.json"),
        ),
    }
    for key, files in sources.items():
        assert key in SOURCES
        for name in files:
            if name != "subreddit_topics.csv":
                count = count_lines if name.endswith((".jsonl", ".txt")) else lambda _: None
                found[f"source {key}, {name}"] = Reader(
                    files, source(key, name), (name,) if key != "mhp" else tuple(files), count
                )
    return found


TOKENS = (
    b"\0", b'"', b"{", b"}", b"[", b"]", b",", b";", b"\t", b":", b"\r", b"\n", b"\r\n", b"\n\n", b"'", b"|", b"-",
    b"#", b"\xef\xbb\xbf", b"\xff\xfe", b"\xe9", b"\xc3", b"\xed\xa0\x80", b"\\ud800", b'"\\ud83d"', b"\\u0000",
    b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"2.5", b"3.0", "３".encode(), b"9" * 5000, b"9" * 400,
    b"[" * 5000, b"{" * 200, b'{"a":' * 3000, b"- " * 2000, b"&a [*a]", b"&a x", b"*a", b"!!binary aGk=",
    b"!!python/name:os.system", b"2024-01-01", b"<<: {a: 1}", b"? [a]", b"yes", b"no: 1", b"1:2:3", b"0x", b"=",
    b"<<", b"%YAML 9", b"---\n", b"...\n", b"sep=;\n", b"=HYPERLINK(1)", b"x" * 70000, b"{}", b"[]", b"''",
)  # fmt: skip
VALUES = (
    None, True, False, 0, -1, 1, 2.5, 3.0, 10**30, -(10**400), 1e308, float("nan"), float("inf"), "", " ", "3", "３",
    "2,67", "\ud800", "a\0b", "x" * 5000, "2024-01-01", [], {}, [[]], [None], {"a": 1}, {"": {}}, ["a", 1],
    "../../x", "no", "9" * 5000,
)  # fmt: skip


def damage(data: bytes, dice: random.Random) -> bytes:
    """The bytes with one to four kinds of damage."""
    for _ in range(dice.choice((1, 1, 1, 2, 3, 4))):
        data = dice.choice(DAMAGES)(data, dice)
    return data


def flip(data: bytes, dice: random.Random) -> bytes:
    if not data:
        return data
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << dice.randrange(8))]) + data[at + 1 :]


def cut(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randint(0, len(data))]


def remove(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + data[at + dice.choice((1, 1, 2, 5, 20)) :]


def insert(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.choice(TOKENS) + data[at:]


def insert_bytes(data: bytes, dice: random.Random) -> bytes:
    at = dice.randint(0, len(data))
    return data[:at] + dice.randbytes(dice.randint(1, 4)) + data[at:]


def replace_word(data: bytes, dice: random.Random) -> bytes:
    """A word, number or text by something else."""
    import re

    spots = [match.span() for match in re.finditer(rb'"(?:[^"\\\n]|\\.)*"|[\w.+-]+', data)]
    if not spots:
        return data
    start, end = dice.choice(spots)
    return data[:start] + dice.choice(TOKENS) + data[end:]


def shuffle_lines(data: bytes, dice: random.Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if not lines:
        return data
    at = dice.randrange(len(lines))
    match dice.randrange(4):
        case 0:
            lines.insert(at, lines[at])
        case 1:
            del lines[at]
        case 2:
            lines.insert(dice.randint(0, len(lines)), lines.pop(at))
        case 3:
            lines[at] = lines[at].rstrip(b"\r\n") + dice.choice((b",", b";", b",,", b",x", b"\t", b" ")) + b"\n"
    return b"".join(lines)


def encode_anew(data: bytes, dice: random.Random) -> bytes:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return data
    encoding = dice.choice(("utf-16", "utf-16-le", "utf-32", "utf-32-be", "gb18030", "big5", "latin-1", "utf-8-sig"))
    return text.encode(encoding, "replace")


def change_node(data: bytes, dice: random.Random) -> bytes:
    """A part of JSON, JSON Lines, YAML or Parquet by another value, doubled or removed."""
    lines = data.splitlines(keepends=True)
    try:
        value, at = json.loads(data), None
    except (ValueError, RecursionError):
        at = dice.randrange(len(lines)) if lines else None
        try:
            value = json.loads(lines[at]) if at is not None else None
        except (ValueError, RecursionError):
            return change_other(data, dice)
    value = changed(value, dice)
    try:
        text = json.dumps(value).encode("utf-8", "surrogatepass")
    except (ValueError, RecursionError):
        return data
    return text if at is None else b"".join([*lines[:at], text + b"\n", *lines[at + 1 :]])


def change_other(data: bytes, dice: random.Random) -> bytes:
    if data[:4] == b"PAR1":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(io.BytesIO(data)).to_pylist()
            for _ in range(2):
                column = dice.choice(sorted(rows[0]))
                filler = dice.choice(VALUES)
                for row in rows:
                    row[column] = filler
            return as_parquet(rows)
        except (pa.ArrowException, OSError, ValueError, TypeError, LookupError, OverflowError):
            return data
    if b": " in data and len(data) < 20_000 and b"," not in data.split(b"\n", 1)[0]:
        try:
            return yaml.safe_dump(changed(yaml.safe_load(data), dice), sort_keys=False).encode()
        except (yaml.YAMLError, ValueError, RecursionError, AttributeError, TypeError, LookupError, OverflowError):
            return data
    return data


def changed(value: object, dice: random.Random) -> object:
    node, way = value, []
    while isinstance(node, dict | list) and node and (not way or dice.random() < 0.75):
        step = dice.choice(list(node)) if isinstance(node, dict) else dice.randrange(len(node))
        way.append((node, step))
        node = node[step]
    if not way:
        return dice.choice(VALUES)
    holder, step = way[-1]
    match dice.randrange(4):
        case 0 if isinstance(holder, dict):
            holder[dice.choice(("", "id", "é", "x" * 300, str(step) + " "))] = node
        case 1:
            del holder[step]
        case 2 if isinstance(holder, list):
            holder.insert(step, node)
        case _:
            holder[step] = dice.choice(VALUES)
    return value


def double_key(data: bytes, dice: random.Random) -> bytes:
    """A line or pair that names a key, written twice."""
    import re

    spots = list(re.finditer(rb'"[^"\n]*": (?:"[^"\n]*"|[\d.]+|null|true)', data))
    if not spots:
        return shuffle_lines(data, dice)
    found = dice.choice(spots)
    return data[: found.end()] + b", " + found[0] + data[found.end() :]


DAMAGES = (
    *(flip, cut, remove, insert, insert, insert_bytes, replace_word, shuffle_lines, encode_anew),
    *(change_node, change_node, double_key),
)


class StuckError(Exception):
    """A reader took longer than HANG."""


def try_case(name: str, dice: random.Random, folder: Path) -> str:
    """Damage a valid input of a reader and read it.

    Returns:
        "refused" with a sentence that names the file, or "read" with every record that the file holds.

    Raises:
        AssertionError: A sentence without the file, or records that are neither read nor refused.
        Exception: Whatever else the reader let through.
    """
    reader = readers()[name]
    target = dice.choice(reader.damaged)
    for file, content in reader.files.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(damage(content, dice) if file == target else content)
    try:
        found = reader.read(folder)
    except EscEvalError as error:
        sentence = str(error)
        assert str(folder) in sentence or target in sentence or "card 'c" in sentence, (
            f"names no file: {sentence[:300]}"
        )
        assert "Traceback" not in sentence
        sentence.encode()
        return "refused"
    held = reader.records((folder / target).read_bytes())
    if isinstance(found, int) and held is not None:
        assert found == held, f"{found} records of {held}"
    return "read"


def run(cases: int, seed: int, first: int = 0) -> dict:
    """Try cases in turn over all readers; what crashed is told by reader, exception and place."""
    names = sorted(readers())
    counts: Counter[str] = Counter()
    by_reader: dict[str, Counter[str]] = {name: Counter() for name in names}
    crashes: dict[str, dict] = {}
    memory = Path("/dev/shm")
    began = time.monotonic()

    def stop(*_):
        raise StuckError

    signal.signal(signal.SIGALRM, stop)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for number in range(first, first + cases):
            name = names[number % len(names)]
            dice = random.Random(f"{seed}/{number}")
            place = Path(folder) / str(names.index(name))
            signal.alarm(HANG)
            try:
                what = try_case(name, dice, place)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
                what = "crashed"
                at = traceback.extract_tb(error.__traceback__)[-1]
                key = f"{name}: {type(error).__name__} at {Path(at.filename).name}:{at.lineno}"
                found = crashes.setdefault(key, {"case": number, "what": str(error)[:200], "times": 0})
                found["times"] += 1
            finally:
                signal.alarm(0)
            counts[what] += 1
            by_reader[name][what] += 1
    return {
        "command": f"make fuzz N={cases} SEED={seed}",
        "cases": cases,
        "seed": seed,
        "read": counts["read"],
        "refused": counts["refused"],
        "crashed": counts["crashed"],
        "seconds": round(time.monotonic() - began),
        "readers": {name: dict(sorted(found.items())) for name, found in by_reader.items()},
        "crashes": crashes,
    }


def commit() -> str:
    """Of the checkout, with a + where it was changed since."""

    def git(*args: str) -> str:
        return subprocess.run(("git", *args), capture_output=True, text=True, check=True).stdout.strip()

    return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    report = {"commit": commit(), **run(given.cases, given.seed, given.first)}
    text = json.dumps(report, indent=1, ensure_ascii=False) + "\n"
    if given.out:
        given.out.write_text(text, encoding="utf-8")
    print(json.dumps({key: value for key, value in report.items() if key != "readers"}, indent=1, ensure_ascii=False))
    raise SystemExit(1 if report["crashed"] else 0)
