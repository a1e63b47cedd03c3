"""``docs/results.json``, which the evaluations write, and ``docs/results.md``, rendered from it."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from esc_eval.files.text import read_json_object
from esc_eval.files.writing import write_json, write_whole
from training.ieval import results as tables
from training.ieval.results import rank_page, render_table
from training.open_scorer.pages import crosswalk_page, judges_page, open_scorer_page
from training.strategies.pages import strategies_page

Section = Mapping[str, Any]


def render_cell(measure: Section | None) -> str:
    """A measure in three digits; what is zero but for rounding is zero."""
    rounded = {k: round(v, 12) if isinstance(v, float) else v for k, v in (measure or {}).items()}
    return tables.render_cell(rounded, form=".3g")


HEAD = """# Results

Rendered from `{name}`, which the commands below wrote. Values with 95% intervals, drawn by conversation,
card or person.
"""
ROLE = {
    "assistant_slip_rate": "turns that read as a supporter's",
    "tokens_a_turn": "words in a turn",
    "share_of_questions": "turns with a question",
    "distinct_words": "different words among the first 50",
    "repetition": "runs of four words said before",
    "oddness": "perplexity of what is said, to the untrained model",
    "card_match": "words point to the own card (0.5 is chance)",
    "divergence": "distance of vocabulary from real seekers, bits",
}


def put_section(path: Path, name: str, section: Section) -> None:
    """Replace one section of the JSON file, keep the others, and render the page beside it."""
    content = read_json_object(path) if path.exists() else {}
    content[name] = section
    ordered = {key: content[key] for key in sorted(content)}
    write_json(path, ordered)
    write_whole(path.with_suffix(".md"), [render_page(ordered, path.name)])


def render_page(content: Mapping[str, Section], name: str = "results.json") -> str:
    """The whole page."""
    beside = partial(open_scorer_page, judges=content.get("judges"))
    pages = PAGES | {"open_scorer": beside}
    return "\n".join([HEAD.format(name=name), *(pages[key](content[key]) for key in content if key in pages)])


def role_page(section: Section) -> str:
    """ESC-Role: base, trained and real seekers side by side."""
    setting, groups = section["setting"], ("base", "trained", "real")
    rows = [[what, *(render_cell(section[key].get(g)) for g in groups)] for key, what in ROLE.items() if key in section]
    rows.append(["perplexity of real seekers' turns", *(render_cell(section["perplexity"].get(g)) for g in groups)])
    tests = section["classifier"]
    rows.append(
        [
            "classifier, simulated or real: AUC (0.5 is chance)",
            *(render_cell(tests.get(g, {}).get("auc")) for g in groups),
        ]
    )
    told, learnt = section["revealed"], setting["trained_on"]
    taught = ", ".join(f"{n} {source}" for source, n in learnt["conversations"].items())
    rounds = [str(n + 1) for n in range(setting["rounds"])]
    detector = section["slip_detector"]
    cell = render_cell
    where = setting["measured_on"]
    return f"""{"### On conversations that chose nothing" if where["unseen"] else "## ESC-Role"}

`{section["command"]}`

{setting["seeker"]} beside its base ({setting["base"]}) and real seekers. {setting["cards"]} cards of held-out
conversations{_base_cards(setting)} played for {setting["rounds"]} rounds with {setting["supporter"]},
replies of at most {setting["reply_tokens"]} tokens (protocol {setting["protocol"]});
{setting["held_out"]} held-out real conversations,
cut to as many rounds. Silent seekers: base {section["silent"]["base"]}, trained {section["silent"]["trained"]}.

{_measured_on(where)}

Trained on {taught} conversations, {learnt["tokens"]} tokens, {learnt["steps"]} steps; kept out: {learnt["held_out"]}.

{render_table(["", *groups], rows)}

Slips, trained by base: {cell(section["assistant_slip_ratio"])}; trained less real:
{cell(section.get("assistant_slips_above_real"))}. Perplexity, base by trained:
{cell(section["perplexity"]["base_by_trained"])} (n = {section["perplexity"]["base"]["n"]} tokens of
{setting["perplexity_rows"]} conversations).

A turn slips where a classifier of words, fitted to {detector["conversations"]} real
conversations{_unlearnt(detector)}, takes it for a supporter's.
On real conversations that it has not seen it takes {cell(detector["false_alarms"])} of the seekers' turns
for a supporter's, and finds {cell(detector["found"])} of the supporters'; of this supporter model's turns it finds
{cell(detector["found_of_models"])} (the protocol's fixed opening is not counted).

How much of the card is told by round, as a share of its rarer words:

{render_table(["round", *rounds], [[g, *map(cell, told[g])] for g in groups if told.get(g)])}

Drift over rounds; each dialogue's seeker turns are put into {setting["rounds"]} equal parts{_old_lexicon(section)}:

{render_table(["part", *rounds, "last less first", "slope"], _drift(section, groups))}

Slope: of each dialogue from part to part (least squares), then the mean of dialogues.
"""


def sampling_page(section: Section) -> str:
    """How a seeker was chosen to be sampled: a row for each setting, real seekers last."""
    setting, cell, chosen = section["setting"], render_cell, section["chosen"]
    head = ["temperature", "top-p", "penalty", "slips", "slips less real", "AUC", "of length alone", "words in a turn"]
    head += ["perplexity", "said before", "own card", "card told"]

    def row(one: Section, name: Sequence[str]) -> list[str]:
        """A row of measures after what names it."""
        tests = one.get("classifier", {})
        cells = [one["slips"], one.get("slips_above"), tests.get("auc"), tests.get("auc_length_only")]
        cells += [one[key] for key in ("tokens_a_turn", "oddness", "repetition")]
        cells += [one.get("card_match"), one["revealed"]]
        return [*name, *map(cell, cells)]

    rows = []
    for one in section["settings"]:
        names = [f"{one['plays'][key]:g}" for key in ("temperature", "top_p", "repetition_penalty")]
        rows.append(row(one, [f"**{name}**" for name in names] if one["plays"] == chosen["plays"] else names))
    rows.append(row(section["real"], ["real", "", ""]))
    reached = (
        "The one in bold reaches both goals on these conversations."
        if chosen["goals"]
        else "None reaches both goals; the one in bold has the lowest AUC of those within the slips, or of all."
    )
    people = f"{setting['people']} of those conversations{_near_test_cards(setting)}"
    return f"""### How it is sampled

`{section["command"]}`

Played without the conversations that the table above tests on: {setting["cards"]} cards of the {setting["fresh"]}
conversations of the training files that {setting["seeker"]} did not learn from, {setting["rounds"]} rounds each,
replies of at most {setting["reply_tokens"]} tokens; the supporter's lines are fixed ({setting["supporter"]}).
Real: {people}. The classifier of slips is fitted to {setting["detector"]} others.
Rule: slips at most 0.03 above real seekers' and AUC at most 0.85; of these the setting that by the last round has told
as much of its card as real seekers of the same cards. {reached}
Intervals are wide, and several settings are no worse than the chosen one.

{render_table(head, rows)}
"""


def _near_test_cards(setting: Section) -> str:
    """How many of the conversations were kept from learning because a test card may come from them."""
    near = setting.get("near_test_cards")
    return f" ({near} of them were not learnt because a test card may come from them)" if near else ""


def _measured_on(where: Section) -> str:
    """Which conversations these are, and what had been chosen with them."""
    files = ", ".join(where["files"])
    if not where["unseen"]:
        return (
            f"**These conversations ({files}) are a development set**: what is learnt from, and by what rule\n"
            "sampling is chosen, was settled after earlier checkpoints had been measured on them. The intervals know\n"
            "nothing of that."
        )
    return (
        f"Nothing was learnt from or chosen by {files}. Left out: {where['repeats']} conversations that almost repeat\n"
        f"one of the recipe's files or one before them, and {where['short']} whose seeker says less than these rounds."
    )


def _base_cards(setting: Section) -> str:
    """Of how many cards the base's figures are, where not of all."""
    few = setting.get("base_cards")
    return f" (by the base, the first {few} of them)" if few else ""


def _unlearnt(detector: Section) -> str:
    """Whether those that the checkpoint learnt from are among a classifier's conversations."""
    return " that the checkpoint did not learn from" if detector.get("without_learnt") else ""


def _old_lexicon(section: Section) -> str:
    """What figures of an earlier version mean."""
    return "" if "courtesy" in section else " (measured when thanks and goodbyes still counted as relief)"


def _drift(section: Section, groups: Sequence[str]) -> list[list[str]]:
    """A row for each figure and group: its course over the parts, and its change."""
    courses: dict[str, Callable[[str], Section]] = {
        "words in a turn": lambda g: section["by_round"][g]["tokens_a_turn"],
        "turns with a question": lambda g: section["by_round"][g]["share_of_questions"],
        "words of distress less relief, in 100": lambda g: section["emotion"][g],
    }
    for key, what in (("courtesy", "thanks and goodbyes, in 100 words"), ("valence", "valence of sentences (VADER)")):
        if all(section.get(key, {}).get(g, {}).get("drift", {}).get("value") is not None for g in groups):
            courses[what] = partial(lambda key, g: section[key][g], key)
    return [
        [
            f"{what}: {g}",
            *map(render_cell, course(g)["rounds"]),
            render_cell(course(g)["drift"]),
            render_cell(course(g).get("slope")),
        ]
        for what, course in courses.items()
        for g in groups
    ]


PAGES: dict[str, Callable[[Section], str]] = {
    "crosswalk": crosswalk_page,
    "esc_rank": rank_page,
    "esc_role": role_page,
    "esc_role_sampling": sampling_page,
    "esc_role_unseen": role_page,
    "judges": judges_page,
    "open_scorer": open_scorer_page,
    "strategies": strategies_page,
}
