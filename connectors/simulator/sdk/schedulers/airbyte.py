"""Holds what `oneid connector` prints about the simulated shops against the
Airbyte protocol as its makers publish it: each line must be a message of their
models, with the types as they stand (a text is no number), with no field that
the protocol does not have, and with the one part that its type names.

usage: airbyte.py ONEID FOLDER '<the line of addresses that oneid simulate prints>'
"""

import collections
import importlib.metadata
import json
import sys

import pydantic
from airbyte_protocol.models import AirbyteMessage, ConfiguredAirbyteCatalog
from common import PLATFORMS, Tap, check

# The part of a message that belongs to its type.
PARTS = {
    "SPEC": "spec", "CONNECTION_STATUS": "connectionStatus", "CATALOG": "catalog", "RECORD": "record",
    "STATE": "state", "TRACE": "trace", "LOG": "log", "CONTROL": "control",
}
TRACES = {"ERROR": "error", "ESTIMATE": "estimate", "STREAM_STATUS": "stream_status", "ANALYTICS": "analytics"}
# A blob of the connector's own: any field may be in it.
FREE = {"AirbyteStateBlob"}


def extra(value, text, path: str = "") -> list[str]:
    """The fields of a message that its model does not have."""
    found = []
    if isinstance(value, pydantic.BaseModel) and type(value).__name__ not in FREE:
        known = type(value).model_fields
        for name, inner in text.items():
            if name not in known:
                found.append(path + name)
            else:
                found += extra(getattr(value, name), inner, path + name + ".")
    elif isinstance(value, list):
        for each, inner in zip(value, text):
            found += extra(each, inner, path)
    return found


def fault(line: str) -> str:
    """What is wrong with a line; empty if nothing is."""
    try:
        message = AirbyteMessage.model_validate_json(line, strict=True)
    except pydantic.ValidationError as refusal:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in refusal.errors(include_input=False, include_url=False))
    text = json.loads(line)
    if unknown := extra(message, text):
        return "the protocol has no field " + ", ".join(unknown)
    part = PARTS.get(message.type.value)
    if part is None or set(text) != {"type", part}:
        return f"a {message.type.value} message has {sorted(text)}"
    if part == "trace" and set(text["trace"]) != {"type", "emitted_at", TRACES[message.trace.type.value]}:
        return f"a {message.trace.type.value} trace has {sorted(text['trace'])}"
    return ""


def told(tap: Tap, verb: str, *arguments: str) -> dict[str, list]:
    """The messages by type, each held against the protocol."""
    messages = collections.defaultdict(list)
    for number, line in enumerate(tap.say(verb, *arguments), 1):
        if wrong := fault(line):
            check(False, f"{tap.platform}: {verb}, line {number}: {wrong}")
        message = json.loads(line)
        messages[message["type"]].append(message[PARTS[message["type"]]])
    return messages


def shop(tap: Tap) -> list[str]:
    """Speaks all four verbs on one shop, and gives lines of each kind."""
    spec = told(tap, "spec")["SPEC"]
    properties = spec[0]["connectionSpecification"]["properties"]
    check(len(spec) == 1 and properties["app_secret"].get("airbyte_secret") is True, f"{tap.platform}: spec says which settings are secrets")
    good, bad = told(tap, "check", "--config", tap.config), told(tap, "check", "--config", tap.wrong)
    check([s["status"] for s in good["CONNECTION_STATUS"] + bad["CONNECTION_STATUS"]] == ["SUCCEEDED", "FAILED"],
          f"{tap.platform}: check tells a shop that can be read from one that cannot")
    streams = told(tap, "discover", "--config", tap.config)["CATALOG"][0]["streams"]
    configured = {"streams": [{"stream": s, "sync_mode": "incremental", "destination_sync_mode": "append"} for s in streams]}
    ConfiguredAirbyteCatalog.model_validate_json(json.dumps(configured), strict=True)
    catalog = tap.file("catalog.json", configured)
    read = told(tap, "read", "--config", tap.config, "--catalog", catalog)
    names = {s["name"] for s in streams}
    counted = collections.Counter(r["stream"] for r in read["RECORD"])
    stated = collections.Counter()
    for state in read["STATE"]:
        stated[state["stream"]["stream_descriptor"]["name"]] += int(state["sourceStats"]["recordCount"])
    ended = {t["stream_status"]["stream_descriptor"]["name"] for t in read["TRACE"] if t["type"] == "STREAM_STATUS" and t["stream_status"]["status"] == "COMPLETE"}
    check(set(counted) <= names and sum(counted.values()) > 50 and counted == +stated and ended == names,
          f"{tap.platform}: read gives {sum(counted.values())} records of {len(names)} streams, and its states count each")
    again = told(tap, "read", "--config", tap.config, "--catalog", catalog, "--state", tap.file("state.json", read["STATE"]))
    check(len(again["RECORD"]) < len(read["RECORD"]) / 4, f"{tap.platform}: from that state on, {len(again['RECORD'])} come again")
    return [json.dumps({"type": kind, PARTS[kind]: messages[-1]}) for kind, messages in
            (("SPEC", spec), ("CATALOG", [{"streams": streams}]), *((k, read[k]) for k in ("RECORD", "STATE", "TRACE")))]


def refused(lines: list[str]) -> None:
    """The models say no: to each of our own lines, once it is spoilt."""
    def spoilt(kind: str, *path, value=None):
        message = next(m for m in map(json.loads, lines) if m["type"] == kind)
        inner = message
        for name in path[:-1]:
            inner = inner[name]
        if value is None:
            del inner[path[-1]]
        else:
            inner[path[-1]] = value
        return json.dumps(message)

    wrong = {
        "a record of no stream": spoilt("RECORD", "record", "stream"),
        "a time as text": spoilt("RECORD", "record", "emitted_at", value="1767225600000"),
        "a record that is no object": spoilt("RECORD", "record", "data", value=[1]),
        "a state of an unknown type": spoilt("STATE", "state", "type", value="SHOP"),
        "a count as text": spoilt("STATE", "state", "sourceStats", "recordCount", value="1.0"),
        "a state of no stream": spoilt("STATE", "state", "stream", "stream_descriptor", "name"),
        "a sync mode that there is not": spoilt("CATALOG", "catalog", "streams", 0, "supported_sync_modes", value=["now and then"]),
        "a specification without settings": spoilt("SPEC", "spec", "connectionSpecification"),
        "a stream status that there is not": spoilt("TRACE", "trace", "stream_status", "status", value="DONE"),
        "a field that there is not": spoilt("RECORD", "record", "shop", value="1"),
        "a record that says it is a state": spoilt("RECORD", "type", value="STATE"),
        "a line that is no JSON": "reading the shop",
        "a line of the log alone": json.dumps("reading the shop"),
    }
    let_in = [what for what, line in wrong.items() if not fault(line)]
    check(not let_in and all(not fault(line) for line in lines), f"{len(wrong)} spoilt lines are refused" + (f", but not: {let_in}" if let_in else ""))


def main() -> None:
    oneid, folder, addresses = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    print("-- Airbyte: airbyte-protocol-models-pdv2 " + importlib.metadata.version("airbyte-protocol-models-pdv2"))
    for platform in PLATFORMS:
        lines = shop(Tap(oneid, folder, platform, addresses[platform]))
    shop(Tap(oneid, folder, PLATFORMS[0], addresses[PLATFORMS[0]], personal=True))
    refused(lines)


if __name__ == "__main__":
    main()
