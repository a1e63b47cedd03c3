"""iEval: people chat with four bots about a positive and a negative scenario and rate each chat themselves."""

from pathlib import Path

from analysis.rated.common import RatedPart
from analysis.studies import ieval
from esc_eval.prompts.rubric import load_rubric

NAME = ieval.NAME
AUTHORS = "Svikhnushina, Filippova and Pu, SIGDIAL 2022"
LINK = "https://github.com/Sea94/ieval"
LICENSE = ieval.LICENSE
GIVE = "ieval_data.json"


def read(path: Path) -> list[RatedPart]:
    """The nine scales 1 to 5, and the overall mark 1 to 3, which tells a bot's rank among the four."""
    rated = ieval.read_ieval(path)
    rubrics = [load_rubric(name) for name in (ieval.RUBRIC, ieval.OVERALL_RUBRIC)]
    return [
        RatedPart(
            rubric.name,
            rubric,
            rated.dialogues,
            tuple(r for r in rated.ratings if r.rubric == rubric.id),
            ranks=rubric.name == ieval.OVERALL_RUBRIC,
        )
        for rubric in rubrics
    ]
