"""Role cards out of tables that others made, and out of what this project publishes."""

import sys
from pathlib import Path

import pytest
from made_builds import make_card

from esc_eval import simulate
from esc_eval.errors import EscEvalError
from esc_eval.files.card_rows import WITHHELD, refuse_withheld
from esc_eval.files.cell_tables import Guess
from esc_eval.files.columns import naming
from esc_eval.files.records import fill_cards, load_cards, read_cards
from esc_eval.files.writing import write_jsonl

RECORDED = Path(__file__).parent / "recorded"
FLOOD = "Age: 31\nProblem: The greenhouse that she runs floods each spring"


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_a_sheet_of_personas_is_a_card_file_and_what_is_guessed_is_said():
    with pytest.warns(Guess, match="read 'Card ID' as id, .*'Persona' as text.*no column source") as said:
        one, two = read_cards(RECORDED / "libreoffice-cards.xlsx")
    assert len(said) == 1
    assert (one.id, one.language, one.category, one.source) == ("1", "en", "work_and_study", "libreoffice-cards")
    assert one.text == f"{FLOOD} and nobody believes her."
    assert (two.language, two.category) == ("zh", None)


@pytest.mark.slow
def test_class_labels_are_their_names_in_parquet_and_in_a_data_set():
    import datasets

    with pytest.warns(Guess, match="no column id, so cards are called datasets-cards-1 .*; no column source, so it is"):
        [one, _] = read_cards(RECORDED / "datasets-cards.parquet")
    assert (one.id, one.language, one.category) == ("datasets-cards-1", "en", "work_and_study")
    rows = datasets.Dataset.from_parquet(str(RECORDED / "datasets-cards.parquet"))
    with pytest.warns(Guess):
        [same, _] = load_cards([rows])
    assert (same.text, same.category) == (one.text, one.category)
    with pytest.warns(Guess):
        found = simulate(lambda messages: "I hear you.", rows, seeker=lambda messages: "I feel low.", rounds=1)
    assert [dialogue.card_id for dialogue in found.dialogues] == ["cards-1", "cards-2"]
    with pytest.raises(EscEvalError, match="give one split of the data set: test"):
        simulate(lambda messages: "", datasets.DatasetDict({"test": rows}))


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_columns_of_a_card_file_may_have_any_name(ending, tmp_path):
    text = {
        ".csv": "nr;Wer und was;topic\n7;Sie zieht um.;家庭生活\n",
        ".jsonl": '{"nr": 7, "Wer und was": "Sie zieht um.", "topic": "家庭生活"}\n',
    }
    path = write(tmp_path / f"a{ending}", text[ending])
    columns = {"id": "nr", "text": "Wer und was", "category": "topic"}
    with pytest.warns(Guess, match="no column language, guessed from the texts: 1 en"):
        [card] = read_cards(path, columns)
    assert (card.id, card.text, card.category) == ("7", "Sie zieht um.", "family_and_life")
    with naming(columns), pytest.warns(Guess):
        assert load_cards([path]) == [card]
    with pytest.raises(EscEvalError, match=r"no column text, .*--column text=COLUMN\. There is: 'nr', 'Wer und was'"):
        read_cards(path)


@pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("id,text\n1,\n2,b\n", "line 2: text is empty"),
        ("id,text\n1,a\n,b\n", "line 3: id is empty"),
        ("id,text\n1,a\n1,b\n", "1 card ids occur more than once"),
        ("id,text,language\n1,a,Klingon\n", "line 2: no role card: language"),
        ("id,text,category\n1,a,money\n", "line 2: no role card: category"),
        ("id,text,synthetic\n1,a,maybe\n", "line 2: synthetic is 'maybe', expected yes or no"),
        ("id,Persona,Profile\n1,a,b\n", "line 1: 'Persona' and 'Profile' may both be the text: say which"),
    ],
)
def test_a_row_that_is_no_card_is_refused_with_its_line(text, why, tmp_path):
    with pytest.raises(EscEvalError, match=why):
        read_cards(write(tmp_path / "a.csv", text))


def build_of(folder, cards, rows):
    """A folder as the dataset builder makes it, as far as cards are read from it."""
    import pandas as pd

    (folder / "role_cards").mkdir(parents=True)
    frame = pd.DataFrame([{**dict(card), **row} for card, row in zip(cards, rows, strict=True)])
    frame.to_parquet(folder / "role_cards" / "test-00000-of-00001.parquet")
    return folder


@pytest.fixture
def public(tmp_path):
    """A public copy of two official cards, whose texts it withholds, and of one that it has; and a checkout."""
    import json
    from hashlib import sha256

    cards = [make_card(n, "en", f"90{n}", "esconv") for n in range(2)]
    content = [
        {
            "base": c.text,
            "res": "家庭生活",
            "source": "ESconv",
            "base_biaozhu": "",
            "language": "english",
            "id": int(c.id),
        }
        for c in cards
    ]
    (tmp_path / "official" / "data").mkdir(parents=True)
    write(tmp_path / "official" / "data" / "card_high_en.json", json.dumps(content))
    rows = [
        {
            "text": None,
            "text_sha256": sha256(card.text.encode()).hexdigest(),
            "origin": f"official/data/card_high_en.json#{n}",
            "rehostable": False,
        }
        for n, card in enumerate(cards)
    ]
    own = make_card(2, "en", "own", "esc-eval", synthetic=True)
    rows.append({"text_sha256": "-", "origin": "cards.jsonl#0", "rehostable": True})
    return build_of(tmp_path / "public", [*cards, own][::-1], rows[::-1]), tmp_path / "official", [*cards, own]


def test_a_built_folder_and_its_parquet_are_cards_in_the_order_of_the_release(public):
    folder, _, cards = public
    for path in (folder, folder / "role_cards", next(folder.rglob("*.parquet"))):
        assert [card.id for card in load_cards([path])] == ["900", "901", "own"]
    assert [card.text for card in load_cards([folder])] == [WITHHELD, WITHHELD, cards[2].text]


def test_cards_without_a_text_are_not_played_and_the_message_says_how_to_put_it_in(public):
    folder, official, cards = public
    with pytest.raises(EscEvalError, match=r"2 of 3 role cards, e\.g\. '900', have no text.*esc-eval convert CARDS"):
        refuse_withheld(load_cards([folder]))
    filled = fill_cards(load_cards([folder]), [folder], official)
    assert [card.text for card in filled] == [card.text for card in cards]
    refuse_withheld(filled)


def test_a_text_of_another_hash_fills_nothing_in(public):
    folder, official, _ = public
    path = official / "data" / "card_high_en.json"
    path.write_text(path.read_text().replace("bakery", "Bakery"))
    with pytest.raises(EscEvalError, match=r"1 role cards stay without text, e\.g\. '900'"):
        fill_cards(load_cards([folder]), [folder], official)


def test_a_part_of_the_official_cards_links_no_dialogue(public, tmp_path):
    import pandas as pd

    folder, _, _ = public
    path = next(folder.rglob("*.parquet"))
    frame = pd.read_parquet(path)
    frame[frame["id"] != "900"].to_parquet(path)
    assert len(load_cards([folder])) == 2
    with pytest.raises(EscEvalError, match=r"card_high_en\.json: not all of its cards are here"):
        load_cards([folder], in_order=True)


@pytest.mark.filterwarnings("ignore::esc_eval.files.cell_tables.Guess")
def test_official_dialogues_are_linked_to_a_build_as_to_the_card_file_that_it_was_made_of(public, tmp_path):
    from esc_eval.api.rate import load_dialogues

    folder, official, _ = public
    talks = write(tmp_path / "llama3_en.json", '{"1": ["ESC-Role：Hi", "AI assistant：Oh"], "0": ["ESC-Role：Hm"]}')
    by_file, by_build = (load_dialogues([talks], [path]) for path in (official / "data" / "card_high_en.json", folder))
    assert [talk.card_id for talk in by_file] == [talk.card_id for talk in by_build] == ["901", "900"]


def test_our_own_files_are_read_as_before(tmp_path):
    cards = [make_card(0, "en", "a", "s")]
    write_jsonl(tmp_path / "cards.jsonl", cards)
    assert load_cards([tmp_path]) == load_cards([tmp_path / "cards.jsonl"]) == cards


REFUSED = """
from esc_eval.errors import EscEvalError
from esc_eval.hub.cards import fetch_cards
for name in ("hub:me/none", "hub:me/cards@v2", "hub:cards"):
    try:
        fetch_cards(name)
    except EscEvalError as error:
        print(str(error).replace("\\n", " "))
"""


@pytest.mark.slow
def test_the_hub_gives_cards_at_the_commit_that_a_run_then_keeps(public, tmp_path, monkeypatch, script):
    import json
    import subprocess

    from hub_server import TOKEN, HubServer
    from huggingface_hub import HfApi

    folder, official, _ = public
    filled = fill_cards(load_cards([folder]), [folder], official)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    root = Path(__file__).resolve().parents[3]
    with HubServer() as hub:
        api = HfApi(endpoint=hub.url, token=TOKEN)
        build_of(tmp_path / "full", filled, [{"origin": "x#0", "text_sha256": "-", "rehostable": True}] * 3)
        api.create_repo("me/cards", repo_type="dataset")
        api.upload_folder(folder_path=tmp_path / "full", repo_id="me/cards", repo_type="dataset")
        commit = hub.repos["datasets", "me/cards"].main
        api.create_tag("me/cards", tag="v1", repo_type="dataset")
        environment = hub.environment(str(tmp_path / "home")) | {"PYTHONPATH": str(root), "HF_HUB_DISABLE_XET": "1"}

        def simulate(cards, out, **more):
            seeker, supporter = script(["I feel low."], "seeker"), script(["I hear you."], "warm")
            arguments = ["--seeker", seeker, "--supporter", supporter, "--rounds", "1", "--cards", cards, "--out", out]
            command = [sys.executable, "-m", "esc_eval", "simulate", *arguments]
            return subprocess.run(
                command, env=environment | more, cwd=tmp_path, capture_output=True, text=True, check=False
            )

        done = simulate("hub:me/cards@v1", "run")
        assert done.returncode == 0, done.stderr
        shown = subprocess.run(
            [sys.executable, "-c", REFUSED], env=environment, capture_output=True, text=True, check=True
        )
    assert {card.id for card in read_cards(tmp_path / "run")} == {"900", "901", "own"}
    [call] = json.loads((tmp_path / "run" / "run.json").read_text())["calls"]
    assert call["settings"]["cards"] == [f"hub:me/cards@{commit}"]
    none, v2, unnamed = shown.stdout.splitlines()
    assert none.startswith("me/none, reading its role cards at main: the Hub answered 404")
    assert v2.startswith("me/cards, reading its role cards at v2: the Hub answered 404")
    assert "expected hub:ORG/NAME or hub:ORG/NAME@REVISION" in unnamed
    assert TOKEN not in shown.stdout
    offline = simulate(f"hub:me/cards@{commit}", "again", HF_HUB_OFFLINE="1")  # out of the cache
    assert offline.returncode == 0, offline.stderr
