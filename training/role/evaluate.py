"""What an ESC-Role is worth: beside its base and real people, on conversations that it has not seen."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.studies.realism import seeker_figures
from analysis.studies.seekers import distinct_words, measure_repetition, share_revealed, sizes_by_round, turns_of
from analysis.studies.slips import SlipDetector, slip_ratio, slips_above
from dataset_builder.sources import SOURCES
from esc_eval.api.play import run_simulation
from esc_eval.api.progress import OnProgress, Progress
from esc_eval.chat import Options, open_model
from esc_eval.chat.base import ChatModel
from esc_eval.chat.engine.encoder import Encoder
from esc_eval.chat.engine.hf import HFModel, hash_weights
from esc_eval.checkpoints import embedded
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_dialogues
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Protocol, load_protocol
from esc_eval.reporting.render import to_plain_json
from esc_eval.schema import Dialogue, RoleCard
from esc_eval.simulation.plan import Plan
from esc_eval.simulation.run import Run
from esc_eval.statistics.bootstrap import Bootstrap, ClusterTables
from esc_eval.statistics.coefficients import ratio
from esc_eval.statistics.estimate import Estimate
from model_cards import checkpoint as records
from model_cards.render import write_card
from training.common import config
from training.common.config import Part, RoleData, RoleRecipe
from training.common.rows import IGNORED, Row
from training.role import data as role_data
from training.role import hold_out
from training.role.data import Example
from training.role.memorised import FIGURE
from training.role.train import LEARNT, OVERLAPS

BASE, TRAINED, REAL = "base", "trained", "real"
UNSEEN = "_unseen"
"""Ends the names of figures on files that the recipe does not name."""
SHOWN = (
    "slip_rate",
    "tokens_a_turn",
    "share_of_questions",
    "repetition",
    "distinct_words",
    "oddness",
    "card_match",
    "divergence",
    "divergence_within",
    "silent",
    "dialogues",
    "revealed",
    "emotion",
    "courtesy",
    "valence",
    "by_round",
    "classifier",
)


@dataclass(frozen=True)
class Setting:
    """How an evaluation is played.

    Attributes:
        cards: Held-out conversations whose card is played.
        conversations: Held-out conversations whose real seekers' turns are read.
        reply_tokens: Cap on a reply of either side.
        seed: Of sampling and of the choice of conversations.
        base_cards: Of the cards, those that the base plays too; None = all.
    """

    cards: int = 60
    conversations: int = 100
    reply_tokens: int = 96
    seed: int = 0
    base_cards: int | None = None


def without_opening(dialogues: Sequence[Dialogue], protocol: Protocol) -> list[Dialogue]:
    """Dialogues less the protocol's fixed first line, which is nobody's own; another first line stays."""
    return [
        d.model_copy(update={"turns": d.turns[1:]})
        if d.turns and d.turns[0].role == "supporter" and d.turns[0].text == protocol.text(d.language).opening
        else d
        for d in dialogues
    ]


@torch.inference_mode()
def measure_surprise(model: HFModel, examples: Sequence[Row]) -> np.ndarray:
    """Negative log-likelihood (nats) and number of the labelled tokens of each row, shape (rows, 2)."""
    model.weights.use(model.adapter)
    out = np.zeros((len(examples), 2))
    for row, example in zip(out, examples, strict=True):
        ids = torch.tensor([example.ids], device=model.device)
        labels = torch.tensor(example.labels[1:], device=model.device)
        places = torch.nonzero(labels != IGNORED).ravel()
        logits = model.model(input_ids=ids, logits_to_keep=places).logits[0].float()
        row[:] = float(torch.nn.functional.cross_entropy(logits, labels[places], reduction="sum")), len(places)
    return out


def measure_oddness(model: HFModel, dialogues: Sequence[Dialogue], boot: Bootstrap) -> Estimate:
    """Perplexity of all that a seeker says, without the other's words, to a model that knows none of them.

    What is strung together at random is far above what people write; what is trite, below it.
    """
    rows = []
    for dialogue in dialogues:
        said = "\n".join(text for text in turns_of(dialogue) if text.strip())
        ids = tuple(model.tokenizer(said, add_special_tokens=False)["input_ids"]) if said else ()
        if len(ids) > 1:
            rows.append(Row(ids, ids, dialogue.id, ""))
    if not rows:
        return Estimate(None, undefined="no words")
    nats = measure_surprise(model, rows)
    one, many = ClusterTables.build({"nats": (nats, (2,))}).draw(
        lambda t: {"p": np.exp(ratio(t["nats"][..., 0], t["nats"][..., 1]))}, boot
    )
    return boot.estimate(float(one["p"]), many["p"], int(nats[:, 1].sum()), len(rows), "no words")


def measure_perplexities(base: np.ndarray, trained: np.ndarray, boot: Bootstrap) -> dict[str, Estimate]:
    """Perplexity of each model, and base by trained, from ``surprise`` of the same rows; rows are drawn whole."""

    def statistic(t: Any) -> dict[str, Any]:
        first, second = (np.exp(ratio(t[k][..., 0], t[k][..., 1])) for k in (BASE, TRAINED))
        return {BASE: first, TRAINED: second, "base_by_trained": first / second}

    parts = {BASE: (base, (2,)), TRAINED: (trained, (2,))}
    one, many = ClusterTables.build(parts).draw(statistic, boot)
    n, tokens = len(base), int(base[:, 1].sum())
    return {k: boot.estimate(float(v), many[k], tokens, n, "no words") for k, v in one.items()}


def play_cards(
    seeker: ChatModel,
    supporter: ChatModel,
    cards: Sequence[RoleCard],
    protocol: Protocol,
    seed: int,
    folder: Path,
    on_progress: OnProgress,
) -> list[Dialogue]:
    """Dialogues of a seeker on cards; a stopped run in ``folder`` goes on."""
    with Run(folder) as run:
        run_simulation(Plan(protocol, cards, seeker, [supporter], seed), run, on_progress).raise_for(None, strict=True)
    return read_dialogues(folder)


def collect_figures(
    group: Sequence[Dialogue],
    people: Sequence[Dialogue],
    detector: SlipDetector,
    cards: dict[str, RoleCard],
    rounds: int,
    boot: Bootstrap,
) -> dict[str, Any]:
    """Everything said of one group of seekers."""
    speaking = [d for d in group if any(t.strip() for t in turns_of(d))]
    found = seeker_figures(speaking, people, boot, cards, rounds)
    found["slip_rate"] = detector.rate(group, boot)
    found["repetition"] = measure_repetition(speaking, boot)
    found["distinct_words"] = distinct_words(speaking, boot)
    found["revealed"] = share_revealed(speaking, cards, rounds, boot)
    found["by_round"] = sizes_by_round(speaking, rounds, boot)
    found["silent"] = len(group) - len(speaking)
    return found


def evaluate_role(
    folder: Path,
    sources: Path,
    out: Path,
    setting: Setting,
    boot: Bootstrap,
    on_progress: OnProgress,
    supporter: str = "embedded",
    options: Options | None = None,
    cards: Sequence[RoleCard] = (),
    unseen: Sequence[Part] = (),
) -> dict[str, Any]:
    """Compare a checkpoint with its base and with real seekers.

    Args:
        folder: A checkpoint that ``training role`` made; its recipe says which conversations are held out.
        sources: A sub-folder for each source.
        out: For the dialogues; what is there already is not played again.
        supporter: Who talks with the seekers.
        cards: Of the sources' conversations, whose ids they have, as ``training role`` takes them.
        unseen: Files that the recipe does not name, to measure on in place of its validation.

    Returns:
        Measures by name and group: base, trained, real.

    Raises:
        EscEvalError: No finished checkpoint, nothing was held out, or the recipe needs cards.
    """
    learnt = trained_on(folder)
    recipe = config.load_recipe(folder / records.RECIPE, RoleRecipe)
    parts = tuple(unseen) or recipe.data.validation
    if not parts:
        raise EscEvalError(f"{folder}: its recipe holds no conversations out (data.validation), so none are unseen")
    protocol = cut_to_length(load_protocol(recipe.data.protocol), setting.reply_tokens)
    given = {card.id: card for card in cards}
    held = read_examples(recipe.data, parts, protocol, sources, given)
    measured_on: dict[str, Any] = {"files": list_files(parts), "unseen": bool(unseen)}
    if unseen:
        held, left_out = keep_unseen(held, recipe.data, parts, sources, recipe.data.rounds or protocol.rounds)
        measured_on |= left_out
    ordered = role_data.in_hash_order(held, setting.seed)
    known = read_examples(recipe.data, recipe.data.train, protocol, sources, given)
    own = read_learnt(folder)
    others = [e for e in known if e.id not in own]
    detector = SlipDetector.fit([role_data.dialogue_of(e, protocol.rounds) for e in others], setting.seed)
    people = [role_data.dialogue_of(e, protocol.rounds) for e in held]

    on_progress(Progress(message=f"perplexity of {min(setting.conversations, len(ordered))} real conversations"))
    how = options or Options()
    base, trained = open_base(recipe, folder, how), open_model(f"trained={folder}", how)
    helper = open_model(f"supporter={supporter}", how)
    if not isinstance(trained, HFModel):
        raise EscEvalError(f"{folder}: perplexity needs models in this process")
    read = _rows(ordered[: setting.conversations], trained, recipe)
    found: dict[str, Any] = {
        "perplexity": measure_perplexities(measure_surprise(base, read), measure_surprise(trained, read), boot)
    }

    played = [e.card for e in ordered[: setting.cards] if e.card]
    groups = {REAL: people}
    for name, model, own_cards in ((BASE, base, played[: setting.base_cards]), (TRAINED, trained, played)):
        on_progress(Progress(message=f"{name}: {len(own_cards)} cards, {protocol.rounds} rounds with {supporter}"))
        groups[name] = play_cards(model, helper, own_cards, protocol, setting.seed, out / name, on_progress)
    every = {e.card.id: e.card for e in held if e.card}
    for name, group in groups.items():
        compared = people if name != REAL else []
        found[name] = collect_figures(group, compared, detector, every, protocol.rounds, boot)
        found[name]["oddness"] = measure_oddness(base, group[: setting.conversations], boot)
    by_card = {d.card_id: d for d in groups[TRAINED]}
    paired = [d for d in groups[BASE] if d.card_id in by_card]
    same = [by_card[d.card_id] for d in paired]
    found["slip_ratio"] = slip_ratio(detector.counts(same), detector.counts(paired), boot)
    found["slips_above"] = slips_above(detector.counts(groups[TRAINED]), detector.counts(people), boot)
    found["slip_detector"] = {
        "without_learnt": bool(own),
        "conversations": detector.conversations,
        "false_alarms": detector.rate(people, boot),
        "found": detector.rate(without_opening(people, protocol), boot, "supporter"),
        "found_of_models": detector.rate(without_opening(groups[BASE], protocol), boot, "supporter"),
    }
    found["setting"] = {
        **asdict(setting),
        "rounds": protocol.rounds,
        "protocol": protocol.id,
        "seeker": recipe.name,
        "base": recipe.base.model,
        "supporter": told_supporter(supporter),
        "held_out": len(held),
        "perplexity_rows": len(read),
        "draws": boot.draws,
        "checkpoint": hash_weights(folder),
        "trained_on": learnt,
        "dataset": " and ".join(dict.fromkeys(SOURCES[p.source].TITLE for p in parts)),
        "measured_on": measured_on,
    }
    return found


def list_files(parts: Sequence[Part]) -> list[str]:
    """Names of the files of some parts; a part that names none is its whole source.

    >>> list_files([Part(source="esconv", files=("valid.txt",)), Part(source="smile")])
    ['valid.txt', 'smile']
    """
    return [name for part in parts for name in part.files or [part.source]]


def read_unseen(named: str) -> Part:
    """A file of a source, as the option names it.

    >>> read_unseen("esconv/FailedESConv.json").files
    ('FailedESConv.json',)

    Raises:
        EscEvalError: No such source, or no file.
    """
    source, _, name = named.partition("/")
    if not name:
        raise EscEvalError(f"{named}: give a source and a file of it, as esconv/FailedESConv.json")
    return Part(source=source, files=(name,))


def keep_unseen(
    held: Sequence[Example], data: RoleData, parts: Sequence[Part], sources: Path, rounds: int
) -> tuple[list[Example], dict[str, int]]:
    """Of some conversations those that repeat nothing of the recipe's files, and whose seeker has all rounds, so that
    people and models are compared at equal length; and how many are left out for either reason.

    Raises:
        EscEvalError: The recipe names one of the files, or fewer than two conversations are left.
    """
    own = [*data.train, *data.validation]
    taken = {(part.source, name) for part in own for name in part.files}
    whole = {part.source for part in own if not part.files}
    for part in parts:
        if part.source in whole or not taken.isdisjoint((part.source, name) for name in part.files):
            raise EscEvalError(f"{', '.join(list_files([part]))}: is of the recipe's data, so it is not unseen")
    known, candidates = (
        [c for part in group for c in role_data.read_part(part, sources, role_data.Material())]
        for group in (own, parts)
    )
    seen = hold_out.find_seen(candidates, known)
    new = [e for e in held if e.id not in seen]
    kept = [e for e in new if sum(turn.role == "seeker" for turn in e.turns) >= rounds]
    if len(kept) < 2:
        raise EscEvalError(f"{', '.join(list_files(parts))}: fewer than two unseen conversations have {rounds} rounds")
    return kept, {"repeats": len(held) - len(new), "short": len(new) - len(kept)}


def told_supporter(named: str) -> str:
    """A supporter as a page names it: of a file, its name without the folders.

    >>> told_supporter("scripted:training/role/listener.json"), told_supporter("embedded")
    ('scripted:listener.json', 'embedded')
    """
    kind, colon, path = named.partition(":")
    return f"{kind}{colon}{Path(path).name}" if kind == "scripted" else named


def trained_on(folder: Path) -> dict[str, Any]:
    """Conversations by source, tokens, steps and what was held out, from a checkpoint's own record.

    Raises:
        EscEvalError: There is none, or a broken one.
    """
    told = records.read_checkpoint(folder).training
    return {
        "conversations": {source.name: source.conversations for source in told.data.sources},
        "tokens": told.data.tokens,
        "steps": told.steps,
        "held_out": told.data.held_out,
    }


def read_learnt(folder: Path) -> frozenset[str]:
    """Ids of the conversations that a checkpoint learnt from, where it keeps them; else none."""
    path = folder / OVERLAPS
    return frozenset(read_json_object(path).get(LEARNT, ())) if path.is_file() else frozenset()


def make_section(found: dict[str, Any], command: str) -> dict[str, Any]:
    """The figures as docs/results.json holds them, with the command that made them."""
    names = {"slip_rate": "assistant_slip_rate"}
    groups = (BASE, TRAINED, REAL)
    out: dict[str, Any] = {"command": command, "setting": found["setting"]}
    for key in SHOWN:
        out[names.get(key, key)] = {name: found[name][key] for name in groups if key in found[name]}
    out["assistant_slip_ratio"] = found["slip_ratio"]
    out["assistant_slips_above_real"] = found["slips_above"]
    out["perplexity"] = found["perplexity"]
    out["slip_detector"] = found["slip_detector"]
    section: dict[str, Any] = to_plain_json(out)
    return section


def cut_to_length(protocol: Protocol, tokens: int) -> Protocol:
    """The protocol with at most ``tokens`` a reply, under a name that says so."""
    sides = {k: getattr(protocol, k).model_copy(update={"max_new_tokens": tokens}) for k in ("seeker", "supporter")}
    return protocol.model_copy(update={**sides, "name": f"{protocol.name}-short{tokens}"})


def read_examples(
    data: RoleData, parts: Sequence[Part], protocol: Protocol, sources: Path, cards: Mapping[str, RoleCard]
) -> list[Example]:
    """Every conversation of some parts of a recipe: none is thinned."""
    whole = tuple(part.model_copy(update={"conversations": None}) for part in parts)
    data = data.model_copy(update={"train": whole, "validation": (), "role_play": 0.0, "told": None})
    return role_data.collect_material(data, protocol, sources, cards=cards).train


def open_base(recipe: RoleRecipe, folder: Path, options: Options) -> HFModel:
    """The untrained model of a checkpoint.

    Raises:
        EscEvalError: It is none in this process.
    """
    base = recipe.base
    if base.model == config.TOY:
        named = str(folder / config.TOY)
    elif base.model == embedded.SPEC:
        named = base.model
    else:
        named = f"hf:{base.model}" + (f"@{base.revision}" if base.revision else "")
    model = open_model(f"base={named}", options)
    if not isinstance(model, HFModel):
        raise EscEvalError(f"{folder}: perplexity needs models in this process")
    return model


def _rows(examples: Sequence[Example], model: HFModel, recipe: RoleRecipe) -> list[Row]:
    data = recipe.data.model_copy(update={"rows": "dialogue"})
    encoder = Encoder(model.tokenizer, model.name)
    return list(role_data.rows_of(examples, encoder, data, recipe.optimise.max_length).rows)


def collect_metrics(found: dict[str, Any], command: str) -> dict[str, dict[str, Any]]:
    """The figures of a model card; those on unseen files say so in their name."""
    base, trained, real, perplexity = found[BASE], found[TRAINED], found[REAL], found["perplexity"]
    slips, auc = "assistant_slip_rate", "roc_auc"
    chosen: dict[str, tuple[Estimate, str, str]] = {
        slips: (trained["slip_rate"], slips, "share of turns that read as a supporter's"),
        f"{slips}_base": (base["slip_rate"], slips, "the same of the base model"),
        f"{slips}_real": (real["slip_rate"], slips, "the same of real seekers: false alarms"),
        f"{slips}_above_real": (found["slips_above"], slips, "the trained one's less that of real seekers"),
        "perplexity": (perplexity[TRAINED], "perplexity", "of real seekers' turns"),
        "perplexity_base": (perplexity[BASE], "perplexity", "the same of the base model"),
        "oddness": (trained["oddness"], "perplexity", "of what it says, to the base model"),
        "oddness_real": (real["oddness"], "perplexity", "of what real seekers say, to the base model"),
        "tokens_a_turn": (trained["tokens_a_turn"], "length", "length of a turn in words"),
        "repetition": (trained["repetition"], "repetition", "share of runs of four words said before"),
        "card_match": (trained["card_match"], auc, "chance that the words point to the own card and not another"),
    }
    if "classifier" in trained:
        chosen["real_or_simulated_auc"] = (
            trained["classifier"]["auc"], auc, "classifier of real and simulated seekers; 0.5 is chance"
        )  # fmt: skip
    where = found["setting"]["measured_on"]
    split = f"{', '.join(where['files'])}, {'unseen' if where['unseen'] else 'a development set'}"
    measured = {"dataset": found["setting"]["dataset"], "split": split}
    return {
        f"{name}{UNSEEN if where['unseen'] else ''}": {
            **{"value": m.value, "low": m.low, "high": m.high, "n": m.n, "about": about, "command": command},
            **{"figure": figure, **measured},
        }
        for name, (m, figure, about) in chosen.items()
    }


def write_metrics(folder: Path, found: dict[str, Any], command: str) -> None:
    """``metrics.json`` of a checkpoint, and its card with them; figures on the validation and on unseen files stand
    beside each other, and what ``memorised`` found stays.
    """
    path, unseen = folder / records.METRICS, found["setting"]["measured_on"]["unseen"]
    before = read_json_object(path) if path.is_file() else {}
    others = {name: one for name, one in before.items() if name.endswith(UNSEEN) != unseen or name == FIGURE}
    metrics = others | collect_metrics(found, command)
    write_json(path, dict(sorted(metrics.items(), key=lambda item: (item[0] == FIGURE, item[0].endswith(UNSEEN)))))
    write_card(folder)
