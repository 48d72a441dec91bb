"""Sends attacks through every door of a served platform: `python -m tests.hostile.attacks CORPUS.jsonl`.

Our own always, and those of the corpus where it is there.

Each statement must be refused, or answer what a copy without the secrets answers. Prints what went wrong, and a
figure as the last line; exits with 1 when anything did."""

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.hostile.attacks import own
from tests.hostile.attacks.lair import lair
from tests.hostile.attacks.probes import Logs
from tests.hostile.attacks.siege import Attack, Siege, besiege


def read(path: Path) -> list[Attack]:
    records: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [
        Attack(
            record["id"],
            record["class"],
            record["sql"],
            before=record.get("precede") or "",
            is_expensive=record["class"].startswith(("resource", "disk")),
        )
        for record in records
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--only", default="", help="Statements whose id begins so.")
    asked = parser.parse_args()
    attacks = own.read()
    if asked.corpus.is_file():
        attacks = read(asked.corpus) + attacks
    else:
        sys.stdout.write(f"the corpus of attacks is skipped: no file {asked.corpus} (set HEADWATER_ATTACKS)\n")
    attacks = [attack for attack in attacks if attack.name.startswith(asked.only)]
    logs, base, started = Logs(), Path(tempfile.mkdtemp(prefix="headwater-attacks-")), time.monotonic()
    logging.root.addHandler(logs)
    try:
        with lair(base) as place:
            siege = besiege(place, attacks, logs)
    finally:
        logging.root.removeHandler(logs)
        shutil.rmtree(base, ignore_errors=True)
    return report(siege, attacks, time.monotonic() - started)


def report(siege: Siege, attacks: list[Attack], seconds: float) -> int:
    for problem in siege.problems:
        sys.stdout.write(f"{problem}\n")
    codes = Counter(code for _, code in siege.codes)
    sys.stdout.write(
        f"attacks: {len(attacks)} statements, {len(siege.codes)} calls over 4 doors, {dict(codes)}, "
        f"{siege.live} leak to an administrator, problems {len(siege.problems)}, {seconds:.0f} s\n"
    )
    return 1 if siege.problems else 0


if __name__ == "__main__":
    sys.exit(main())
