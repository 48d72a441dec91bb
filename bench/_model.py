"""A model server in a process of its own: says hello to whoever asks, token by token."""

import json
import sys

from tests.fakes.model_server import ModelServer, Reply


def main() -> None:
    with ModelServer(lambda asked: Reply("Hello, what would you like to know of the shop?")) as server:
        print(json.dumps({"url": server.url}), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
