"""EPITOME: replies to posts on Reddit, each marked for three mechanisms of empathy; the files hold one mark a reply."""

from pathlib import Path

from analysis.rated.common import RatedPart, expect, expect_level, make_rubric
from esc_eval.errors import BadRecord
from esc_eval.files.cells import read_level
from esc_eval.reading import is_file, is_folder, read_csv
from esc_eval.schema import Dialogue, Rating, Turn

NAME = "EPITOME"
AUTHORS = "Ashish Sharma and others"
LINK = "https://github.com/behavioral-data/Empathy-Mental-Health"
LICENSE = "academic use with attribution"
GIVE = "the folder with emotional-reactions-reddit.csv and its like"

LEVELS = range(3)
FILES = {
    "level_emotional_reactions": "emotional-reactions-reddit.csv",
    "level_interpretations": "interpretations-reddit.csv",
    "level_explorations": "explorations-reddit.csv",
}
RATER = "the set's annotators"
COLUMNS = ("sp_id", "rp_id", "seeker_post", "response_post", "level")


def read(path: Path) -> list[RatedPart]:
    """Posts with one reply, and the level that the set gives each mechanism."""
    whole = is_folder(path) and all(is_file(path / file) for file in FILES.values())
    expect(path, "the whole of it", whole, GIVE)
    rubric = make_rubric("epitome", LEVELS, {scale: scale for scale in FILES})
    dialogues: dict[str, Dialogue] = {}
    ratings = []
    for scale, name in FILES.items():
        file = path / name
        seen = set()
        for line, cells in read_csv(file, COLUMNS, prose=("seeker_post", "response_post", "rationales")).rows:
            where = f"line {line}"
            post, reply = cells["seeker_post"].strip(), cells["response_post"].strip()
            expect(file, where, post and reply, "a post and a reply")
            try:
                level = read_level(cells["level"])
            except ValueError as error:
                raise BadRecord(file, where, f"level {error}") from error
            talk = Dialogue(
                id=f"epitome/{cells['sp_id']}_{cells['rp_id']}",
                language="en",
                turns=(Turn(role="seeker", text=post), Turn(role="supporter", text=reply)),
                card_id=f"epitome/{cells['sp_id']}",
                supporter="human",
                seeker="human",
            )
            expect(file, where, talk.id not in seen, "each reply once")
            dialogues.setdefault(talk.id, talk)
            seen.add(talk.id)
            ratings.append(
                Rating(
                    dialogue_id=talk.id,
                    dimension=scale,
                    rater=RATER,
                    rater_kind="human",
                    rubric=rubric.id,
                    score=expect_level(file, f"{where}, level", level, LEVELS),
                )
            )
        expect(file, "the whole file", seen, "a reply a row")
    notes = (
        "The files hold one level a reply, without a word on how many marked it: it stands as one rater's.",
        "Rationales are left out. A card is a post. Where the files write a text otherwise, it is that of the first.",
    )
    return [RatedPart("epitome", rubric, tuple(dialogues.values()), tuple(ratings), notes=notes)]
