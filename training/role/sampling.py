"""How a trained seeker is to be sampled: a grid, played on conversations neither learnt nor tested on."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from analysis.studies.realism import seeker_figures
from analysis.studies.seekers import distinct_words, measure_repetition, share_revealed
from analysis.studies.slips import SlipDetector, slips_above
from esc_eval.api.progress import OnProgress, Progress
from esc_eval.chat import Options, open_model
from esc_eval.chat.engine.hf import HFModel, hash_weights
from esc_eval.chat.engine.weights import PLAYING
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json
from esc_eval.prompts.protocol import Generation, load_protocol
from esc_eval.reporting.render import to_plain_json
from esc_eval.schema import Dialogue
from esc_eval.statistics.bootstrap import Bootstrap
from model_cards import checkpoint as records
from model_cards.render import write_card
from training.common import config
from training.common.config import RoleRecipe
from training.role import data as role_data
from training.role import evaluate as evaluation
from training.role.train import OVERLAPS, UNTOLD

GRID = tuple(
    Generation(temperature=temperature, top_p=top_p, repetition_penalty=1.0)
    for temperature, top_p in ((0.9, 0.9), (0.9, 0.95), (0.9, 1.0), (1.0, 0.9), (1.0, 0.95))
)
SLIPS_ABOVE, AUC = 0.03, 0.85
"""What a seeker is to stay within: slips above real seekers', and the area under the curve of telling it from them."""


@dataclass(frozen=True)
class Study:
    """Of what size the study is.

    Attributes:
        cards: Conversations whose card is played with each setting.
        people: Conversations whose real seekers are compared with.
        rounds: Of a dialogue.
        reply_tokens: Cap on a reply of either side.
        seed: Of sampling and of the choice of conversations.
    """

    cards: int = 32
    people: int = 200
    rounds: int = 5
    reply_tokens: int = 64
    seed: int = 0


def study_sampling(
    folder: Path,
    sources: Path,
    out: Path,
    study: Study,
    boot: Bootstrap,
    on_progress: OnProgress,
    supporter: str,
    options: Options | None = None,
    grid: Sequence[Generation] = GRID,
) -> dict[str, Any]:
    """Play each setting of a grid, and choose one by ``choose``.

    Nothing of the recipe's validation is read, on which ``evaluate-role`` tests: cards and people are of the training
    files' conversations that were not learnt, those kept out for their likeness to test cards last of all; the
    classifier of slips is fitted to the others of these.

    Args:
        folder: A checkpoint that ``training role`` made.
        sources: A sub-folder for each source.
        out: For the dialogues; what is there already is not played again.
        supporter: Who talks with the seekers.

    Raises:
        EscEvalError: Too few conversations were left unlearnt.
    """
    recipe = config.load_recipe(folder / records.RECIPE, RoleRecipe)
    protocol = evaluation.cut_to_length(load_protocol(recipe.data.protocol), study.reply_tokens)
    protocol = protocol.model_copy(update={"rounds": study.rounds})
    known = evaluation.read_examples(recipe.data, recipe.data.train, protocol, sources, {})
    overlaps = read_json_object(folder / OVERLAPS)
    learnt = evaluation.read_learnt(folder)
    aside = {*learnt, *overlaps["validation"], *overlaps.get(UNTOLD, ())}
    unlearnt = role_data.in_hash_order([e for e in known if e.card and e.id not in aside], recipe.optimise.seed)
    fresh = sorted(unlearnt, key=lambda e: e.id in overlaps["test_cards"])
    if not learnt or len(fresh) < study.people or study.cards > study.people:
        raise EscEvalError(
            f"{folder}: {len(fresh) if learnt else 'nobody knows how many'} conversations of its training files were "
            f"not learnt; the study compares with {study.people} and plays {study.cards} of them (--people, --cards)"
        )
    used = {e.id for e in fresh[: study.people]}
    others = [e for e in known if e.id not in learnt and e.id not in used]
    detector = SlipDetector.fit([role_data.dialogue_of(e, protocol.rounds) for e in others], study.seed)
    people = [role_data.dialogue_of(e, protocol.rounds) for e in fresh[: study.people]]
    cards = {e.card.id: e.card for e in fresh[: study.cards] if e.card}

    how = options or Options()
    model, base = open_model(f"trained={folder}", how), evaluation.open_base(recipe, folder, how)
    if not isinstance(model, HFModel):
        raise EscEvalError(f"{folder}: is no model in this process")
    model.plays = None  # so that it plays as the protocol asks
    model.identity = {key: value for key, value in model.identity.items() if key != "plays"}
    helper = open_model(f"supporter={supporter}", how)

    def figures(group: Sequence[Dialogue]) -> dict[str, Any]:
        """What the table says of one group of seekers."""
        compared = [] if group is people else people
        found = seeker_figures(group, compared, boot, cards if compared else {}, protocol.rounds)
        kept = {name: found[name] for name in ("tokens_a_turn", "card_match", "classifier") if name in found}
        return kept | {
            "slips": detector.rate(group, boot),
            "repetition": measure_repetition(group, boot),
            "distinct_words": distinct_words(group, boot),
            "oddness": evaluation.measure_oddness(base, group, boot),
            "revealed": share_revealed(group, cards, protocol.rounds, boot)[-1],
        }

    rows = []
    for generation in grid:
        own = generation.model_copy(update={"max_new_tokens": study.reply_tokens})
        told = generation.model_dump(exclude={"max_new_tokens"})
        label = ",".join(f"{key}={value:g}" for key, value in told.items())
        on_progress(Progress(message=label))
        asked = protocol.model_copy(update={"seeker": own, "name": f"{protocol.name}-sampled"})
        played = evaluation.play_cards(model, helper, list(cards.values()), asked, study.seed, out / label, on_progress)
        spoken = [d for d in played if any(t.text.strip() for t in d.turns if t.role == "seeker")]
        above = slips_above(detector.counts(spoken), detector.counts(people), boot)
        rows.append({"plays": told, **figures(spoken), "slips_above": above, "silent": len(played) - len(spoken)})
    real = figures(people)
    found: dict[str, Any] = to_plain_json({"settings": rows, "real": real})
    return {
        **found,
        "chosen": choose(found["settings"], found["real"]),
        "setting": {
            **asdict(study),
            "supporter": evaluation.told_supporter(supporter),
            "seeker": recipe.name,
            "fresh": len(fresh),
            "near_test_cards": sum(e.id in overlaps["test_cards"] for e in fresh[: study.people]),
            "detector": detector.conversations,
            "checkpoint": hash_weights(folder),
        },
    }


def choose(settings: Sequence[Mapping[str, Any]], real: Mapping[str, Any]) -> dict[str, Any]:
    """The setting to play with, of measures as the page has them.

    Of those that stay within ``SLIPS_ABOVE`` and under ``AUC``, the one that by the last round has told as much of its
    card as people (the difference nearest to 0); where none does, the lowest area of those within the slips, or of all.

    Returns:
        ``plays``, and whether it reaches both ``goals``.
    """
    within = [s for s in settings if _at_most(s["slips_above"], SLIPS_ABOVE)]
    both = [s for s in within if _at_most(s["classifier"]["auc"], AUC)]
    if both:
        best = min(both, key=lambda s: _apart(s["revealed"]["value"], real["revealed"]["value"]))
    else:
        best = min(within or settings, key=lambda s: s["classifier"]["auc"]["value"] or 1.0)
    return {"plays": best["plays"], "goals": bool(both)}


def _at_most(measure: Mapping[str, Any], limit: float) -> bool:
    """Whether a measure was made and does not exceed a limit."""
    return measure["value"] is not None and measure["value"] <= limit


def _apart(one: float | None, other: float | None) -> float:
    """The difference of two shares; infinite where one was not to be had."""
    return math.inf if one is None or other is None else abs(one - other)


def keep_sampling(folder: Path, plays: Mapping[str, Any]) -> None:
    """Let a checkpoint play with a setting from now on; what was measured with another one goes.

    Its recipe, ``seeker.json``, the hash of the recipe in ``training.json`` and its card say so afterwards.
    """
    recipe = config.load_recipe(folder / records.RECIPE, RoleRecipe)
    recipe.model_copy(update={"plays": Generation.model_validate(plays)}).save(folder / records.RECIPE)
    told = read_json_object(folder / records.TRAINING)
    write_json(folder / records.TRAINING, {**told, "recipe_sha256": hash_file(folder / records.RECIPE)})
    write_json(folder / PLAYING, dict(plays))
    (folder / records.METRICS).unlink(missing_ok=True)
    write_card(folder)
