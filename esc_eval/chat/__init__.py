"""Chat models by name: ``embedded``, ``hf:REPO_OR_DIR[@revision]``, ``openai:MODEL[@URL]``, a checkpoint's folder."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from esc_eval.chat.base import ChatModel, Choice, ChoiceModel, Conversation, Reply
from esc_eval.errors import EscEvalError
from esc_eval.prompts.wording import FrozenYaml

__all__ = ["ChatModel", "Choice", "ChoiceModel", "Conversation", "Options", "Reply", "label_of", "open_model"]

SPEC = re.compile(
    r"(?:(?P<name>[\w.\-]+)=)?(?P<kind>embedded|hf|openai|python|scripted|esc-rank|esc-role)(?::(?P<what>.+))?",
    re.DOTALL,
)
KINDS = (
    "embedded, hf:REPO_OR_DIR[@revision], openai:MODEL[@URL], python:MODULE:FUNCTION, scripted:FILE, "
    "esc-rank[:ADAPTERS[@BASE]], esc-role[:DIR], the folder of a checkpoint"
)
ALONE = {"embedded", "esc-rank", "esc-role"}


def _several(value: object) -> object:
    """One of something, or None, as a tuple."""
    return () if value is None else (value,) if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]


class Options(FrozenYaml):
    """How models are opened; none of it belongs to a model's identity, save dtype.

    Attributes:
        base_url: Of ``openai:`` models; several servers of the same model share the work.
        concurrency: Requests under way at once, of ``openai:`` models (None: 16), or calls of a Python function (None:
            one of a plain function, 16 of an async one).
        timeout: Seconds for one request, of ``openai:`` models.
        attempts: Tries of one request before its run stops, of ``openai:`` models.
        batch_size, device, dtype: Of models in this process; None picks. ``int8`` is for CPUs: faster, other text.
    """

    base_url: Texts = ()
    concurrency: int | None = Field(default=None, ge=1)
    timeout: float = Field(default=120.0, ge=0.1)
    attempts: int = Field(default=8, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    device: str | None = None
    dtype: str | None = None


def _read(spec: str) -> tuple[str | None, str, str | None]:
    """Label given to a model (None = none), kind, and what of that kind."""
    match = SPEC.fullmatch(spec)
    if match is None:
        name, _, folder = ("", "", spec) if Path(spec).is_dir() else spec.partition("=")
        if folder and (Path(folder) / "text_scorer.json").is_file():
            raise EscEvalError(f"{folder} holds a text scorer: it rates dialogues and cannot talk; give it as --scorer")
        if folder and Path(folder).is_dir():
            return name or None, "hf", folder
    if (
        match is None
        or (match["what"] is None and match["kind"] not in ALONE)
        or (match["what"] and match["kind"] == "embedded")
    ):
        raise EscEvalError(f"{spec!r} names no chat model. Known: {KINDS}.")
    return match["name"], match["kind"], match["what"]


def label_of(spec: str) -> str:
    """The name that a model will have, without opening it.

    Raises:
        EscEvalError: No such kind of model.
    """
    name, kind, found = _read(spec)
    what = (found or kind).partition("@")[0].rstrip("/")
    if kind == "python":
        return name or re.split("[:.]", what)[-1]
    return name or (Path(what).stem if kind == "scripted" else what.rpartition("/")[2])


def open_model(spec: str, options: Options = Options()) -> ChatModel:  # noqa: B008  frozen
    """Open a chat model.

    Args:
        spec: ``embedded``, ``hf:REPO_OR_DIR[@revision]``, ``openai:MODEL[@URL]``, ``python:MODULE:FUNCTION``,
            ``scripted:FILE``; the released ``esc-rank[:ADAPTERS[@BASE]]`` (folders of the adapters and of
            internlm2-chat-7b; without, the Hub at the pinned revisions) and ``esc-role[:DIR]``; the folder of a
            checkpoint, or of adapters, e.g. one that ``training`` made; ``NAME=SPEC`` gives it a label of its own.
        options: How it is opened.

    Raises:
        EscEvalError: No such kind, or the model cannot be opened; the message says what to do.
    """
    name, kind, what = _read(spec)
    if kind == "scripted" and what:
        from esc_eval.chat.backends.scripted import ScriptedModel

        return ScriptedModel(Path(what), name)
    if kind == "python" and what:
        from esc_eval.chat.backends.python import as_model, import_object

        return as_model(import_object(what), label_of(spec), options.concurrency)
    if kind == "openai" and what:
        from esc_eval.chat.endpoint.model import EndpointModel

        model, _, url = what.partition("@http")
        return EndpointModel(
            model,
            f"http{url}" if url else options.base_url,
            name=name,
            concurrency=options.concurrency or 16,
            timeout=options.timeout,
            attempts=options.attempts,
        )
    try:
        from esc_eval.chat.engine.hf import HFModel
    except ImportError as error:
        raise EscEvalError(
            f"{spec}: models in this process need the local extra ({error.name} is missing): "
            'pip install "esc-eval[local]"'
        ) from error
    here: dict[str, Any] = {"dtype": options.dtype, "device": options.device, "batch_size": options.batch_size}
    if kind == "hf" and what:
        from esc_eval.chat.engine.adapters import TrainedAdapters, find_adapters

        if not (Path(what) / "config.json").is_file() and find_adapters(Path(what)):
            return TrainedAdapters(Path(what), name, **here)
        repo, _, revision = (what, "", "") if Path(what).is_dir() else what.partition("@")
        return HFModel(repo, revision or None, name=name, **here)
    if kind == "esc-rank":
        from esc_eval.chat.engine.esc_rank import RankModel

        adapters, _, base = (what or "").partition("@")
        return RankModel(adapters or None, base or None, name=name, **here)
    if kind == "esc-role":
        from esc_eval.chat.engine.esc_role import RoleModel

        return RoleModel(what, name=name, **here)
    from esc_eval.checkpoints import embedded

    folder, revision = embedded.convert_embedded()
    return HFModel(str(folder), name=name or "embedded", stands_for=revision, **here)
