"""``aurora-cluster member-role``, ``service-role``: roles of SQL, made, closed, and looked at."""

import argparse
import asyncio
import os
from typing import Any

from gateway.cluster.database import Database, open_database
from gateway.cluster.members.findings import openings
from gateway.cluster.members.password import SALT, new_password, verifier
from gateway.cluster.members.roles import close_member, make_member, make_service, member_roles
from gateway.errors import StorageError

__all__ = ["add"]


def add(commands: Any, shared: list[argparse.ArgumentParser]) -> None:
    """Add the commands."""
    member = commands.add_parser(
        "member-role", parents=shared, help="let a member read its own data with SQL (PostgreSQL)"
    )
    member.add_argument("member", nargs="?", help="without: list members and roles, and look for what is open")
    how = member.add_mutually_exclusive_group()
    how.add_argument("--no-password", action="store_true", help="the role alone; nobody signs in as it")
    how.add_argument("--close", action="store_true", help="nobody signs in any more; sessions end")
    member.set_defaults(command=_member_role)
    service = commands.add_parser(
        "service-role", parents=shared, help="the role for receivers: no superuser, deletes no evidence"
    )
    service.add_argument("--no-password", action="store_true", help="leave the password as it is")
    service.set_defaults(command=_service_role)


def _store(settings: Any) -> str:
    where = str(settings.store)
    if not where.startswith(("postgresql://", "postgres://")):
        raise StorageError(f"{where} is a file, which has no users", "members read with SQL from PostgreSQL alone")
    return where


def _member_role(settings: Any, arguments: argparse.Namespace) -> int:
    return asyncio.run(_do_member_role(_store(settings), arguments))


async def _do_member_role(store: str, arguments: argparse.Namespace) -> int:
    database = await open_database(store, read_only=arguments.member is None)
    try:
        if arguments.member is None:
            return await _look(database)
        if arguments.close:
            print(f"{await close_member(database, arguments.member)} is closed")
            return 0
        password = None if arguments.no_password else new_password(os.urandom)
        kept = None if password is None else verifier(password, os.urandom(SALT))
        role = await make_member(database, arguments.member, kept)
        _tell(role, password)
        return 0
    finally:
        await database.close()


async def _look(database: Database) -> int:
    async with database.transaction(write=False) as work:
        for known in await member_roles(work):
            state = {None: "no role", True: "open", False: "closed"}[known.open]
            print(f"{known.member}\t{known.role}\t{state}")
        found = await openings(work)
    for line in found:
        print(f"! {line}")
    return 1 if found else 0


def _service_role(settings: Any, arguments: argparse.Namespace) -> int:
    return asyncio.run(_do_service_role(_store(settings), arguments))


async def _do_service_role(store: str, arguments: argparse.Namespace) -> int:
    password = None if arguments.no_password else new_password(os.urandom)
    database = await open_database(store)
    try:
        role = await make_service(database, None if password is None else verifier(password, os.urandom(SALT)))
    finally:
        await database.close()
    _tell(role, password)
    return 0


def _tell(role: str, password: str | None) -> None:
    print(f"{role} is there")
    if password is not None:
        print(f"password, shown this once: {password}")
