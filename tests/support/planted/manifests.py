"""Defects of manifest.json: versions, counts, hashes, fields of another kind, and files that are no manifest."""

from pathlib import Path
from typing import Any

from planted.copy import Defect, in_files, in_manifest


def put(path: str, value: Any) -> Defect:
    """A value at a path of keys, as ``a.b.c``; only what is rendered from it is rendered anew."""

    def change(content: dict[str, Any]) -> None:
        *keys, last = path.split("/")
        for key in keys:
            content = content[key]
        content[last] = value

    return in_manifest(change)


def lack(key: str) -> Defect:
    return in_manifest(lambda content: content.pop(key))


def text(change) -> Defect:
    """The file's own text changed."""

    def write(folder: Path) -> None:
        path = folder / "manifest.json"
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    return in_files(write, hashed=False)


FIELDS = (
    "schema", "builder", "esc_eval", "public", "rows", "counts", "overlap", "personal_data", "licences", "rubrics",
    "inputs", "decisions", "splits", "citation", "files",
)  # fmt: skip

KINDS = {
    "a manifest that is not true": {
        "a schema of the future": put("schema", 99),
        "another builder": put("builder", "7"),
        "another version": put("esc_eval", "9.9.9"),
        "a version that is none": put("esc_eval", "latest"),
        "local as public": put("public", True),
        "another number of rows": put("rows/role_cards", 38),
        "a table that there is not": put("rows/prompts", 4),
        "another count": put("counts/role_cards/language/en", 21),
        "a count of a value that does not occur": put("counts/role_cards/language/fr", 1),
        "a count of a table that there is not": put("counts/prompts", {}),
        "another threshold of overlap": put("overlap/near", 0.9),
        "another number of near-duplicates": put("overlap/near_duplicate_cards", 0),
        "another contamination": put("overlap/contaminated_by/esconv", 1),
        "more masks than there are": put("personal_data/masked/email", 5),
        "another version of a finder": put("personal_data/found_by/phonenumbers", "1.0"),
        "a finder that there is not": put("personal_data/found_by/people", "1.0"),
        "a licence without rows": put("licences/MIT", {"license": "MIT", "rows": {"role_cards": 3}}),
        "another count of a licence": put("licences/Apache-2.0/rows/role_cards", 2),
        "another hash of a decision": put("decisions/licences.csv", "0" * 64),
        "a decision that is not named": in_manifest(lambda m: m["decisions"].pop("licences.csv")),
        "a decision that there is not": put("decisions/secrets.csv", "0" * 64),
        "another citation": put("citation", "@misc{someone}"),
        "another seed of the splits": put("inputs/seed", 4),
        "the sample, which it is not": put("inputs/sample", True),
        "another number of dialogues of a run": in_manifest(lambda m: m["inputs"]["runs"][1].update(dialogues=3)),
        "another number of ratings of a run": in_manifest(lambda m: m["inputs"]["runs"][1].update(ratings=3)),
        "a run that was not read": in_manifest(
            lambda m: m["inputs"]["runs"].append({"name": "ghost", "dialogues": 4, "ratings": 0})
        ),
        "a run that is not named": in_manifest(lambda m: m["inputs"]["runs"].pop(1)),
        "records that were lost": put("inputs/sources/esconv/records", 5),
        "a source that there is not": in_manifest(
            lambda m: m["inputs"]["sources"].update(reddit=m["inputs"]["sources"]["esconv"])
        ),
        "a source's file as known": put("inputs/sources/esconv/files/train.txt/known", True),
        "an official file that was not read": in_manifest(lambda m: m["inputs"]["official"].clear()),
        "a hash of an input that is none": put("inputs/annotations/people.csv", "abc"),
        "a card file that is not named": in_manifest(lambda m: m["inputs"]["cards"].clear()),
        "no tiers, which there are": put("inputs/tiers", None),
        "another field": put("note", "made by hand"),
    },
    "a manifest that is none": {
        **{f"without {name}": lack(name) for name in FIELDS},
        **{f"{name} is null": put(name, None) for name in FIELDS},
        **{f"{name} is a list of numbers": put(name, [1, 2]) for name in FIELDS},
        **{f"{name} is a text": put(name, "yes") for name in ("rows", "counts", "rubrics", "inputs", "splits")},
        "counts of a table are a list": put("counts/role_cards", []),
        "a language's count is a list": put("counts/role_cards/language", ["en"]),
        "rubrics hold a text": put("rubrics", ["esc-eval/1"]),
        "a rubric without levels": in_manifest(lambda m: m["rubrics"][0].pop("levels")),
        "levels that are words": in_manifest(lambda m: m["rubrics"][0].update(levels=["low", "high"])),
        "levels that fall": in_manifest(lambda m: m["rubrics"][0].update(levels=[4, 3, 2, 1, 0])),
        "no levels": in_manifest(lambda m: m["rubrics"][0].update(levels=[])),
        "dimensions that are a list": in_manifest(lambda m: m["rubrics"][0].update(dimensions=["empathy"])),
        "an entry of a split that is a text": put("splits/card-disjoint", "fine"),
        "an entry of a file that is a text": in_files(
            lambda f: (f / "manifest.json").write_text(
                (f / "manifest.json").read_text().replace('"bytes"', '"size"')
            ), hashed=False
        ),
        "a seed that is a text": put("inputs/seed", "three"),
        "a seed that is too large": put("inputs/seed", 10**400),
        "public is a text": put("public", "no"),
        "no JSON": text(lambda t: t[: len(t) // 2]),
        "a list": text(lambda t: "[]"),
        "empty": text(lambda t: ""),
        "null": text(lambda t: "null"),
        "nested deeply": text(lambda t: "{\"schema\":" * 100_000 + "1" + "}" * 100_000),
        "a key twice": text(lambda t: t.replace('  "public": false,', '  "public": true,\n  "public": false,')),
        "not UTF-8": in_files(lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe{}"), hashed=False),
        "a folder": in_files(
            lambda f: ((f / "manifest.json").unlink(), (f / "manifest.json").mkdir()), hashed=False
        ),
        "gone": in_files(lambda f: (f / "manifest.json").unlink(), hashed=False),
        "numbers that are none": text(lambda t: t.replace('"near": 0.2', '"near": NaN')),
    },
}  # fmt: skip
