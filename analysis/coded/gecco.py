"""GeCCo: German messages of online counselling, in sentences that coders gave one of 66 categories each.

The sentences stand alone: the set has no conversations, no second coder and no order, so that neither agreement nor
what went before can be known.
"""

from pathlib import Path

from analysis.coded.common import CodedUtterance
from analysis.rated.common import expect
from esc_eval.reading import is_folder, read_csv
from esc_eval.schema import Role

NAME = "GeCCo"
AUTHORS = "Jens Albrecht, Robert Lehmann"
LINK = "https://github.com/th-nuernberg/gecco-dataset"
LICENSE = "CC BY 4.0"
GIVE = "the folder with gecco_daten.csv and gecco_kategorien.csv"

LANGUAGE = "de"
TEXTS, BOOK = "gecco_daten.csv", "gecco_kategorien.csv"
SIDES: dict[str, Role] = {"B": "supporter", "K": "seeker"}
LEVELS = tuple(f"K{n} Name" for n in range(1, 6))

OTHERS, QUESTION, PARAPHRASE = "Others", "Question", "Restatement or Paraphrasing"
AFFIRMATION, SUGGESTION, INFORMATION = "Affirmation and Reassurance", "Providing Suggestions", "Information"
STRATEGIES = {
    "B-FA": OTHERS,  # greeting, moderation
    "B-FZ": OTHERS,  # goodbye, offer of a further talk
    "B-A": OTHERS,
    "B-WF-AK-RS-ERx": PARAPHRASE,  # simple reflection of what was said
    "B-WF-AK-RS-F": QUESTION,  # all questions on the matter
    "B-WF-AK-RE-FEL": QUESTION,  # on how somebody feels
    "B-WF-ABZ-*-FZW": QUESTION,  # on goals and wishes
    "B-WF-Mot-*-FVW": QUESTION,  # that evokes a wish to change
    "B-WF-Mot-*-IAV": AFFIRMATION,  # of what the client is able to do
    "B-WF-Mot-*-IDW": AFFIRMATION,  # thanks and appreciation
    "B-WF-Mot-*-IEM": AFFIRMATION,  # encouragement
    "B-WF-RA-*-FU": QUESTION,  # on possible support
    "B-WF-RA-*-FP": QUESTION,  # on the trouble itself
    "B-WF-RA-*-ARP": SUGGESTION,  # to turn to professionals
    "B-WF-RA-*-N-ARF": SUGGESTION,  # to turn to family or friends
    "B-WF-HP-*-IFSE": INFORMATION,  # an explanation of fact
    "B-WF-HP-*-IFHE": SUGGESTION,  # a recommendation by the rules of a profession or an office
    "B-WF-HP-*-PS-IR": SUGGESTION,  # personal advice
    "B-WF-HP-*-IB": AFFIRMATION,  # calming
}
"""ESConv's strategy by the beginning of a code, where both name the same act.

Left without one: the goal of the counselling (ABZ-*-IDZ), prognosis (HP-*-IZ), warning (HP-*-IW), personal view and
wish (HP-*-PS-IBD, -IW), none of which ESConv has; and complex reflection (AK-RE-FKR), most of whose sentences ask
something. No code stands for Self-disclosure, and none for Reflection of feelings.
"""


def find_strategy(code: str) -> str | None:
    """ESConv's strategy that a code says the same as, by the longest beginning that is known; else None.

    >>> find_strategy("B-WF-AK-RS-FLL-SB"), find_strategy("B-WF-HP-*-IZ-*")
    ('Question', None)
    """
    known = [begin for begin in STRATEGIES if code.startswith(begin)]
    return STRATEGIES[max(known, key=len)] if known else None


def read(path: Path) -> list[CodedUtterance]:
    """Every coded sentence of the set, of counsellors (role ``supporter``) and clients (``seeker``), in its order.

    Args:
        path: The folder of the set.

    Raises:
        EscEvalError: The files are not there or not these, a text is empty, or a code is in no code book.
    """
    expect(path, "the whole of it", is_folder(path), GIVE)
    book = _read_book(path / BOOK)
    found: list[CodedUtterance] = []
    for number, (line, cells) in enumerate(read_csv(path / TEXTS, ("Code", "Text"), prose=("Text",)).rows, 1):
        code, text = cells["Code"].strip(), cells["Text"].strip()
        expect(path / TEXTS, f"line {line}", code in book, f"a code of {BOOK}, not {code!r}")
        expect(path / TEXTS, f"line {line}", text, "a text")
        role, names = book[code]
        strategy = find_strategy(code) if role == "supporter" else None
        found.append(CodedUtterance(f"gecco/{number}", LANGUAGE, role, text, code, names, strategy))
    expect(path / TEXTS, "the whole file", found, "a sentence a row")
    return found


def _read_book(path: Path) -> dict[str, tuple[Role, tuple[str, ...]]]:
    book: dict[str, tuple[Role, tuple[str, ...]]] = {}
    for line, cells in read_csv(path, ("Code", "Typ", *LEVELS)).rows:
        code, side = cells["Code"].strip(), cells["Typ"].strip()
        expect(path, f"line {line}", side in SIDES and code.startswith(f"{side}-"), f"a code of {' or '.join(SIDES)}")
        expect(path, f"line {line}", code not in book, f"each code once, and {code} stands twice")
        names = (name for level in LEVELS if (name := cells[level].strip()))
        book[code] = SIDES[side], tuple(dict.fromkeys(names))
    expect(path, "the whole file", book, "a code a row")
    return book
