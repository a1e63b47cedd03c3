"""Any causal language model with a chat template that transformers loads, run in this process."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from esc_eval.chat.base import ALL_REASONING, ANSWER_TOKENS, NOT_FINITE, Choice, Conversation, Reply, Stream
from esc_eval.chat.engine.encoder import TODAY, Encoder
from esc_eval.chat.engine.fixed import FixedRows, describe_shapes
from esc_eval.chat.engine.generation import AHEAD, generate_replies
from esc_eval.chat.engine.padded import PaddedRows
from esc_eval.chat.engine.rows import BRANCH_TOKENS, Rows, common_prefix, match_rows
from esc_eval.chat.engine.slots import Download, keeps_everything
from esc_eval.chat.engine.stream import ReplyStream
from esc_eval.chat.engine.weights import (
    Weights,
    available_memory,
    base_of,
    commit_of,
    load_tokenizer,
    load_weights,
    read_context,
    read_judge_card,
    read_playing,
)
from esc_eval.errors import EscEvalError
from esc_eval.files.hashing import hash_file
from esc_eval.prompts.protocol import Generation
from esc_eval.reasoning import split_thinking
from esc_eval.schema import FinishReason, digest

WIDTH = {"cpu": 64, "cuda": 512}  # conversations written side by side at most
HEADROOM = 0.5  # of free memory, for what is kept of conversations
CONVERSATION = 2048  # tokens of one conversation that memory is planned for
BOUNDARY = 8  # last tokens of a prompt that decide how the first word of an answer is tokenised
TOGETHER = {"cpu": 1, "cuda": 8}  # dialogues whose questions are read in one pass
KEPT = 2  # sets of rows: the two sides of one window of dialogues
ROOM = 1024  # tokens at least that a reply is given which was all reasoning when its room was spent
FULL_HASH_BYTES = 2_000_000_000
RECORDS = {"training.json", "metrics.json", "overlaps.json", "begun.json", "published.json"}
"""What training tells of a checkpoint; it may be measured anew, and the model says the same."""


def hash_weights(folder: Path) -> str:
    """Hash that stands for the weights and tokenizer in a folder.

    Small files are hashed whole. Of larger safetensors files (over 2 GB together) the header, the size and one
    mebibyte from the start, middle and end are.
    """
    kinds = {".safetensors", ".json", ".jinja", ".model", ".txt"}
    names = sorted(path for path in folder.iterdir() if path.suffix in kinds and path.name not in RECORDS)
    whole = sum(p.stat().st_size for p in names) <= FULL_HASH_BYTES
    entries = {}
    for path in names:
        size = path.stat().st_size
        if whole or size <= 8 << 20:
            entries[path.name] = [size, hash_file(path)]
            continue
        hasher = sha256()
        with path.open("rb") as file:
            for start in (0, size // 2, size - (1 << 20)):
                file.seek(start)
                hasher.update(file.read(1 << 20))
        entries[path.name] = [size, hasher.hexdigest()]
    return digest(entries)


def own_settings(config: Any) -> Generation:
    """The sampling settings in a model's generation_config.json, as transformers' ``generate`` would apply them.

    Args:
        config: Of the model, as transformers has it; what it does not say has the library's default.
    """

    def said(name: str, default: Any) -> Any:
        value = getattr(config, name, None)
        return default if value is None else value

    penalty = said("repetition_penalty", 1.0)
    if not said("do_sample", False):
        return Generation(repetition_penalty=penalty)
    return Generation(
        temperature=said("temperature", 1.0),
        top_p=said("top_p", 1.0),
        top_k=said("top_k", 50),
        repetition_penalty=penalty,
    )


class HFModel:
    """A transformers model and its tokenizer.

    Args:
        repo: Hub repository or local folder; a folder with adapter_config.json is a peft adapter on its base.
        revision: Hub revision; the commit it resolves to is recorded.
        name: Label for tables.
        dtype: "float32", "bfloat16", "float16", or "int8" on a CPU (weights rounded, the text changes); None is
            float32 on a CPU and bfloat16 on an accelerator.
        device: As torch names it; None picks an accelerator if there is one.
        batch_size: Conversations at a time; None picks from memory.
        stands_for: Revision to record for a local folder made from something else, instead of its fingerprint.
        weights: Already loaded, instead of those in the repository.
        reasoning_tokens: Room for reasoning in a reply, beyond its own cap.
        deterministic: Whether every pass has a fixed shape, so that no text depends on who shares its batch; of
            loaded weights, they say it.

    Attributes:
        judge_card: What a trained judge says that it learnt; None = nothing says so.
        settings: The sampling settings that it was released with.
        plays: Those that a trained seeker is to be played with, in place of what it is asked for; None = none are said.

    Raises:
        EscEvalError: No such model, no chat template, pickled weights only, or code of its own needed.
    """

    concurrent = False
    fewest = 64
    """Conversations from which on ``stream`` takes them: with 64 it was quicker than batches, with 12 slower."""

    def __init__(
        self,
        repo: str,
        revision: str | None = None,
        *,
        name: str | None = None,
        dtype: str | None = None,
        device: str | None = None,
        batch_size: int | None = None,
        stands_for: str | None = None,
        weights: Weights | None = None,
        reasoning_tokens: int = 0,
        deterministic: bool = False,
    ) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        kind = dtype or ("float32" if self.device.type == "cpu" else "bfloat16")
        folder = Path(repo)
        local = folder.is_dir()
        if not local and (repo.startswith((".", "/", "~")) or repo.count("/") > 1):
            raise EscEvalError(f"hf:{repo}: no such folder")
        base = None if weights else base_of(repo, revision)
        self.weights = weights or load_weights(*(base or (repo, revision)), kind, self.device, deterministic)
        self.model = self.weights.model
        self.settings = own_settings(self.model.generation_config)
        self.adapter = self.weights.add(repo, revision) if base else None
        self.tokenizer = load_tokenizer(repo, revision)
        self.judge_card = read_judge_card(repo, revision) if local or base else None
        self.plays = read_playing(repo, revision) if base else None
        own = folder.name if folder.name not in ("", "..") else folder.resolve().name
        self.name = name or (own if local else repo.rpartition("/")[2])
        self.context = read_context(self.model.config, self.tokenizer)
        self.reasoning_tokens = reasoning_tokens
        self.encoder = Encoder(self.tokenizer, self.name)
        self.encode, self.answers = self.encoder.encode, self.encoder.answers
        ends = self._end_ids()
        self.stops = ends | self.encoder.turn_ends()
        if not self.stops:
            raise EscEvalError(
                f"{self.name}: neither its tokenizer nor its generation_config names an end-of-text token, and its "
                "chat template ends no turn with a token of its own"
            )
        self.pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else min(self.stops)
        self.keeps = keeps_everything(self.model.config)
        self.kept: list[Rows] = []
        self.width = batch_size or WIDTH.get(self.device.type, WIDTH["cuda"])
        self.parallel = batch_size or self._conversations_for_memory()
        self.identity: dict[str, Any] = {
            "kind": "transformers",
            "model": self.name if local else repo,
            "revision": stands_for or (hash_weights(folder) if local else commit_of(repo, revision)),
            "dtype": kind,
            "chat_template": digest(self.tokenizer.chat_template),
            "system_role": "native" if self.encoder.system_role else "merged into the first user message",
            **({"plays": self.plays.model_dump(exclude={"max_new_tokens"})} if self.plays else {}),
            **({"deterministic": describe_shapes(self.device)} if self.weights.deterministic else {}),
            **self._peculiarities(self.stops - ends),
        }

    def _end_ids(self) -> set[int]:
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        return {i for i in [*ids, self.tokenizer.eos_token_id] if i is not None}

    def _peculiarities(self, stops: set[int]) -> dict[str, Any]:
        """What decides a model's text only where its template or its tokenizer asks for it."""
        encoder = self.encoder
        thinks = bool(encoder.opened or encoder.answer_start or encoder.variables or encoder.special_marks)
        found: dict[str, Any] = {
            "date": f"{TODAY:%Y-%m-%d}" if encoder.dated else None,
            "thinking": "kept apart" if thinks else None,
            "turn_ends": sorted(map(self.tokenizer.convert_ids_to_tokens, stops)),
            "content": "parts" if encoder.in_parts else None,
            "reasoning_tokens": self.reasoning_tokens,
        }
        return {key: value for key, value in found.items() if value}

    def _conversations_for_memory(self) -> int:
        config = self.model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        token = 2 * config.num_hidden_layers * heads * size * self.model.dtype.itemsize
        conversation = KEPT * token * min(self.context, CONVERSATION)
        return int(max(1, min(2 * self.width, HEADROOM * available_memory(self.device) / conversation)))

    @torch.inference_mode()
    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies batch by batch; see ``ChatModel.reply``."""
        prompts = self.encoder.encode_all(conversations)
        given = self.given(settings)
        left = []
        for index, prompt in enumerate(prompts):
            if len(prompt) < self.context:
                left.append(index)
            else:
                yield index, Reply("", "context", prompt_tokens=len(prompt), completion_tokens=0)
        while left:
            unspoken = []
            for start in range(0, len(left), self.parallel):
                batch = left[start : start + self.parallel]
                written = self._reply_batch([prompts[i] for i in batch], given, [seeds[i] for i in batch])
                for number, reply in written:
                    if self.with_more_room(reply, given, settings):
                        unspoken.append(batch[number])
                    else:
                        yield batch[number], reply
            left = sorted(unspoken)
            given = self._larger(given)

    def given(self, settings: Generation) -> Generation:
        """The settings that a reply is written with at first: with room for reasoning, as the model is to be played."""
        chosen = self.plays or settings
        return chosen.model_copy(update={"max_new_tokens": settings.max_new_tokens + self.reasoning_tokens})

    def with_more_room(self, reply: Reply, given: Generation, settings: Generation) -> Generation | None:
        """The settings for a second try, where a reply was cut while it was all reasoning; None where it stands."""
        more = given.max_new_tokens
        cut = reply.finish_reason == "length" and (reply.prompt_tokens or 0) + more < self.context
        first = more == self.given(settings).max_new_tokens
        return self._larger(given) if reply.problem == ALL_REASONING and cut and first else None

    def _larger(self, given: Generation) -> Generation:
        return given.model_copy(update={"max_new_tokens": max(2 * given.max_new_tokens, ROOM)})

    def stream(self, places: int) -> Stream | None:
        """Take conversations one by one, while others are answered; None on an accelerator, which takes batches.

        None also where there are few: two models that take turns step by step have half of the rows each.

        Args:
            places: Conversations that are known at a time, at most.
        """
        rows = self._empty_rows(places) if self.device.type == "cpu" and places >= self.fewest else None
        return ReplyStream(self, rows) if isinstance(rows, Rows) else None

    def count_tokens(self, conversation: Conversation) -> int:
        """Tokens of a conversation; see ``CountingModel``."""
        return len(self.encode(conversation))

    def _reply_batch(
        self, prompts: list[list[int]], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        self.weights.use(self.adapter)
        rows, prompt_of = self._rows_for(prompts)
        written = generate_replies(
            rows, prompt_of, prompts, settings, seeds, stops=self.stops, context=self.context, width=self.width
        )
        for number, tokens, finish in written:
            yield number, self.read(prompts[number], tokens, finish)
        if isinstance(rows, Rows):
            self.kept = [rows, *self.kept][:KEPT]

    def read(self, prompt: Sequence[int], tokens: Sequence[int], finish: FinishReason | None) -> Reply:
        """The reply that some tokens are; without a reason to end, the logits were not finite."""
        if finish is None:
            return Reply("", "stop", len(prompt), len(tokens), NOT_FINITE)
        spoken, thought = split_thinking(self.encoder.opened + self.encoder.decode(tokens))
        problem = ALL_REASONING if thought and not spoken.strip() else None
        return Reply(spoken, finish, len(prompt), len(tokens), problem, thought or None)

    def _rows_for(self, prompts: list[list[int]]) -> tuple[Rows | PaddedRows, list[int]]:
        """Rows kept from an earlier call that these prompts continue, or other ones; and each row's prompt."""
        same = list(range(len(prompts)))
        if not self.keeps:
            return self._empty_rows(len(prompts)), same
        for kept in self.kept:
            chosen = match_rows(kept.ids, prompts)
            if chosen is None:
                continue
            self.kept.remove(kept)
            if len(kept.ids) == len(prompts):
                return kept, sorted(same, key=chosen.__getitem__)
            kept.take(chosen)
            return kept, same
        if len(self.kept) == KEPT and len(self.kept[-1].ids) == len(prompts):
            oldest = self.kept.pop()  # its memory serves again
            oldest.cut([0] * len(prompts))
            return oldest, same
        del self.kept[KEPT - 1 :]
        return self._empty_rows(len(prompts)), same

    def _empty_rows(self, count: int) -> Rows | PaddedRows:
        kind = FixedRows if self.weights.deterministic else Rows if self.keeps else PaddedRows
        return kind(self.model, count, self.pad)

    @torch.inference_mode()
    def choose(
        self,
        groups: Sequence[Sequence[Conversation]],
        lead: str,
        options: Sequence[str],
        answer_tokens: int = ANSWER_TOKENS,
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices; the beginning that a group shares is encoded once. See ``ChoiceModel``.

        On an accelerator several groups are read in one pass, and the next ones are prepared while these are computed.
        """
        del answer_tokens  # nothing is written
        flying: deque[tuple[list[tuple[int, int]], Download]] = deque()
        waiting: list[tuple[int, Branches]] = []
        known: tuple[str, list[int], list[int]] | None = None
        most = TOGETHER.get(self.device.type, TOGETHER["cuda"]) if self.keeps and not self.weights.deterministic else 1

        def begin(answers: list[int]) -> None:
            if waiting:
                asked = [(index, len(group.tails)) for index, group in waiting]
                flying.append((asked, self._begin_choice([group for _, group in waiting], answers)))
                waiting.clear()

        for index, group in enumerate(groups):
            if known is None:
                known = self._known_answers(group[0], lead, options)
            prompts = self.encoder.encode_all(group, known[0])
            if prompts[0][-BOUNDARY:] != known[2]:  # another end of the prompt may merge with an answer otherwise
                begin(known[1])
                known = self._known_answers(group[0], lead, options)
                prompts = self.encoder.encode_all(group, known[0])
            if (longest := max(map(len, prompts))) > self.context:
                problem = f"{longest} tokens, more than the {self.context} that {self.name} can read"
                yield index, [Choice(problem=problem, finish_reason="context")] * len(group)
                continue
            found = Branches.of(prompts)
            if waiting and not found.joins([other for _, other in waiting]):
                begin(known[1])
            waiting.append((index, found))
            if len(waiting) == most:
                begin(known[1])
            while len(flying) > AHEAD.get(self.device.type, AHEAD["cuda"]):
                yield from self._choices(*flying.popleft())
        if known:
            begin(known[1])
        for begun in flying:
            yield from self._choices(*begun)

    def _begin_choice(self, groups: list["Branches"], answers: list[int]) -> Download:
        """Begin to compute some answers' probabilities after each prompt, the top token, and whether all is finite."""
        self.weights.use(self.adapter)
        rows = self._empty_rows(len(groups))
        if groups[0].shared:
            rows.extend([group.shared for group in groups])
        tails = [group.tails for group in groups]
        if isinstance(rows, Rows):
            logits = rows.branch(tails[0]) if len(tails) == 1 else rows.branch_all(tails)
        else:
            rows.take([0] * len(tails[0]))
            logits = rows.extend(tails[0])
        likely = logits.double().softmax(dim=-1)
        beside = [likely.argmax(dim=-1, keepdim=True), likely.isfinite().all(dim=-1, keepdim=True)]
        return Download(torch.cat([likely[:, answers], *beside], dim=-1))

    def _known_answers(
        self, conversation: Conversation, lead: str, options: Sequence[str]
    ) -> tuple[str, list[int], list[int]]:
        """The lead to encode with, each option's token, and the prompt's last tokens, after which that holds."""
        found = self.answers(conversation, lead, options)
        if found is None:
            raise EscEvalError(
                f"{self.name}: after {lead!r} not each of {', '.join(options)} is one token of its own, so its "
                "probability cannot be read; score by text instead (--by text)"
            )
        return *found, self.encode(conversation, found[0])[-BOUNDARY:]

    def _choices(self, asked: list[tuple[int, int]], found: Download) -> Iterator[tuple[int, list[Choice]]]:
        """Choices of groups, each by its number and size."""
        read = iter(found.read())
        for index, size in asked:
            yield index, [self._choice(own, int(top), bool(finite)) for *own, top, finite in islice(read, size)]

    def _choice(self, chosen: list[float], top: int, finite: bool) -> Choice:
        if not finite:
            return Choice(problem=NOT_FINITE)
        mass = sum(chosen)
        if mass <= 0:
            return Choice(problem="the model gives none of the levels any probability")
        return Choice(tuple(share / mass for share in chosen), mass, self.tokenizer.decode([top]))


@dataclass(frozen=True)
class Branches:
    """Prompts that go on from one beginning.

    Attributes:
        shared: The tokens of the beginning.
        tails: Those of each prompt after it, at least one.
    """

    shared: list[int]
    tails: list[list[int]]

    @classmethod
    def of(cls, prompts: Sequence[list[int]]) -> "Branches":
        """Some prompts, taken apart."""
        length = min(common_prefix(prompts[0], prompt) for prompt in prompts)
        length = min(length, min(map(len, prompts)) - 1)
        return cls(prompts[0][:length], [prompt[length:] for prompt in prompts])

    def joins(self, others: Sequence["Branches"]) -> bool:
        """Whether its tails fit into one pass with those of others."""
        longest = max(sum(map(len, group.tails)) for group in (self, *others))
        fits = longest * (len(others) + 1) <= BRANCH_TOKENS["cuda"]
        return fits and all(group.shared for group in (self, *others))
