"""A sheet as one HTML file: it opens from a disk, asks nothing of a network, and exports what was clicked."""

import json
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files

from jinja2 import ChoiceLoader, PackageLoader
from markupsafe import Markup

from esc_eval.escaping import show_controls
from esc_eval.files.templates import make_environment
from esc_eval.rate.export import REASONS, explain_reason
from esc_eval.rate.offline.sheet import Sheet
from esc_eval.rate.questions import Question, level_keys, list_keys, list_levels
from esc_eval.version import __version__
from esc_eval.web.words import Words, load_words

ANSWERS = "esc-eval/sheet-answers/1"
"""What an export calls its format."""
STYLES = ("web/static/base.css", "rate/static/rate.css")
THEME, SCRIPTS = "web/static/theme.js", ("rate/static/questions.js", "rate/static/sheet.js")
WORDS = ("begin", "go_on", "where", "dialogue_n", "minutes_left", "nothing_said", "cut", "rolecard_none")
STATES = ("list_state_done", "list_state_begun", "list_state_open")
BREAK_AFTER = 30
"""Active minutes after which a break is proposed."""


def as_page(sheet: Sheet, file: str, contact: str | None = None) -> str:
    """The file as text. Whatever a model said is data, and never becomes markup.

    Args:
        sheet: What is in it.
        file: Name of what is exported, without its ending.
        contact: Whom raters tell when something is wrong.
    """
    environment = make_environment("esc_eval", "rate/templates", html=True)
    own = [PackageLoader("esc_eval", f"{room}/templates") for room in ("rate", "web")]
    environment.loader = ChoiceLoader(own)
    environment.filters["visible"] = show_controls
    words = load_words(sheet.language, "rate", "sheet")
    style, theme, script = ("\n".join(map(_read, names)) for names in (STYLES, [THEME], SCRIPTS))
    policy = (
        f"default-src 'none'; script-src {_hash(theme)} {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    language, text = sheet.worded
    keys = level_keys(sheet.rubric.levels)
    return environment.get_template("sheet.html.jinja").render(
        w=words,
        language=words.language,
        languages={},
        version=__version__,
        sheet=sheet,
        contact=contact,
        worded_in=language,
        questions=[
            Question(
                key,
                text.dimensions[key].name,
                text.dimensions[key].question,
                list_levels(sheet.rubric, text, key),
            )
            for key in sheet.dimensions
        ],
        reasons=list(REASONS),
        pairs=False,
        state={"note": None},
        keys=list_keys(words, keys, applying=bool(sheet.rubric.not_applicable)),
        break_after=BREAK_AFTER,
        # what the file is made of is ours; the rest goes through the escaping of the template, or of JSON below
        policy=Markup(policy),  # noqa: S704
        style=Markup(style),  # noqa: S704
        theme=Markup(theme),  # noqa: S704
        script=Markup(script),  # noqa: S704
        data=Markup(_as_data(sheet, file, words)),  # noqa: S704
    )


def _as_data(sheet: Sheet, file: str, words: Words) -> str:
    """What the script reads, as JSON in which no character means anything to HTML."""
    _, text = sheet.worded
    content = {
        "format": ANSWERS,
        "id": sheet.id,
        "rater": sheet.rater,
        "rubric": sheet.rubric.id,
        "levels": sheet.rubric.levels,
        "dimensions": sheet.dimensions,
        "not_applicable": bool(sheet.rubric.not_applicable),
        "file": file,
        "made_by": f"esc-eval {__version__}",
        "language": words.language,
        "break_after": BREAK_AFTER,
        "reasons": {key: explain_reason(key) for key in REASONS},
        "other_reason": explain_reason("{reason}"),
        "words": {
            **{key: words.texts[key] for key in (*WORDS, *STATES)},
            **words.starting("script_"),
            **words.starting("sheet_js_"),
            "seeker": text.seeker,
            "supporter": text.supporter,
        },
        "items": [
            {"id": one.id, "language": one.language, "turns": one.turns, "card": one.card} for one in sheet.entries
        ],
    }
    plain = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return plain.translate({ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"})


def _read(name: str) -> str:
    return files("esc_eval").joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"
