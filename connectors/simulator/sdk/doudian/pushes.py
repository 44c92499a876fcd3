"""Takes what the simulated Douyin pushes, each push checked by the Python SDK
doudian: what it holds genuine is answered, and comes no more.

usage: pushes.py OF_ONEID
"""

import http.server
import json
import subprocess
import sys
import threading
import time
import urllib.request

from doudian import AppType, DouDian

genuine, refused = {}, 0
sdk = None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        global refused
        body = self.rfile.read(int(self.headers["content-length"]))
        while sdk is None:
            time.sleep(0.01)
        # The SDK wants the names of headers as the platform writes them.
        headers = {name.lower(): value for name, value in self.headers.items()}
        messages = sdk.callback(headers, body)
        forged = sdk.callback(headers, body + b" ")
        if messages is None or forged is not None:
            refused += 1
        for message in messages or []:
            if str(message["tag"]) != "0":
                genuine[message["msg_id"]] = json.loads(message["data"])
        answer = b'{"code":0,"msg":"success"}' if messages else b'{"code":1,"msg":"refused"}'
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def main() -> None:
    global sdk
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    simulator = subprocess.Popen(
        [sys.argv[1], "simulate", "--people", "300", "--seed", "4", "--json", "--push-sign", "md5",
         "--push-douyin", f"http://127.0.0.1:{server.server_port}/"], stdout=subprocess.PIPE, text=True)
    try:
        address = json.loads(simulator.stdout.readline())["douyin"]
        sdk = DouDian(address["app_key"], address["app_secret"], app_type=AppType.TOOL)
        changed = set()
        for _ in range(5):
            ask = urllib.request.Request(address["url"] + "/_simulator/change", data=b'{"platform":"douyin"}', method="POST")
            with urllib.request.urlopen(ask) as answer:
                changed.add(json.load(answer)["order"])
        end = time.time() + 20
        while len(genuine) < 5 and time.time() < end:
            time.sleep(0.05)
    finally:
        simulator.terminate()
        simulator.wait()
    told = {str(data["p_id"]) for data in genuine.values()}
    right = told == changed and len(genuine) == 5 and refused == 0
    print(("ok      " if right else "FAILED  ") + f"{len(genuine)} messages of 5 changes are held genuine, {refused} pushes are not")
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
