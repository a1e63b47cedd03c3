"""Time and memory of reading a large source, against reading the same files with the standard library alone.

Generates smile-like conversations (one JSON file each, invented sentences), then measures in processes of their own:
``json.load`` of every file; ``build --sources`` of a tenth of them; ``build --sources`` of all. Peak memory must not
grow with the number of files, and processor time (which a busy machine hardly changes) is given as a ratio to the
standard library's.

    python -m benchmarks.building --conversations 55000
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SENTENCES = (
    "最近我总是睡不好，半夜醒来就再也睡不着。",
    "白天上班没有精神，主管已经提醒过我两次。",
    "听起来这段时间你过得很不容易，身体和心里都很累。",
    "你有没有留意过，是从什么时候开始这样的？",
    "大概是搬到新城市以后，身边没有可以说话的人。",
    "一个人面对陌生的环境，感到孤单是很自然的事。",
    "我也想改变，可是不知道从哪里做起。",
    "我们可以先从一件小事开始，比如睡前半小时不看手机。",
)


def generate(folder: Path, conversations: int, seed: int) -> int:
    """Write conversations of eight to fourteen turns; returns their bytes."""
    draw = random.Random(seed)
    data = folder / "smile" / "data"
    data.mkdir(parents=True)
    size = 0
    for number in range(conversations):
        turns = []
        for turn in range(draw.randrange(8, 15)):
            parts = draw.choices(SENTENCES, k=draw.randrange(2, 6))
            turns.append(
                {
                    "role": "client" if turn % 2 == 0 else "counselor",
                    "content": "".join(parts),
                    "annotation": [{"sentence": part, "label": ""} for part in parts],
                }
            )
        text = json.dumps(turns, ensure_ascii=False)
        size += len(text.encode())
        (data / f"{number}.json").write_text(text, encoding="utf-8")
    return size


def with_the_standard_library(folder: Path) -> int:
    """Load every file and count the turns."""
    return sum(len(json.loads(path.read_text(encoding="utf-8"))) for path in folder.glob("smile/data/*.json"))


def with_the_builder(folder: Path, out: Path) -> int:
    """Build from the sources alone and count the conversations."""
    from dataset_builder.build import Inputs, build_dataset

    content = build_dataset(Inputs(sources=folder), out)
    return int(content["inputs"]["sources"]["smile"]["conversations"])


def measured(step: str, folder: Path, out: Path) -> dict[str, Any]:
    """Run a step in a process of its own; seconds of work without the start, peak memory in MiB, what it counted."""
    command = [sys.executable, "-m", "benchmarks.building", "--step", step, "--folder", str(folder), "--out", str(out)]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    assert isinstance(answer, dict)
    return answer


def _step(step: str, folder: Path, out: Path) -> None:
    import dataset_builder.build  # noqa: F401 - imports are not part of the time

    begin, cpu = time.perf_counter(), time.process_time()
    count = with_the_standard_library(folder) if step == "stdlib" else with_the_builder(folder, out)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_mib": peak, "count": count}))


def main() -> None:
    """Generate, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=55_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--step", choices=["stdlib", "build"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if options.step:
        _step(options.step, options.folder, options.out)
        return
    with tempfile.TemporaryDirectory() as temporary:
        few, all_of_them = Path(temporary) / "few", Path(temporary) / "all"
        generate(few, max(1, options.conversations // 10), options.seed)
        size = generate(all_of_them, options.conversations, options.seed)
        measured("stdlib", all_of_them, Path(temporary) / "none")  # fills the file cache
        results = {
            "stdlib": measured("stdlib", all_of_them, Path(temporary) / "none"),
            "build, a tenth": measured("build", few, Path(temporary) / "out-few"),
            "build, all": measured("build", all_of_them, Path(temporary) / "out-all"),
        }
    ratio = results["build, all"]["cpu_seconds"] / results["stdlib"]["cpu_seconds"]
    growth = results["build, all"]["peak_mib"] / results["build, a tenth"]["peak_mib"]
    print(
        json.dumps(
            {
                "conversations": options.conversations,
                "mib": size / 2**20,
                "cpu_time_ratio": ratio,
                "memory_growth": growth,
                **results,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
