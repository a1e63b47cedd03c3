"""The pages of ``view``, and the report's, as people meet them: in Chromium, by keyboard, on a phone, in the dark."""

import re

import pytest
from browser import DESKTOP, PHONE, Served, assert_accessible
from made_views import EVIL, make_view_run

from benchmarks.browsing import serve_in_thread
from esc_eval import Results
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    return Collection.open([make_view_run(tmp_path_factory.mktemp("view") / "run", limit=6)])


@pytest.fixture(scope="module")
def site(collection):
    with serve_in_thread(make_view(collection)) as address:
        yield address


def paths_of(collection):
    first = collection.entries[1]
    return [
        "/", f"/boards/{collection.boards[0].key}", "/dialogues", "/dialogues?find=blame&model=warm",
        "/dialogues?find=zzz", f"/dialogues/{first.key}?find=blame", "/side-by-side", "/rounds", "/nowhere",
    ]  # fmt: skip


@pytest.mark.parametrize(("language", "scheme"), [("en", "light"), ("zh", "dark")])
def test_axe_finds_nothing_serious_on_any_page(chromium, site, collection, language, scheme):
    context = chromium.new_context(color_scheme=scheme, locale=language)
    page = context.new_page()
    for path in paths_of(collection):
        page.goto(site + path)
        for details in page.locator("details").all()[:3]:
            details.locator("summary").first.click()
        assert_accessible(page)
    context.close()


def test_somebody_finds_a_dialogue_reads_it_and_sets_it_side_by_side_by_keyboard(page, site):
    page.set_viewport_size(DESKTOP)
    page.goto(f"{site}/dialogues")
    page.get_by_role("searchbox").focus()
    page.keyboard.type("to blame")
    page.keyboard.press("Enter")
    page.wait_for_url("**/dialogues?find=to+blame*")
    assert "where=" in page.url or "model=" not in page.url
    assert page.get_by_role("status").inner_text().startswith("11 of 24 dialogues.")
    assert page.locator("mark").first.inner_text() == "to"
    page.locator("tbody a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/dialogues/*find=*")
    first = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_url(lambda url: url != first)
    page.keyboard.press("ArrowLeft")
    page.wait_for_url(first)
    page.get_by_role("link", name=re.compile("side by side")).click()
    assert page.get_by_role("heading", level=1).inner_text() == "Side by side"
    card = page.locator(".trail span").inner_text()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("card => document.querySelector('.trail span').innerText !== card", arg=card)


def test_arrows_do_nothing_while_a_field_or_a_table_has_the_focus(page, site):
    page.goto(f"{site}/side-by-side")
    page.locator("#first").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".scroll").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.url == f"{site}/side-by-side"


def test_on_a_phone_the_two_stand_below_each_other_and_each_is_named(page, site):
    page.set_viewport_size(PHONE)
    page.goto(f"{site}/side-by-side")
    first = page.locator(".sides:not(.heads)").nth(1)
    left, right = (first.locator(".whose").nth(i) for i in (0, 1))
    assert left.bounding_box()["y"] < right.bounding_box()["y"]
    assert left.is_visible()
    page.set_viewport_size(DESKTOP)
    assert (
        abs(first.locator(".chat").nth(0).bounding_box()["y"] - first.locator(".chat").nth(1).bounding_box()["y"]) < 2
    )


def test_pictures_are_drawn_and_the_theme_is_kept(page, site, collection):
    page.goto(f"{site}/boards/{collection.boards[0].key}")
    for image in page.locator("img").all():
        image.scroll_into_view_if_needed()
        page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    page.get_by_role("button", name="Dark").click()
    page.goto(site)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_hostile_text_runs_nothing(chromium, tmp_path):
    run = make_view_run(tmp_path / "evil", supporters=(EVIL[:120], "cold"), limit=2, words=EVIL, rater=f"r{EVIL[:90]}")
    collection = Collection.open([run])
    report = Results.load(run)
    report.write_report(run)
    context = chromium.new_context()
    page = context.new_page()
    alerts, blocked = [], []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.on(
        "console", lambda message: blocked.append(message.text) if "Content Security Policy" in message.text else None
    )
    with serve_in_thread(make_view(collection)) as address:
        for path in paths_of(collection)[:-1]:
            page.goto(address + path)
            assert_accessible(page, sizes=(PHONE,))
    page.goto((run / "report.html").as_uri())
    page.locator("details.dialogue summary").first.click()
    assert not alerts
    assert not blocked
    context.close()


def test_the_report_is_one_accessible_file_that_finds_what_was_said(chromium, tmp_path):
    run = make_view_run(tmp_path / "run", limit=3)
    Results.load(run).write_report(run)
    context = chromium.new_context(color_scheme="light", offline=True)
    page = context.new_page()
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((run / "report.html").as_uri())
    for number in (0, 1):
        page.locator("details.dialogue > summary").nth(number).click()
    assert_accessible(page, sizes=(DESKTOP,))
    page.emulate_media(color_scheme="dark")
    assert_accessible(page, sizes=(PHONE,))
    assert asked == [(run / "report.html").as_uri()]
    page.get_by_label("Find in what was said").fill("TO BLAME")
    shown = page.locator("details.dialogue:visible").count()
    assert shown == 5  # six English ones, one of which ended before
    assert page.get_by_role("status").inner_text() == "5 of 12 dialogues shown"
    page.get_by_label("Find in what was said").fill("unscored")
    assert "Nothing found" in page.get_by_role("status").inner_text()
    page.get_by_label("Find in what was said").fill("")
    page.get_by_label("Supporter", exact=True).select_option("cold")
    assert page.locator("details.dialogue:visible").count() == 6
    context.close()


def test_the_command_serves_on_loopback_and_ends_with_ctrl_c(tmp_path, page):
    run = make_view_run(tmp_path / "run", limit=2)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with Served("view", run, "--port", "0", "--no-browser") as served:
        line = served.wait_for("http://127.0.0.1:")
        assert "8 dialogues, 2 leaderboards" in line
        page.goto(line.split()[-1])
        assert page.get_by_role("heading", level=2).first.inner_text() == "English, rated by judge"
        assert served.interrupt() == 0
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
