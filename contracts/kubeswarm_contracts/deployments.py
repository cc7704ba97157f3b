"""Where the contracts are, by chain id."""

from importlib import resources
from pathlib import Path

from pydantic import Field, ValidationError

from kubeswarm_api.base import Model
from kubeswarm_api.errors import InvalidConfig
from kubeswarm_api.node_config import ChainConfig, GasCaps
from kubeswarm_api.records import Address, Digest


class Deployment(Model):
    """The contracts of one chain; the last three are None where nothing is paid or judged.

    `block` is the first that can hold anything of ours: reading begins there.
    """

    chain_id: int = Field(ge=1, lt=2**64)
    eas: Address
    schema_registry: Address
    node_registry: Address
    swarm_registry: Address
    resolver: Address
    schema_uid: Digest
    reputation: Address | None = None
    treasury: Address | None = None
    crowdfunding: Address | None = None
    block: int = Field(ge=0)

    def config(self, url: str, gas: GasCaps | None = None) -> ChainConfig:
        """What a Node is told of this chain, at the endpoint `url`."""
        return ChainConfig(
            url=url,
            chain_id=self.chain_id,
            eas=self.eas,
            schema_uid=self.schema_uid,
            node_registry=self.node_registry,
            swarm_registry=self.swarm_registry,
            resolver=self.resolver,
            gas=gas or GasCaps(),
        )


def deployment(chain_id: int, overrides: Path | None = None) -> Deployment:
    """The deployment on a chain.

    `overrides`: a deployment's JSON file, or a folder of such files named `<chain id>.json`; it comes before what this
    package ships. Raises InvalidConfig if there is none, or if the file is not one for this chain.
    """
    name = f"{chain_id}.json"
    if overrides is not None:
        path = overrides / name if overrides.is_dir() else overrides
        if path.is_file():
            return _read(chain_id, str(path), path.read_text())
        if not overrides.is_dir():
            raise InvalidConfig(f"chain.deployments: there is no file {path}")
    shipped = resources.files(__package__ or "").joinpath("deployments", name)
    if shipped.is_file():
        return _read(chain_id, name, shipped.read_text())
    raise InvalidConfig(
        f"no contracts are known on chain {chain_id}: run python -m kubeswarm_contracts.deploy on it "
        "and give what it prints as chain.deployments"
    )


def _read(chain_id: int, name: str, text: str) -> Deployment:
    try:
        found = Deployment.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidConfig(f"{name}: {'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}") from error
    if found.chain_id != chain_id:
        raise InvalidConfig(f"{name}: chainId is {found.chain_id}, but the chain is {chain_id}")
    return found
