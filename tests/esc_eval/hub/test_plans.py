"""Publishing, against a real HTTP server on loopback that can fail in every way that we know of."""

import re
from pathlib import Path

import pytest
from hub_server import TOKEN
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from esc_eval.errors import EscEvalError
from esc_eval.hub import plans as publishing
from esc_eval.hub.refusals import Patience

QUICK = Patience(attempts=3, first=0.01, longest=0.02)
REPO = "me/thing"
CARD = "---\nlicense: apache-2.0\n---\n# thing\n"


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "thing"
    (folder / "part").mkdir(parents=True)
    (folder / "README.md").write_text(CARD)
    (folder / "part" / "notes.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(bytes(range(256)) * 4000)
    return folder


def files_of(folder):
    return [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]


def plan(folder, tag="v1", repo_type="model"):
    return publishing.plan_upload(folder, files_of(folder), REPO, repo_type, tag)


def publish(folder, tag="v1", progress=lambda _: None):
    return publishing.publish_plans([plan(folder, tag)], patience=QUICK, progress=progress)[0]


def held(hub, revision="main", repo_type="models"):
    repo = hub.repos[repo_type, REPO]
    return {n: c for n, c in repo.commits[repo.at(revision)].items() if n != ".gitattributes"}


def on_disk(folder):
    return {name: (folder / name).read_bytes() for name in files_of(folder)}


def writes(hub):
    return [request for request in hub.requests if not request.startswith("GET")]


@pytest.mark.parametrize("repo_type", ["model", "dataset"])
def test_a_plan_says_everything_and_changes_nothing(hub, folder, repo_type):
    what = plan(folder, repo_type=repo_type)
    assert what.states() == {"README.md": "added", "model.safetensors": "added", "part/notes.json": "added"}
    assert what.lines()[-1] == (
        f"{repo_type} me/thing: create it, upload 3 files (1,024,038 bytes), remove 0, then set tag v1"
    )
    assert not writes(hub)


def test_publishing_makes_the_repository_equal_the_folder_in_one_commit_and_tags_it(hub, folder):
    commit = publish(folder)
    repo = hub.repos["models", REPO]
    assert held(hub) == on_disk(folder)
    assert repo.messages == ["initial commit", "Release v1"]
    assert repo.tags == {"v1": commit}
    assert writes(hub)[-1] == "POST /api/models/me/thing/tag/" + commit


@pytest.mark.slow
def test_the_second_release_sends_only_what_changed_and_leaves_the_first_as_it_was(hub, folder):
    publish(folder)
    first = on_disk(folder)
    (folder / "README.md").write_text(CARD + "more\n")
    (folder / "part" / "notes.json").unlink()
    (folder / "new.json").write_text("[]")
    what = plan(folder, "v2")
    assert what.states() == {
        "README.md": "changed", "model.safetensors": "unchanged", "new.json": "added", "part/notes.json": "removed",
    }  # fmt: skip
    hub.requests.clear()
    publish(folder, "v2")
    assert not [request for request in hub.requests if "/large/" in request]
    assert (held(hub, "v1"), held(hub, "v2")) == (first, on_disk(folder))


def test_publishing_again_does_nothing(hub, folder):
    commit = publish(folder)
    hub.requests.clear()
    assert plan(folder).lines()[-1] == f"model me/thing: nothing to do, v1 is there at {commit[:12]}"
    assert publish(folder) == commit
    assert not writes(hub)


def test_a_published_tag_is_never_moved(hub, folder):
    publish(folder)
    (folder / "new.json").write_text("[]")
    with pytest.raises(EscEvalError, match="tag v1 is set already"):
        plan(folder)


PASSING = [
    ("POST", "/api/repos/create", 503),
    ("POST", "/api/repos/create", "lose the answer"),
    ("GET", "/refs", 500),
    ("POST", "/preupload/", "hang up"),
    ("POST", "/objects/batch", "lose the answer"),
    ("PUT", "/large/", "hang up"),
    ("PUT", "/large/", 500),
    ("POST", "/commit/", 429),
    ("POST", "/commit/", 500),
    ("POST", "/commit/", "hang up"),
    ("POST", "/commit/", "lose the answer"),
    ("GET", "/tree/", "hang up"),
    ("POST", "/tag/", 502),
    ("POST", "/tag/", "lose the answer"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "what"), PASSING)
def test_what_passes_with_time_is_tried_again_and_nothing_is_committed_twice(
    hub, folder, monkeypatch, method, path, what
):
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    planned = plan(folder)
    hub.fail(method, path, what, Retry_After="0.01")
    said = []
    [commit] = publishing.publish_plans([planned], patience=QUICK, progress=said.append)
    assert not [fault for fault in hub.faults if fault.times]
    repo = hub.repos["models", REPO]
    assert held(hub) == on_disk(folder)
    assert repo.messages == ["initial commit", "Release v1"]
    assert repo.tags == {"v1": commit}
    assert TOKEN not in "".join(said)


LASTING = [
    ("POST", "/api/repos/create", 401, "hf auth login"),
    ("POST", "/api/repos/create", 403, "write access"),
    ("PUT", "/large/", 403, "write access"),
    ("POST", "/commit/", 401, "hf auth login"),
    ("POST", "/commit/", 403, "write access"),
    ("POST", "/commit/", 409, "Run the same command again"),
    ("POST", "/commit/", 429, "too many requests"),
    ("POST", "/commit/", 500, "Run the same command again later"),
    ("POST", "/commit/", "hang up", "cannot be reached"),
    ("POST", "/tag/", 403, "write access"),
    ("POST", "/tag/", 500, "Run the same command again later"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path", "what", "advice"), LASTING)
def test_what_lasts_is_a_message_without_the_token_no_tag_and_can_be_taken_up_again(
    hub, folder, method, path, what, advice
):
    hub.fail(method, path, what, times=QUICK.attempts)
    said = []
    with pytest.raises(EscEvalError, match=advice) as raised:
        publish(folder, progress=said.append)
    assert TOKEN not in str(raised.value) + "".join(said)
    repo = hub.repos.get(("models", REPO))
    assert repo is None or not repo.tags
    hub.faults.clear()
    hub.requests.clear()
    publish(folder)
    assert held(hub, "v1") == on_disk(folder)
    if path == "/tag/":
        assert len(writes(hub)) == 1  # only the tag was missing


@pytest.mark.slow
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "0.125"}, "0.125"),
        ({"RateLimit": '"api";r=0;t=1', "RateLimit_Policy": '"w";"api";q=5;w=9'}, "1"),
    ],
)
def test_the_time_that_a_server_asks_for_is_waited(hub, folder, headers, seconds):
    planned = plan(folder)
    hub.fail("POST", "/commit/", 429, **headers)
    said = []
    publishing.publish_plans([planned], patience=Patience(attempts=2, first=100), progress=said.append)
    assert f"uploading: the Hub answered 429; again in {seconds} s (1 of 2 attempts)" in said


def test_a_card_that_the_hub_finds_wrong_is_a_message_without_the_token(hub, folder):
    (folder / "README.md").write_text(f"---\nlicense:\n---\n{TOKEN}\n")
    with pytest.raises(EscEvalError, match=r"(?s)me/thing, uploading: .*no license.*finds fault") as raised:
        publish(folder)
    assert TOKEN not in str(raised.value)
    assert not hub.repos["models", REPO].tags


@pytest.mark.slow
def test_large_files_by_xet_arrive_and_come_back(xet_hub, folder, tmp_path):
    from huggingface_hub import hf_hub_download

    commit = publish(folder)
    assert held(xet_hub, "v1") == on_disk(folder)
    assert "GET /api/models/me/thing/xet-write-token/main" in xet_hub.requests
    assert not [request for request in xet_hub.requests if "/large/" in request]
    path = hf_hub_download(REPO, "model.safetensors", revision="v1", cache_dir=tmp_path / "cache")
    assert Path(path).read_bytes() == (folder / "model.safetensors").read_bytes()
    assert f"GET /api/models/me/thing/xet-read-token/{commit}" in xet_hub.requests
    (folder / "model.safetensors").write_bytes(bytes(range(255, -1, -1)) * 4000)
    publish(folder, "v2")
    assert held(xet_hub, "v2") == on_disk(folder)


@pytest.mark.slow
@pytest.mark.parametrize(("status", "advice"), [(401, "hf auth login"), (403, "write access")])
def test_storage_that_may_not_be_written_is_told_from_a_lost_connection(xet_hub, folder, status, advice):
    xet_hub.fail("GET", "/xet-write-token/", status)
    said = []
    with pytest.raises(EscEvalError, match=f"answered {status}.*{advice}") as raised:
        publish(folder, progress=said.append)
    assert said == []
    assert TOKEN not in str(raised.value)
    publish(folder)
    assert held(xet_hub, "v1") == on_disk(folder)


@pytest.mark.slow
def test_large_files_that_arrived_are_not_sent_again(hub, folder):
    planned = plan(folder)
    hub.fail("POST", "/commit/", 500)
    publishing.publish_plans([planned], patience=QUICK)
    assert len([request for request in hub.requests if "/large/" in request]) == 1


def test_someone_elses_commit_in_between_is_not_overwritten(hub, folder):
    publish(folder)
    (folder / "new.json").write_text("[]")
    late = plan(folder, "v2")
    repo = hub.repos["models", REPO]
    repo.commit({**repo.commits[repo.main], "theirs.json": b"1"}, "theirs")
    with pytest.raises(EscEvalError, match="someone else committed"):
        publishing.publish_plans([late], patience=QUICK)
    assert repo.messages[-1] == "theirs"
    assert "v2" not in repo.tags


def test_the_tag_is_not_set_on_files_that_are_not_the_ones_sent(hub, folder):
    def tamper(line):
        repo = hub.repos["models", REPO]
        repo.commits[repo.main]["part/notes.json"] = b"{ }"

    with pytest.raises(EscEvalError, match="other files than were sent"):
        publish(folder, progress=tamper)
    assert not hub.repos["models", REPO].tags


def test_a_tag_that_someone_else_sets_meanwhile_is_left_where_it_is(hub, folder):
    def race(line):
        repo = hub.repos["models", REPO]
        repo.tags["v1"] = next(iter(repo.commits))

    with pytest.raises(EscEvalError, match="was set meanwhile"):
        publish(folder, progress=race)


@pytest.mark.slow
def test_of_several_repositories_none_is_tagged_before_all_files_are_there(hub, folder):
    one = publishing.plan_upload(folder, files_of(folder), "me/one", "model", "v1")
    two = publishing.plan_upload(folder, files_of(folder), "me/two", "dataset", "v1")
    hub.fail("POST", "/datasets/me/two/commit/", 403)
    with pytest.raises(EscEvalError, match="me/two, uploading"):
        publishing.publish_plans([one, two], patience=QUICK)
    assert not any(repo.tags for repo in hub.repos.values())
    publishing.publish_plans([one, two], patience=QUICK)
    assert [list(repo.tags) for repo in hub.repos.values()] == [["v1"], ["v1"]]


@pytest.mark.slow
@pytest.mark.parametrize("what", [403, 500, "hang up"])
def test_of_several_tags_none_stays_where_one_is_refused(hub, folder, what):
    both = [publishing.plan_upload(folder, files_of(folder), f"me/{name}", "model", "v1") for name in ("one", "two")]
    hub.fail("POST", "/me/two/tag/", what, times=QUICK.attempts)
    said = []
    with pytest.raises(EscEvalError, match="me/two, setting tag v1"):
        publishing.publish_plans(both, patience=QUICK, progress=said.append)
    assert "me/one: tag v1 is taken back" in said
    assert not any(repo.tags for repo in hub.repos.values())
    hub.faults.clear()
    publishing.publish_plans(both, patience=QUICK)
    assert [list(repo.tags) for repo in hub.repos.values()] == [["v1"], ["v1"]]


@pytest.mark.slow
def test_a_tag_that_cannot_be_taken_back_is_named(hub, folder):
    both = [publishing.plan_upload(folder, files_of(folder), f"me/{name}", "model", "v1") for name in ("one", "two")]
    hub.fail("POST", "/me/two/tag/", 403)
    hub.fail("DELETE", "/me/one/tag/", 403)
    with pytest.raises(EscEvalError, match=r"(?s)me/two, setting tag v1.*Tag v1 stays on me/one"):
        publishing.publish_plans(both, patience=QUICK)
    publishing.publish_plans(
        [publishing.plan_upload(folder, files_of(folder), what.repo, "model", "v1") for what in both]
    )
    assert [list(repo.tags) for repo in hub.repos.values()] == [["v1"], ["v1"]]


def test_a_new_space_loses_the_page_that_it_begins_with(hub, folder):
    [commit] = publishing.publish_plans([plan(folder, repo_type="space")], patience=QUICK)
    assert held(hub, "v1", "spaces") == on_disk(folder)
    assert hub.repos["spaces", REPO].tags == {"v1": commit}


def test_without_a_token_the_message_says_how_to_log_in(hub, folder, monkeypatch, tmp_path):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    with pytest.raises(EscEvalError, match="hf auth login"):
        publish(folder)


def test_a_hub_that_cannot_be_reached_is_a_message(hub, folder, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    with pytest.raises(EscEvalError, match=r"looking at what is there.*cannot be reached"):
        plan(folder)


@pytest.mark.parametrize("repo", ["", "a/b/c", "me/x y", "-x"])
def test_an_impossible_id_is_refused(folder, repo):
    with pytest.raises(EscEvalError, match="no repository id"):
        publishing.plan_upload(folder, files_of(folder), repo, "model")


NAMES = st.sampled_from(["a.json", "b/c.txt", "b/d.safetensors", "e.parquet", "f.md"])
TREES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1)


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(releases=st.lists(TREES, min_size=1, max_size=2))
@pytest.mark.slow
def test_whatever_was_there_the_release_is_the_folder(hub, tmp_path_factory, releases):
    hub.repos.clear()
    for number, tree in enumerate(releases):
        folder = tmp_path_factory.mktemp("tree")
        for name, content in {"README.md": CARD.encode(), **tree}.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
        what = plan(folder, f"v{number}")
        publishing.publish_plans([what], patience=QUICK)
        assert held(hub, f"v{number}") == on_disk(folder)
        assert set(what.states().values()) <= {"added", "changed", "removed", "unchanged"}
        assert re.search(r"upload \d+ files", what.lines()[-1])
