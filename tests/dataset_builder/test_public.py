"""Nothing of a row that may not be re-hosted is in a public build: a word in each field of each input is looked for."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_identity import simulation_identity

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.check.build import check_build
from esc_eval.schema import Dialogue, Rating, RoleCard, Served, Turn

pytestmark = pytest.mark.filterwarnings("ignore:ConjunctiveGraph:DeprecationWarning")


class Canaries:
    """Words that occur once each: what a word stands for by the word."""

    def __init__(self) -> None:
        self.hidden: dict[str, str] = {}
        self.shown: dict[str, str] = {}

    def word(self, field: str, hidden: bool) -> str:
        kept = self.hidden if hidden else self.shown
        word = f"canary{'h' if hidden else 's'}{len(kept):03}x"
        kept[word] = field
        return word


def make_card(words: Canaries, card_id: str, source: str, hidden: bool) -> RoleCard:
    say = {name: words.word(f"card {name}", hidden) for name in ("age", "occupation", "problem", "annotator_text")}
    text = f"Age: {say['age']}\nGender: Female\nOccupation: {say['occupation']}\nProblem: She lost {say['problem']}."
    return RoleCard(
        id=card_id, language="en", text=text, source=source, category="family_and_life",
        annotator_text=f"年龄：三十 {say['annotator_text']}",
    )  # fmt: skip


def make_talk(words: Canaries, card: RoleCard, hidden: bool) -> Dialogue:
    def word(field: str, always: bool = False) -> str:
        return words.word(f"dialogue {field}", hidden or always)

    turns = tuple(
        Turn(
            role=("seeker", "supporter")[n], text=f"I said {word('text')} twice.", finish_reason="stop",
            raw=f"<think>{word('raw', True)}</think>", prefix=word("prefix", True),
            served=Served(model=word("served", True), fingerprint=word("fingerprint", True),
                          adapted={"seed": word("adapted", True)}),
        )
        for n in (0, 1)
    )  # fmt: skip
    return Dialogue(
        id=f"m:{card.id}", language="en", turns=turns, card_id=card.id, supporter="m", seeker="s", protocol="p/1",
        problem=f"refused: {word('problem')}",
    )  # fmt: skip


def make_ratings(words: Canaries, talk: Dialogue, hidden: bool) -> Iterator[Rating]:
    def word(field: str, always: bool = False) -> str:
        return words.word(f"rating {field}", hidden or always)

    common = {"dialogue_id": talk.id, "rater": "judge", "rater_kind": "model", "rubric": "esc-eval/1", "way": "text"}
    common["served"] = Served(model=word("served", True), fingerprint=word("fingerprint", True))
    yield Rating(**common, dimension="empathy", score=3, raw=f"3, for {word('raw')}", parser=word("parser"))
    yield Rating(**common, dimension="overall", problem=f"no level in {word('problem')}", raw=word("raw of none"))


@pytest.fixture(scope="module")
def public(tmp_path_factory) -> tuple[Path, Canaries]:
    root, words = tmp_path_factory.mktemp("canaries"), Canaries()
    closed, free = make_card(words, "closed", "psyqa", True), make_card(words, "free", "esconv", False)
    official = make_card(words, "9", "ESconv", True)
    talks = [make_talk(words, closed, True), make_talk(words, free, False)]
    run = root / "run"
    run.mkdir()
    (run / "dialogues.jsonl").write_text("".join(talk.to_json() + "\n" for talk in talks), encoding="utf-8")
    rated = [*make_ratings(words, talks[0], True), *make_ratings(words, talks[1], False)]
    (run / "ratings.jsonl").write_text("".join(rating.to_json() + "\n" for rating in rated), encoding="utf-8")
    (run / "run.json").write_text(
        json.dumps({"simulation": {"identity": simulation_identity()}, "note": words.word("run.json", True)})
    )
    cards = root / f"{words.word('name of a file of cards', True)}.jsonl"
    cards.write_text(closed.to_json() + "\n" + free.to_json() + "\n", encoding="utf-8")
    people = root / f"{words.word('name of a file of ratings', True)}.csv"
    with people.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["dialogue_id", "dimension", "rater", "score", "problem", "raw"])
        for talk, hidden in zip(talks, (True, False), strict=True):
            said = [words.word(f"CSV {name}", hidden) for name in ("problem", "raw")]
            rows.writerow([talk.id, "fluency", "rater-1", "", *said])
    for place in ("data", "result", "score"):
        (root / "official" / place).mkdir(parents=True)
    record = {"base": official.text, "res": "家庭生活", "source": official.source, "language": "english", "id": 9}
    record["base_biaozhu"] = official.annotator_text
    (root / "official/data/card_high_en.json").write_text(json.dumps([record], ensure_ascii=False), encoding="utf-8")
    chinese = {**record, "language": "chinese", "id": 10, "source": "PsyQA"}
    chinese["base"] = f"问题：{words.word('card in Chinese', True)}丢了"
    (root / "official/data/card_high_zh.json").write_text(json.dumps([chinese], ensure_ascii=False), encoding="utf-8")
    lines = [f"ESC-Role：{words.word('official line', True)}", f"AI assistant：{words.word('official line', True)}"]
    (root / "official/result/llama3_en.json").write_text(json.dumps({"0": lines}, ensure_ascii=False))
    (root / "others").mkdir()
    lines = [f"ESC-Role: {words.word('line of others', True)}", f"AI Assistant: {words.word('line of others', True)}"]
    (root / "others/tuned_en.json").write_text(json.dumps({"0": lines}))
    (root / "sources/esconv").mkdir(parents=True)
    talk = {name: words.word(f"source {name}", True) for name in ("situation", "problem_type", "emotion_type")}
    talk["dialog"] = [{"speaker": "usr", "text": words.word("source text", True)}, {"speaker": "sys", "text": "And?"}]
    broken = {"dialog": words.word("source that is refused", True)}
    (root / "sources/esconv/train.txt").write_text(f"{json.dumps(talk)}\n{json.dumps(broken)}\n")
    for _ in range(2):  # of one content
        (root / f"sources/esconv/{words.word('name of a file of a source', True)}.txt").write_text("{}\n")
    tiers = root / "tiers.csv"
    tiers.write_text(
        "card_id,problem_type,confidence,status,note\n"
        f"closed,dating,0.5,proposed,{words.word('note of a tier', True)}\n"
    )
    build_dataset(
        Inputs(root / "official", root / "sources", (run, root / "others"), (people,), (cards,), tiers, public=True),
        root / "build",
    )
    return root / "build", words


def everything(folder: Path) -> str:
    """All bytes of a folder, and every value of its Parquet files."""
    parts = []
    for path in folder.rglob("*"):
        parts.append(path.relative_to(folder).as_posix())
        if path.is_file():
            parts.append(path.read_bytes().decode("utf-8", "replace"))
        if path.suffix == ".parquet":
            parts += [str(pq.read_metadata(path).to_dict()), str(pq.read_schema(path).metadata)]
            parts.append(json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str))
    return "\n".join(parts)


@pytest.mark.slow
def test_no_word_of_a_row_that_may_not_be_rehosted_is_in_any_file_of_a_public_build(public):
    folder, words = public
    text = everything(folder)
    assert {word: field for word, field in words.hidden.items() if word in text} == {}
    assert len(words.hidden) > 30


def test_the_words_of_rows_that_may_be_rehosted_are_all_there(public):
    folder, words = public
    text = everything(folder)
    assert {word: field for word, field in words.shown.items() if word not in text} == {}
    assert len(words.shown) > 10


def test_the_public_build_is_sound(public):
    assert [str(problem) for problem in check_build(public[0])] == []
