"""What people do with the site file of a running gateway: see it, propose, apply, roll back. One at a time.

The order of an application, so that a kill or a full disk at any moment leaves one whole file that is known: the
new version is kept, the file is replaced if it is still the one that was proposed against, the gateway takes it
over. A failure puts the old file back. A kill in between ends with the new file, and the start that follows
records who changed it from the kept version.
"""

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from firmware_interfaces.errors import FirmwareError
from gateway.change.aside import Answer, Question, inquire
from gateway.change.history import History, How, Version
from gateway.change.plan import ChangeError
from gateway.change.takeover import take_over
from gateway.change.words import consequences, proposal
from gateway.control import Handler
from gateway.errors import AuroraError
from gateway.logbook.fields import LONGEST_NAME, LONGEST_TEXT, Fields
from gateway.model import Event
from gateway.wholefile import write_whole

if TYPE_CHECKING:
    from gateway.app import Gateway

__all__ = ["Changes"]

log = logging.getLogger(__name__)

LARGEST = 4_000_000
"""Bytes of a site file, as `check` has it."""

Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Said:
    """Who changes something, and why."""

    person: str | None
    reason: str | None


class Changes:
    """The orders of one gateway about its site file. They raise `ChangeError` and `RecordError` to refuse."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._history = History(gateway.site.data_dir)
        self._applying = asyncio.Lock()
        self._tasks: set[asyncio.Task[dict[str, Any]]] = set()

    def handlers(self) -> dict[str, Handler]:
        """By the name of the request."""
        return {
            "site.show": self.show,
            "site.propose": self.propose,
            "site.apply": self.apply,
            "site.reload": self.reload,
            "site.versions": self.versions,
            "site.rollback": self.rollback,
        }

    # what is asked

    async def show(self, _: Request) -> Mapping[str, Any]:
        """The file as it is on disk, and whether the gateway runs by it."""
        data = await self._read()
        digest, running = _digest(data), self._gateway.site.digest
        newest = await asyncio.to_thread(self._history.newest)
        return {
            "path": str(self._path()),
            "text": _text(data),
            "digest": digest,
            "running": running,
            "in_force": digest == running,
            "version": None if newest is None else _plain(newest),
        }

    async def propose(self, request: Request) -> Mapping[str, Any]:
        """Check ``text``, or ``edits`` of the file (`change.edit`), and say what they would mean."""
        data = await self._read()
        answer = await self._judged(data, *_asked(request))
        return proposal(answer, self._gateway.site, _digest(data))

    async def apply(self, request: Request) -> Mapping[str, Any]:
        """Put ``text`` or ``edits`` in force. ``base`` is the digest of the file that they were made for."""
        said, base = _said(request), _base(request)
        new, edits = _asked(request)
        return await self._alone("apply", said, base, new, edits)

    async def reload(self, request: Request) -> Mapping[str, Any]:
        """Put the file in force as it is on disk."""
        return await self._alone("reload", _said(request), None, None, ())

    async def versions(self, _: Request) -> Mapping[str, Any]:
        """The kept versions, newest first."""
        running = self._gateway.site.digest
        kept = await asyncio.to_thread(self._history.versions)
        newest = next((version.number for version in kept if version.digest == running), None)
        return {"versions": [{**_plain(version), "in_force": version.number == newest} for version in kept]}

    async def rollback(self, request: Request) -> Mapping[str, Any]:
        """Put a kept ``version`` (its number) in force again."""
        said, base, number = _said(request), _base(request), request.get("version")
        kept = await asyncio.to_thread(self._history.versions)
        version = next((one for one in kept if one.number == number and not isinstance(number, bool)), None)
        if version is None:
            known = ", ".join(str(one.number) for one in kept[:20]) or "none"
            raise ChangeError(f"there is no version {number!r:.40}", f"kept are: {known}")
        data = await asyncio.to_thread(self._history.text, version)
        if data is None:
            raise ChangeError(f"version {version.number} is damaged", "choose another one")
        said = _Said(said.person, f"back to version {version.number}: {said.reason}")
        return await self._alone("rollback", said, base, _text(data), ())

    async def reread(self) -> None:
        """SIGHUP: as `reload`, with nobody to answer to but the log and the record."""
        try:
            done = await self._alone("reload", _Said(None, None), None, None, ())
        except AuroraError as error:
            log.error("the site file was read again and is not put in force: %s", error)
            self._record_refusal(_Said(None, None), None, error)
        else:
            log.info("the site file was read again: %s", done["words"])

    # one change

    async def _alone(
        self, how: How, said: _Said, base: str | None, new: str | None, edits: tuple[object, ...]
    ) -> dict[str, Any]:
        """One change after the other; what has begun is ended, even if nobody waits for it any more."""

        async def work() -> dict[str, Any]:
            async with self._applying:
                return await self._change(how, said, base, new, edits)

        task = asyncio.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _change(
        self, how: How, said: _Said, base: str | None, new: str | None, edits: tuple[object, ...]
    ) -> dict[str, Any]:
        gateway = self._gateway
        data = await self._read()
        if base is not None and base != _digest(data):
            raise await asyncio.to_thread(self._conflict)
        before = gateway.site
        answer = await self._judged(data, new, edits)
        site = _usable(answer)
        assert answer.plan is not None
        if answer.plan.refused:
            raise ChangeError("; ".join(what for what, _ in answer.plan.refused), answer.plan.refused[0][1])
        told = {
            "applied": True,
            "digest": answer.digest,
            "changes": [change._asdict() for change in answer.changes],
            "consequences": list(consequences(answer.plan, before, site, answer.ending)),
            "version": None,
            "words": "the site file is in force already",
        }
        fresh = answer.text.encode()
        if answer.digest == before.digest and fresh == data:
            return told
        version = await asyncio.to_thread(self._keep, fresh, how, said)
        try:
            if fresh != data:
                await asyncio.to_thread(self._replace, data, fresh)
            await self._go_over(answer, said, data, fresh)
        except BaseException:
            await asyncio.to_thread(self._history.forget, version)
            raise
        gateway.turning.counts["applied"] += 1
        with suppress(OSError):
            await asyncio.to_thread(self._history.confirm, version)
        count = len(answer.changes)
        words = f"{count} setting{'s' if count != 1 else ''} changed; the site file is in force"
        return told | {"version": version.number, "words": words}

    async def _go_over(self, answer: Answer, said: _Said, data: bytes, fresh: bytes) -> None:
        """Have the gateway take it over; the old file is put back when it cannot."""
        site = answer.site
        assert site is not None
        try:
            await take_over(self._gateway, site, person=said.person, reason=said.reason)
        except Exception as error:
            log.error("a changed site file could not be taken over: %s", _named(error), exc_info=_defect(error))
            self._record_refusal(said, answer.digest, error)
            what = f"the gateway could not take it over and goes on as before ({_named(error)})"
            if fresh == data:
                raise ChangeError(what, "mend the site file: it is what the next start reads") from error
            try:
                await asyncio.to_thread(self._replace, fresh, data)
            except (ChangeError, OSError) as worse:
                remedy = "put the old file back by hand: it is the newest version but one in site-history"
                raise ChangeError(f"{what}; nor could the old file be put back ({worse})", remedy) from error
            raise ChangeError(f"{what}; the old site file is in its place again", "see the log") from error

    def _keep(self, fresh: bytes, how: How, said: _Said) -> Version:
        claim = self._gateway.clock.claim()
        try:
            return self._history.keep(fresh, how, person=said.person, reason=said.reason, utc_ms=claim.utc_ms)
        except OSError as error:
            raise _disk(error, self._history.folder) from error

    def _replace(self, expected: bytes, fresh: bytes) -> None:
        """Put another file in the place of the one that is expected there."""
        path = self._path()
        try:
            if path.read_bytes() != expected:
                raise self._conflict()
            write_whole(path, fresh)
        except OSError as error:
            raise _disk(error, path) from error

    def _conflict(self) -> ChangeError:
        newest = self._history.newest()
        who = ""
        if newest is not None and newest.person and newest.digest == _digest(self._path().read_bytes()):
            who = f" by {newest.person}{f' ({newest.reason})' if newest.reason else ''}"
        return ChangeError(
            f"the site file has been changed{who} since this change was proposed",
            "look at it as it is now, and propose the change again",
        )

    def _record_refusal(self, said: _Said, digest: str | None, error: Exception) -> None:
        gateway = self._gateway
        gateway.turning.counts["refused"] += 1
        data = {
            "person": said.person,
            "text": said.reason,
            "digest": digest,
            "in_force": gateway.site.digest,
            "error": _named(error)[:2000],
            "words": "A changed site file was not put in force.",
        }
        gateway._event(Event("config.refused", gateway.clock.now_ms(), data))

    # the file

    def _path(self) -> Path:
        source = self._gateway.site.source
        if not source:
            raise ChangeError("this gateway runs by no site file", "start it with one: aurora-gateway run SITE")
        return Path(source)

    async def _read(self) -> bytes:
        path = self._path()
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            raise ChangeError(f"{path} cannot be read ({error.strerror})", "check path and permissions") from error
        if len(data) > LARGEST:
            raise ChangeError(f"{path} is larger than {LARGEST // 10**6} MB", "check that it is a site file")
        return data

    async def _judged(self, data: bytes, new: str | None, edits: tuple[object, ...]) -> Answer:
        gateway = self._gateway
        text = _text(data)
        if new is not None and "\r\n" in new and "\r\n" not in text:
            new = new.replace("\r\n", "\n")  # what a form sends has the line ends of forms
        engine = gateway.assess.engine
        standing = tuple(alarm for border in gateway.assess.borders for alarm in engine.standing(border.name))
        question = Question(
            text=text,
            new=new,
            edits=edits,
            source=self._path(),
            running=gateway.site,
            layout=gateway.layout,
            standing=standing,
        )
        return await inquire(question)


def _named(error: Exception) -> str:
    """What went wrong, in words where they are ours."""
    return str(error) if isinstance(error, AuroraError | FirmwareError) else f"a defect of the gateway: {error!r}"


def _defect(error: Exception) -> Exception | None:
    return None if isinstance(error, AuroraError | FirmwareError) else error


def _usable(answer: Answer) -> Any:
    if answer.site is None:
        count = len(answer.problems)
        first = "; ".join(str(problem) for problem in answer.problems[:5])
        raise ChangeError(
            f"the changed site file has {count} mistake{'s' if count > 1 else ''}: {first}",
            "mend them: `aurora-gateway check`, or a proposal, names them all",
        )
    return answer.site


def _asked(request: Request) -> tuple[str | None, tuple[object, ...]]:
    text, edits = request.get("text"), request.get("edits", [])
    if text is not None and not isinstance(text, str):
        raise ChangeError("the text of the site file is no text", 'send "text": "..."')
    if not isinstance(edits, list):
        raise ChangeError("the edits are no list", 'send "edits": [{"op": "set", "path": [...], "value": ...}]')
    if text is None and not edits:
        raise ChangeError("it is not said what is to change", 'send "text", or "edits"')
    if text is not None and len(text) > LARGEST:
        raise ChangeError(f"the text is larger than {LARGEST // 10**6} MB", "check that it is a site file")
    if text is not None:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ChangeError("the text holds half a character", "type it again") from error
    return text, tuple(edits)


def _said(request: Request) -> _Said:
    fields = Fields(request)
    person = fields.text("person", need="say who makes the change", most=LONGEST_NAME)
    reason = fields.text("reason", need="say why it is made", most=LONGEST_TEXT - 100, lines=True)
    return _Said(person, reason)


def _base(request: Request) -> str:
    base = request.get("base")
    if not isinstance(base, str) or not base:
        raise ChangeError("it is not said which file the change was made for", 'send "base", as a proposal gave it')
    return base


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ChangeError("the site file is not UTF-8 text", "save it as UTF-8") from error


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()


def _plain(version: Version) -> dict[str, Any]:
    return asdict(version)


def _disk(error: OSError, path: Path) -> ChangeError:
    return ChangeError(
        f"{error.filename or path} cannot be written ({error.strerror or error}); nothing was changed",
        "make room, and let the gateway's user write there; or edit the file yourself and run "
        "`aurora-gateway reload`",
    )
