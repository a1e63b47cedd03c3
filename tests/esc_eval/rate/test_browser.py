"""Raters in Debian's Chromium: by keyboard, killed in between, reviewed, exported as they clicked; axe everywhere."""

import json
from collections import defaultdict

import pytest
from browser import DESKTOP, PHONE, Served, assert_accessible
from rating import HOSTILE, made_talks, make_team, talk
from typer.testing import CliRunner

from benchmarks.browsing import serve_in_thread
from esc_eval.cli.app import app
from esc_eval.files.records import read_ratings

pytestmark = pytest.mark.slow
SEVEN = 7


def open_link(page, link, name=None):
    page.goto(link)
    if name:
        page.fill("#name", name)
    page.click("form button.main")
    page.wait_for_load_state()


def wait_ready(page):
    page.wait_for_selector("[data-ready]")


def wait_for_state(page, state):
    page.wait_for_selector(f'[data-status][data-state="{state}"]')


def press_levels(page, levels):
    """Choose a level for each dimension by its key, then go on by Enter, once all is saved."""
    wait_ready(page)
    for level in levels:
        page.keyboard.press(str(level))
    before = page.url
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != before)


def item_of(page):
    return page.url.rsplit("/", 1)[-1]


def links_of(served, *names):
    served.wait_for(f"{names[-1]} (")
    return {name: next(line for line in served.lines if line.startswith(name)).split(": ")[1] for name in names}


def test_two_raters_one_killed_and_back_and_a_reviewer_give_exactly_what_they_clicked(chromium, shared, tmp_path):
    results = sorted((shared / "esc_eval_official" / "result").rglob("*.json"))
    words = ["rate", *results, "--out", tmp_path / "people", "--raters", "anna,ben", "--review", "carla"]
    words += ["--no-browser", "--seed", 5]
    clicked = defaultdict(dict)
    port = 0
    with Served(*words, "--port", port) as served:
        links = links_of(served, "coordinator", "anna", "ben", "carla")
        port = int(links["anna"].split(":")[2].split("/")[0])
        anna, ben = (chromium.new_context(viewport=DESKTOP).new_page() for _ in range(2))
        for page, name in ((anna, "anna"), (ben, "ben")):
            open_link(page, links[name])
        for n in range(12):
            levels = [(n + k) % 5 for k in range(SEVEN)]
            wait_ready(anna)
            clicked["anna"][item_of(anna)] = levels
            press_levels(anna, levels)
        anna.wait_for_url("**/list")
        for n in range(5):
            levels = [(2 * n + k) % 5 for k in range(SEVEN)]
            wait_ready(ben)
            clicked["ben"][item_of(ben)] = levels
            press_levels(ben, levels)
        wait_ready(ben)
        half = item_of(ben)
        for level in (4, 3, 2):
            ben.keyboard.press(str(level))
        wait_for_state(ben, "saved")
        served.kill()  # as kill -9
        ben.keyboard.press("1")  # nobody is there
        wait_for_state(ben, "unsaved")
        assert "Not saved yet" in ben.inner_text("[data-status]")
        storage = ben.context.storage_state()
        ben.context.close()  # and the browser is closed

    with Served(*words, "--port", port) as served:
        again = links_of(served, "coordinator", "anna", "ben", "carla")
        assert again == links
        ben = chromium.new_context(viewport=DESKTOP, storage_state=storage).new_page()
        ben.goto(links["ben"])
        ben.goto(f"{ben.url}item/{half}")  # what waited in the browser is shown and sent
        wait_ready(ben)
        wait_for_state(ben, "saved")
        assert ben.locator("input[type=radio]:checked").count() == 4
        ben.keyboard.press("0"), ben.keyboard.press("0")
        clicked["ben"][half] = [4, 3, 2, 1, 0, 0, 1]
        press_levels(ben, [1])
        for n in range(6):
            levels = [(3 * n + k) % 5 for k in range(SEVEN)]
            wait_ready(ben)
            clicked["ben"][item_of(ben)] = levels
            press_levels(ben, levels)
        ben.wait_for_url("**/list")
        ben.goto(f"{ben.url.removesuffix('list')}item/{half}")  # back, and one level changed by an arrow
        wait_ready(ben)
        ben.locator("[data-dimension]").nth(2).locator("legend").click()
        ben.keyboard.press("ArrowRight")
        wait_for_state(ben, "saved")
        clicked["ben"][half][2] = 3

        carla = chromium.new_context(viewport=DESKTOP).new_page()
        open_link(carla, links["carla"])
        wait_ready(carla)
        reviewed = item_of(carla)
        firsts = carla.locator("[data-dimension]").nth(0).locator("[data-first]")
        assert firsts.count() == 2
        first = int(firsts.last.get_attribute("data-value"))
        firsts.last.get_by_role("button").click()
        press_levels(carla, [4, 4, 4, 4, 4, 0])
        clicked["carla"][reviewed] = [first, 4, 4, 4, 4, 4, 0]
        assert served.interrupt() == 0
    assert "the same command goes on" in served.lines[-1]

    run = CliRunner().invoke(app, ["rate", "--out", str(tmp_path / "people"), "--export"])
    assert run.exit_code == 0, run.output
    assert sorted(levels_of(tmp_path / "people")) == sorted(
        (name, tuple(levels)) for name, items in clicked.items() for levels in items.values()
    )
    given = read_ratings(tmp_path / "people" / "ratings.jsonl")
    assert len(given) == len({(r.dialogue_id, r.rater, r.dimension) for r in given}) == 12 * 7 * 2 + 7
    report = tmp_path / "agreement.json"
    run = CliRunner().invoke(
        app, ["agreement", str(tmp_path / "people" / "ratings.csv"), "--json", str(report), "--draws", "100"]
    )
    assert run.exit_code == 0, run.output
    found = json.loads(report.read_text())
    assert found["dimensions"]["pooled"]["quadratic_kappa"]["n"] == 12 * 7
    assert "first -> review" in found["stages"]


def levels_of(folder):
    """Who gave which levels to a dialogue, in the rubric's order."""
    rows = defaultdict(list)
    for rating in read_ratings(folder / "ratings.jsonl"):
        rows[rating.rater, rating.dialogue_id].append(rating.score)
    return [(rater, tuple(levels)) for (rater, _), levels in rows.items()]


def test_hostile_conversations_do_nothing_but_be_read(page, tmp_path):
    team = make_team(tmp_path, [talk(f"m:{n}", "m", None, text) for n, text in enumerate(HOSTILE.values())])
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(dialog.message))
    with serve_in_thread(team.app) as address:
        rater = team.store.raters()[0]
        open_link(page, f"{address}/i/{rater.token}", "<img src=x onerror=alert(1)>")
        for item in team.store.items("anna"):
            page.goto(f"{address}/r/{rater.slug}/item/{item.id}")
            wait_ready(page)
            page.fill("[data-note]", HOSTILE["script"])
            page.keyboard.press("Escape")
            page.keyboard.press("x")
            page.select_option("select:visible", "")
            page.fill("[data-other-text]:visible", "<script>window.hacked = true</script>")
            page.keyboard.press("Enter")
            wait_for_state(page, "saved")
            assert page.evaluate("window.hacked") is None
            assert page.locator(".turn.supporter").inner_text().strip()
            assert page.locator(".panel").is_visible()
        assert_accessible(page)
        page.goto(f"{address}/i/{team.store.read_study()['coordinator']}")
        page.goto(f"{address}/c/dialogue/0")
        assert page.evaluate("window.hacked") is None
    assert all(url.startswith((address, "data:")) for url in asked)
    assert {row["text"] for row in team.store.clicks() if row["kind"] == "note"} == {HOSTILE["script"]}


@pytest.mark.parametrize(
    ("language", "scheme", "sizes"), [("en", "light", (DESKTOP, PHONE)), ("zh", "dark", (DESKTOP, PHONE))]
)
def test_axe_finds_nothing_serious_on_any_page(chromium, tmp_path, language, scheme, sizes):
    team = make_team(tmp_path / "levels", made_talks(), reviewers=("carla",), language=language, repeat=0.5)
    pairs = make_team(tmp_path / "pairs", made_talks(), pairwise=True, language=language)
    for name, shift in (("anna", 0), ("ben", 1)):
        visit = team.visit(name)
        for n, item in enumerate(visit.items()):
            visit.rate(item.id, (n + shift) % 5)
    page = chromium.new_context(color_scheme=scheme).new_page()
    with serve_in_thread(team.app) as address:
        for name in ("anna", "carla"):
            rater = next(rater for rater in team.store.raters() if rater.name == name)
            page.goto(f"{address}/i/{rater.token}")
            assert_accessible(page, sizes)
            page.click("form button.main")
            page.goto(f"{address}/r/{rater.slug}/list")
            assert_accessible(page, sizes)
            page.locator("table a").first.click()
            wait_ready(page)
            assert_accessible(page, sizes)
        page.keyboard.press("x")
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        assert_accessible(page, sizes)
        page.goto(f"{address}/i/{team.store.read_study()['coordinator']}")
        page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true; })")
        assert_accessible(page, sizes)
        page.goto(f"{address}/c/dialogue/0")
        assert_accessible(page, sizes)
        page.goto(f"{address}/nowhere")
        assert_accessible(page, sizes)
    with serve_in_thread(pairs.app) as address:
        open_link(page, f"{address}/i/{pairs.store.raters()[0].token}")
        wait_ready(page)
        assert_accessible(page, sizes)
    page.context.close()


def test_a_second_window_is_told_and_does_not_fork(chromium, tmp_path):
    team = make_team(tmp_path, raters=("anna",))
    context = chromium.new_context(viewport=DESKTOP)
    with serve_in_thread(team.app) as address:
        one, other = context.new_page(), context.new_page()
        open_link(one, f"{address}/i/{team.store.raters()[0].token}")
        wait_ready(one)
        other.goto(one.url)
        wait_ready(other)
        one.keyboard.press("4")
        wait_for_state(one, "saved")
        other.keyboard.press("0")
        other.wait_for_selector("[data-conflict]:visible")
        assert "another window" in other.inner_text("[data-conflict]")
        wait_ready(other)
        assert other.locator("input[type=radio]:checked").get_attribute("value") == "4"
        other.keyboard.press("1")  # of the next dimension; now it knows
        wait_for_state(other, "saved")
    assert [click["value"] for click in team.store.clicks()] == [4, 1]
    context.close()


def test_long_notes_that_wait_for_a_connection_are_saved_when_it_is_back(chromium, tmp_path):
    team = make_team(tmp_path, raters=("anna",))
    context = chromium.new_context(viewport=DESKTOP)
    page = context.new_page()
    with serve_in_thread(team.app) as address:
        open_link(page, f"{address}/i/{team.store.raters()[0].token}")
        wait_ready(page)
        page.keyboard.press("4")
        wait_for_state(page, "saved")
        context.set_offline(True)
        for n in range(20):
            page.evaluate(
                """said => { const note = document.querySelector("[data-note]"); note.value = said;
                note.dispatchEvent(new Event("change")); }""",
                f"{n}" + "很" * 19_990,
            )
        wait_for_state(page, "unsaved")
        context.set_offline(False)
        wait_for_state(page, "saved")
    notes = [click["text"] for click in team.store.clicks() if click["kind"] == "note"]
    assert notes == [f"{n}" + "很" * 19_990 for n in range(20)]
    context.close()


def test_what_was_forgotten_is_gone_at_once_and_its_page_says_so(page, tmp_path):
    team = make_team(tmp_path, raters=("anna", "ben"))
    with serve_in_thread(team.app) as address:
        open_link(page, f"{address}/i/{team.store.raters()[0].token}")
        wait_ready(page)
        page.keyboard.press("4")
        wait_for_state(page, "saved")
        run = CliRunner().invoke(app, ["rate", "--out", str(tmp_path / "people"), "--forget", "anna"])
        assert run.exit_code == 0, run.output
        page.keyboard.press("3")
        page.wait_for_selector('[data-status][data-state="unsaved"]')
        assert "Open your link again" in page.inner_text("[data-status]")
        page.evaluate("localStorage.clear()")
    assert team.store.clicks() == []
    assert [rater.name for rater in team.store.raters()] == ["ben"]


def test_a_phone_rates_by_touch_a_break_is_proposed_and_single_keys_can_be_turned_off(chromium, tmp_path):
    team = make_team(tmp_path, raters=("anna",))
    context = chromium.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    page = context.new_page()
    with serve_in_thread(team.app) as address:
        open_link(page, f"{address}/i/{team.store.raters()[0].token}")
        wait_ready(page)
        for _ in range(SEVEN):
            page.locator(".dimension.current .level").nth(3).tap()
        wait_for_state(page, "saved")
        before = page.url
        page.locator("[data-go]").tap()
        page.wait_for_url(lambda url: url != before)
        wait_ready(page)
        page.evaluate("localStorage.setItem('esc-eval-keys', 'off'); sessionStorage.setItem('esc-eval-active', '1801')")
        page.reload()
        page.wait_for_selector("[data-break-notice]:visible")  # after half an hour
        page.locator("[data-break-close]").tap()
        page.wait_for_selector("[data-break-notice]", state="hidden")
        wait_ready(page)
        page.keyboard.press("4")
        page.keyboard.press("Enter")  # says what is open, and stays
        assert "7" in page.inner_text("[data-status]")
    assert [click["value"] for click in team.store.clicks()] == [3] * SEVEN
    context.close()
