"""`make bench`: every benchmark, each in a process of its own, one after the other.

`python -m bench dispatch start` runs the named ones."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_") and path.stem != "common")


def main(wanted: list[str]) -> int:
    failed = 0
    for name in wanted or names():
        print(f"\n== {name}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
