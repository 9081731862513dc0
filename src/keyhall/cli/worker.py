"""One of several workers: its orders come on standard input, which ends with its parent."""

import gc
import json
import os
import socket
import sys

import uvloop

from keyhall import logs
from keyhall.cli import tls
from keyhall.cli.options import fail, load_config
from keyhall.cli.serve import run
from keyhall.cli.workers import Orders
from keyhall.parts import StartRefused


def _line() -> bytes:
    """The first line of standard input, and not a byte more than was sent with it."""
    text = b""
    while not text.endswith(b"\n"):
        text += (piece := os.read(sys.stdin.fileno(), 65_536))
        if not piece:
            sys.exit(1)  # The parent died before it said what to do.
    return text


def main() -> None:
    gc.disable()  # As `serve` does, until it is open.
    orders = Orders(**json.loads(_line()))
    config = load_config(orders.data, orders.config, orders.overrides)
    logs.configure(config.log)
    try:
        until = tls.read(config.server)
    except tls.Unusable as error:
        fail(str(error))
    with socket.socket(fileno=orders.listener) as listener:
        try:
            uvloop.run(run(config, listener, until, orders))
        except StartRefused as error:
            fail(str(error))
