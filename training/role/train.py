"""ESC-Role, from recipe to checkpoint."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dataset_builder.sources import SOURCES
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.chat.engine.weights import PLAYING
from esc_eval.errors import EscEvalError
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Protocol, load_protocol
from esc_eval.schema import RoleCard, digest
from model_cards.checkpoint import Source, TrainingData
from training.common import checkpoint, sft
from training.common.config import RoleRecipe
from training.common.cost import find_anatomy, lines_of
from training.common.rows import Made
from training.common.work import Load
from training.role import data as role_data
from training.role import hold_out
from training.role.data import Example, Material

OVERLAPS = "overlaps.json"
LEARNT = "learnt"
"""Key in it: ids of the conversations that were learnt from."""
UNTOLD = "untold"
"""Key in it: ids of those that were not, because their seekers tell little of their card."""


@dataclass(frozen=True)
class Inputs:
    """Where an ESC-Role's data lie.

    Attributes:
        sources: A sub-folder for each source.
        role_play: Files of general role play.
        role_play_license: Of those files, as their owner names it; None: not stated.
        test_cards: Cards of the evaluation, kept out of training.
        cards: Cards of the sources' conversations, whose ids they have.
    """

    sources: Path
    role_play: Sequence[Path] = ()
    role_play_license: str | None = None
    test_cards: Sequence[RoleCard] = ()
    cards: Sequence[RoleCard] = ()


def gather_rows(recipe: RoleRecipe, inputs: Inputs) -> tuple[Material, Protocol]:
    """The examples of a recipe, and the protocol that they are worded by."""
    protocol = load_protocol(recipe.data.protocol)
    seed = recipe.optimise.seed
    material = role_data.collect_material(
        recipe.data,
        protocol,
        inputs.sources,
        inputs.role_play,
        inputs.test_cards,
        {card.id: card for card in inputs.cards},
        seed,
    )
    return material, protocol


def train_role(
    recipe: RoleRecipe,
    inputs: Inputs,
    out: Path,
    report_to: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> None:
    """Train a recipe into a folder that ``esc-eval evaluate --seeker`` opens.

    Raises:
        EscEvalError: Data, base or memory are missing; the message says which and what to do.
    """
    checkpoint.refuse_taken(out)
    material, protocol = gather_rows(recipe, inputs)
    opened = sft.open_base(recipe.base, out, sft.choose_attention(recipe))
    sft.find_targets(recipe.adapter, opened.model)
    encoder = Encoder(opened.tokenizer, recipe.base.model)
    made = role_data.rows_of(material.train, encoder, recipe.data, recipe.optimise.max_length)
    if not made.rows:
        raise EscEvalError(
            f"none of {made.left_out} turns fits into optimise.max_length = {recipe.optimise.max_length}; raise it"
        )
    data = use_of(material, made, inputs.role_play_license)
    state = sft.count_processes()
    if state.is_main_process:
        checkpoint.claim_folder(out, recipe, data.sha256)
        write_overlaps(out / OVERLAPS, material)
        for line in describe_material(material, made):
            progress(line)
    state.wait_for_everyone()
    finished = sft.train_adapter(recipe, opened, sft.dataset_of(made.rows), out, report_to=report_to)
    if state.is_main_process:
        base = checkpoint.describe_base(recipe.base)
        if recipe.plays:
            write_json(out / PLAYING, recipe.plays.model_dump(exclude={"max_new_tokens"}))
        checkpoint.finish_checkpoint(
            out, "role", recipe, data, finished, base=base, seed=recipe.seed, protocol=protocol.id
        )
        for line in checkpoint.describe_use(out, "role"):
            progress(line)


def describe_material(material: Material, made: Made | None = None) -> list[str]:
    """What is learnt from and what was kept out, in lines for people."""
    sources = Counter(e.source for e in material.train)
    lines = [f"{len(material.train)} conversations: {', '.join(f'{n} {name}' for name, n in sources.items())}"]
    if made:
        tokens, learnt = sum(len(row.ids) for row in made.rows), sum(row.learnt for row in made.rows)
        lines += [
            f"{len(made.rows)} rows, {tokens} tokens, the loss on {learnt} of them",
            f"{made.left_out} of the seeker's turns are too far into a conversation to fit",
        ]
    lines.append(describe_removed(material))
    for source, t in material.traced.items():
        lines.append(
            f"of {t.cards} test cards from {source}, {t.near} have a conversation at similarity {hold_out.NEAR} or "
            f"more; for the other {t.cards - t.near} the nearest alone was removed, and for {t.close_calls} of them it "
            f"leads the second by less than {hold_out.CLOSE:.0%}"
        )
    if material.without_card:
        missing = ", ".join(f"{n} {source}" for source, n in material.without_card.items())
        lines.append(f"{missing} conversations left out: {role_data.NO_CARDS}")
    if material.without_seeker:
        lines.append(f"{material.without_seeker} conversations left out: the seeker says nothing")
    if material.untold:
        lines.append(describe_untold(material))
    if not material.cards_checked:
        lines.append("no test cards were given (--test-cards): nothing says that they were not trained on")
    if material.rejects:
        first = material.rejects[0]
        lines.append(
            f"{len(material.rejects)} malformed records left out, the first in {first.file}, line {first.line}: "
            f"{first.reason}"
        )
    return lines


def describe_removed(material: Material) -> str:
    """What was kept out of training, in words."""
    return (
        f"{len(material.removed)} conversations removed: {len(material.overlaps)} that one of "
        f"{material.cards_checked} test cards may come from, {len(material.repeats)} that repeat one of "
        f"{len(material.validation)} conversations of the validation"
    )


def describe_untold(material: Material) -> str:
    """What was not learnt from for what its seekers leave untold, in words."""
    return f"{len(material.untold)} conversations left out, whose seekers tell less of their card than data.told asks"


def write_overlaps(path: Path, material: Material) -> None:
    """The conversations that were removed, with the test cards or validation conversations that led to it; those that
    were learnt from, and those that were not for what their seekers leave untold.
    """
    learnt = [example.id for example in material.train]
    content = {
        "test_cards": material.overlaps, "validation": material.repeats, LEARNT: learnt, UNTOLD: material.untold
    }  # fmt: skip
    write_json(path, content)


def use_of(material: Material, made: Made, role_play_license: str | None = None) -> TrainingData:
    """What goes into training.json."""
    licences = role_data.find_licences(material.train, role_play_license)
    conversations = Counter(e.source for e in material.train)
    rows = Counter(row.source for row in made.rows)
    removed = [describe_removed(material)]
    if material.untold:
        removed.append(describe_untold(material))
    return TrainingData(
        sha256=digest([[row.ids, row.labels] for row in made.rows]),
        sources=tuple(
            Source(
                name=name,
                license=licences[name],
                conversations=count,
                rows=rows[name],
                about=_about(name, material.train),
                bibtex=SOURCES[name].BIBTEX if name in SOURCES else "",
            )
            for name, count in conversations.items()
        ),
        rows=len(made.rows),
        tokens=sum(len(row.ids) for row in made.rows),
        held_out=f"{len(material.validation)} conversations for validation; {'; '.join(removed)} ({OVERLAPS})",
        files=material.files,
    )


def _about(source: str, examples: Sequence[Example]) -> str:
    if source in SOURCES:
        return SOURCES[source].ABOUT
    files = dict.fromkeys(e.id.partition("#")[0] for e in examples if e.source == source)
    return f"general role play: {', '.join(files)}"


def estimate_role_cost(recipe: RoleRecipe, inputs: Inputs, out: Path, tflops: float | None = None) -> str:
    """A dry run of an ESC-Role recipe, in lines for people.

    Args:
        tflops: As of ``lines_of``.
    """
    material, _ = gather_rows(recipe, inputs)
    tokenizer, told = sft.tokenizer_on_disk(recipe.base, out)
    made = role_data.rows_of(
        material.train, Encoder(tokenizer, recipe.base.model), recipe.data, recipe.optimise.max_length
    )
    load = Load.of([len(row.ids) for row in made.rows], sum(row.learnt for row in made.rows))
    lines = [*told, *describe_material(material, made)]
    return "\n".join([*lines, *lines_of(recipe, find_anatomy(recipe, out), load, tflops)])
