"""[long] Mutation score of the gate, the ledger and the fills: mutants of the modules that `[tool.mutmut]` names, killed or survived.

    python benchmarks/mutation.py [--sample 348] [--seed 20261126] [--children 2] [--write]

Needs the extra `mutation` (POSIX only). Works on a copy of the tracked files in a temporary folder, which it names. Of all mutants a seeded
sample is run, shared out by module (`--sample 0`: all of them; hours). Prints one JSON document; `--write` keeps it as
benchmarks/results/mutation-<date>.json, with each survivor's changed line and an empty `reason` for a person to fill in. A mutant whose
tests ran out of time is killed. Exit code 1 below 85 %.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
GOAL = 0.85
#: What mutmut keeps of a mutant: the exit code of its tests, or one of its own.
SURVIVED, UNTESTED = {0}, {5, 33}


def mutmut(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """One command of the tool in the copy."""
    return subprocess.run([sys.executable, "-m", "mutmut", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def copied() -> Path:
    """The tracked files in a folder of their own."""
    folder = Path(tempfile.mkdtemp(prefix="dudzian-mutation-"))
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    return folder


def codes(folder: Path) -> dict[str, dict[str, int | None]]:
    """Exit codes of the mutants by module; None for one that has not run."""
    found = {}
    for meta in sorted((folder / "mutants" / "dudzian_daemon").rglob("*.meta")):
        module = meta.relative_to(folder / "mutants" / "dudzian_daemon").as_posix().removesuffix(".py.meta")
        found[module] = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return {module: known for module, known in found.items() if known}


def chosen(known: dict[str, dict[str, int | None]], size: int, seed: int) -> list[str]:
    """The seeded sample: at least five of a module, else its share."""
    total = sum(map(len, known.values()))
    if not size:
        return [name for names in known.values() for name in names]
    draw = random.Random(seed)
    picked = []
    for _, names in sorted(known.items()):
        share = max(5, round((size - 8) * len(names) / total))
        picked += draw.sample(sorted(names), min(share, len(names)))
    return picked


def result(folder: Path, picked: list[str]) -> dict[str, Any]:
    """Counts by module, the score, and the survivors with the line that was changed."""
    wanted = set(picked)
    by_module: dict[str, Counter[str]] = defaultdict(Counter)
    survivors = []
    for module, known in codes(folder).items():
        for name, code in known.items():
            if name not in wanted or code is None:
                continue
            fate = "survived" if code in SURVIVED else "untested" if code in UNTESTED else "killed"
            by_module[module][fate] += 1
            if fate != "killed":
                lines = mutmut(folder, "show", name).stdout.splitlines()
                changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("---", "+++")]
                survivors.append({"mutant": name, "fate": fate, "change": changed, "reason": ""})
    run = sum((counts for counts in by_module.values()), Counter())
    return {
        "run": sum(run.values()),
        "killed": run["killed"],
        "score": round(run["killed"] / max(1, sum(run.values())), 4),
        "modules": {module: dict(sorted(counts.items())) for module, counts in sorted(by_module.items())},
        "survivors": survivors,
    }


def main() -> None:
    """Mutate, run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=348, help="mutants to run; 0: all")
    parser.add_argument("--seed", type=int, default=20261126)
    parser.add_argument("--children", type=int, default=2, help="processes")
    parser.add_argument("--write", action="store_true", help="keep the result below benchmarks/results")
    options = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    folder = copied()
    print(f"mutating in {folder}", file=sys.stderr)
    made = mutmut(folder, "run", "--max-children", str(options.children), "dudzian_daemon.domain.money.x_share__mutmut_1")
    known = codes(folder)
    if not known:
        raise SystemExit(made.stdout + made.stderr)
    picked = chosen(known, options.sample, options.seed)
    mutmut(folder, "run", "--max-children", str(options.children), *picked)
    now = datetime.now(UTC)
    document = {
        "benchmark": "mutation",
        "date": f"{now:%Y-%m-%d}",
        "commit": commit,
        "mutants": sum(map(len, known.values())),
        "n": len(picked),
        "seed": options.seed,
        **result(folder, picked),
    }
    text = json.dumps(document, indent=2, ensure_ascii=False)
    print(text)
    if options.write:
        (ROOT / "benchmarks" / "results" / f"mutation-{now:%Y-%m-%d}.json").write_text(text + "\n", encoding="utf-8")
    raise SystemExit(document["score"] < GOAL)


if __name__ == "__main__":
    main()
