# SPDX-License-Identifier: Apache-2.0
"""A true ground and hostile ones: orders.py DIR BUILD_DIR PORT"""
import base64
import glob
import http.client
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

work, build, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
LIMIT = 300  # against hanging
env = {k: v for k, v in os.environ.items() if k not in ("BERTH_HOME", "BERTH_CONTEXT")}
KEY = ("--key", f"{work}/keys/operator.key")
memory = f"{work}/config/berth/signed"


def run(*args, home=None, code=0, more=None):
    e = dict(env, **(more or {}))
    if home:
        e["BERTH_HOME"] = home
    r = subprocess.run([f"{build}/berth", *args], env=e, capture_output=True, text=True, timeout=LIMIT, stdin=subprocess.DEVNULL, start_new_session=True)
    assert code is None or r.returncode == code, (args, r)
    return r


def context(name, at, *more, token="operator"):
    run("context", "add", name, "--replace", "--server", f"http://127.0.0.1:{at}", "--token-file", f"{work}/{token}.token", "--root", f"{work}/root.cose", *more)


def there(*args, to="true", code=0):
    return run(*args, "--context", to, code=code)


def refused(name, *args, to="true", exit=None):
    r = there(*args, to=to, code=None)
    assert r.returncode != 0 and name in r.stderr, (name, args, r)
    assert exit is None or r.returncode == exit, (name, args, r)
    return r


digest = {}
for p in json.loads(run("packages", "-o", "json", home=f"{work}/home").stdout)["packages"]:
    for v in p["versions"]:
        digest[(p["tenant"], p["name"], v["version"])] = v["digest"]


def fleet(version, name="fleet.yaml", bare=False):
    """The fleet file with acme/beacon at this version, with digests."""
    text = open(f"{work}/fleet.yaml").read().split("desired:\n")[0]
    lines = []
    for tenant, v in (("acme", version), ("zenith", "1.0.0")):
        exact = "" if bare and tenant == "acme" else f", digest: {digest[(tenant, 'beacon', v)]}"
        lines.append(f"      {tenant}/beacon: {{version: {v}{exact}}}\n")
    path = f"{work}/{name}"
    with open(path, "w") as f:
        f.write(text + "desired:\n  - select: all\n    payloads:\n" + "".join(lines))
    return path


def rollouts(home="home"):
    return sorted(r["id"] for r in json.loads(run("rollout", "list", "--json", home=f"{work}/{home}").stdout)["rollouts"])


def release(home="home"):
    subprocess.run([f"{build}/berth-ground", "--home", f"{work}/{home}", "--once"], check=True, capture_output=True, env=env, timeout=LIMIT)


def still(text):
    """Without what goes on while one looks."""
    return re.sub(r" +", " ", re.sub(r"\d+:\d\d(:\d\d)?Z?", "TIME", text))


def same(here, far):
    """What the ground's own machine prints, and what is printed here."""
    assert here.returncode == far.returncode, (here, far)
    assert still(here.stdout) == still(far.stdout), (here.stdout, far.stdout)


# ---- a true ground ----
context("true", port)
one = fleet("1.1.0")
r = run("context", "add", "bare", "--server", f"http://127.0.0.1:{port}", "--token-file", f"{work}/operator.token")
refused("CONTEXT", "apply", one, *KEY, "--yes", to="bare")
context("viewer", port, token="viewer")
refused("API_ROLE", "apply", one, *KEY, "--yes", to="viewer", exit=5)
refused("USAGE", "apply", one, "--yes", exit=2)
for option in (("--request", work), ("--attach", work), ("--as", "x.key"), ("--retry",)):
    refused("CONTEXT_LOCAL", "apply", one, *KEY, *option)
refused("NOT_FOUND", "apply", f"{work}/no.yaml", *KEY, "--yes")
here, far = (json.loads(r.stdout) for r in (run("plan", one, "--json", home=f"{work}/twin", code=3), there("plan", one, "--json", code=3)))
assert here.keys() == far.keys() and all(here[k] == far[k] for k in here if k != "sky"), (here, far)  # the sky goes on
plan = there("plan", one, code=3).stdout
mine = run("plan", one, home=f"{work}/twin", code=3).stdout
assert [still(l) for l in plan.splitlines() if not l.startswith("berth ")] == [still(l) for l in mine.splitlines() if not l.startswith("berth ")], (plan, mine)
command = plan.splitlines()[-1]
assert command.startswith(f"berth apply {one} --plan ") and command.endswith(" --supersede"), command
hash = command.split("--plan ")[1].split()[0]
refused("PLAN_STALE", "apply", one, *KEY, "--yes", "--supersede", "--plan", "0" * 16, exit=4)
refused("ROLLOUT_STATE", "apply", one, *KEY, "--yes", exit=4)
assert not glob.glob(f"{memory}/*/*.a")
before = rollouts()
here = run("apply", one, *KEY, "--supersede", "--plan", hash, "--no-deltas", home=f"{work}/twin")
far = there("apply", one, *KEY, "--supersede", "--plan", hash, "--yes", "--why", "ticket 8")
same(here, far)
assert len(rollouts()) == len(before) + 1 and rollouts() == rollouts("twin")
assert "aurora-1" in far.stderr and "for mission" in far.stderr  # the words
files = sorted(os.path.basename(p) for p in glob.glob(f"{memory}/*/*.a"))
assert files == ["aurora-1.a", "aurora-2.a", "aurora-3.a"], files
assert all(os.stat(p).st_mode & 0o777 == 0o600 for p in glob.glob(f"{memory}/*/*.[ab]"))
assert os.stat(memory).st_mode & 0o077 == 0
entry = json.loads(run("audit", "log", "--last", "1", "--json", home=f"{work}/home").stdout)[0]
assert entry["who"] == "api/operator" and entry["why"] == "ticket 8", entry
release(), release("twin")
# nothing to do: the one satellite that got its order
alone = f"{work}/alone.yaml"
text = open(one).read()
head, tail = text.split("  - id: aurora-2\n")[0], text[text.index("desired:"):]
with open(alone, "w") as f:
    f.write(head + tail)
same(run("apply", alone, *KEY, home=f"{work}/twin"), there("apply", alone, *KEY, "--yes"))
far = json.loads(there("apply", alone, *KEY, "--yes", "--json").stdout)
assert far["rollouts"] == [] and far["changed"] == 0, far
# a version without a digest is not signed for nobody's word
bare = fleet("1.0.0", "bare.yaml", bare=True)
r = refused("NOT_CONFIRMED", "apply", bare, *KEY, "--yes", "--supersede")
assert "--digest " + digest[("acme", "beacon", "1.0.0")] in r.stderr, r
refused("NOT_CONFIRMED", "apply", bare, *KEY, "--yes", "--supersede", "--digest", digest[("acme", "beacon", "1.1.0")])
refused("USAGE", "apply", bare, *KEY, "--yes", "--supersede", "--digest", "12")
refused("NOT_CONFIRMED", "apply", one.replace("fleet", "bare"), *KEY, "--supersede")  # no terminal
before = rollouts()


def on_terminal(answers, *args):
    """berth on a terminal of its own, where these answers are typed, one for each question."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(f"{build}/berth", ["berth", *args], env)
    text, left = b"", list(answers)
    while True:
        try:
            got = os.read(fd, 65536)
        except OSError:
            break
        if not got:
            break
        text += got
        if text.endswith(b"Type yes: ") and left:
            os.write(fd, left.pop(0) + b"\n")
    os.close(fd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text.decode()


code, text = on_terminal([b"no"], "apply", bare, *KEY, "--supersede", "--context", "true")
assert code == 1 and "NOT_CONFIRMED" in text and digest[("acme", "beacon", "1.0.0")] in text, (code, text)
code, text = on_terminal([b"yes", b"y"], "apply", bare, *KEY, "--supersede", "--context", "true")
assert code == 1 and re.search("Sign these [123]\\?", text), (code, text)
assert rollouts() == before
code, text = on_terminal([b"yes", b"yes"], "apply", bare, *KEY, "--supersede", "--context", "true")
assert code == 0 and len(rollouts()) == len(before) + 1, (code, text)
run("apply", bare, *KEY, "--supersede", "--no-deltas", home=f"{work}/twin")
assert rollouts() == rollouts("twin")

# ---- undo ----
release(), release("twin")
last = str(rollouts()[-1])
here, far = run("rollout", "undo", last, home=f"{work}/twin", code=3), there("rollout", "undo", last, code=3)
same(here, far)
# what was not signed here is asked for, each digest
shutil.move(memory, f"{memory}.away")
r = refused("NOT_CONFIRMED", "rollout", "undo", last, *KEY, "--yes", "--supersede")
assert "--digest " in r.stderr
shutil.rmtree(memory)
shutil.move(f"{memory}.away", memory)
here = run("rollout", "undo", last, *KEY, "--supersede", "--no-deltas", home=f"{work}/twin")
far = there("rollout", "undo", last, *KEY, "--supersede", "--yes")
same(here, far)
assert rollouts() == rollouts("twin")
refused("NOT_FOUND", "rollout", "undo", "999", *KEY, "--yes")
release(), release("twin")


# ---- files that the fleet file names go with it, and only such as have a plain name ----
text = open(one).read()
lines = re.search(r"  - id: aurora-3\n    orbit:\n      tle:\n        - \"(.*)\"\n        - \"(.*)\"\n", text)
with open(f"{work}/aurora-3.tle", "w") as f:
    f.write(lines[1] + "\n" + lines[2] + "\n")
named = f"{work}/named.yaml"
for name, works in (("aurora-3.tle", True), ("./aurora-3.tle", False), (f"{work}/aurora-3.tle", False), ("no-such.tle", False)):
    with open(named, "w") as f:
        f.write(text.replace(lines[0], f"  - id: aurora-3\n    orbit: {{tle: {name}}}\n"))
    if not works:
        refused("NOT_FOUND" if name == "no-such.tle" else "API_REQUEST", "plan", named)
        continue
    here, far = (json.loads(r.stdout) for r in (run("plan", named, "--json", home=f"{work}/twin", code=3), there("plan", named, "--json", code=3)))
    assert all(here[k] == far[k] for k in here if k != "sky"), (here, far)

# ---- a delegation ----
context("acme", port, token="tenant")
with open(f"{work}/team.yaml", "w") as f:
    f.write("memory: 16M\ncpu: 0.2\npids: 8\ndata: 1M\ntmp: 1M\nfiles: 16\nstore: 4M\npayloads: 1\n")
team = ("trust", "delegate", "acme", "optics", "--keys", f"{work}/keys/team.pub", "--quota", f"{work}/team.yaml")
refused("KEY_UNKNOWN", *team, "--key", f"{work}/keys/zenith.key", to="acme", exit=5)
refused("API_ROLE", *team, "--key", f"{work}/keys/acme.key", to="true", exit=5)
refused("CONTEXT", *team, "--key", f"{work}/keys/acme.key", to="bare")
run(*team, "--key", f"{work}/keys/acme.key", "--epoch", "5", "--root", f"{work}/root.cose", "--out", f"{work}/team.cose")
here = run("trust", "delegate", "--add", f"{work}/team.cose", home=f"{work}/twin")
far = there(*team, "--key", f"{work}/keys/acme.key", "--epoch", "5", to="acme")
same(here, far)
assert "acme/optics: delegated, epoch 5" in far.stdout, far
refused("VERSION_OLD", *team, "--key", f"{work}/keys/acme.key", "--epoch", "5", to="acme")
there("trust", "delegate", "acme", "optics", "--withdraw", "--policy", "stop", "--key", f"{work}/keys/acme.key", to="acme")
there(*team, "--key", f"{work}/keys/acme.key", "--out", f"{work}/later.cose", to="acme")  # only signed, for another day
refused("API_ROLE", "trust", "delegate", "--add", f"{work}/team.cose", to="true")


# ---- between this machine and the ground, somebody who changes what is said ----
class Between:
    def __init__(self, change=None, lose=0, fill=None):
        self.change, self.lose, self.keys, self.gave, outer = change, lose, [], [], self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                giving = self.path.split("?")[0].endswith("/apply")
                if giving:
                    outer.keys.append(self.headers["Idempotency-Key"])
                    outer.gave.append(json.loads(body))
                c = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
                c.request("POST", self.path, body, {k: v for k, v in self.headers.items() if k not in ("Host", "Expect")})
                a = c.getresponse()
                text = a.read()
                c.close()
                if giving and outer.lose > 0:
                    outer.lose -= 1
                    self.close_connection = True
                    return
                if not giving and outer.change and a.status == 200:
                    text = outer.change(text)
                self.send_response(a.status)
                self.send_header("Content-Type", a.headers["Content-Type"])
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        context("between", self.server.server_port)

    def end(self):
        self.server.shutdown()
        self.server.server_close()


def through(change, *more, name, path=None):
    b = Between(change)
    r = there("apply", path or target, *KEY, "--yes", "--supersede", *more, to="between", code=None)
    b.end()
    assert r.returncode != 0 and not b.gave and name in r.stderr, (name, r, b.gave)
    return r


def edit(fn):
    def change(text):
        answer = json.loads(text)
        fn(answer)
        return json.dumps(answer).encode()
    return change


def raw(i, fn):
    """Change the bytes of a request."""
    def change(answer):
        one = answer["requests"][i]
        one["bytes"] = base64.b64encode(fn(base64.b64decode(one["bytes"]))).decode()
    return edit(change)


def doc(kind, *args):
    """A request of another kind, as this mission's own machine would write it."""
    out = f"{work}/other-{kind}"
    run(*args, "--request", out, home=f"{work}/home")
    return open(glob.glob(f"{out}/*.request")[0], "rb").read()


target = fleet("1.1.0", "target.yaml")
if there("plan", target, code=None).returncode != 3:
    target = fleet("1.0.0", "target.yaml")
there("plan", target, code=3)
before = rollouts()
wanted = bytes.fromhex(digest[("zenith", "beacon", "1.0.0")])
through(raw(0, lambda b: b.replace(b"aurora-1", b"aurora-9")), name="NO_SATELLITE")
through(raw(0, lambda b: b.replace(wanted, bytes(31) + b"x")), name="DIGEST_MISMATCH")
through(raw(0, lambda b: b.replace(b"zenith", b"zenit2")), name="LOOK_ORDER")
through(raw(0, lambda b: b[:23] + bytes(15) + b"m" + b[39:]), name="MISSION")
through(raw(0, lambda b: b[:-1]), name="SHORT")
through(raw(0, lambda b: b"\x80"), name="CBOR_")
through(raw(0, lambda b: b""), name="SHORT")
through(edit(lambda a: a["requests"].append(a["requests"][0])), name="API_SERVER")
through(edit(lambda a: a["requests"].reverse()), name="API_SERVER")
through(edit(lambda a: a["requests"][0].update(bytes="*" + a["requests"][0]["bytes"][1:])), name="API_SERVER")
through(edit(lambda a: a["requests"][0].update(name="../../x")), name="API_SERVER")
through(edit(lambda a: a["requests"][0].update(name="grant-acme")), name="DOC_TYPE")
through(edit(lambda a: a["requests"][0].update(name="order-aurora-0")), name="NO_SATELLITE")
through(edit(lambda a: a.update(staged=True)), name="API_SERVER")
through(edit(lambda a: a.update(undo=7)), name="API_SERVER")
r = through(edit(lambda a: a["plan"].update(failed_on="\x1b[2Jx")), name="ROLLOUT_STATE")
assert "\x1b" not in r.stderr, r
through(edit(lambda a: a.update(id="../../x")), name="API_SERVER")
through(edit(lambda a: a.update(id=None)), name="API_SERVER")
through(edit(lambda a: a.update(requests=[{"name": f"order-s{i:06d}", "bytes": "AAAA"} for i in range(20001)])), name="API_LIMIT")
through(lambda t: b"{" * 100000, name="API_SERVER")
through(lambda t: b"[" + b"0," * 3000000 + b"0]", name="API_LIMIT")
through(lambda t: t[:-1] + b" " * (65 * 1024 * 1024) + b"}", name="API_LIMIT")
grant = doc("grant", "grant", "acme", "--keys", f"{work}/keys/acme.pub", "--quota", f"{os.path.dirname(os.path.abspath(__file__))}/../../examples/quotas/tenant.yaml")
through(raw(0, lambda b: grant), name="DOC_TYPE")
assert rollouts() == before

# ---- an answer that is lost ----
b = Between(lose=2)
far = there("apply", target, *KEY, "--yes", "--supersede", to="between")
b.end()
assert len(b.keys) == 3 and len(set(b.keys)) == 1 and len(b.keys[0]) == 32, b.keys
assert b.gave[0] == b.gave[1] == b.gave[2] and len(rollouts()) == len(before) + 1, (rollouts(), before)
assert "rollout " in far.stdout and "no answer yet" in far.stderr, far
# ---- what was signed is not signed again: not older, and not for somebody else ----
other = fleet("1.0.0" if "1.1.0" in open(target).read() else "1.1.0", "target.yaml")
held = []
through(lambda t: held.append(t) or b"{}", name="API_SERVER")  # a plan that is kept back
before = rollouts()
b = Between(lose=99)  # a ground that says that it got nothing
r = there("apply", other, *KEY, "--yes", "--supersede", to="between", code=None)
assert r.returncode != 0 and "API_SERVER" in r.stderr and len(set(b.keys)) == 1 and len(b.keys) == 5, (r, b.keys)
b.end()
assert len(rollouts()) == len(before) + 1
through(lambda t: held[0], name="LOOK_GENERATION", path=other)  # the plan of before, from another address
through(lambda t: held[0], "--again", name="LOOK_GENERATION", path=other)
release()
before = rollouts()
there("apply", fleet("1.1.0" if "1.0.0, digest: " + digest[("acme", "beacon", "1.0.0")] in open(other).read() else "1.0.0", "target.yaml"), *KEY, "--yes", "--supersede", "--staged", "--token-life", "7")
assert len(rollouts()) == len(before) + 1
# ---- what is remembered is never taken for nothing ----
for path in glob.glob(f"{memory}/*/aurora-1.[ab]"):
    with open(path, "r+b") as f:
        f.seek(70)
        f.write(b"xxxx")
again = next(f for f in (fleet("1.0.0", "a.yaml"), fleet("1.1.0", "b.yaml")) if json.loads(there("plan", f, "--json", code=3).stdout)["changed"] > 0)
refused("STATE_DAMAGED", "apply", again, *KEY, "--yes", "--supersede")
os.chmod(glob.glob(f"{memory}/*")[0], 0o755)
refused("SIGNED", "apply", again, *KEY, "--yes", "--supersede", exit=5)
# ---- and where it was taken away, as for the damaged one, that is said before anything is signed ----
os.chmod(glob.glob(f"{memory}/*")[0], 0o700)
for path in glob.glob(f"{memory}/*/aurora-1.[ab]"):
    os.remove(path)
r = there("apply", again, *KEY, "--yes", "--supersede")
assert "No order for aurora-1 is remembered on this machine" in r.stderr, r
print("orders: a ground elsewhere is given what is wanted here, and nothing else")
