"""Nothing tells whether an address has an account: status, body, headers, limits and time."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.crypto import Keyring, PasswordHasher
from app.models import Account
from tests.helpers import PASSWORD, Clock, Mailbox, login, register, sign_up

ROUNDS = 25
MEASUREMENTS = 5
TOLERANCE = 1.3

# Sends the request about an address that is in question.
Ask = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


async def ask_to_register(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await register(client, email, full_name="Jane Doe")


async def ask_to_reset(client: httpx.AsyncClient, email: str) -> httpx.Response:
    body = {"email": email, "purpose": "password_reset"}
    return await client.post("/v1/verification-codes", json=body)


async def ask_to_log_in(client: httpx.AsyncClient, email: str) -> httpx.Response:
    return await login(client, email, "Not-The-Password-1")


ASKING = pytest.mark.parametrize("ask", [ask_to_register, ask_to_reset, ask_to_log_in])


async def ask_again(client: httpx.AsyncClient, flow_id: str) -> httpx.Response:
    return await client.post("/v1/verification-codes", json={"flow_id": flow_id})


# The answers


def shape(value: Any) -> Any:
    """The keys and types of a JSON document."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in value.items()}
    return [shape(member) for member in value] if isinstance(value, list) else type(value)


def assert_alike(known: httpx.Response, unknown: httpx.Response) -> None:
    """Alike but for ids, which are random, and for the address as typed."""
    assert known.status_code == unknown.status_code
    assert shape(known.json()) == shape(unknown.json())
    assert list(known.headers) == list(unknown.headers)
    for name in ("cache-control", "content-length", "content-type", "retry-after", "vary"):
        assert known.headers.get(name) == unknown.headers.get(name)


KNOWN, UNKNOWN = "jane@example.org", "john@example.org"


@ASKING
async def test_answer_is_the_same_for_every_address(
    client: httpx.AsyncClient, mailbox: Mailbox, ask: Ask
) -> None:
    await sign_up(client, mailbox, KNOWN)
    assert_alike(await ask(client, KNOWN), await ask(client, UNKNOWN))


@pytest.mark.parametrize("ask", [ask_to_register, ask_to_reset])
async def test_answer_to_a_new_code_is_the_same_for_every_address(
    client: httpx.AsyncClient, mailbox: Mailbox, clock: Clock, ask: Ask
) -> None:
    await sign_up(client, mailbox, KNOWN)
    flows = [(await ask(client, email)).json()["flow_id"] for email in (KNOWN, UNKNOWN)]
    too_soon = [await ask_again(client, flow_id) for flow_id in flows]
    assert [response.status_code for response in too_soon] == [429, 429]
    assert_alike(*too_soon)
    clock.now += timedelta(seconds=60)
    sent = [await ask_again(client, flow_id) for flow_id in flows]
    assert [response.status_code for response in sent] == [202, 202]
    assert_alike(*sent)


@pytest.mark.parametrize(("ask", "allowed"), [(ask_to_reset, 5), (ask_to_log_in, 10)])
async def test_limit_is_the_same_for_every_address(
    client: httpx.AsyncClient, mailbox: Mailbox, ask: Ask, allowed: int
) -> None:
    await sign_up(client, mailbox, KNOWN)
    for _ in range(allowed):
        assert_alike(await ask(client, KNOWN), await ask(client, UNKNOWN))
    refused = await ask(client, KNOWN)
    assert refused.status_code == 429
    assert_alike(refused, await ask(client, UNKNOWN))


async def test_wrong_code_is_refused_alike_for_every_address(
    client: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    await sign_up(client, mailbox, KNOWN)
    refused = []
    for email in (KNOWN, UNKNOWN):
        flow_id = (await ask_to_reset(client, email)).json()["flow_id"]
        body = {"flow_id": flow_id, "code": "12345678"}
        refused.append(await client.post("/v1/verification-codes/verify", json=body))
    assert refused[0].json()["code"] == "code_refused"
    assert_alike(*refused)


# The time they take


@pytest.fixture
async def real_client(
    live_app: FastAPI, live_client: httpx.AsyncClient, keyring: Keyring, clock: Clock
) -> AsyncIterator[httpx.AsyncClient]:
    """Hashing costs what it costs in production, all limits but those on requests are on.

    Each address is asked about once, as by somebody who goes through a list.
    """
    hasher = live_app.state.hasher = PasswordHasher(keyring, threads=1)
    live_app.state.deployment = replace(live_app.state.deployment, limits_on=True)
    columns: dict[str, Any] = {"password_hash": await hasher.hash(PASSWORD), "locale": "en"}
    columns |= {"created_at": clock.now, "updated_at": clock.now}
    emails = [known_address(number) for number in range(ROUNDS * MEASUREMENTS)]
    async with live_app.state.database.transaction() as session:
        session.add_all(Account(email=email, email_key=email, **columns) for email in emails)
    yield live_client
    hasher.close()


def known_address(number: int) -> str:
    return f"known-{number:03}@example.org"


def unknown_address(number: int) -> str:
    return f"fresh-{number:03}@example.org"


Act = Callable[[int], Awaitable[object]]


async def ratio_of_medians(one: Act, other: Act, *, first: int) -> float:
    """How much longer one takes than the other; they take turns, also in who is first."""
    seconds: dict[Act, list[float]] = {one: [], other: []}
    for number in range(first, first + ROUNDS):
        for act in (one, other) if number % 2 else (other, one):
            started = time.perf_counter()
            await act(number)
            seconds[act].append(time.perf_counter() - started)
    shorter, longer = sorted(statistics.median(times) for times in seconds.values())
    return longer / shorter


async def assert_takes_the_same_time(one: Act, other: Act) -> None:
    """Measure again where the machine may have been busy with something else."""
    ratios: list[float] = []
    while len(ratios) < MEASUREMENTS:
        ratios.append(await ratio_of_medians(one, other, first=len(ratios) * ROUNDS))
        if ratios[-1] <= TOLERANCE:
            return
    raise AssertionError(f"the medians differ by the factors {ratios}")


@pytest.mark.parametrize(
    "ask",
    [
        ask_to_log_in,
        *(pytest.param(ask, marks=pytest.mark.slow) for ask in (ask_to_register, ask_to_reset)),
    ],
)
async def test_answer_takes_the_same_time_for_every_address(
    real_client: httpx.AsyncClient, ask: Ask
) -> None:
    async def known(number: int) -> httpx.Response:
        return await ask(real_client, known_address(number))

    async def unknown(number: int) -> httpx.Response:
        return await ask(real_client, unknown_address(number))

    await assert_takes_the_same_time(known, unknown)


async def test_new_code_takes_the_same_time_for_every_address(
    real_client: httpx.AsyncClient, clock: Clock
) -> None:
    async def flows_of(address: Callable[[int], str]) -> list[str]:
        asked = [await ask_to_reset(real_client, address(number)) for number in range(ROUNDS)]
        return [response.json()["flow_id"] for response in asked]

    known_flows, unknown_flows = await flows_of(known_address), await flows_of(unknown_address)

    async def known(number: int) -> None:
        clock.now += timedelta(seconds=60)
        assert (await ask_again(real_client, known_flows[number % ROUNDS])).status_code == 202

    async def unknown(number: int) -> None:
        clock.now += timedelta(seconds=60)
        assert (await ask_again(real_client, unknown_flows[number % ROUNDS])).status_code == 202

    await assert_takes_the_same_time(known, unknown)
