"""Names and texts of others, put through every output and read back by what reads it: they mean themselves."""

import csv
import io
import json
import re
import unicodedata

import pytest
import yaml
from checkpoint_support import METRICS, make_checkpoint
from lxml import html
from markdown_it import MarkdownIt
from rich.console import Console

from dataset_builder.build import Inputs, build_dataset
from dataset_builder.describe.card import render_card
from esc_eval.api.progress import Progress
from esc_eval.cli import console
from esc_eval.cli.progress import show_progress
from esc_eval.errors import EscEvalError
from esc_eval.escaping import escape_terminal, format_csv, put_on_one_line, read_cell
from esc_eval.files.names import name_files
from esc_eval.files.rating_plan import read_plan
from esc_eval.files.records import load_cards
from esc_eval.prompts.rubric import load_rubric
from esc_eval.reporting import as_html, as_latex, as_markdown, as_text, summarise_ratings
from esc_eval.reporting.page import as_page
from esc_eval.reporting.plan import plan_report
from esc_eval.reporting.render import Report, Table
from esc_eval.reporting.signature import join_signature
from esc_eval.schema import Dialogue, Rating, Turn
from esc_eval.statistics.estimate import Estimate
from model_cards.render import checkpoint_card

PLAIN = "name"
HOSTILE = [
    # terminals
    *("[/red]", "[link=http://a.example]b[/link]", "[bold", ":warning:", "\x1b[31mred", "\x1b]0;title\x07", "\x9b2J"),
    *("a\x00b", "a\x7fb\x08", "a\rb", "\u202eevil", "\u2066a\u2069", "a\u2028b\u2029c", "\u200b\ufeffa"),
    # Markdown and HTML
    *(
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "</code></td><b>a",
        '"><svg onload=alert(1)>',
        "<!--",
    ),
    *("a|b|c", "`a` ``b``", "```\n# a", "~~~\na", "# a", "- a", "+ a", "1. a", "1) a", "> a", "---", "===", "-", "12."),
    *("a\n\nb", "![a](http://a.example/b.png)", "[a](javascript:b)", "[a]: http://a.example", "&lt;b&gt;", "**a** _b_"),
    *("<http://a.example>", "a\\", "\\|", "~~a~~", "    a", "\ta", "{{ 7 * 7 }}", "{% raw %}"),
    # LaTeX
    *("$a$", "a\n\n\\end{table}", "\\input{a}", "% a", "a_b^c", "~", "#1", "a & b \\\\", "{", "}", "[a]", "^^M"),
    # sheets
    *('=HYPERLINK("http://a.example")', "+1+cmd|' /C a'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "'=1", "''+a"),
    *("\uff1d1+1", '"a","b"', "a;b,c"),
    # signatures
    *("a|seed:7", "a|b`c"),
]
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def unseen(text: str) -> list[str]:
    """What a terminal or a page would obey instead of showing."""
    kinds = {"Cc", "Cf", "Cs", "Zl", "Zp"}
    return [c for c in text if unicodedata.category(c) in kinds and c not in "\n\t\u200c\u200d"]


def markdown_shape(text: str) -> list[tuple[str, str]]:
    """What a reader of Markdown makes of a text, without the words."""
    found = []
    for token in MARKDOWN.parse(text):
        found.append((token.type, token.tag))
        found += [
            (t.type, t.content if t.type == "html_inline" else "") for t in token.children or () if t.type != "text"
        ]
    return found


def html_shape(text: str) -> list[tuple[str, ...]]:
    """Tags, with the names of their attributes."""
    return [(e.tag, *sorted(e.attrib)) for e in html.fromstring(f"<div>{text}</div>").iter() if isinstance(e.tag, str)]


def latex_shape(text: str) -> list[str]:
    """Commands and special characters of LaTeX that are not escaped ones."""
    rest = re.sub(r"\\text\w+\{\}|\{\[\}|\\[&%$#_{}]", "", text)
    return re.findall(r"\\[A-Za-z]+|\\.|[{}$#^~%]|&|\n\n|(?m:^%.*$)", re.sub(r"(?m)^(%).*$", r"\1", rest))


def made_report(name: str) -> Report:
    estimate = Estimate(50.0, 40.0, 60.0, 3)
    table = Table(
        name, ["model", name], [[name, estimate], ["b", name]], note=name, lower_is_better=[name], signature=name
    )
    return Report("x", {"name": name}, [table], [name], join_signature({"rater": name}), name, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_report_keeps_its_shape_in_every_form(name):
    report, plain = made_report(name), made_report(PLAIN)
    assert markdown_shape(report.to_markdown()) == markdown_shape(plain.to_markdown())
    assert html_shape(report.to_html()) == html_shape(plain.to_html())
    assert latex_shape(report.to_latex()) == latex_shape(plain.to_latex())
    for form in (report.to_text(300), report.to_markdown(), report.to_latex(), report.to_html()):
        assert unseen(form) == []
    words = put_on_one_line(name)
    assert f"* {words}" in report.to_text(300)
    shown = html.fromstring(MARKDOWN.render(report.to_markdown())).text_content()
    assert " ".join(words.split()) in " ".join(shown.split())
    assert json.loads(report.to_json())["name"] == name


def made_run(name: str):
    """Two supporters with a name, on cards with a name, who say it, rated by somebody of that name."""
    rubric, dialogues, ratings = load_rubric(), [], []
    for supporter in (f"{name} 1", f"{name} 2"):
        for number, card in enumerate(load_cards(language="en", limit=3)):
            turns = (
                Turn(role="supporter", text=name),
                Turn(role="seeker", text=name),
                Turn(role="supporter", text=name),
            )
            dialogue = Dialogue(
                id=f"{supporter}:{number}", language="en", turns=turns, card_id=f"{name}{card.id}", supporter=supporter
            )
            dialogues.append(dialogue)
            ratings += [
                Rating(
                    dialogue_id=dialogue.id,
                    dimension=key,
                    rater=name,
                    rater_kind="model",
                    rubric=rubric.id,
                    score=None if number == 0 else number + 1,
                    problem=name if number == 0 else None,
                )
                for key in rubric.keys
            ]
    return dialogues, ratings, rubric


@pytest.mark.slow
@pytest.mark.parametrize("name", [" ".join(HOSTILE[:14]), " ".join(HOSTILE[14:36]), " ".join(HOSTILE[36:])])
def test_the_report_of_a_run_and_its_page_keep_their_shape(name):
    found, plain = (summarise_ratings(*made_run(n)) for n in (name, PLAIN))
    assert markdown_shape(as_markdown(found)) == markdown_shape(as_markdown(plain))
    assert html_shape(as_html(found)) == html_shape(as_html(plain))
    assert latex_shape(as_latex(found)) == latex_shape(as_latex(plain))
    page, harmless = (as_page(one, *made_run(n)) for one, n in ((found, name), (plain, PLAIN)))
    outside = re.compile(r"<svg.*?</svg>", re.DOTALL)  # pictures differ in how wide words are
    assert html_shape(outside.sub("", page)) == html_shape(outside.sub("", harmless))
    pictures = {e.tag for svg in outside.findall(page) for e in html.fromstring(svg).iter()}
    assert "script" not in pictures
    assert "image" not in pictures
    for form in (as_text(found), as_markdown(found), as_latex(found), as_html(found), page):
        assert unseen(form) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_a_signature_keeps_its_parts(name):
    signature = join_signature({"rater": name, "seed": 7})
    assert [part.partition(":")[0] for part in signature.split("|")] == ["esc-eval", "rater", "seed"]
    assert "\n" not in signature
    assert unseen(signature) == []


def test_no_cell_of_a_sheet_is_a_formula_and_every_cell_comes_back(tmp_path):
    sheet = format_csv(["id", *HOSTILE], [{"id": name, name: name} for name in HOSTILE])
    rows = list(csv.reader(io.StringIO(sheet.removeprefix("\ufeff"), newline="")))
    assert [read_cell(cell) for cell in rows[0]] == ["id", *HOSTILE]
    assert [read_cell(row[0]) for row in rows[1:]] == HOSTILE
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(tuple("=+@\t\r\n\uff1d")), cell
        assert cell in ("---", "-") or not cell.startswith("-") or re.fullmatch(r"-[\d.]+", cell), cell


def test_a_plan_for_spreadsheets_reads_back_and_names_no_model(tmp_path):
    said = (Turn(role="seeker", text="a"), Turn(role="supporter", text="b"))
    talks = [Dialogue(id=f"{m}:1", language="en", turns=said, supporter=m, card_id="1") for m in HOSTILE]
    plan_report(talks, ["=r"], per_dialogue=1, overlap=0.0, seed=0, out=tmp_path / "plan.csv")
    with (tmp_path / "plan.csv").open(encoding="utf-8-sig", newline="") as file:
        plan = list(csv.DictReader(file))
    assert {row["rater"] for row in plan} == {"'=r"}
    assert all(re.fullmatch("dialogue-[0-9a-f]{12}", row["dialogue_id"]) for row in plan)
    rows = read_plan(tmp_path / "plan.csv", talks)
    assert sorted(rows["=r"]) == sorted(talk.id for talk in talks)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_terminal_is_told_nothing(name, capsys):
    console.print_data(name)
    console.print_progress(name)
    console.print_table(("a",), [[name]])
    with pytest.raises(SystemExit), console.exit_on_user_error():
        raise EscEvalError(f"no such file: {name}")
    said = io.StringIO()
    with show_progress(Console(file=said, width=200)) as draw:
        draw(Progress(message=name))
        draw(Progress(name, 1, 2))
    out, err = capsys.readouterr()
    own = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
    for text in (out, err, said.getvalue()):
        assert unseen(own.sub("", text) if text is not out else text) in ([], ["\r"] * text.count("\r"))
    assert escape_terminal(name).strip() in err
    if "[" in name:
        assert put_on_one_line(name).split("[")[1] in said.getvalue()


def test_json_on_a_terminal_is_the_same_json(capsys):
    console.print_data(json.dumps(HOSTILE, ensure_ascii=False, indent=2))
    out = capsys.readouterr().out
    assert json.loads(out) == HOSTILE
    assert unseen(out) == []


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return build_dataset(Inputs(), tmp_path_factory.mktemp("sample") / "build")


def with_names(manifest, names):
    """A manifest in which what its inputs named is called so."""
    content = json.loads(json.dumps(manifest))
    content["counts"]["dialogues"]["supporter"] = dict.fromkeys(names, 4)
    content["counts"]["annotations"]["dimension"] = dict.fromkeys(names, 56)
    content["inputs"]["runs"] = [{"name": name, "dialogues": 4, "ratings": 56} for name in names]
    content["licences"] = {name: {"license": name, "rows": {"dialogues": 4}, "not_rehostable": {}} for name in names}
    for scheme, name in zip(content["splits"], names, strict=False):
        content["splits"][scheme] = {"reason": name}
    content["overlap"]["contaminated_by"] = dict.fromkeys(names, 1)
    content["personal_data"]["found_by"] = dict(zip(names, names, strict=True))
    return content


@pytest.mark.parametrize("template", ["dataset_card.md.jinja", "license.md.jinja"])
def test_the_card_of_a_data_set_keeps_its_shape(manifest, template):
    plain = markdown_shape(render_card(with_names(manifest, [f"name{n}" for n in range(len(HOSTILE))]), template))
    for names in (HOSTILE, HOSTILE[20:] + HOSTILE[:20], HOSTILE[40:] + HOSTILE[:40]):
        found = render_card(with_names(manifest, names), template)
        assert markdown_shape(found) == plain
        assert unseen(found) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["role", "rank"])
def test_the_card_of_a_checkpoint_keeps_its_shape(tmp_path, kind):
    def card_of(number: int, name: str, names: list[str]) -> str:
        sources = [{"name": n, "license": n, "conversations": 4, "rows": 20, "about": n} for n in names]
        data = {"sha256": name, "sources": sources, "rows": 20, "tokens": 812, "held_out": name}
        base = {"model": name, "revision": name, "license": name, "embedded": False}
        named = {"name": name, "data": data, "base": base, "rubric": name, "protocol": name, "languages": [name]}
        metrics = {n: METRICS["loss"] | {"about": n, "command": n} for n in names}
        folder = tmp_path / f"{number}"
        environment = dict(zip(names, names, strict=True))
        make_checkpoint(folder, kind, metrics, card=False, environment=environment, **named)
        (folder / "recipe.yaml").write_text(f"name: toy\nanswer: |\n  ```\n  {json.dumps(name)}\n", encoding="utf-8")
        return checkpoint_card(folder)

    def split(card: str) -> tuple[object, str]:
        _, front, rest = re.split(r"(?m)^---$", card, maxsplit=2)
        return yaml.safe_load(front), rest

    _, plain = split(card_of(0, PLAIN, [f"name{n}" for n in range(len(HOSTILE))]))
    for number, name in enumerate(HOSTILE[::9], 1):
        front, rest = split(card_of(number, name, HOSTILE))
        assert markdown_shape(rest) == markdown_shape(plain), name
        assert unseen(rest) == [], name
        assert front["model-index"][0]["name"] == name


def test_names_of_files_are_apart_and_fit_any_file_system():
    names = [*HOSTILE, "a/b", "a_b", "A_b", "..", "", "x" * 500, "x" * 501, "评" * 200, "qwen2:7b", "qwen2_7b"]
    found = name_files(names)
    assert len({stem.casefold() for stem in found.values()}) == len(set(names))
    for stem in found.values():
        assert not re.search(r'[\x00-\x1f/\\:*?"<>|]', stem)
        assert stem not in ("", ".", "..")
        assert len(stem.encode()) <= 230
