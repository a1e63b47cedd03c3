"""What the pages of ``view`` hold, asked as a browser asks, without one."""

import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import html as lxml_html
from made_views import EVIL, RUBRIC, make_view_run
from starlette.testclient import TestClient
from typer.testing import CliRunner

from esc_eval import Results
from esc_eval.cli.app import app as esc_eval
from esc_eval.errors import EscEvalError
from esc_eval.files.records import read_dialogues, read_ratings
from esc_eval.files.writing import write_jsonl
from esc_eval.reporting.render import table_html
from esc_eval.reporting.standing import differences_table
from esc_eval.reporting.tables import AS_LENGTH, HOLDS, OWN_SET, board_table, details_tables
from esc_eval.schema import NO_SCORER
from esc_eval.view.app import make_view
from esc_eval.view.collection import Collection
from esc_eval.view.listing import SIZE, Asked, Listing
from esc_eval.web import load_words


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return make_view_run(tmp_path_factory.mktemp("view") / "run")


@pytest.fixture(scope="module")
def collection(run) -> Collection:
    return Collection.open([run])


def client(collection, **headers) -> TestClient:
    return TestClient(make_view(collection), base_url="http://127.0.0.1:8600", headers=headers)


@pytest.fixture(scope="module")
def site(collection) -> TestClient:
    return client(collection)


def words_of(text: str) -> str:
    return " ".join(lxml_html.fromstring(text).text_content().split())


def key_of(collection: Collection, id_: str) -> str:
    return next(entry.key for entry in collection.entries if entry.dialogue.id == id_)


def test_the_numbers_are_those_of_the_report(run, collection, site):
    front = site.get("/").text
    for board, table in zip(collection.boards, Results.load(run).summary.tables, strict=True):
        assert table_html(board_table(table)) in front
        page = site.get(f"/boards/{board.key}").text
        assert table_html(board_table(table)) in page
        assert all(table_html(details) in page for details in details_tables(table))
        assert table_html(differences_table(table.standing, table.names)) in page
        assert html.escape(table.signature) in page


def test_the_differences_are_those_of_compare(run, collection):
    shown = Results.load(run).compare().tables
    for board in collection.boards:
        own = differences_table(board.table.standing, board.table.names)
        assert any(table.rows == own.rows and table.columns == own.columns for table in shown)


def test_a_run_without_ratings_is_read_and_says_how_to_rate(run, tmp_path):
    bare = tmp_path / "bare"
    bare.mkdir()
    write_jsonl(bare / "dialogues.jsonl", read_dialogues(run))
    site = client(Collection.open([bare]))
    assert "esc-eval score --dialogues DIR" in site.get("/").text
    page = words_of(site.get("/dialogues").text)
    assert "16 of 16 dialogues." in page or "16 dialogues" in page
    assert site.get("/rounds").status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("find=blame", 7),  # one of eight English dialogues ended before it
        ("find=BLAME", 7),
        ("find=you+blame", 7),
        ("find=%22to+blame%22", 7),
        ("find=%22blame+to%22", 0),
        ("find=%22tell+someone.%22", 7),
        ("find=%22someone.+Hello.%22", 0),  # the end of one side and the beginning of the other
        ("find=错", 8),
        ("find=blame&where=seeker", 0),
        ("find=hardly+sleep&where=seeker", 8),
        ("find=Occupation", 0),  # of the card, which is searched where asked
        ("find=Occupation&where=card", 8),
        ("find=Occupation&where=all", 8),
        ("find=unscored", 0),  # a word of the table
        ("find=warm", 8),  # some say it
        ("find=zzz", 0),
        ("model=cold", 8),
        ("model=nobody", 0),
        ("spoken=zh", 8),
        ("spoken=zh&model=warm", 4),
        ("category=work_and_study", 0),
        ("level=unscored", 2),
        ("level=unscored&dimension=empathy", 1),
        ("level=4&dimension=fluency", 2),
        ("level=4&dimension=nothing", 0),
        ("state=ended", 1),
        ("state=whole", 15),
        ("rater=judge", 16),
        ("rater=nobody", 0),
        ("group=1", 16),
        ("group=2", 0),
        ("page=99999999999", 16),
        ("page=-1&sort=;drop&down=x", 16),
    ],
)
def test_the_list_holds_what_is_asked_for_and_says_so(site, query, found):
    page = site.get(f"/dialogues?{query}").text
    rows = re.findall(r'<th scope="row"><a href="/dialogues/(\w+)', page)
    assert len(rows) == found
    said = words_of(page)
    assert (f"{found} of 16 dialogues." in said) == (found > 0)
    assert ("Nothing found." in said) == (found == 0)


def test_nothing_found_says_where_was_looked(site):
    assert "What was said was searched, and no role card." in words_of(site.get("/dialogues?find=zzz").text)


def levels_in(collection, **asked):
    listing = Listing(collection, Asked(**asked))
    return [listing.marks(entry, asked["sort"]) for entry in listing.found]


def test_dialogues_are_sorted_by_level_those_without_last_whichever_way(collection):
    up = [levels[0] for levels in levels_in(collection, sort="fluency")]
    down = [levels[0] for levels in levels_in(collection, sort="fluency", down=True)]
    scored = [level for level in up if level is not None]
    assert up == [*sorted(scored), None, None]
    assert down == [*sorted(scored, reverse=True), None, None]


def test_the_mean_is_that_of_the_leaderboard(collection):
    [board] = [board for board in collection.boards if board.table.language == "zh"]
    listing = Listing(collection, Asked(model="warm", spoken="zh"))
    means = [listing.mean(entry) for entry in listing.found]
    [row] = [row for row in board.table.rows if row.supporter == "warm"]
    assert sum(means) / len(means) == pytest.approx(row.average.value)


def test_every_dialogue_of_a_long_run_is_reached_page_by_page(collection):
    many = collection.entries * 20
    long = Collection(collection.groups)
    long.entries = many
    seen = 0
    for page in range(1, 100):
        listing = Listing(long, Asked(page=page))
        assert len(listing.shown) <= SIZE
        seen += len(listing.shown)
        if page == listing.pages:
            break
    assert seen == len(many) == 320


def test_a_dialogue_has_its_card_ratings_probabilities_and_raw_answers(collection, site):
    entry = collection.by_key[key_of(collection, "warm:sample-en-01")]
    page = words_of(site.get(f"/dialogues/{entry.key}").text)
    assert " ".join(entry.card.text.split()) in page
    assert "made up, describes nobody" in page
    assert "It has been a hard week and I hardly sleep." in page
    assert "Score: 2" in page
    assert "0: 0.10, 1: 0.60, 2: 0.10, 3: 0.10, 4: 0.10; expected 1.50" in page
    assert RUBRIC.text("en").dimensions["fluency"].levels[1] in page
    assert "(cut at the token cap)" in page
    ended = words_of(site.get(f"/dialogues/{key_of(collection, 'cold:sample-en-01')}").text)
    assert "ended early: the server refused it" in ended
    assert "unscored" in ended


def test_the_address_of_a_dialogue_stays_the_same(run, collection, tmp_path):
    other = make_view_run(tmp_path / "other", supporters=("third",))
    both = Collection.open([other, run])
    assert {entry.key for entry in collection.entries} <= {entry.key for entry in both.entries}


def test_before_and_behind_are_those_of_the_list_that_it_was_found_in(collection, site):
    listing = Listing(collection, Asked(find="blame", sort="empathy", down=True))
    page = lxml_html.fromstring(site.get(f"/dialogues/{listing.found[1].key}?find=blame&sort=empathy&down=1").text)
    before, behind = (page.xpath(f"//a[@rel='{rel}']/@href")[0] for rel in ("prev", "next"))
    assert before == f"/dialogues/{listing.found[0].key}?find=blame&sort=empathy&down=1"
    assert behind.startswith(f"/dialogues/{listing.found[2].key}?")
    assert [mark.text for mark in page.xpath("//mark")] == ["blame"]


def test_two_supporters_on_a_card_stand_round_by_round(collection, site):
    first, second = key_of(collection, "warm:sample-zh-02"), key_of(collection, "cold:sample-zh-02")
    page = lxml_html.fromstring(site.get(f"/side-by-side?first={first}&second={second}").text)
    rows = page.xpath("//div[@class='sides']")
    assert len(rows) == 4
    left, right = (" ".join(side.text_content().split()) for side in rows[2])
    assert "这不全是你的错。 (warm)" in left
    assert "这不全是你的错。 (cold)" in right
    cells = [[cell.text_content() for cell in row] for row in page.xpath("//tbody/tr")]
    assert cells[0][0] == "Fluency"
    assert cells[0][-1] == "+1"
    following = page.xpath("//a[@rel='next']/@href")[0]
    first, second = key_of(collection, "warm:sample-zh-03"), key_of(collection, "cold:sample-zh-03")
    assert following == f"/side-by-side?first={first}&second={second}"


def test_dialogues_of_two_cards_are_not_set_side_by_side(collection, site):
    first, second = key_of(collection, "warm:sample-zh-02"), key_of(collection, "cold:sample-zh-03")
    assert site.get(f"/side-by-side?first={first}&second={second}").status_code == 400


def test_a_run_of_one_supporter_has_nothing_side_by_side(tmp_path):
    site = client(Collection.open([make_view_run(tmp_path / "one", supporters=("only",), limit=2)]))
    assert "No two dialogues here are of the same card." in site.get("/side-by-side").text


def test_rounds_say_that_there_is_no_score_by_round_and_have_words_and_distress(site):
    page = words_of(site.get("/rounds").text)
    assert "There is no score by round" in page
    assert "no validated measure" in page
    for title in ("Length of replies · English", "Words of distress less words of relief, seeker · Chinese"):
        assert title in page


@pytest.mark.slow
def test_pictures_come_as_svg_and_pdf_and_are_described(collection, site):
    board = collection.boards[0]
    page = lxml_html.fromstring(site.get(f"/boards/{board.key}").text)
    [means] = page.xpath("//img[contains(@src, '-means.svg')]")
    assert "warm: Fluency" in means.get("alt")
    svg = site.get(means.get("src"))
    assert svg.headers["content-type"].startswith("image/svg+xml")
    assert ">warm</text>" in svg.text
    pdf = site.get(means.get("src").replace(".svg", ".pdf"))
    assert pdf.content.startswith(b"%PDF")


@pytest.mark.parametrize(
    "path",
    [
        "/dialogues/nope", "/dialogues/..%2f..%2fcards.jsonl", "/dialogues/%2e%2e/run.json", "/boards/x",
        "/boards/../x", "/pictures/x.svg", "/pictures/..%2f..%2frun.json", "/side-by-side?first=../cards",
        "/run.json", "/cards.jsonl",
    ],
)  # fmt: skip
def test_no_address_leads_to_a_file(site, path):
    assert site.get(path).status_code == 404


def test_nothing_can_be_written(collection, site):
    for path in ("/", "/dialogues", f"/dialogues/{collection.entries[0].key}", "/side-by-side"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert site.request(method, path).status_code in (403, 405)


@pytest.mark.slow
def test_hostile_text_is_shown_as_text_on_every_page(tmp_path):
    run = make_view_run(tmp_path / "evil", supporters=(EVIL[:120], "cold"), limit=2, words=EVIL, rater=f"r{EVIL[:90]}")
    collection = Collection.open([run])
    site = client(collection)
    key = collection.entries[1].key
    paths = ["/", f"/boards/{collection.boards[0].key}", "/dialogues", "/dialogues?find=%3Cscript%3E",
             f"/dialogues/{key}?find=alert", "/side-by-side", "/rounds"]  # fmt: skip
    for path in paths:
        page = site.get(path)
        assert page.status_code == 200, path
        tree = lxml_html.fromstring(page.text)
        assert all(script.get("src") for script in tree.iter("script")), path
        assert not [img for img in tree.iter("img") if not img.get("src").startswith("/pictures/")], path
        assert not [name for each in tree.iter() for name in each.attrib if name.startswith("on") or name == "style"]
        assert "\u202e" not in page.text
        assert "\x07" not in page.text
        assert "49" not in [each.text for each in tree.iter("mark")]
    [means] = [picture for picture in collection.boards[0].pictures if picture.name == "means"]
    assert not [each for each in lxml_html.fromstring(means.svg).iter() if each.tag in ("script", "img", "image")]
    assert "&lt;script&gt;alert(1)" in site.get(f"/dialogues/{key}").text


def test_the_pages_speak_chinese(collection):
    site = client(collection, **{"accept-language": "zh-CN"})
    key = key_of(collection, "warm:sample-zh-01")
    shown = {
        "/": ("排行榜", "支持者", "名次", "流畅度"),
        f"/boards/{collection.boards[0].key}": ("以下说明为英文", "成对差异"),
        "/dialogues?find=zzz": ("没有找到。", "查找了说过的话"),
        f"/dialogues/{key}": ("角色卡", "第 2 轮", RUBRIC.text("zh").dimensions["fluency"].levels[1]),
        "/side-by-side": ("并排比较", "左减右"),
        "/rounds": ("没有逐轮的评分",),
    }
    for path, words in shown.items():
        page = words_of(site.get(path).text)
        for word in words:
            assert word in page, (path, word)


def change_ratings(folder: Path, **changed) -> None:
    write_jsonl(folder / "ratings.jsonl", [r.model_copy(update=changed) for r in read_ratings(folder)])


def test_runs_of_one_protocol_share_a_leaderboard(run, tmp_path):
    other = make_view_run(tmp_path / "other", supporters=("third",))
    both = Collection.open([run, other])
    assert len(both.groups) == 1
    for board in both.boards:
        assert {row.supporter for row in board.table.rows} == {"warm", "cold", "third"}
        assert "protocol:p/1" in board.table.signature
        assert "foreign" not in board.table.signature


def test_a_scoring_in_a_folder_of_its_own_joins_its_run(run, tmp_path):
    scored = make_view_run(tmp_path / "scored")
    change_ratings(scored, rater="second")
    both = Collection.open([run, scored])
    assert [len(both.groups), len(both.entries)] == [1, 16]
    assert {board.table.rater for board in both.boards} == {"judge", "second"}
    assert len(both.entries[0].ratings) == 14


def test_the_same_ratings_twice_count_once(run, tmp_path):
    both = Collection.open([run, make_view_run(tmp_path / "copy")])
    alone = Collection.open([run])
    assert len(both.groups) == 1
    assert [len(entry.ratings) for entry in both.entries] == [len(entry.ratings) for entry in alone.entries]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda path: make_view_run(path, supporters=("third",), protocol="q"), "protocol.id"),
        (lambda path: make_view_run(path, supporters=("third",), protocol=None), "nothing says how they were made"),
        (lambda path: make_view_run(path, words="Otherwise."), "says other words there"),
    ],
)
def test_what_was_made_otherwise_stands_apart_with_the_reason(run, tmp_path, make, why):
    both = Collection.open([run, make(tmp_path / "other")])
    assert len(both.groups) == 2
    [reason] = both.groups[1].reasons
    assert why in reason
    page = words_of(client(both).get("/").text)
    assert "2 groups that share no leaderboard" in page
    assert why in page
    assert all(len(board.table.rows) <= 2 for board in both.boards)


def test_a_rater_who_rates_otherwise_stands_apart_and_no_rating_is_lost(run, tmp_path):
    other = make_view_run(tmp_path / "other")
    change_ratings(other, score=2, problem=None)
    both = Collection.open([run, other])
    assert "rated fluency" in both.groups[1].reasons[0]
    assert len(both.entries) == 16
    assert {len(entry.ratings) for entry in both.entries} >= {13, 14}


def test_people_stand_beside_every_model(run, tmp_path):
    people = make_view_run(tmp_path / "people", supporters=("human",), protocol=None)
    both = Collection.open([people, run])
    assert len(both.groups) == 1
    assert all("human" in {row.supporter for row in board.table.rows} for board in both.boards)
    assert all("dialogues:some foreign" in board.table.signature for board in both.boards)


def test_a_folder_that_is_no_run_or_named_twice_is_refused(run, tmp_path):
    with pytest.raises(EscEvalError, match="no such run folder"):
        Collection.open([tmp_path / "nothing"])
    with pytest.raises(EscEvalError, match="named twice"):
        Collection.open([run, run / "."])


@pytest.mark.slow
def test_figures_are_written_signed_and_described(tmp_path):
    run = make_view_run(tmp_path / "run", limit=2)
    told = CliRunner().invoke(esc_eval, ["figures", str(run), "--out", str(tmp_path / "out"), "--format", "svg"])
    assert told.exit_code == 0, told.output
    board = ("means", "order", "levels")
    rounds = ("supporter-words", "questions", "cut", "seeker-words", "distress")
    stems = {f"{c}-judge-{name}" for c in ("en", "zh") for name in board} | {"zh-judge-differences"}
    stems |= {f"{c}-rounds-{name}" for c in ("en", "zh") for name in rounds}
    names = {*(f"{stem}.svg" for stem in stems), "figures.txt"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    assert {Path(line).name for line in told.stdout.splitlines()} == names
    assert "<metadata>esc-eval:" in (tmp_path / "out" / "en-judge-means.svg").read_text(encoding="utf-8")
    told = CliRunner().invoke(esc_eval, ["figures", str(run), "--out", str(tmp_path / "all"), "--format", "all"])
    assert told.exit_code == 0, told.output
    assert {path.suffix for path in (tmp_path / "all").iterdir()} == {".svg", ".pdf", ".png", ".txt"}
    said = (tmp_path / "out" / "figures.txt").read_text(encoding="utf-8")
    assert "en-judge-order: English, rated by judge. Order by Average" in said


def test_help_shows_how():
    for verb in ("view", "figures"):
        told = CliRunner().invoke(esc_eval, [verb, "--help"]).output
        assert f"esc-eval {verb} runs/first" in told


@pytest.mark.slow
def test_without_the_extra_reports_and_figures_are_made_and_the_pages_say_what_to_install(run, tmp_path):
    block = "import sys; sys.modules['starlette'] = None; from esc_eval.cli.app import main; main()"
    for arguments, code in (
        (["report", run], 0),
        (["figures", run, "--out", tmp_path, "--format", "svg"], 0),
        (["view", run], 2),
    ):
        done = subprocess.run([sys.executable, "-c", block, *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
    assert "esc-eval[pages]" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_has_no_valid_scorer_has_no_number_on_any_page(tmp_path, language):
    folder = make_view_run(tmp_path / "run", limit=1)
    why = {"en": ("empathy", "worse than words"), "zh": ("", "nothing is shown for Chinese")}
    by_id = {dialogue.id: dialogue.language for dialogue in read_dialogues(folder)}
    ratings = []
    for rating in read_ratings(folder):
        key, reason = why[by_id[rating.dialogue_id]]
        lacking = {"score": None, "probabilities": None, "expected": None, "problem": f"no valid scorer: {reason}"}
        ratings.append(rating.model_copy(update=lacking if rating.dimension == key or not key else {}))
    write_jsonl(folder / "ratings.jsonl", ratings)
    collection = Collection.open([folder])
    site = client(collection, **{"accept-language": language})
    front = words_of(site.get("/").text)
    assert "no valid scorer for Empathy" in front
    assert "Chinese: no valid scorer, so there is no score: nothing is shown for Chinese" in front
    for board in collection.boards:
        page = site.get(f"/boards/{board.key}")
        assert page.status_code == 200
        assert why[board.table.language][1] in words_of(page.text)
        said = "没有有效的评分方法" if language == "zh" else "no valid scorer"
        assert said in words_of(lxml_html.tostring(lxml_html.fromstring(page.text).find(".//table"), encoding=str)) or (
            board.table.names and said in words_of(page.text)
        )
    entry = key_of(collection, next(i for i, spoken in by_id.items() if spoken == "zh"))
    assert "nothing is shown for Chinese" in words_of(site.get(f"/dialogues/{entry}").text)
    assert site.get("/dialogues", params={"sort": "empathy", "level": "unscored"}).status_code == 200


@pytest.mark.slow
def test_repeats_are_named_and_can_be_asked_for(tmp_path):
    folder = make_view_run(tmp_path / "run", languages=("en",))
    for name, key in (("dialogues.jsonl", "id"), ("ratings.jsonl", "dialogue_id")):
        rows = [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        again = [{**row, key: f"{row[key]}#2", **({"repeat": 2} if key == "id" else {})} for row in rows]
        text = "".join(json.dumps(row) + "\n" for row in [*rows, *again])
        (folder / name).write_text(text, encoding="utf-8")
    collection = Collection.open([folder])
    site = client(collection)
    listed = [entry.dialogue.id for entry in Listing(collection, Asked(repeat="2")).found]
    assert len(listed) == 8
    assert all(name.endswith("#2") for name in listed)
    page = words_of(site.get("/dialogues").text)
    assert "repeat 2" in page
    assert "repeat 2" in words_of(site.get(f"/dialogues/{key_of(collection, listed[0])}").text)
    board = words_of(site.get(f"/boards/{collection.boards[0].key}").text)
    assert "Fragile cards of supporters" in board
    assert "Repeats: what a score is made of" in board
    plain = Collection.open([make_view_run(tmp_path / "plain", languages=("en",))])
    assert "repeat" not in words_of(client(plain).get("/dialogues").text)


@pytest.mark.parametrize("language", ["en", "zh", "de", "ja"])
def test_what_is_known_of_scores_is_said_in_the_language_of_the_page(language):
    english = set(load_words("en", "view").starting("term_").values())
    assert {HOLDS, OWN_SET, AS_LENGTH, NO_SCORER, "validity", "What is known of the scores"} <= english
    own = load_words(language, "view").starting("term_")
    assert {"validity", "holds", "own_set", "as_length", "no_scorer", "support"} <= set(own)
    assert language == "en" or (own["holds"] != HOLDS and own["as_length"] != AS_LENGTH)
