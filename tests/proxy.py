"""A proxy as notebooks and IDEs have one: the server appears under a path of another host."""

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFIX = "/user/me/proxy/8000/"
SITE = "https://hub.example"  # what it takes itself for; TLS would end in front of it


class NotebookProxy:
    """Shows localhost:`port` below PREFIX, which it strips. Host becomes the server's, Origin SITE.

    url: where it shows it. asked: the request lines that came. strays: those beside PREFIX.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []
        self.strays: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                proxy.answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self.server.server_address[1]}{PREFIX}"

    def answer(self, asked: BaseHTTPRequestHandler) -> None:
        self.asked.append(asked.requestline)
        body = asked.rfile.read(int(asked.headers.get("Content-Length", 0)))
        if not asked.path.startswith(PREFIX):
            self.strays.append(asked.requestline)
            asked.send_error(404)
            return
        del asked.headers["Host"], asked.headers["Connection"]
        headers = dict(asked.headers.items())
        if "Origin" in headers:
            headers["Origin"] = SITE
        server = http.client.HTTPConnection("localhost", self.port, timeout=60)
        server.request(asked.command, "/" + asked.path.removeprefix(PREFIX), body, headers)
        reply = server.getresponse()
        content = reply.read()
        asked.send_response_only(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                asked.send_header(name, value)
        asked.send_header("Content-Length", str(len(content)))
        asked.end_headers()
        asked.wfile.write(content)
        server.close()


@contextlib.contextmanager
def notebook_proxy(port: int) -> Iterator[NotebookProxy]:
    proxy = NotebookProxy(port)
    threading.Thread(target=proxy.server.serve_forever, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()
