"""What the chain itself says of a Swarm's Nodes: read by a plain client, never from a status."""

from pathlib import Path
from typing import Annotated

import typer

from kubeswarm_cli.errors import CommandError
from kubeswarm_contracts.attestation import AttestationData
from kubeswarm_contracts.chain import AttestedRounds, Chain
from kubeswarm_contracts.deployments import deployment
from kubeswarm_contracts.plan import plan

ChainUrl = Annotated[
    str | None,
    typer.Option("--chain-url", envvar="KUBESWARM_CHAIN_URL", help="JSON-RPC endpoint that the chain is read from."),
]
DeploymentFile = Annotated[
    Path | None, typer.Option("--deployment", help="Contract addresses, for a chain that is not built in (JSON).")
]
DEVELOPMENT_CHAIN = 31337
HOW_TO_REACH = (
    "--chain-url is needed to read the chain. The development chain is reached by "
    "`kubectl -n kubeswarm-system port-forward svc/kubeswarm-chain 8545` and --chain-url http://localhost:8545"
)


def connect(url: str | None, deployment_file: Path | None = None) -> Chain:
    """The chain at `url` with its contracts. Raises CommandError without a URL, ChainError, InvalidConfig."""
    if url is None:
        raise CommandError(HOW_TO_REACH)
    try:
        # Which contracts to expect follows from the chain's id, which only the chain can say.
        chain_id = Chain(url, plan(DEVELOPMENT_CHAIN).deployment).chain_id()
    except ValueError as error:
        raise CommandError(str(error).replace("chain.url", "--chain-url")) from error
    return Chain(url, deployment(chain_id, deployment_file))


def attestations(chain: Chain, swarm_id: str, node_id: str) -> list[AttestedRounds]:
    """A Node's attestations with their gas, in the chain's order."""
    return chain.attestations(swarm_id, node_id=node_id, gas=True)


def contents(chain: Chain, attested: list[AttestedRounds]) -> list[AttestationData | None]:
    """What each attestation says."""
    return [chain.attestation(one.uid) for one in attested]
