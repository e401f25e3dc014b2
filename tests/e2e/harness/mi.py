"""GDB's machine interface: records from lines (GDB manual, "GDB/MI Output Syntax")."""

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "f": "\f", "b": "\b", "a": "\a",
            "v": "\v", "e": "\033"}


class Record:
    """kind is one of ^ * + = ~ @ & or "" (a line that is no record); data a dictionary or text."""

    def __init__(self, kind, name, data, token, line):
        self.kind, self.name, self.data, self.token, self.line = kind, name, data, token, line

    def get(self, key, default=None):
        return self.data.get(key, default)


def parse(line):
    digits = len(line) - len(line.lstrip("0123456789"))
    token, rest = line[:digits], line[digits:]
    if rest[:1] in ("~", "@", "&") and rest[1:2] == '"':
        return Record(rest[0], "", _string(rest, 1)[0], token, line)
    if rest[:1] and rest[0] in "^*+=":
        name, comma, tail = rest[1:].partition(",")
        try:
            data = _results(tail, 0, "")[0] if comma else {}
        except (IndexError, ValueError):
            return Record("", "", line, "", line)
        return Record(rest[0], name, data, token, line)
    return Record("", "", line, "", line)


def _string(text, at):
    at += 1
    out = bytearray()
    while text[at] != '"':
        if text[at] != "\\":
            out += text[at].encode()
            at += 1
        elif text[at + 1] in "01234567":
            out.append(int(text[at + 1:at + 4], 8) & 255)
            at += 4
        else:
            out += _ESCAPES.get(text[at + 1], text[at + 1]).encode()
            at += 2
    return out.decode("utf-8", "replace"), at + 1


def _value(text, at):
    if text[at] == '"':
        return _string(text, at)
    if text[at] == "{":
        return _results(text, at + 1, "}")
    return _list(text, at + 1)


def _results(text, at, end):
    """name=value pairs. Of a repeated name the last text counts (gdb collects what it announces on the
    way to a stop into one record), but the first structure (`bkpt={…},{…}`)."""
    data = {}
    while at < len(text) and text[at] != end:
        if text[at] == ",":
            at += 1
        if text[at] in "{[\"":  # a value without a name, as in multi-location breakpoints
            value, at = _value(text, at)
            data.setdefault("", value)
            continue
        equals = text.index("=", at)
        value, after = _value(text, equals + 1)
        name = text[at:equals]
        if isinstance(value, str) or name not in data:
            data[name] = value
        at = after
    return data, at + 1


def _list(text, at):
    items = []
    while text[at] != "]":
        if text[at] == ",":
            at += 1
        if text[at] not in "{[\"":
            at = text.index("=", at) + 1  # [frame={…},frame={…}]: the names say nothing new
        value, at = _value(text, at)
        items.append(value)
    return items, at + 1
