"""`ddad-admin audit verify | export | accept`: the audit trail from the server's own shell."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

from app.commands.shared import COMMAND
from app.opening import anchor_of, open_store
from app.services.access import Access
from app.services.audit import AuditService
from app.settings import load_settings
from app.store.audit_chain import Head
from ddad_core.errors import RequestError

EXIT_FAULTS = 1


def add_to(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    audit = sub.add_parser("audit", help="check the audit trail or take it out")
    commands = audit.add_subparsers(required=True, metavar="COMMAND")
    verifying = commands.add_parser("verify", help="find any edit, deletion or cut end")
    verifying.add_argument(
        "--head", type=_head, metavar="N:HASH", help="as an earlier run printed it"
    )
    verifying.set_defaults(command=_verify)
    exporting = commands.add_parser("export", help="write it as .csv or .jsonl")
    exporting.add_argument("file", type=Path, metavar="FILE")
    exporting.set_defaults(command=_export)
    accepting = commands.add_parser(
        "accept", help="note its end anew outside the database, after a restore"
    )
    accepting.add_argument("--reason", required=True, metavar="TEXT", help="goes on record")
    accepting.set_defaults(command=_accept)


def _audit() -> AuditService:
    settings = load_settings(os.environ)
    anchor = anchor_of(settings)
    store = open_store(settings, anchor)
    return AuditService(store, Access(store), anchor)


def _verify(arguments: argparse.Namespace) -> int:
    found = _audit().verify(COMMAND, arguments.head)
    for fault in found.faults:
        print(fault)
    print(f"{found.events} events; the newest is {found.head.id}:{found.head.hash}")
    print(
        "The chain is intact. Keep the line above somewhere else to check against later."
        if found.intact
        else "The trail was tampered with, or is damaged."
    )
    return 0 if found.intact else EXIT_FAULTS


def _export(arguments: argparse.Namespace) -> int:
    path: Path = arguments.file
    audit = _audit()
    if path.suffix == ".csv":
        data = audit.export_csv(COMMAND)
    elif path.suffix == ".jsonl":
        data = audit.export_json_lines(COMMAND)
    else:
        problem = f"{path} ends neither in .csv nor in .jsonl."
        raise RequestError(problem, "Name the file by its format.")
    part = path.with_name(f"{path.name}.part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    print(f"{path}: {len(data)} bytes")
    return 0


def _accept(arguments: argparse.Namespace) -> int:
    head = _audit().accept(COMMAND, arguments.reason)
    print(f"From now on the trail is checked against {head.id}:{head.hash}")
    return 0


def _head(text: str) -> Head:
    match = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text)
    if not match:
        problem = f"{text!r} is not a number, a colon and 64 hexadecimal digits"
        raise argparse.ArgumentTypeError(problem)
    return Head(int(match[1]), match[2])
