"""The pictures of a collection as files for a paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from esc_eval.errors import EscEvalError
from esc_eval.escaping import put_on_one_line
from esc_eval.files.names import name_files
from esc_eval.files.writing import open_whole, write_whole
from esc_eval.reporting.pictures import Picture
from esc_eval.reporting.tables import name_board
from esc_eval.view.collection import Collection

WORDS = "figures.txt"
"""Describes every picture of the folder in sentences, for captions and for who does not see them."""


def write_figures(
    collection: Collection, out: Path, formats: Sequence[Literal["svg", "pdf", "png"]]
) -> tuple[list[Path], str]:
    """Write every picture; return the files, and the characters that no font of this machine has.

    Raises:
        EscEvalError: There is nothing to draw.
    """
    named: list[tuple[str, str, Picture]] = []
    several = len(collection.groups) > 1
    for board in collection.boards:
        table = board.table
        what = name_board(table.language, table.rater, table.rubric)
        group = f"{collection.groups.index(board.group) + 1}-" if several else ""
        rubric = f"-{table.rubric}" if table.rubric else ""
        stem = f"{group}{table.language}-{table.rater}{rubric}"
        named += [(f"{stem}-{picture.name}", f"{what}. {picture.title}", picture) for picture in board.pictures]
    for _, _, pictures in collection.rounds:
        named += [(picture.name, picture.title, picture) for picture in pictures]
    if not named:
        raise EscEvalError("there is nothing to draw: no dialogue is rated, and no seeker says anything")
    stems = name_files(name for name, _, _ in named)
    out.mkdir(parents=True, exist_ok=True)
    paths, missing, words = [], set(), []
    for name, what, picture in named:
        for ending in formats:
            path = out / f"{stems[name]}.{ending}"
            if ending == "svg":
                write_whole(path, [picture.svg_file])
            else:
                content, lacking = picture.make_pdf() if ending == "pdf" else picture.make_png()
                missing |= set(lacking)
                with open_whole(path) as file:
                    file.buffer.write(content)
            paths.append(path)
        words.append(f"{stems[name]}: {put_on_one_line(what)}. {picture.words}\n{picture.signature}\n")
    write_whole(out / WORDS, ["\n".join(words)])
    return [*paths, out / WORDS], "".join(sorted(missing))
