"""Runs `oneid connector` on the simulated shops, for airbyte.py and singer_tap.py."""

import json
import pathlib
import subprocess
import sys

PLATFORMS = ("douyin", "tmall", "weidian")


def check(right: bool, what: str) -> None:
    print(("ok      " if right else "FAILED  ") + what)
    if not right:
        sys.exit(1)


class Tap:
    """One shop, its settings in a file."""

    def __init__(self, oneid: str, folder: str, platform: str, address: dict, personal: bool = False):
        self.oneid, self.platform = oneid, platform
        self.folder = pathlib.Path(folder, f"{platform}-{'clear' if personal else 'masked'}")
        self.folder.mkdir(parents=True, exist_ok=True)
        # Tmall's app has its token (session) from a consent; the others get theirs by key and secret.
        settings = {name: address[name] for name in ("shop", "url", "app_key", "app_secret", "session") if name in address}
        settings |= {"requests_per_second": 10000, "backfill_days": 20, "personal": personal}
        self.config = self.file("config.json", settings)
        self.wrong = self.file("wrong.json", settings | {"app_secret": "wrong"})

    def file(self, name: str, value) -> str:
        path = self.folder / name
        path.write_text(json.dumps(value), encoding="utf-8")
        return str(path)

    def say(self, verb: str, *arguments: str) -> list[str]:
        """The lines of standard output: the protocol is all that may be there."""
        done = subprocess.run([self.oneid, "connector", verb, self.platform, *arguments], capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            check(False, f"{self.platform}: {verb} ends with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout.splitlines()
