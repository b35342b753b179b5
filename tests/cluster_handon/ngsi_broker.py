"""A small context broker: batch upsert by ETSI GS CIM 009, which refuses what the specification does not allow.

It is strict where a real broker may be lenient, so that what passes here passes anywhere.
"""

import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

URI = re.compile(r"[a-z][a-z0-9+.\-]*:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")
UNIT = re.compile(r"[A-Z0-9]{2,3}")
CORE = "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context"
RESERVED = {"id", "type", "@context", "scope"}
PARTS = {
    "Property": {"type", "value", "observedAt", "unitCode", "datasetId"},
    "Relationship": {"type", "object", "observedAt", "datasetId"},
}


class BadEntityError(Exception):
    """What is wrong with an entity (BadRequestData)."""


def need(condition: object, what: str) -> None:
    if not condition:
        raise BadEntityError(what)


def check_entity(entity: object) -> None:
    """Raises `BadEntityError` (4.5.1 entity, 4.6.2 names, 4.4 context)."""
    need(isinstance(entity, dict), "an entity is an object")
    assert isinstance(entity, dict)
    need(isinstance(entity.get("id"), str) and URI.fullmatch(entity["id"]), f"id {entity.get('id')!r} is no URI")
    need(isinstance(entity.get("type"), str) and NAME.fullmatch(entity["type"]), "type is no name")
    context = entity.get("@context")
    need(context, "application/ld+json without @context")
    items = context if isinstance(context, list) else [context]
    need(all(isinstance(item, str) and URI.fullmatch(item) for item in items), "a context is a URI here")
    need(items[-1].startswith(CORE), "the core context is the last")
    for name, attribute in entity.items():
        if name not in RESERVED:
            check_attribute(name, attribute)


def check_attribute(name: str, attribute: object) -> None:
    """4.5.2 Property, 4.5.3 Relationship, and their own properties in turn."""
    need(NAME.fullmatch(name), f"{name!r} is no name")
    need(isinstance(attribute, dict), f"{name} is not in its normalized form")
    assert isinstance(attribute, dict)
    kind = attribute.get("type")
    need(kind in PARTS, f"{name} is of type {kind!r}")
    if kind == "Property":
        need("value" in attribute and attribute["value"] is not None, f"{name} has no value")
        value = attribute["value"]
        if isinstance(value, dict) and "@type" in value:
            need(value["@type"] == "DateTime" and TIME.fullmatch(value["@value"]), f"{name} is no DateTime")
        no_null(name, value)
    else:
        target = attribute.get("object")
        need(isinstance(target, str) and URI.fullmatch(target), f"{name} refers to no URI")
    if "observedAt" in attribute:
        need(TIME.fullmatch(str(attribute["observedAt"])), f"observedAt of {name} is no DateTime")
    if "unitCode" in attribute:
        need(UNIT.fullmatch(str(attribute["unitCode"])), f"unitCode of {name} is no UN/CEFACT code")
    for inner, content in attribute.items():
        if inner not in PARTS[str(kind)]:
            check_attribute(inner, content)


def no_null(name: str, value: object) -> None:
    need(value is not None, f"null within {name}")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        no_null(name, part)


class NgsiBroker(ThreadingHTTPServer):
    """Entities by tenant and id; ``refuse``: ids to answer 207 for, ``answers``: codes to give first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.entities: dict[tuple[str, str], dict[str, Any]] = {}
        self.refuse: dict[str, int] = {}
        self.answers: list[int] = []
        self.problems: list[str] = []
        self.requests: list[int] = []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def upsert(self, tenant: str, content: object) -> tuple[int, object]:
        """5.6.8: created 201, all updated 204, some refused 207."""
        need(isinstance(content, list) and content, "the body is no list of entities")
        assert isinstance(content, list)
        for entity in content:
            check_entity(entity)
        ids = [entity["id"] for entity in content]
        need(len(set(ids)) == len(ids), "an entity stands there twice")
        self.requests.append(len(ids))
        created, taken, errors = [], [], []
        for entity in content:
            name = entity["id"]
            if name in self.refuse:
                problem = {"type": "https://uri.etsi.org/ngsi-ld/errors/BadRequestData", "title": "refused"}
                errors.append({"entityId": name, "error": {**problem, "status": self.refuse[name]}})
                continue
            known = self.entities.get((tenant, name))
            if known is None:
                created.append(name)
                self.entities[tenant, name] = dict(entity)
            else:
                need(known["type"] == entity["type"], "the type of an entity does not change")
                known.update(entity)
            taken.append(name)
        if errors:
            return 207, {"success": taken, "errors": errors}
        return (201, created) if created else (204, None)


class Handler(BaseHTTPRequestHandler):
    server: NgsiBroker

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            if self.server.answers:
                self._answer(self.server.answers.pop(0), {"title": "not now"})
                return
            need(self.path == "/ngsi-ld/v1/entityOperations/upsert?options=update", f"no such resource {self.path}")
            need(self.headers["Content-Type"] == "application/ld+json", "the content is not JSON-LD")
            need(self.headers["Link"] is None, "a context in the body and in a Link")
            tenant = self.headers.get("NGSILD-Tenant", "")
            self._answer(*self.server.upsert(tenant, json.loads(body, parse_constant=_no_number)))
        except BadEntityError as error:
            self.server.problems.append(str(error))
            kind = "https://uri.etsi.org/ngsi-ld/errors/BadRequestData"
            self._answer(400, {"type": kind, "title": str(error)})

    def _answer(self, status: int, content: object) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def _no_number(word: str) -> float:
    raise BadEntityError(f"{word} is no JSON")


def attribute(entity: Mapping[str, Any], name: str) -> Any:
    """Value of an attribute."""
    return entity[name].get("value", entity[name].get("object"))
