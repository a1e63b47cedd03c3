"""A sheet as a rater has it: a file on a disk in Chromium, keys, a reload, an export that collect reads."""

import json
import os
import re
import signal
import subprocess
import sys

import pytest
from browser import DESKTOP, PHONE, assert_accessible
from made_sheets import MODELS, lay_talks
from typer.testing import CliRunner

from benchmarks.browsing import CHROMIUM, FLAGS
from esc_eval.cli.app import app
from esc_eval.files.ratings_table import read_table
from esc_eval.files.records import read_ratings
from esc_eval.prompts.rubric import load_rubric

pytestmark = pytest.mark.slow

KEYS = load_rubric().keys


def run(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sheets")
    run(
        "sheet", lay_talks(folder), "--rater", "anna", "--rater", "ben", "--out", folder / "out", "--contact", "Eva <3>"
    )
    return folder


@pytest.fixture
def sheet(desk, page):
    """Anna's sheet, opened; requests of any kind fail the test."""
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size(DESKTOP)
    page.goto((desk / "out" / "anna.html").as_uri())
    page.wait_for_selector("[data-ready]", state="attached")
    yield page
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked), asked


def export(page, folder, name="anna.json"):
    page.get_by_role("button", name="Overview").click()
    with page.expect_download() as caught:
        page.get_by_role("button", name="Export my answers").click()
    caught.value.save_as(folder / name)
    return folder / name


def press(page, keys):
    for key in keys:
        page.keyboard.press(key)


def test_a_sheet_is_one_file_without_names_of_models_and_asks_nothing_of_a_network(desk):
    text = (desk / "out" / "anna.html").read_text(encoding="utf-8")
    assert not any(name in text for name in MODELS)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", text)
    assert "</script><script>document" not in text
    assert "Eva &lt;3&gt;" in text
    orders = [
        re.findall(r'"id":"(dialogue-\w+)"', (desk / "out" / f"{name}.html").read_text()) for name in ("anna", "ben")
    ]
    assert sorted(orders[0]) == sorted(orders[1])
    assert len(orders[0]) == 4


def test_what_is_clicked_is_kept_exported_and_collected(sheet, desk, tmp_path):
    sheet.get_by_role("button", name="Begin").click()
    press(sheet, "0123432")
    sheet.keyboard.press("Enter")
    sheet.wait_for_function("document.querySelector('#item-title').textContent.includes('2 of 4')")
    press(sheet, "444")
    sheet.reload()  # in the middle of a dialogue
    sheet.wait_for_selector("[data-ready]", state="attached")
    sheet.get_by_role("button", name="Go on").click()
    assert "2 of 4" in sheet.text_content("#item-title")
    sheet.keyboard.press("1")  # the first that is open
    sheet.keyboard.press("x")
    sheet.get_by_role("combobox").first.wait_for()
    sheet.locator("[data-why]:not([hidden]) select").select_option("unsure")
    sheet.locator("[data-why]:not([hidden]) [data-cannot-save]").click()
    press(sheet, "33")
    sheet.keyboard.press("b")  # back, and another mind
    assert "1 of 4" in sheet.text_content("#item-title")
    sheet.locator("[data-dimension=fluency] input[value='4']").check()
    sheet.locator("[data-note]").fill("  a\nb =1+1 ")
    path = export(sheet, tmp_path)

    out = tmp_path / "ratings.jsonl"
    done = run("collect", path, "--dialogues", desk / "talks.jsonl", "--out", out)
    assert "anna: 2 of 4 dialogues rated" in done.output
    content = json.loads(path.read_text())
    own = {one["dialogue_id"]: one["order"] for one in content["ratings"]}
    ratings = read_ratings(out)
    first, second = (
        {r.dimension: r.score if r.problem is None else r.problem for r in ratings if r.order == n} for n in (0, 1)
    )
    assert first == dict(zip(KEYS, (4, 1, 2, 3, 4, 3, 2), strict=True))
    assert second == dict(zip(KEYS, (4, 4, 4, 1, "cannot rate: the rater cannot decide", 3, 3), strict=True))
    assert sorted(own.values()) == [0, 1]
    assert {r.note for r in ratings if r.order == 0} == {"a\nb =1+1"}
    assert all(r.dialogue_id.partition(":")[0] in MODELS and r.rater == "anna" and r.stage == "first" for r in ratings)
    assert all(r.seconds is not None and r.time and r.time.endswith("Z") for r in ratings)
    fluency = [one for one in content["state"]["history"] if one["item"] == content["items"][0]]
    assert [one["value"] for one in fluency if one["dimension"] == "fluency"] == [0, 4], "what was changed is kept"
    table = read_table([out], dialogues=[desk / "talks.jsonl"])
    assert table.has("model")
    assert len(table.scored()) == 13


def test_an_export_goes_on_elsewhere_and_another_sheets_is_refused(sheet, chromium, desk, tmp_path):
    sheet.get_by_role("button", name="Begin").click()
    press(sheet, "2222222")
    path = export(sheet, tmp_path)
    with chromium.new_context() as context:
        other = context.new_page()
        other.goto((desk / "out" / "anna.html").as_uri())
        other.set_input_files("#load", path)
        other.get_by_text("were loaded").wait_for()
        assert "1 of 4 done" in other.text_content("[data-page=start] [data-where]")
        other.get_by_role("button", name="Go on").click()
        assert "2 of 4" in other.text_content("#item-title")
        other.goto((desk / "out" / "ben.html").as_uri())
        other.set_input_files("#load", path)
        other.get_by_text("another sheet").wait_for()
        assert "0 of 4 done" in other.text_content("[data-page=start] [data-where]")


def test_a_second_window_of_a_sheet_does_not_fork_it(sheet, desk):
    sheet.get_by_role("button", name="Begin").click()
    second = sheet.context.new_page()
    second.goto((desk / "out" / "anna.html").as_uri())
    second.get_by_role("button", name="Go on").click()
    second.set_viewport_size(DESKTOP)
    second.keyboard.press("1")
    sheet.wait_for_function("document.querySelector('[data-dimension=fluency] input[value=\"1\"]').checked")
    sheet.bring_to_front()
    sheet.locator("[data-dimension=expression] input[value='3']").check()
    second.wait_for_function("document.querySelector('[data-dimension=expression] input[value=\"3\"]').checked")
    assert second.locator("[data-dimension=fluency] input[value='1']").is_checked()


def test_a_browser_that_keeps_nothing_is_said_to_and_still_exports(desk, chromium, tmp_path):
    with chromium.new_context() as context:
        page = context.new_page()
        page.add_init_script("Storage.prototype.setItem = () => { throw new DOMException('full'); };")
        page.add_init_script("IDBFactory.prototype.open = () => { throw new DOMException('no'); };")
        page.goto((desk / "out" / "anna.html").as_uri())
        page.get_by_text("does not let this file keep").wait_for()
        page.set_viewport_size(DESKTOP)
        page.get_by_role("button", name="Begin").click()
        press(page, "1111111")
        content = json.loads(export(page, tmp_path).read_text())
        assert [one["score"] for one in content["ratings"]] == [1] * 7


@pytest.mark.slow
def test_what_is_said_to_be_saved_survives_a_browser_that_is_killed(desk, tmp_path):
    options = {"executable_path": CHROMIUM, "args": [*FLAGS], "headless": True, "viewport": DESKTOP}
    code = """
import sys, time
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    context = playwright.chromium.launch_persistent_context(sys.argv[1], **eval(sys.argv[3]))
    page = context.pages[0]
    page.goto(sys.argv[2])
    page.get_by_role("button", name="Begin").click()
    for key in "01234":
        page.keyboard.press(key)
    page.get_by_text("Saved", exact=True).wait_for()
    print("saved", flush=True)
    time.sleep(600)
"""
    address, profile = (desk / "out" / "anna.html").as_uri(), str(tmp_path / "profile")
    with subprocess.Popen(
        [sys.executable, "-c", code, profile, address, repr(options)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout.readline().strip() == "saved"
        os.killpg(process.pid, signal.SIGKILL)
    check = (
        code.partition("    page.get_by_role")[0]
        + """
    page.wait_for_selector("[data-ready]", state="attached")
    print(page.text_content("[data-begin]"))
    page.get_by_role("button", name="Go on").click()
    print(page.locator("fieldset input:checked").count())
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", check, profile, address, repr(options)], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split("\n")[:2] == ["Go on", "5"], done.stdout + done.stderr


def test_hostile_words_stay_words(sheet):
    sheet.get_by_role("button", name="Begin").click()
    assert sheet.title() != "broken"
    shown = sheet.locator(".turn.supporter").last.text_content()
    assert "<script>document.title" in shown
    assert "\u202e" not in shown
    assert sheet.locator(".turn img").count() == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["start", "item", "list"])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_serious_on_a_sheet(sheet, name, dark):
    if dark:
        sheet.emulate_media(color_scheme="dark")
    if name != "start":
        sheet.get_by_role("button", name="Begin").click()
        press(sheet, "01")
    if name == "list":
        sheet.get_by_role("button", name="Overview").click()
    assert_accessible(sheet, (DESKTOP, PHONE))
