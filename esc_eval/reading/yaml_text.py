"""YAML as plain data: texts, numbers, true, false, lists and mappings whose keys are text, each key once.

What YAML would turn into something else is not: a date stays the text that it is written as, tags and aliases that
multiply without end are refused.
"""

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

from esc_eval.errors import BadRecord
from esc_eval.reading.json_text import DEEPEST
from esc_eval.reading.plain import read_text

LARGEST = 4 << 20
_MERGE = "tag:yaml.org,2002:merge"
_KINDS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "seq", "map")}
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MULTIPLIED = 10_000
"""Values that aliases may add."""
_HALF = re.compile("[\ud800-\udfff]")


class _WrongError(Exception):
    def __init__(self, node: yaml.Node, what: str) -> None:
        super().__init__(what)
        self.line = node.start_mark.line + 1


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without dates."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in kinds if tag != _TIMESTAMP]
    for first, kinds in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, path: Path | str) -> Any:
    """The value in YAML text; None where there is none.

    Raises:
        BadRecord: It is no YAML, or more than plain data; with the line.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        written = _count(node)
        _measure(node, {}, set(), 0, written)
        return loader.construct_document(node)
    except _WrongError as error:
        _refuse(path, error.line, f"not readable as YAML: {error}", error)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        _refuse(path, mark.line + 1 if mark else 1, f"not readable as YAML: {error.problem or error.context}", error)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        _refuse(path, line, f"not readable as YAML: {error.reason}", error)
    except RecursionError as error:
        _refuse(path, 1, f"nested deeper than {DEEPEST} levels", error)
    except (yaml.YAMLError, ValueError, OverflowError, AttributeError, IndexError, TypeError) as error:
        # PyYAML's own scanner and constructors stumble over some texts that are no YAML, and over endless numbers.
        line = loader.line + 1 if loader is not None else 1
        _refuse(path, line, "not readable as YAML, or a number of thousands of digits", error)
    finally:
        if loader is not None:
            loader.dispose()


def _refuse(path: Path | str, line: int, what: str, error: Exception) -> NoReturn:
    raise BadRecord(path, f"line {line}", what) from error


def _count(root: yaml.Node) -> int:
    """Nodes that are written, each once."""
    seen, waiting = {id(root)}, [root]
    while waiting:
        node = waiting.pop()
        for child in _children(node):
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    return len(seen)


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _measure(node: yaml.Node, known: dict[int, int], inside: set[int], depth: int, written: int) -> int:
    """Values that a node stands for, aliases followed; refuses what is no plain data on the way."""
    if id(node) in inside:
        raise _WrongError(node, "an alias stands inside of what it means")
    if depth > DEEPEST:
        raise _WrongError(node, f"nested deeper than {DEEPEST} levels")
    if id(node) in known:
        return known[id(node)]
    if node.tag not in _KINDS:
        raise _WrongError(node, f"the tag {node.tag.rpartition(':')[2]} is not read; write plain data")
    if isinstance(node, yaml.ScalarNode) and _HALF.search(node.value):
        raise _WrongError(node, "half of a surrogate pair, which is no character")
    if isinstance(node, yaml.MappingNode):
        _check_keys(node)
    children = _children(node)
    if isinstance(node, yaml.MappingNode):
        children = [child for child in children if child.tag != _MERGE]
    inside.add(id(node))
    total = 1
    for child in children:
        total += _measure(child, known, inside, depth + 1, written)
        if total > 10 * written + _MULTIPLIED:
            raise _WrongError(node, "aliases make more values of it than are written; write it out")
    inside.discard(id(node))
    known[id(node)] = total
    return total


def _check_keys(node: yaml.MappingNode) -> None:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if key.tag == _MERGE:
            continue
        if not isinstance(key, yaml.ScalarNode):
            raise _WrongError(key, "a key is a list or a mapping; keys are text")
        if key.tag != "tag:yaml.org,2002:str":
            kind = key.tag.rpartition(":")[2]
            raise _WrongError(key, f"the key {key.value[:40]!r} is read as {kind}, not as text; write it in quotes")
        if key.value in seen:
            raise _WrongError(key, f"the key {key.value[:40]!r} stands twice, first in line {seen[key.value]}")
        seen[key.value] = key.start_mark.line + 1


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        EscEvalError: As ``read_text`` and ``parse_yaml``, or no mapping.
    """
    content = parse_yaml(read_text(path, LARGEST), path)
    if not isinstance(content, dict):
        raise BadRecord(path, "the whole file", "expected a mapping of keys to values")
    return content
