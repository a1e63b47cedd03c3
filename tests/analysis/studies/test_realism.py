"""Realism of seekers: planted differences are found, and there are none where there are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from analysis_support import public
from typer.testing import CliRunner

from analysis.__main__ import app
from analysis.studies import seekers
from analysis.studies.real import read_conversations
from analysis.studies.realism import REAL, WHOLE, realism_report
from analysis.studies.seekers import (
    card_match,
    cut_turns,
    emotion_by_round,
    jensen_shannon,
    measure_sizes,
    sizes_by_round,
    turns_of,
    valence_by_round,
)
from analysis.studies.slips import slips_above
from analysis.studies.two_sample import two_sample_test
from esc_eval.errors import EscEvalError
from esc_eval.schema import Dialogue, RoleCard, Turn
from esc_eval.scoring.lexicon import count_courtesies, count_distress, read_lexicon
from esc_eval.statistics.bootstrap import Bootstrap

BOOT = Bootstrap(draws=200)
WORDS = [
    "work",
    "home",
    "rain",
    "book",
    "street",
    "letter",
    "table",
    "window",
    "coffee",
    "train",
    "garden",
    "phone",
    "paper",
    "music",
    "river",
    "bread",
    "city",
]


def talk(rng: np.random.Generator, i: int, words: list[str] = WORDS, rounds: int = 5, **extra: object) -> Dialogue:
    """A dialogue of random words."""
    turns = []
    for _ in range(rounds):
        turns.append(Turn(role="seeker", text=" ".join(rng.choice(words, 12))))
        turns.append(Turn(role="supporter", text="I see."))
    return Dialogue(**{"id": f"t{i}", "language": "en", "turns": tuple(turns), **extra})  # type: ignore[arg-type]


def course(*texts: str, language: str = "en") -> Dialogue:
    turns = [t for text in texts for t in (Turn(role="seeker", text=text), Turn(role="supporter", text="Go on."))]
    return Dialogue(id="x", language=language, turns=tuple(turns))


def test_distress_counts_both_languages() -> None:
    assert count_distress("I am so sad and hopeless", "en") == (2, 6)
    assert count_distress("Thanks, I feel better", "en") == (-1, 4)
    assert count_distress("我很焦虑，也很孤独", "zh")[0] == 2
    assert count_distress("谢谢你，我轻松了", "zh")[0] == -1


def test_the_lists_are_disjoint() -> None:
    for language in ("en", "zh"):
        words = read_lexicon(language)
        assert not words.distress & words.relief
        assert not any(words.courtesy.fullmatch(word) for word in words.distress | words.relief)


@pytest.mark.parametrize(
    ("text", "language", "courtesies", "net"),
    [
        ("Thank you so much! Have a wonderful evening, bye bye", "en", 3, 0),
        ("You have been very helpful, thanks, good luck", "en", 2, -1),
        ("You're welcome. It was nice talking to you, take care", "en", 3, 0),
        ("I have a hard day and a bad time, good grief", "en", 0, 1),
        ("I had a good night and a great morning", "en", 0, -2),
        ("THANK YOU, I feel hopeful", "en", 1, -1),
        ("非常感谢！祝您生活幸福，晚安", "zh", 3, 0),
        ("很高兴和你聊，我轻松多了", "zh", 1, -1),
        ("我不高兴，很难过", "zh", 0, 0),
    ],
)
def test_who_says_thanks_or_goodbye_need_not_feel_better(text, language, courtesies, net) -> None:
    assert count_courtesies(text, language)[0] == courtesies
    assert count_distress(text, language)[0] == net


def test_emotion_falls_where_it_falls() -> None:
    falling = [course("sad sad sad day", "a sad day today", "a good day, thank you")] * 30
    steady = [course("a sad day today", "a sad day today", "a sad day today")] * 30
    assert emotion_by_round(falling, 3, BOOT)["drift"].value < -90
    assert emotion_by_round(steady, 3, BOOT)["drift"].value == 0
    assert [m.value for m in emotion_by_round(steady, 3, BOOT)["rounds"]] == pytest.approx([25, 25, 25])


def test_a_slope_is_of_each_dialogue_and_not_of_their_words_together() -> None:
    talks = [course("one two three", "one two", "one"), course("one", "one"), course("only one")]
    found = sizes_by_round(talks, 3, BOOT)["tokens_a_turn"]["slope"]
    # -1 a part; two turns fall into the first and the second of three parts, 0; one turn has none
    assert found.value == pytest.approx(-0.5)
    assert found.n == 2
    undefined = sizes_by_round([course("only one")], 3, BOOT)["tokens_a_turn"]["slope"]
    assert "two parts" in undefined.undefined


def test_slips_above_those_of_others_are_a_difference_of_two_groups() -> None:
    first, second = np.array([[2.0, 4], [0, 4], [2, 2]] * 9), np.array([[0.0, 5], [1, 5]] * 9)
    found = slips_above(first, second, BOOT)
    assert found.value == pytest.approx(4 / 10 - 1 / 10)
    assert found.low < found.value < found.high


def test_sizes_by_hand() -> None:
    found = measure_sizes([course("one two three", "four?"), course("five six")], BOOT)
    assert found["tokens_a_turn"].value == pytest.approx(6 / 3)
    assert found["turns"].value == 1.5
    assert found["share_of_questions"].value == pytest.approx(1 / 3)


def test_length_and_questions_are_followed_over_the_dialogue():
    found = sizes_by_round([course("one two three four", "why?", "five"), course("a b c d", "so?", "no")], 3, BOOT)
    assert [m.value for m in found["tokens_a_turn"]["rounds"]] == [4, 1, 1]
    assert [m.value for m in found["share_of_questions"]["rounds"]] == [0, 1, 0]
    assert found["tokens_a_turn"]["drift"].value == -3


def test_divergence_of_equal_and_of_disjoint_words() -> None:
    assert jensen_shannon(np.array([2.0, 2]), np.array([5.0, 5])) == pytest.approx(0)
    assert jensen_shannon(np.array([1.0, 0]), np.array([0, 7.0])) == 1


def test_card_match_knows_seekers_who_speak_of_their_own_card() -> None:
    topics = ["exam", "divorce", "debt", "layoff", "insomnia", "bullying"]
    cards = {t: RoleCard(id=t, language="en", text=f"Age: 20\nProblem: trouble with {t}", source="x") for t in topics}
    true = [course(f"It is about my {t}").model_copy(update={"id": t, "card_id": t}) for t in topics]
    moved = [d.model_copy(update={"card_id": topics[(i + 1) % 6]}) for i, d in enumerate(true)]
    assert card_match(true, cards, BOOT).value == 1
    assert card_match(moved, cards, BOOT).value < 0.5
    assert "fewer than two" in card_match(true[:1], cards, BOOT).undefined


def halves(texts: list[str], n: int, runs: int) -> tuple[float, float, float]:
    """How often the intervals of two random halves hold chance, and how often p is below .05."""
    rng = np.random.default_rng(0)
    found = []
    for seed in range(runs):
        chosen = [texts[i] for i in rng.permutation(len(texts))[: 2 * n]]
        test = two_sample_test(chosen[:n], chosen[n:], Bootstrap(draws=100, seed=seed))
        found.append(
            [test.auc.low <= 0.5 <= test.auc.high, test.accuracy.low <= 0.5 <= test.accuracy.high, test.p < 0.05]
        )
    return tuple(np.mean(found, axis=0))


@pytest.mark.slow
def test_intervals_of_two_samples_of_one_kind_hold_chance() -> None:
    """Out-of-fold scores depend on each other: as if they were independent the interval of the area held .87."""
    rng = np.random.default_rng(0)
    auc, accuracy, p = halves(["\n".join(turns_of(talk(rng, i, rounds=2))) for i in range(300)], 20, 120)
    assert auc >= 0.92
    assert accuracy >= 0.90
    assert p <= 0.10


@pytest.mark.slow
@pytest.mark.shared_data
def test_intervals_of_two_halves_of_real_seekers_hold_chance() -> None:
    conversations = read_conversations(public("sources", "esconv", "train.txt"), "en")
    auc, accuracy, p = halves(["\n".join(turns_of(d)) for d in conversations], 20, 100)
    assert auc >= 0.92
    assert accuracy >= 0.90
    assert p <= 0.12


def test_permutations_within_folds_keep_a_perfect_classifier_at_the_smallest_p() -> None:
    found = two_sample_test(["alpha beta"] * 12, ["gamma delta"] * 12, BOOT)
    assert (found.auc.value, found.accuracy.value) == (1, 1)
    assert 0.7 < found.auc.low < 1 == found.auc.high
    assert found.p == pytest.approx(1 / 1001)


def test_seekers_are_compared_at_equal_length_and_whole_conversations_stand_beside() -> None:
    """Both begin sad and end well, people ten turns later: compared whole, the seeker seemed not to recover."""
    mood = ["a sad day"] * 4 + ["a calm day"]
    simulated = [course(*mood).model_copy(update={"id": f"s{i}", "seeker": "bot"}) for i in range(12)]
    people = [
        course(*mood, *["we are glad and happy and calm"] * 10).model_copy(update={"id": f"r{i}"}) for i in range(12)
    ]
    report = realism_report(simulated, people, BOOT)
    found = report.data["languages"]["en"]
    assert report.data["turns"] == {"en": 5}
    assert found["bot"]["emotion"]["drift"].value == found[REAL]["emotion"]["drift"].value == pytest.approx(-200 / 3)
    assert found[WHOLE]["emotion"]["drift"].value < -70
    assert (found[REAL]["turns"].value, found[WHOLE]["turns"].value) == (5, 15)
    assert "turns:en=5" in report.signature
    assert any("cut after 5 turns of the seeker. Fewer have 0 of 12 real" in note for note in report.notes)
    [short] = {
        realism_report(simulated, people, BOOT, turns=2).data["languages"]["en"][k]["turns"].value
        for k in ("bot", REAL)
    }
    assert short == 2


def test_a_dialogue_is_cut_after_the_seekers_turn() -> None:
    cut = cut_turns(course("a", "b", "c"), 2)
    assert [t.text for t in cut.turns] == ["a", "Go on.", "b"]
    assert cut_turns(course("a"), 2) == course("a")


def test_a_second_measure_stands_beside_the_word_list_where_it_is_installed() -> None:
    pytest.importorskip("vaderSentiment", reason="pip install vaderSentiment")
    rising = [course("This is horrible. I hate it.", "It is a day.", "This is wonderful, I love it!")] * 12
    found = valence_by_round(rising, 3, BOOT)
    first, middle, last = (m.value for m in found["rounds"])
    assert first < -0.3 < middle < 0.3 < last
    assert found["drift"].value == pytest.approx(last - first)


def test_without_the_second_measure_the_report_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seekers, "_vader", lambda: None)
    talks = [course("a sad day", "a good day")] * 12
    assert "pip install vaderSentiment" in valence_by_round(talks, 2, BOOT)["drift"].undefined
    report = realism_report(talks, [], BOOT)
    assert any(note.startswith("No second measure of emotion") for note in report.notes)
    assert "VADER, -1 to 1" not in report.to_text()
    chinese = [course("我很难过", language="zh")] * 3
    assert "English only" in valence_by_round(chinese, 1, BOOT)["drift"].undefined


def test_a_planted_difference_is_found_and_the_report_says_so() -> None:
    rng = np.random.default_rng(0)
    real = [talk(rng, i, seeker="human") for i in range(40)]
    polite = [talk(rng, i, [*WORDS, "certainly", "assist"], seeker="bot") for i in range(40)]
    found = realism_report(polite, real, BOOT)
    entry = found.data["languages"]["en"]["bot"]
    assert entry["classifier"]["auc"].low > 0.6
    assert entry["divergence"].low > entry["divergence_within"].high
    assert any("bot: a classifier tells these seekers from real ones" in note for note in found.notes)
    assert REAL in found.data["languages"]["en"]


def test_length_alone_can_give_a_seeker_away() -> None:
    rng = np.random.default_rng(0)
    short = ["\n".join(turns_of(talk(rng, i, rounds=2))) for i in range(30)]
    long = ["\n".join(turns_of(talk(rng, i, rounds=6))) for i in range(30)]
    assert two_sample_test(short, long, BOOT, length_only=True).auc.value == 1


def test_too_few_dialogues_are_undefined_not_guessed() -> None:
    rng = np.random.default_rng(0)
    report = realism_report([talk(rng, i, seeker="bot") for i in range(4)], [talk(rng, i) for i in range(4)], BOOT)
    classifier = report.data["languages"]["en"]["bot"]["classifier"]
    assert classifier["auc"].value is None
    assert "10 dialogues a side" in classifier["auc"].undefined
    assert "NaN" not in report.to_json()


def test_mute_seekers_are_counted() -> None:
    rng = np.random.default_rng(0)
    mute = Dialogue(id="m", language="en", seeker="bot", turns=(Turn(role="seeker", text=""),))
    report = realism_report([mute, *(talk(rng, i, seeker="bot") for i in range(3))], [], BOOT)
    assert report.data["languages"]["en"]["bot"]["dialogues"] == 3
    assert any("1 dialogues in which the seeker says nothing" in note for note in report.notes)


@pytest.mark.slow
@pytest.mark.shared_data
def test_real_conversations_of_every_layout_are_read() -> None:
    files = {"valid.txt": 195, "original_schema_sample.json": 45, "FailedESConv.json": 196}
    for name, count in files.items():
        conversations = read_conversations(public("sources", "esconv", name), "en")
        assert len(conversations) == count
        assert all(turns_of(d) for d in conversations)
        for d in conversations:
            assert all(a.role != b.role for a, b in zip(d.turns, d.turns[1:], strict=False))
    assert len(read_conversations(public("sources", "smile"), "zh")) == 300


@pytest.mark.slow
@pytest.mark.shared_data
def test_halves_of_esconv_are_not_told_apart() -> None:
    conversations = read_conversations(public("sources", "esconv", "train.txt"), "en")[:240]
    first, second = (["\n".join(turns_of(d)) for d in half] for half in (conversations[::2], conversations[1::2]))
    assert two_sample_test(first, second, BOOT).p > 0.05


def test_a_run_folder_brings_its_cards(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    turns = [Turn(role=role, text=text) for role, text in (("seeker", "I lost my job"), ("supporter", "Tell me"))] * 5
    dialogues = [Dialogue(id=f"m:{n}", language="en", turns=tuple(turns), card_id=str(n)) for n in range(4)]
    cards = [RoleCard(id=str(n), language="en", text=f"Problem: lost job {n}", source="esconv") for n in range(4)]
    for name, records in (("dialogues", dialogues), ("cards", cards)):
        (tmp_path / "run" / f"{name}.jsonl").write_text("".join(record.to_json() + "\n" for record in records))
    matches = []
    for path in ("run", "run/dialogues.jsonl"):
        out = tmp_path / "out.json"
        assert CliRunner().invoke(app, ["realism", str(tmp_path / path), "--json", str(out)]).exit_code == 0
        [figures] = json.loads(out.read_text())["languages"]["en"].values()
        matches.append(figures["card_match"]["n"])
    assert matches == [4, 0]


@pytest.mark.shared_data
def test_command_on_the_official_dialogues(tmp_path: Path) -> None:
    out = tmp_path / "o.json"
    simulated = public("esc_eval_official", "result", "2024-06-24", "llama3_zh.json")
    command = ["realism", str(simulated), "--real", f"zh={public('sources', 'smile')}", "--draws", "200"]
    result = CliRunner().invoke(app, [*command, "--json", str(out)])
    assert result.exit_code == 0, result.output
    found = json.loads(out.read_text())["languages"]["zh"]
    assert found["ESC-Role"]["dialogues"] == 3
    assert found[REAL]["dialogues"] == 300


@pytest.mark.shared_data
def test_official_dialogues_are_linked_to_their_cards_and_an_unused_language_is_in_no_signature(tmp_path: Path) -> None:
    """The release names no card: a dialogue's key is the place of its card in the card file of its language."""
    out = tmp_path / "o.json"
    cards = {code: public("esc_eval_official", "data", f"card_high_{code}.json") for code in ("en", "zh")}
    both = [f"--cards={path}" for path in cards.values()]

    def realism(*options: str) -> Any:
        files = [str(public("esc_eval_official", "result", "2024-06-24", f"llama3_{code}.json")) for code in codes]
        result = CliRunner().invoke(app, ["realism", *files, "--draws", "100", "--json", str(out), *options])
        assert result.exit_code == 0, result.output
        return json.loads(out.read_text())

    codes = ["zh"]
    assert realism()["languages"]["zh"]["ESC-Role"]["card_match"]["n"] == 0
    linked = realism(*both)
    assert linked["languages"]["zh"]["ESC-Role"]["card_match"]["n"] == 3
    assert linked["languages"]["zh"]["ESC-Role"]["card_match"]["value"] > 0.5
    assert list(linked["languages"]) == ["zh"]
    assert "turns:zh=" in linked["signature"]
    assert "en=" not in linked["signature"]
    assert linked == realism(both[1])
    people = public("sources", "esconv", "original_schema_sample.json")
    unused = realism(*both, f"--real=en={people}")
    assert unused["signature"] == linked["signature"]
    assert any(note.startswith("en: no simulated dialogues") for note in unused["notes"])
    result = CliRunner().invoke(
        app, ["realism", str(public("esc_eval_official", "result", "2024-06-24", "llama3_en.json")), both[1]]
    )
    assert result.exit_code == 2
    assert "is in en, and no card of en is given" in result.stderr
    codes = ["en", "zh"]
    found = realism(*both)
    assert all(found["languages"][code]["ESC-Role"]["card_match"]["n"] == 3 for code in codes)
    assert "turns:en=5,zh=5" in found["signature"]


def test_a_turn_without_a_known_speaker_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps([{"dialog": [{"speaker": "narrator", "text": "x"}]}]))
    with pytest.raises(EscEvalError, match="line 1: unknown speaker; known: usr, seeker"):
        read_conversations(path, "en")
