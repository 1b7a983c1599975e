# SPDX-License-Identifier: Apache-2.0
"""TLS of berth-api: api_tls.py DIR PROGRAM"""
import http.client
import json
import ssl
import subprocess
import sys

work, program = sys.argv[1], sys.argv[2]
token = open(f"{work}/viewer.token").read().strip()


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
certificate("client", "ca")
certificate("stranger", "others")


def serve(*more):
    p = subprocess.Popen([program, "--listen", "127.0.0.1:0", "--tls-cert", f"{work}/server.crt", "--tls-key", f"{work}/server.pem", *more],
                         stderr=subprocess.PIPE, text=True)
    ready = p.stderr.readline()
    assert "tls=yes" in ready, ready
    return p, int(ready.split("port=")[1].split()[0])


def ask(port, with_token=True, client=None, version=None):
    c = ssl.create_default_context(cafile=f"{work}/ca.crt")
    if client:
        c.load_cert_chain(f"{work}/{client}.crt", f"{work}/{client}.pem")
    if version:
        c.minimum_version = c.maximum_version = version
    h = http.client.HTTPSConnection("127.0.0.1", port, timeout=120, context=c)
    try:
        h.request("GET", "/v1/me", headers={"Authorization": "Bearer " + token} if with_token else {})
        r = h.getresponse()
        return r.status, json.loads(r.read())
    except (ssl.SSLError, ConnectionError, http.client.RemoteDisconnected):
        return None, None
    finally:
        h.close()


def end(p):
    p.terminate()
    assert p.wait(120) == 0, p.stderr.read()


p, port = serve()
assert ask(port)[0] == 200
assert ask(port, False)[0] == 401
assert ask(port, version=ssl.TLSVersion.TLSv1_2)[0] == 200
c = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
try:
    c.request("GET", "/v1/me", headers={"Authorization": "Bearer " + token})
    plain = c.getresponse().status
except (http.client.HTTPException, ConnectionError):
    plain = None
assert plain is None or plain >= 400, plain
end(p)

p, port = serve("--client-ca", f"{work}/ca.crt")
assert ask(port, client="client")[0] == 200
assert ask(port, False, client="client")[0] == 401, "a certificate does not stand for a token"
for client in (None, "stranger"):
    assert ask(port, client=client)[0] in (None, 401), client
end(p)
for bad in (["--tls-cert", f"{work}/server.crt"], ["--client-ca", f"{work}/ca.crt"], ["--tls-cert", f"{work}/server.crt", "--tls-key", f"{work}/client.pem"],
            ["--tls-cert", f"{work}/passphrase", "--tls-key", f"{work}/passphrase"], ["--tls-cert", f"{work}/none", "--tls-key", f"{work}/none"], ["--listen", "localhost:1"]):
    assert subprocess.run([program, *bad], capture_output=True).returncode in (1, 2), bad
print("api: TLS ok")
