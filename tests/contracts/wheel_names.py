"""Run by CI on the built wheel: `headwater` is its only top-level name, and every package is inside."""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
NOT_SHIPPED = {"headwater", "tests", "bench"}
PACKAGES = {path.parent.name for path in ROOT.glob("*/__init__.py")} - NOT_SHIPPED


def main(path: str) -> int:
    names = zipfile.ZipFile(path).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    missing = [
        package for package in PACKAGES if not any(name.startswith(f"headwater/app/{package}/") for name in names)
    ]
    sys.stdout.write(f"{path}: top-level names {sorted(top)}, missing {missing}\n")
    return int(top != {"headwater"} or bool(missing))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
