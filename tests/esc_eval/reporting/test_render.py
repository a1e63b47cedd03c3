"""The renderer: no number cut at any width, no name that breaks a form."""

import pytest

from esc_eval.reporting.render import Report, Table
from esc_eval.statistics.estimate import Estimate

EVIL = "a|b`c\n\n$x$ \x1b[31m\u202e ~~d~~ &lt; \\e {f} [g] 评测模型"


@pytest.mark.parametrize("width", range(40, 130, 3))
def test_no_number_is_cut_at_any_width(width):
    columns = ["Dimension", "mean, interval", "n", "most given", "share", "0/1/2/3/4", "all scores, by rater"]
    one = [
        Estimate(75.0, n=1, clusters=1),
        1,
        3,
        "100%",
        "10/20/30/40/51",
        ", ".join(f"r{i}={i}" for i in range(20)),
    ]
    two = [Estimate(60.5, 10.25, 70.75, 9), 1234567, 3, "99%", "1/2/3/4/5", "r1=1"]
    rows = [["Information", *one], ["A name that is much longer than the column for names", *two]]
    text = Report("x", {}, [Table("", columns, rows, 2)]).to_text(width)
    assert max(map(len, text.splitlines())) <= width
    found = "".join(text.split())
    for shown in ("10/20/30/40/51", "1/2/3/4/5", "75.00[onecluster]", "60.50[10.25,70.75]", "1234567", "100%"):
        assert shown in found
    assert all(f"r{i}={i}" in found for i in range(20))


def test_text_is_text_where_a_notebook_asks_for_colours(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as Jupyter's kernels have it
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    text = Report("x", {}, [Table("", ["model", "n"], [["a", 3]])]).to_text(60)
    assert "\x1b" not in text
    assert "model" in text
    assert text.splitlines()[2].split() == ["a", "3"]


def test_a_name_means_itself_in_every_form():
    report = Report("x", {"name": EVIL}, [Table(EVIL, ["model", EVIL], [[EVIL, 1.5]])], [EVIL], EVIL, EVIL, "lead")
    for form in (report.to_text(200), report.to_markdown(), report.to_latex(), report.to_html()):
        assert "\x1b" not in form
        assert "\u202e" not in form
        assert "评测模型" in form
    [_, head, _, row] = [line for line in report.to_markdown().splitlines() if line.startswith(("| ", "## "))]
    assert head.count("|") == row.count("|") == 3
    assert "$" not in row
    assert "~" not in row
    assert "&#38;lt;" in row
    assert report.to_markdown().splitlines()[-1].startswith("`` a|b`c $x$")
    assert "\n\n\\$x" not in report.to_latex(), "an empty line ends a caption"
    assert EVIL.split("\n")[0] in report.to_json()


def test_a_report_shows_itself_where_it_is_printed_or_last_in_a_cell():
    report = Report("compare", {}, [Table("Means", ["model", "mean"], [["a", Estimate(50.0, 40.0, 60.0, 3)]])])
    assert repr(report) == "<Report compare: 1 tables>"
    assert "50.000 [40.000, 60.000]" in str(report)
    assert "<td>50.000<small>[40.000, 60.000]</small></td>" in report._repr_html_()
