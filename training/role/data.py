"""What ESC-Role learns from: real seekers of support conversations with their cards, and general role play."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

from dataset_builder import decisions
from dataset_builder.rows import card_text
from dataset_builder.sources import SOURCES, parse_file
from dataset_builder.sources.common import Reject, SourceConversation
from esc_eval.chat.base import Conversation
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.errors import BadRecord, EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.prompts.protocol import Protocol
from esc_eval.reading import read_json_lines
from esc_eval.schema import Dialogue, RoleCard, Turn, escape_halves
from training.common import rows
from training.common.config import Part, RoleData
from training.role import hold_out

ROLE_PLAY = "role play"
NO_CARDS = (
    "nothing says who the seeker is. Make cards with `python -m dataset_builder roles` and give their file (--cards; "
    "--card-file of evaluate-role)"
)
PLAY = "Play {name} in this conversation. Answer as {name} would, in character."


@dataclass(frozen=True)
class Example:
    """A conversation to learn from, seen from the side that learns.

    Attributes:
        card, turns: As in evaluation; None and empty for general role play.
        messages: What the model reads and says; its own words are the assistant's.
    """

    id: str
    source: str
    messages: Conversation
    card: RoleCard | None = None
    turns: tuple[Turn, ...] = ()


T = TypeVar("T", Example, SourceConversation)


@dataclass
class Material:
    """Examples to train on and to validate with, and what was kept out.

    Attributes:
        rejects: Malformed records, by file and line.
        overlaps: Ids of conversations that were removed, with the test cards that may have been made of them.
        repeats: Ids of conversations that were removed, with the validation conversations that they repeat.
        cards_checked: Number of test cards that were looked for.
        traced: How surely cards of the sources were found in them, by source.
        without_card: Conversations left out because nothing says who the seeker is, by source.
        without_seeker: Conversations left out because the seeker says nothing.
        untold: Ids of conversations left out because the seeker tells little of the card.
        files: Sha256 of every file read, by name.
    """

    train: list[Example] = field(default_factory=list)
    validation: list[Example] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    overlaps: dict[str, list[str]] = field(default_factory=dict)
    repeats: dict[str, list[str]] = field(default_factory=dict)
    cards_checked: int = 0
    traced: dict[str, hold_out.Traced] = field(default_factory=dict)
    without_card: Counter[str] = field(default_factory=Counter)
    without_seeker: int = 0
    untold: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def removed(self) -> set[str]:
        """Ids of the conversations that were kept out of training for either reason."""
        return {*self.overlaps, *self.repeats}


def card_by_rule(conversation: SourceConversation) -> RoleCard | None:
    """A card from what the seeker wrote before the conversation and the labels chosen; None where nothing was.

    Age, gender and occupation are "not mentioned": a rule cannot read them.
    """
    labels = [conversation.labels[name] for name in ("problem_type", "emotion_type") if name in conversation.labels]
    said = [". ".join(label.capitalize() for label in labels), conversation.situation or ""]
    problem = ". ".join(part for part in said if part)
    if not problem:
        return None
    text = card_text.write_card_text(conversation.language, None, None, None, problem)
    return RoleCard(id=f"card/{conversation.id}", language=conversation.language, text=text, source=conversation.source)


def open_material(turns: Sequence[Turn], protocol: Protocol, card: RoleCard, rounds: int | None) -> tuple[Turn, ...]:
    """Turns as evaluation begins them, with the supporter's opening, and up to the last seeker's turn of ``rounds``."""
    begun = list(turns) if turns and turns[0].role == "supporter" else [protocol.opening(card), *turns]
    seekers = [n for n, turn in enumerate(begun) if turn.role == "seeker"][:rounds]
    return tuple(begun[: seekers[-1] + 1]) if seekers else ()


def in_hash_order(items: Sequence[T], seed: int) -> list[T]:
    """Conversations in the order of sha256(seed, id), which no library version changes."""
    return sorted(items, key=lambda item: sha256(f"{seed}\n{item.id}".encode()).hexdigest())


def choose_conversations(
    conversations: Sequence[SourceConversation], part: Part, seed: int
) -> list[SourceConversation]:
    """At most ``part.conversations``, the first in hash order, in their own order."""
    kept = {c.id for c in in_hash_order(conversations, seed)[: part.conversations]}
    return [c for c in conversations if c.id in kept]


def collect_material(
    data: RoleData,
    protocol: Protocol,
    sources: Path,
    role_play: Sequence[Path] = (),
    test_cards: Sequence[RoleCard] = (),
    cards: Mapping[str, RoleCard] | None = None,
    seed: int = 0,
) -> Material:
    """Read, keep the test out, choose.

    Args:
        sources: A sub-folder for each source.
        role_play: Files of general role play; needed where the recipe asks for a share of it.
        test_cards: Cards of the evaluation: conversations that one may have been made of are removed.
        cards: Cards that the pipeline made, by conversation id; they go before cards by rule.

    Raises:
        EscEvalError: A file is missing, or there is nothing to learn from.
    """
    material = Material(cards_checked=len(test_cards))
    held = {c.id: c for part in data.validation for c in read_part(part, sources, material)}
    for part in data.train:
        candidates = [c for c in read_part(part, sources, material) if c.id not in held]
        material.overlaps |= hold_out.card_overlaps(test_cards, candidates)
        material.repeats |= hold_out.find_repeats(candidates, [*held.values()])
        material.traced |= hold_out.trace_cards(test_cards, candidates)
        clean = [c for c in candidates if c.id not in material.removed]
        material.train += _examples(choose_conversations(clean, part, seed), data, protocol, cards or {}, material)
    for part in data.validation:
        own = [c for c in held.values() if c.source == part.source]
        material.validation += _examples(choose_conversations(own, part, seed), data, protocol, cards or {}, material)
    if data.told:
        shares = shares_told(material.train)
        material.untold = [e.id for e, share in zip(material.train, shares, strict=True) if share < data.told]
        material.train = [e for e, share in zip(material.train, shares, strict=True) if share >= data.told]
    if not material.train:
        why = f": {NO_CARDS}" if material.without_card else ""
        if material.untold:
            why += f": {len(material.untold)} tell less of their card than data.told = {data.told:g} asks"
        raise EscEvalError(f"{sources}: nothing to learn from in the parts that the recipe names{why}")
    if data.role_play:
        material.train += _role_play(data, material, role_play, seed)
    return material


def dialogue_of(example: Example, rounds: int | None = None) -> Dialogue:
    """A real conversation as a dialogue, its seeker's turns cut after ``rounds``; None = all.

    Raises:
        EscEvalError: It has no seeker.
    """
    card = example.card
    if card is None:
        raise EscEvalError(f"{example.id}: general role play has no seeker")
    seekers = [n for n, turn in enumerate(example.turns) if turn.role == "seeker"][:rounds]
    return Dialogue(
        id=example.id, language=card.language, turns=example.turns[: seekers[-1] + 1], card_id=card.id, seeker="human"
    )


def shares_told(examples: Sequence[Example]) -> list[float]:
    """Which share of its card's rarer words each seeker says; 1 where a card has none."""
    if not examples:
        return []
    from analysis.studies.seekers import count_revealed  # scikit-learn, which other recipes do without

    dialogues = [dialogue_of(e) for e in examples]
    most = max(sum(turn.role == "seeker" for turn in d.turns) for d in dialogues)
    counts = count_revealed(dialogues, {e.card.id: e.card for e in examples if e.card}, most)
    return [float(said / there) if there else 1.0 for said, there in counts[:, -1]]


def _examples(
    conversations: Sequence[SourceConversation],
    data: RoleData,
    protocol: Protocol,
    cards: Mapping[str, RoleCard],
    material: Material,
) -> list[Example]:
    found = []
    for conversation in conversations:
        card = cards.get(conversation.id) or (card_by_rule(conversation) if data.cards == "rule" else None)
        turns = open_material(conversation.merged_turns(), protocol, card, data.rounds) if card else ()
        if card is None:
            material.without_card[conversation.source] += 1
        elif turns:
            messages = protocol.conversation(card, turns, "seeker")
            found.append(Example(conversation.id, conversation.source, messages, card, turns))
        else:
            material.without_seeker += 1
    return found


def read_part(part: Part, sources: Path, material: Material) -> list[SourceConversation]:
    """All whole conversations of a part's files; what is malformed and the files' hashes go into ``material``.

    Raises:
        EscEvalError: No such source, folder or file.
    """
    if part.source not in SOURCES:
        raise EscEvalError(f"no source {part.source!r}. There is: {', '.join(SOURCES)}.")
    folder = sources / part.source
    if not folder.is_dir():
        raise EscEvalError(f"{folder}: no such folder. {SOURCES[part.source].INSTRUCTIONS}")
    paths = [folder / name for name in part.files] or SOURCES[part.source].files(folder)
    found: list[SourceConversation] = []
    for path in paths:
        if not path.is_file():
            raise EscEvalError(f"{path}: no such file. {SOURCES[part.source].INSTRUCTIONS}")
        material.files[f"{part.source}/{path.name}"] = hash_file(path)
        for outcome in parse_file(part.source, path):
            if isinstance(outcome, Reject):
                material.rejects.append(outcome)
            elif not outcome.branches and outcome.turns:
                found.append(outcome)
    return found


def read_role_play(path: Path) -> Iterator[Example]:
    """General role play in ChatHaruhi's form: lines of ``{"dialogue": [{"role", "text"}, ...]}``.

    The character that speaks most learns, the others are the user; whoever begins, the user does.

    Raises:
        BadRecord: A line in another form.
    """
    for number, content in read_json_lines(path):
        try:
            spoken = [(str(turn["role"]), escape_halves(turn["text"].strip())) for turn in content["dialogue"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise BadRecord(path, f"line {number}", 'expected {"dialogue": [{"role", "text"}, ...]}') from error
        names = [name for name, _ in spoken]
        learner = max(dict.fromkeys(names), key=names.count, default="")
        while spoken and spoken[0][0] == learner:
            spoken.pop(0)
        turns: list[tuple[str, str]] = []
        for name, text in spoken:
            role = "assistant" if name == learner else "user"
            if turns and turns[-1][0] == role:
                turns[-1] = (role, f"{turns[-1][1]}\n{text}")
            else:
                turns.append((role, text))
        if any(role == "assistant" for role, _ in turns):
            system = PLAY.format(name=learner)
            messages = [{"role": "system", "content": system}, *({"role": r, "content": t} for r, t in turns)]
            yield Example(f"{path.name}#{number}", ROLE_PLAY, messages)  # type: ignore[arg-type]


def _role_play(data: RoleData, material: Material, paths: Sequence[Path], seed: int) -> list[Example]:
    """General role play, the first conversations in hash order that make up the recipe's share of the rows."""
    wanted = round(sum(rows_in(e, data) for e in material.train) * data.role_play / (1 - data.role_play))
    found: list[Example] = []
    for path in paths:
        found += read_role_play(path)
        material.files[path.name] = hash_file(path)
    chosen, count = [], 0
    for example in in_hash_order(found, seed):
        if count >= wanted:
            break
        chosen.append(example)
        count += rows_in(example, data)
    if count < wanted:
        raise EscEvalError(
            f"the recipe wants {data.role_play:.0%} general role play, {wanted} rows; the files given make {count}. "
            "Give more with --role-play FILE, or --set data.role_play=0"
        )
    return chosen


def rows_in(example: Example, data: RoleData) -> int:
    """Rows that a conversation makes, before any is left out for its length."""
    return 1 if data.rows == "dialogue" else sum(m["role"] == "assistant" for m in example.messages)


def rows_of(examples: Sequence[Example], encoder: Encoder, data: RoleData, max_length: int) -> rows.Made:
    """Rows of all examples, in their order."""
    made = [rows.make_rows(encoder, e.messages, max_length, data.rows, e.id, e.source) for e in examples]
    return rows.Made(tuple(row for m in made for row in m.rows), sum(m.left_out for m in made))


def find_licences(examples: Sequence[Example], role_play: str | None = None) -> dict[str, str]:
    """Licence of each source that occurs, as the curators wrote it down.

    Args:
        role_play: That of the general role play, which only its user knows.
    """
    known = {origin: terms.licence for origin, terms in decisions.read_terms().items()}
    known |= {ROLE_PLAY: role_play} if role_play else {}
    return {e.source: known.get(e.source, "not stated") for e in examples}
