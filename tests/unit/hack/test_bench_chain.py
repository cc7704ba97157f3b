"""The rollup's fee formula, against the vectors of those who compute it in a node (op-geth's and Besu's tests)."""

import pytest

from hack.bench.chain.fees import Prices, dollars, fastlz_size, l1_fee

TRANSFER = bytes.fromhex("dd80808094095e7baea6a6c7c4c2dfeb977efac326af552d878080808080")
CONTRACT_CALL = bytes.fromhex(
    "02f901550a758302df1483be21b88304743f94f80e51afb613d764fa61751affd3313c190a86bb870151bd62fd12adb8e41e"
    "f24f3f000000000000000000000000000000000000000000000000000000000000006e000000000000000000000000af88d0"
    "65e77c8cc2239327c5edb3a432268e5831000000000000000000000000000000000000000000000000000000000003c1e500"
    "0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "000000000000000000000000a000000000000000000000000000000000000000000000000000000000000000148c89ed219d"
    "02f1a5be012c689b4f5b731827bebe000000000000000000000000c001a033fd89cb37c31b2cba46b6466e040c61fc9b2a36"
    "75a7f5f493ebd5ad77c497f8a07cdf65680e238392693019b4092f610222e71b7cec06449cb922b93b6a12744e"
)
PRICES = Prices(l2_gas=10**6, l1_base=10**9, l1_blob=10**7, base_scalar=5227, blob_scalar=1_014_213, ether=2000.0)


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"", 0), (b"\x01" * 1000, 21), (bytes(1000), 21), (TRANSFER, 31), (CONTRACT_CALL, 202)],
)
def test_the_size_is_what_fastlz_makes_of_it(data, size):
    assert fastlz_size(data) == size


def test_the_data_fee_follows_the_specification():
    a_byte = 16 * 5227 * 10**9 + 1_014_213 * 10**7
    assert l1_fee(CONTRACT_CALL, PRICES) == (836_500 * 202 - 42_585_600) * a_byte // 10**12
    assert l1_fee(TRANSFER, PRICES) == 100 * 10**6 * a_byte // 10**12


def test_the_cost_is_gas_and_data():
    assert dollars(1_000_000, TRANSFER, PRICES) == pytest.approx((10**12 + l1_fee(TRANSFER, PRICES)) / 10**18 * 2000)
