"""A small Hugging Face Hub on loopback: real HTTP, repositories with commits, large files, branches, tags and faults.

It speaks what ``huggingface_hub`` asks for when repositories are created, committed to, tagged, listed and downloaded.
Large files come by Xet, as by default, or by the older way over HTTP (HF_HUB_DISABLE_XET=1). For tests and examples
only: nothing outlives it, any token will do, nothing is private.

usage: python tests/hub_server.py COMMAND [ARGUMENT ...]     runs a command for which this is the Hub
"""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_xet import XetStore

TOKEN = "hf_loopback_only"
LARGE = (".parquet", ".safetensors", ".model")
ID = r"(?P<id>[\w.-]+/[\w.-]+)"
TYPE = r"/api/(?P<type>models|datasets|spaces)/"


def blob(content: bytes) -> str:
    return sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repo:
    """Every commit with its whole tree."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    main: str = ""

    def commit(self, files: dict[str, bytes], message: str) -> str:
        oid = sha1(repr((self.main, message, sorted((n, blob(c)) for n, c in files.items()))).encode()).hexdigest()
        self.commits[oid], self.main = files, oid
        self.messages.append(message)
        return oid

    def at(self, revision: str) -> str | None:
        named = {"main": self.main, **self.tags}.get(revision, revision)
        return next((oid for oid in self.commits if oid == named), None)


@dataclass
class Fault:
    """What to do instead of answering: an HTTP status, "hang up" before, or "lose the answer" after doing it."""

    method: str
    path: str
    what: int | str
    times: int
    headers: dict[str, str]


class HubServer:
    """The Hub; use as a context.

    Attributes:
        repos: By type and id, e.g. ``("datasets", "me/name")``.
        requests: Method and path of each request, in order.
    """

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}
        self.storage = tempfile.TemporaryDirectory()
        self.xet = XetStore(Path(self.storage.name))
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.lock = Lock()
        handler = type("Bound", (Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def fail(self, method: str, path: str, what: int | str, times: int = 1, **headers: str) -> None:
        """Let the next requests whose path holds ``path`` fail."""
        self.faults.append(Fault(method, path, what, times, {k.replace("_", "-"): v for k, v in headers.items()}))

    def fault(self, method: str, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times and fault.method == method and fault.path in path:
                    fault.times -= 1
                    return fault
        return None

    def environment(self, home: str) -> dict[str, str]:
        """Variables under which a process takes this for the Hub; the client reads them when it is imported."""
        return os.environ | {
            "HF_ENDPOINT": self.url, "HF_TOKEN": TOKEN, "HF_HOME": home, "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1",
        }  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.storage.cleanup()


class Handler(BaseHTTPRequestHandler):
    """One request: its route is the method of this class that is listed for it."""

    hub: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_GET(self):
        self.route()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def route(self):
        address = urlsplit(self.path)
        path, self.query = unquote(address.path), parse_qs(address.query)
        self.hub.requests.append(f"{self.command} {path}")
        self.lost = False
        fault = self.hub.fault(self.command, path)
        if fault and fault.what == "hang up":
            self.rfile.read(int(self.headers["Content-Length"] or 0) // 2)  # in the middle of what is sent
            self.hang_up()
            return
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if fault and isinstance(fault.what, int):
            message = f"fault {fault.what} for {self.headers.get('Authorization')}"
            self.answer({"error": message}, fault.what, {"X-Error-Message": message, **fault.headers})
            return
        self.lost = fault is not None
        method = "GET" if self.command == "HEAD" else self.command
        for verb, pattern, handle in ROUTES:
            if verb == method and (match := re.fullmatch(pattern, path)):
                if verb == "POST" and "validate" not in path and not self.headers.get("Authorization"):
                    self.answer({"error": "Invalid credentials in Authorization header"}, 401)
                    return
                handle(self, **match.groupdict())
                return
        self.answer({"error": f"no such page: {path}"}, 404)

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def answer(self, content, status=200, headers=()):
        if self.lost:
            self.hang_up()
            return
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **dict(headers)}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def missing(self, code):
        self.answer({"error": code}, 404, {"X-Error-Code": code, "X-Error-Message": code})

    def found(self, type, id, revision="main"):
        """Repository and commit, or None after the refusal was sent."""
        repo = self.hub.repos.get((type or "models", id))
        if repo is None:
            self.missing("RepoNotFound")
            return None
        oid = repo.at(revision)
        if oid is None:
            self.missing("RevisionNotFound")
            return None
        return repo, oid

    def entry(self, name, content):
        entry = {"type": "file", "path": name, "size": len(content), "oid": blob(content)}
        if name.endswith(LARGE):
            entry["oid"] = blob(b"pointer to " + content)
            entry["lfs"] = {"oid": sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry

    def create(self):
        wanted = json.loads(self.body)
        repo_id = f"{wanted['organization'] or 'me'}/{wanted['name']}"
        key = (f"{wanted.get('type') or 'model'}s", repo_id)
        prefix = "" if key[0] == "models" else f"{key[0]}/"
        if key in self.hub.repos:
            self.answer({"error": "You already created this repo", "url": f"{self.hub.url}/{prefix}{repo_id}"}, 409)
            return
        self.hub.repos[key] = Repo()
        begun = {".gitattributes": b"*.parquet filter=lfs\n"}
        if key[0] == "spaces":
            begun |= {"README.md": b"---\nsdk: static\n---\n", "index.html": b"<p>hello", "style.css": b"p {}"}
        self.hub.repos[key].commit(begun, "initial commit")
        self.answer({"url": f"{self.hub.url}/{prefix}{repo_id}", "name": repo_id, "id": repo_id})

    def validate(self):
        content = json.loads(self.body)["content"]
        try:
            front = yaml.safe_load(content.split("---\n")[1])
        except (IndexError, yaml.YAMLError) as error:
            self.answer({"errors": [{"message": str(error)}], "warnings": []}, 400)
            return
        wrong = [] if isinstance(front, dict) and front.get("license") else [{"message": "no license"}]
        self.answer({"errors": wrong, "warnings": []}, 400 if wrong else 200)

    def preupload(self, type, id, revision):
        if (there := self.found(type, id, revision)) is None:
            return
        files = there[0].commits[there[1]]
        self.answer(
            {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                        "shouldIgnore": False,
                        "oid": self.entry(file["path"], files[file["path"]])["oid"] if file["path"] in files else None,
                    }
                    for file in json.loads(self.body)["files"]
                ]
            }
        )

    def batch(self, id, type=None):
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.large:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/large/{wanted['oid']}"}}
            objects.append(entry)
        xet = "xet" in json.loads(self.body).get("transfers", ())  # huggingface_hub before 2 asks here
        self.answer({"transfer": "xet" if xet else "basic", "objects": objects})

    def xet_token(self, type, id, revision):
        if self.found(type, id, revision):
            self.answer(self.hub.xet.token(), headers=self.xet_headers())

    def xet_headers(self):
        token = self.hub.xet.token()
        named = {"X-Xet-Cas-Url": "casUrl", "X-Xet-Access-Token": "accessToken", "X-Xet-Token-Expiration": "exp"}
        return {header: str(token[key]) for header, key in named.items()}

    def put(self, oid):
        if sha256(self.body).hexdigest() != oid:
            self.answer({"error": "other content than promised"}, 400)
            return
        self.hub.large[oid] = self.body
        self.answer({})

    def commit(self, type, id, revision):
        if (there := self.found(type, id, revision)) is None:
            return
        with self.hub.lock:
            repo = there[0]
            files, summary = dict(repo.commits[repo.main]), ""
            for line in map(json.loads, self.body.splitlines()):
                value = line["value"]
                if line["key"] == "header":
                    summary = value["summary"]
                    if value.get("parentCommit", repo.main) != repo.main:
                        self.answer({"error": "A commit has happened since. Please refresh and try again."}, 412)
                        return
                elif line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    oid = value["oid"]
                    if oid not in self.hub.large:
                        self.hub.large[oid] = self.hub.xet.content(oid, value["size"])
                    files[value["path"]] = self.hub.large[oid]
                elif line["key"] == "deletedFile":
                    del files[value["path"]]
            oid = repo.commit(files, summary)
        self.answer({"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{id}/commit/{oid}"})

    def tag(self, type, id, revision):
        if (there := self.found(type, id, revision)) is None:
            return
        name = json.loads(self.body)["tag"]
        if name in there[0].tags:
            self.answer({"error": "Tag reference exists already"}, 409)
            return
        there[0].tags[name] = there[1]
        self.answer({})

    def untag(self, type, id, revision):
        if (there := self.found(type, id)) is not None:
            there[0].tags.pop(revision, None)
            self.answer({})

    def refs(self, type, id):
        if (there := self.found(type, id)) is None:
            return
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": oid} for n, oid in there[0].tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": there[0].main}
        self.answer({"branches": [main], "converts": [], "tags": tags})

    def tree(self, type, id, revision, below=""):
        if (there := self.found(type, id, revision)) is None:
            return
        files = there[0].commits[there[1]]
        below = f"{below.strip('/')}/" if below and below.strip("/") else ""
        inside = {name: content for name, content in sorted(files.items()) if name.startswith(below)}
        if below and not inside:
            self.missing("EntryNotFound")
            return
        if self.query.get("recursive", ["false"])[0].lower() == "true":
            self.answer([self.entry(name, content) for name, content in inside.items()])
            return
        here = [self.entry(n, c) for n, c in inside.items() if "/" not in n[len(below) :]]
        folders = sorted({n[len(below) :].partition("/")[0] for n in inside if "/" in n[len(below) :]})
        self.answer([{"type": "directory", "path": below + n, "oid": "0" * 40, "size": 0} for n in folders] + here)

    def info(self, type, id, revision="main"):
        if (there := self.found(type, id, revision)) is None:
            return
        names = [{"rfilename": name} for name in sorted(there[0].commits[there[1]])]
        self.answer(
            {"id": id, "sha": there[1], "private": False, "tags": [], "siblings": names, "gated": False, "downloads": 0}
        )

    def paths_info(self, type, id, revision):
        if (there := self.found(type, id, revision)) is None:
            return
        files = there[0].commits[there[1]]
        form = self.headers.get("Content-Type", "")
        wanted = json.loads(self.body)["paths"] if "json" in form else parse_qs(self.body.decode())["paths"]
        self.answer([self.entry(name, files[name]) for name in wanted if name in files])

    def resolve(self, id, revision, name, type="models"):
        if (there := self.found(type, id, revision)) is None:
            return
        content = there[0].commits[there[1]].get(name)
        if content is None:
            self.missing("EntryNotFound")
            return
        etag = sha256(content).hexdigest() if name.endswith(LARGE) else blob(content)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": there[1], "X-Linked-Size": str(len(content))}
        if name.endswith(LARGE) and (xet := self.hub.xet.name(etag)):
            token = f"{self.hub.url}/api/{type or 'models'}/{id}/xet-read-token/{there[1]}"
            headers |= {"X-Xet-Hash": xet, "X-Xet-Refresh-Route": token}
        self.answer(content, headers=headers)


REVISION = r"(?P<revision>[^/]+)"
ROUTES = [
    ("POST", r"/api/repos/create", Handler.create),
    ("POST", r"/api/validate-yaml", Handler.validate),
    ("POST", rf"{TYPE}{ID}/preupload/{REVISION}", Handler.preupload),
    ("POST", rf"/(?:(?P<type>datasets|spaces)/)?{ID}\.git/info/lfs/objects/batch", Handler.batch),
    ("PUT", r"/large/(?P<oid>\w+)", Handler.put),
    ("POST", rf"{TYPE}{ID}/commit/{REVISION}", Handler.commit),
    ("POST", rf"{TYPE}{ID}/tag/{REVISION}", Handler.tag),
    ("DELETE", rf"{TYPE}{ID}/tag/{REVISION}", Handler.untag),
    ("POST", rf"{TYPE}{ID}/paths-info/{REVISION}", Handler.paths_info),
    ("GET", rf"{TYPE}{ID}/xet-(?:read|write)-token/{REVISION}", Handler.xet_token),
    ("GET", rf"{TYPE}{ID}/refs", Handler.refs),
    ("GET", rf"{TYPE}{ID}/tree/{REVISION}(?P<below>/.*)?", Handler.tree),
    ("GET", rf"{TYPE}{ID}/revision/{REVISION}", Handler.info),
    ("GET", rf"{TYPE}{ID}", Handler.info),
    ("GET", rf"/(?:(?P<type>datasets|spaces)/)?{ID}/resolve/{REVISION}/(?P<name>.+)", Handler.resolve),
]


if __name__ == "__main__":
    with HubServer() as hub, tempfile.TemporaryDirectory() as home:
        sys.exit(subprocess.run(sys.argv[1:], env=hub.environment(home), check=False).returncode)
