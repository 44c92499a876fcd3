"""Reads what `oneid connector read --singer` prints about the simulated shops with
singer-python, the library of Singer's targets: each line must be a message of
its, each record must come after its stream's schema and fit it.

usage: singer_tap.py ONEID FOLDER '<the line of addresses that oneid simulate prints>'
"""

import collections
import importlib.metadata
import json
import logging
import sys

import jsonschema
import singer
from common import PLATFORMS, Tap, check

logging.disable(logging.INFO)


def read(lines: list[str]) -> tuple[collections.Counter, dict]:
    """How many records each stream gave, and the last state."""
    schemas, records, state = {}, collections.Counter(), None
    for line in lines:
        message = singer.parse_message(line)
        match message:
            case singer.SchemaMessage():
                jsonschema.Draft4Validator.check_schema(message.schema)
                if missing := [k for k in message.key_properties if k not in message.schema["properties"]]:
                    raise ValueError(f"the keys {missing} are no properties")
                schemas[message.stream] = jsonschema.Draft4Validator(message.schema)
            case singer.RecordMessage():
                # Without the numbers as decimals, which the validator does not know.
                schemas[message.stream].validate(json.loads(line)["record"])
                records[message.stream] += 1
            case singer.StateMessage():
                state = message.value
            case _:
                raise ValueError("no message of Singer's")
    return records, state


def main() -> None:
    oneid, folder, addresses = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    print("-- Singer: singer-python " + importlib.metadata.version("singer-python"))
    for platform in PLATFORMS:
        tap = Tap(oneid, folder, platform, addresses[platform])
        found = singer.Catalog.from_dict(json.loads("\n".join(tap.say("discover", "--singer", "--config", tap.config)))).streams
        lines = tap.say("read", "--singer", "--config", tap.config)
        records, state = read(lines)
        check(set(records) <= {s.tap_stream_id for s in found} and sum(records.values()) > 50, f"{platform}: {sum(records.values())} records of {len(found)} streams fit their schemas")
        again, _ = read(tap.say("read", "--singer", "--config", tap.config, "--state", tap.file("singer-state.json", state)))
        check(sum(again.values()) < sum(records.values()) / 4, f"{platform}: from the last state on, {sum(again.values())} come again")

    first = next(i for i, line in enumerate(lines) if json.loads(line)["type"] == "RECORD")
    record = json.loads(lines[first])
    name = next(k for k, v in record["record"].items() if isinstance(v, str))
    wrong = {
        "a record before its schema": [lines[first]],
        "a record without its stream": lines[:first] + [json.dumps({k: v for k, v in record.items() if k != "stream"})],
        "a number for a text": lines[:first] + [json.dumps(record | {"record": record["record"] | {name: {"not": "a text"}}})],
        "a line that is no message": lines[:first] + [json.dumps({"type": "LOG"})],
    }
    let_in = []
    for what, spoilt in wrong.items():
        try:
            read(spoilt)
            let_in.append(what)
        except Exception:
            pass
    check(not let_in, f"{len(wrong)} spoilt readings are refused" + (f", but not: {let_in}" if let_in else ""))


if __name__ == "__main__":
    main()
