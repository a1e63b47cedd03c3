"""The documentation as a site: built, then looked at in Chromium, page by page."""

import functools
import http.server
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
WIDTHS = (1280, 390)
STICKS_OUT = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
MARK_NEW = """seen => [...document.querySelectorAll("body *")].flatMap(e => {
  const own = [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  if (!own && e.childElementCount && !e.matches("a, button, pre, .md-typeset__scrollwrap")) return [];
  const above = e.parentElement, says = e.alt || e.textContent.trim() ? "says" : "blank";
  const kind = [above.tagName, above.getAttribute("class"), e.tagName, e.getAttribute("class"), says].join(" ");
  if (seen.includes(kind)) return [];
  seen.push(kind);
  e.setAttribute("data-new", "");
  return [kind];
})"""
GRAVE = ("serious", "critical")
RULES = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "image-alt", "link-name", "button-name"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    mkdocs = Path(sys.executable).with_name("mkdocs")
    command = [mkdocs, "build", "--strict", "--quiet", "--site-dir", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def address(site):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


def test_every_verb_and_option_is_on_the_pages_of_the_command_lines(site):
    from typer.main import get_command

    from esc_eval.cli.app import app

    shown = (site / "cli" / "index.html").read_text(encoding="utf-8")
    for name, verb in get_command(app).commands.items():
        assert f"esc-eval {name}</code>" in shown
        for parameter in verb.params:
            if not getattr(parameter, "hidden", False):
                assert [option for option in parameter.opts if option.startswith("--") and option not in shown] == []
    assert "python -m dataset_builder build" in (site / "cli_checkout" / "index.html").read_text(encoding="utf-8")


def open_page(chromium, scheme):
    """A page in which the search, half of the work of opening a page of ours, never starts."""
    page = chromium.new_context(reduced_motion="reduce", color_scheme=scheme).new_page()
    page.add_init_script("window.__search = {index: new Promise(() => {})}")
    page.add_init_script("window.Worker = class extends EventTarget { postMessage() {} }")
    return page


def find_faults(page, address, name, rules, seen):
    """What sticks out of a page at each width, and what axe finds serious.

    Axe looks at one element of each kind (what it is, in what, of which class, with or without words); those of
    ``seen`` it has looked at on another page, and new ones are added to them.
    """
    from axe_playwright_python.sync_playwright import Axe

    page.goto(f"{address}{name}/" if name != "." else address)
    faults = []
    first = page.viewport_size["width"]  # so that a page is laid out once for each width
    for width in sorted(WIDTHS, key=lambda width: width != first):
        page.set_viewport_size({"width": width, "height": 300})
        if (wide := page.evaluate(STICKS_OUT)) > 1:
            faults.append(f"{name} at {width} px sticks out by {wide}")
    if new := page.evaluate(MARK_NEW, seen):
        seen += new
        options = {"runOnly": rules, "resultTypes": ["violations"], "preload": False}
        for one in Axe().run(page, context="[data-new]", options=options).response["violations"]:
            if one["impact"] in GRAVE:
                faults.append(f"{name}: {one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}")
    return faults


def test_no_page_asks_another_host_sticks_out_or_is_hard_to_read(site, address, chromium):
    page = open_page(chromium, "light")
    asked = set()
    page.on("request", lambda request: asked.add(request.url))
    pages = sorted(path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))
    assert len(pages) > 40
    seen = []
    faults = [fault for name in pages for fault in find_faults(page, address, name, RULES, seen)]
    assert not faults, "\n".join(faults)
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]


def test_the_dark_colours_can_be_read_too(address, chromium):
    page, seen = open_page(chromium, "dark"), []
    for name in (".", "howto/data"):
        assert not find_faults(page, address, name, ["color-contrast"], seen)
        assert page.evaluate("document.body.dataset.mdColorScheme") == "slate"


def test_search_finds_a_page_and_code_can_be_copied(address, chromium):
    page = chromium.new_context().new_page()
    page.goto(f"{address}how_do_i/evaluate_my_model/")
    assert page.locator("button.md-code__button[title='Copy to clipboard'], nav.md-code__nav button").count() > 3
    page.locator("input.md-search__input").click()
    page.get_by_text("Type to start searching").wait_for(timeout=60_000)  # it listens from now on
    page.keyboard.type("Krippendorff")
    first = page.locator(".md-search-result__link").first
    first.wait_for(timeout=60_000)
    assert any("statistics" in link.get_attribute("href") for link in page.locator(".md-search-result__link").all())
