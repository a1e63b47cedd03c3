"""Dialogues x rubric x scorer -> ratings, one for each dialogue and dimension.

Where the scorer's logits can be had, one forward pass gives the probability of every level. A server is asked in the
best way that it knows, which is found out once. Where only text can be had, a parser reads it. An answer that names no
level is asked for again, and then "unscored", never a number.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any

from esc_eval.chat.base import ANSWER_TOKENS, AdapterModel, ChatModel, Choice, ChoiceModel, Conversation, Reply
from esc_eval.chat.question import AskedModel, By, Question, Settled
from esc_eval.checkpoints.judge_card import JudgeCard
from esc_eval.errors import EscEvalError
from esc_eval.files.records import Survey, each_id
from esc_eval.files.run_folder import rubric_file
from esc_eval.languages import estimate_tokens
from esc_eval.prompts.kept import keep_wording
from esc_eval.prompts.official_wording import OfficialWording
from esc_eval.prompts.protocol import Generation
from esc_eval.prompts.rubric import Rubric
from esc_eval.prompts.wording import fill_template
from esc_eval.reasoning import strip_thinking
from esc_eval.schema import NOT_APPLICABLE, Dialogue, Mark, Rating, Turn, Way, mark_fields
from esc_eval.scoring.calibration import Calibration
from esc_eval.scoring.evidence import Wanted, ask_for_evidence, evidence_identity, read_evidence
from esc_eval.scoring.long_dialogues import LongDialogues, drop_oldest, is_too_long
from esc_eval.scoring.parsers import NO_LEVEL, TOO_LONG, WHOLE, find_lead, get_finder, get_parser
from esc_eval.scoring.rater import DirectScoring, rating_fields
from esc_eval.scoring.resume import admit_dialogues, check_scoring, find_partly_rated, known_way, rated_identity
from esc_eval.scoring.training_range import is_outside
from esc_eval.simulation.budget import Meter
from esc_eval.simulation.run import Run

Asked = tuple[Dialogue, str, Conversation]

TRIED_FOR_LEAD = 3
TRIES = 3
"""Times that a model whose answers may differ is asked for an answer in which a level can be read."""
SERVER_WAYS: tuple[Way, ...] = ("prefix", "choice", "schema", "logprobs")
TRIAL = (Turn(role="seeker", text="I failed an exam today."), Turn(role="supporter", text="I am sorry. What happened?"))
"""On which it is found out how a server can be asked; no filter refuses it, and it is the same for every run."""
SILENT_AT_ONCE = 256
"""Dialogues that are gone through at once at most where few of them need a scorer."""
SILENT = "nothing to rate: the supporter says no word"
ENDED_EARLY = "not rated, the dialogue ended early: "
ASKED_TOKENS = 500
"""Of what is asked about a dialogue on one dimension, about; for scorers whose tokens nobody counts."""


def judge_prompts(dialogue: Dialogue, rubric: Rubric, evidence: Wanted = "none") -> list[Conversation]:
    """One judge's conversation for each dimension; they differ only after the dialogue, which comes first.

    Lines after the first of an utterance are indented, so that no utterance can pass for the next speaker's.

    Args:
        evidence: What is asked for before the level.
    """
    text = rubric.text(dialogue.language)
    names = {"seeker": text.seeker, "supporter": text.supporter}
    lines = [f"{names[turn.role]}: " + turn.text.strip().replace("\n", "\n  ") for turn in dialogue.turns]
    shown = fill_template(text.dialogue, dialogue="\n\n".join(lines))
    more = ask_for_evidence(evidence, dialogue.language, rubric.marks)
    beside = (text.not_applicable,) if text.not_applicable else ()
    conversations: list[Conversation] = []
    for key in rubric.keys:
        wording = text.dimensions[key]
        ask = fill_template(
            text.ask,
            name=wording.name,
            question=wording.question,
            levels="\n".join(f"{n}: {d}" for n, d in zip(rubric.marks, (*wording.levels, *beside), strict=True)),
            low=rubric.levels[0],
            high=rubric.levels[-1],
        )
        conversations.append(
            [{"role": "system", "content": text.system}, {"role": "user", "content": f"{shown}\n\n{ask}{more}"}]
        )
    return conversations


class Scoring:
    """A scorer applied with a rubric.

    Args:
        by: ``logits`` for level probabilities, ``text`` for parsed answers, ``auto`` for logits where to be had (text
            for a scorer whose adapters answer in sentences); of a scorer behind a server also one of the ways in which
            it can be asked, see ``chat.endpoint.choices``.
        parser: Name of the rule that reads answers.
        wording: The official prompts in place of the rubric's; a scorer with adapters knows no others.
        calibration: Temperatures applied to level probabilities.
        answer_tokens: Cap on an answer in text; a judge that thinks aloud needs hundreds.
        temperature: Of the answers; level probabilities know none, so that answers above 0 are read as text.
        evidence: What a judge is asked for before its level; it answers in words then, with a JSON object.
        long_dialogues: What becomes of a dialogue that is longer than the scorer reads: ``unscore``, or it is shown
            without its oldest rounds (``drop-oldest``), which its ratings say.

    Raises:
        EscEvalError: ``logits`` of a model that gives none, at a temperature or with evidence, evidence of a trained
            judge or under the official wording, a trained judge that did not learn the rubric, the released adapters
            without the official wording, or the official wording with another rubric than ours.
    """

    def __init__(
        self,
        scorer: ChatModel,
        rubric: Rubric,
        by: By = "auto",
        parser: str = "anchored",
        wording: OfficialWording | None = None,
        calibration: Calibration | None = None,
        answer_tokens: int = ANSWER_TOKENS,
        temperature: float = 0.0,
        evidence: Wanted = "none",
        long_dialogues: LongDialogues = "unscore",
    ) -> None:
        chooser = scorer if isinstance(scorer, ChoiceModel) else None
        self.asked = scorer if isinstance(scorer, AskedModel) else None
        if by == "logits" and chooser is None:
            raise EscEvalError(f"{scorer.name} gives no logits; score by text (--by text)")
        if by in SERVER_WAYS and self.asked is None:
            raise EscEvalError(f"{scorer.name} is behind no server, which --by {by} is for; use auto, logits or text")
        if by in ("logits", *SERVER_WAYS) and temperature:
            raise EscEvalError(f"level probabilities have no temperature: leave out --judge-temperature or --by {by}")
        if by in ("logits", *SERVER_WAYS) and evidence != "none":
            raise EscEvalError(f"--evidence is given in words: leave out --by {by}, or --evidence")
        self.scorer, self.rubric, self.wording, self.evidence = scorer, rubric, wording, evidence
        self.long_dialogues = long_dialogues
        self.adapters = scorer if isinstance(scorer, AdapterModel) else None
        card: JudgeCard | None = getattr(scorer, "judge_card", None)
        if evidence != "none" and (card or self.adapters or wording or parser in WHOLE):
            raise EscEvalError(
                f"{scorer.name}: --evidence is for judges that are asked in this package's words and read by its rule; "
                "a trained judge answers as it learnt to, the official wording and parser are as the release has them"
            )
        if card:
            card.check(scorer.name, rubric, self.rubric_id)
        elif self.adapters and wording is None:
            raise EscEvalError(
                f"{scorer.name}: its adapters were trained on the official prompts, which have no licence. "
                "Give your own checkout of the official repository: --official-repo DIR"
            )
        if rubric.not_applicable and parser in WHOLE:
            raise EscEvalError(f"the {parser} rule knows no 'not applicable', which {rubric.id} has; leave it out")
        if wording and set(wording.keys) != set(rubric.keys):
            raise EscEvalError(f"the official prompts rate {', '.join(wording.keys)}; they go with no {rubric.id}")
        self._in_words = card.answers == "text" if card else self.adapters is not None
        in_text = by == "text" or temperature > 0 or evidence != "none" or (by == "auto" and self._in_words)
        self.chooser = None if self.asked or in_text else chooser
        self.by, self.settled = by, Settled(way="text") if in_text else None
        self.parser_name, self.find, self.parse = parser, get_finder(parser), get_parser(parser)
        self.answer = Generation(max_new_tokens=answer_tokens, temperature=temperature)
        self.calibration = calibration
        if calibration:
            calibration.check(scorer.name, self.rubric_id, rubric.levels)
        self.leads: dict[tuple[str, str], str] = {}

    @property
    def rubric_id(self) -> str:
        """Name and version of the wording, as ratings carry it."""
        return self.wording.id if self.wording else self.rubric.id

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed scoring must share, save the dialogues."""
        wording, cap = self.wording, self.answer.max_new_tokens
        by: dict[str, Any] = {"by": "logits" if self.chooser else f"text, {self.parser_name} parser"}
        if self.evidence != "none":
            by = {"by": f"text, {self.evidence} in JSON"}
        elif self.asked and self.settled and self.settled.way != "text":
            by = {"by": self.settled.way, "parser": self.parser_name}
        return {
            "rubric": {"id": wording.id, "sha256": wording.sha256} if wording else self.rubric.identity,
            "scorer": self.scorer.identity,
            **by,
            **({"asked": self.settled.fact} if self.asked and self.settled and self.settled.field else {}),
            **({"max_answer_tokens": cap} if cap != ANSWER_TOKENS else {}),
            **({"temperature": self.answer.temperature} if self.answer.temperature else {}),
            **evidence_identity(self.evidence),
            **({"long_dialogues": self.long_dialogues} if self.long_dialogues != "unscore" else {}),
            **({"calibration": self.calibration.sha256} if self.calibration else {}),
        }

    def check_languages(self, languages: Iterable[str]) -> None:
        """Refuse a language in which it has no words to ask.

        Raises:
            EscEvalError: There is one; the sentence says what is missing.
        """
        for language in languages:
            trial = Dialogue(id="trial", language=language, turns=(Turn(role="seeker", text="x"),))
            self._asked(trial, frozenset())

    def rate(self, dialogues: Sequence[Dialogue], done: Mapping[str, frozenset[str]] | None = None) -> Iterator[Rating]:
        """Yield ratings as they are finished, in any order.

        Args:
            dialogues: What to rate.
            done: Dimensions that each dialogue has ratings of already, by id; they are left out.
        """
        known = done or {}
        for language in dict.fromkeys(d.language for d in dialogues):
            groups = [self._asked(d, known.get(d.id, frozenset())) for d in dialogues if d.language == language]
            lead = "" if self.wording else self.rubric.text(language).lead
            if self.adapters:
                for key in self.rubric.keys:
                    if alone := [[asked] for group in groups for asked in group if asked[1] == key]:
                        self.adapters.use(key, language)
                        yield from self._rate_whole_or_less(alone, self.leads.get((key, language), lead))
            else:
                yield from self._rate_whole_or_less([group for group in groups if group], lead)

    def _rate_whole_or_less(self, groups: Sequence[Sequence[Asked]], lead: str) -> Iterator[Rating]:
        """Ratings of dialogues; of those that are too long without their oldest rounds, as many as need be."""
        whole = {dialogue.id: dialogue for group in groups for dialogue, _, _ in group[:1]}
        shown, waiting = dict(whole), groups
        while waiting:
            again: dict[str, set[str]] = {}
            for rating in self._rate(waiting, lead):
                name = rating.dialogue_id
                gone = len(whole[name].turns) - len(shown[name].turns)
                if self.long_dialogues == "drop-oldest" and is_too_long(rating) and drop_oldest(shown[name]):
                    again.setdefault(name, set()).add(rating.dimension)
                else:
                    yield rating.model_copy(update={"left_out": gone}) if gone else rating
            less = {name: drop_oldest(shown[name]) or shown[name] for name in again}
            shown |= less
            waiting = [
                [asked for asked in self._asked(dialogue, frozenset()) if asked[1] in again[name]]
                for name, dialogue in less.items()
            ]

    def _asked(self, dialogue: Dialogue, done: frozenset[str]) -> list[Asked]:
        """What is still to be asked about a dialogue: its conversation for each missing dimension."""
        keys: Sequence[str] = self.rubric.keys
        every: Sequence[Conversation]
        if self.wording:
            keys, every = self.wording.keys, self.wording.conversations(dialogue, getattr(self.scorer, "system", ""))
        else:
            every = judge_prompts(dialogue, self.rubric, self.evidence)
        return [(dialogue, key, c) for key, c in zip(keys, every, strict=True) if key not in done]

    def _rate(self, groups: Sequence[Sequence[Asked]], lead: str) -> Iterator[Rating]:
        conversations = [[conversation for _, _, conversation in group] for group in groups]
        question = self._question(lead)
        if self.asked and self.evidence == "none":
            self.settle_way(dict.fromkeys(asked[0].language for group in groups for asked in group))
            chosen = self.asked.ask(conversations, question, self.settled or Settled(way="text"))
        elif self.chooser:
            chosen = self.chooser.choose(conversations, lead, question.options, question.answer_tokens)
        else:
            yield from self._by_text([asked for group in groups for asked in group])
            return
        for index, choices in chosen:
            for (dialogue, key, _), choice in zip(groups[index], choices, strict=True):
                yield self._from_choice(dialogue, key, choice)

    def _question(self, lead: str) -> Question:
        return Question(
            tuple(map(str, self.rubric.marks)),
            self._find_option,
            lead,
            self.answer.max_new_tokens,
            self.answer.temperature,
            self.parser_name in WHOLE,
        )

    def _find_option(self, answer: str) -> tuple[str, tuple[int, int]] | None:
        found = self.find(answer, self.rubric.marks)
        return (str(found[0]), found[1]) if found else None

    def _mark(self, answer: str) -> Mark | None:
        return self.parse(answer, self.rubric.marks)

    def recall_way(self, fact: Mapping[str, Any] | None) -> None:
        """Ask a scorer behind a server as it was asked before, if that is a way that may be taken now."""
        if fact and self.settled is None:
            known = Settled.model_validate(fact)
            self.settled = known if self.by in ("auto", "logits", known.way) else None

    def settle_way(self, languages: Iterable[str]) -> None:
        """Find out how a scorer behind a server is asked, where that is not known yet; the same for all dialogues.

        Args:
            languages: Of the dialogues to come; the server is tried in the first.

        Raises:
            EscEvalError: The server does not answer, or not in the way that was asked for.
        """
        language = next(iter(languages), None)
        if not self.asked or self.settled or language is None:
            return
        trial = Dialogue(id="trial", language=language, turns=TRIAL)
        lead = "" if self.wording else self.rubric.text(language).lead
        [(_, _, conversation), *_] = self._asked(trial, frozenset())
        self.settled = self.asked.settle_way(conversation, self._question(lead), self.by)

    def _by_text(self, asked: Sequence[Asked]) -> Iterator[Rating]:
        """Conversations of like length side by side, so that a batch holds little padding.

        An answer without a level is asked for again, save of a model in this process, which would say the same.
        """
        left = sorted(asked, key=lambda item: sum(len(message["content"]) for message in item[2]))
        same = self.adapters or (isinstance(self.scorer, ChoiceModel) and not self.asked)
        tries = 1 if same else TRIES
        for number in range(tries):
            again = []
            for index, reply in self.scorer.reply([c for _, _, c in left], self.answer, [number] * len(left)):
                dialogue, key, _ = left[index]
                rating = self._from_reply(dialogue, key, reply)
                over = not rating.unscored or reply.problem or reply.finish_reason == "context"
                if not over and number < tries - 1:
                    again.append(index)
                else:
                    yield rating
            left = [left[index] for index in sorted(again)]
            if not left:
                return

    def _from_reply(self, dialogue: Dialogue, key: str, reply: Reply) -> Rating:
        if reply.problem and not (reply.reasoning and self.parser_name in WHOLE):
            common = self._common(dialogue, key)
            return Rating(**common, problem=reply.problem, parser=self.parser_name, served=reply.served)
        choice = Choice(text=reply.raw, finish_reason=reply.finish_reason, served=reply.served)
        return self._from_text(dialogue, key, choice)

    def settle_leads(self, dialogues: Sequence[Dialogue], wanted: Callable[[Dialogue], bool] = lambda _: True) -> None:
        """Find the words that each adapter puts before its level, from its answers to the first dialogues it can read.

        Only for scorers with adapters that answer in sentences and are read by logits. The same dialogues give the same
        leads.

        Args:
            dialogues: To be rated.
            wanted: Which of them may be asked about.

        Raises:
            EscEvalError: An adapter has no fixed words before its level.
        """
        if not (self.adapters and self.chooser and self._in_words):
            return
        for language in dict.fromkeys(d.language for d in dialogues if wanted(d)):
            for key in self.rubric.keys:
                self.adapters.use(key, language)
                texts = self._first_answers((d for d in dialogues if d.language == language and wanted(d)), key)
                if not texts:  # whatever is put before the level, no dialogue can be read
                    continue
                lead = find_lead(texts, self.rubric.levels)
                if lead is None:
                    raise EscEvalError(
                        f"{self.scorer.name}, {key}, {language}: no fixed words before the level in {texts!r}, so its "
                        "probabilities cannot be read in one pass; score by text (--by text)"
                    )
                self.leads[key, language] = lead

    def _first_answers(self, dialogues: Iterator[Dialogue], key: str) -> list[str]:
        """What the adapter in use says to the first dialogues that it can read."""
        texts: list[str] = []
        while batch := list(islice(dialogues, TRIED_FOR_LEAD)):
            conversations = [c for d in batch for _, asked, c in self._asked(d, frozenset()) if asked == key]
            for _, reply in sorted(self.scorer.reply(conversations, self.answer, [0] * len(batch))):
                if reply.finish_reason != "context" and not reply.problem:
                    texts.append(strip_thinking(reply.text))
            if len(texts) >= TRIED_FOR_LEAD:
                break
        return texts[:TRIED_FOR_LEAD]

    def _from_choice(self, dialogue: Dialogue, dimension: str, choice: Choice) -> Rating:
        common = self._common(dialogue, dimension)
        p = choice.probabilities
        if p is None and choice.text is not None:
            return self._from_text(dialogue, dimension, choice)
        if p is None:
            problem = choice.problem or "no probabilities"
            if choice.finish_reason == "context":
                problem = f"{TOO_LONG}: {choice.problem}" if choice.problem else TOO_LONG
            return Rating(**common, problem=problem, parser="logits", served=choice.served)
        stated, marks, parser = self._mark(choice.text or choice.top or ""), self.rubric.marks, "logits"
        likeliest = max(zip(p, (mark == stated for mark in marks), marks, strict=True), key=itemgetter(0, 1))[2]
        common |= {"mass": choice.mass, "raw": choice.top if choice.text is None else choice.text}
        common |= {"way": choice.way or "logits", "served": choice.served}
        if NOT_APPLICABLE in marks:  # the levels' own distribution is that where the dimension applies
            *rest, apart = p
            common["inapplicable"] = apart
            if likeliest == NOT_APPLICABLE:
                return Rating(**common, **mark_fields(likeliest), parser=parser)
            p = tuple(share / sum(rest) for share in rest)
        if self.calibration:
            p, parser = self.calibration.apply(dimension, p), f"logits, calibration {self.calibration.sha256[:8]}"
        best = max(range(len(p)), key=lambda n: (p[n], marks[n] == stated))
        return Rating(
            **common,
            score=self.rubric.levels[best],
            probabilities=p,
            expected=sum(level * share for level, share in zip(self.rubric.levels, p, strict=True)),
            parser=parser,
        )

    def _from_text(self, dialogue: Dialogue, dimension: str, choice: Choice) -> Rating:
        answer, finish = choice.text or "", choice.finish_reason or "stop"
        mark, evidence, missing, parser = None, None, NO_LEVEL, self.parser_name
        if self.evidence != "none":
            missing, parser = (
                f"the answer is not one JSON object with {self.evidence} and score",
                f"{self.evidence}, JSON",
            )
            if read := read_evidence(answer, self.evidence, self.rubric.marks, dialogue, self.parse):
                mark, evidence = read
        elif finish != "context":
            mark = self._mark(answer)
        problem = {
            "context": TOO_LONG,
            "length": f"{missing}; it was cut at {self.answer.max_new_tokens} tokens (see --max-answer-tokens)",
        }.get(finish, missing)
        return Rating(
            **self._common(dialogue, dimension),
            **mark_fields(mark),
            raw=answer,
            evidence=evidence,
            problem=problem if mark is None else None,
            parser=parser,
            way=None if finish == "context" else choice.way or "text",
            served=choice.served,
        )

    def _common(self, dialogue: Dialogue, dimension: str) -> dict[str, Any]:
        return rating_fields(dialogue, dimension, self.scorer.name, self.rubric_id)


class KeptRatings(Iterable[Rating]):
    """A rater's ratings of some dialogues, in the order of these, read from the ledger whenever they are asked for.

    Args:
        run: Open as long as anybody reads them.
        kind: ``scoring/RATER``.
        dialogues: Whose.
    """

    def __init__(self, run: Run, kind: str, dialogues: Sequence[Dialogue]) -> None:
        self._run, self._kind, self._dialogues = run, kind, dialogues

    def __iter__(self) -> Iterator[Rating]:
        return (rating for name in each_id(self._dialogues) for rating in self._run.read(self._kind, name, Rating))


def score_dialogues(
    dialogues: Sequence[Dialogue],
    scoring: Scoring | DirectScoring,
    run: Run,
    on_dialogue: Callable[[], None] = lambda: None,
    *,
    retry: bool = False,
    meter: Meter | None = None,
    left_out: Mapping[str, frozenset[str]] | None = None,
) -> list[Rating]:
    """Rate as ``rate_dialogues`` does, and return this scorer's ratings, in the order of the dialogues."""
    return list(rate_dialogues(dialogues, scoring, run, on_dialogue, retry=retry, meter=meter, left_out=left_out))


def rate_dialogues(
    dialogues: Sequence[Dialogue],
    scoring: Scoring | DirectScoring,
    run: Run,
    on_dialogue: Callable[[], None] = lambda: None,
    *,
    retry: bool = False,
    meter: Meter | None = None,
    left_out: Mapping[str, frozenset[str]] | None = None,
    on_forgotten: Callable[[], None] = lambda: None,
) -> KeptRatings:
    """Rate what a run has no ratings of yet, dialogue by dialogue and dimension by dimension; write ``ratings.jsonl``.

    A dialogue that ended early, or in which the supporter says no word, is unscored, whoever rates: no model is asked.
    Neither dialogues nor ratings are held, save those that are being rated.

    Args:
        dialogues: With unique ids.
        scoring: Scorer and rubric.
        run: Where ratings are kept; open.
        on_dialogue: Called after the last of a dialogue's ratings is durable.
        retry: Whether the scorer is asked again where it gave no answer.
        meter: Counts what the answers cost.
        left_out: Dimensions that are not asked of a dialogue, by its id.
        on_forgotten: Called for a dialogue that had all of its ratings and is to be asked about again.

    Returns:
        This scorer's ratings, in the order of the dialogues.

    Raises:
        EscEvalError: The run holds ratings of this rater under another identity or of other words, or the scorer
            failed, or what it may cost is spent; all ratings finished by then are kept.
    """
    kind = f"scoring/{scoring.scorer.name}"
    if isinstance(scoring, Scoring):
        scoring.recall_way(known_way(kind, run))
        scoring.settle_way(dialogue.language for dialogue in dialogues if not _silent(dialogue))
    if retry and run.has(kind):
        for dialogue in dialogues:
            unanswered = _unanswered(kind, dialogue, run) if not _silent(dialogue) else []
            if unanswered and run.count(kind, dialogue.id) == len(scoring.rubric.keys):
                on_forgotten()
            for key in unanswered:
                run.forget(kind, dialogue.id, scoring.rubric.keys.index(key))
    known = check_scoring(kind, scoring, run)
    keys, languages = scoring.rubric.keys, Survey.of(dialogues).languages
    partly = find_partly_rated(kind, len(keys), run)
    rated = admit_dialogues(kind, dialogues, known, run)
    leads = dict(known.get("leads", {}))
    if isinstance(scoring, Scoring):
        scoring.leads = {tuple(where.split("/")): lead for where, lead in leads.items()}
        settled = {where.partition("/")[2] for where in leads}
        scoring.settle_leads(dialogues, lambda d: d.language not in settled and not _silent(d))
        leads = {f"{key}/{language}": lead for (key, language), lead in scoring.leads.items()}
    identity = rated_identity(scoring, languages, known)
    if isinstance(scoring, DirectScoring) or not scoring.wording:
        keep_wording(scoring.rubric, rubric_file(run.folder, scoring.rubric_id))
    run.record(kind, {**identity, **({"leads": leads} if leads else {}), "dialogues": rated})

    def todo() -> Iterator[tuple[Dialogue, frozenset[str]]]:
        """Dialogues that lack ratings, each with the dimensions that it is not to be asked about."""
        begun = run.has(kind)
        for dialogue in dialogues:
            done = partly.get(dialogue.id) or frozenset(keys if begun and run.count(kind, dialogue.id) else ())
            done |= (left_out or {}).get(dialogue.id, frozenset())
            if len(done) < len(keys):
                yield dialogue, done

    try:
        if meter and any(not _silent(dialogue) for dialogue, _ in todo()):
            meter.budget.check()
        for batch in _batches(todo(), max(1, scoring.scorer.parallel)):
            _rate_batch(batch, scoring, run, kind, on_dialogue, meter)
    finally:
        if meter:
            meter.keep()
        run.export_ratings()
    return KeptRatings(run, kind, dialogues)


Todo = tuple[Dialogue, frozenset[str]]
"""A dialogue, and the dimensions that it is not to be asked about."""


def _batches(todo: Iterable[Todo], size: int) -> Iterator[list[Todo]]:
    """As many dialogues at once as the scorer likes; those that need no scorer as they come, among others."""
    batch: list[Todo] = []
    asked = 0
    for one in todo:
        batch.append(one)
        asked += not _silent(one[0])
        if asked == size or len(batch) == size + SILENT_AT_ONCE:
            yield batch
            batch, asked = [], 0
    if batch:
        yield batch


def _rate_batch(
    batch: Sequence[Todo],
    scoring: Scoring | DirectScoring,
    run: Run,
    kind: str,
    on_dialogue: Callable[[], None],
    meter: Meter | None,
) -> None:
    """Rate some dialogues at once."""
    keys = scoring.rubric.keys
    done = {dialogue.id: set(known) for dialogue, known in batch}
    asked = [dialogue for dialogue, _ in batch if not _silent(dialogue)]
    tokens = {dialogue.id: _tokens(dialogue) for dialogue in asked} if meter else {}
    silent = [(dialogue, known) for dialogue, known in batch if _silent(dialogue)]
    free = [rating for dialogue, known in silent for rating in _leave_unscored(dialogue, known, scoring)]
    given = scoring.rate(asked, {dialogue.id: known for dialogue, known in batch}) if asked else iter(())
    # a model's answer is durable as it comes; what asks nobody is written together
    for some in [free, list(given)] if isinstance(scoring, DirectScoring) else chain([free], ([one] for one in given)):
        run.add_all((kind, one.dialogue_id, keys.index(one.dimension), one.to_json()) for one in some)
        for rating in some:
            done[rating.dialogue_id].add(rating.dimension)
            whole = len(done[rating.dialogue_id]) == len(keys)
            if whole:
                on_dialogue()
            if meter and rating.dialogue_id in tokens:
                meter.count(tokens[rating.dialogue_id], estimate_tokens(rating.raw or ""))
            if meter and whole:
                meter.keep()


def needs_scorer(dialogues: Sequence[Dialogue], scoring: Scoring | DirectScoring, run: Run, retry: bool) -> bool:
    """Whether a scorer has to be asked for the ratings that a run has not."""
    kind, size = f"scoring/{scoring.scorer.name}", len(scoring.rubric.keys)
    return any(
        run.count(kind, dialogue.id) < size or (retry and _unanswered(kind, dialogue, run))
        for dialogue in dialogues
        if not _silent(dialogue)
    )


def was_not_asked(problem: object) -> bool:
    """Whether a rating's problem says that there was nothing to ask its scorer about."""
    return isinstance(problem, str) and (problem == SILENT or problem.startswith(ENDED_EARLY))


def _silent(dialogue: Dialogue) -> bool:
    """Whether there is nothing that a scorer could be asked about."""
    return bool(dialogue.problem) or not dialogue.answered


def _tokens(dialogue: Dialogue) -> int:
    """About how many tokens a dialogue has, with what is asked about it."""
    return sum(estimate_tokens(turn.text) for turn in dialogue.turns) + ASKED_TOKENS


def _unanswered(kind: str, dialogue: Dialogue, run: Run) -> list[str]:
    """Dimensions of a dialogue for which the scorer gave no answer at all, though it was asked."""
    found = run.read(kind, dialogue.id, Rating)
    return [
        r.dimension
        for r in found
        if r.unscored and not r.raw and r.problem not in (TOO_LONG, SILENT) and not is_outside(r) and not r.unsupported
    ]


def _leave_unscored(dialogue: Dialogue, done: frozenset[str], scoring: Scoring | DirectScoring) -> Iterator[Rating]:
    """The ratings of a dialogue that needs no scorer."""
    why = f"{ENDED_EARLY}{dialogue.problem}" if dialogue.problem else SILENT
    for key in scoring.rubric.keys:
        if key not in done:
            yield Rating(**rating_fields(dialogue, key, scoring.scorer.name, scoring.rubric_id), problem=why)
