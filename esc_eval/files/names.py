"""Names that others gave, such as those of models, as names of files."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from hashlib import sha256

LONGEST = 60
"""Characters of a file's name: at four bytes each still under the 255 bytes that file systems allow."""


def name_files(names: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """A file name for each name, without an ending: what a file system may refuse becomes ``_``, no two are the same.

    Where several would be (upper and lower case taken for one), a piece of the name's hash is put behind those that
    were changed, or behind all; and behind what would be ``taken``, the names of files beside them (in lower case).

    >>> name_files(["a/b", "a_b", "c/d"])
    {'a/b': 'a_b-c14cddc0', 'a_b': 'a_b', 'c/d': 'c_d'}
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        alike[_stem(name).casefold()].append(name)
    found = {}
    for group in alike.values():
        unchanged = [name for name in group if _stem(name) == name]
        for name in group:
            plain = (len(group) == 1 or unchanged == [name]) and _stem(name).casefold() not in taken
            found[name] = _stem(name) if plain else f"{_stem(name)}-{_hash(name)}"
    return found


def _stem(name: str) -> str:
    plain = re.sub(r'[\x00-\x1f\x7f-\x9f/\\:*?"<>|\ud800-\udfff]', "_", name).strip(". ") or "_"
    return plain if len(plain) <= LONGEST else f"{plain[:LONGEST]}-{_hash(name)}"


def _hash(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
