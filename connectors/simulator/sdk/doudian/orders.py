"""Reads all orders of the simulated Douyin shop with the Python SDK doudian,
takes what the simulator pushes, and is refused with a wrong secret.

usage: orders.py '<the line of addresses that oneid simulate prints>'
"""

import json
import os
import sys
import time

os.environ["TZ"] = "Asia/Shanghai"  # the SDK writes the timestamp in the machine's zone, the platform wants GMT+8
time.tzset()

from doudian import DouDian  # noqa: E402  the zone goes first

ADDRESS = json.loads(sys.argv[1])["douyin"]


class Simulated(DouDian):
    """The SDK as it is, with the gateway's address in place of the platform's,
    for which it has no setting."""

    _gate_way = property(lambda self: ADDRESS["url"], lambda self, _: None)


def check(right: bool, what: str) -> None:
    print(("ok      " if right else "FAILED  ") + what)
    if not right:
        sys.exit(1)


def main() -> None:
    import urllib.request

    with urllib.request.urlopen(ADDRESS["url"] + "/_simulator/counts") as answer:
        orders = json.load(answer)["douyin"]["orders"]
    shop = Simulated(ADDRESS["app_key"], ADDRESS["app_secret"], shop_id=ADDRESS["shop"])
    now, found, page = int(time.time()), {}, 0
    while True:
        answer = shop.request("/order/searchList", {
            "page": page, "size": 50, "order_by": "update_time", "order_asc": True,
            "update_time_start": now - 90 * 86400 + 60, "update_time_end": now,
        })
        check_quietly(answer and answer["code"] == 10000, f"page {page} is answered: {answer}")
        for order in answer["data"]["shop_order_list"]:
            found[order["order_id"]] = order["pay_amount"]
        page += 1
        if page * 50 >= answer["data"]["total"]:
            break
    check(len(found) == orders > 0, f"read {len(found)} orders of {orders}")
    number = next(iter(found))
    detail = shop.request("/order/orderDetail", {"shop_order_id": number})["data"]["shop_order_detail"]
    check(detail["order_id"] == number and detail["pay_amount"] == found[number], f"read the order {number} alone")

    wrong = Simulated(ADDRESS["app_key"], "wrong", shop_id=ADDRESS["shop"])
    check(not wrong.init_token(), "a wrong secret gets no token")
    wrong._token = shop._token
    refusal = wrong.request("/order/orderDetail", {"shop_order_id": number})
    check(refusal["code"] == 40003 and refusal["sub_code"] == "isv.signature-invalid", f"a wrong secret is refused with {refusal['code']} {refusal['sub_code']}")


def check_quietly(right: bool, what: str) -> None:
    if not right:
        check(False, what)


if __name__ == "__main__":
    main()
