"""A web server of somebody else's, over TLS, with documents that client ids name."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.engine.egress.test_tls import make_certificate


@dataclass
class Documents:
    """What stands at `https://localhost:PORT/NAME`."""

    url: str
    certificate: Path
    said: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put(self, name: str, *redirect_uris: str, **more: Any) -> str:
        """A client id: the URL of its own document."""
        client_id = f"{self.url}/{name}"
        document = {"client_id": client_id, "client_name": name, "redirect_uris": list(redirect_uris)}
        self.said[f"/{name}"] = document | {"token_endpoint_auth_method": "none"} | more
        return client_id


@contextmanager
def documents(folder: Path) -> Iterator[Documents]:
    certificate, key = make_certificate("localhost", folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(made.said.get(self.path, {})).encode()
            self.send_response(200 if self.path in made.said else 404)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    made = Documents(f"https://localhost:{server.server_port}", certificate)
    thread = threading.Thread(target=server.serve_forever, name="documents", daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
