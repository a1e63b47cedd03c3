"""Scores that judges state in Japanese and German prose; what is a count, a range or unclear stays unscored."""

import pytest

from esc_eval import languages
from esc_eval.errors import EscEvalError
from esc_eval.languages import add_folder
from esc_eval.scoring.parsers import find_anchored, parse_anchored

LEVELS = range(5)


@pytest.mark.parametrize(
    "answer",
    [
        "4点", "４点", "4点。", "**4点**", "4点です。", "評価：４", "評価: 4点", "スコアは4です。", "スコアは4点です。",
        "共感は4点だと思います。", "点数：4/4", "4点（4点満点）", "4点満点中4点です。", "四点です。", "4点満点中4点",
        "評価：4点満点中4点", "【評価】4",
        "不安をよく理解しているので、4点です。", "支え手は3つの提案をしています。評価は4点とします。",
        "0から4の尺度で、4点です。", "レベル4と判断します。", "4です。", "4点をつけます。", "よく聴いています。\n4点",
        "得点：4点\n理由：提案が2つある。", "段階4が妥当です", "第3回の発言が温かく、4点とします。",
    ],
)  # fmt: skip
def test_a_score_in_japanese_is_read(answer):
    assert parse_anchored(answer, LEVELS) == 4


@pytest.mark.parametrize(
    "answer",
    [
        "次の4点です。", "提案が4点。", "提案は4点です。", "4点ではありません", "約4点です", "3点か4点です", "10点です",
        "3.5点です", "4点/10点満点", "第4回の発言", "4つの質問をしている", "3〜4点", "改善点は4点です", "この4点です",
        "マイナス4点",
        "4点に近い", "4時間眠れない", "4人の友人", "我注意到4点。", "4点建议如下", "3点でしたが、4点とします。",
    ],
)  # fmt: skip
def test_a_count_a_range_or_a_denial_in_japanese_is_unscored(answer):
    assert parse_anchored(answer, LEVELS) is None


@pytest.mark.parametrize(
    "answer",
    [
        "Punktzahl: 4", "Punktzahl: 4.", "**Punktzahl:** 4", "Die Punktzahl ist 4.", "Ich gebe 4 Punkte.",
        "Ich vergebe eine 4.", "4 von 4", "4 von 4 Punkten", "4 Punkte von 4", "Bewertung: 4/4", "Bewertung: 4 (von 4)",
        "Meine Bewertung lautet 4.", "Stufe 4", "Note: 4", "Ich bewerte die Einfühlung mit einer 4.", "4 Punkte",
        "Auf einer Skala von 0 bis 4 gebe ich eine 4.", "Alle 3 Antworten sind flüssig. Punktzahl: 4",
        "4, weil alles passt.", "3 der 5 Antworten passen. Die Bewertung ist 4.", "Die Einfühlung verdient eine 4.",
        "Gesamtpunktzahl: 4",
    ],
)  # fmt: skip
def test_a_score_in_german_is_read(answer):
    assert parse_anchored(answer, LEVELS) == 4


@pytest.mark.parametrize(
    "answer",
    [
        "Nicht 4.", "4 von 10", "4 von 5 Antworten sind gut.", "etwa 4 Punkte", "Ich gebe 3 oder 4 Punkte.",
        "In Runde 4 tröstet sie.", "3,5 Punkte", "Sie macht 4 Vorschläge.", "Zwischen 3 und 4", "Punktzahl: 3 bis 4",
        "Vorschläge: 4", "weniger als 4 Punkte", "4 mal gefragt", "keine 4",
    ],
)  # fmt: skip
def test_a_count_a_range_or_a_denial_in_german_is_unscored(answer):
    assert parse_anchored(answer, LEVELS) is None


@pytest.mark.parametrize("answer", ["支え手の共感は３点です。", "Ich gebe der unterstützenden Person 3 Punkte."])
def test_where_the_level_stands_is_a_place_of_the_answer_itself(answer):
    level, (start, end) = find_anchored(answer, LEVELS)
    assert (level, answer[start:end]) in ((3, "３"), (3, "3"))


def test_a_rewriting_that_is_none_is_refused_with_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(languages, "_added", [])
    folder = tmp_path / "xx"
    folder.mkdir()
    (folder / "language.yaml").write_text("code: xx\nname: X\n")
    (folder / "answers.yaml").write_text("rewritings:\n  - {find: '(', put: x}\n")
    add_folder(folder)
    with pytest.raises(EscEvalError, match=r"xx/answers\.yaml: rewriting 1 is none"):
        parse_anchored("3", LEVELS)
