"""`python -m hack.bench.chain`: gas by batch beside other ways, dollars on a rollup, records a second.

Gas was measured by Foundry (contracts/test/Comparison.t.sol) just before: `make bench-chain` runs both. The result goes
to docs/benchmarks/chain.json, and as tables to standard output.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from hack.bench.chain import calls, rate
from hack.bench.chain.fees import Prices, dollars
from hack.cluster.layout import REPOSITORY
from hack.console import exit_with, say
from kubeswarm_api.encoding import digest, to_hex
from kubeswarm_api.records import NO_DIGEST
from kubeswarm_contracts import Account, AttestationData, new_key

MEASURED = REPOSITORY / "contracts/out/gas/comparison.json"
RESULT = REPOSITORY / "docs/benchmarks/chain.json"
BATCHES = (1, 4, 16, 64, 256, 1024)
ROLLOUTS = 1000
#: RL Swarm's submitReward on its testnet, one peer and one round, as the project's issue 7 gives it: not measured here.
SUBMIT_REWARD = 97_934


@dataclass(frozen=True)
class Way:
    """A way of recording a round, or a rollout: what one costs, and whether a contract checks what is recorded."""

    name: str
    unit: str
    gas: float
    dollars: float
    checked: bool


def ways(gas: dict[str, int], prices: Prices) -> list[Way]:
    """Every way, rounds first. `gas`: of whole transactions, by `name/units in it`."""
    account, schema, request = Account(new_key()[0]), to_hex(digest(b"schema")), digest(b"request")

    def way(name: str, unit: str, total: int, data: list[bytes], units: int = 1, checked: bool = False) -> Way:
        raw = [bytes.fromhex(calls.signed(account, 1, account.address, call)[2:]) for call in data]
        cost = dollars(total, raw[0], prices) + sum(dollars(0, each, prices) for each in raw[1:])
        return Way(name, unit, total / units, cost / units, checked)

    def ours(size: int, unit: str, units: int) -> Way:
        call, rounds = calls.eas_attest(schema, _round(2, size).encode()), "a round" if size == 1 else f"{size} rounds"
        return way(f"KubeSwarm, {rounds} an attestation", unit, gas[f"kubeswarm/{size}"], [call], units, checked=True)

    rounds = [_round(number).encode() for number in range(1, 17)]
    many = calls.eas_multi_attest(schema, rounds)
    validation = gas["erc8004_request"] + gas["erc8004_response/1"]
    return [
        way("EAS, one attestation", "round", gas["eas_round/1"], [calls.eas_attest(schema, rounds[1])]),
        way("EAS, 16 in a multiAttest", "round", gas["eas_round_multi/16"], [many], 16),
        way("ERC-8004 validation", "round", validation, calls.erc8004(request, int(account.address, 16))),
        way("RL Swarm's submitReward", "round", SUBMIT_REWARD, [calls.submit_reward(1000, 5)]),
        *(ours(size, "round", size) for size in BATCHES),
        way("EAS, one attestation", "rollout", gas["eas_rollout/1"], [calls.eas_attest(schema, request)]),
        *(ours(size, "rollout", size * ROLLOUTS) for size in BATCHES),
    ]


def rates(backlog: int) -> dict[str, float]:
    """Records a second, by way."""
    result: dict[str, float] = {}
    for size, count in ((1, 300), (16, 300), (1024, 50)):
        say(f"the chain alone, {size} rounds an attestation")
        result[f"chain/{size}"] = rate.by_the_chain(size, count)
    say("the attestor")
    result["attestor/1"], result["attestor/backlog"] = rate.by_the_attestor(backlog)
    return result


def _round(first: int, size: int = 1) -> AttestationData:
    """An attestation with fields as they look in practice."""

    def one(name: str) -> str:
        return to_hex(digest(f"{name} {first}".encode()))

    return AttestationData(
        swarm_id=one("swarm"), node_id=one("node")[:42], first_round=first, last_round=first + size - 1,
        records_root=one("root"), previous=NO_DIGEST if first == 1 else one("previous"), head=one("head"),
        model=one("model"), samples=96 * size, tokens=1900 * size, reward=612_345,
    )  # fmt: skip


def _money(dollars: float) -> str:
    """Two digits, and no exponent."""
    return f"{dollars:.{1 - math.floor(math.log10(dollars))}f}"


def main() -> int:
    """0 when all was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=8192, help="records in the spool that the attestor works off")
    options = parser.parse_args()
    prices = Prices()
    gas = {name: int(value) for name, value in json.loads(MEASURED.read_text()).items()}
    compared, speed = ways(gas, prices), rates(options.backlog)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "date": datetime.now(UTC).date().isoformat(),
        "prices": prices.to_json(),
        "rolloutsARound": ROLLOUTS,
        "transactions": gas,
        "ways": [asdict(way) for way in compared],
        "recordsASecond": speed,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print("| way | unit | gas | dollars on a rollup | a contract checks it |\n|---|---|---|---|---|")
    for way in compared:
        gas_each = f"{way.gas:,.0f}" if way.gas >= 10 else f"{way.gas:.2f}"
        print(f"| {way.name} | {way.unit} | {gas_each} | {_money(way.dollars)} | {'yes' if way.checked else 'no'} |")
    print("\n| records a second | |\n|---|---|")
    for name, value in speed.items():
        print(f"| {name} | {value:,.1f} |")
    return 0


if __name__ == "__main__":
    exit_with(main)
