# SPDX-License-Identifier: Apache-2.0
"""Clients of tests/e2e/plans: plans.py DIR BUILD OPENAPI"""
import atexit
import base64
import glob
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

work, build, description = sys.argv[1:4]
home = f"{work}/home"
berth = f"{build}/berth"
tokens = {os.path.basename(p)[:-6]: open(p).read().strip() for p in glob.glob(f"{work}/*.token")}
TIMEOUT = 120  # against hanging


class Server:
    """One berth-api of the home."""

    def __init__(self):
        self.p = subprocess.Popen([f"{build}/berth-api", "--listen", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True)
        ready = self.p.stderr.readline()
        self.port = int(ready.split("port=")[1].split()[0])
        self.log = []
        self.reader = threading.Thread(target=lambda: self.log.extend(self.p.stderr), daemon=True)
        self.reader.start()
        atexit.register(self.p.kill)

    def end(self, how=signal.SIGTERM):
        self.p.send_signal(how)
        code = self.p.wait(TIMEOUT)
        self.reader.join()
        assert how == signal.SIGKILL or code == 0, (code, self.log)


server = Server()


def ask(method, path, who="operator", body=None, headers=None):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
    h = dict(headers or {})
    if who:
        h["Authorization"] = "Bearer " + tokens.get(who, who)
    c.request(method, path, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body), h)
    r = c.getresponse()
    text = r.read()
    c.close()
    return r.status, r.headers, json.loads(text) if text else None


def patient(path, body=None, who="operator", headers=None):
    """As the server says it: later, if it is too much at once."""
    until = time.monotonic() + TIMEOUT
    while True:
        got, head, answer = ask("POST", path, who, body, headers)
        if got != 429 or time.monotonic() > until:
            return got, head, answer
        time.sleep(int(head["Retry-After"]))


def post(path, body=None, who="operator", status=200, key=None, code=None):
    got, _, answer = patient(path, body, who, {"Idempotency-Key": key} if key else None)
    assert got == status, (path, who, got, str(answer)[:600])
    assert code is None or answer["error"]["code_name"] == code, (path, answer)
    return answer


def b64(content):
    return base64.b64encode(content if isinstance(content, bytes) else content.encode()).decode()


def fleet(**more):
    files = {"fleet.yaml": open(f"{work}/fleet.yaml").read(), **more}
    return [{"name": n, "bytes": b64(c)} for n, c in files.items()]


def plan(files=None, who="operator", status=200, code=None, **options):
    return post("/v1/plans", {"files": fleet() if files is None else files, "fleet": "fleet.yaml", "deltas": False, **options}, who, status, code=code)


def sign(requests, *keys):
    """As berth sign, on a machine with the keys and nothing else."""
    signatures = []
    for r in requests:
        path = f"{work}/{r['name']}.request"
        with open(path, "wb") as f:
            f.write(base64.b64decode(r["bytes"]))
        for key in keys or ("operator",):
            subprocess.run([berth, "sign", path, "--key", f"{work}/keys/{key}.key", "--out", f"{work}/one.sig", "--yes"], check=True, capture_output=True)
            signatures.append({"name": r["name"], "bytes": b64(open(f"{work}/one.sig", "rb").read())})
    return signatures


def cli(*words, code=0):
    done = subprocess.run([berth, *words], capture_output=True, text=True)
    assert done.returncode == code, (words, done)
    return done.stdout


def edit(old, new):
    text = open(f"{work}/fleet.yaml").read()
    assert old in text
    with open(f"{work}/fleet.yaml", "w") as f:
        f.write(text.replace(old, new))


def audit():
    log = json.loads(cli("audit", "log", "--last", "1000", "--json"))
    return log if isinstance(log, list) else log["entries"]


def rollouts():
    return sorted(r["id"] for r in json.loads(cli("rollout", "list", "--json"))["rollouts"])


def give(p, signatures, who="operator", status=200, key=None, code=None, **options):
    return post(f"/v1/plans/{p['id']}/apply", {"signatures": signatures, "supersede": True, **options}, who, status, key, code)


def toggle():
    """The other version of acme/beacon; what was ordered before is on its way, so there are orders to sign."""
    subprocess.run([f"{build}/berth-ground", "--once"], check=True, capture_output=True)
    is_new = "acme/beacon: 1.1.0" in open(f"{work}/fleet.yaml").read()
    edit(*(("acme/beacon: 1.1.0", "acme/beacon: 1.0.0") if is_new else ("acme/beacon: 1.0.0", "acme/beacon: 1.1.0")))


# ---- who may ---------------------------------------------------------------------------------------------------
def roles():
    paths = ("/v1/plans", "/v1/plans/" + "0" * 64 + "/apply", "/v1/rollouts/1/undo")
    for who in ("viewer", "approver", "safety", "tenant"):
        for path in paths:
            post(path, {"signatures": []}, who, 403, code="API_ROLE")
    for path in paths:
        assert ask("POST", path, None, {"signatures": []})[0] == 401, path
        post(path, {"signatures": []}, "berth_" + "0" * 64, 401, code="API_AUTH")
    for who in ("viewer", "approver", "safety", "operator"):
        post("/v1/delegations", {"bytes": ""}, who, 403, code="API_ROLE")


# ---- the way it goes -------------------------------------------------------------------------------------------
def nothing_to_do():
    p = plan(columns=80)
    assert p["id"] is None and p["requests"] == [] and p["plan"]["changed"] == 0 and "printed" in p, p
    for columns in (0, 80):  # asking changes nothing, so the key says nothing
        post("/v1/plans", {"files": fleet(), "fleet": "fleet.yaml", "deltas": False, "columns": columns}, key="asked")


def there_and_back():
    toggle()
    p = plan(columns=100)
    assert len(p["id"]) == 64 and p["hash"] == p["plan"]["plan"] and p["fleet"] == "aurora" and not p["staged"] and p["undo"] == 0, p
    assert abs(p["until"] / 1000 - time.time() - 86400) < 600
    assert [r["name"] for r in p["requests"]] == [f"order-aurora-{i}" for i in (1, 2, 3)], p
    assert p["hash"] in p["printed"] and home not in p["printed"] and "aurora-1" in p["printed"], p["printed"]
    here = json.loads(cli("plan", f"{work}/fleet.yaml", "--json", code=3))
    assert all(here[k] == p["plan"][k] for k in here if k not in ("sky", "quotas")) and here.keys() == p["plan"].keys()
    before, entries = rollouts(), audit()
    s = sign(p["requests"])

    # nothing, or something else than what was asked for
    give(p, [], status=403, code="THRESHOLD")
    give(p, s[1:], status=403, code="THRESHOLD")
    give(p, sign(p["requests"], "acme"), status=403)
    give(p, sign(p["requests"], "safety"), status=403)
    give(p, s + [s[0]], status=403, code="KEY_DUPLICATE")
    swapped = [{"name": s[1]["name"], "bytes": s[0]["bytes"]}, {"name": s[0]["name"], "bytes": s[1]["bytes"]}, s[2]]
    give(p, swapped, status=400, code="API_REQUEST")
    give(p, s + [{"name": "order-aurora-9", "bytes": s[0]["bytes"]}], status=400, code="API_REQUEST")
    give(p, s + [{"name": "../plan", "bytes": s[0]["bytes"]}], status=400, code="API_REQUEST")
    raw = bytearray(base64.b64decode(s[0]["bytes"]))
    raw[-1] ^= 1
    give(p, [{"name": s[0]["name"], "bytes": b64(bytes(raw))}] + s[1:], status=403, code="SIG_BAD")
    give(p, [{"name": s[0]["name"], "bytes": b64(b"\x80")}] + s[1:], status=400)
    again = plan()  # another time of issue: the signatures are over other orders
    if again["requests"] != p["requests"]:
        give(again, s, status=400, code="API_REQUEST")
    give({"id": p["id"][:-1] + ("0" if p["id"][-1] != "0" else "1")}, s, status=404, code="NOT_FOUND")
    give(p, s, "operator2", 404, code="NOT_FOUND")
    give(p, s, status=409, code="ROLLOUT_STATE", supersede=False)
    assert rollouts() == before and audit() == entries

    # what was signed, once
    done = give(p, s, key="first", why="ticket 7")
    assert done["plan"] == p["hash"] and [r for r in rollouts() if r not in before] == done["rollouts"], done
    assert give(p, s, key="first", why="ticket 7") == done
    give(p, s, key="first", status=422, code="API_KEY")
    give(p, s, status=409, code="PLAN_STALE", key="second")
    give(p, s, status=409, code="PLAN_STALE", key="second")
    assert len(rollouts()) == len(before) + 1
    entry = next(e for e in reversed(audit()) if e["action"] == "apply")
    ids = json.loads(cli("trust", "status", "--json"))["operator_keys"]["keys"]
    assert entry["who"] == "api/operator" and entry["why"] == "ticket 7" and p["hash"] in entry["what"] and all(i in json.dumps(entry) for i in ids), entry
    cli("audit", "verify")
    cli("passes")  # from the fleet file that came


def withdrawn():
    """What is still held here needs no order to be taken back, and so no signature."""
    edit("acme/beacon: 1.1.0", "acme/beacon: 1.0.0")
    p = plan()
    assert p["id"] and p["requests"] == [] and p["plan"]["withdrawn"] == 3, p
    give(p, [], status=409, code="ROLLOUT_STATE", supersede=False)
    assert give(p, [])["rollouts"] == []


def in_parts():
    """Signatures that one body has no room for."""
    toggle()
    p = plan()
    s = sign(p["requests"])
    for _ in range(2):
        assert give(p, s[:2], more=True) == {"given": 2}
    give(p, s[2:], "operator2", 404, more=True)
    give(p, [{"name": s[0]["name"], "bytes": s[1]["bytes"]}], status=400, code="API_REQUEST", more=True)
    give(p, [], status=403, code="THRESHOLD")  # the last of them: none is kept
    give(p, s[2:], status=403, code="THRESHOLD")
    assert give(p, s[:1], more=True) == {"given": 1} and give(p, s[1:2], more=True) == {"given": 1}
    done = give(p, s[2:], key="in-parts")
    assert len(done["rollouts"]) == 1 and give(p, s[2:], key="in-parts") == done
    assert not [n for n in os.listdir(f"{home}/plans/kept/operator/{p['id']}/asked") if n.endswith(".sig")]


def printed():
    toggle()
    p = plan()
    body = json.dumps({"signatures": sign(p["requests"]), "supersede": True})
    media = "application/vnd.berth.printed+json"
    status, headers, answer = patient(f"/v1/plans/{p['id']}/apply?columns=80", body=body, headers={"Accept": media, "Idempotency-Key": "printed"})
    assert status == 200 and headers["Content-Type"] == media and answer["exit"] == 0 and "rollout " in answer["out"], answer
    status, _, answer = patient(f"/v1/plans/{p['id']}/apply?form=json", body=body, headers={"Accept": media})
    assert status == 200 and answer["exit"] == 4 and json.loads(answer["out"])["error"]["code_name"] == "PLAN_STALE", answer


def staged():
    toggle()
    p = plan(staged=True, token_life=7)
    names = [r["name"] for r in p["requests"]]
    assert p["staged"] and names and names == sorted(names) and [n.replace("order", "token") for n in names if n.startswith("order")] == [n for n in names if n.startswith("token")], p
    s = sign(p["requests"])
    give(p, [x for x in s if x["name"].startswith("order-")], status=403, code="THRESHOLD")
    assert len(give(p, s, key="staged")["rollouts"]) == 1


def undo():
    last = rollouts()[-1]
    post(f"/v1/rollouts/{last}/undo", {"staged": 1}, status=400, code="API_REQUEST")
    post("/v1/rollouts/999/undo", status=404)
    subprocess.run([f"{build}/berth-ground", "--once"], check=True, capture_output=True)  # its first wave goes
    p = post(f"/v1/rollouts/{last}/undo", {"columns": 80})
    assert p["undo"] == last and p["requests"] and home not in p["printed"], p
    give(p, sign(p["requests"]), "operator2", 404)
    done = give(p, sign(p["requests"]), key="undo")
    assert done["rollouts"] and next(e for e in reversed(audit()) if e["action"] == "rollout-undo")["who"] == "api/operator"
    toggle()  # as the ground is now


def stale():
    toggle()
    p = plan()
    cli("apply", f"{work}/fleet.yaml", "--key", f"{work}/keys/operator.key", "--supersede")
    give(p, sign(p["requests"]), status=409, code="PLAN_STALE")


def deltas():
    """There are none to be made; what was there to make them from is gone again."""
    one = plan(deltas=True)
    assert one["hash"] == plan()["hash"]
    plan([{"name": "fleet.yaml", "bytes": b64(orbit("tle: /etc/passwd"))}], status=400, deltas=True)
    assert os.listdir(os.environ["TMPDIR"]) == []


# ---- hostile ---------------------------------------------------------------------------------------------------
def orbit(text):
    """The fleet with one more satellite, which says where it is in some file."""
    at = "  - id: aurora-1\n"
    whole = open(f"{work}/fleet.yaml").read()
    return whole.replace(at, f"  - id: aurora-9\n    link: uhf\n    node: 109\n    orbit: {{{text}}}\n" + at)


def nothing_of_the_ground_is_read():
    outside = (f"{work}/secret.yaml", "../secret.yaml", "../../../../secret.yaml", "/etc/passwd", f"/proc/self/cwd/{work}/secret.yaml", "plan", "../plan", "asked/x", ".",
               "lock", "secret.yaml", f"{home}/store.sqlite", "a/../fleet.yaml", "./fleet.yaml", "fleet.yaml/")
    for key in ("tle", "oem", "contacts"):
        for name in outside:
            answer = plan([{"name": "fleet.yaml", "bytes": b64(orbit(f'{key}: "{name}"'))}], status=400, code="API_REQUEST")
            assert "secret-of" not in json.dumps(answer) and "root:" not in json.dumps(answer), answer
            assert "did not come with it" in answer["error"]["what"], answer
    # what came is read, and is what it is
    answer = plan([{"name": "fleet.yaml", "bytes": b64(orbit("tle: fleet.yaml"))}], status=404, code="NO_SATELLITE")
    # nobody puts a link where the next plan goes
    os.makedirs(f"{work}/elsewhere", exist_ok=True)
    if os.path.isdir(f"{home}/plans"):
        subprocess.run(["rm", "-rf", f"{home}/plans/new"], check=True)
        os.symlink(f"{work}/elsewhere", f"{home}/plans/new")
        plan(status=500)
        assert os.listdir(f"{work}/elsewhere") == []
        os.unlink(f"{home}/plans/new")


def bad_bodies():
    good = fleet()[0]
    bad = [b"", b"{", b"[]", b"null", b"\xff", b"{" * 100000, b"[" + b"0," * 3000000 + b"0]",
           {"files": [good]}, {"fleet": "fleet.yaml"}, {"files": [], "fleet": "fleet.yaml"}, {"files": [good, good], "fleet": "fleet.yaml"},
           {"files": [{"name": f"f{i}", "bytes": ""} for i in range(1000)], "fleet": "f0"},
           {"files": [{**good, "bytes": good["bytes"][:-1]}], "fleet": "fleet.yaml"}, {"files": [{**good, "bytes": "*" + good["bytes"][1:]}], "fleet": "fleet.yaml"},
           {"files": [good], "fleet": "fleet.yaml", "key": "operator.key"}, {"files": [good], "fleet": "fleet.yaml", "home": "/"}]
    for name in ("/etc/passwd", "..", ".", "", ".x", "a/b", "-x", "x" * 65, "a b", "a\u0000b", "a\nb"):
        bad.append({"files": [{**good, "name": name}], "fleet": name})
    for body in bad:
        post("/v1/plans", body, status=400, code="API_REQUEST")
    plan([{"name": "fleet.yaml", "bytes": b64("fleet: [")}], status=400, code="YAML")
    plan([{"name": "fleet.yaml", "bytes": b64("fleet: aurora\nsatelites: []\n")}], status=400, code="YAML")
    plan([{"name": "fleet.yaml", "bytes": ""}], status=400)
    # too large: of files, of body, with and without asking first
    plan([{"name": "fleet.yaml", "bytes": b64(bytes(8 * 1024 * 1024 + 1))}], status=413, code="TOO_LARGE")
    post("/v1/plans", {"files": [{"name": f"f{i}", "bytes": b64(bytes(1000000))} for i in range(9)], "fleet": "f0"}, status=413, code="TOO_LARGE")
    post("/v1/plans", b" " * (12 * 1024 * 1024 + 1), status=413, code="TOO_LARGE")
    post("/v1/rollouts/1/undo", b" " * 65537, status=413, code="TOO_LARGE")
    post("/v1/delegations", b" " * 98305, "tenant", status=413, code="TOO_LARGE")
    post("/v1/rollouts/1/pause", b" " * 5000, status=400, code="API_REQUEST")  # as before


def head(who, length, path="/v1/plans", more=""):
    s = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
    s.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens[who]}\r\nContent-Length: {length}\r\n{more}\r\n".encode())
    return s


def asks_first():
    for who, length, path, status in (("operator", 13 * 1024 * 1024, "/v1/plans", 413), ("viewer", 100, "/v1/plans", 403), ("operator", 99999999999, "/v1/plans", 413),
                                      ("operator", 100, "/v1/plans", 100), ("tenant", 100, "/v1/delegations", 100)):
        s = head(who, length, path, "Expect: 100-continue\r\n")
        got = s.recv(12)
        assert got == f"HTTP/1.1 {status}".encode(), (who, length, got)
        s.close()
    # without a length, too
    for token, status in ((tokens["operator"], 400), (tokens["viewer"], 403), ("berth_" + "0" * 64, 401)):
        s = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
        s.sendall(f"POST /v1/plans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n".encode())
        got = s.recv(12)
        assert got == f"HTTP/1.1 {status}".encode(), (status, got)
        s.close()
    s = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
    s.sendall(f"POST /v1/plans HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens['operator']}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n".encode())
    assert s.recv(12) == b"HTTP/1.1 400"
    s.close()


def two_at_a_time():
    def taken(who):
        """Until the ones before have been noticed to be gone."""
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until:
            s = head(who, 11 * 1024 * 1024, more="Expect: 100-continue\r\n")
            if s.recv(12) == b"HTTP/1.1 100":
                return s
            s.close()
        raise AssertionError(who)

    held = [taken("operator"), taken("operator2")]
    for s in held:
        s.recv(4096)
        s.sendall(b"x" * (10 * 1024 * 1024))
    for who in ("operator", "operator3"):
        status, headers, answer = ask("POST", "/v1/plans", who, {"files": fleet(), "fleet": "fleet.yaml"})
        assert status == 429 and headers["Retry-After"] and answer["error"]["code_name"] == "API_LIMIT", (who, status, answer)
    post("/v1/delegations", {"bytes": ""}, "tenant", 400)  # tenants are not shut out, nor shut others out
    post(f"/v1/rollouts/{rollouts()[-1]}/pause", None, status=200)
    post(f"/v1/rollouts/{rollouts()[-1]}/resume", None, status=200)
    for s in held:
        s.close()
    plan(who="operator3")


def children():
    found = []
    for task in glob.glob(f"/proc/{server.p.pid}/task/*/children"):
        try:
            with open(task) as f:
                found += [int(pid) for pid in f.read().split()]
        except OSError:
            pass  # the thread has ended
    return found


def stop(pid):
    """Whether it stands still now, and has not ended."""
    try:
        os.kill(pid, signal.SIGSTOP)
        while True:
            with open(f"/proc/{pid}/stat") as f:
                state = f.read().rsplit(") ", 1)[1][0]
            if state in "TZX":
                return state == "T"
    except (ProcessLookupError, FileNotFoundError):
        return False


def nobody_waits_for_a_plan():
    """Whoever acts, acts while a plan takes its time: here it stands still."""
    until = time.monotonic() + TIMEOUT
    stopped = None
    while not stopped:
        assert time.monotonic() < until
        got = []
        t = threading.Thread(target=lambda: got.append(patient("/v1/plans", {"files": fleet(), "fleet": "fleet.yaml", "deltas": False})))
        t.start()
        while t.is_alive() and not stopped:
            stopped = next((pid for pid in children() if stop(pid)), None)
        if not stopped:
            t.join()
    post(f"/v1/rollouts/{rollouts()[-1]}/pause", None, status=200)
    post(f"/v1/rollouts/{rollouts()[-1]}/resume", None, status=200)
    assert t.is_alive()
    os.kill(stopped, signal.SIGCONT)
    t.join(TIMEOUT)
    assert got and got[0][0] == 200, got
    assert children() == []


def own_room():
    toggle()
    theirs = plan(who="operator2")
    ours = []
    while len(ours) < 5:
        p = plan()
        if p["id"] not in [o["id"] for o in ours]:
            ours.append(p)
    give(ours[0], [], status=404, code="NOT_FOUND")
    for p in ours[1:]:
        give(p, [], status=403, code="THRESHOLD")
    give(theirs, [], "operator2", 403, code="THRESHOLD")
    toggle()


# ---- delegations -----------------------------------------------------------------------------------------------
def delegations():
    trust = ask("GET", "/v1/trust", "tenant")[2]
    assert set(trust) == {"mission", "root_version", "grants", "teams"} and [g["tenant"] for g in trust["grants"]] == ["acme"], trust
    assert trust["grants"][0]["epoch"] >= 1 and trust["grants"][0]["threshold"] == 1 and len(trust["grants"][0]["keys"]) == 1 and trust["teams"] == [], trust
    assert ask("GET", "/v1/trust", "zenith-eyes")[2]["grants"][0]["tenant"] == "zenith"
    with open(f"{work}/quota.yaml", "w") as f:
        f.write("memory: 16M\ncpu: 10%\npids: 8\nfiles: 64\ndata: 1M\ntmp: 1M\nstore: 1M\npayloads: 1\n")

    def make(tenant, key, epoch):
        cli("trust", "delegate", tenant, "optics", "--keys", f"{work}/keys/team.pub", "--quota", f"{work}/quota.yaml", "--epoch", str(epoch), "--key", f"{work}/keys/{key}.key", "--mission", trust["mission"], "--out", f"{work}/d.cose")
        return {"bytes": b64(open(f"{work}/d.cose", "rb").read())}

    good = make("acme", "acme", 5)
    post("/v1/delegations", good, "zenith-eyes", 403, code="API_ROLE")
    post("/v1/delegations", make("zenith", "zenith", 5), "tenant", 403, code="API_ROLE")
    post("/v1/delegations", make("acme", "zenith", 5), "tenant", 403)
    post("/v1/delegations", make("acme", "team", 5), "tenant", 403)
    post("/v1/delegations", {"bytes": b64(b"\xd2\x84")}, "tenant", 400)
    post("/v1/delegations", {"bytes": "x"}, "tenant", 400, code="API_REQUEST")
    assert ask("GET", "/v1/trust", "tenant")[2]["teams"] == []
    done = post("/v1/delegations", good, "tenant", key="team")
    assert (done["tenant"], done["team"], done["epoch"], done["withdrawn"], done["satellites"]) == ("acme", "optics", 5, False, 3), done
    assert post("/v1/delegations", good, "tenant", key="team") == done
    post("/v1/delegations", make("acme", "acme", 4), "tenant", 403)
    teams = ask("GET", "/v1/trust", "tenant")[2]["teams"]
    assert [(t["team"], t["epoch"]) for t in teams] == [("optics", 5)] and ask("GET", "/v1/trust", "zenith-eyes")[2]["teams"] == [], teams
    entry = next(e for e in reversed(audit()) if e["action"] == "delegate")
    assert entry["who"] == "api/acme-eyes" and trust["grants"][0]["keys"][0] in json.dumps(entry), entry
    cli("audit", "verify")


# ---- and when it ends in between -------------------------------------------------------------------------------
def killed():
    global server
    for at in (0, 0.005, 0.02, 0.05, 0.1, 0.2):
        toggle()
        p = plan()
        signatures = sign(p["requests"])
        before = rollouts()
        c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
        key = f"kill-{at}"
        c.request("POST", f"/v1/plans/{p['id']}/apply", json.dumps({"signatures": signatures, "supersede": True}), {"Authorization": "Bearer " + tokens["operator"], "Idempotency-Key": key})
        time.sleep(at)  # wherever that is
        server.end(signal.SIGKILL)
        c.close()
        server = Server()
        new = [r for r in rollouts() if r not in before]
        cli("audit", "verify")
        status, _, answer = patient(f"/v1/plans/{p['id']}/apply", body={"signatures": signatures, "supersede": True}, headers={"Idempotency-Key": key})
        if status == 409:  # nobody knows: so it is not done again, and with another key only once
            assert answer["error"]["code_name"] == "API_KEY_OPEN", answer
            give(p, signatures, status=409 if new else 200, key=key + "-again", code="PLAN_STALE" if new else None)
        else:
            assert status == 200 and (not new or answer["rollouts"] == new), (status, answer, new)
        assert len([r for r in rollouts() if r not in before]) == 1, (at, new)


def bounded():
    with open(f"/proc/{server.p.pid}/status") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    print(f"plans: at most {peak // 1024} MiB of memory")
    assert os.environ.get("ASAN_OPTIONS") or peak < 256 * 1024, peak


for test in (roles, nothing_to_do, there_and_back, withdrawn, in_parts, printed, staged, undo, stale, deltas, nothing_of_the_ground_is_read, bad_bodies, asks_first, two_at_a_time, nobody_waits_for_a_plan, own_room, delegations, bounded, killed):
    test()
    print(f"plans: {test.__name__} ok", flush=True)
server.end()
