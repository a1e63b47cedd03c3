"""Xet storage of the Hub on loopback: a folder that ``hf_xet``, the client's own library, writes to and reads from.

The format of a shard is that of https://huggingface.co/docs/xet: a header, then for each file its hash, its terms, and
the sha256 that a commit names it by.
"""

import struct
import time
from pathlib import Path

ROW = 48
END = b"\xff" * 32
WITH_VERIFICATION, WITH_SHA256 = 1 << 31, 1 << 30


def spelled(hash: bytes) -> str:
    """A hash as Xet spells it: four little-endian numbers in hexadecimal."""
    return "".join(hash[at : at + 8][::-1].hex() for at in range(0, 32, 8))


def files_of(shard: bytes) -> dict[str, str]:
    """sha256 of each file in a shard -> its Xet hash."""
    found, at = {}, ROW
    while (name := shard[at : at + 32]) != END:
        flags, terms = struct.unpack_from("<II", shard, at + 32)
        at += ROW * (1 + terms * (2 if flags & WITH_VERIFICATION else 1))
        if flags & WITH_SHA256:
            found[spelled(shard[at : at + 32])] = spelled(name)
            at += ROW
    return found


class XetStore:
    """The storage; clients get its address with their token."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def token(self) -> dict[str, str | int]:
        """What a client that asks for a token is told."""
        return {"casUrl": f"local://{self.folder}", "accessToken": "loopback", "exp": int(time.time()) + 3600}

    def name(self, sha256: str) -> str | None:
        """The Xet hash of a file that was uploaded; None = it was not."""
        for path in self.folder.rglob("shards/*.mdb"):
            if name := files_of(path.read_bytes()).get(sha256):
                return name
        return None

    def content(self, sha256: str, size: int) -> bytes | None:
        """An uploaded file, put together from its chunks; None = there is none."""
        import hf_xet

        name = self.name(sha256)
        if name is None:
            return None
        out = self.folder / "read back"
        with hf_xet.XetSession().new_file_download_group(endpoint=f"local://{self.folder}") as group:
            group.start_download_file(hf_xet.XetFileInfo(name, size), str(out))
        return out.read_bytes()
