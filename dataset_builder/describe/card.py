"""The dataset card: a Jinja template filled from the manifest, with the YAML that ``load_dataset`` reads."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment

from dataset_builder import decisions
from dataset_builder.describe.manifest import describe_withheld
from dataset_builder.rows import splits
from dataset_builder.rows.parquet import split_path, table_path
from dataset_builder.rows.tables import SPLIT, TABLES, read_labels, table_columns, tables_in
from dataset_builder.sources import OPEN_KEY, OWN, SAFETY_KEY, SOURCES
from esc_eval.citation import PACKAGE
from esc_eval.files.templates import make_environment
from esc_eval.files.writing import write_whole
from esc_eval.languages import get_language

FILE = "README.md"
LICENSE = "LICENSE.md"
LICENSE_TEMPLATE = "license.md.jinja"
HUB_LICENCES = ("Apache-2.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC0-1.0")
"""Those that the Hub has a name for, the same in lower case."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"))


def front_matter(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The card's YAML block as a dictionary."""
    rows = sum(manifest["rows"].values())
    counts = manifest["counts"]
    raters = {kind for table in ("annotations", "preferences") for kind in counts.get(table, {}).get("rater_kind", {})}
    rated = ["human-ratings"] if "human" in raters and not manifest["inputs"]["sample"] else []
    languages = sorted(set(manifest["counts"]["role_cards"]["language"]) - {"unknown"})
    return {
        "pretty_name": f"ESC-Eval: {', '.join(name_tables(manifest))}",
        "language": languages,
        **_licence(manifest["licences"]),
        "task_categories": ["text-generation", "text-classification"],
        "tags": ["emotional-support", "role-play", "evaluation", *rated],
        "size_categories": [next((name for most, name in SIZES if rows < most), "100K<n<1M")],
        "configs": [
            {
                "config_name": table,
                "data_files": [{"split": SPLIT, "path": table_path(Path(), table).as_posix()}],
                **({"default": True} if table == "role_cards" else {}),
            }
            for table in loadable_tables(manifest)
        ]
        + [
            {
                "config_name": scheme,
                "data_files": [
                    {"split": part, "path": split_path(Path(), scheme, part).as_posix()}
                    for part in splits.NAMES
                    if made["sizes"][part]
                ],
            }
            for scheme, made in manifest["splits"].items()
            if "reason" not in made
        ],
    }


def _licence(licences: Mapping[str, Any]) -> dict[str, str]:
    if len(licences) == 1 and (only := next(iter(licences))) in HUB_LICENCES:
        return {"license": only.lower()}
    return {"license": "other", "license_name": "by-row", "license_link": LICENSE}


def loadable_tables(manifest: Mapping[str, Any]) -> list[str]:
    """Tables that have rows: ``load_dataset`` refuses an empty one, so it is no config."""
    return [table for table in TABLES if manifest["rows"].get(table)]


def name_tables(manifest: Mapping[str, Any]) -> list[str]:
    """The tables of a build, in words."""
    return [table.replace("_", " ") for table in tables_in(manifest["rows"])]


@cache
def _templates() -> Environment:
    return make_environment("dataset_builder", "templates")


def render_card(manifest: Mapping[str, Any], template: str = "dataset_card.md.jinja") -> str:
    """The text of the card, or of another template."""
    block = yaml.safe_dump(front_matter(manifest), sort_keys=False, allow_unicode=True)
    return (
        _templates()
        .get_template(template)
        .render(
            front_matter=block,
            m=manifest,
            tables={table: table_columns(table, read_labels(manifest)) for table in tables_in(manifest["rows"])},
            named=name_tables(manifest),
            schemes=splits.SCHEMES,
            languages=[get_language(code).name for code in read_labels(manifest).languages],
            sources=SOURCES,
            own=OWN,
            terms=decisions.read_terms(),
            taxonomy=decisions.read_taxonomy(),
            taxonomy_sources=decisions.read_decisions("taxonomy_sources.csv"),
            split=SPLIT,
            loadable=loadable_tables(manifest),
            open=describe_open_cards() if OPEN_KEY in manifest["counts"]["role_cards"]["source"] else None,
            safety=SAFETY_KEY in manifest["counts"]["role_cards"]["source"],
            package=PACKAGE,
            withheld=describe_withheld(manifest),
            place=manifest.get("published"),
        )
    )


def describe_open_cards() -> dict[str, Any]:
    """What the curators decided of the open cards, counted."""
    rows = decisions.read_decisions("open_cards.csv")
    counts = {column: Counter(row[column] for row in rows) for column in ("severity", "risk")}
    changed, by_second = (
        sum(bool(row[column]) for row in rows) for column in ("changed_after_review", "changed_by_second_reader")
    )
    readings = {"changed": changed, "changed_by_second": by_second}
    return {"cards": len(rows), **readings, **{key: dict(sorted(each.items())) for key, each in counts.items()}}


def write_card(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``README.md`` and ``LICENSE.md`` into a build folder."""
    write_whole(folder / LICENSE, [render_card(manifest, LICENSE_TEMPLATE)])
    write_whole(folder / FILE, [render_card(manifest)])
