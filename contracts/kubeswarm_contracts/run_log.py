"""A reader of the log of runs that an indexer serves: what it can say, `Chain` says too."""

from typing import TypeVar

import requests
from pydantic import ValidationError
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from kubeswarm_api.base import Model
from kubeswarm_api.records import Address, Digest
from kubeswarm_api.run_log import MAX_PAGE, LogState, Page, Participant, Rounds, Run
from kubeswarm_contracts.chain import SwarmInfo
from kubeswarm_contracts.errors import ChainRejected, ChainUnreachable
from kubeswarm_contracts.rpc import CONNECT_SECONDS, READ_SECONDS, endpoint_name

M = TypeVar("M", bound=Model)
#: A server may close a connection that was idle just when the next question comes.
_ONCE_MORE = Retry(total=1, backoff_factor=0, allowed_methods={"GET"})


class RunLog:
    """The log at `url`, of one chain. Methods raise ChainUnreachable, and ChainRejected for a log of another chain."""

    def __init__(self, url: str, chain_id: int | None = None) -> None:
        """`chain_id`: None takes a log of any chain. Raises ValueError if `url` is not one."""
        self.name = endpoint_name("indexer.url", url)
        self._url, self._chain_id = url.rstrip("/"), chain_id
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_ONCE_MORE))

    def state(self) -> LogState:
        """Which chain the log is of, and how far it is."""
        state = self._get("log", LogState)
        assert state is not None
        if self._chain_id not in (None, state.chain_id):
            raise ChainRejected(
                "WrongChain", f"the log at {self.name} is of chain {state.chain_id} instead of {self._chain_id}"
            )
        return state

    def block(self) -> int:
        """The number of the block up to which the log is complete. Raises ChainUnreachable before the first."""
        head = self.state().head
        if head is None:
            raise ChainUnreachable(f"the log at {self.name} has no block yet: its indexer is reading the chain")
        return head.number

    def swarm(self, swarm_id: Digest) -> SwarmInfo | None:
        """The swarm with this id; None if there is none."""
        run = self._get(f"runs/{swarm_id}", Run)
        if run is None:
            return None
        return SwarmInfo(id=swarm_id, owner=run.owner, policy=run.policy, config=run.config, members=run.members)

    def next_round(self, swarm_id: Digest, node_id: Address) -> int:
        """The round that the Node's next attestation in this swarm must begin with."""
        found = self._get(f"runs/{swarm_id}/nodes/{node_id}", Participant)
        return 1 if found is None else found.rounds + 1

    def rounds(
        self, swarm_id: Digest | None = None, node_id: Address | None = None, model: Digest | None = None
    ) -> list[Rounds]:
        """Attested rounds, in the chain's order: of a swarm, of a Node, that ended with a model."""
        asked = {"swarmId": swarm_id, "nodeId": node_id, "model": model, "limit": MAX_PAGE}
        query = "&".join(f"{name}={value}" for name, value in asked.items() if value is not None)
        found: list[Rounds] = []
        after = ""
        while True:
            page = self._get(f"rounds?{query}{after}", Page[Rounds])
            assert page is not None
            found += page.items
            if page.next is None:
                return found
            after = f"&after={page.next}"

    def _get(self, path: str, answer: type[M]) -> M | None:
        """None for what is not there."""
        try:
            response = self._session.get(f"{self._url}/v1/{path}", timeout=(CONNECT_SECONDS, READ_SECONDS))
            if response.status_code == requests.codes.not_found and "detail" in response.json():
                return None
            response.raise_for_status()
            return answer.model_validate_json(response.content)
        except (requests.RequestException, ValidationError, ValueError) as error:
            self._session.close()  # the connection that was kept may lead to what is no log any more
            cause = type(error).__name__
            raise ChainUnreachable(
                f"no answer from the log of runs at {self.name} ({cause}): check indexer.url and that it runs"
            ) from error
