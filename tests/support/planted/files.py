"""Defects of files: README, licences and Croissant that say other things, Parquet of another make, other files."""

import json
import os
from pathlib import Path

import pyarrow as pa

from dataset_builder.rows.parquet import table_path
from planted.copy import Copy, Defect, in_files, in_rows, in_table

README, LICENSE, CROISSANT = "README.md", "LICENSE.md", "croissant.json"


def text(name: str, change) -> Defect:
    """A text file changed."""

    def write(folder: Path) -> None:
        path = folder / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    return in_files(write)


def swap(name: str, old: str, new: str) -> Defect:
    """A text file with other words at one place."""

    def change(content: str) -> str:
        assert old in content, f"{name} has no {old!r}"
        return content.replace(old, new, 1)

    return text(name, change)


def croissant(change) -> Defect:
    def write(folder: Path) -> None:
        path = folder / CROISSANT
        content = json.loads(path.read_text(encoding="utf-8"))
        change(content)
        path.write_text(json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n", encoding="utf-8")

    return in_files(write)


def link(folder: Path) -> None:
    """A table as a symbolic link to the same bytes elsewhere."""
    path = table_path(folder, "dialogues")
    target = folder.parent / "elsewhere.parquet"
    path.rename(target)
    path.symlink_to(target)


def broken_text(data: pa.Table) -> pa.Table:
    place = data.column_names.index("origin")
    broken = pa.array([b"\xff\xfe"] + [b"fine"] * (data.num_rows - 1)).view(pa.string())
    return data.set_column(place, data.schema.field("origin"), broken)


def cast(name: str, kind: pa.DataType):
    return lambda t: t.set_column(t.column_names.index(name), name, t[name].cast(kind)).replace_schema_metadata(
        t.schema.metadata
    )


def with_metadata(table: pa.Table) -> pa.Table:
    return table.replace_schema_metadata({**table.schema.metadata, b"note": b"her name was Jo"})


def nulls(table: str, name: str) -> Defect:
    """Null in a column that is never null."""
    return in_rows(lambda copy: copy.tables[table][3].update({name: None}))


def write(name: str, content: str | bytes = "x"):
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return in_files(change)


def second_shard(folder: Path) -> None:
    path = table_path(folder, "annotations")
    path.with_name("test-00001-of-00002.parquet").write_bytes(path.read_bytes())


def stale(copy: Copy) -> None:
    """Croissant with the hash of a table that is no longer there."""
    content = json.loads((copy.folder / CROISSANT).read_text())
    content["distribution"][0]["sha256"] = "0" * 64
    (copy.folder / CROISSANT).write_text(json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n")
    copy.hash_files()


KINDS = {
    "README, LICENSE and Croissant": {
        "another licence in the YAML block": swap(README, "license: other", "license: mit"),
        "another link of the licence": swap(README, "license_link: LICENSE.md", "license_link: https://example.org"),
        "a language that there is not": swap(README, "- zh", "- fr"),
        "another size": swap(README, "n<1K", "1K<n<10K"),
        "another split of a config": swap(README, "split: test", "split: train"),
        "another tag": swap(README, "- role-play", "- role-play\n- clinical"),
        "another number of rows in the text": swap(README, "| `role_cards` | 39 |", "| `role_cards` | 390 |"),
        "a local build that calls itself public": swap(README, "a **local build**", "a **public build**"),
        "words about its use": swap(README, "Not for systems", "Made for systems"),
        "a sentence more": text(README, lambda t: f"{t}\nAll rows are free of rights.\n"),
        "another citation": swap(README, "@", "@x"),
        "a script in the README": text(README, lambda t: f"{t}\n<script>fetch('//x')</script>\n"),
        "no columns": text(README, lambda t: t.replace("## Columns", "## Rows of text")),
        "an empty README": text(README, lambda t: ""),
        "a README that is not UTF-8": in_files(lambda f: (f / README).write_bytes(b"\xff\xfe")),
        "a README whose YAML is a list": text(README, lambda t: f"---\n- a\n---\n{t}"),
        "a README whose configs are words": text(README, lambda t: "---\nlicense: other\nconfigs: all\n---\n# x\n"),
        "a README without its YAML block": text(README, lambda t: t.split("---\n", 2)[2]),
        "other terms in LICENSE.md": swap(LICENSE, "| official | none stated | no |", "| official | MIT | yes |"),
        "another reason in LICENSE.md": swap(LICENSE, "describes nobody", "describes somebody"),
        "an empty LICENSE.md": text(LICENSE, lambda t: ""),
        "LICENSE.md of another project": text(LICENSE, lambda t: "MIT License\n\nCopyright (c) 2026 Somebody\n"),
        "the hash of another table in Croissant": Defect(stale),
        "another licence in Croissant": croissant(lambda c: c.update(license=["MIT"])),
        "another version in Croissant": croissant(lambda c: c.update(version="9.0.0")),
        "another URL in Croissant": croissant(lambda c: c["distribution"][0].update(contentUrl="https://example.org/x")),
        "a column less in Croissant": croissant(lambda c: c["recordSet"][0]["field"].pop()),
        "another type in Croissant": croissant(lambda c: c["recordSet"][0]["field"][0].update(dataType="sc:Integer")),
        "another description in Croissant": croissant(lambda c: c.update(description="Real therapy sessions.")),
        "Croissant that is a list": text(CROISSANT, lambda t: "[]"),
        "Croissant that is no JSON": text(CROISSANT, lambda t: t[:100]),
        "Croissant that is gone": in_files(lambda f: (f / CROISSANT).unlink()),
    },
    "Parquet files": {
        "a column that is missing": in_table("dialogues", lambda t: t.drop_columns(["protocol"])),
        "a column more": in_table("role_cards", lambda t: t.append_column("note", pa.array(["x"] * t.num_rows))),
        "a score as text": in_table("annotations", cast("score", pa.string())),
        "a score as a fraction": in_table("annotations", cast("score", pa.float64())),
        "an id as large text": in_table("role_cards", cast("id", pa.large_string())),
        "columns in another order": in_table("dialogues", lambda t: t.select(t.column_names[::-1])),
        "features that were lost": in_table("role_cards", lambda t: t.replace_schema_metadata({})),
        "words in the metadata": in_table("role_cards", with_metadata),
        "text that is not UTF-8": in_table("role_cards", broken_text),
        "no Parquet": in_files(lambda f: table_path(f, "dialogues").write_text("id,language\n")),
        "an empty file": in_files(lambda f: table_path(f, "dialogues").write_bytes(b"")),
        "a Parquet file that was cut": in_files(
            lambda f: table_path(f, "dialogues").write_bytes(table_path(f, "dialogues").read_bytes()[:-40])
        ),
        "a table that is a folder": in_files(
            lambda f: (table_path(f, "dialogues").unlink(), table_path(f, "dialogues").mkdir())
        ),
        "a table that is gone": in_files(lambda f: table_path(f, "annotations").unlink()),
        "null in rehostable": nulls("role_cards", "rehostable"),
        "null in a licence": nulls("dialogues", "license"),
        "null in an origin": nulls("annotations", "origin"),
        "null in a list": nulls("role_cards", "near_duplicates"),
        "null in rounds": nulls("dialogues", "rounds"),
        "null in an id of a dialogue": nulls("annotations", "dialogue_id"),
        "null in a dimension": nulls("annotations", "dimension"),
        "null in a card's id": nulls("role_cards", "id"),
        "null in the language of a dialogue": nulls("dialogues", "language"),
    },
    "files of the folder": {
        "a second shard": in_files(second_shard),
        "a table under another split": write("role_cards/train-00000-of-00001.parquet"),
        "a table that is not known": write("prompts/test-00000-of-00001.parquet"),
        "a file beside": write("notes.txt", "ask Jo about card 900"),
        "a hidden file": write(".DS_Store"),
        "a script": write("esc_eval.py", "import os\n"),
        "a file in splits": write("splits/notes.md"),
        "a file in a folder of its own": write("media/voice.wav", b"RIFF"),
        "an empty folder": in_files(lambda f: (f / "media").mkdir()),
        "a symbolic link to a table": in_files(link),
        "a symbolic link out of the folder": in_files(lambda f: (f / "splits" / "a.json").symlink_to("/etc/hostname")),
        "a symbolic link to nowhere": in_files(lambda f: (f / "next").symlink_to("nowhere")),
        "a pipe": in_files(lambda f: os.mkfifo(f / "pipe")),
        "a split that is a pipe": in_files(
            lambda f: ((f / "splits" / "card-disjoint.json").unlink(), os.mkfifo(f / "splits" / "card-disjoint.json")),
            hashed=False,
        ),
        "conversations of the sources in a public build": in_files(
            lambda f: ((f / "local").mkdir(), (f / "local" / "conversations.parquet").write_bytes(b"PAR1")), public=True
        ),
        "rejects in a public build": in_files(
            lambda f: ((f / "local").mkdir(), (f / "local" / "rejects.jsonl").write_text("{}\n")), public=True
        ),
        "conversations of the sources that are gone": in_files(
            lambda f: (f / "local" / "conversations.parquet").unlink()
        ),
        "rejects that are gone": in_files(lambda f: (f / "local" / "rejects.jsonl").write_text("")),
    },
    "text in a public build": {
        "the text of a card": in_rows(lambda c: c.card("900").update(text="Age: 20"), public=True),
        "the problem of a card": in_rows(lambda c: c.card("900").update(problem="Her lease."), public=True),
        "the layout of a card": in_rows(lambda c: c.card("900").update(layout="{age}"), public=True),
        "the annotators' text": in_rows(lambda c: c.card("900").update(annotator_text="年龄"), public=True),
        "a turn of a dialogue": in_rows(
            lambda c: c.talk("official/llama3_en:0")["turns"][0].update(text="It began."), public=True
        ),
        "a rater's answer": in_rows(
            lambda c: c.score("mine/warm:own-2|empathy|judge").update(raw="She said the lease was up."), public=True
        ),
        "a rater's reason": in_rows(
            lambda c: next(r for r in c.scores if r["score"] is None and not r["rehostable"]).update(
                problem="it talks of her lease"
            ),
            public=True,
        ),
        "the text in another column": in_rows(
            lambda c: c.card("900").update(origin="Her bakery loses its lease in spring"), public=True
        ),
        "no text where there may be": in_rows(lambda c: c.card("own-1").update(text=None), public=True),
        "no turns where there may be": in_rows(
            lambda c: [turn.update(text=None) for turn in c.talk()["turns"]], public=True
        ),
    },
}  # fmt: skip
