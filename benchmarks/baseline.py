"""The official procedure, written anew from its description: one dialogue at a time, both models, batch size 1.

Every call renders and encodes the whole history again. Nothing is kept between calls.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig

from esc_eval.chat.base import Conversation, Reply
from esc_eval.chat.engine.hf import HFModel
from esc_eval.files.records import load_cards
from esc_eval.prompts.protocol import Generation, Protocol
from esc_eval.schema import RoleCard, Turn


def take_cards(source: str | Path, count: int) -> list[RoleCard]:
    """So many English cards of a source, from the first on again where it has fewer, each under an id of its own."""
    cards = load_cards([source], language="en")
    return [cards[number % len(cards)].model_copy(update={"id": f"card{number}"}) for number in range(count)]


class Official:
    """Greedy replies of exactly ``max_new_tokens`` by ``model.generate``.

    Args:
        engine: Lends its tokenizer and chat template.
        model: Plain transformers weights.
    """

    def __init__(self, engine: HFModel, model: Any) -> None:
        self.engine, self.model = engine, model
        self.prompt_tokens = self.generated = 0

    @torch.inference_mode()
    def answer(self, conversation: Conversation, tokens: int) -> str:
        """The reply to a conversation."""
        prompt = torch.tensor([self.engine.encode(conversation)], device=self.model.device)
        config = GenerationConfig(
            max_new_tokens=tokens, do_sample=False, use_cache=True, pad_token_id=self.engine.pad, eos_token_id=None
        )
        output = self.model.generate(prompt, attention_mask=torch.ones_like(prompt), generation_config=config)
        new = output[0, prompt.shape[1] :].tolist()
        self.prompt_tokens += prompt.shape[1]
        self.generated += len(new)
        return str(self.engine.tokenizer.decode(new, skip_special_tokens=True))

    def play(self, cards: Sequence[RoleCard], protocol: Protocol) -> dict[str, list[str]]:
        """The texts of each card's dialogue, opening first."""
        dialogues = {}
        for card in cards:
            turns = [protocol.opening(card)]
            for _ in range(protocol.rounds):
                for side, settings in (("seeker", protocol.seeker), ("supporter", protocol.supporter)):
                    conversation = protocol.conversation(card, turns, side)  # type: ignore[arg-type]
                    text = self.answer(conversation, settings.max_new_tokens)
                    turns.append(Turn(role=side, text=text.strip()))  # type: ignore[arg-type]
            dialogues[card.id] = [turn.text for turn in turns]
        return dialogues


class Batching:
    """transformers' own continuous batching (``generate_batch``) as a chat model; encodes every history anew."""

    concurrent = False

    def __init__(self, engine: HFModel, model: Any, parallel: int) -> None:
        self.engine, self.model, self.parallel = engine, model, parallel
        self.name, self.identity = "transformers-batching", {"kind": "transformers-batching"}

    def reply(
        self,
        conversations: Sequence[Conversation],
        settings: Generation,
        seeds: Sequence[int],  # noqa: ARG002
    ) -> Iterator[tuple[int, Reply]]:
        """Greedy replies of exactly ``max_new_tokens``."""
        prompts = [self.engine.encode(conversation) for conversation in conversations]
        config = GenerationConfig(
            max_new_tokens=settings.max_new_tokens, do_sample=False, pad_token_id=self.engine.pad, eos_token_id=-1
        )
        found = self.model.generate_batch(inputs=prompts, generation_config=config)
        for index, key in enumerate(sorted(found, key=lambda name: int(name.rpartition("_")[2]))):
            new = found[key].generated_tokens
            text = self.engine.tokenizer.decode(new, skip_special_tokens=True)
            yield index, Reply(text, "length", len(prompts[index]), len(new))
