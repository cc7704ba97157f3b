"""What a trainer says of itself: its counters add up at every scrape, and who asks again keeps the connection."""

from dataclasses import replace
from http.client import HTTPConnection

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_api import metrics as names
from kubeswarm_workers.progress import Progress, Samples
from kubeswarm_workers.report import Report, serve

#: A round: completions sampled; of these not scored, and filtered by the update; then whether the process dies.
rounds = st.lists(
    st.tuples(st.integers(0, 64), st.integers(0, 64), st.integers(0, 64), st.integers(0, 8), st.booleans()), max_size=8
)


def scraped(report: Report) -> dict[str, float]:
    """The four families, labels summed; trained counts the Node's own."""
    found = {"produced": 0.0, "trained": 0.0, "dropped": 0.0, "pending": 0.0}
    for family in report.samples.collect():
        for sample in family.samples:
            kind = sample.name.removeprefix("kubeswarm_trainer_samples_").removesuffix("_total")
            if sample.labels.get("origin") != "external":
                found[kind] += sample.value
    return found


def check(report: Report) -> dict[str, float]:
    found = scraped(report)
    assert found["produced"] == found["trained"] + found["dropped"] + found["pending"]
    assert all(value >= 0 for value in found.values())
    return found


@given(rounds, st.booleans())
def test_produced_is_trained_dropped_and_pending(played: list[tuple[int, int, int, int, bool]], ahead: bool) -> None:
    """With `ahead` a round's completions are counted before the update of the round before."""
    report, samples = Report(1), Samples()
    waiting: list[tuple[int, int]] = []
    for sampled, unscored, filtered, external, dies in played:
        samples = replace(samples, produced=samples.produced + sampled)
        lost = min(unscored, sampled)
        samples = samples.drop("score", lost)
        report.samples.now = samples
        check(report)
        waiting.append((sampled - lost, min(filtered, sampled - lost)))
        assert samples.pending == sum(own for own, _ in waiting)
        while len(waiting) > ahead:
            own, left_out = waiting.pop(0)
            samples = samples.learn(own, external, {"local": {"zero_variance": left_out}})
            report.samples.now = samples
            check(report)
        if dies:  # what counts is in the checkpoint
            samples = Progress.from_json(Progress(samples=samples).to_json()).samples
            report = Report(1)
            report.samples.before = report.samples.now = samples
            found = check(report)
            assert found["produced"] == found["pending"] == samples.pending
    assert names.SAMPLES_PRODUCED.kind == "counter"


def test_who_asks_again_keeps_the_connection() -> None:
    report = Report(8)
    server = serve("127.0.0.1", 0, report.registry.collectors, report)
    asker = HTTPConnection("127.0.0.1", server.server_address[1], timeout=5)
    try:
        asker.connect()
        connection = asker.sock
        for path, status in (("/status", 200), ("/nothing", 404), ("/healthz", 200), ("/metrics", 200)):
            asker.request("GET", path)
            answer = asker.getresponse()
            assert answer.status == status and answer.read()
            assert asker.sock is connection
    finally:
        asker.close()
        server.shutdown()
        server.server_close()
