// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "./NodeRegistry.sol";
import {IStakes} from "./interfaces/IStakes.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";

/// @title Swarms and who takes part in them
/// @notice A swarm has an owner, a policy of joining and the digest of its configuration. Its whole history is in the
/// events. The owner decides who may join and who must go; nobody but a Node itself can join, leave or advance its rounds.
contract SwarmRegistry {
    /// @notice Who may join: any registered Node that was not ejected, invited ones only, or any that has enough at stake.
    enum Policy {
        Open,
        Invited,
        Staked
    }

    /// @notice Where a Node stands in a swarm.
    enum Standing {
        None,
        Invited,
        Member,
        Left,
        Ejected
    }

    /// @notice A swarm. `config` is the SHA-256 digest of its configuration; `members` counts the Nodes in it now.
    struct Swarm {
        address owner;
        Policy policy;
        uint64 members;
        bytes32 config;
    }

    /// @notice What a swarm of the policy Staked asks of its Nodes at joining.
    struct StakeTerms {
        IStakes stakes;
        uint256 minimum;
    }

    /// @notice What a swarm has to spend from its first block on: `amount` in a pool of `treasury`, whose terms name the
    /// swarm. What it pays never exceeds what was paid in.
    struct Budget {
        ITreasury treasury;
        ITreasury.Terms terms;
        uint256 amount;
    }

    /// @notice Longest `uri` of a swarm, in bytes.
    uint256 public constant MAX_URI_LENGTH = 2048;
    /// @notice Longest `reason` of an ejection, in bytes.
    uint256 public constant MAX_REASON_LENGTH = 256;
    /// @notice The identities that swarms are made of.
    NodeRegistry public immutable NODES;

    mapping(bytes32 swarmId => Swarm swarm) private _swarms;
    mapping(bytes32 swarmId => mapping(uint256 nodeId => Standing standing)) private _standings;
    mapping(bytes32 swarmId => StakeTerms terms) private _stakeTerms;

    /// @notice A swarm was created.
    event SwarmCreated(bytes32 indexed swarmId, address indexed owner, bytes32 config, Policy policy, string uri);
    /// @notice A swarm of the policy Staked was created, with these terms.
    event StakeRequired(bytes32 indexed swarmId, IStakes indexed stakes, uint256 minimum);
    /// @notice The owner invited a Node, or let an ejected one come back.
    event NodeInvited(bytes32 indexed swarmId, uint256 indexed nodeId);
    /// @notice A Node joined.
    event NodeJoined(bytes32 indexed swarmId, uint256 indexed nodeId);
    /// @notice A Node left by its own will.
    event NodeLeft(bytes32 indexed swarmId, uint256 indexed nodeId);
    /// @notice The owner ejected a Node, or took its invitation back.
    event NodeEjected(bytes32 indexed swarmId, uint256 indexed nodeId, string reason);

    /// @notice The owner has a swarm with this salt already.
    error SwarmAlreadyExists(bytes32 swarmId);
    /// @notice No swarm has this id.
    error SwarmNotFound(bytes32 swarmId);
    /// @notice Only the swarm's owner may do this.
    error NotSwarmOwner(bytes32 swarmId, address caller);
    /// @notice Only the Node's key, its owner or an operator of the owner's may do this.
    error NotInControl(uint256 nodeId, address caller);
    /// @notice The Node can't do this from where it stands in the swarm.
    error WrongStanding(bytes32 swarmId, uint256 nodeId, Standing standing);
    /// @notice A swarm of the policy Staked names its stakes and a minimum; others have neither.
    error InvalidStakeTerms(IStakes stakes, uint256 minimum);
    /// @notice A swarm's budget names the swarm in its terms.
    error BudgetOfAnotherSwarm(bytes32 swarmId, bytes32 named);
    /// @notice The Node has less at stake than the swarm asks for.
    error StakeTooLow(bytes32 swarmId, uint256 nodeId, uint256 stake, uint256 minimum);
    /// @notice The field has more bytes than this registry takes.
    error TooLong(string field, uint256 length, uint256 limit);

    modifier onlySwarmOwner(bytes32 swarmId) {
        _checkSwarmOwner(swarmId);
        _;
    }

    modifier onlyController(uint256 nodeId) {
        _checkController(nodeId);
        _;
    }

    /// @param nodes The identities that swarms are made of.
    constructor(NodeRegistry nodes) {
        NODES = nodes;
    }

    /// @notice Creates a swarm that the sender owns.
    /// @param salt Tells the owner's swarms apart; the id follows from owner and salt alone.
    /// @param config SHA-256 digest of the swarm's configuration.
    /// @param policy Who may join.
    /// @param uri Where strangers find the configuration; may be empty.
    /// @return swarmId The swarm's id.
    function createSwarm(bytes32 salt, bytes32 config, Policy policy, string calldata uri)
        external
        returns (bytes32 swarmId)
    {
        return _create(salt, config, policy, StakeTerms(IStakes(address(0)), 0), uri);
    }

    /// @notice Creates a swarm that the sender owns, into which Nodes come by what they have at stake.
    /// @param salt As for `createSwarm`.
    /// @param config As for `createSwarm`.
    /// @param terms Where stakes are, and the least that a Node must have there when it joins.
    /// @param uri As for `createSwarm`.
    /// @return swarmId The swarm's id.
    function createStakedSwarm(bytes32 salt, bytes32 config, StakeTerms calldata terms, string calldata uri)
        external
        returns (bytes32 swarmId)
    {
        return _create(salt, config, Policy.Staked, terms, uri);
    }

    /// @notice Creates a swarm that the sender owns, with a budget: no block has the swarm without its money. Ether is sent
    /// along; a token the treasury, not this registry, must be allowed to take.
    /// @param salt As for `createSwarm`.
    /// @param config As for `createSwarm`.
    /// @param policy Who may join.
    /// @param stakeTerms As for `createStakedSwarm`; all zero for another policy.
    /// @param uri As for `createSwarm`.
    /// @param budget What is put into escrow, where, and on what terms.
    /// @return swarmId The swarm's id.
    function createFundedSwarm(
        bytes32 salt,
        bytes32 config,
        Policy policy,
        StakeTerms calldata stakeTerms,
        string calldata uri,
        Budget calldata budget
    ) external payable returns (bytes32 swarmId) {
        swarmId = _create(salt, config, policy, stakeTerms, uri);
        if (budget.terms.swarmId != swarmId) {
            revert BudgetOfAnotherSwarm(swarmId, budget.terms.swarmId);
        }
        budget.treasury.openBudget{value: msg.value}(msg.sender, budget.terms, budget.amount);
    }

    /// @notice Invites a Node, which need not be registered yet. An ejected Node may come back by this alone.
    function invite(bytes32 swarmId, uint256 nodeId) external onlySwarmOwner(swarmId) {
        Standing standing = _standings[swarmId][nodeId];
        if (standing == Standing.Invited || standing == Standing.Member) {
            revert WrongStanding(swarmId, nodeId, standing);
        }
        _standings[swarmId][nodeId] = Standing.Invited;
        emit NodeInvited(swarmId, nodeId);
    }

    /// @notice Joins a swarm. Under the policy Invited each joining uses an invitation up; under Staked an invitation lets
    /// an ejected Node back in, but not without its stake.
    function join(bytes32 swarmId, uint256 nodeId) external onlyController(nodeId) {
        Swarm storage swarm = _existing(swarmId);
        Standing standing = _standings[swarmId][nodeId];
        bool welcome = standing == Standing.Invited
            || (swarm.policy != Policy.Invited && (standing == Standing.None || standing == Standing.Left));
        if (!welcome) {
            revert WrongStanding(swarmId, nodeId, standing);
        }
        if (swarm.policy == Policy.Staked) {
            _checkStake(swarmId, nodeId);
        }
        _standings[swarmId][nodeId] = Standing.Member;
        ++swarm.members;
        emit NodeJoined(swarmId, nodeId);
    }

    /// @notice Leaves a swarm.
    function quit(bytes32 swarmId, uint256 nodeId) external onlyController(nodeId) {
        Standing standing = _standings[swarmId][nodeId];
        if (standing != Standing.Member) {
            revert WrongStanding(swarmId, nodeId, standing);
        }
        _standings[swarmId][nodeId] = Standing.Left;
        --_swarms[swarmId].members;
        emit NodeLeft(swarmId, nodeId);
    }

    /// @notice Ejects a member or takes an invitation back; the Node can't join again unless invited.
    function eject(bytes32 swarmId, uint256 nodeId, string calldata reason) external onlySwarmOwner(swarmId) {
        _checkLength("reason", bytes(reason).length, MAX_REASON_LENGTH);
        Standing standing = _standings[swarmId][nodeId];
        if (standing == Standing.Member) {
            --_swarms[swarmId].members;
        } else if (standing != Standing.Invited) {
            revert WrongStanding(swarmId, nodeId, standing);
        }
        _standings[swarmId][nodeId] = Standing.Ejected;
        emit NodeEjected(swarmId, nodeId, reason);
    }

    /// @notice The swarm with this id; all zero when there is none.
    function swarmOf(bytes32 swarmId) external view returns (Swarm memory) {
        return _swarms[swarmId];
    }

    /// @notice What a swarm of the policy Staked asks for; all zero for others.
    function stakeTermsOf(bytes32 swarmId) external view returns (StakeTerms memory) {
        return _stakeTerms[swarmId];
    }

    /// @notice Where a Node stands in a swarm.
    function standingOf(bytes32 swarmId, uint256 nodeId) external view returns (Standing) {
        return _standings[swarmId][nodeId];
    }

    /// @notice Whether a Node is in a swarm now.
    function isMember(bytes32 swarmId, uint256 nodeId) external view returns (bool) {
        return _standings[swarmId][nodeId] == Standing.Member;
    }

    /// @notice The id that `createSwarm` gives this owner's swarm with this salt.
    function swarmIdOf(address owner, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, salt));
    }

    function _create(bytes32 salt, bytes32 config, Policy policy, StakeTerms memory terms, string calldata uri)
        private
        returns (bytes32 swarmId)
    {
        bool staked = policy == Policy.Staked;
        if ((address(terms.stakes) != address(0)) != staked || (terms.minimum != 0) != staked) {
            revert InvalidStakeTerms(terms.stakes, terms.minimum);
        }
        swarmId = swarmIdOf(msg.sender, salt);
        if (_swarms[swarmId].owner != address(0)) {
            revert SwarmAlreadyExists(swarmId);
        }
        _checkLength("uri", bytes(uri).length, MAX_URI_LENGTH);
        _swarms[swarmId] = Swarm({owner: msg.sender, policy: policy, members: 0, config: config});
        emit SwarmCreated(swarmId, msg.sender, config, policy, uri);
        if (staked) {
            _stakeTerms[swarmId] = terms;
            emit StakeRequired(swarmId, terms.stakes, terms.minimum);
        }
    }

    function _existing(bytes32 swarmId) private view returns (Swarm storage swarm) {
        swarm = _swarms[swarmId];
        if (swarm.owner == address(0)) {
            revert SwarmNotFound(swarmId);
        }
    }

    function _checkSwarmOwner(bytes32 swarmId) private view {
        if (_existing(swarmId).owner != msg.sender) {
            revert NotSwarmOwner(swarmId, msg.sender);
        }
    }

    function _checkController(uint256 nodeId) private view {
        if (!NODES.controls(msg.sender, nodeId)) {
            revert NotInControl(nodeId, msg.sender);
        }
    }

    function _checkStake(bytes32 swarmId, uint256 nodeId) private view {
        StakeTerms storage terms = _stakeTerms[swarmId];
        uint256 stake = terms.stakes.stakeOf(swarmId, nodeId);
        if (stake < terms.minimum) {
            revert StakeTooLow(swarmId, nodeId, stake, terms.minimum);
        }
    }

    function _checkLength(string memory field, uint256 length, uint256 limit) private pure {
        if (length > limit) {
            revert TooLong(field, length, limit);
        }
    }
}
