"""Defects of cards and dialogues: terms, ids, references, hashes, derived columns, rows that are cut or doubled."""

from hashlib import sha256

from planted.copy import Copy, in_row, in_rows

OFFICIAL = "900"
"""An official card, which may not be re-hosted."""


def rename(copy: Copy, old: str, new: str) -> None:
    """Give a card another id, everywhere."""
    copy.card(old)["id"] = new
    for talk in copy.talks:
        if talk["card_id"] == old:
            talk["card_id"] = new
    for card in copy.cards:
        card["near_duplicates"] = [new if other == old else other for other in card["near_duplicates"]]


def rename_talk(copy: Copy, old: str, new: str) -> None:
    """Give a dialogue another id, everywhere."""
    copy.talk(old)["id"] = new
    for score in copy.scores:
        if score["dialogue_id"] == old:
            score["dialogue_id"] = new
            score["id"] = score["id"].replace(old, new)


def rename_rater(copy: Copy, old: str, new: str) -> None:
    """Call a rater otherwise in one rating."""
    score = next(row for row in copy.scores if row["rater"] == old)
    score["id"] = score["id"].replace(f"|{old}", f"|{new}")
    score["rater"] = new


def leave_rater(copy: Copy) -> None:
    """Drop every rating of one person."""
    copy.scores[:] = [row for row in copy.scores if row["rater"] != "rater-2"]


def double_card(copy: Copy, **changes) -> None:
    card = dict(copy.card("own-2"), id="own-9", **changes)
    copy.cards.append(card)


def double_talk(copy: Copy, source="mine/warm:own-1", target="mine/warm:own-9", **changes) -> None:
    copy.talks.append(dict(copy.talk(source), id=target, **changes))


def open_official(copy: Copy) -> None:
    """Every official row as if it were free."""
    for table in copy.tables.values():
        for row in table:
            if row["license"] == "none stated":
                row.update(license="CC-BY-4.0", rehostable=True)


def flip(copy: Copy, *ids: str) -> None:
    for one in ids:
        card = copy.card(one)
        card["rehostable"] = not card["rehostable"]


def swap_texts(copy: Copy) -> None:
    """Two cards with each other's text and fields, each under its own hash."""
    one, other = copy.card("own-1"), copy.card("own-3")
    for name in ("text", "age", "gender", "occupation", "problem", "layout"):
        one[name], other[name] = other[name], one[name]


def rewrite_problem(copy: Copy, card_id: str = "own-1") -> None:
    """Another text with fields that fit it; the hash stays that of the old one."""
    card = copy.card(card_id)
    new = "She was promoted in spring and regrets it every single morning on the train."
    card["text"], card["problem"] = card["text"].replace(card["problem"], new), new


def swap_talk_texts(copy: Copy) -> None:
    one, other = copy.talk("mine/warm:own-1"), copy.talk("mine/terse:own-3")
    one["turns"] = [{**turn, "text": there["text"]} for turn, there in zip(one["turns"], other["turns"], strict=True)]


KINDS = {
    "licences and terms": {
        "an official card may be re-hosted": in_row("role_cards", OFFICIAL, rehostable=True),
        "an official card under a free licence": in_row("role_cards", OFFICIAL, license="CC-BY-4.0"),
        "an official card free in both": in_row("role_cards", OFFICIAL, license="Apache-2.0", rehostable=True),
        "a card of a closed source may be re-hosted": in_row("role_cards", "own-2", rehostable=True),
        "a card of ESConv under another licence": in_row("role_cards", "own-1", license="CC-BY-4.0"),
        "a sample card under no known licence": in_row("role_cards", "sample-en-01", license="WTFNMFPL-9"),
        "an unknown licence of a dialogue": in_row("dialogues", "mine/warm:own-1", license="Freeware"),
        "a dialogue on a closed card may be re-hosted": in_row("dialogues", "mine/warm:own-2", rehostable=True),
        "an official dialogue may be re-hosted": in_row("dialogues", "official/llama3_en:0", rehostable=True),
        "an official dialogue under a free licence": in_row(
            "dialogues", "official/llama3_en:0", license="CC-BY-4.0"
        ),
        "another user's dialogue as ours": in_row(
            "dialogues", "others/tuned_en:0", license="CC-BY-4.0", rehostable=True
        ),
        "a dialogue that may be re-hosted is withheld": in_row("dialogues", "mine/warm:own-1", rehostable=False),
        "a rating of a closed dialogue may be re-hosted": in_row(
            "annotations", "mine/warm:own-2|empathy|judge", rehostable=True
        ),
        "an official rating under a free licence": in_row(
            "annotations", "official/llama3_en:0|fluency|ESC-RANK", license="CC-BY-4.0"
        ),
        "an official rating may be re-hosted": in_row(
            "annotations", "official/llama3_en:0|fluency|ESC-RANK", rehostable=True
        ),
        "every official row is freed": in_rows(open_official),
        "a free and a closed card change places": in_rows(lambda c: flip(c, "own-1", "own-2")),
        "terms that no decision names": in_row("role_cards", "more-3", license="by arrangement"),
    },
    "ids and references": {
        "a card id with a Cyrillic letter": in_rows(lambda c: rename(c, "own-1", "оwn-1")),
        "a card id with a zero-width space": in_rows(lambda c: rename(c, "own-1", "own\u200b-1")),
        "a card id with a byte order mark": in_rows(lambda c: rename(c, "own-1", "\ufeffown-1")),
        "a card id in full-width letters": in_rows(lambda c: rename(c, "own-1", "ｏwn-1")),
        "a card id that ends with a space": in_rows(lambda c: rename(c, "own-1", "own-1 ")),
        "a card id with a line break": in_rows(lambda c: rename(c, "own-1", "own-1\n")),
        "two card ids that differ by a homoglyph": in_rows(lambda c: rename(c, "own-3", "оwn-1")),
        "a card id that turns the direction of writing": in_rows(lambda c: rename(c, "own-1", "own-\u202e1")),
        "a dialogue id with a soft hyphen": in_rows(
            lambda c: rename_talk(c, "mine/warm:own-1", "mine/warm:own\u00ad-1")
        ),
        "a dialogue id with a Greek letter": in_rows(lambda c: rename_talk(c, "mine/warm:own-1", "mine/warm:οwn-1")),
        "a rater with a homoglyph": in_rows(lambda c: rename_rater(c, "rater-1", "rаter-1")),
        "a rater with a zero-width joiner": in_rows(lambda c: rename_rater(c, "rater-1", "rater\u200d-1")),
        "a supporter with a homoglyph": in_rows(lambda c: c.talk().update(supporter="wаrm")),
        "a dialogue that names no card any more": in_rows(lambda c: c.talk().update(card_id="own-99")),
        "a dialogue with another card's id": in_rows(lambda c: c.talk().update(card_id="own-3")),
        "ratings of a dialogue that is not there": in_rows(lambda c: c.talks.remove(c.talk())),
        "a card is gone that dialogues play": in_rows(lambda c: c.cards.remove(c.card())),
        "a rating's id of another rater": in_rows(lambda c: c.score().update(rater="somebody")),
        "an empty card id": in_rows(lambda c: rename(c, "own-1", "")),
        "a dialogue of a run that was not read": in_rows(
            lambda c: rename_talk(c, "mine/warm:own-1", "yours/warm:own-1")
        ),
    },
    "rows twice, cut or moved": {
        "a card under two ids": in_rows(double_card),
        "a card under two ids and two origins": in_rows(lambda c: double_card(c, origin="more.jsonl#9")),
        "a card twice under one id": in_rows(lambda c: c.cards.append(dict(c.card()))),
        "one dialogue under two ids": in_rows(double_talk),
        "one dialogue under two ids and two origins": in_rows(
            lambda c: double_talk(c, origin="mine/dialogues.jsonl#warm:own-9")
        ),
        "a dialogue under another supporter's name": in_rows(
            lambda c: double_talk(c, target="mine/kind:own-1", supporter="kind")
        ),
        "a dialogue's words under another dialogue": in_rows(swap_talk_texts),
        "a dialogue twice under one id": in_rows(lambda c: c.talks.append(dict(c.talk()))),
        "a rating twice": in_rows(lambda c: c.scores.append(dict(c.score()))),
        "rows in another order": in_rows(lambda c: c.cards.reverse(), ordered=False),
        "two ratings have changed places": in_rows(
            lambda c: c.scores.insert(0, c.scores.pop(5)), ordered=False
        ),
        "the last dialogue is cut": in_rows(lambda c: (c.talks.pop(), leave_orphans(c))),
        "half of the ratings are cut": in_rows(lambda c: c.scores.__delitem__(slice(0, 80))),
        "one person's ratings are cut": in_rows(leave_rater),
        "all dialogues of one supporter are cut": in_rows(lambda c: cut_supporter(c, "terse")),
        "an official card is cut": in_rows(lambda c: cut_card(c, "901")),
        "a sample card is cut": in_rows(lambda c: cut_card(c, "sample-zh-12")),
        "no rows at all": in_rows(lambda c: [table.clear() for table in c.tables.values()]),
    },
    "hashes of texts and derived columns": {
        "text_sha256 of another text": in_rows(lambda c: c.card().update(text_sha256=sha256(b"x").hexdigest())),
        "text_sha256 in capitals": in_rows(lambda c: c.card().update(text_sha256=c.card()["text_sha256"].upper())),
        "another text under the old hash": in_rows(rewrite_problem),
        "another text of an official card": in_rows(lambda c: rewrite_problem(c, "901")),
        "two cards with each other's texts": in_rows(swap_texts),
        "the age of another card": in_rows(lambda c: c.card().update(age="77")),
        "another gender than the text's": in_rows(lambda c: c.card().update(gender="female")),
        "an occupation that the text lacks": in_rows(lambda c: c.card().update(occupation="Pilot")),
        "fields that were not filled": in_rows(
            lambda c: c.card().update(age=None, gender=None, occupation=None, problem=None, layout=None)
        ),
        "near-duplicates that are none": in_rows(
            lambda c: (c.card("own-1")["near_duplicates"].append("sample-en-01"),
                       c.card("sample-en-01")["near_duplicates"].append("own-1"))
        ),
        "near-duplicates that are not named": in_rows(
            lambda c: [card.update(near_duplicates=[]) for card in c.cards]
        ),
        "a training set is not named": in_rows(lambda c: c.card().update(contaminated_by=[])),
        "a training set that is none": in_rows(lambda c: c.card().update(contaminated_by=["esconv", "common-crawl"])),
        "a training set twice": in_rows(lambda c: c.card().update(contaminated_by=["esconv", "esconv"])),
        "rounds of another dialogue": in_rows(lambda c: c.talk().update(rounds=7)),
        "another category than the card's": in_rows(lambda c: c.talk().update(category="society_and_others")),
        "no category where the card has one": in_rows(lambda c: c.talk().update(category=None)),
        "a leaf that nobody decided": in_rows(
            lambda c: c.card().update(category="work_and_study", subcategory="performance",
                                      problem_type="much_pressure", tier_status="confirmed")
        ),
        "another leaf than people confirmed": in_rows(
            lambda c: c.card("sample-en-01").update(subcategory="couple", problem_type="dating")
        ),
        "a confirmed leaf that is only proposed": in_rows(
            lambda c: c.card("sample-en-01").update(tier_status="proposed", tier_confidence=0.4)
        ),
        "a leaf with another group": in_rows(lambda c: c.card("sample-en-01").update(subcategory="couple")),
        "a confidence without a leaf": in_rows(lambda c: c.card().update(tier_confidence=0.7)),
        "another revision of a supporter": in_rows(lambda c: c.talk().update(supporter_revision="d" * 40)),
        "another seed than the run's": in_rows(lambda c: c.talk().update(seed=12)),
        "an origin that was not read": in_rows(lambda c: c.card("more-3").update(origin="elsewhere.jsonl#0")),
        "an origin of another row": in_rows(lambda c: c.card("900").update(origin=c.card("901")["origin"])),
    },
    "sources and languages": {
        "another source than the official card's licence": in_rows(lambda c: c.card("own-2").update(source="esconv")),
        "an unknown source": in_rows(lambda c: c.card().update(source=42)),
        "a sample card from a source": in_rows(lambda c: c.card("sample-en-01").update(source="esconv")),
        "a card that claims to be invented": in_rows(lambda c: c.card("own-1").update(synthetic=True)),
        "a sample card that claims to be real": in_rows(lambda c: c.card("sample-en-01").update(synthetic=False)),
        "an English card as Chinese": in_rows(lambda c: as_language(c, "own-1", "zh")),
        "a Chinese card as English": in_rows(lambda c: as_language(c, "own-4", "en")),
        "a dialogue in another language than its card": in_rows(lambda c: c.talk().update(language="zh")),
        "English words in a Chinese dialogue": in_rows(
            lambda c: [turn.update(text="I slept badly again.") for turn in c.talk("mine/warm:own-5")["turns"]]
        ),
        "a dialogue without a card in the wrong language": in_rows(
            lambda c: c.talk("others/tuned_en:0").update(language="zh")
        ),
        "an unknown language": in_rows(lambda c: c.card().update(language=9)),
    },
}  # fmt: skip


def as_language(copy: Copy, card_id: str, language: str) -> None:
    """A card and its dialogues under another language."""
    copy.card(card_id)["language"] = language
    for talk in copy.talks:
        if talk["card_id"] == card_id:
            talk["language"] = language


def leave_orphans(copy: Copy) -> None:
    """Drop ratings whose dialogue is gone."""
    talks = {row["id"] for row in copy.talks}
    copy.scores[:] = [row for row in copy.scores if row["dialogue_id"] in talks]


def cut_supporter(copy: Copy, supporter: str) -> None:
    copy.talks[:] = [row for row in copy.talks if row["supporter"] != supporter]
    leave_orphans(copy)


def cut_card(copy: Copy, card_id: str) -> None:
    """A card with all its dialogues and ratings."""
    copy.cards.remove(copy.card(card_id))
    copy.talks[:] = [row for row in copy.talks if row["card_id"] != card_id]
    leave_orphans(copy)
