"""A small HTTP front for the ClickHouse engine that runs inside this process, for tests.

    python clickhouse_front.py PORT FOLDER USER PASSWORD

It speaks as much of ClickHouse's HTTP interface as Rend's adapter does: a statement in the body, or in `query` with the
rows to insert in the body; `database`, `param_NAME` and settings in the query string; the user and the password in the
headers X-ClickHouse-User and X-ClickHouse-Key; errors by status and X-ClickHouse-Exception-Code.

What it proves is the engine: types, SQL, merges, deduplication of inserts. It has one session behind one lock and holds
whole answers in memory, so it proves nothing about the server's own HTTP layer, its users, its queues of asynchronous
inserts, or several clients at once.
"""

import hmac
import os
import re
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from chdb import session

PORT, FOLDER, USER, PASSWORD = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
BODY_BYTES_MAX = 256 << 20
# What the engine's error numbers become; everything else is 500.
STATUS_OF = {"60": 404, "81": 404, "62": 400, "516": 403}
# Names in the query string that are not settings.
NOT_SETTINGS = {"query", "database", "default_format", "query_id", "wait_end_of_query"}

engine = session.Session(os.path.join(FOLDER, "data"))
one_at_a_time = threading.Lock()


class Refused(Exception):
    """A request that the engine never saw, with the number that ClickHouse gives such a refusal."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def perform(statement, rows, asked):
    """Runs one statement and answers its bytes."""
    params = {name[len("param_"):]: value for name, value in asked.items() if name.startswith("param_")}
    settings = {
        name: value
        for name, value in asked.items()
        if name not in NOT_SETTINGS and not name.startswith("param_") and re.fullmatch(r"\w+", name)
    }
    spooled = None
    try:
        if rows:
            # Rows go through a file: the engine reads binary rows in the text of a statement wrongly.
            handle, spooled = tempfile.mkstemp(dir=FOLDER, suffix=".rows")
            with os.fdopen(handle, "wb") as file:
                file.write(rows)
            statement, found = re.subn(
                r"\s+FORMAT\s+(\w+)\s*$", lambda m: f" FROM INFILE '{spooled}' FORMAT {m[1]}", statement
            )
            if found != 1:
                raise Refused("62", "rows came with a statement that does not end with FORMAT")
        with one_at_a_time:
            if "database" in asked:
                engine.query("USE `%s`" % asked["database"].replace("`", ""))
            for name, value in settings.items():
                engine.query("SET %s = '%s'" % (name, value.replace("\\", "\\\\").replace("'", "\\'")))
            try:
                answer = engine.query(statement, asked.get("default_format", "TabSeparated"), params=params)
                return bytes(answer.bytes()) if answer is not None else b""
            finally:
                # The one session must not keep what was said of one statement.
                for name in settings:
                    engine.query("SET %s = DEFAULT" % name)
    finally:
        if spooled:
            os.unlink(spooled)


class Front(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if urlsplit(self.path).path == "/ping":
            self.answer(200, b"Ok.\n")
        else:
            self.answer_to(b"")

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            self.answer(413, b"the body is too long\n")
        else:
            self.answer_to(self.rfile.read(length))

    def answer_to(self, body):
        asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        try:
            user = self.headers.get("X-ClickHouse-User") or ""
            key = self.headers.get("X-ClickHouse-Key") or ""
            if not (hmac.compare_digest(user, USER) and hmac.compare_digest(key, PASSWORD)):
                raise Refused("516", "Authentication failed")
            if "query" in asked:
                self.answer(200, perform(asked["query"], body, asked))
            else:
                self.answer(200, perform(body.decode(), b"", asked))
        except Exception as error:
            found = re.search(r"Code: (\d+)", str(error))
            code = getattr(error, "code", None) or (found[1] if found else "1001")
            self.answer(STATUS_OF.get(code, 500), str(error).encode(), code)

    def answer(self, status, body, code=None):
        self.send_response(status)
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer.daemon_threads = True
ThreadingHTTPServer(("127.0.0.1", PORT), Front).serve_forever()
