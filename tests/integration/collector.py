#!/usr/bin/env python3
"""A small HTTP(S) collector that takes what the router posts, and can be as bad as real ones are.

As a class:
    with Collector() as c:
        ... url: c.url("/siem/{class}") ...
        c.fail(503, times=3, retry_after=1)     # or seconds=5, path="/siem/admin_read"
        c.lines("/siem/admin_read")             # what was stored there, line by line
As a program:
    collector.py --port 0 --dir DIR             # prints its URL; stores each path's bodies in DIR, until SIGTERM
Nothing beyond Python's standard library; zstd bodies need the zstd program or a Python that can.
"""
import argparse
import gzip
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from ports import free_port


def decode_zstd(body):
    try:
        from compression import zstd
        return zstd.decompress(body)
    except ImportError:
        return subprocess.run(["zstd", "-d", "-c", "-q"], input=body, stdout=subprocess.PIPE, check=True).stdout


DECODERS = {"": bytes, "identity": bytes, "gzip": gzip.decompress, "zstd": decode_zstd}


class Fault:
    """What happens to the next `times` requests (or those of the next `seconds`) whose path begins with `path`."""

    def __init__(self, kind, times=None, seconds=None, path="", status=None, retry_after=None, delay=None):
        self.kind, self.left, self.path = kind, times, path
        self.until = None if seconds is None else time.monotonic() + seconds
        self.status, self.retry_after, self.delay = status, retry_after, delay

    def over(self):
        return (self.left is not None and self.left <= 0) or (
            self.until is not None and time.monotonic() > self.until)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def answer(self, status, body=b"", headers=()):
        self.collector.note(self.path, status, self.headers, self.size)
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def cut(self):
        """Ends the connection with a reset and without an answer."""
        self.collector.note(self.path, 0, self.headers, self.size)
        self.close_connection = True
        try:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        except OSError:
            pass

    def endless(self):
        self.collector.note(self.path, 200, self.headers, self.size)
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        while True:
            self.wfile.write(b"x" * 65536)

    def fault(self, fault, body):
        """True: the request is done with."""
        if fault.kind == "delay":
            self.collector.stopping.wait(fault.delay)
            return False
        if fault.kind == "lose":
            self.collector.store(self.path, body, lost=True)
            self.cut()
        elif fault.kind == "reset":
            self.cut()
        elif fault.kind == "endless":
            self.endless()
        else:
            retry = [] if fault.retry_after is None else [("Retry-After", str(fault.retry_after))]
            self.answer(fault.status, b"no\n", retry)
        return True

    def do_POST(self):
        collector = self.collector
        self.size = int(self.headers.get("Content-Length") or 0)
        if "Transfer-Encoding" in self.headers:
            return self.answer(411)
        if collector.rude_max_body is not None and self.size > collector.rude_max_body:
            self.close_connection = True
            return self.answer(413)
        raw = self.rfile.read(self.size)
        if len(raw) < self.size:
            self.close_connection = True
            return None
        fault = collector.next_fault(self.path)
        if fault and fault.kind not in ("lose", "delay") and self.fault(fault, b""):
            return None
        if collector.authorization is not None and self.headers.get("Authorization") != collector.authorization:
            return self.answer(401)
        if collector.max_body is not None and self.size > collector.max_body:
            return self.answer(413)
        decoder = DECODERS.get(self.headers.get("Content-Encoding", ""))
        if decoder is None:
            return self.answer(415)
        try:
            body = decoder(raw)
        except Exception:  # whatever a decoder finds wrong
            return self.answer(400, b"cannot decode the body\n")
        if collector.refuse is not None and collector.refuse.search(body):
            return self.answer(400, b"some event is refused\n")
        if fault and self.fault(fault, body):
            return None
        collector.store(self.path, body)
        return self.answer(200, b"{}\n")

    def do_GET(self):
        self.size = 0
        self.answer(200, b"ok\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address, handler, context):
        self.context, self.live, self.lock = context, set(), threading.Lock()
        super().__init__(address, handler)

    def get_request(self):
        connection, address = super().get_request()
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self.lock:
            self.live.add(connection)
        return connection, address

    def shutdown_request(self, request):
        with self.lock:
            self.live.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        pass  # a client that went away is nothing to tell

    def cut_all(self):
        with self.lock:
            live = list(self.live)
        for connection in live:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Collector:
    def __init__(self, port=0, host="127.0.0.1", folder=None, certificate=None, key=None, client_ca=None,
                 authorization=None, max_body=None, rude_max_body=None, refuse=None):
        """max_body: 413 above it. rude_max_body: 413 and the end of the connection before the body was read.
        authorization: what the header must say, else 401. refuse: a pattern; 400 for a body that it is found in."""
        self.host, self.port, self.folder = host, port, folder
        self.authorization, self.max_body, self.rude_max_body = authorization, max_body, rude_max_body
        self.refuse = re.compile(refuse) if refuse else None
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(certificate, key)
            if client_ca:
                self.context.verify_mode = ssl.CERT_REQUIRED
                self.context.load_verify_locations(client_ca)
        self.stored, self.requests, self.faults = {}, [], []
        self.lost = 0  # lines that were stored and never confirmed
        self.lock, self.stopping = threading.Lock(), threading.Event()
        self.server = None

    def start(self):
        """Also after stop(), on the same port."""
        if not self.port:
            self.port = free_port()
        self.stopping.clear()
        handler = type("CollectorHandler", (Handler,), {"collector": self})
        self.server = Server((self.host, self.port), handler, self.context)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def stop(self):
        """As a crash would: connections are cut. What was stored stays."""
        if not self.server:
            return
        self.stopping.set()
        self.server.shutdown()
        self.server.cut_all()
        self.server.server_close()
        self.thread.join()
        self.server = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        self.stop()

    def url(self, path="/"):
        return "%s://%s:%d%s" % ("https" if self.context else "http", self.host, self.port, path)

    # faults, one after the other in the order of the calls

    def add_fault(self, *args, **kwargs):
        with self.lock:
            self.faults.append(Fault(*args, **kwargs))

    def fail(self, status, times=None, seconds=None, retry_after=None, path=""):
        self.add_fault("status", times, seconds, path, status=status, retry_after=retry_after)

    def delay(self, delay, times=None, seconds=None, path=""):
        self.add_fault("delay", times, seconds, path, delay=delay)

    def reset(self, times=None, seconds=None, path=""):
        self.add_fault("reset", times, seconds, path)

    def lose_answers(self, times=None, seconds=None, path=""):
        self.add_fault("lose", times, seconds, path)

    def endless(self, times=None, seconds=None, path=""):
        self.add_fault("endless", times, seconds, path)

    def heal(self):
        with self.lock:
            self.faults.clear()

    # what came

    def paths(self):
        with self.lock:
            return sorted(self.stored)

    def bodies(self, path):
        with self.lock:
            return list(self.stored.get(path, ()))

    def lines(self, path):
        return [line for body in self.bodies(path) for line in body.split(b"\n") if line]

    # used by the handler

    def next_fault(self, path):
        with self.lock:
            self.faults = [f for f in self.faults if not f.over()]
            for fault in self.faults:
                if path.startswith(fault.path):
                    if fault.left is not None:
                        fault.left -= 1
                    return fault
        return None

    def note(self, path, status, headers, size):
        with self.lock:
            self.requests.append((path, status, dict(headers.items()), size))

    def store(self, path, body, lost=False):
        with self.lock:
            self.lost += lost * body.count(b"\n")
            if self.folder is None:
                self.stored.setdefault(path, []).append(body)
                return
            self.stored.setdefault(path, [])
            os.makedirs(self.folder, exist_ok=True)
            name = re.sub(r"[^A-Za-z0-9._-]", "_", path.split("?")[0].strip("/")) or "root"
            with open(os.path.join(self.folder, name + ".ndjson"), "ab") as f:
                f.write(body)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--port", type=int, default=0, help="0: any free one")
    p.add_argument("--host", default="127.0.0.1")
    p.add_argument("--dir", help="where to store the bodies, a file for each path; else only in memory")
    p.add_argument("--certificate", help="PEM file: speak HTTPS")
    p.add_argument("--key", help="PEM file with its key")
    p.add_argument("--client-ca", help="PEM file: demand client certificates of this authority")
    p.add_argument("--authorization", help="what the header must say; else 401")
    p.add_argument("--max-body", type=int, help="413 above so many bytes")
    p.add_argument("--refuse", help="a pattern: 400 for a body that it is found in")
    p.add_argument("--status", type=int, help="answer this instead of storing, for --for seconds")
    p.add_argument("--retry-after", type=int)
    p.add_argument("--delay", type=float, help="wait so many seconds before each answer, for --for seconds")
    p.add_argument("--for", type=float, dest="seconds", help="how long --status and --delay last; unsaid: always")
    a = p.parse_args()
    collector = Collector(a.port, a.host, a.dir, a.certificate, a.key, a.client_ca, a.authorization, a.max_body,
                          None, a.refuse.encode() if a.refuse else None)
    if a.status:
        collector.fail(a.status, seconds=a.seconds, retry_after=a.retry_after)
    if a.delay:
        collector.delay(a.delay, seconds=a.seconds)
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    with collector:
        sys.stdout.write(collector.url() + "\n")
        sys.stdout.flush()
        signal.sigwait(ends)


if __name__ == "__main__":
    main()
