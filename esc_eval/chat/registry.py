"""Backends: how chat models of a kind are opened, and what the rest of the package has to know about them.

Ours are the modules of ``esc_eval.chat.backends``, one each. Other packages name theirs as entry points of the group
``esc_eval.backends``; a module is loaded when a model is first named, so it imports nothing heavy at its top.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules
from typing import Annotated, Any, TypedDict, Unpack

from pydantic import BeforeValidator, Field

from esc_eval.chat.base import ChatModel
from esc_eval.errors import EscEvalError
from esc_eval.files.frozen_yaml import FrozenYaml
from esc_eval.reading.json_text import explain_json

OURS = "esc_eval.chat.backends"
GROUP = "esc_eval.backends"
NAME = re.compile(r"[a-z][a-z0-9\-]*")
SPEC = re.compile(r"(?:(?P<label>[\w.\-]+)=)?(?P<backend>[a-z][a-z0-9\-]*)(?::(?P<what>.+))?", re.DOTALL)


def _several(value: object) -> object:
    """One of something, or None, as a tuple."""
    return () if value is None else (value,) if isinstance(value, str) else value


def _read_object(value: object) -> object:
    """A JSON object, of its text or as it is."""
    found = value
    if isinstance(value, str):
        found, wrong = explain_json(value)
        if wrong:
            raise ValueError(f"no JSON: {wrong[1]}")
        if not isinstance(found, dict):
            raise ValueError(f'expected a JSON object such as {{"reasoning_effort": "low"}}, not {value!r}')
    if isinstance(found, dict) and not _is_finite(found):
        raise ValueError("NaN and Infinity are no JSON")
    return found


def _is_finite(found: object) -> bool:
    try:
        json.dumps(found, allow_nan=False)
    except ValueError:
        return False
    except TypeError:
        pass  # what is no JSON at all is said where it is sent
    return True


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
JsonObject = Annotated[dict[str, Any], BeforeValidator(_read_object)]


class Options(FrozenYaml):
    """How models are opened; of it dtype, deterministic, extra_body and reasoning_tokens belong to a model's identity.

    Attributes:
        base_url: Of pooled backends; several servers of the same model share the work.
        concurrency: Conversations under way at once, of concurrent backends; None: 16, or one of a plain function.
        timeout: Seconds for one whole request, of remote backends.
        attempts: Tries of one request before it is given up, of remote backends.
        extra_body: Fields added to each request to a server, above all others; None as a value drops a field.
        reasoning_tokens: Tokens beside the cap on a reply that a model may think in.
        api_key_env: ``[LABEL=]NAME``: variables of the environment with the keys that are sent to servers.
        key_over_plain_http: Whether a key may be sent where others can read it.
        batch_size, device, dtype: Of models in this process; None picks. ``int8`` is for CPUs: faster, other text.
        deterministic: Whether models in this process compute in passes of fixed shapes, so that no text depends on who
            shares its batch; slower.
    """

    base_url: Texts = ()
    concurrency: int | None = Field(default=None, ge=1)
    timeout: float = Field(default=120.0, ge=0.1)
    attempts: int = Field(default=8, ge=1)
    extra_body: JsonObject | None = None
    reasoning_tokens: int = Field(default=0, ge=0)
    api_key_env: Texts = ()
    key_over_plain_http: bool = False
    batch_size: int | None = Field(default=None, ge=1)
    device: str | None = None
    dtype: str | None = None
    deterministic: bool = False

    @property
    def of_requests(self) -> dict[str, Any]:
        """Those of a model behind a server, whatever it speaks, by name."""
        names = ("key_over_plain_http", "timeout", "attempts")
        return {"concurrency": self.concurrency or 16, **{name: getattr(self, name) for name in names}}

    @property
    def of_completions(self) -> dict[str, Any]:
        """The same of one that gives chat completions."""
        return {
            **self.of_requests,
            "extra_body": self.extra_body,
            "reasoning_tokens": self.reasoning_tokens,
        }

    @property
    def in_process(self) -> dict[str, Any]:
        """Those of a model in this process, by name."""
        names = ("dtype", "device", "batch_size", "reasoning_tokens", "deterministic")
        return {name: getattr(self, name) for name in names}


Opener = Callable[[str, str | None, Options], ChatModel]
"""Opens a model: what was named of the backend ("" = nothing), the label it was given (None = none), how."""


def name_after_slash(what: str) -> str:
    """The label of a repository, folder or model: its last part, without revision or address."""
    name = what.partition("@")[0].rstrip("/").rpartition("/")[2]
    return Path(what).resolve().name if name in (".", "..") else name


@dataclass(frozen=True)
class Backend:
    """A kind of chat model.

    Attributes:
        name: What a model's name begins with.
        form: How a model of it is written, such as ``openai:MODEL[@URL]``.
        help: What such a model is, in a few words.
        open: Opens one.
        key: Environment variable with the secret that it sends; None = it sends none.
        remote: Whether a server answers, and not this process.
        pooled: Whether ``--base-url`` is meant for it; elsewhere an address stands in the name, or the vendor has it.
        concurrent: Whether several conversations can be under way at once, as many as ``--concurrency`` says.
        priced: Whether a ``--price`` that names nobody is meant for it: its tokens cost money.
        extra: Extra of this package that it needs.
        folders: Whether a folder that is named alone is one of its models.
        label: A model's label, from what was named of the backend.
        look: What is here of it, and what to type where something is missing (None = nothing is).
    """

    name: str
    form: str
    help: str
    open: Opener
    key: str | None = None
    remote: bool = False
    pooled: bool = False
    concurrent: bool = False
    priced: bool = False
    extra: str | None = None
    folders: bool = False
    label: Callable[[str], str] = name_after_slash
    look: Callable[[], tuple[str, str | None]] | None = None

    def __post_init__(self) -> None:
        rest = self.form.removeprefix(self.name)
        if not NAME.fullmatch(self.name) or rest == self.form or not (rest == "" or rest.startswith((":", "[:"))):
            raise EscEvalError(
                f"backend {self.name!r}: a name is a-z, 0-9 and -, and a form is the name alone or with :WHAT or "
                f"[:WHAT] after it; this form is {self.form!r}"
            )

    def takes(self, what: str) -> bool:
        """Whether this, or nothing, may be named of it."""
        rest = self.form.removeprefix(self.name)
        return bool(rest) if what else not rest.startswith(":")


class About(TypedDict, total=False):
    """What a registration may say of a backend; see ``Backend``."""

    key: str | None
    remote: bool
    pooled: bool
    concurrent: bool
    priced: bool
    extra: str | None
    folders: bool
    label: Callable[[str], str]
    look: Callable[[], tuple[str, str | None]] | None


_known: dict[str, Backend] = {}
_unusable: dict[str, str] = {}


def backend(name: str, *, form: str, help: str, **about: Unpack[About]) -> Callable[[Opener], Opener]:
    """Register the function below it as the opener of a kind of chat model.

    Args:
        name, form, help, about: As of ``Backend``.

    Raises:
        EscEvalError: The name is taken, or name or form are no such.
    """

    def register(opener: Opener) -> Opener:
        made = Backend(name, form, help, opener, **about)
        if not opener.__module__.startswith(f"{OURS}."):
            _load_ours()
        taken = _known.get(name)
        if taken and taken.open.__module__ != opener.__module__:
            raise EscEvalError(
                f"backend {name!r} of {opener.__module__}: the name is taken by {taken.open.__module__}; choose another"
            )
        _known[name] = made
        return opener

    return register


@cache
def _load_ours() -> None:
    for module in iter_modules(import_module(OURS).__path__):
        import_module(f"{OURS}.{module.name}")


@cache
def _load_others() -> None:
    _load_ours()
    for entry in entry_points(group=GROUP):
        try:
            entry.load()
        except Exception as error:  # noqa: BLE001 - other people's code, which must not break ours
            _unusable[entry.name] = f"{_from(entry)} cannot be loaded: {type(error).__name__}: {error}"
            continue
        found = _known.get(entry.name)
        if found is None or found.open.__module__.partition(".")[0] != entry.module.partition(".")[0]:
            _unusable[entry.name] = f"{_from(entry)} registers no backend of that name"


def _from(entry: EntryPoint) -> str:
    package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "an unknown package"
    return f"backend {entry.name!r} of {package} ({entry.value})"


def known_backends() -> dict[str, Backend]:
    """Every backend by name: ours, then those of other packages."""
    _load_others()
    return dict(_known)


def unusable_backends() -> dict[str, str]:
    """Backends that other packages announce and that cannot be used: why, by name."""
    _load_others()
    return dict(_unusable)


def describe_forms() -> str:
    """How models are written, all backends in one line."""
    return ", ".join(known.form for known in known_backends().values())


def describe_prefixes(chosen: Callable[[Backend], bool]) -> str:
    """What the models of chosen backends begin with, such as ``openai:``."""
    return ", ".join(f"{known.name}:" for known in known_backends().values() if chosen(known))


@dataclass(frozen=True)
class Spec:
    """A model's name, taken apart.

    Attributes:
        given: The label before ``=``; None = none.
        backend: Its backend.
        what: What of the backend; "" = nothing.
    """

    given: str | None
    backend: Backend
    what: str

    @property
    def label(self) -> str:
        """The name that the model will have."""
        return self.given or self.backend.label(self.what or self.backend.name)


def match_spec(spec: str) -> Spec | None:
    """A model's name, taken apart; None where no backend is named."""
    match = SPEC.fullmatch(spec)
    found = known_backends().get(match["backend"]) if match else None
    return Spec(match["label"], found, match["what"] or "") if match and found else None


def read_spec(spec: str) -> Spec:
    """A model's name, taken apart; a folder alone is one too.

    Raises:
        EscEvalError: It names no chat model; the message says what would.
    """
    found = match_spec(spec) or _read_folder(spec)
    if found and found.backend.takes(found.what):
        return found
    match = SPEC.fullmatch(spec)
    if match and (why := unusable_backends().get(match["backend"])):
        raise EscEvalError(f"{spec!r}: {why}")
    raise EscEvalError(f"{spec!r} names no chat model. Known: {describe_forms()}, the folder of a checkpoint.")


def _read_folder(spec: str) -> Spec | None:
    label, _, folder = ("", "", spec) if Path(spec).is_dir() else spec.partition("=")
    if not folder or not Path(folder).is_dir():
        return None
    if (Path(folder) / "text_scorer.json").is_file():
        raise EscEvalError(f"{folder} holds a text scorer: it rates dialogues and cannot talk; give it as --scorer")
    return next((Spec(label or None, known, folder) for known in known_backends().values() if known.folders), None)


def label_of(spec: str) -> str:
    """The name that a model will have, without opening it.

    Raises:
        EscEvalError: No such kind of model.
    """
    return read_spec(spec).label


def open_model(spec: str, options: Options = Options()) -> ChatModel:  # noqa: B008  frozen
    """Open a chat model.

    Args:
        spec: A model of a backend, written as its form says (``esc-eval doctor`` lists them), or the folder of a
            checkpoint or of adapters, e.g. one that ``training`` made; ``NAME=SPEC`` gives it a label of its own.
        options: How it is opened; each backend takes those that concern it.

    Raises:
        EscEvalError: No such kind, or the model cannot be opened; the message says what to do.
    """
    found = read_spec(spec)
    try:
        model = found.backend.open(found.what, found.given, options)
    except ImportError as error:
        if found.backend.extra is None:
            raise
        raise EscEvalError(
            f"{spec}: models in this process need the {found.backend.extra} extra ({error.name or error} is missing): "
            f'pip install "esc-eval[{found.backend.extra}]"'
        ) from error
    if not isinstance(model, ChatModel):
        raise EscEvalError(
            f"{spec}: backend {found.backend.name!r} opened a {type(model).__name__}, which is no chat model: it needs "
            "name, identity, parallel, concurrent and reply"
        )
    return model
