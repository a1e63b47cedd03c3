"""A second batch of the same kinds, written when ``check`` was done and before it was tried on them."""

import json
import shutil
from pathlib import Path

import pyarrow as pa

from dataset_builder.rows.parquet import table_path
from planted.copy import Copy, Defect, in_files, in_manifest, in_rows, in_split, in_table
from planted.files import swap
from planted.manifests import put
from planted.rows import double_card, leave_orphans, rename, rename_talk
from planted.texts import more, said, turns


def free_run(copy: Copy) -> None:
    """A closed card and all that was made from it are freed together."""
    copy.card("own-2").update(license="CC-BY-4.0", rehostable=True)
    for table in (copy.talks, copy.scores):
        for row in table:
            if "own-2" in row["id"]:
                row["rehostable"] = True


def third_as_ours(copy: Copy) -> None:
    """Another user's dialogue with the origin of a run of ours."""
    talk = copy.talk("others/tuned_en:0")
    talk.update(origin="others/dialogues.jsonl#tuned_en:0", license="CC-BY-4.0", rehostable=True)


def ghost_rater(copy: Copy) -> None:
    """Ratings of a person who never rated: another's, under another name."""
    for row in [row for row in copy.scores if row["rater"] == "rater-2"]:
        copy.scores.append({**row, "rater": "rater-3", "id": row["id"].replace("rater-2", "rater-3")})


def swap_categories(copy: Copy) -> None:
    """Two cards with each other's category, and their dialogues too."""
    for card_id, category in (("own-1", "society_and_others"), ("own-2", "work_and_study")):
        copy.card(card_id)["category"] = category
        for talk in copy.talks:
            if talk["card_id"] == card_id:
                talk["category"] = category


def paraphrase(copy: Copy) -> None:
    """A dialogue again with one letter changed, under another id of the same card and supporter."""
    talk = copy.talk()
    again = [{**turn, "text": turn["text"] + ("!" if n == 1 else "")} for n, turn in enumerate(talk["turns"])]
    copy.talks.append({**talk, "id": "mine/warm:own-1b", "origin": "mine/dialogues.jsonl#warm:own-1b", "turns": again})


def drop_turns(copy: Copy) -> None:
    talk = copy.talk()
    talk["turns"] = talk["turns"][:2]
    talk["rounds"] = 1


def cut_and_count(copy: Copy) -> None:
    """A dialogue is cut and the inputs count it no more."""
    copy.talks.remove(copy.talk("mine/terse:own-5"))
    leave_orphans(copy)
    copy.manifest["inputs"]["runs"][1]["dialogues"] -= 1


def rewrite_split(copy: Copy) -> None:
    """A split with another seed that is true in itself, and stands so in the manifest."""
    from dataset_builder.rows.splits import SCHEMES, items_of, make_split

    cards = {row["id"]: row for row in copy.cards}
    items = items_of(SCHEMES["card-disjoint"].unit, copy.talks, copy.scores, cards)
    copy.write_split("card-disjoint", make_split("card-disjoint", items, 99))
    copy.describe()


def hidden_shard(folder: Path) -> None:
    path = table_path(folder, "role_cards")
    (path.parent / ".test-00000-of-00001.parquet.swp").write_bytes(path.read_bytes())


def with_column_metadata(table: pa.Table) -> pa.Table:
    field = table.schema.field("origin").with_metadata({b"note": b"her name was Jo"})
    return table.cast(table.schema.set(table.schema.get_field_index("origin"), field))


def small_groups(copy: Copy) -> None:
    """The same rows in row groups of another size."""
    path = table_path(copy.folder, "annotations")
    data = pa.parquet.read_table(path)
    pa.parquet.write_table(data, path, row_group_size=10, compression="zstd", compression_level=9)
    copy.describe()


KINDS: dict[str, dict[str, Defect]] = {
    "held out: licences and rows": {
        "a closed card is freed with all that was made of it": in_rows(free_run),
        "another user's run as a run of ours": in_rows(third_as_ours),
        "a licence in other letters": in_rows(lambda c: c.card("own-0").update(license="apache-2.0")),
        "the user's licence in every row and the manifest": in_rows(
            lambda c: (
                [row.update(license="CC0-1.0") for row in (*c.talks, *c.scores) if row["license"] == "CC-BY-4.0"],
            )
        ),
        "a rater who never rated": in_rows(ghost_rater),
        "two cards with each other's category": in_rows(swap_categories),
        "a dialogue that was cut short": in_rows(drop_turns),
        "a dialogue again with one letter changed": in_rows(paraphrase),
        "a dialogue is cut, the inputs too": in_rows(cut_and_count),
        "a card with a blank behind its text": in_rows(lambda c: c.card().update(text=c.card()["text"] + " ")),
        "a card under two ids in two sources": in_rows(
            lambda c: double_card(c, source="smile", origin="cards.jsonl#7")
        ),
        "the annotators' text of another card": in_rows(
            lambda c: c.card("900").update(annotator_text=c.card("901")["annotator_text"])
        ),
        "a quality that nobody gave": in_rows(lambda c: c.card("900").update(quality="middle")),
        "another supporter in one dialogue": in_rows(lambda c: c.talk().update(supporter="terse")),
        "another seeker in one dialogue": in_rows(lambda c: c.talk().update(seeker="human")),
        "another protocol in one dialogue": in_rows(lambda c: c.talk().update(protocol="esc-eval/2")),
        "no revision of the seeker": in_rows(lambda c: c.talk().update(seeker_revision=None)),
        "two ratings with each other's scores": in_rows(
            lambda c: (
                c.score("mine/warm:own-0|empathy|judge").update(score=3),
                c.score("mine/warm:own-0|fluency|judge").update(score=2),
            )
        ),
    },
    "held out: ids and texts": {
        "a Kelvin sign in an id": in_rows(lambda c: rename(c, "own-1", "own-1\u212a")),
        "a non-breaking hyphen in an id": in_rows(lambda c: rename(c, "own-1", "own\u20111")),
        "a dotless i in an id": in_rows(lambda c: rename_talk(c, "mine/warm:own-1", "mıne/warm:own-1")),
        "a tab in an id": in_rows(lambda c: rename(c, "own-1", "own\t1")),
        "an Armenian letter in an id": in_rows(lambda c: rename(c, "own-1", "օwn-1")),
        "an invisible tag in an id": in_rows(lambda c: rename(c, "own-1", "own-1\U000e0061")),
        "<thinking>": said(lambda old: f"<thinking>I should ask.</thinking> {old}"),
        "a Mistral mark": more("[INST] Go on. [/INST]"),
        "a Phi mark": more("<|assistant|>"),
        "an Alpaca mark": more("\n### Response:\nI see."),
        "a Chinese role mark of the supporter": more("\n支持者：我明白。"),
        "Seeker: at the beginning": said(lambda old: f"Seeker: {old}"),
        "a backspace": more("ab\x08c"),
        "C1 control characters": more("\x9b31m"),
        "an isolate of direction": more("\u2066x"),
        "a noncharacter": more("\uffff"),
        "no-break spaces only": said("\u00a0\u00a0"),
        "ideographic spaces only": said("\u3000\u3000"),
        "a Chinese utterance by an English seeker": turns(
            lambda t: [turn.update(text="我的姑姑养了很多鸡，也守得住秘密。") for turn in t]
        ),
        "an IP address's URL": more("see http://192.168.7.4/jo"),
    },
    "held out: manifests, splits and files": {
        "a split of another seed that is true in itself": Defect(rewrite_split),
        "a balance of another part": in_split("random-rows", lambda s: s["balance"].update(test=s["balance"]["train"])),
        "a part in another order of keys": in_split(
            "card-disjoint", lambda s: s.update(splits=dict(reversed(s["splits"].items())))
        ),
        "a seed that is a fraction": in_split("card-disjoint", lambda s: s.update(seed=3.0)),
        "a leak of a facet that there is not": in_split("random-rows", lambda s: s["leaks"][0].update(facet="mood")),
        "ids that are null": in_split("card-disjoint", lambda s: s["splits"].update(train=[None])),
        "a local build called public": put("public", True),
        "rows that are true and false": in_manifest(lambda m: m["rows"].update(role_cards=True)),
        "rows that are below 0": in_manifest(lambda m: m["rows"].update(dialogues=-25)),
        "a files entry out of the folder": in_manifest(lambda m: m.update(citation=m["citation"] + " ")),
        "inputs without a source": in_manifest(lambda m: m["inputs"]["sources"].clear()),
        "another sha256 of a source's file": in_manifest(
            lambda m: m["inputs"]["sources"]["esconv"]["files"]["train.txt"].update(sha256="xyz")
        ),
        "a rubric whose dimensions are in another order": in_manifest(
            lambda m: m["rubrics"][0].update(dimensions=dict(reversed(m["rubrics"][0]["dimensions"].items())))
        ),
        "counts that are null": in_manifest(lambda m: m["counts"]["role_cards"].update(language=None)),
        "a manifest with a BOM": in_files(
            lambda f: (f / "manifest.json").write_bytes(b"\xef\xbb\xbf" + (f / "manifest.json").read_bytes()),
            hashed=False,
        ),
        "a manifest of one line": in_files(
            lambda f: (f / "manifest.json").write_text(json.dumps(json.loads((f / "manifest.json").read_text()))),
            hashed=False,
        ),
        "an infinite number": in_manifest(lambda m: m["overlap"].update(near=float("inf"))),
        "a hidden copy of a table": in_files(hidden_shard),
        "words in a column's metadata": in_table("role_cards", with_column_metadata),
        "row groups of another size": Defect(small_groups),
        "a compressed copy": in_files(lambda f: (f / "role_cards.parquet.gz").write_bytes(b"\x1f\x8b")),
        "another list of columns in the README": swap(
            "README.md", "| `text_sha256` | string |", "| `text_md5` | string |"
        ),
        "a note of the licences": swap("LICENSE.md", "# Licences", "# Licences\n\nEverything is CC0."),
        "line ends of another system": in_files(
            lambda f: (f / "README.md").write_bytes((f / "README.md").read_bytes().replace(b"\n", b"\r\n"))
        ),
        "a BOM in the README": in_files(
            lambda f: (f / "README.md").write_bytes(b"\xef\xbb\xbf" + (f / "README.md").read_bytes())
        ),
        "Croissant of one line": in_files(
            lambda f: (f / "croissant.json").write_text(json.dumps(json.loads((f / "croissant.json").read_text())))
        ),
        "a key twice in Croissant": swap("croissant.json", '"name": "esc-eval"', '"name": "x", "name": "esc-eval"'),
        "splits is a file": in_files(
            lambda f: (
                shutil.rmtree(f / "splits"),
                (f / "splits").write_text("x"),
            )
        ),
        "a table's folder is a link": in_files(
            lambda f: (
                (f / "dialogues").rename(f.parent / "elsewhere"),
                (f / "dialogues").symlink_to(f.parent / "elsewhere"),
            )
        ),
        "NUL in a rater of the whole table": in_rows(
            lambda c: [row.update(rater=row["rater"] + "\x00", id=row["id"] + "\x00") for row in c.scores[:3]]
        ),
    },
}
