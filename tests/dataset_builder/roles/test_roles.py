"""The role-card pipeline, played by scripted and fake models on conversations of our own."""

import csv
import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dataset_builder import decisions
from dataset_builder.__main__ import app
from dataset_builder.build import Inputs, build_dataset
from dataset_builder.diff import read_table
from dataset_builder.roles import prompts
from dataset_builder.roles.answers import Failure, read_extraction, read_letter, read_verdict
from dataset_builder.roles.ask import Question, ask_all
from dataset_builder.roles.classify import Case, classify_cards, leaves_for
from dataset_builder.roles.extract import extract_cards, in_another_language, share_copied, unique_cards
from dataset_builder.roles.records import Classification, Extraction, Filtering, Review
from dataset_builder.roles.review import compare_reviews, read_sheet, write_sheet
from dataset_builder.roles.workspace import Workspace, read_workspace_table
from dataset_builder.sources.common import SourceConversation, SourceTurn
from esc_eval import languages
from esc_eval.chat import Choice, Reply
from esc_eval.errors import EscEvalError
from esc_eval.simulation.run import Run

CARD = {
    "age": 52,
    "gender": "Male",
    "occupation": "not mentioned",
    "problem": "He lost the ferry licence and hides it.",
}


def talk(n: int, text: str | None = None, language="en", source="esconv") -> SourceConversation:
    turn = SourceTurn(role="seeker", text=text or f"Number {n}: the ferry left without me again.")
    return SourceConversation(
        id=f"{source}/x.json#{n}", source=source, file="x.json", line=n + 1, language=language, turns=(turn,)
    )


class Speaker:
    """Says what a function makes of the last message; counts what it was asked, and can break down."""

    concurrent, parallel = True, 4

    def __init__(self, say, name="speaker", fail_after=None):
        self.say, self.name, self.fail_after = say, name, fail_after
        self.identity = {"kind": "test", "model": name}
        self.asked = []

    def reply(self, conversations, settings, seeds):
        for index, (conversation, seed) in enumerate(zip(conversations, seeds, strict=True)):
            if self.fail_after is not None and len(self.asked) >= self.fail_after:
                raise EscEvalError("the server went away")
            self.asked.append(seed)
            yield index, Reply(self.say(conversation[-1]["content"], seed), "stop")


class Chooser(Speaker):
    """Gives the letters fixed probabilities."""

    def choose(self, groups, lead, options):
        self.asked += [lead] * len(groups)
        for index, group in enumerate(groups):
            shares = [0.5] + [0.5 / (len(options) - 1)] * (len(options) - 1)
            yield index, [Choice(tuple(shares[::-1]), 1.0, options[-1])] * len(group)


# --- structured answers


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps(CARD),
        f"Sure! Here it is:\n```json\n{json.dumps(CARD, indent=2)}\n```\nAnything else?",
        f"<think>{{}}</think>{json.dumps(CARD)}",
        "Age: 52\nGender: Male\nOccupation: Not mentioned\nProblem: He lost the ferry licence and hides it.",
        "**Age:** 52\n**Gender:** male\n- Problem: He lost the ferry licence and hides it.",
        '{"年龄": "52", "性别": "男", "职业": "未提及", "问题": "He lost the ferry licence and hides it."}',
    ],
)
def test_a_card_is_read_from_what_models_write(answer):
    card = read_extraction(answer)
    assert (card.age, card.gender, card.occupation) == ("52", "male", None)
    assert card.text("en").splitlines()[2] == "Occupation: Not mentioned"


@pytest.mark.parametrize(
    "answer", ["", "I cannot do that.", "{", '{"age": 3}', '{"problem": "Sad."}', '{"problem": []}']
)
def test_an_answer_that_is_no_card_is_a_failure(answer):
    with pytest.raises(Failure):
        read_extraction(answer)


@given(st.text(max_size=80))
def test_no_answer_crashes_a_parser(answer):
    for parse in (read_extraction, read_verdict, lambda text: read_letter(text, "ABC")):
        with suppress(Failure):
            assert parse(answer)


@pytest.mark.parametrize(
    ("answer", "decision"),
    [('{"decision": "keep", "reason": "fine"}', "keep"), ('Well. {"decision":"Drop"} ok', "drop")],
)
def test_verdicts_are_read(answer, decision):
    assert read_verdict(answer).decision == decision


@pytest.mark.parametrize("answer", ["keep", '{"decision": "maybe"}', '{"decision":"keep"} {"decision":"drop"}'])
def test_unclear_verdicts_are_failures(answer):
    with pytest.raises(Failure):
        read_verdict(answer)


@pytest.mark.parametrize(("answer", "found"), [("B", "B"), ("The letter is C.", "C"), ("答案：A。", "A")])
def test_a_letter_is_read(answer, found):
    assert read_letter(answer, "ABC") == found


@pytest.mark.parametrize("answer", ["", "A or B", "Q", "Because", "I think B"])
def test_several_or_no_letters_are_failures(answer):
    with pytest.raises(Failure):
        read_letter(answer, "ABC")


# --- asking


def test_an_answer_is_asked_for_once_and_survives_a_crash(tmp_path):
    questions = [Question(f"q{n}", [{"role": "user", "content": f"word {n}"}]) for n in range(10)]
    breaking = Speaker(lambda text, seed: text.upper(), fail_after=6)
    with Run(tmp_path) as run, pytest.raises(EscEvalError, match="went away"):
        list(ask_all(run, "s", breaking, questions))
    resumed = Speaker(lambda text, seed: text.upper())
    with Run(tmp_path) as run:
        answers = list(ask_all(run, "s", resumed, questions))
        assert len(resumed.asked) == 4
        assert [a.text for _, a in answers] == [f"WORD {n}" for n in range(10)]
        again = Speaker(lambda text, seed: "other")
        assert [a.text for _, a in ask_all(run, "s", again, questions)] == [a.text for _, a in answers]
        assert again.asked == []
        stranger = Speaker(lambda text, seed: "other", name="stranger")
        assert {a.text for _, a in ask_all(run, "s", stranger, questions)} == {"other"}


def test_each_input_is_masked_cut_and_deduplicated_before_a_model_sees_it(tmp_path):
    seen = []
    model = Speaker(lambda text, seed: seen.append(text) or json.dumps(CARD))
    talks = unique_cards([talk(0, "x@example.org " + "w" * 500), talk(1, "x@example.org " + "w" * 500), talk(2)])
    assert [t.id for t in talks] == ["esconv/x.json#0", "esconv/x.json#2"]
    with Run(tmp_path) as run:
        extract_cards(run, model, talks, longest=100)
    long = next(text for text in seen if "www" in text)
    assert "[EMAIL]" in long
    assert "example.org" not in long
    assert "w" * 101 not in long


def test_a_card_that_quotes_its_source_is_refused(tmp_path):
    words = "The ferry left without me again and I sat on the wet quay until the morning came."
    quoting = Speaker(lambda text, seed: json.dumps({"problem": words}))
    with Run(tmp_path) as run:
        [card] = extract_cards(run, quoting, [talk(0, words)])
    assert card.text is None
    assert card.failure == "quotes the source"
    assert card.copied == 1.0
    assert share_copied("Problem: Something quite different happened here today.", words, "en") == 0.0


@pytest.mark.parametrize(("language", "source"), [("en", "esconv"), ("zh", "smile")])
def test_a_card_that_repeats_the_prompts_example_is_refused(tmp_path, language, source):
    parrot = Speaker(lambda text, seed: prompts.example_card(language))
    with Run(tmp_path) as run:
        [card] = extract_cards(run, parrot, [talk(0, language=language, source=source)])
    assert (card.text, card.failure) == (None, "repeats the example of the prompt")


# --- classification


def test_probabilities_give_a_leaf_and_its_confidence(tmp_path):
    model = Chooser(lambda text, seed: "")
    with Run(tmp_path) as run:
        [found] = classify_cards(run, model, [Case("c", "en", "He is tired.", "work_and_study")])
    assert found.problem_type == leaves_for("work_and_study")[-1].tier3
    assert found.confidence == 0.5
    assert found.status == "proposed"


def test_without_a_tier_1_it_is_chosen_first_and_confidences_multiply(tmp_path):
    with Run(tmp_path) as run:
        [found] = classify_cards(run, Chooser(lambda text, seed: ""), [Case("c", "zh", "他很累。", None)])
    assert decisions.find_leaf(found.problem_type).tier1 == "society_and_others"
    assert found.confidence == 0.25


def test_votes_of_a_model_without_probabilities_are_counted_with_seeds_of_their_own(tmp_path):
    model = Speaker(lambda text, seed: "B" if seed % 3 else "A")
    with Run(tmp_path) as run:
        [found] = classify_cards(run, model, [Case("c", "en", "He is tired.", "work_and_study")], seed=0, votes=9)
    share_b = sum(seed % 3 != 0 for seed in model.asked) / 9
    assert len(set(model.asked)) == 9
    assert found.confidence == pytest.approx(max(share_b, 1 - share_b))


def test_unreadable_votes_are_no_proposal(tmp_path):
    with Run(tmp_path) as run:
        [found] = classify_cards(run, Speaker(lambda t, s: "hm"), [Case("c", "en", "He is tired.", "work_and_study")])
    assert found.problem_type is None
    assert found.failure == "none of 5 answers names one letter"


class Mute(Speaker):
    """A server that could give probabilities and gives none."""

    def choose(self, groups, lead, options):
        for index, group in enumerate(groups):
            yield index, [Choice(None, 0.0, "B", problem="no log probabilities")] * len(group)


def test_a_server_without_probabilities_is_asked_for_votes(tmp_path):
    model = Mute(lambda text, seed: "B")
    with Run(tmp_path) as run:
        [found] = classify_cards(run, model, [Case("c", "en", "He is tired.", "work_and_study")])
    assert (found.problem_type, found.confidence) == (leaves_for("work_and_study")[1].tier3, 1.0)


def test_what_came_to_nothing_is_asked_again_and_what_did_not_is_not(tmp_path):
    cases = [Case(name, "en", f"{name} is tired.", "work_and_study") for name in ("Quimby", "Ruth")]
    first = Speaker(lambda text, seed: "A" if "Quimby" in text else "hm")
    second = Speaker(lambda text, seed: "C")
    with Run(tmp_path) as run:
        assert [c.problem_type is None for c in classify_cards(run, first, cases)] == [False, True]
        found = classify_cards(run, second, cases)
        assert [c.problem_type for c in found] == [leaves_for("work_and_study")[n].tier3 for n in (0, 2)]
        assert len(second.asked) == 5
        assert set(second.asked).isdisjoint(first.asked)
        silent = Speaker(lambda text, seed: "A")
        assert classify_cards(run, silent, cases) == found
        assert silent.asked == []


def test_a_command_that_proposes_nothing_is_an_error_with_the_reason(tmp_path):
    options = ("--cards", "sample", "--limit", "2", "--work", str(tmp_path / "w"), "--out", str(tmp_path / "t.csv"))
    model = scripted(tmp_path / "m.json", "hm")
    result = CliRunner().invoke(app, ["roles", "propose", *options, "--model", model])
    assert result.exit_code == 2
    assert "none of 2 cards has a proposal" in result.stderr
    assert not (tmp_path / "t.csv").exists()


def test_a_card_that_failed_is_written_again_and_one_in_another_language_fails(tmp_path):
    talks = [talk(0, "渡轮又没等我就开走了。", language="zh", source="smile"), talk(1)]
    answers = iter([json.dumps(CARD)] * 2)
    with Run(tmp_path) as run:
        made = extract_cards(run, Speaker(lambda text, seed: next(answers)), talks)
        assert [card.failure for card in made] == ["is written in another language than the conversation", None]
        again = Speaker(lambda text, seed: json.dumps(CARD | {"problem": "他弄丢了渡轮执照，一直瞒着家里人。"}))
        made = extract_cards(run, again, talks)
        assert [card.failure for card in made] == [None, None]
        assert len(again.asked) == 1
        assert [card.text for card in extract_cards(run, Speaker(lambda text, seed: ""), talks)] == [
            card.text for card in made
        ]


GERMAN = "Sie hat ihre Stelle auf der Fähre verloren und es zu Hause noch niemandem gesagt."
FRENCH = "Elle a perdu son poste sur le bac et ne l'a encore dit à personne chez elle."
FERRY = "Seit die Fähre ohne mich fährt, sitze ich jeden Morgen am Hafen und rede mit niemandem."
ENGLISH = "She has lost her post on the ferry and has told nobody at home yet."


@pytest.mark.parametrize(
    ("card", "language", "other"),
    [
        (ENGLISH, "en", False), (GERMAN, "en", True), (FRENCH, "en", True), ("她丢了渡轮上的工作。", "en", True),
        (ENGLISH, "zh", True), (GERMAN, "zh", True), ("她丢了渡轮上的工作。", "zh", False), ("失眠", "zh", False),
        ("失眠", "en", True), ("Lost job", "en", False), ("Lost job", "zh", True),
        ("彼女は渡し船の仕事をなくしたことを家の誰にも話していない。", "zh", True),
    ],
)  # fmt: skip
def test_a_card_is_in_the_language_of_its_conversation_or_fails(card, language, other):
    assert in_another_language(card, language, "") is other


@pytest.mark.parametrize(
    ("card", "code", "other"),
    [(GERMAN, "de", False), (ENGLISH, "de", True), (GERMAN, "xx", False), (ENGLISH, "xx", True)],
)
def test_the_language_of_an_added_row_is_identified_or_compared_with_the_source(
    card, code, other, tmp_path, monkeypatch
):
    monkeypatch.setattr(languages, "_added", [])
    if code not in languages.language_codes():
        (tmp_path / code).mkdir()
        (tmp_path / code / "language.yaml").write_text(f"code: {code}\nname: One\n")
        languages.add_folder(tmp_path)
    assert in_another_language(card, code, FERRY) is other


# --- taxonomy and prompts


def test_the_taxonomy_has_37_leaves_three_tiers_and_the_published_path():
    leaves = decisions.read_taxonomy()
    assert len(leaves) == len({leaf.tier3 for leaf in leaves}) == 37
    assert {leaf.names["zh"][0] for leaf in leaves} == {"家庭生活", "工作学习", "社会与其他"}
    assert ("Work and Study", "Performance", "Much pressure") in {leaf.names["en"] for leaf in leaves}
    for leaf in leaves:
        assert all(name for names in leaf.names.values() for name in names)
        assert all(leaf.definitions.values())
    # No leaf key or name stands under two parents.
    assert len({(leaf.names["en"][2]) for leaf in leaves}) == len({leaf.names["zh"][2] for leaf in leaves}) == 37


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("stage", ["extract", "filter", "classify"])
def test_prompts_have_all_their_places_filled(stage, language):
    messages = prompts.fill_messages(stage, language, text="TEXT", card="CARD", choices="CHOICES")
    roles = ["system", "user"] if stage == "classify" else ["system", "user", "assistant", "user"]
    assert [m["role"] for m in messages] == roles
    assert ("TEXT" if stage == "extract" else "CARD") in messages[-1]["content"]
    assert not any(place in m["content"] for m in messages for place in ("{text}", "{card}", "{choices}"))


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_examples_in_the_prompts_are_answers_that_the_parsers_accept(language):
    example = prompts.read_wording()[language]["extract"]["example"]
    card = read_extraction(example["answer"])
    assert card.gender == "female"
    assert share_copied(card.text(language), example["text"], language) == 0
    assert read_verdict(prompts.read_wording()[language]["filter"]["example"]["answer"]).decision == "drop"


def test_braces_in_what_a_person_wrote_are_left_alone():
    [*_, last] = prompts.fill_messages("extract", "en", text="so {card} and {text} {")
    assert "so {card} and {text} {" in last["content"]


# --- review


def sheet_with(tmp_path: Path, **values: str) -> Path:
    path = tmp_path / "sheet.csv"
    row = {"id": "esconv/x.json#0", "decision": "keep", "quality": "high"} | values
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return path


KNOWN = {
    "esconv/x.json#0": Extraction(
        id="esconv/x.json#0", source="esconv", language="en", input_sha256="0", model="m", answer="k", text="Age: 1"
    )
}


def test_a_row_without_a_decision_stays_open(tmp_path):
    assert read_sheet(sheet_with(tmp_path, decision=""), KNOWN) == ([], 1)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ({"decision": "perhaps"}, "decision"),
        ({"quality": ""}, "needs a quality"),
        ({"quality": "best"}, "quality"),
        ({"category": "weather"}, "category"),
        ({"problem_type": "weather"}, "no problem type"),
        ({"problem_type": "bereavement", "category": "work_and_study"}, "lies in family_and_life"),
        ({"decision": "fix"}, "four lines"),
        ({"decision": "fix", "fixed_card": "He is sad."}, "four lines"),
        ({"id": "nobody"}, "no card"),
    ],
)
def test_a_mistake_in_the_sheet_is_named_with_its_line(tmp_path, values, what):
    with pytest.raises(EscEvalError, match=rf"row 2.*{what}"):
        read_sheet(sheet_with(tmp_path, **values), KNOWN)


@pytest.mark.parametrize("quality", ["Middle", "HIGH", "high"])
def test_capitals_do_not_matter(tmp_path, quality):
    [review], _ = read_sheet(sheet_with(tmp_path, quality=quality, decision="Keep", category="Work and Study"), KNOWN)
    assert (review.quality, review.category, review.decision) == (quality.lower(), "work_and_study", "keep")


def test_a_card_that_a_person_wrote_is_masked(tmp_path):
    card = "Age: 1\nGender: Male\nOccupation: Cook\nProblem: Write to him at jo@example.com."
    [review], _ = read_sheet(sheet_with(tmp_path, decision="fix", fixed_card=card), KNOWN)
    assert review.text.endswith("[EMAIL].")


def test_a_proposed_leaf_is_shown_and_confirmed_by_a_word(sheet_of, tmp_path):
    proposed = {"a": Classification(id="a", problem_type="bereavement", confidence=0.8)}
    _, [row] = sheet_of("a", proposed=proposed)
    assert row["proposed_problem_type"] == "bereavement (0.80)"
    edit(tmp_path / "review.csv", lambda n, row: row.update(decision="keep", quality="high", problem_type="Confirm"))
    cards = {"a": KNOWN["esconv/x.json#0"].model_copy(update={"id": "a"})}
    [review], _ = read_sheet(tmp_path / "review.csv", cards, proposed)
    assert (review.problem_type, review.category) == ("bereavement", "family_and_life")
    with pytest.raises(EscEvalError, match="row 2: nothing is proposed for card 'a'"):
        read_sheet(tmp_path / "review.csv", cards)


def test_two_peoples_decisions_are_compared(tmp_path):
    def reviews(decisions):
        return [Review(id=str(n), decision=d, quality=None if d == "drop" else "high") for n, d in enumerate(decisions)]

    found = compare_reviews(reviews(["keep"] * 6 + ["drop"] * 4), reviews(["keep"] * 4 + ["drop"] * 2 + ["drop"] * 4))
    assert (found.n, found.same, found.apart, found.n_quality) == (10, 8, ("4", "5"), 4)
    assert found.decision == pytest.approx(0.6154, abs=1e-4)
    assert found.quality is None, "both gave one grade alone"


# --- the whole pipeline, as a user runs it


def test_two_people_review_in_xlsx_and_what_they_differ_on_stays_open(tmp_path):
    from openpyxl import load_workbook

    work = str(tmp_path / "work")
    writer = scripted(tmp_path / "writer.json", json.dumps(CARD | {"problem": "=1+1 is what he says of the ferry."}))
    options = ("--sources", str(sources(tmp_path, 3)), "--only", "esconv", "--work", work)
    run_cli("roles", "extract", *options, "--model", writer)
    run_cli("roles", "filter", "--work", work, "--model", scripted(tmp_path / "j.json", '{"decision": "keep"}'))
    paths = []
    for name, decided in (("jo", ("keep", "drop", "")), ("kim", ("keep", "keep", "keep"))):
        path = run_cli("roles", "sheet", "--work", work, "--xlsx", "--reviewer", name).stdout.strip()
        book = load_workbook(path)
        sheet = book.active
        columns = {cell.value: cell.column for cell in sheet[1]}
        assert sheet.cell(2, columns["card"]).data_type == "s"
        for row, decision in enumerate(decided, 2):
            sheet.cell(row, columns["decision"]).value = decision or None
            sheet.cell(row, columns["quality"]).value = "high" if decision == "keep" else None
        book.save(path)
        assert run_cli("roles", "sheet", "--work", work, "--xlsx", "--reviewer", name).stdout.strip() == path
        paths.append(path)
    done = run_cli("roles", "review", *paths, "--work", work)
    assert "both decided on 2 cards, the same on 1; keep or drop kappa 0.00 (n 2)" in done.stderr
    assert done.stdout.split() == ["esconv/train.txt#1"]
    assert sorted(Workspace(Path(work)).read(Review)) == ["esconv/train.txt#0", "esconv/train.txt#2"]


def test_a_formula_in_a_sheet_is_named_with_its_row(tmp_path):
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["id", "decision", "quality"])
    book.active.append(["esconv/x.json#0", "=A1", "high"])
    book.save(tmp_path / "sheet.xlsx")
    with pytest.raises(EscEvalError, match="row 2: '=A1' is a formula"):
        read_sheet(tmp_path / "sheet.xlsx", KNOWN)
    (tmp_path / "sheet.xlsx").write_bytes(b"no zip")
    with pytest.raises(EscEvalError, match="cannot be read as XLSX"):
        read_sheet(tmp_path / "sheet.xlsx", KNOWN)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    for verb in ("filter", "sheet", "table", "classify"):
        result = CliRunner().invoke(app, ["roles", verb, "--work", str(tmp_path / "none")])
        assert result.exit_code == 2
        assert "no such folder" in result.stderr
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("files", "first"), [((), "released"), (("FailedESConv.json",), "failed")])
def test_released_conversations_come_first_and_files_can_be_named(tmp_path, files, first):
    folder = tmp_path / "sources/esconv"
    folder.mkdir(parents=True)
    for name, said in (("ESConv.json", "released"), ("FailedESConv.json", "failed")):
        talks = [{"dialog": [{"speaker": "seeker", "content": f"A {said} word."}]}]
        (folder / name).write_text(json.dumps(talks))
    model = scripted(tmp_path / "m.json", json.dumps(CARD))
    options = ("--sources", str(tmp_path / "sources"), "--limit", "1", "--work", str(tmp_path / "w"), "--model", model)
    run_cli("roles", "extract", *options, *(f"--files={name}" for name in files))
    missing = CliRunner().invoke(app, ["roles", "extract", *options, "--files=ESConv.json", "--files=Other.json"])
    assert (missing.exit_code, "--files Other.json: no file of this name in esconv" in missing.stderr) == (2, True)
    assert [first in name.lower() or first == "released" for name in Workspace(tmp_path / "w").read(Extraction)] == [
        True
    ]


def run_cli(*arguments: str):
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


def sources(tmp_path: Path, n: int) -> Path:
    folder = tmp_path / "sources"
    (folder / "esconv").mkdir(parents=True)
    (folder / "smile").mkdir()
    lines = [json.dumps({"dialog": [{"text": f"Ferry {i} left without me.", "speaker": "usr"}]}) for i in range(n)]
    (folder / "esconv" / "train.txt").write_text("\n".join(lines) + "\n")
    for i in range(n):
        turns = [{"role": "client", "content": f"第{i}班渡轮又没等我就开走了。"}]
        (folder / "smile" / f"{i}.json").write_text(json.dumps(turns))
    return folder


def edit(path: Path, change) -> None:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for n, row in enumerate(rows):
        change(n, row)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def scripted(path: Path, *replies: str) -> str:
    path.write_text(json.dumps(list(replies)))
    return f"scripted:{path}"


def test_the_pipeline_runs_from_conversations_to_a_build(tmp_path):
    work = str(tmp_path / "work")
    folder = str(sources(tmp_path, 12))
    for source, problem in (("esconv", CARD["problem"]), ("smile", "他弄丢了渡轮执照，一直瞒着家里人。")):
        writer = scripted(tmp_path / f"{source}.json", json.dumps(CARD | {"problem": problem}))
        run_cli("roles", "extract", "--sources", folder, "--only", source, "--work", work, "--model", writer)
    judge = scripted(tmp_path / "judge.json", '{"decision": "keep", "reason": "one trouble"}')
    run_cli("roles", "filter", "--work", work, "--model", judge)
    sheet = Path(run_cli("roles", "sheet", "--work", work).stdout.strip())

    def decide(n, row):
        row["decision"] = "drop" if n % 4 == 0 else "keep"
        row["quality"] = "high" if n % 2 else "middle"
        row["category"] = "work_and_study" if n % 3 else ""
        if n == 1:
            row["problem_type"] = "job_loss_or_search"
        if n == 3:
            row["decision"], row["fixed_card"] = "fix", row["card"].replace("52", "53")

    edit(sheet, decide)
    run_cli("roles", "review", str(sheet), "--work", work)
    sorter = scripted(tmp_path / "sorter.json", "A")
    run_cli("roles", "classify", "--work", work, "--model", sorter)
    lines = {line.language: line for line in read_workspace_table(Workspace(Path(work)))}
    assert [(k.tried, k.extract, k.model_filter, k.undecided) for k in lines.values()] == [(12, 12, 12, 0)] * 2
    assert [(k.human_filter, k.high, k.middle) for k in lines.values()] == [(9, 6, 3)] * 2
    assert "human" in run_cli("roles", "table", "--work", work).stdout

    cards, tiers = tmp_path / "cards.jsonl", tmp_path / "tiers.csv"
    run_cli("roles", "export", "--work", work, "--cards", str(cards), "--tiers", str(tiers))
    build_dataset(Inputs(cards=(cards,), tiers=tiers), tmp_path / "out")
    rows = read_table(tmp_path / "out", "role_cards")
    assert len(rows) == 18
    assert {row["tier_status"] for row in rows.values()} == {"proposed", "confirmed"}
    assert sum(row["age"] == "53" for row in rows.values()) == 1
    assert {(row["source"], row["license"]) for row in rows.values()} == {
        ("esconv", "CC-BY-NC-4.0"),
        ("smile", "CC0-1.0"),
    }


def test_an_undecided_card_goes_to_the_reviewer_and_a_dropped_one_does_not(tmp_path):
    work = Workspace(tmp_path)
    cards = [
        KNOWN["esconv/x.json#0"].model_copy(update={"id": one_id, "text": "Age: 1\nGender: Male"})
        for one_id in ("a", "b", "c")
    ]
    work.merge(Extraction, cards)
    verdicts = zip("abc", ("keep", "drop", "undecided"), strict=True)
    work.merge(
        Filtering, [Filtering(id=one_id, model="m", answer="k", decision=decision) for one_id, decision in verdicts]
    )
    run_cli("roles", "sheet", "--work", str(tmp_path))
    with (tmp_path / "review.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == ["a", "c"]


def test_a_proposal_outside_the_category_that_a_person_gave_is_not_exported(tmp_path):
    space = Workspace(tmp_path)
    text = "Age: 52\nGender: Male\nOccupation: not mentioned\nProblem: He hides a lost licence."
    space.merge(
        Extraction,
        [
            Extraction(id=name, source="esconv", language="en", input_sha256="0", model="m", answer="a", text=text)
            for name in ("a", "b")
        ],
    )
    leaf = decisions.find_leaf("social_anxiety")
    space.merge(
        Classification,
        [Classification(id=n, problem_type=leaf.tier3, confidence=0.9, status="proposed") for n in ("a", "b")],
    )
    space.merge(
        Review,
        [
            Review(id="a", decision="keep", quality="high", category=leaf.tier1),
            Review(id="b", decision="keep", quality="high", category="work_and_study"),
        ],
    )
    assert [card.category for card in space.cards()] == [leaf.tier1, "work_and_study"]
    assert [row.id for row in space.tiers()] == ["a"]


def test_a_verdict_on_a_card_that_was_refused_since_is_not_counted(tmp_path):
    work, card = Workspace(tmp_path), KNOWN["esconv/x.json#0"]
    work.merge(Extraction, [card.model_copy(update={"text": None, "failure": "quotes the source"})])
    work.merge(Filtering, [Filtering(id=card.id, model="m", answer="k", decision="keep")])
    work.merge(Review, [Review(id=card.id, decision="keep", quality="high")])
    [english, _] = read_workspace_table(work)
    assert (english.tried, english.extract, english.model_filter, english.human_filter) == (1, 0, 0, 0)
    assert work.cards() == []


def test_stages_out_of_order_say_which_comes_first(tmp_path):
    result = CliRunner().invoke(app, ["roles", "filter", "--work", str(tmp_path), "--model", "embedded"])
    assert result.exit_code == 2
    assert "roles extract" in result.stderr


def test_leaves_are_proposed_for_cards_that_exist_and_never_replace_confirmed_ones(tmp_path):
    from esc_eval.files.records import load_cards
    from esc_eval.files.writing import write_jsonl

    known, *others = load_cards()[::4]
    fresh = [card.model_copy(update={"id": f"new-{n}"}) for n, card in enumerate(others)]
    write_jsonl(tmp_path / "cards.jsonl", [known, *fresh])
    sorter, out = scripted(tmp_path / "sorter.json", "A"), tmp_path / "tiers.csv"
    cards = str(tmp_path / "cards.jsonl")
    run_cli("roles", "propose", "--cards", cards, "--work", str(tmp_path / "w"), "--out", str(out), "--model", sorter)
    build_dataset(Inputs(cards=(Path(cards),), tiers=out), tmp_path / "out")
    rows = read_table(tmp_path / "out", "role_cards")
    confirmed = rows.pop(known.id)
    assert (confirmed["problem_type"], confirmed["tier_status"]) == ("relatives", "confirmed")
    assert {row["problem_type"] for row in rows.values()} == {"breakup_or_divorce", "much_pressure", "friends"}
    assert {row["tier_status"] for row in rows.values()} == {"proposed"}
    assert {row["tier_confidence"] for row in rows.values()} == {1.0}
    assert all(decisions.find_leaf(row["problem_type"]).tier1 == row["category"] for row in rows.values())


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_pipeline_runs_on_real_conversations_at_full_length_with_a_scripted_model(shared, tmp_path):
    work = str(tmp_path / "work")
    writer = scripted(tmp_path / "writer.json", json.dumps(CARD))
    arguments = ["--sources", str(shared / "sources"), "--only", "esconv", "--only", "smile", "--work", work]
    run_cli("roles", "extract", *arguments, "--model", writer)
    run_cli("roles", "filter", "--work", work, "--model", scripted(tmp_path / "j.json", '{"decision": "keep"}'))
    lines = {line.language: line for line in read_workspace_table(Workspace(Path(work)))}
    assert (lines["en"].tried, lines["zh"].tried) == (1321, 300)
    assert lines["en"].extract == lines["en"].model_filter == 1321


@pytest.mark.slow
@pytest.mark.shared_data
def test_the_pipeline_runs_on_real_conversations_with_the_embedded_model(shared, tmp_path):
    work = str(tmp_path / "work")
    arguments = ["--sources", str(shared / "sources"), "--only", "esconv", "--only", "smile"]
    run_cli("roles", "extract", *arguments, "--limit", "1", "--longest", "300", "--work", work)
    found = Workspace(Path(work)).read(Extraction)
    assert len(found) == 2
    assert all((card.text is None) != (card.failure is None) for card in found.values())


# --- the sheet of people


def listed(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def sheet_of(tmp_path):
    """Writes the sheet of cards by id; returns what was said of it and its rows."""

    def make(*ids: str, texts=None, done=(), proposed=None):
        base = KNOWN["esconv/x.json#0"]
        cards = [base.model_copy(update={"id": i, "text": (texts or {}).get(i, f"Age: {i}")}) for i in ids]
        verdicts = {i: Filtering(id=i, model="m", answer="k", decision="keep") for i in ids}
        sheet = write_sheet(tmp_path / "review.csv", cards, verdicts, {r.id: r for r in done}, proposed or {})
        return sheet, listed(tmp_path / "review.csv")

    return make


def test_writing_the_sheet_again_keeps_what_people_wrote_and_appends_what_is_new(sheet_of, tmp_path):
    sheet_of("a", "b")

    def decide(n, row):
        if n == 0:
            row |= {"decision": "drop", "reason": "too short, I think", "reviewer": "jo"}
        row["my notes"] = f"note {n}"

    edit(tmp_path / "review.csv", decide)
    sheet, rows = sheet_of("a", "b", "c", texts={"a": "Age: 99", "b": "Age: 98"})
    assert (sheet.rows, sheet.new, sheet.vanished, sheet.changed) == (3, 1, (), ("a",))
    assert [row["id"] for row in rows] == ["a", "b", "c"]
    assert [row["card"] for row in rows] == ["Age: a", "Age: 98", "Age: c"], "a person decided on the first as it was"
    assert (rows[0]["decision"], rows[0]["reason"], rows[0]["reviewer"]) == ("drop", "too short, I think", "jo")
    assert [row["my notes"] for row in rows] == ["note 0", "note 1", ""]


@pytest.mark.parametrize("column", ["card", "model_reason", "source"])
def test_what_a_person_typed_into_a_shown_cell_stays_and_is_said(sheet_of, tmp_path, column):
    sheet_of("a", "b")
    edit(tmp_path / "review.csv", lambda n, row: row.update({column: f"mine\r\n{n}"} if n == 0 else {}))
    for _ in range(2):
        sheet, rows = sheet_of("a", "b", texts={"b": "Age: 98"})
        assert (sheet.typed, rows[0][column], rows[1]["card"]) == (("a",), "mine\r\n0", "Age: 98")


def test_rows_of_cards_that_are_gone_stay_and_are_said(sheet_of, tmp_path):
    sheet_of("a", "b")
    sheet, rows = sheet_of("b")
    assert sheet.vanished == ("a",)
    assert [row["id"] for row in rows] == ["a", "b"]


def test_what_was_taken_over_does_not_replace_what_a_person_wrote_since(sheet_of, tmp_path):
    sheet_of("a", "b")
    edit(tmp_path / "review.csv", lambda n, row: row.update({"decision": "keep", "quality": "high"} if n == 0 else {}))
    done = [Review(id=i, decision="drop", reason="earlier") for i in "ab"]
    _, rows = sheet_of("a", "b", done=done)
    assert [(row["decision"], row["quality"], row["reason"]) for row in rows] == [
        ("keep", "high", ""),
        ("drop", "", "earlier"),
    ]


def test_a_sheet_that_cannot_be_read_is_not_written_over(sheet_of, tmp_path):
    path = tmp_path / "review.csv"
    path.write_text("id;decision\na;keep\n", encoding="utf-8")
    with pytest.raises(EscEvalError, match="not written over: put it right, or move it away"):
        sheet_of("a")
    assert path.read_text(encoding="utf-8") == "id;decision\na;keep\n"


def test_no_card_is_a_formula_and_it_comes_back_as_it_was(sheet_of, tmp_path):
    text = '=HYPERLINK("http://a.example")'
    _, rows = sheet_of("=a", texts={"=a": text})
    assert rows[0]["card"] == f"'{text}"
    edit(tmp_path / "review.csv", lambda n, row: row.update(decision="drop", reason="'=1"))
    [review], _ = read_sheet(tmp_path / "review.csv", {"=a": KNOWN["esconv/x.json#0"]})
    assert review.reason == "=1"
    sheet, rows = sheet_of("=a", texts={"=a": text})
    assert (sheet.new, sheet.changed, rows[0]["card"], rows[0]["reason"]) == (0, (), f"'{text}", "'=1")
