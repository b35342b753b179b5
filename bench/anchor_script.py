"""The script that a capable colleague writes in an afternoon: poll, keep in SQLite, send, delete when acknowledged.

anchor_script.py SETTINGS, a JSON object: period_s, units, registers, modbus_port, broker_port, database,
shared (all units behind one address) or tty and baud (one serial line).
One commit a second in WAL mode; 100 polls a message at QoS 1; rows go when the PUBACK has come.
"""

import asyncio
import json
import sqlite3
import sys
import time
from contextlib import AsyncExitStack
from typing import Any

import aiomqtt
from pymodbus import ModbusException
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

SET: dict[str, Any] = json.loads(sys.argv[1])
database = sqlite3.connect(SET["database"], isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = NORMAL")
database.execute("CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, unit INT, ts INT, v TEXT)")
fresh: list[tuple[int, int, str]] = []
stored = asyncio.Event()


async def poll(unit: int, client: Any, turn: asyncio.Lock | None) -> None:
    due = time.monotonic()
    while True:
        try:
            async with AsyncExitStack() as stack:
                if turn:
                    await stack.enter_async_context(turn)
                if not client.connected:
                    await client.connect()
                answer = await client.read_holding_registers(0, count=SET["registers"], device_id=unit)
            if not answer.isError():
                fresh.append((unit, int(time.time() * 1000), json.dumps(answer.registers, separators=(",", ":"))))
        except ModbusException as error:
            print("unit", unit, error, flush=True)
        due = max(due + SET["period_s"], time.monotonic())
        await asyncio.sleep(due - time.monotonic())


async def commit() -> None:
    while True:
        await asyncio.sleep(1)
        if fresh:
            database.execute("BEGIN")
            database.executemany("INSERT INTO outbox (unit, ts, v) VALUES (?, ?, ?)", fresh)
            database.execute("COMMIT")
            fresh.clear()
            stored.set()


async def send() -> None:
    while True:
        try:
            async with aiomqtt.Client("127.0.0.1", SET["broker_port"], identifier="anchor-script") as broker:
                while True:
                    rows = database.execute("SELECT id, unit, ts, v FROM outbox ORDER BY id LIMIT 100").fetchall()
                    if rows:
                        polls = ",".join(f'{{"d":{unit},"ts":{ts},"v":{v}}}' for _, unit, ts, v in rows)
                        await broker.publish("bench/script", f"[{polls}]", qos=1)
                        database.execute("DELETE FROM outbox WHERE id <= ?", (rows[-1][0],))
                    else:
                        stored.clear()
                        await stored.wait()
        except aiomqtt.MqttError as error:
            print("broker", error, flush=True)
            await asyncio.sleep(1)


async def main() -> None:
    ports = {"port": SET["modbus_port"], "timeout": 1, "retries": 1}
    one: Any = None
    if SET.get("tty"):
        one = AsyncModbusSerialClient(SET["tty"], baudrate=SET["baud"], timeout=1, retries=1)
    elif SET.get("shared"):
        one = AsyncModbusTcpClient("127.0.0.1", **ports)
    turn = asyncio.Lock() if one else None
    units = range(1, SET["units"] + 1)
    polls = [poll(unit, one or AsyncModbusTcpClient(f"127.0.1.{unit}", **ports), turn) for unit in units]
    await asyncio.gather(*polls, commit(), send())


asyncio.run(main())
