"""Which contracts go where: addresses follow from the code alone (CREATE2), so each chain of a kind has the same."""

from dataclasses import dataclass

from eth_utils.crypto import keccak

from kubeswarm_api.encoding import from_hex, to_hex
from kubeswarm_api.records import Address
from kubeswarm_contracts.abi import Interface, interface
from kubeswarm_contracts.deployments import Deployment

#: The deployer that nearly every chain has at this address (Arachnid's deterministic deployment proxy).
DEPLOYER: Address = "0x4e59b44847b379578588920ca78fbf26c0b4956c"
SALT = bytes(32)

#: The OP Stack has EAS as predeploys; these are the chains of it that we know by id.
OP_STACK_CHAINS = frozenset({10, 130, 480, 8453, 57073, 84532, 763373, 11155420})
OP_SCHEMA_REGISTRY: Address = "0x4200000000000000000000000000000000000020"
OP_EAS: Address = "0x4200000000000000000000000000000000000021"

SCHEMA = (
    "bytes32 swarmId,uint256 nodeId,uint64 firstRound,uint64 lastRound,"
    "bytes32 recordsRoot,bytes32 previous,bytes32 head,bytes32 model,uint64 samples,uint64 tokens,int64 reward"
)


@dataclass(frozen=True)
class Step:
    """One contract to create: the deployer takes salt and `creation`, and the contract is then at `address`."""

    name: str
    creation: bytes
    address: Address

    @classmethod
    def of(cls, contract: Interface, *arguments: str) -> "Step":
        creation = contract.creation(*arguments)
        preimage = b"\xff" + from_hex(DEPLOYER, 20) + SALT + keccak(creation)
        return cls(contract.name, creation, to_hex(keccak(preimage)[-20:]))


@dataclass(frozen=True)
class Plan:
    """The steps in their order, and the deployment that they lead to."""

    steps: tuple[Step, ...]
    deployment: Deployment


def plan(chain_id: int, block: int = 0) -> Plan:
    """The plan for a chain. EAS is created too, except on the chains that have it."""
    if chain_id in OP_STACK_CHAINS:
        steps: list[Step] = []
        schema_registry, eas = OP_SCHEMA_REGISTRY, OP_EAS
    else:
        schemas = Step.of(interface("SchemaRegistry"))
        service = Step.of(interface("EAS"), schemas.address)
        steps = [schemas, service]
        schema_registry, eas = schemas.address, service.address
    nodes = Step.of(interface("NodeRegistry"))
    swarms = Step.of(interface("SwarmRegistry"), nodes.address)
    resolver = Step.of(interface("RoundResolver"), eas, nodes.address, swarms.address)
    reputation = Step.of(interface("ReputationRegistry"), nodes.address)
    treasury = Step.of(interface("Treasury"), resolver.address)
    crowdfunding = Step.of(interface("Crowdfunding"), resolver.address)
    return Plan(
        (*steps, nodes, swarms, resolver, reputation, treasury, crowdfunding),
        Deployment(
            chain_id=chain_id,
            eas=eas,
            schema_registry=schema_registry,
            node_registry=nodes.address,
            swarm_registry=swarms.address,
            resolver=resolver.address,
            schema_uid=to_hex(keccak(SCHEMA.encode() + from_hex(resolver.address, 20) + b"\0")),
            reputation=reputation.address,
            treasury=treasury.address,
            crowdfunding=crowdfunding.address,
            block=block,
        ),
    )
