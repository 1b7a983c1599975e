# SPDX-License-Identifier: Apache-2.0
"""A small CDDL (RFC 8610) reader and validator, for what docs/wire uses: maps, arrays, groups, choices,
occurrences, ranges, sockets none, and the controls .size, .regexp and .cbor.  Anything else is an error, so that
nothing is passed over.  Data are those of python3-cbor2."""
import re

import cbor2

TOKEN = re.compile(r"""\s+|;[^\n]*|(?P<text>"[^"]*")|(?P<op>=>|\.\.\.|\.\.|[{}\[\]():,/=?+&])|(?P<control>\.[a-z]+)
                   |(?P<occur>\d*\*\d*)|(?P<number>-?\d+)|(?P<name>[A-Za-z_$@][A-Za-z0-9_$@-]*)""", re.X)
PRELUDE = {
    "uint": lambda v: type(v) is int and 0 <= v < 2**64, "int": lambda v: type(v) is int,
    "bstr": lambda v: type(v) is bytes, "bytes": lambda v: type(v) is bytes,
    "true": lambda v: v is True, "tstr": lambda v: type(v) is str, "text": lambda v: type(v) is str, "bool": lambda v: type(v) is bool,
}


class Invalid(Exception):
    pass


def tokens(source):
    at = 0
    while at < len(source):
        m = TOKEN.match(source, at)
        if not m:
            raise SyntaxError(f"CDDL at {source[at:at + 40]!r}")
        if m.lastgroup:
            yield m.lastgroup, m.group()
        at = m.end()
    yield "end", ""


class Grammar:
    def __init__(self, source):
        self.t, self.i, self.rules, self.used = list(tokens(source)), 0, {}, set()
        while self.t[self.i][0] != "end":
            name = self.take("name")
            self.take("op", "=")
            if name in self.rules:
                raise SyntaxError(f"rule {name} twice")
            self.rules[name] = self.type()
        for name in self.used:
            if name not in self.rules and name not in PRELUDE:
                raise SyntaxError(f"rule {name} is missing")

    def peek(self, *texts):
        return self.t[self.i][1] in texts and self.t[self.i][0] == "op"

    def take(self, kind, text=None):
        k, v = self.t[self.i]
        if k != kind or text not in (None, v):
            raise SyntaxError(f"CDDL: {v!r} where {text or kind} should be")
        self.i += 1
        return v

    def type(self):
        choices = [self.type1()]
        while self.peek("/"):
            self.i += 1
            choices.append(self.type1())
        return choices[0] if len(choices) == 1 else ("choice", choices)

    def type1(self):
        t = self.type2()
        if self.peek(".."):
            self.i += 1
            return ("range", t[1], self.type2()[1])
        if self.t[self.i][0] == "control":
            control = self.take("control")
            if control not in (".size", ".regexp", ".cbor"):
                raise SyntaxError(f"control {control}")
            return ("control", control, t, self.type2())
        return t

    def type2(self):
        kind, v = self.t[self.i]
        self.i += 1
        if kind == "text":
            return ("value", v[1:-1])
        if kind == "number":
            return ("value", int(v))
        if kind == "name":
            self.used.add(v)
            return ("rule", v)
        if v == "&":
            self.take("op", "(")
            return ("choice", [m[2] for m in self.group(")")])
        if v in ("{", "[", "("):
            group = self.group({"{": "}", "[": "]", "(": ")"}[v])
            if v == "(" and len(group) == 1 and group[0][1] is None and group[0][0] == (1, 1):
                return group[0][2]
            return ({"{": "map", "[": "array", "(": "group"}[v], group)
        raise SyntaxError(f"CDDL: {v!r} where a type should be")

    def group(self, end):
        """A list of (occurrence, key or None, type)."""
        members = []
        while not self.peek(end):
            occurrence = (1, 1)
            if self.peek("?", "+"):
                occurrence = (0, 1) if self.peek("?") else (1, None)
                self.i += 1
            elif self.t[self.i][0] == "occur":
                low, high = self.take("occur").split("*")
                occurrence = (int(low or 0), int(high) if high else None)
            key = None
            if self.t[self.i][0] == "name" and self.t[self.i + 1] == ("op", ":"):
                key = ("value", self.take("name"))
                self.i += 1
                t = self.type()
            else:
                t = self.type()
                if self.peek("=>"):
                    self.i += 1
                    key, t = t, self.type()
            members.append((occurrence, key, t))
            if self.peek(","):
                self.i += 1
        self.i += 1
        return members

    # ---- data

    def check(self, rule, value):
        """Raise Invalid unless the value is what the rule says."""
        self.match(("rule", rule), value, rule)

    def match(self, t, v, where):
        getattr(self, "match_" + t[0])(t, v, where)

    def match_rule(self, t, v, where):
        if t[1] in self.rules:
            self.match(self.rules[t[1]], v, f"{where}<{t[1]}>")
        elif not PRELUDE[t[1]](v):
            raise Invalid(f"{where}: {v!r} is no {t[1]}")

    def match_value(self, t, v, where):
        if type(v) is not type(t[1]) or v != t[1]:
            raise Invalid(f"{where}: {v!r} is not {t[1]!r}")

    def match_range(self, t, v, where):
        if type(v) is not int or not t[1] <= v <= t[2]:
            raise Invalid(f"{where}: {v!r} is outside {t[1]}..{t[2]}")

    def match_choice(self, t, v, where):
        why = []
        for choice in t[1]:
            try:
                return self.match(choice, v, where)
            except Invalid as e:
                why.append(str(e))
        raise Invalid(" / ".join(why))

    def match_control(self, t, v, where):
        _, control, base, argument = t
        self.match(base, v, where)
        if control == ".size":
            n = len(v.encode()) if type(v) is str else len(v)
            self.match(argument, n, where + " size")
        elif control == ".regexp":
            if not re.fullmatch(argument[1], v):
                raise Invalid(f"{where}: {v!r} does not match {argument[1]}")
        else:
            self.match(argument, cbor2.loads(v), where + " inside")

    def match_map(self, t, v, where):
        if type(v) is not dict:
            raise Invalid(f"{where}: no map")
        left = dict(v)
        for (low, _), key, member in t[1]:
            if key[1] in left:
                self.match(member, left.pop(key[1]), f"{where}.{key[1]}")
            elif low:
                raise Invalid(f"{where}: no key {key[1]!r}")
        if left:
            raise Invalid(f"{where}: keys {list(left)}")

    def match_array(self, t, v, where):
        if type(v) is not list or self.consume(t[1], v, 0, where) != len(v):
            raise Invalid(f"{where}: no list, or too long")

    def consume(self, group, items, at, where):
        """Greedy, which is enough where one member never begins like the next."""
        for (low, high), _, member in group:
            n = 0
            while high is None or n < high:
                try:
                    at = self.one(member, items, at, f"{where}[{at}]")
                except Invalid:
                    if n < low:
                        raise
                    break
                n += 1
        return at

    def one(self, member, items, at, where):
        inner = self.rules.get(member[1]) if member[0] == "rule" else member
        if inner and inner[0] == "group":
            return self.consume(inner[1], items, at, where)
        if at == len(items):
            raise Invalid(f"{where}: missing")
        self.match(member, items[at], where)
        return at + 1
