# SPDX-License-Identifier: Apache-2.0
"""Servers that berth should not believe, and TLS: contexts.py DIR BUILD_DIR"""
import json
import os
import socket
import subprocess
import sys
import threading

work, build = sys.argv[1], sys.argv[2]
env = {k: v for k, v in os.environ.items() if not k.startswith("BERTH_")}
LIMIT = 300  # against hanging


def berth(*args):
    return subprocess.run([f"{build}/berth", *args], env=env, capture_output=True, timeout=LIMIT)


def add(name, url, *more):
    r = berth("context", "add", name, "--replace", "--server", url, "--token-file", f"{work}/viewer.token", *more)
    assert r.returncode == 0, r.stderr


class Server:
    """Answers every connection with the same bytes (or what a function writes) and keeps what was asked."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []
        self.s = socket.create_server(("127.0.0.1", 0))
        self.port = self.s.getsockname()[1]
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                c, _ = self.s.accept()
            except OSError:
                return
            with c:
                try:
                    text = b""
                    while b"\r\n\r\n" not in text:
                        got = c.recv(65536)
                        if not got:
                            break
                        text += got
                    self.asked.append(text)
                    if callable(self.answer):
                        self.answer(c)
                    else:
                        c.sendall(self.answer)
                except OSError:
                    pass

    def end(self):
        self.s.shutdown(socket.SHUT_RDWR)
        self.s.close()
        self.thread.join(LIMIT)


def http(body, status="200 OK", more=""):
    if isinstance(body, (dict, list)):
        body = json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n".encode() + body


GOOD = {"exit": 0, "again": False, "out": "x\n", "err": ""}


def through(answer, *args):
    server = Server(answer)
    add("odd", f"http://127.0.0.1:{server.port}")
    r = berth(*(args or ("status",)), "--context", "odd")
    server.end()
    return r, server.asked


def endless(c):
    c.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    block = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    for _ in range(1000):
        c.sendall(block)


r, asked = through(http(GOOD))
assert r.returncode == 0 and r.stdout == b"x\n" and r.stderr == b"", r
token = open(f"{work}/viewer.token").read().strip().encode()
head = asked[0].split(b"\r\n")
assert head[0] == b"GET /v1/satellites?form=table HTTP/1.1" and b"Authorization: Bearer " + token in head, head
# ---- what a terminal would obey ----
r, _ = through(http({"exit": 7, "again": False, "out": "a\x1b[2J\x9b1mb\x07\r\x7f\u0085\u202e é\tc\n", "err": "\x1b]0;x\x07\n"}))
assert r.returncode == 7 and r.stderr == b"?]0;x?\n", r
assert not any(b < 0x20 and b not in b"\n\t" or b == 0x7F for b in r.stdout) and b"\xc2\x9b" not in r.stdout and b"\xc2\x85" not in r.stdout, r.stdout
assert "é\tc\n".encode() in r.stdout, r.stdout
# ---- what is no answer ----
for bad in (b"", b"\0" * 100, b"HTTP/1.1 200 OK\r\n\r\n", http(b""), http(b"null"), http([]), http({}), http({**GOOD, "exit": 256}), http({**GOOD, "exit": -1}),
            http({**GOOD, "exit": "0"}), http({**GOOD, "again": 0}), http({**GOOD, "out": None}), http(b'{"exit":0,"exit":0,"again":false,"out":"","err":""}'),
            http(b"[" * 100000), http(b'{"exit":0,"again":false,"out":"\xff","err":""}'), http(json.dumps(GOOD).encode()[:-1]), http(GOOD)[:-1],
            http(GOOD, "204 No"), http(GOOD, "999 x"), http(GOOD, "500 x"), http({"error": {}}, "404 x"), http({"error": {"what": "x", "fix": "y", "code": 99999999}}, "404 x"),
            http({"error": {"what": "x", "fix": "y", "code": -1}}, "404 x"), b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200000, http(GOOD, more="Content-Encoding: gzip\r\n")[:60],
            endless):
    r, _ = through(bad)
    assert r.returncode == 1 and b"API_SERVER" in r.stderr and r.stdout == b"", (bad if callable(bad) else bad[:200], r)
r, _ = through(http({"error": {"what": "\x1b[1mx", "fix": "\x1b[1my", "code": 287}}, "403 x"))
assert r.returncode != 0 and b"?[1mx" in r.stderr and b"API_ROLE" in r.stderr and b"\x1b" not in r.stderr, r
# ---- nobody is followed, and no environment leads elsewhere ----
other = Server(http(GOOD))
for code in ("301 x", "302 x", "307 x", "308 x"):
    r, _ = through(http(b"", code, f"Location: http://127.0.0.1:{other.port}/\r\n"))
    assert r.returncode == 1, r
env["http_proxy"] = env["https_proxy"] = env["ALL_PROXY"] = f"http://127.0.0.1:{other.port}"
r, _ = through(http(GOOD))
assert r.returncode == 0 and not other.asked, (r, other.asked)
other.end()
for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
    del env[name]
# ---- each change has a key of its own ----
keys = set()
for i in range(3):
    r, asked = through(http(GOOD), "rollout", "pause", "1", "--reason", "x")
    lines = dict(line.split(b": ", 1) for line in asked[0].split(b"\r\n\r\n")[0].split(b"\r\n")[1:])
    assert asked[0].startswith(b"POST /v1/rollouts/1/pause?form=table HTTP/1.1\r\n"), asked
    keys.add(lines[b"Idempotency-Key"])
assert len(keys) == 3 and all(len(k) == 32 for k in keys), keys
add("none", "http://127.0.0.1:9")
r = berth("status", "--context", "none")
assert r.returncode == 1 and b"API_SERVER" in r.stderr, r


# ---- TLS ----
def openssl(*args):
    subprocess.run(["openssl", *args], cwd=work, check=True, capture_output=True)


def authority(name):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", f"/CN={name}", "-keyout", f"{name}.pem", "-out", f"{name}.crt")


def certificate(name, by, extra=""):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.pem", "-out", f"{name}.csr")
    with open(f"{work}/{name}.ext", "w") as f:
        f.write(extra)
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.crt", "-CAkey", f"{by}.pem", "-CAcreateserial", "-days", "1", "-extfile", f"{name}.ext", "-out", f"{name}.crt")


authority("ca")
authority("others")
certificate("server", "ca", "subjectAltName=IP:127.0.0.1\n")
certificate("elsewhere", "ca", "subjectAltName=DNS:elsewhere.example\n")
certificate("client", "ca")
certificate("stranger", "others")


def serve(cert, *more):
    p = subprocess.Popen([f"{build}/berth-api", "--home", f"{work}/home", "--listen", "127.0.0.1:0", "--tls-cert", f"{work}/{cert}.crt", "--tls-key", f"{work}/{cert}.pem", *more],
                         stderr=subprocess.PIPE, text=True)
    ready = p.stderr.readline()
    assert "tls=yes" in ready, ready
    return p, int(ready.split("port=")[1].split()[0])


def end(p):
    p.terminate()
    p.communicate(timeout=LIMIT)


def status(port, *more):
    add("tls", f"https://127.0.0.1:{port}", *more)
    r = berth("status", "--context", "tls")
    assert (r.returncode == 0) == (b"aurora-1" in r.stdout), r
    return r.returncode, r.stderr


ca = ("--ca", f"{work}/ca.crt")
p, port = serve("server")
assert status(port, *ca)[0] == 0
code, text = status(port)  # the system's authorities do not know it
assert code == 5 and b"API_AUTH" in text, (code, text)
assert status(port, "--ca", f"{work}/others.crt")[0] == 5
end(p)
p, port = serve("elsewhere")
assert status(port, *ca)[0] == 5  # a good certificate of another host
end(p)
p, port = serve("server", "--client-ca", f"{work}/ca.crt")
assert status(port, *ca)[0] != 0
assert status(port, *ca, "--cert", f"{work}/stranger.crt", "--key", f"{work}/stranger.pem")[0] != 0
assert status(port, *ca, "--cert", f"{work}/client.crt", "--key", f"{work}/client.pem")[0] == 0
os.chmod(f"{work}/client.pem", 0o644)
code, text = status(port, *ca, "--cert", f"{work}/client.crt", "--key", f"{work}/client.pem")
assert code == 5 and b"others can read it" in text, (code, text)
end(p)
print("contexts: servers that are none, or of another, are not believed")
