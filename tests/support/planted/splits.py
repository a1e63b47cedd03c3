"""Defects of split manifests: rows dropped, doubled or moved, parts emptied, figures that are not theirs."""

from typing import Any

from planted.copy import Copy, Defect, in_files, in_manifest, in_split

Split = dict[str, Any]


def move(split: Split, one: str, other: str, place: int = 0) -> None:
    """Move a row from one part to another."""
    parts = split["splits"]
    parts[other] = sorted([*parts[other], parts[one].pop(place)])


def share(split: Split, one: str, other: str) -> None:
    """Put a row of one part into another too."""
    split["splits"][other] = sorted([*split["splits"][other], split["splits"][one][0]])


def drop(split: Split, part: str, rows: slice = slice(0, 1)) -> None:
    del split["splits"][part][rows]


def move_all(split: Split, one: str, other: str) -> None:
    split["splits"][other] = sorted([*split["splits"][other], *split["splits"][one]])
    split["splits"][one] = []


def without(*names: str) -> Defect:
    """Split manifests that are gone, in the manifest too."""

    def plant(copy: Copy) -> None:
        for name in names:
            (copy.folder / "splits" / f"{name}.json").unlink()
            copy.manifest["splits"][name] = {"reason": "was not wanted"}
        copy.describe()

    return Defect(plant)


def another(copy: Copy) -> None:
    """A scheme that there is not."""
    split = copy.read_split("card-disjoint") | {"scheme": "mine"}
    copy.write_split("mine", split)
    copy.describe()


def renamed(copy: Copy) -> None:
    """One scheme's manifest under another's name."""
    copy.write_split("model-disjoint", copy.read_split("card-disjoint"))
    copy.describe()


KINDS = {
    "splits": {
        "a row is dropped from train": in_split("card-disjoint", lambda s: drop(s, "train")),
        "a row is dropped from test": in_split("random-rows", lambda s: drop(s, "test")),
        "half of train is dropped": in_split("random-rows", lambda s: drop(s, "train", slice(0, 50))),
        "the test is emptied": in_split("card-disjoint", lambda s: s["splits"].update(test=[])),
        "the validation is emptied": in_split("model-disjoint", lambda s: s["splits"].update(validation=[])),
        "the test is moved to train": in_split("cross-language", lambda s: move_all(s, "test", "train")),
        "an id twice in a part": in_split("card-disjoint", lambda s: share(s, "train", "train")),
        "a row in train and test": in_split("card-disjoint", lambda s: share(s, "test", "train")),
        "a row in train and validation": in_split("model-disjoint", lambda s: share(s, "validation", "train")),
        "a row in validation and test": in_split("random-rows", lambda s: share(s, "test", "validation")),
        "a card in train and validation": in_split("card-disjoint", lambda s: move(s, "validation", "train")),
        "a card in validation and test": in_split("card-disjoint", lambda s: move(s, "test", "validation")),
        "a supporter in validation and test": in_split("model-disjoint", lambda s: move(s, "test", "validation")),
        "a source in train and test": in_split("source-disjoint", lambda s: move(s, "test", "train")),
        "a category in train and validation": in_split("category-disjoint", lambda s: move(s, "train", "validation")),
        "a language in train and test": in_split("cross-language", lambda s: move(s, "test", "train")),
        "two random rows have changed sides": in_split(
            "random-rows", lambda s: (move(s, "test", "train"), move(s, "train", "test", 7))
        ),
        "an unknown row": in_split("card-disjoint", lambda s: s["splits"]["train"].append("mine/nobody:own-1")),
        "ids in another order": in_split("card-disjoint", lambda s: s["splits"]["train"].reverse()),
        "another seed": in_split("card-disjoint", lambda s: s.update(seed=4)),
        "a leak that is not told": in_split("random-rows", lambda s: s.update(leaks=[])),
        "a leak with other counts": in_split("random-rows", lambda s: s["leaks"][0].update(rows=1)),
        "another balance": in_split("card-disjoint", lambda s: s["balance"]["train"]["language"].update(en=1)),
        "a part that there is not": in_split("card-disjoint", lambda s: s["splits"].update(dev=[])),
        "parts that are no lists": in_split("card-disjoint", lambda s: s["splits"].update(test="none")),
        "ids that are numbers": in_split("card-disjoint", lambda s: s["splits"].update(test=[1, 2])),
        "ids that are lists": in_split("card-disjoint", lambda s: s["splits"].update(test=[["a"], {"b": 1}])),
        "a manifest without parts": in_split("card-disjoint", lambda s: s.pop("splits")),
        "a scheme that is no name": in_split("card-disjoint", lambda s: s.update(scheme=["card"])),
        "another field": in_split("card-disjoint", lambda s: s.update(note="made by hand")),
        "a split is gone": without("category-disjoint"),
        "all splits are gone": without("random-rows", "card-disjoint"),
        "a scheme that there is not": Defect(another),
        "one scheme under another's name": Defect(renamed),
        "a split that is a list": in_files(lambda f: (f / "splits" / "card-disjoint.json").write_text("[]\n")),
        "a split that is nested deeply": in_files(
            lambda f: (f / "splits" / "card-disjoint.json").write_text("[" * 100_000 + "]" * 100_000)
        ),
        "a key twice": in_files(
            lambda f: (f / "splits" / "card-disjoint.json").write_text(
                (f / "splits" / "card-disjoint.json").read_text().replace('  "seed": 3,', '  "seed": 9,\n  "seed": 3,')
            )
        ),
        "a reason for a split that is there": in_manifest(
            lambda m: m["splits"].update({"card-disjoint": {"reason": "too few cards"}})
        ),
        "other sizes in the manifest": in_manifest(lambda m: m["splits"]["card-disjoint"]["sizes"].update(train=1)),
        "other leaks in the manifest": in_manifest(lambda m: m["splits"]["card-disjoint"].update(leaks=[])),
    }
}
