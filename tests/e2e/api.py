# SPDX-License-Identifier: Apache-2.0
"""Clients of tests/e2e/api: api.py PORT DIR OPENAPI BERTH"""
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time

port, work, description, berth = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
spec = json.load(open(description))
tokens = {n: open(f"{work}/{n}.token").read().strip() for n in ("viewer", "operator", "safety", "approver", "tenant")}
TIMEOUT = 120  # against hanging


def ask(method, path, who="viewer", body=None, headers=None, at=None):
    c = http.client.HTTPConnection("127.0.0.1", at or port, timeout=TIMEOUT)
    h = dict(headers or {})
    if who:
        h["Authorization"] = "Bearer " + tokens.get(who, who)
    c.request(method, path, body, h)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, r.headers, text


def get(path, who="viewer", status=200):
    got, headers, text = ask("GET", path, who)
    assert got == status, f"{path} as {who}: {got} {text[:300]}"
    return json.loads(text)


# ---- the contract ----------------------------------------------------------------------------------------------
def resolve(schema):
    while "$ref" in schema:
        at = spec
        for part in schema["$ref"][2:].split("/"):
            at = at[part]
        schema = at
    return schema


KINDS = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}


def check(value, schema, where):
    schema = resolve(schema)
    if value is None and schema.get("nullable"):
        return
    kind = KINDS[schema["type"]]
    assert isinstance(value, kind) and (kind is not int or not isinstance(value, bool)), f"{where}: {value!r} is no {schema['type']}"
    if "enum" in schema:
        assert value in schema["enum"], f"{where}: {value!r}"
    for name in schema.get("required", []):
        assert name in value, f"{where}: {name} is missing"
    for name, part in schema.get("properties", {}).items():
        if name in value:
            check(value[name], part, f"{where}.{name}")
    for i, item in enumerate(value if kind is list and "items" in schema else []):
        check(item, schema["items"], f"{where}[{i}]")


def keep_log(tenant):
    """A chunk as a satellite would have sent it: one line of the first start, "hello"."""
    at = f"{work}/home/mail/.logs/{tenant}/aurora-1/cam"
    os.makedirs(at, exist_ok=True)
    with open(f"{at}/{7:016x}-{1:016x}-{1:016x}", "wb") as f:
        f.write(bytes.fromhex("8401001050" "85070100008184010000" "4568656c6c6f"))


def logs():
    for tenant in ("acme", "luna"):
        keep_log(tenant)
    log = get("/v1/logs/aurora-1/acme/cam?last=5&cursor=0-0", "tenant")
    assert [(l["instance"], l["number"], l["text"]) for l in log["lines"]] == [(7, 1, "hello")] and log["next"] == "7-1", log
    assert get("/v1/logs/aurora-1/acme/cam?cursor=7-1")["lines"] == []
    get("/v1/logs/aurora-1/luna/cam")
    get("/v1/logs/aurora-1/luna/cam", "tenant", 404)
    get("/v1/logs/aurora-1/acme/dog", "viewer", 404)
    for bad in ("cursor=--home", "limit=1", "last=0", "last=100001", "since=2h%20--home%20x", "follow=true"):
        get(f"/v1/logs/aurora-1/acme/cam?{bad}", "viewer", 400)


def contract():
    rollout = get("/v1/rollouts")["rollouts"][0]["id"]
    n = 0
    for path, methods in spec["paths"].items():
        real = path
        for named in ("satellites", "links", "trust"):
            real = real.replace(f"/v1/{named}/{{id}}", f"/v1/{named}/aurora-1")
        for named in ("tenants", "packages"):
            real = real.replace(f"/v1/{named}/{{id}}", f"/v1/{named}/acme")
        real = real.replace("{plan}", "0" * 64).replace("{id}", str(rollout)).replace("{satellite}/{tenant}/{payload}", "aurora-1/acme/cam")
        needed = [p["name"] + "=" + p["example"] for p in methods.get("get", {}).get("parameters", []) if p.get("in") == "query" and p.get("required")]
        real += "?" + "&".join(needed) if needed else ""
        for method, operation in methods.items():
            n += 1
            if path == "/v1/events":
                continue  # has no end: below
            if path.endswith("/stream"):
                told = Stream("viewer", path=real + "?last=5")
                first = told.next()
                assert first["event"] == "told" and first["id"].isdigit(), first
                check(json.loads(first["data"]), {"type": "object", "required": ["events"], "properties": {"events": {"type": "array", "items": {"$ref": "#/components/schemas/Told"}}}}, real)
                told.c.close()
                assert ask("GET", real, "tenant")[0] == 403 and ask("GET", real, None)[0] in (401, 429) and ask("GET", real + "?last=0")[0] == 400, real
                assert path == "/v1/told/stream" or ask("GET", real.replace("aurora-1", "nobody"))[0] == 404, real
                continue
            if method == "post":
                assert {"$ref": "#/components/parameters/key"} in operation["parameters"] and {"400", "409", "422"} <= set(operation["responses"]), path
                status, headers, text = ask("POST", real, "viewer")
                assert status == 403, (real, status)
            else:
                try:
                    status, headers, text = ask("GET", real)
                except OSError as e:
                    raise AssertionError(real) from e
                # of what it is asked there may be none yet
                assert status == 200 or (status == 404 and needed), (real, status, text)
            answer = resolve(operation["responses"][str(status)])
            media, form = next(iter(answer["content"].items()))
            assert headers["Content-Type"].split(";")[0] == media, (real, headers["Content-Type"])
            if media == "application/json":
                check(json.loads(text), form["schema"], real)
            if not operation.get("security") == []:
                status, headers, text = ask(method.upper(), real, None)
                until = time.monotonic() + TIMEOUT
                while status == 429 and time.monotonic() < until:  # so many without a token: as it says
                    time.sleep(int(headers["Retry-After"]))
                    status, headers, text = ask(method.upper(), real, None)
                assert status == 401 and headers["WWW-Authenticate"], (real, status)
                check(json.loads(text), resolve(operation["responses"]["401"])["content"]["application/json"]["schema"], real)
    print(f"api: {n} operations are as described")


# ---- the same as the command line ------------------------------------------------------------------------------
def same_as_cli():
    said = json.loads(subprocess.run([berth, "status", "--json"], capture_output=True, check=True).stdout)["satellites"]
    served = get("/v1/satellites")["satellites"]
    for a, b in zip(said, served, strict=True):
        for name in a:
            assert name == "report_age_ms" or a[name] == b[name], (name, a[name], b[name])


# ---- pages, fields, labels -------------------------------------------------------------------------------------
def lists():
    seen, cursor = [], ""
    while True:
        page = get("/v1/satellites?limit=1&fields=id" + cursor)
        assert len(page["satellites"]) == 1 and list(page["satellites"][0]) == ["id"], page
        seen.append(page["satellites"][0]["id"])
        if page["next"] is None:
            break
        cursor = "&cursor=" + page["next"]
    assert seen == ["aurora-1", "aurora-2", "aurora-3"], seen
    assert [s["id"] for s in get("/v1/satellites?label=plane%3Dp1")["satellites"]] == ["aurora-1", "aurora-3"]
    assert get("/v1/satellites?label=plane%3Dp")["satellites"] == []
    assert get("/v1/rollouts?limit=1&fields=id,state")["next"] == "1"
    for bad in ("limit=0", "limit=1001", "limit=-1", "limit=1&limit=2", "limit=", "limit", "cursor=%2e%2e", "fields=ID", "fields=", "label=x",
                "label=a%3Db%3Dc", "unknown=1", "&".join(f"x{i}=1" for i in range(20)), "cursor=" + "a" * 200, "fields=" + "a," * 200):
        assert get("/v1/satellites?" + bad, status=400)["error"]["code_name"] == "API_REQUEST", bad
    get("/v1/satellites/aurora-1?limit=1", status=400)
    first = get("/v1/packages?limit=1")
    assert first["next"] == "acme/beacon" and get("/v1/packages?cursor=acme/beacon")["packages"][0]["payload"] == "zenith/beacon"
    assert [t["id"] for t in get("/v1/tenants?cursor=acme")["tenants"]] == ["zenith"]
    for bad in ("cursor=acme/../x", "cursor=a/b/c", "cursor=/", "cursor=acme/", "label=a%3Db"):
        get("/v1/packages?" + bad, status=400)


# ---- who sees what ---------------------------------------------------------------------------------------------
def roles():
    for path in ("/v1/satellites", "/v1/satellites/aurora-1", "/v1/rollouts", "/v1/tenants", "/v1/packages"):
        own = json.dumps(get(path, "tenant"))
        assert "acme" in own and "zenith" not in own and "root_version" not in own and "plane" not in own, (path, own)
    other = next(r["id"] for r in get("/v1/rollouts")["rollouts"] if r["payload"].startswith("zenith/"))
    for hidden in (other, 999):  # another's is as if it were not there
        assert get(f"/v1/rollouts/{hidden}", "tenant", 404)["error"]["code_name"] == "NOT_FOUND"
    get("/v1/satellites?label=plane%3Dp1", "tenant", 400)
    for path in ("/v1/links", "/v1/trust/aurora-1", "/metrics"):
        get(path, "tenant", 403)
    assert get("/v1/me", "tenant") == {"name": "acme-eyes", "role": "tenant", "tenant": "acme"}
    for who, verb, status in (("viewer", "pause", 403), ("approver", "abort", 403), ("tenant", "pause", 403), ("safety", "resume", 403), ("safety", "promote", 403),
                              ("approver", "promote", 403), ("tenant", "promote", 403)):
        got, _, text = ask("POST", f"/v1/rollouts/{other}/{verb}", who)
        assert got == status and json.loads(text)["error"]["code_name"] == "API_ROLE", (who, verb, got)


# ---- changes, and the stream that tells of them ----------------------------------------------------------------
class Stream:
    def __init__(self, who, last=None, path="/v1/events"):
        self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        headers = {"Authorization": "Bearer " + tokens.get(who, who)}
        if last is not None:
            headers["Last-Event-ID"] = last
        self.c.request("GET", path, headers=headers)
        self.r = self.c.getresponse()
        assert self.r.status == 200, self.r.status

    def next(self):
        """The next event; None at the end of the stream."""
        event = {}
        while True:
            line = self.r.readline().decode().rstrip("\n")
            if line == "" and event:
                return event
            if line == "":
                if self.r.isclosed() or not self.r.fp:
                    return None
                continue
            name, _, value = line.partition(": ")
            if name:
                event[name] = value

    def audit(self, action):
        while True:
            e = self.next()
            assert e is not None, "the stream ended"
            if e["event"] == "audit" and json.loads(e["data"])["action"] == action:
                return e


def changes():
    s = Stream("viewer")
    assert s.next()["event"] == "changed"
    status, _, text = ask("POST", "/v1/rollouts/1/pause", "safety", json.dumps({"reason": "smoke: \"--json\" & all"}))
    answer = json.loads(text)["rollouts"][0]
    assert status == 200 and answer["state"] == "paused" and answer["reason"] == 'smoke: "--json" & all', text
    e = s.audit("rollout-pause")
    entry = json.loads(e["data"])
    assert entry["who"] == "api/safety" and "smoke" in entry["detail"], entry
    assert ask("POST", "/v1/rollouts/1/pause", "safety")[0] == 409
    assert ask("POST", "/v1/rollouts/1/resume", "operator")[0] == 200
    s.audit("rollout-resume")
    # nobody has reported anything: there is nothing to promote
    status, _, text = ask("POST", "/v1/rollouts/1/promote", "operator")
    assert status == 409 and json.loads(text)["error"]["code_name"] == "ROLLOUT_STATE", text
    assert ask("POST", "/v1/rollouts/1/promote", "operator", '{"reason": "x"}')[0] == 400
    # what was missed is told, from there on, once
    again = Stream("viewer", e["id"])
    first = again.audit("rollout-resume")
    assert int(first["id"]) == int(e["id"]) + 1, first
    assert ask("POST", "/v1/rollouts/2/abort", "operator", "{}")[0] == 200
    again.audit("rollout-abort")
    assert get("/v1/rollouts/2")["rollouts"][0]["state"] == "aborted"
    # a tenant is told that something changed and no more
    t = Stream("tenant", "0")
    assert t.next() == {"event": "changed", "data": "{}"}
    for bad in ('{"reason": ""}', '{"reason": 1}', '{"reason": "a", "reason": "b"}', '{"other": 1}', "[]", "x", '{"reason": "\\u0000"}', '{"reason": "\\n"}',
                '{"reason": "' + "a" * 129 + '"}', "[" * 4000, "x" * 100000):
        status, _, text = ask("POST", "/v1/rollouts/1/pause", "operator", bad)
        assert status == 400, (bad[:40], status, text)
    for path in ("/v1/rollouts/999/pause", "/v1/rollouts/0/pause", "/v1/rollouts/-1/pause", "/v1/rollouts/1%20/pause", "/v1/rollouts/--help/pause", "/v1/rollouts//pause"):
        assert ask("POST", path, "operator")[0] == 404, path
    assert get("/v1/rollouts/1")["rollouts"][0]["state"] == "running"


# ---- once and not twice ----------------------------------------------------------------------------------------
def done(action):
    entries = json.loads(subprocess.run([berth, "audit", "log", "--last", "1000", "--json"], capture_output=True, check=True).stdout)
    return sum(e["action"] == action for e in entries)


class Server:
    """One more berth-api on the same home."""

    def __init__(self):
        self.p = subprocess.Popen([os.path.join(os.path.dirname(berth), "berth-api"), "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        self.port = int(self.p.stderr.readline().split("port=")[1].split()[0])
        threading.Thread(target=self.p.stderr.read, daemon=True).start()

    def end(self):
        self.p.terminate()
        assert self.p.wait(TIMEOUT) == 0


def once():
    def post(verb, key, who="operator", body=None, at=None, more=None):
        return ask("POST", f"/v1/rollouts/1/{verb}", who, body, {"Idempotency-Key": key, **(more or {})}, at)

    before = done("rollout-pause")
    status, headers, first = post("pause", "a-key", body='{"reason": "once"}')
    assert status == 200 and json.loads(first)["rollouts"][0]["reason"] == "once", first
    for _ in range(3):
        got = post("pause", "a-key", body='{"reason": "once"}')
        assert (got[0], got[1]["Content-Type"], got[2]) == (200, headers["Content-Type"], first), got
    assert done("rollout-pause") == before + 1
    # what is another request, for whatever reason
    for verb, body, more in (("pause", None, None), ("pause", '{"reason": "other"}', None), ("abort", '{"reason": "once"}', None), ("resume", None, None),
                             ("pause?why=x", '{"reason": "once"}', None), ("pause", '{"reason": "once"}', {"Accept": "application/vnd.berth.printed+json"})):
        status, _, text = post(verb, "a-key", body=body, more=more)
        assert status == 422 and json.loads(text)["error"]["code_name"] == "API_KEY", (verb, text)
    # the key is its owner's; and what was refused stays so
    for _ in range(2):
        status, _, refused = post("pause", "a-key", "safety", '{"reason": "once"}')
        assert status == 409 and json.loads(refused)["error"]["code_name"] == "ROLLOUT_STATE", refused
    for bad in ("", "a b", "a" * 65, '"a"'):
        assert post("resume", bad)[0] == 400, bad
    assert status_of(raw(b"POST /v1/rollouts/1/resume HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer " + tokens["operator"].encode() +
                         b"\r\nIdempotency-Key: a\r\nIdempotency-Key: a\r\nContent-Length: 0\r\n\r\n")) == 400
    assert get("/v1/rollouts/1")["rollouts"][0]["state"] == "paused"
    # another server, and many at once on both
    server = Server()
    assert post("pause", "a-key", body='{"reason": "once"}', at=server.port)[2] == first
    before, answers = done("rollout-resume"), []
    threads = [threading.Thread(target=lambda at=at: answers.append(post("resume", "raced", at=at))) for at in (None, server.port) * 3]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    made = {text for status, _, text in answers if status == 200}
    assert len(made) == 1 and json.loads(made.pop())["rollouts"][0]["state"] == "running", answers
    for status, _, text in answers:
        assert status == 200 or (status == 409 and json.loads(text)["error"]["code_name"] == "API_KEY_OPEN"), text
    assert done("rollout-resume") == before + 1
    server.end()
    # and one that comes after all have gone
    server = Server()
    assert post("resume", "raced", at=server.port)[0] == 200 and done("rollout-resume") == before + 1
    server.end()
    print("api: a request that comes again is made once")


def revocation():
    out = subprocess.run([berth, "token", "new", "passing", "--role", "viewer", "--json"], capture_output=True, check=True).stdout
    secret = json.loads(out)["token"]
    s = Stream(secret)
    assert s.next()["event"] == "changed"
    subprocess.run([berth, "token", "revoke", "passing"], capture_output=True, check=True)
    while s.next() is not None:  # what was told before; then it ends
        pass
    get("/v1/me", secret, 401)


# ---- hostile clients -------------------------------------------------------------------------------------------
def raw(data, more=b""):
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as s:
        s.sendall(data)
        got = b""
        try:
            while part := s.recv(65536):
                got += part
        except ConnectionResetError:
            pass
        return got


def status_of(answer):
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else None


def hostile():
    auth = b"Host: x\r\nConnection: close\r\nAuthorization: Bearer " + tokens["operator"].encode() + b"\r\n"
    for request in (
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth + b"Content-Length: -1\r\n\r\n",
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth + b"Content-Length: 99999999999999999999\r\n\r\n",
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth.replace(b"Host: x\r\n", b"") + b"Content-Length: 0\r\n\r\n",
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth + b"Authorization: Bearer x\r\nContent-Length: 0\r\n\r\n",
        b"POST /v1/rollouts/1/abort HTTP/1.1\r\n" + auth + b"X: " + b"a" * 100000 + b"\r\n\r\n",
        b"POST /" + b"a" * 100000 + b" HTTP/1.1\r\n" + auth + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600,
        b"GET http://elsewhere/v1/me HTTP/1.1\r\n\r\n" + auth,
    ):
        got = status_of(raw(request))
        assert got is None or got >= 400, (request[:60], got)
    for path in ("/../../etc/passwd", "/v1/../v1/me", "//v1/me", "/v1/satellites/..%2f..%2fstore.sqlite", "/console.js/../../store.sqlite", "/v1/satellites/" + "a" * 300,
                 "/v1/satellites/aurora-1/", "/v1/satellites/-h", "/v1/satellites/Aurora-1", "/v1", "/v2/me"):
        assert ask("GET", path)[0] == 404, path
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "POST"):
        assert ask(method, "/v1/me")[0] == 400, method
    assert get("/v1/rollouts/1")["rollouts"][0]["state"] == "running", "a hostile request did something"
    # nothing but health and the login page without a token
    for path in ("/", "/console.js", "/console.css"):
        status, headers, text = ask("GET", path, None)
        assert status == 200 and b"aurora" not in text and "default-src 'none'" in headers["Content-Security-Policy"]
        assert b"http://" not in text.replace(b"http://www.w3.org/2000/svg", b"") and b"https://" not in text, path
    for who in ("", "x", tokens["viewer"][:-1], tokens["viewer"] + "a", tokens["viewer"].upper(), "berth_" + "0" * 64):
        assert ask("GET", "/v1/me", who or "berth_")[0] == 401, who


def held_open():
    """Half requests hold their places for a while; who has a token is served meanwhile."""
    held = []
    for _ in range(30):
        s = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        s.sendall(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX")
        held.append(s)
    get("/v1/me")
    stop = threading.Event()

    def drip():
        while not stop.wait(1):
            for s in held:
                try:
                    s.sendall(b"x")
                except OSError:
                    pass

    t = threading.Thread(target=drip)
    t.start()
    try:
        for s in held:  # the server ends each, though bytes go on coming
            try:
                while s.recv(4096):
                    pass
            except ConnectionResetError:
                pass
            s.close()
    finally:
        stop.set()
        t.join()


def wrong_tokens():
    seen = [ask("GET", "/v1/me", "berth_" + f"{i:064x}")[0] for i in range(60)]
    assert set(seen) == {401, 429} and seen[0] == 401, seen
    get("/v1/me")


def streams():
    """A token has a few streams, and no token takes them from others."""
    held = [Stream("tenant") for _ in range(4)]
    for s in held:
        assert s.next()["event"] == "changed"
    get("/v1/events", "tenant", 429)
    assert Stream("operator").next()["event"] == "changed"
    for s in held:
        s.c.sock.shutdown(socket.SHUT_RDWR) if s.c.sock else s.r.close()
        s.r.close()
        s.c.close()


def crowd():
    """Mute strangers from several addresses take every place; they soon make room."""
    held = []
    for n in range(2, 10):
        for _ in range(64):
            s = socket.socket()
            s.settimeout(TIMEOUT)
            s.bind((f"127.0.0.{n}", 0))
            s.connect(("127.0.0.1", port))
            held.append(s)
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        try:
            got = ask("POST", "/v1/rollouts/1/pause", "operator")[0]
            break
        except OSError:  # no place yet
            got = None
    assert got == 200, got
    assert ask("POST", "/v1/rollouts/1/resume", "operator")[0] == 200
    for s in held:
        s.close()


def metrics():
    values = {}
    for line in ask("GET", "/metrics")[2].decode().splitlines():
        if line.startswith("#"):
            assert line.split()[1] in ("HELP", "TYPE")
            continue
        name, value = line.rsplit(" ", 1)
        values[name] = float(value)
    assert sum(v for k, v in values.items() if k.startswith("berth_satellites{")) == 3, values
    assert values['berth_rollouts{state="aborted"}'] == 1 and values["berth_api_refused_total"] > 0, values


def approvals():
    """Two people in two roles before anything goes; what they said, and that they said it, holds."""
    fleet = open(f"{work}/fleet.yaml").read().replace("      zenith/beacon: 1.0.0\n", "")
    with open(f"{work}/two.yaml", "w") as f:
        f.write(fleet + "rollout:\n  default: {approve: [operator, safety]}\n")
    out = subprocess.run([berth, "apply", f"{work}/two.yaml", "--supersede", "--no-deltas", "--key", f"{work}/keys/operator.key", "--json"], capture_output=True)
    assert out.returncode == 0, out
    new = json.loads(out.stdout)["rollouts"][0]
    path = f"/v1/rollouts/{new}"
    one = get(path)["rollouts"][0]
    check(one, spec["components"]["schemas"]["Rollout"], path)
    assert one["state"] == "awaiting-approval" and one["approvals"] == {"needed": ["operator", "safety"], "given": []}, one
    for who, body, status in (("viewer", None, 403), ("tenant", None, 403), ("approver", None, 409), ("operator", '{"why": ""}', 400), ("operator", '{"reason": "x"}', 400)):
        got, _, text = ask("POST", path + "/approve", who, body)
        assert got == status, (who, got, text)
    for _ in range(2):
        got, _, text = ask("POST", path + "/approve", "operator", '{"why": "seen on the bench"}')
        assert got == 200, text
        given = json.loads(text)["rollouts"][0]["approvals"]["given"]
        assert [(g["role"], g["who"], g["why"]) for g in given] == [("operator", "api/operator", "seen on the bench")], given
    assert ask("POST", path + "/deny", "approver")[0] == 400
    assert ask("POST", path + "/promote", "operator")[0] == 409
    got, _, text = ask("POST", path + "/approve", "safety")
    one = json.loads(text)["rollouts"][0]
    assert got == 200 and [g["role"] for g in one["approvals"]["given"]] == ["operator", "safety"], text
    check(one, spec["components"]["schemas"]["Rollout"], path)
    subprocess.run([berth + "-ground", "--once"], check=True, capture_output=True)
    assert get(path)["rollouts"][0]["state"] == "running"
    assert ask("POST", path + "/deny", "safety", '{"why": "late"}')[0] == 409
    # without a satellite: as many people as approved must say so, and why
    dead = path + "/force?on=aurora-1"
    for who, where, body, status in (("viewer", dead, '{"why": "x"}', 403), ("tenant", dead, '{"why": "x"}', 403), ("operator", dead, None, 400),
                                     ("operator", path + "/force", '{"why": "x"}', 400), ("approver", dead, '{"why": "x"}', 409),
                                     ("operator", path + "/force?on=aurora-9", '{"why": "x"}', 404), ("safety", path + "/retry", None, 403)):
        got, _, text = ask("POST", where, who, body)
        assert got == status, (who, where, got, text)
    for who, missing in (("operator", ["safety"]), ("operator", ["safety"]), ("safety", [])):
        got, _, text = ask("POST", dead, who, '{"why": "it tumbles"}')
        one = json.loads(text)["rollouts"][0]
        assert got == 200 and one["forced"] == [{"satellite": "aurora-1", "missing": missing}], (who, text)
        check(one, spec["components"]["schemas"]["Rollout"], dead)
    got, _, text = ask("POST", path + "/retry?on=aurora-1", "operator")
    assert got == 200 and json.loads(text)["rollouts"][0]["forced"] == [], text
    assert ask("POST", path + "/retry", "operator")[0] == 409
    # one that is denied is over, and its approvals with it
    with open(f"{work}/three.yaml", "w") as f:
        f.write(open(f"{work}/fleet.yaml").read() + "rollout:\n  default: {approve: [approver]}\n")
    out = subprocess.run([berth, "apply", f"{work}/three.yaml", "--supersede", "--no-deltas", "--key", f"{work}/keys/operator.key", "--json"], capture_output=True)
    assert out.returncode == 0, out
    back = json.loads(out.stdout)["rollouts"][0]
    for _ in range(2):
        got, _, text = ask("POST", f"/v1/rollouts/{back}/deny", "approver", '{"why": "not today"}')
        assert got == 200, text
    one = json.loads(text)["rollouts"][0]
    assert one["state"] == "aborted" and one["reason"] == "denied by api/approver: not today", one
    assert ask("POST", f"/v1/rollouts/{back}/approve", "operator")[0] == 409
    actions = [e["action"] for e in get("/v1/audit?limit=1000")["entries"]]
    assert actions.count("rollout-approve") == 4 and actions.count("rollout-force") == 2 and actions.count("rollout-retry") == 1 and actions.count("rollout-deny") == 1, actions


for step in (logs, contract, same_as_cli, lists, roles, changes, once, revocation, hostile, held_open, streams, crowd, metrics, approvals, wrong_tokens):
    step()
    print("api:", step.__name__, "ok", flush=True)
