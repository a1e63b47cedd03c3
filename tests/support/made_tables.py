"""Random dialogues and ratings with all that tables tell apart: gaps, several raters, servers, repeats, problems."""

import numpy as np

from esc_eval.prompts.rubric import load_rubric
from esc_eval.schema import NO_VALID_SCORER, Dialogue, Rating, Served, Turn

RUBRIC = load_rubric()
REPLIES = ("I see. What happened?", "", "You should rest.", "- sleep\n- eat")
ENDS = (None, "stop", "length", "context")


def make_dialogues(rng, cards=4, supporters=("warm", "cold"), seekers=("s",), repeats=1, known_cards=True):
    """Every supporter on every card, in random order."""
    found = [
        Dialogue(
            id=f"{supporter}-{seeker}-{rng.integers(10**6)}-{card}-{number}",
            language="en" if card % 4 else "zh",
            turns=[turn for _ in range(rng.integers(1, 4)) for turn in make_round(rng)],
            card_id=f"card{card}" if known_cards or rng.random() < 0.5 else None,
            supporter=supporter,
            seeker=seeker,
            problem="refused" if rng.random() < 0.05 else None,
            repeat=number + 1 if rng.random() < 0.5 else None,
        )
        for card in range(cards)
        for supporter in supporters
        for seeker in seekers
        for number in range(repeats)
    ]
    return [found[i] for i in rng.permutation(len(found))]


def make_round(rng):
    """A turn of the seeker, and a reply."""
    served = Served(model=f"served-{rng.integers(2)}", fingerprint="f", adapted={"seed": "left out"})
    yield Turn(role="seeker", text="Hm.", finish_reason=ENDS[rng.integers(3)], completion_tokens=int(rng.integers(9)))
    yield Turn(
        role="supporter",
        text=REPLIES[rng.integers(4)],
        finish_reason=ENDS[rng.choice(4, p=[0.3, 0.5, 0.1, 0.1])],
        left_out=2 if rng.random() < 0.1 else None,
        served=served if rng.random() < 0.2 else None,
    )


def make_ratings(rng, dialogues, raters=("judge",), people=(), stages=("first",), unsupported=()):
    """What each rater says of nearly every dimension of nearly every dialogue."""
    found = []
    for one in dialogues:
        for rater, stage in [*((name, None) for name in raters), *((p, stage) for p in people for stage in stages)]:
            for key in RUBRIC.keys:
                common = {"dialogue_id": one.id, "dimension": key, "rater": rater, "rubric": RUBRIC.id, "stage": stage}
                common["rater_kind"] = "human" if rater in people else "model"
                if rng.random() < 0.1:
                    continue
                if key in unsupported and rater not in people:
                    found.append(Rating(**common, problem=f"{NO_VALID_SCORER}nothing is shown for {key}"))
                elif rng.random() < 0.1:
                    found.append(Rating(**common, problem=("no level", "too long")[rng.integers(2)], way="text"))
                else:
                    found.append(Rating(**common, **make_level(rng, with_shares=rater == "judge")))
    return found


def make_level(rng, with_shares):
    """A level, and of some raters how likely each is."""
    told = {"score": int(rng.choice(RUBRIC.levels)), "way": ("text", "logits")[rng.integers(2)]}
    if not with_shares:
        return told
    shares = rng.dirichlet(np.ones(len(RUBRIC.levels)))
    expected = float(shares @ np.array(RUBRIC.levels))
    return {**told, "probabilities": tuple(shares), "expected": expected, "mass": float(rng.random())}
