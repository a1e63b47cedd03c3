"""A public board: runs are handed in, checked, kept waiting, and never shown before somebody took them in."""

import json
import stat
from io import BytesIO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from made_runs import make_run, zip_run
from starlette.testclient import TestClient

from esc_eval.errors import EscEvalError
from esc_eval.space import submission
from esc_eval.space.app import SpaceConfig, make_space, read_collection
from esc_eval.space.submission import NEEDED, Refused, check_run, receive, unpack
from esc_eval.web import Access, load_words
from release.space import take_run, write_space

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def space(run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("space") / "space"
    notes = write_space(folder, [], [run])
    assert "give --wheel" in notes[0]
    return folder


@pytest.fixture
def client(space, tmp_path):
    collection = read_collection(space, SpaceConfig())
    access = Access(largest=submission.MOST_BYTES, framed_by=("https://huggingface.co",))
    return TestClient(make_space(collection, tmp_path / "pending", access), base_url="http://127.0.0.1")


def hand_in(client, content, name="run.zip", **said):
    files = [("files", (name, content, "application/zip"))]
    return client.post("/submit", data={"agreed": "yes", **said}, files=files)


def archive(*files, **options):
    made = BytesIO()
    with ZipFile(made, "w", ZIP_DEFLATED) as into:
        for name, content in files:
            into.writestr(name, content)
    return [("run.zip", made.getvalue())]


@pytest.mark.slow
def test_every_page_of_the_board_answers_and_leads_to_the_form(client):
    for address in ("/", "/dialogues", "/submit"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert 'href="/submit"' in answer.text
    assert "warm" in client.get("/").text
    policy = client.get("/").headers["content-security-policy"]
    assert "frame-ancestors https://huggingface.co" in policy
    assert "unsafe" not in policy
    assert "提交一次运行" in client.get("/submit?language=zh").text


@pytest.mark.slow
def test_a_run_that_holds_waits_and_is_not_shown(client, run, tmp_path, space):
    answer = hand_in(client, zip_run(run, report_html=EVIL.encode()), name="r.zip", contact=EVIL)
    assert answer.status_code == 200
    assert "report.html" in answer.text
    assert "Overall" in answer.text
    [kept] = (tmp_path / "pending").iterdir()
    names = {path.name for path in kept.rglob("*") if path.is_file()}
    assert names == {*NEEDED, "protocol.yaml", "summary.json", "esc-eval-1.yaml", "submission.json"}
    assert "calls" not in json.loads((kept / "run.json").read_text())
    about = json.loads((kept / "submission.json").read_text())
    assert about["about"]["contact"] == EVIL
    assert about["signatures"][0].startswith("esc-eval:")
    assert kept.name not in client.get("/").text
    assert "handed in before" in hand_in(client, zip_run(run, report_html=EVIL.encode())).text
    taken = take_run(kept, space)
    assert (taken / "dialogues.jsonl").is_file()
    assert not (taken / "submission.json").exists()
    with pytest.raises(EscEvalError, match="taken in before"):
        take_run(kept, space)


def test_without_consent_nothing_is_kept(client, run, tmp_path):
    answer = client.post("/submit", files=[("files", ("r.zip", zip_run(run), "application/zip"))])
    assert answer.status_code == 422
    assert load_words("en", "space")("submit_agree_first") in answer.text
    assert not (tmp_path / "pending").exists()


def test_what_is_refused_is_said_and_escaped_and_leaves_nothing(client, run, tmp_path):
    bad = (run / "ratings.jsonl").read_text().replace('"score":3', '"score":9')
    answer = hand_in(client, zip_run(run, ratings_jsonl=bad.encode()), note=EVIL)
    assert answer.status_code == 422
    assert "was not taken" in answer.text
    assert EVIL not in answer.text
    assert str(tmp_path) not in answer.text
    assert not list((tmp_path / "pending").glob("*/*"))
    assert hand_in(client, b"no zip").status_code == 422
    assert hand_in(client, zip_run(run), name="../../r.txt").status_code == 422


def test_another_sites_form_is_refused(client, run):
    answer = client.post(
        "/submit", headers={"origin": "https://evil.example"}, files=[("files", ("r.zip", zip_run(run)))]
    )
    assert answer.status_code == 403


def test_too_many_at_once_wait(client):
    assert [hand_in(client, b"no zip").status_code for _ in range(21)][-2:] == [422, 429]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../run.json", "no path of a file in a folder"),
        ("/etc/passwd", "no path of a file in a folder"),
        ("a/../../run.json", "no path of a file in a folder"),
        ("C:\\run.json", "no path of a file in a folder"),
        ("a\\b.json", "no path of a file in a folder"),
        ("a\nb", "no path of a file in a folder"),
        ("./run.json", "no path of a file in a folder"),
        ("x" * 300, "no path of a file in a folder"),
        ("notes.txt", "holds no run.json"),
    ],
)
def test_no_path_leads_out_of_the_folder(name, why):
    with pytest.raises(Refused, match=why):
        unpack(archive((name, b"{}")))
    if "\\" not in name:
        with pytest.raises(Refused, match=why):
            unpack([(name, b"{}"), ("run/a", b"")])


def test_links_passwords_bombs_and_crowds_are_refused(monkeypatch):
    link = ZipInfo("run.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(Refused, match="no plain file"):
        unpack(archive((link, b"/etc/passwd")))
    locked = bytearray(archive(("run.json", b"{}"))[0][1])
    at = locked.index(b"PK\x01\x02")
    locked[at + 8] |= 1
    locked[6] |= 1
    with pytest.raises(Refused, match="needs a password"):
        unpack([("run.zip", bytes(locked))])
    with pytest.raises(Refused, match="more than 200"):
        unpack(archive(*((f"{n}.txt", b"") for n in range(201))))
    with pytest.raises(Refused, match=r"two files 'run\.json'"), pytest.warns(UserWarning, match="Duplicate name"):
        unpack(archive(("run.json", b"1"), ("run.json", b"2")))
    monkeypatch.setattr(submission, "MOST_UNPACKED", 1000)
    with pytest.raises(Refused, match="unpacks to more than"):
        unpack(archive(("dialogues.jsonl", b"0" * 5000)))
    monkeypatch.setattr(submission, "MOST_BYTES", 10)
    with pytest.raises(Refused, match="were sent"):
        unpack([("run.json", b"0" * 11)])
    with pytest.raises(Refused, match="no file was sent"):
        unpack([("", b"")])


def changed(run, name, before, after):
    text = (run / name).read_text()
    assert before in text
    return {name.replace("/", "__").replace(".", "_").replace("-", "-"): text.replace(before, after, 1).encode()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "before", "after", "why"),
    [
        ("run.json", '"rounds": 1', '"rounds": 5', "run.json, simulation: the record was changed"),
        ("run.json", '"by": "text', '"by": "logits', "run.json, scoring/judge: the record was changed"),
        ("cards.jsonl", "Problem", "problem", "are not the cards that run.json says"),
        ("dialogues.jsonl", "I hear you", "I love you", "rated other dialogues or other words"),
        ("ratings.jsonl", '"rater":"judge"', '"rater":"other"', "does not say how other rated"),
        ("ratings.jsonl", '"score":3', '"score":4', "summary.json: says"),
        ("ratings.jsonl", '"dimension":"fluency"', '"dimension":"kindness"', "kindness"),
        ("summary.json", '"supporter": "warm"', '"supporter": "best"', "summary.json: says"),
        ("summary.json", '"value": ', '"value": NaN, "v": ', "summary.json"),
        ("summary.json", '"value": ', '"value": "much", "v": ', "summary.json: is no summary"),
        ("summary.json", '"value": ', '"value": [], "v": ', "summary.json: is no summary"),
        ("summary.json", '"language": "en"', '"language": null', "summary.json: is no summary"),
        ("dialogues.jsonl", '{"id"', '{"id', "dialogues.jsonl"),
        ("run.json", '"simulation"', '"simulated"', "does not say how the dialogues were played"),
    ],
)
def test_a_run_that_does_not_fit_its_own_record_is_refused(run, tmp_path, name, before, after, why):
    with pytest.raises(Refused, match=why):
        receive([("r.zip", zip_run(run, **changed(run, name, before, after)))], tmp_path / "pending", {})
    assert not list((tmp_path / "pending").glob("*/*"))


def test_the_files_of_a_folder_are_as_good_as_a_zip(run, tmp_path):
    files = [(name, (run / name).read_bytes()) for name in NEEDED]
    folder, checked = receive(files, tmp_path / "pending", {})
    assert check_run(folder).summary == checked.summary


def test_a_space_that_cannot_be_is_refused(run, tmp_path):
    for words, why in (
        ({"datasets": []}, "name what the Space shows"),
        ({"datasets": [str(run)]}, "neither ORG/NAME@TAG nor a folder with manifest.json"),
        (
            {"datasets": [], "runs": [run], "wheel": tmp_path / "esc_eval-0.0.1-py3-none-any.whl"},
            "is no wheel of esc-eval",
        ),
    ):
        with pytest.raises(EscEvalError, match=why):
            write_space(tmp_path / "out", **words)
        assert not (tmp_path / "out").exists()
