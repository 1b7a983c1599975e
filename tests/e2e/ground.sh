# SPDX-License-Identifier: Apache-2.0
# For tests/e2e/api and tests/e2e/console: a ground with three satellites, two tenants and a rollout of each, tokens of
# every role, and berth-api before it.  Sourced; $1 is the build directory.
b=$(cd "$1" && pwd) || exit 2
top=$(cd "$(dirname "$0")/../.." && pwd)
w=$(mktemp -d) || exit 2
api=
trap '[ -z "$api" ] || kill "$api" 2>/dev/null; wait; rm -rf "$w"' EXIT
trap 'exit 1' INT TERM
BERTH_HOME=$w/home
BERTH_PASSPHRASE_FILE=$w/passphrase
export BERTH_HOME BERTH_PASSPHRASE_FILE
(umask 077 && echo 'for tests only' >"$BERTH_PASSPHRASE_FILE")
quiet() { "$b/berth" "$@" >"$w/out" 2>&1 || { echo "berth $* failed:"; cat "$w/out"; exit 1; }; }

# ---- a fleet of three with two tenants ----
mkdir "$w/keys" "$w/acme" "$w/zenith"
for k in root:root operator:operator safety:operator acme:tenant zenith:tenant; do
    quiet key new "${k%:*}" --role "${k#*:}" --out "$w/keys"
done
quiet fleet init aurora --root "$w/keys/root.key" --operator "$w/keys/operator.key" --safety "$w/keys/safety.pub" --out "$w/root.cose"
for t in acme zenith; do
    quiet grant $t --keys "$w/keys/$t.pub" --quota "$top/examples/quotas/tenant.yaml"
    cp "$b/examples/beacon" "$w/$t/beacon"
    sed "s/^tenant: .*/tenant: $t/" "$top/examples/payloads/beacon/payload.yaml" >"$w/$t/payload.yaml"
    quiet build "$w/$t" --key "$w/keys/$t.key" --out "$w/$t.berth"
    quiet push "$w/$t.berth"
done
for i in 1 2 3; do
    quiet provision aurora-$i --node 10$i --labels "plane=p$((i % 2)),canary=no" --out "$w/state-$i"
done
# elements of today, in three planes of a low orbit
tle() {
    python3 - "$1" <<'END'
import sys, time
t = time.gmtime()
day = t.tm_yday + (t.tm_hour * 3600 + t.tm_min * 60 + t.tm_sec) / 86400
one = f"1 99{int(sys.argv[1]):03d}U 26001A   {t.tm_year % 100:02d}{day:012.8f}  .00000060  00000-0  35940-4 0    1"
two = f"2 99{int(sys.argv[1]):03d}  98.4283 {60 * int(sys.argv[1]):8.4f} 0000884  88.1964 271.9322 14.35478080    1"
for line in one, two:
    print("        - \"" + line + str(sum(int(c) if c.isdigit() else c == "-" for c in line) % 10) + "\"")
END
}
{
    cat <<END
fleet: aurora
stations:
  - {id: svalbard, lat: 78.23, lon: 15.39, mask: 5, antennas: 2, turn: 3m}
  - {id: troll, lat: -72.01, lon: 2.53, mask: 5, turn: 5m}
links:
  uhf: {rate: 9600, setup: 20s}
tenants:
  acme: {share: 2, quota: {memory: 64M, uplink: 8M/day}, teams: {optics: {memory: 32M}}}
satellites:
END
    for i in 1 2 3; do
        printf '  - id: aurora-%s\n    orbit:\n      tle:\n' $i
        tle $i
    done
    cat <<END
desired:
  - select: all
    payloads:
      acme/beacon: 1.0.0
      zenith/beacon: 1.0.0
END
} >"$w/fleet.yaml"
# a next version of one payload, which nobody orders yet
sed -i 's/^version: .*/version: 1.1.0/; s/^release: .*/release: 2/' "$w/acme/payload.yaml"
quiet build "$w/acme" --key "$w/keys/acme.key" --out "$w/acme.berth"
quiet push "$w/acme.berth"
quiet apply "$w/fleet.yaml" --key "$w/keys/operator.key"
"$b/berth-ground" --once 2>"$w/out" || { cat "$w/out"; exit 1; } # releases the orders of the first wave

# ---- tokens ----
for r in viewer operator approver; do "$b/berth" token new $r --role $r >"$w/$r.token" 2>/dev/null || exit 1; done
"$b/berth" token new safety --role safety --vouch "$w/keys/safety.key" >"$w/safety.token" 2>/dev/null || exit 1
"$b/berth" token new acme-eyes --role tenant --tenant acme >"$w/tenant.token" 2>/dev/null || exit 1
if "$b/berth" token new bad --role tenant >/dev/null 2>&1 || "$b/berth" token new acme-eyes --role viewer >/dev/null 2>&1; then
    echo 'api: a tenant without a name, or a name twice'
    exit 1
fi

start_api() {
    mkfifo "$w/log"
    "$b/berth-api" --listen 127.0.0.1:0 2>"$w/log" &
    api=$!
    exec 4<"$w/log"
    read -r ready <&4
    port=${ready##*port=}
    port=${port%% *}
    cat <&4 >"$w/server.log" &
}
stop_api() {
    kill -TERM $api
    wait $api || { echo "the server ended with $?"; cat "$w/server.log"; exit 1; }
    api=
}
