"""Any causal language model with a chat template that transformers loads, run in this process."""

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jinja2.exceptions import TemplateError
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from esc_eval.chat.base import Choice, Conversation, Reply
from esc_eval.chat.rows import Rows, common_prefix
from esc_eval.chat.sampling import next_tokens, penalise, uniforms
from esc_eval.errors import EscEvalError
from esc_eval.protocol import Generation, Message
from esc_eval.schema import digest

CPU_BATCH = 32
HEADROOM = 0.5
KEPT = 2  # sets of rows: the two sides of one window of dialogues
FULL_HASH_BYTES = 2_000_000_000


def fingerprint(folder: Path) -> str:
    """Hash that stands for the weights and tokenizer in a folder.

    Small files are hashed whole. Of larger safetensors files (over 2 GB together) the header, the size and one
    mebibyte from the start, middle and end are.
    """
    names = sorted(p for p in folder.iterdir() if p.suffix in {".safetensors", ".json", ".jinja", ".model", ".txt"})
    whole = sum(p.stat().st_size for p in names) <= FULL_HASH_BYTES
    entries = {}
    for path in names:
        size = path.stat().st_size
        hasher = sha256()
        with path.open("rb") as file:
            if whole or size <= 8 << 20:
                while block := file.read(1 << 20):
                    hasher.update(block)
            else:
                for start in (0, size // 2, size - (1 << 20)):
                    file.seek(start)
                    hasher.update(file.read(1 << 20))
        entries[path.name] = [size, hasher.hexdigest()]
    return digest(entries)


def available_memory(device: torch.device) -> int:
    """Bytes of memory that are free where the model lives."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


class HFModel:
    """A transformers model and its tokenizer.

    Args:
        repo: Hub repository or local folder; a folder with adapter_config.json is a peft adapter on its base.
        revision: Hub revision; the commit it resolves to is recorded.
        name: Label for tables.
        dtype: "float32", "bfloat16", "float16"; None is float32 on a CPU and bfloat16 on an accelerator.
        device: As torch names it; None picks an accelerator if there is one.
        batch_size: Conversations at a time; None picks from memory.
        stands_for: Revision to record for a local folder made from something else, instead of its fingerprint.

    Raises:
        EscEvalError: No such model, no chat template, pickled weights only, or code of its own needed.
    """

    concurrent = False

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
    ) -> None:
        transformers_logging.disable_progress_bar()
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        kind = getattr(torch, dtype) if dtype else (torch.float32 if self.device.type == "cpu" else torch.bfloat16)
        folder = Path(repo)
        local = folder.is_dir()
        if not local and (repo.startswith((".", "/", "~")) or repo.count("/") > 1):
            raise EscEvalError(f"hf:{repo}: no such folder")
        try:
            self.tokenizer = AutoTokenizer.from_pretrained(repo, revision=revision)
            self.model = AutoModelForCausalLM.from_pretrained(
                repo, revision=revision, dtype=kind, use_safetensors=True
            ).to(self.device)
        except (OSError, ValueError, KeyError) as error:
            raise EscEvalError(
                f"hf:{repo}: cannot be loaded: {error}\nGive a folder with config.json, safetensors weights and a "
                "tokenizer, or a Hub repository that this machine can reach. Code from repositories is never run."
            ) from error
        if self.tokenizer.chat_template is None:
            raise EscEvalError(
                f"hf:{repo}: its tokenizer has no chat template, so it is no chat model. Use its chat version, or "
                "put a chat_template.jinja into the folder."
            )
        self.model.eval()
        self.name = name or (folder.name if local else repo.rpartition("/")[2])
        self.context = int(getattr(self.model.config, "max_position_embeddings", 0) or 1 << 30)
        self.stops = self._stop_ids()
        self.pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else min(self.stops)
        self.special = sorted(set(self.tokenizer.all_special_tokens), key=len, reverse=True)
        self.system_role = self._knows_system_role()
        self.kept: list[Rows] = []
        self.parallel = batch_size or self._batch_for_memory()
        self.identity: dict[str, Any] = {
            "kind": "transformers",
            "model": self.name if local else repo,
            "revision": stands_for or (fingerprint(folder) if local else self.model.config._commit_hash),
            "dtype": str(kind).removeprefix("torch."),
            "chat_template": digest(self.tokenizer.chat_template),
            "system_role": "native" if self.system_role else "merged into the first user message",
        }

    def _stop_ids(self) -> set[int]:
        configured = self.model.generation_config.eos_token_id
        ids = configured if isinstance(configured, list) else [configured]
        stops = {i for i in [*ids, self.tokenizer.eos_token_id] if i is not None}
        if not stops:
            raise EscEvalError(
                f"{self.name}: neither its tokenizer nor its generation_config names an end-of-text token"
            )
        return stops

    def _knows_system_role(self) -> bool:
        probe: list[Message] = [{"role": "system", "content": "S-probe"}, {"role": "user", "content": "U-probe"}]
        try:
            text = self.tokenizer.apply_chat_template(probe, tokenize=False, add_generation_prompt=True)
        except TemplateError:
            return False
        return "S-probe" in text

    def _batch_for_memory(self) -> int:
        if self.device.type == "cpu":
            return CPU_BATCH
        config = self.model.config.get_text_config()
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        token = 2 * config.num_hidden_layers * heads * size * self.model.dtype.itemsize
        conversation = 2 * token * min(self.context, 4096)  # the seeker's side and the supporter's
        return int(max(1, min(512, HEADROOM * available_memory(self.device) / conversation)))

    def encode(self, conversation: Conversation, lead: str = "") -> list[int]:
        """Tokens of a conversation as the chat template renders it, up to where the answer begins.

        Special tokens spelt out inside a message are broken up, so that no text can end its own turn.

        Raises:
            EscEvalError: The template refuses the conversation.
        """
        messages = [{"role": m["role"], "content": self._defuse(m["content"])} for m in conversation]
        if not self.system_role and messages[0]["role"] == "system":
            system = messages.pop(0)["content"]
            if not messages or messages[0]["role"] != "user":
                messages.insert(0, {"role": "user", "content": system})
            else:
                messages[0]["content"] = f"{system}\n\n{messages[0]['content']}"
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError as error:
            roles = [m["role"] for m in messages]
            raise EscEvalError(f"{self.name}: its chat template refuses the roles {roles}: {error}") from error
        ids: list[int] = self.tokenizer(text + lead, add_special_tokens=False)["input_ids"]
        return ids

    def _defuse(self, text: str) -> str:
        for token in self.special:
            if token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    @torch.inference_mode()
    def reply(
        self, conversations: Sequence[Conversation], settings: Generation, seeds: Sequence[int]
    ) -> Iterator[tuple[int, Reply]]:
        """Yield replies batch by batch; see ``ChatModel.reply``."""
        prompts = [self.encode(c) for c in conversations]
        fitting = []
        for index, prompt in enumerate(prompts):
            if len(prompt) < self.context:
                fitting.append(index)
            else:
                yield index, Reply("", "context", prompt_tokens=len(prompt), completion_tokens=0)
        for start in range(0, len(fitting), self.parallel):
            batch = fitting[start : start + self.parallel]
            replies = self._reply_batch([prompts[i] for i in batch], settings, [seeds[i] for i in batch])
            yield from zip(batch, replies, strict=True)

    def _reply_batch(self, prompts: list[list[int]], settings: Generation, seeds: Sequence[int]) -> list[Reply]:
        rows, place = self._rows_for(prompts)  # place[row] is the prompt that a row answers
        wanted = [prompts[number] for number in place]
        rows.cut([min(common_prefix(row, p), len(p) - 1) for row, p in zip(rows.ids, wanted, strict=True)])
        logits = rows.extend([p[len(row) :] for row, p in zip(rows.ids, wanted, strict=True)])

        draws = uniforms(seeds, settings.max_new_tokens)
        penalty = settings.repetition_penalty
        seen = torch.zeros_like(logits, dtype=torch.bool) if penalty != 1.0 else logits.new_zeros((len(prompts), 1))
        if penalty != 1.0:
            for number, prompt in enumerate(prompts):
                seen[number, prompt] = True
        written: list[list[int]] = [[] for _ in prompts]
        finish: list[str] = ["length"] * len(prompts)
        caps = [min(settings.max_new_tokens, self.context - len(prompt)) for prompt in prompts]

        for step in range(settings.max_new_tokens):
            scores = penalise(logits, seen[place[: rows.active]], penalty)
            tokens = next_tokens(scores, settings, draws[place[: rows.active], step]).tolist()
            ended = []
            for row, token in enumerate(tokens):
                number = place[row]
                if token in self.stops:
                    finish[number] = "stop"
                    ended.append(row)
                    continue
                written[number].append(token)
                if penalty != 1.0:
                    seen[number, token] = True
                if len(written[number]) == caps[number]:
                    ended.append(row)
            for row in reversed(ended):
                rows.rest(row)
                last = rows.active
                place[row], place[last] = place[last], place[row]
                tokens[row], tokens[last] = tokens[last], tokens[row]
            if not rows.active:
                break
            logits = rows.extend([[token] for token in tokens[: rows.active]])

        if rows.growing:
            self.kept = [rows, *self.kept][:KEPT]
        texts = self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return [
            Reply(text, end, len(prompt), len(new))  # type: ignore[arg-type]
            for text, end, prompt, new in zip(texts, finish, prompts, written, strict=True)
        ]

    def _rows_for(self, prompts: list[list[int]]) -> tuple[Rows, list[int]]:
        """Rows kept from an earlier call that these prompts continue, or empty ones; and each row's prompt."""
        same = list(range(len(prompts)))
        for kept in self.kept:
            chosen = _continued(kept.ids, prompts)
            if chosen is None:
                continue
            self.kept.remove(kept)
            kept.active = len(prompts)
            if len(kept.ids) == len(prompts):
                return kept, sorted(same, key=chosen.__getitem__)
            kept.take(chosen)
            return kept, same
        return Rows(self.model, len(prompts), self.pad), same

    @torch.inference_mode()
    def choose(
        self, groups: Sequence[Sequence[Conversation]], lead: str, options: Sequence[str]
    ) -> Iterator[tuple[int, list[Choice]]]:
        """Yield each group's choices; the beginning that a group shares is encoded once. See ``ChoiceModel``."""
        for index, group in enumerate(groups):
            prompts = [self.encode(conversation, lead) for conversation in group]
            answers = self._option_ids(group[0], prompts[0], lead, options)
            if answers is None and lead.endswith(" "):  # where the space belongs to the option's token
                prompts = [self.encode(conversation, lead.rstrip(" ")) for conversation in group]
                spaced = [" " + option for option in options]
                answers = self._option_ids(group[0], prompts[0], lead.rstrip(" "), spaced)
            if answers is None:
                raise EscEvalError(
                    f"{self.name}: after {lead!r} not each of {', '.join(options)} is one token of its own, so its "
                    "probability cannot be read; score by text instead (--by text)"
                )
            if max(map(len, prompts)) > self.context:
                longest = max(map(len, prompts))
                problem = f"{longest} tokens, more than the {self.context} that {self.name} can read"
                yield index, [Choice(problem=problem)] * len(group)
                continue
            shared = min(common_prefix(prompts[0], prompt) for prompt in prompts)
            shared = min(shared, min(map(len, prompts)) - 1)
            rows = Rows(self.model, 1, self.pad)
            if shared:
                rows.extend([prompts[0][:shared]])
            rows.take([0] * len(prompts))
            logits = rows.extend([prompt[shared:] for prompt in prompts])
            yield index, [self._choice(row, answers) for row in logits.double().softmax(dim=-1).cpu()]

    def _option_ids(
        self, conversation: Conversation, prompt: list[int], lead: str, options: Sequence[str]
    ) -> list[int] | None:
        ids = []
        for option in options:
            longer = self.encode(conversation, lead + option)
            if len(longer) != len(prompt) + 1 or longer[:-1] != prompt:
                return None
            ids.append(longer[-1])
        return ids

    def _choice(self, probabilities: torch.Tensor, answers: list[int]) -> Choice:
        if not torch.isfinite(probabilities).all():
            return Choice(problem="the model's logits are not finite")
        chosen = probabilities[answers]
        mass = float(chosen.sum())
        if mass <= 0:
            return Choice(problem="the model gives none of the levels any probability")
        top = self.tokenizer.decode([int(probabilities.argmax())])
        return Choice(tuple((chosen / mass).tolist()), mass, top)


def _continued(kept: list[list[int]], prompts: list[list[int]]) -> list[int] | None:
    """For each prompt the kept row that it continues by at least half, each row once; None if one has none."""
    chosen: list[int] = []
    for number, prompt in enumerate(prompts):
        order = sorted(range(len(kept)), key=lambda i: (i != number, i))
        match = next((i for i in order if 2 * common_prefix(kept[i], prompt) > max(len(kept[i]), 32)), None)
        if match is None or match in chosen:
            return None
        chosen.append(match)
    return chosen
