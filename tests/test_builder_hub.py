"""A build goes to a Hub and comes back: against a stand-in on this machine that answers what the client asks."""

import base64
import json
import os
import subprocess
import sys
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

from dataset_builder.build import Inputs, build

ROOT = Path(__file__).resolve().parent.parent
REPO = "me/esc-eval"
COMMIT = "1" * 40


class Hub(BaseHTTPRequestHandler):
    """One dataset repo in memory: create, preupload, commit, tag, info, tree, paths-info, resolve."""

    files: dict[str, bytes]
    tags: list[str]

    def log_message(self, *_):
        pass

    def answer(self, content, status=200, headers=()):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": COMMIT, **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def entry(self, path):
        content = self.files[path]
        return {"type": "file", "path": path, "size": len(content), "oid": sha1(content).hexdigest()}

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        path = urlsplit(self.path).path
        if path == "/api/repos/create":
            self.answer({"url": f"https://huggingface.co/datasets/{REPO}", "id": REPO})
        elif "/preupload/" in path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.answer({"files": [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]})
        elif "/commit/" in path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.answer(
                {
                    "success": True,
                    "commitOid": COMMIT,
                    "commitUrl": f"https://huggingface.co/datasets/{REPO}/commit/{COMMIT}",
                }
            )
        elif "/tag/" in path:
            self.tags.append(json.loads(body)["tag"])
            self.answer({})
        elif "/paths-info/" in path:
            wanted = json.loads(body)["paths"]
            self.answer([self.entry(name) for name in wanted if name in self.files])
        else:
            self.answer({"errors": [], "warnings": []})

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        if "/resolve/" in path:
            name = path.split("/resolve/", 1)[1].partition("/")[2]
            if name not in self.files:
                self.answer({}, 404, {"X-Error-Code": "EntryNotFound"})
                return
            etag = {"ETag": f'"{sha256(self.files[name]).hexdigest()}"', "Accept-Ranges": "none"}
            self.answer(self.files[name], headers=etag)
        elif "/tree/" in path:
            below = path.split("/tree/", 1)[1].partition("/")[2]
            self.answer([self.entry(name) for name in sorted(self.files) if name.startswith(below)])
        else:
            siblings = [{"rfilename": name} for name in sorted(self.files)]
            self.answer({"id": REPO, "sha": COMMIT, "private": False, "tags": [], "siblings": siblings, "gated": False})

    do_HEAD = do_GET


@pytest.fixture
def hub(tmp_path):
    handler = type("Handler", (Hub,), {"files": {}, "tags": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    # The client reads these when it is imported, so it runs in a process of its own.
    handler.environment = os.environ | {
        "HF_ENDPOINT": address, "HF_TOKEN": "hf_standin", "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
    }  # fmt: skip
    yield handler
    server.shutdown()


def run(hub, *arguments):
    done = subprocess.run([sys.executable, *arguments], env=hub.environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_build_that_was_pushed_loads_from_its_repo(hub, tmp_path):
    build(Inputs(public=True), tmp_path / "public")
    shown = run(hub, "-m", "dataset_builder", "push", str(tmp_path / "public"), "--repo", REPO, "--tag", "v1", "--push")
    assert COMMIT in shown
    assert hub.tags == ["v1"]
    local = {p.relative_to(tmp_path / "public").as_posix(): p.read_bytes() for p in (tmp_path / "public").rglob("*.*")}
    assert hub.files == {name: content for name, content in local.items() if (tmp_path / "public" / name).is_file()}
    code = (
        "from datasets import load_dataset\n"
        f"for table in ('role_cards', 'dialogues', 'annotations'):\n"
        f"    print(table, len(load_dataset('{REPO}', table, split='test')))\n"
    )
    assert run(hub, "-c", code).split() == ["role_cards", "24", "dialogues", "4", "annotations", "56"]
