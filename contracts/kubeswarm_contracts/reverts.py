"""From a revert's data to an error that a person can act on."""

from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from kubeswarm_contracts.abi import CONTRACTS, SELECTOR_BYTES, interface
from kubeswarm_contracts.errors import ChainRejected

_ERROR_STRING = bytes.fromhex("08c379a0")
_STANDINGS = ("not in it", "invited", "a member", "gone of its own will", "ejected")

#: What our contracts' errors mean, and what to do.
_TEXTS = {
    "KeyAlreadyUsed": "key {key} serves or once served node {nodeId}: make a fresh key",
    "InvalidKeyProof": "the signature is not key {key}'s over this proof with nonce {nonce}: sign it anew",
    "KeyProofExpired": "the key's proof expired at {deadline}, the chain's clock says {time}: sign it anew",
    "SwarmAlreadyExists": "swarm {swarmId} exists already",
    "SwarmNotFound": "there is no swarm {swarmId} on this chain: create it first",
    "NotSwarmOwner": "{caller} does not own swarm {swarmId}",
    "NotInControl": "{caller} is neither key nor owner of node {nodeId}, or the node is not registered",
    "WrongStanding": "node {nodeId} can't do this in swarm {swarmId}: it is {standing}",
    "NotNodeKey": "node {nodeId} has key {key}, but {attester} attested: use the current key",
    "NotMember": "node {nodeId} is not a member of swarm {swarmId}: join first",
    "UnexpectedRound": "round {firstRound} was offered where round {expected} is next",
    "UnexpectedPrevious": "the last attested record is {expected}, not {previous}: another history was attested",
    "InvalidRange": "rounds {firstRound} to {lastRound} are empty or too many for one attestation",
    "InvalidSchema": "the attestation schema is not registered: deploy the contracts on this chain first",
    "StakeTooLow": "node {nodeId} has {stake} at stake, swarm {swarmId} asks for {minimum}: stake more, then join",
    "InvalidStakeTerms": "a staked swarm names its stakes and a minimum",
    "PoolNotFound": "there is no pool {poolId} on this chain: open it first",
    "PoolAlreadyExists": "pool {poolId} exists already: use another salt",
    "NotPoolOwner": "{caller} does not own pool {poolId}",
    "PoolIsStopped": "pool {poolId} was stopped at {stoppedAt}",
    "NotAttested": "{uid} is no attestation of this node in the pool's swarm",
    "OutsidePool": "attested at {time}, but the pool pays from {openedAt} on (stopped: {stoppedAt})",
    "WindowOpen": "the rounds can be disputed until {until}: settle them then",
    "NotDecided": "the verifier has not decided on {uid}: try again later",
    "AlreadySettled": "the rounds up to {round} are settled",
    "EscrowShort": "{due} is due, but the pool has {escrow}: wait for funds or take less",
    "NotReclaimable": "what remains can be taken from {from} on, after a stop (0: the pool runs)",
    "NothingToClaim": "{account} has nothing to fetch in token {token}",
    "CampaignNotFound": "there is no campaign {campaignId} on this chain",
    "NotRaising": "campaign {campaignId} takes no pledges any more",
    "NotRunning": "campaign {campaignId} is not between its deadline and its end with its goal met",
    "NotRefunding": "campaign {campaignId} is raising or running: nothing goes back yet",
    "ThresholdNotReached": "{value} was measured, {threshold} is needed",
    "TooLong": "{field} has {length} bytes, at most {limit} are taken",
}


def _readable(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if name == "nodeId":
        return f"0x{value:040x}"
    return _STANDINGS[value] if name == "standing" else value


def rejection(data: bytes, message: str) -> ChainRejected:
    """The error for a call that reverted with `data`; `message` is what the node itself said of it."""
    if data[:SELECTOR_BYTES] == _ERROR_STRING:
        try:
            return ChainRejected("Reverted", decode(["string"], data[SELECTOR_BYTES:])[0])
        except DecodingError:
            return ChainRejected("Reverted", message)
    for contract in CONTRACTS:
        found = interface(contract).error(data)
        if found is not None:
            reason, values = found
            arguments = {name: _readable(name, value) for name, value in values.items()}
            plain = ", ".join(f"{name} {value}" for name, value in arguments.items())
            text = _TEXTS[reason].format(**arguments) if reason in _TEXTS else plain
            return ChainRejected(reason, f"{reason}: {text}" if text else reason, arguments)
    return ChainRejected("Reverted", message or f"reverted with 0x{data.hex()}")
