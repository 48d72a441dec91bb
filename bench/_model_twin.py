"""The model that answers at once, in a process of its own, so that its CPU is not ours."""

import json
import sys

from tests.fakes.model_server import ModelServer

SQL = "SELECT region, sum(amount) AS total FROM shop.orders GROUP BY region"


def main() -> None:
    with ModelServer(lambda asked: {"tables": [], "sql": SQL}) as server:
        print(json.dumps({"url": server.url}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
