"""What all transports share: answers, refusals, limits, ids of requests, figures, deadlines, and the end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop

from images.predictor import figures
from images.predictor.messages import Reason
from tests.images.predictor.transports.clients import NAME, TRANSPORTS, Served, serving

pytestmark = pytest.mark.parametrize("kind", TRANSPORTS)

Scenario = Callable[[Served], Awaitable[None]]
EXPLAIN = {"explain": True}


@pytest.fixture
def run(packages, kind):
    def start(scenario: Scenario, task: str = "binary", limits: dict[str, Any] | None = None, **settings: Any) -> None:
        async def main() -> None:
            async with serving(kind, packages(task), limits, **settings) as served:
                await scenario(served)

        uvloop.run(main())

    return start


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_answers(run, task):
    async def scenario(served):
        client = served.client()
        for rows in (1, 5, 3000):  # the last one has a thread of its own
            answer = await client.infer(served.tensors(rows))
            assert answer.reason is None, answer.error
            expected = [served.golden[number % 5].answer for number in range(rows)]
            if task == "regression":
                assert answer.outputs[served.endpoint.scorer.output] == pytest.approx(
                    [one["value"] for one in expected], abs=1e-4
                )
                continue
            assert answer.outputs["label"] == [str(one["label"]).lower() for one in expected]
            shares = [share for one in expected for share in one["probabilities"].values()]
            assert answer.outputs["probabilities"] == pytest.approx(shares, abs=1e-5)
        assert served.counted(served.protocol, None) == 3
        assert served.meters.total(figures.ROWS, NAME) == 3006

    run(scenario, task)


def test_requests_that_arrive_together_get_their_own_answers(run):
    async def scenario(served):
        client = served.client()

        async def ask(number: int) -> None:
            item = served.golden[number % 5]
            answer = await client.infer([{**one, "data": [item.row[one["name"]]]} for one in served.tensors(1)])
            assert answer.outputs["probabilities"] == pytest.approx(
                list(item.answer["probabilities"].values()), abs=1e-5
            )

        await asyncio.gather(*(ask(number) for number in range(40)))

    run(scenario)


def test_refusals(run):
    async def scenario(served):
        client = served.client()
        for reason, message, model, tensors in (
            (
                Reason.INVALID,
                "Row 1, column 'opened at'",
                NAME,
                served.tensors(2, **{"opened at": ["2024-01-01", "x"]}),
            ),
            (Reason.INVALID, "inputs: found none", NAME, []),
            (Reason.INVALID, "one occurs twice", NAME, served.tensors(1) * 2),
            (Reason.NOT_FOUND, "is not served here", "other", served.tensors(1)),
            (Reason.TOO_LARGE, "11 rows; at most 10", NAME, served.tensors(11)),
            (Reason.TOO_LARGE, "larger than the 5,000 bytes", NAME, served.tensors(1, colour=["x" * 6000])),
        ):
            answer = await client.infer(tensors, model=model)
            assert answer.reason is reason
            if served.kind != "grpc" or "5,000 bytes" not in message:  # there gRPC's own library refuses
                assert message in answer.error
        assert served.counted(served.protocol, Reason.INVALID) == 3
        assert served.counted(served.protocol, Reason.TOO_LARGE) == 1
        assert (await client.infer(served.tensors(1))).reason is None
        assert served.meters.total(figures.ROWS, NAME) == 1

    run(scenario, rows=10, body_megabytes=0.005)


def test_request_ids(run):
    async def scenario(served):
        client = served.client()
        assert (await client.infer(served.tensors(1), request_id="mine-7")).metadata["x-request-id"] == "mine-7"
        assert (await client.infer([], request_id="mine-8")).metadata["x-request-id"] == "mine-8"
        assert (await client.infer(served.tensors(1), request_id="x" * 129)).metadata["x-request-id"] != "x" * 129
        made = [(await client.infer(served.tensors(1))).metadata["x-request-id"] for _ in range(2)]
        assert len(set(made)) == 2
        assert all(len(one) > 16 for one in made)

    run(scenario)


def test_readiness(run):
    async def scenario(served):
        client = served.client()
        assert await client.ready()
        served.endpoint.ready = False
        assert not await client.ready()
        assert (await client.infer(served.tensors(1))).reason is None  # who still asks is answered

    run(scenario)


def test_a_full_queue(run):
    async def scenario(served):
        client = served.client()
        answers = await asyncio.gather(*(client.infer(served.tensors(20), parameters=EXPLAIN) for _ in range(12)))
        assert {answer.reason for answer in answers} == {None, Reason.BUSY}
        busy = next(answer for answer in answers if answer.reason)
        assert busy.metadata["retry-after"] == "1"
        assert "waiting already" in busy.error

    run(scenario, queue=3)


def test_too_many_bytes_at_a_time(run):
    async def scenario(served):
        answer = await served.client().infer(served.tensors(1))
        assert answer.reason is Reason.BUSY
        assert served.counted("other", Reason.BUSY) == 1

    run(scenario, limits={"waiting_bytes": 50})


def test_an_answer_that_takes_too_long(run, slow_walks):
    async def scenario(served):
        answer = await served.client().infer(served.tensors(100), parameters=EXPLAIN)
        assert answer.reason is Reason.TIMED_OUT
        assert "took longer than 0.001 s" in answer.error
        assert served.counted(served.protocol, Reason.TIMED_OUT) == 1

    run(scenario, limits={"request_seconds": 5}, request_seconds=0.001)


def test_a_request_that_does_not_arrive_in_time(run):
    async def scenario(served):
        rest = await served.client().begin()
        begun = time.monotonic()
        answer = await asyncio.wait_for(rest(), 5)
        assert answer.reason is Reason.LATE
        assert "did not arrive within 0.3 s" in answer.error
        assert time.monotonic() - begun < 3
        assert served.counted("other", Reason.LATE) == 1

    run(scenario, limits={"request_seconds": 0.3})


def test_an_explanation_is_given_up_when_its_client_leaves(run, slow_walks):
    async def scenario(served):
        client = served.client()
        asked = asyncio.create_task(client.infer(served.tensors(2), parameters=EXPLAIN))
        while not slow_walks:
            await asyncio.sleep(0.01)
        await client.leave()
        deadline = time.monotonic() + 10
        while not served.counted(served.protocol, Reason.LATE):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert len(slow_walks) < 2 * served.endpoint._explainer.background_rows
        assert served.meters.total(figures.ROWS, NAME) == 0
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    run(scenario)


def test_closing_lets_what_has_arrived_be_answered(run):
    async def scenario(served):
        client, other = served.client(), served.client()
        asked = asyncio.create_task(client.infer(served.tensors(50), parameters=EXPLAIN))
        while not served.meters.total(figures.QUEUED, NAME):
            await asyncio.sleep(0.005)
        closing = asyncio.create_task(served.transport.close(10.0))
        assert (await asked).reason is None
        await asyncio.wait_for(closing, 5)
        with pytest.raises((OSError, AssertionError, KeyError)):
            assert (await other.infer(served.tensors(1))).reason is None

    run(scenario)
