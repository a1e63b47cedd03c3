"""The official wording, read from the user's own checkout of haidequanbu/ESC-Eval @ 9ad46e7.

The release states no licence, so none of its sentences are in this package. ``score.py`` and ``evaluate.py`` are
parsed with ``ast`` and never executed: only literals, names, ``+``, subscripts and a few string methods are followed,
so a prompt comes out byte for byte as the published lines would build it, with all their quirks.
"""

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from esc_eval.errors import EscEvalError
from esc_eval.files.official import PROTOCOL, line_from_turn, official_names
from esc_eval.files.official_dimensions import RUBRIC, find_official, official_dimensions
from esc_eval.files.text import read_text
from esc_eval.languages import known_languages
from esc_eval.prompts.protocol import Generation, Message, Protocol, ProtocolText
from esc_eval.reading import read_bytes
from esc_eval.schema import Dialogue, Turn

COMMIT = "9ad46e7b5e247e824dae4633910eaa82be668beb"
SHA256 = {
    "score.py": "1d775462adc7687d84ceb19d3648c3c917abf7ceed8b052b1fed8e4740f12724",
    "evaluate.py": "e66bda0e1093c2bec7c46daa6a64584cc6153e1f1bfde94b3fa2fd3c8f5629f8",
}
ESC_ROLE = Generation(max_new_tokens=512, temperature=0.7, top_p=0.8, top_k=20, repetition_penalty=1.05)

_METHODS = {"join", "replace", "strip", "lstrip", "rstrip", "format"}


class NotFollowed(Exception):
    """A piece of Python that this reader does not follow."""


def evaluate_expression(node: ast.expr, names: Mapping[str, Any]) -> Any:
    """The value of an expression made of literals, known names, ``+``, subscripts and string methods.

    Raises:
        NotFollowed: Anything else occurs in it, or it fails; nothing is ever called but methods of ``str``.
    """
    try:
        return _value(node, names)
    except (TypeError, LookupError, ValueError, AttributeError) as error:
        raise NotFollowed(f"{ast.unparse(node)[:80]} ({error})") from error


def _value(node: ast.expr, names: Mapping[str, Any]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [evaluate_expression(item, names) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            return {
                evaluate_expression(k, names): evaluate_expression(v, names)
                for k, v in zip(keys, values, strict=True)
                if k
            }
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return evaluate_expression(left, names) + evaluate_expression(right, names)
        case ast.Subscript(value=value, slice=index):
            return evaluate_expression(value, names)[evaluate_expression(index, names)]
        case ast.Call(func=ast.Attribute(value=value, attr=attr), args=args, keywords=[]) if attr in _METHODS:
            text = evaluate_expression(value, names)
            if isinstance(text, str):
                return getattr(text, attr)(*(evaluate_expression(arg, names) for arg in args))
    raise NotFollowed(ast.unparse(node)[:80])


def _sources(folder: Path, name: str, allow_unknown: bool) -> tuple[ast.Module, str]:
    path = folder / name
    if not path.is_file():
        raise EscEvalError(f"{path}: no such file. Give a checkout of github.com/haidequanbu/ESC-Eval at {COMMIT[:7]}.")
    found = _hash_lines(path)
    if found != SHA256[name] and not allow_unknown:
        raise EscEvalError(
            f"{path}: sha256 {found}, but {name} of commit {COMMIT[:7]} has {SHA256[name]}. The adapters were trained "
            f"on that wording: run `git checkout {COMMIT}` there, or say --allow-unknown to use this file all the same."
        )
    try:
        return ast.parse(read_text(path), filename=str(path)), found
    except SyntaxError as error:
        raise EscEvalError(f"{path}, line {error.lineno}: no Python: {error.msg}") from error


def _hash_lines(path: Path) -> str:
    """Sha256 of a file with the release's ends of lines: git may write CRLF in a checkout, which Python reads alike."""
    return sha256(read_bytes(path).replace(b"\r\n", b"\n")).hexdigest()


@dataclass(frozen=True)
class OfficialWording:
    """The rubric prompts of score.py, and how it puts one together with a dialogue.

    Attributes:
        prompts: Seven rubric texts by the release's suffix of a language.
        names: What each dimension is called in the closing instruction.
        keys: Our keys of the dimensions, in the order of the release.
        steps: The published lines that build a prompt: pairs of a name and the expression that it is given.
        message: Name that holds the finished prompt.
        sha256: Of the file.
    """

    prompts: Mapping[str, Sequence[str]]
    names: Sequence[str]
    keys: Sequence[str]
    steps: Sequence[tuple[str, ast.expr]]
    message: str
    sha256: str
    id: str = RUBRIC

    def prompt(self, dialogue: Dialogue, key: str) -> str:
        """The prompt of one dimension, as the published code would build it from the dialogue's marked lines.

        Args:
            dialogue: With its markers as read (``Turn.prefix``), or as the release spells them.
            key: Our key of the dimension.

        Raises:
            EscEvalError: No such dimension, or the release does not have the dialogue's language.
        """
        if key not in self.keys:
            raise EscEvalError(f"the official wording has no dimension {key!r}, only {list(self.keys)}")
        suffix = official_names(dialogue.language).suffix
        if suffix not in self.prompts:
            raise EscEvalError(f"the official wording is in {', '.join(self.prompts)}, not in {dialogue.language!r}")
        position = self.keys.index(key)
        names: dict[str, Any] = {
            "prompt_list": self.prompts[suffix],
            "item": [line_from_turn(turn) for turn in dialogue.turns],
            "index_d": position,
            "dimention": self.names[position],
        }
        for name, expression in self.steps:
            names[name] = evaluate_expression(expression, names)
        return str(names[self.message])

    def conversations(self, dialogue: Dialogue, system: str = "") -> list[list[Message]]:
        """One conversation for each dimension; ``system`` is what the model's own ``chat`` puts before it."""
        opening: list[Message] = [{"role": "system", "content": system}] if system else []
        return [[*opening, {"role": "user", "content": self.prompt(dialogue, key)}] for key in self.keys]


def load_wording(folder: str | Path, allow_unknown: bool = False) -> OfficialWording:
    """The wording of score.py in a checkout of the official repository.

    Args:
        folder: The checkout.
        allow_unknown: Accept a file with another sha256, if its structure is the known one.

    Raises:
        EscEvalError: No such file, another sha256, or a structure that is not the known one.
    """
    tree, found = _sources(Path(folder), "score.py", allow_unknown)
    path = Path(folder) / "score.py"
    prompts = {suffix: f"prompt_{suffix.upper()}" for suffix in _suffixes()}
    lists = (*prompts.values(), "dimention_list", "key_list")
    values: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in lists:
            values[node.targets[0].id] = _literal(node.value, path)
    if missing := [name for name in lists if name not in values]:
        raise EscEvalError(f"{path}: no list called {', '.join(missing)}; this is not the score.py that is known")
    for name, value in values.items():
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise EscEvalError(f"{path}: {name} is no list of texts; this is not the score.py that is known")
    dimensions = [find_official(key) for key in values["key_list"]]
    sizes = {name: len(values[name]) for name in lists}
    if None in dimensions or set(sizes.values()) != {len(official_dimensions())}:
        raise EscEvalError(f"{path}: expected seven known dimensions in each list, found {sizes}, {values['key_list']}")
    steps, message = _steps(tree, path)
    wording = OfficialWording(
        prompts={suffix: values[name] for suffix, name in prompts.items()},
        names=values["dimention_list"],
        keys=[dimension.key for dimension in dimensions if dimension],
        steps=steps,
        message=message,
        sha256=found,
        id=_version(RUBRIC, found, "score.py"),
    )
    try:
        wording.prompt(
            Dialogue(id="trial", language=next(iter(_suffixes().values())), turns=(Turn(role="seeker", text="x"),)),
            wording.keys[0],
        )
    except (NotFollowed, KeyError) as error:
        raise EscEvalError(f"{path}: builds its prompts in a way that is not followed here: {error}") from error
    return wording


def _suffixes() -> dict[str, str]:
    """Codes of the languages that the release has, by its suffix of each; one that a user added is not among them."""
    return {row.official.suffix: row.code for row in known_languages().values() if row.official and row.in_release}


def _version(name: str, found: str, file: str) -> str:
    return name if found == SHA256[file] else f"{name}-changed-{found[:8]}"


def _literal(node: ast.expr, path: Path) -> Any:
    try:
        return evaluate_expression(node, {})
    except NotFollowed as error:
        raise EscEvalError(f"{path}, line {node.lineno}: expected literals, found {error}") from error


def _steps(tree: ast.Module, path: Path) -> tuple[list[tuple[str, ast.expr]], str]:
    """The assignments of the innermost loop over dimensions that lead to the message, and the message's name."""
    loops = [n for n in ast.walk(tree) if isinstance(n, ast.For) and "dimention_list" in ast.unparse(n.iter)]
    for loop in loops:
        steps: list[tuple[str, ast.expr]] = []
        for line in loop.body:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    steps.append((name, value))
                case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value):
                    steps.append((name, ast.BinOp(ast.Name(name, ast.Load()), ast.Add(), value)))
                case ast.Expr(value=ast.Call(func=ast.Attribute(attr="append"), args=[ast.Dict() as content])):
                    shown = {
                        k.value: v
                        for k, v in zip(content.keys, content.values, strict=True)
                        if isinstance(k, ast.Constant)
                    }
                    if isinstance(shown.get("content"), ast.Name):
                        name = shown["content"].id  # type: ignore[attr-defined]
                        return _needed(steps, name), name
    raise EscEvalError(
        f"{path}: no loop over dimention_list that appends a message; this is not the score.py that is known"
    )


def _needed(steps: Sequence[tuple[str, ast.expr]], message: str) -> list[tuple[str, ast.expr]]:
    wanted, kept = {message}, []
    for name, value in reversed(steps):
        if name in wanted:
            kept.append((name, value))
            wanted |= {n.id for n in ast.walk(value) if isinstance(n, ast.Name)}
    return kept[::-1]


def load_protocol(folder: str | Path, allow_unknown: bool = False) -> Protocol:
    """The dialogue protocol of evaluate.py in a checkout of the official repository.

    The seeker has the settings of ESC-Role's generation_config; the supporter is greedy with the cap of the release's
    greedy wrapper (its Llama-3 one).

    Args:
        folder: The checkout.
        allow_unknown: Accept a file with another sha256, if its structure is the known one.

    Raises:
        EscEvalError: No such file, another sha256, or a structure that is not the known one.
    """
    tree, found = _sources(Path(folder), "evaluate.py", allow_unknown)
    path = Path(folder) / "evaluate.py"
    texts: dict[str, ProtocolText] = {}
    system = _message(tree, "insert", "system", path)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and "language" in ast.unparse(node.test):
            prompts = [_prompt(branch) for branch in (node.body, node.orelse)]
            if all(prompts):
                order = sorted(_suffixes().items(), key=lambda item: item[0] not in ast.unparse(node.test))
                for (_, language), branch, prompt in zip(order, (node.body, node.orelse), prompts, strict=True):
                    opening = _message(ast.Module(branch, []), "append", "user", path)
                    texts[language] = ProtocolText(seeker=prompt or "", opening=opening, supporter=system)
    rounds = [
        n.iter.args[0].value
        for n in ast.walk(tree)
        if isinstance(n, ast.For)
        and isinstance(n.iter, ast.Call)
        and ast.unparse(n.iter.func) == "range"
        and isinstance(n.iter.args[0], ast.Constant)
    ]
    caps = [
        keywords["max_new_tokens"]
        for n in ast.walk(tree)
        if isinstance(n, ast.Call)
        and (keywords := {k.arg: k.value.value for k in n.keywords if isinstance(k.value, ast.Constant)})
        and keywords.get("do_sample") is False
        and "max_new_tokens" in keywords
    ]
    if not texts or len(rounds) != 1 or not caps:
        raise EscEvalError(f"{path}: role prompts, rounds or settings not where they are known to be")
    return Protocol(
        name=PROTOCOL.partition("/")[0],
        version=_version(PROTOCOL, found, "evaluate.py").partition("/")[2],
        rounds=rounds[0],
        supporter_sees_opening=False,
        seeker=ESC_ROLE,
        supporter=Generation(max_new_tokens=caps[0]),
        texts=texts,
    )


def _prompt(branch: Sequence[ast.stmt]) -> str | None:
    """The seeker's prompt of one language, with ``{card}`` where the card's text goes."""
    for line in branch:
        match line:
            case ast.Assign(targets=[ast.Name(id="prompt")], value=value):
                try:
                    return str(evaluate_expression(value, {"tem_data": {"base": "{card}"}}))
                except NotFollowed:
                    return None
    return None


def _message(tree: ast.AST, method: str, role: str, path: Path) -> str:
    """The content of the first literal message of a role that is handed to ``.append`` or ``.insert``."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr), args=[*_, ast.Dict() as given]) if attr == method:
                try:
                    message = evaluate_expression(given, {})
                except NotFollowed:
                    continue
                if isinstance(message, dict) and message.get("role") == role:
                    return str(message["content"])
    raise EscEvalError(f"{path}: no literal {role} message; this is not the evaluate.py that is known")
