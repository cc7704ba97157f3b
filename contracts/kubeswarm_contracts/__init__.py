"""KubeSwarm's contracts, from Python: reading a chain, signing, sending. The only package that talks to a chain."""

from kubeswarm_contracts.account import Account, new_key
from kubeswarm_contracts.attestation import MAX_ROUNDS, AttestationData, Batch
from kubeswarm_contracts.chain import AttestedRounds, Chain, Member, SwarmInfo
from kubeswarm_contracts.crowdfunding import Campaign, CampaignTerms, Crowdfunding, Milestone, campaign_id
from kubeswarm_contracts.deployments import Deployment, deployment
from kubeswarm_contracts.errors import (
    ChainError,
    ChainRejected,
    ChainTimeout,
    ChainUnreachable,
    FeeAboveCap,
    KeyUnfunded,
    NonceTaken,
    SignerUnreachable,
)
from kubeswarm_contracts.fees import FeeCaps
from kubeswarm_contracts.sending import Patience
from kubeswarm_contracts.signing import Domain, KeyProof, domain, node_id, recover_batch_signer, swarm_id
from kubeswarm_contracts.transactor import Transactor, TxResult
from kubeswarm_contracts.treasury import Pool, PoolTerms, Settled, Treasury, pool_id

__all__ = [
    "MAX_ROUNDS",
    "Account",
    "AttestationData",
    "AttestedRounds",
    "Batch",
    "Campaign",
    "CampaignTerms",
    "Chain",
    "ChainError",
    "ChainRejected",
    "ChainTimeout",
    "ChainUnreachable",
    "Crowdfunding",
    "Deployment",
    "Domain",
    "FeeAboveCap",
    "FeeCaps",
    "KeyProof",
    "KeyUnfunded",
    "Member",
    "Milestone",
    "NonceTaken",
    "Patience",
    "Pool",
    "PoolTerms",
    "Settled",
    "SignerUnreachable",
    "SwarmInfo",
    "Transactor",
    "Treasury",
    "TxResult",
    "campaign_id",
    "deployment",
    "domain",
    "new_key",
    "node_id",
    "pool_id",
    "recover_batch_signer",
    "swarm_id",
]
