"""Offers stay within their caps, and a raised one is always enough to replace the one before."""

from hypothesis import given
from hypothesis import strategies as st

from kubeswarm_contracts.fees import FeeCaps, Fees, offer, raised

wei = st.integers(0, 10**13)
caps = st.builds(FeeCaps, total=st.integers(1, 10**12), tip=st.integers(0, 10**12))


@given(base_fee=wei, tip=wei, caps=caps)
def test_an_offer_is_within_the_caps_and_above_the_base_fee(base_fee, tip, caps):
    made = offer(base_fee, tip, caps)
    if made is None:
        assert base_fee >= caps.total
    else:
        assert base_fee + made.tip <= made.total <= caps.total
        assert made.tip <= min(tip, caps.tip)


@given(total=wei, tip=wei, now_total=wei, now_tip=wei, caps=caps)
def test_a_raised_offer_is_a_tenth_above_the_last(total, tip, now_total, now_tip, caps):
    last, now = Fees(max(total, tip), tip), Fees(max(now_total, now_tip), now_tip)
    made = raised(last, now, caps)
    if made is not None:
        assert made.total * 10 >= last.total * 11
        assert made.tip * 10 >= last.tip * 11
        assert made.tip <= made.total <= caps.total
        assert made.tip <= caps.tip


def test_raising_ends_at_the_cap():
    caps, fees, times = FeeCaps(), Fees(2_000_000_000, 1_000_000_000), 0
    while fees is not None:
        fees, times = raised(fees, fees, caps), times + 1
    assert 10 < times < 20
