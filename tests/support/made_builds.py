"""A build of everything that a build can hold, from inputs that are made up: texts, cards, runs, ratings, sources."""

import csv
import json
from pathlib import Path

from made_identity import simulation_identity

from dataset_builder.build import Inputs, build_dataset
from esc_eval.files.official import MARKERS, dialogues_to_official
from esc_eval.schema import Dialogue, Rating, RoleCard, Turn
from esc_eval.simulation.plan import turn_seed

SEED = 11
RUN = "mine"
OTHERS = "others"
TROUBLES = {
    "en": (
        "Her bakery loses its lease in spring and she has told nobody at home about the letter.",
        "He hears his brother through the wall at night and has stopped inviting friends to the flat.",
        "She failed the driving test for the fifth time and her new job begins on Monday far away.",
        "The choir voted him out after twenty years and he walks past the hall every evening.",
        "Her daughter reads messages aloud at dinner and laughs, and she no longer eats with them.",
        "He sold the boat that his father built and cannot look his mother in the eye.",
    ),
    "zh": (
        "她的面包店春天就要到期，家里没有人知道那封信的事情。",
        "他夜里听见隔壁弟弟的声音，已经很久不请朋友来家里坐了。",
        "她第五次没有通过驾驶考试，星期一新工作就要在外地开始。",
        "合唱团投票让他离开，二十年的位置没有了，他每晚都路过那里。",
        "女儿在饭桌上大声念她的消息还笑，她从此一个人在厨房吃饭。",
        "他卖掉了父亲亲手造的小船，现在不敢看母亲的眼睛。",
    ),
}
FRAMES = {
    "en": "Age: {age}\nGender: {gender}\nOccupation: {job}\nProblem: {trouble}",
    "zh": "年龄：{age}\n性别：{gender}\n职业：{job}\n问题：{trouble}",
}
WORDS = {"en": (("Female", "Male"), ("Baker", "Not mentioned")), "zh": (("女", "男"), ("面包师", "未提及"))}
CATEGORIES = ("family_and_life", "work_and_study", "society_and_others")
SAID = {
    "en": (
        ("It began with a letter number {n} that I put away.", "What did you feel when you put away letter {n}?"),
        ("Ashamed, as if all {n} neighbours had read it too.", "Who of those {n} would you tell first?"),
        ("My aunt, who kept {n} hens and every secret.", "Could you call the aunt with {n} hens this week?"),
    ),
    "zh": (
        ("一切从第{n}封信开始，我把它藏了起来。", "把第{n}封信收起来的时候，你心里是什么感觉？"),
        ("很羞愧，好像{n}个邻居都读过了一样。", "这{n}个邻居里，你最想先告诉谁呢？"),
        ("我的姑姑，她养了{n}只鸡，也守得住秘密。", "这个星期能给养{n}只鸡的姑姑打个电话吗？"),
    ),
}


def make_card(number: int, language: str, card_id: str, source: str, age: int = 20, **more) -> RoleCard:
    """A made-up card in the official form."""
    genders, jobs = WORDS[language]
    text = FRAMES[language].format(
        age=age + number, gender=genders[number % 2], job=jobs[number % 2], trouble=TROUBLES[language][number]
    )
    category = CATEGORIES[number % 3]
    return RoleCard(id=card_id, language=language, text=text, category=category, source=source, **more)


def make_talk(number: int, card: RoleCard, supporter: str, seed: int | None = SEED, **more) -> Dialogue:
    """A made-up dialogue on a card, with the turn seeds of a run."""
    said = [text.format(n=number + 3) for pair in SAID[card.language] for text in pair]
    turns = tuple(
        Turn(
            role=("seeker", "supporter")[n % 2],
            text=text,
            finish_reason="scripted" if n == 0 else "stop",
            seed=None if n == 0 or seed is None else turn_seed(seed, card.id, n),
        )
        for n, text in enumerate(said)
    )
    return Dialogue(
        id=f"{supporter}:{card.id}", language=card.language, turns=turns, card_id=card.id, category=card.category,
        supporter=supporter, seeker="seeker-model", protocol="esc-eval/1", **more,
    )  # fmt: skip


def _rating(talk: Dialogue, dimension: str, number: int) -> Rating:
    common = {
        "dialogue_id": talk.id, "dimension": dimension, "rater": "judge", "rater_kind": "model", "rubric": "esc-eval/1",
        "parser": "logits",
    }  # fmt: skip
    if number % 17 == 5:
        return Rating(**common, problem="no probabilities")
    best = number % 5
    p = tuple(0.6 if level == best else 0.1 for level in range(5))
    expected = sum(level * share for level, share in enumerate(p))
    return Rating(**common, score=best, probabilities=p, expected=expected, mass=0.9, raw=str(best))


DIMENSIONS = ("fluency", "expression", "empathy", "information", "skillful", "humanoid", "overall")


def write_inputs(root: Path) -> Inputs:
    """Every kind of input below a folder."""
    official = {
        language: [
            make_card(n, language, str(start + n), source, annotator_text=FRAMES["zh"].format(
                age=20 + n, gender="女", job="未提及", trouble=TROUBLES["zh"][n]))
            for n, source in enumerate(sources)
        ]
        for language, start, sources in (
            ("en", 900, ("ESconv", "ExTES", "MHP")), ("zh", 950, ("PsyQA", "smile", "PsyQA")),
        )
    }  # fmt: skip
    _write_official(root / "official", official)
    write_run(root / RUN)
    _write_others(root / OTHERS)
    (root / "sources" / "esconv").mkdir(parents=True)
    talk = {"dialog": [{"text": TROUBLES["en"][5], "speaker": "usr"}, {"text": "And now?", "speaker": "sys"}]}
    (root / "sources" / "esconv" / "train.txt").write_text(json.dumps(talk) + "\n{}\n", encoding="utf-8")
    more = [
        make_card(n, "en", f"more-{n}", source, age=60) for n, source in ((3, "psych8k"), (4, "esconv"), (5, "epitome"))
    ]
    (root / "more.jsonl").write_text("".join(card.to_json() + "\n" for card in more), encoding="utf-8")
    (root / "tiers.csv").write_text(
        "card_id,problem_type,confidence,status\nmore-3,bereavement,0.5,proposed\nown-3,dating,,confirmed\n"
    )
    with (root / "people.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["dialogue_id", "dimension", "rater", "score", "stage", "order", "time"])
        for stage, rater in (("first", "rater-1"), ("first", "rater-2"), ("review", "rater-1")):
            for order, supporter in enumerate(("warm", "terse"), 1):
                for n, dimension in enumerate(DIMENSIONS):
                    time = f"2026-01-0{order}T10:00:0{n}+00:00"
                    rows.writerow([f"{supporter}:own-0", dimension, rater, (n + order) % 5, stage, order, time])
    return Inputs(
        official=root / "official", sources=root / "sources", runs=(root / RUN, root / OTHERS),
        annotations=(root / "people.csv",), cards=(root / "more.jsonl", "sample"), tiers=root / "tiers.csv", seed=3,
    )  # fmt: skip


def _write_official(folder: Path, cards: dict[str, list[RoleCard]]) -> None:
    for name in ("data", "result/2026-01-01", "score"):
        (folder / name).mkdir(parents=True)
    names = dict(zip(CATEGORIES, ("家庭生活", "工作学习", "社会与其他"), strict=True))
    for language, group in cards.items():
        suffix, spoken = {"en": ("en", "english"), "zh": ("zh", "chinese")}[language]
        content = [
            {"base": c.text, "res": names[c.category], "source": c.source, "base_biaozhu": c.annotator_text,
             "language": spoken, "id": int(c.id)}
            for c in group
        ]  # fmt: skip
        (folder / "data" / f"card_high_{suffix}.json").write_text(json.dumps(content, ensure_ascii=False))
        for shift, model in enumerate(("llama3", "Qwen_7B")):
            talks = dialogues_to_official(make_talk(20 + 10 * shift + n, card, model) for n, card in enumerate(group))
            scores = {
                str(n): {"fluency": (n + shift) % 5, "empathic": 3, "overall": -1 if n else 2}
                for n in range(len(group))
            }
            for place, made in (("result/2026-01-01", talks), ("score", scores)):
                (folder / place / f"{model}_{suffix}.json").write_text(json.dumps(made, ensure_ascii=False))


def write_run(folder: Path) -> None:
    folder.mkdir()
    cards = [
        *(make_card(n, "en", f"own-{n}", ("esc-eval", "esconv", "psyqa", "esconv")[n], age=40) for n in range(4)),
        *(make_card(n, "zh", f"own-{n}", ("smile", "esc-eval")[n - 4], age=40) for n in (4, 5)),
    ]
    talks = [
        make_talk(100 * shift + n, card, supporter)
        for shift, supporter in enumerate(("warm", "terse"))
        for n, card in enumerate(cards)
    ]
    ratings = [_rating(t, d, 7 * n + m) for n, t in enumerate(talks) for m, d in enumerate(DIMENSIONS)]
    for name, records in (("cards", cards), ("dialogues", talks), ("ratings", ratings)):
        lines = "".join(record.to_json() + "\n" for record in records)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    revisions = {name: {"revision": digit * 40} for name, digit in (("warm", "a"), ("terse", "b"))}
    identity = simulation_identity(seed=SEED, seeker={"revision": "c" * 40}, supporters=revisions)
    (folder / "run.json").write_text(json.dumps({"simulation": {"identity": identity}}))


def _write_others(folder: Path) -> None:
    folder.mkdir()
    said = [pair[n].format(n=77) for pair in SAID["en"] for n in (0, 1)]
    lines = [MARKERS[("seeker", "supporter")[n % 2]] + text for n, text in enumerate(said)]
    (folder / "dialogues_tuned_en.json").write_text(json.dumps({"0": lines}, ensure_ascii=False))
    (folder / "scores_tuned_en.json").write_text(json.dumps({"0": {"fluency": 4, "overall": 3}}))


def make_builds(root: Path) -> dict[bool, Path]:
    """The local build and, under True, the public one."""
    inputs = write_inputs(root)
    for public in (False, True):
        changed = Inputs(**{**inputs.__dict__, "public": public})
        build_dataset(changed, root / f"build-{public}")
    return {public: root / f"build-{public}" for public in (False, True)}
