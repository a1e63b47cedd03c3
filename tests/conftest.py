"""Fixtures: the shared public files, a toy chat model of a real architecture, the embedded model."""

import functools
import gc
import json
import os
import re
from collections import Counter
from pathlib import Path

import hypothesis
import pytest
import typer.testing

hypothesis.settings.register_profile("no deadline", deadline=None)  # no test asks for a speed
hypothesis.settings.load_profile("no deadline")

typer.testing._get_command = functools.cache(
    typer.testing._get_command
)  # a command line is put together once, not a call

FIRST = [
    *("test_docs.py", "test_planted.py", "test_readme.py", "test_simulate.py", "test_walk.py", "test_score.py"),
    *("test_how_do_i.py", "test_kills.py", "test_judges.py", "test_embedded.py", "test_roles.py", "test_tasks.py"),
]
"""Files of few tests that take minutes: they start first, so that none of them is left alone at the end."""
ALL_SLOW = re.compile(r"^pytestmark = (\[\s*)?pytest\.mark\.slow", re.MULTILINE)
ROOT = Path(__file__).resolve().parents[1]
# The suite runs one process a core; more threads than cores wait for one another. Before numpy and torch look.
os.environ.setdefault("OMP_NUM_THREADS", "1")
GPU = bool(os.environ.get("ESC_EVAL_TEST_GPU"))  # `make test-gpu`
if not GPU:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same tests, numbers and texts on every machine; before torch looks


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What is loaded here stays, so the collector of cycles looks for none in it, neither now nor in any test."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_ignore_collect(collection_path, config):
    """A file that holds nothing of what is asked for is not loaded, nor are the libraries that it imports."""
    asked = config.option.markexpr
    if asked not in ("slow", "not slow") or collection_path.suffix != ".py":
        return None
    text = collection_path.read_text(encoding="utf-8")
    return ("mark.slow" not in text if asked == "slow" else bool(ALL_SLOW.search(text))) or None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    """Tests of a GPU are run where they are asked for, and fail there without one. Workers begin with long files."""
    if not GPU:
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a GPU: make test-gpu"))
    if hasattr(config, "workerinput"):
        many = Counter(item.path for item in items)
        last = len(FIRST)
        items.sort(key=lambda i: (FIRST.index(i.path.name) if i.path.name in FIRST else last, -many[i.path], i.path))


def pytest_configure(config):
    config.option.loadscopereorder = False  # xdist's own order, which is by the number of tests alone


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of other people's public files; the tests that need it skip where it is absent."""
    folder = Path(os.environ.get("ESC_EVAL_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "esc_eval_official").is_dir():
        reason = f"the public test files are not at {folder}; set ESC_EVAL_TEST_DATA"
        if os.environ.get("ESC_EVAL_REQUIRE_DATA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture
def script(tmp_path):
    """Make a scripted model's file; returns its spec."""

    def make(replies, name="script", seconds=0.0):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps({"replies": replies, "seconds": seconds}), encoding="utf-8")
        return f"scripted:{path}"

    return make


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory) -> Path:
    from training.common.toy import build_toy

    return build_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy(toy_folder):
    from esc_eval.chat import open_model

    return open_model(f"hf:{toy_folder}")


@pytest.fixture(scope="session")
def embedded():
    """SmolLM2-135M-Instruct, the model of `make demo`."""
    from esc_eval.chat import open_model

    return open_model("embedded")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub on loopback that this process takes for the real one; large files come over HTTP."""
    from hub_server import TOKEN, HubServer
    from huggingface_hub import constants

    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with HubServer() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        yield server


@pytest.fixture
def xet_hub(hub, monkeypatch):
    """The same, where large files come by Xet, huggingface_hub's own choice."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    return hub


@pytest.fixture(scope="module")
def chromium():
    """A browser; see ``browser`` for how to look at a page with it.

    It ends with its module: while playwright is there, nothing else can run an event loop in this thread.
    """
    from browser import open_chromium

    with open_chromium() as browser:
        yield browser


@pytest.fixture
def page(chromium):
    """A page of a browser that knows nothing yet; whatever its console says against us fails the test."""
    context = chromium.new_context(locale="en-GB")
    made = context.new_page()
    complaints: list[str] = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    yield made
    context.close()
    assert not complaints, complaints


@pytest.fixture(scope="session")
def sentencepiece_model():
    """A small byte-fallback BPE model whose last pieces are reserved, as InternLM2's are."""
    from packed_internlm2 import train_tokenizer

    return train_tokenizer()


@pytest.fixture(scope="session")
def packed_release(tmp_path_factory, sentencepiece_model):
    """A toy of the released ESC-RANK: folder, configuration, tensors, adapters' updates, and it prepared."""
    from packed_internlm2 import make_release

    return make_release(tmp_path_factory.mktemp("packed"), sentencepiece_model)
