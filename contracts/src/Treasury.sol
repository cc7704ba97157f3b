// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "./NodeRegistry.sol";
import {PullPayments} from "./PullPayments.sol";
import {RoundResolver} from "./RoundResolver.sol";
import {SwarmRegistry} from "./SwarmRegistry.sol";
import {ITreasury} from "./interfaces/ITreasury.sol";
import {IVerifier} from "./interfaces/IVerifier.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title Rewards for attested rounds
/// @notice Anyone may open a pool for a swarm: money in escrow, and terms that never change. A Node settles its attestations
/// one after the other, each once the pool's window has passed over it; what it earned is credited to the Node's owner, who
/// fetches it by `claim`. The pool's owner can stop it for later rounds, but has to leave what was earned until then for
/// the settling period, and gets only what remains. A swarm's budget is the pool that its owner opened and paid into while
/// creating it: its id follows from the swarm's.
/// @dev Always: the balance is the sum of all escrows and of all credits. Rounding leaves dust in the escrow.
contract Treasury is PullPayments, ITreasury {
    using SafeCast for uint256;

    /// @notice A pool. `escrow` is what it can still pay; `stoppedAt` is zero while it runs.
    struct Pool {
        address owner;
        uint64 openedAt;
        IERC20 token;
        uint64 stoppedAt;
        IVerifier verifier;
        Unit unit;
        uint32 window;
        uint128 rate;
        uint128 escrow;
        bytes32 swarmId;
    }

    /// @notice Longest window, in seconds.
    uint32 public constant MAX_WINDOW = 30 days;
    /// @notice How long after a stop and the window Nodes may settle what they earned, in seconds.
    uint32 public constant SETTLING_PERIOD = 30 days;
    /// @notice The attestations.
    RoundResolver public immutable RESOLVER;
    /// @notice The identities of Nodes.
    NodeRegistry public immutable NODES;
    /// @notice The swarms, whose registry opens their budgets.
    SwarmRegistry public immutable SWARMS;

    uint256 private constant TOKENS_A_UNIT = 1_000_000;

    /// @notice The last round of a Node that was settled with a pool.
    mapping(bytes32 poolId => mapping(uint256 nodeId => uint64 round)) public settledRound;

    mapping(bytes32 poolId => Pool pool) private _pools;

    /// @notice A pool was opened.
    event PoolOpened(bytes32 indexed poolId, bytes32 indexed swarmId, address indexed owner, Terms terms);
    /// @notice Money came into a pool.
    event PoolFunded(bytes32 indexed poolId, address indexed from, uint256 amount);
    /// @notice The rounds of an attestation were settled: of `due` the owner got `amount`, less where the escrow was short.
    event RoundsSettled(
        bytes32 indexed poolId,
        uint256 indexed nodeId,
        bytes32 indexed uid,
        address owner,
        uint64 lastRound,
        uint256 due,
        uint256 amount
    );
    /// @notice A pool pays for no rounds attested after this.
    event PoolStopped(bytes32 indexed poolId);
    /// @notice A pool's owner got back what remained.
    event PoolReclaimed(bytes32 indexed poolId, uint256 amount);

    /// @notice The owner has a pool with this salt already.
    error PoolAlreadyExists(bytes32 poolId);
    /// @notice No pool has this id.
    error PoolNotFound(bytes32 poolId);
    /// @notice Only the pool's owner may do this.
    error NotPoolOwner(bytes32 poolId, address caller);
    /// @notice Only the swarm registry may do this.
    error NotSwarmRegistry(address caller);
    /// @notice A pool pays something, after at most `MAX_WINDOW`.
    error InvalidTerms(uint128 rate, uint32 window);
    /// @notice The pool was stopped.
    error PoolIsStopped(bytes32 poolId, uint64 stoppedAt);
    /// @notice Only the Node's key, its owner or an operator of the owner's may do this.
    error NotInControl(uint256 nodeId, address caller);
    /// @notice The resolver took no such attestation of this Node in the pool's swarm.
    error NotAttested(bytes32 uid);
    /// @notice The rounds were attested before the pool was opened or after it was stopped.
    error OutsidePool(uint64 time, uint64 openedAt, uint64 stoppedAt);
    /// @notice The rounds can still be disputed.
    error WindowOpen(uint256 until);
    /// @notice The verifier has not decided on the attestation.
    error NotDecided(bytes32 uid);
    /// @notice The Node has settled rounds up to this one.
    error AlreadySettled(uint64 round);
    /// @notice The escrow holds less than the caller wants.
    error EscrowShort(uint256 due, uint256 escrow);
    /// @notice What remains can't be taken before this time; zero: the pool runs.
    error NotReclaimable(uint256 from);

    /// @param resolver The attestations.
    constructor(RoundResolver resolver) {
        RESOLVER = resolver;
        NODES = resolver.NODES();
        SWARMS = resolver.SWARMS();
    }

    /// @notice Opens a pool that the sender owns. Rounds attested from now on earn by its terms.
    /// @param salt Tells the owner's pools apart; the id follows from owner and salt alone.
    /// @param terms The pool's terms.
    /// @return poolId The pool's id.
    function openPool(bytes32 salt, Terms calldata terms) external returns (bytes32 poolId) {
        return _open(msg.sender, salt, terms);
    }

    /// @inheritdoc ITreasury
    /// @dev The owner called the registry, which lets nobody speak for another: so its allowance may be used.
    function openBudget(address owner, Terms calldata terms, uint256 amount)
        external
        payable
        nonReentrant
        returns (bytes32 poolId)
    {
        if (msg.sender != address(SWARMS)) {
            revert NotSwarmRegistry(msg.sender);
        }
        poolId = _open(owner, terms.swarmId, terms);
        _fund(poolId, owner, amount);
    }

    /// @notice Puts money into a pool. Anyone may; what remains in the end is the pool's owner's.
    /// @param poolId The pool.
    /// @param amount How much, in the pool's token; ether is sent along.
    function fund(bytes32 poolId, uint256 amount) external payable nonReentrant {
        Pool storage pool = _existing(poolId);
        if (pool.stoppedAt != 0) {
            revert PoolIsStopped(poolId, pool.stoppedAt);
        }
        _fund(poolId, msg.sender, amount);
    }

    /// @notice Settles the rounds of one attestation: credits what they earned to the Node's owner. Rounds of an earlier
    /// attestation can't be settled afterwards.
    /// @param poolId The pool.
    /// @param nodeId The Node, which the sender controls.
    /// @param uid The attestation.
    /// @param recordsRoot Its root.
    /// @param batch Its batch.
    /// @param minimum The least that the sender takes; below what is due only where the escrow is short.
    /// @return amount What was credited.
    function settle(
        bytes32 poolId,
        uint256 nodeId,
        bytes32 uid,
        bytes32 recordsRoot,
        RoundResolver.Batch calldata batch,
        uint256 minimum
    ) external returns (uint256 amount) {
        Pool storage pool = _existing(poolId);
        if (!NODES.controls(msg.sender, nodeId)) {
            revert NotInControl(nodeId, msg.sender);
        }
        if (!RESOLVER.holds(uid, pool.swarmId, nodeId, recordsRoot, batch)) {
            revert NotAttested(uid);
        }
        _checkTime(pool, batch.time);
        if (batch.firstRound <= settledRound[poolId][nodeId]) {
            revert AlreadySettled(settledRound[poolId][nodeId]);
        }
        settledRound[poolId][nodeId] = batch.lastRound;
        uint256 due = _due(pool, nodeId, uid, batch);
        amount = Math.min(due, pool.escrow);
        if (amount < minimum) {
            revert EscrowShort(due, pool.escrow);
        }
        // forge-lint: disable-next-line(unsafe-typecast) not more than the escrow
        pool.escrow -= uint128(amount);
        address owner = NODES.ownerOf(nodeId);
        _credit(pool.token, owner, amount);
        emit RoundsSettled(poolId, nodeId, uid, owner, batch.lastRound, due, amount);
    }

    /// @notice Stops a pool of the sender's: rounds attested later earn nothing.
    function stop(bytes32 poolId) external {
        Pool storage pool = _owned(poolId);
        if (pool.stoppedAt != 0) {
            revert PoolIsStopped(poolId, pool.stoppedAt);
        }
        pool.stoppedAt = uint64(block.timestamp);
        emit PoolStopped(poolId);
    }

    /// @notice Credits the owner of a stopped pool with what remains, once the settling period is over.
    /// @return amount What was credited.
    function reclaim(bytes32 poolId) external returns (uint256 amount) {
        Pool storage pool = _owned(poolId);
        uint256 from = pool.stoppedAt == 0 ? 0 : uint256(pool.stoppedAt) + pool.window + SETTLING_PERIOD;
        // forge-lint: disable-next-line(block-timestamp) periods are days, a sequencer's leeway seconds
        if (from == 0 || block.timestamp < from) {
            revert NotReclaimable(from);
        }
        amount = pool.escrow;
        pool.escrow = 0;
        _credit(pool.token, pool.owner, amount);
        emit PoolReclaimed(poolId, amount);
    }

    /// @notice The pool with this id; all zero when there is none.
    function poolOf(bytes32 poolId) external view returns (Pool memory) {
        return _pools[poolId];
    }

    /// @notice The id that `openPool` gives this owner's pool with this salt.
    function poolIdOf(address owner, bytes32 salt) public pure returns (bytes32) {
        return keccak256(abi.encode(owner, salt));
    }

    function _open(address owner, bytes32 salt, Terms calldata terms) private returns (bytes32 poolId) {
        poolId = poolIdOf(owner, salt);
        if (_pools[poolId].owner != address(0)) {
            revert PoolAlreadyExists(poolId);
        }
        if (terms.rate == 0 || terms.window > MAX_WINDOW) {
            revert InvalidTerms(terms.rate, terms.window);
        }
        _pools[poolId] = Pool({
            owner: owner,
            openedAt: uint64(block.timestamp),
            token: terms.token,
            stoppedAt: 0,
            verifier: terms.verifier,
            unit: terms.unit,
            window: terms.window,
            rate: terms.rate,
            escrow: 0,
            swarmId: terms.swarmId
        });
        emit PoolOpened(poolId, terms.swarmId, owner, terms);
    }

    function _fund(bytes32 poolId, address payer, uint256 amount) private {
        Pool storage pool = _pools[poolId];
        uint256 received = _receive(pool.token, payer, amount);
        pool.escrow += received.toUint128();
        emit PoolFunded(poolId, payer, received);
    }

    function _checkTime(Pool storage pool, uint64 time) private view {
        if (time < pool.openedAt || (pool.stoppedAt != 0 && time > pool.stoppedAt)) {
            revert OutsidePool(time, pool.openedAt, pool.stoppedAt);
        }
        uint256 until = uint256(time) + pool.window;
        // forge-lint: disable-next-line(block-timestamp) windows are minutes to days, a sequencer's leeway seconds
        if (block.timestamp < until) {
            revert WindowOpen(until);
        }
    }

    /// @dev What the rounds earn. A verifier is never taken to accept more than was attested.
    function _due(Pool storage pool, uint256 nodeId, bytes32 uid, RoundResolver.Batch calldata batch)
        private
        view
        returns (uint256)
    {
        uint256 rounds = uint256(batch.lastRound - batch.firstRound) + 1;
        uint256 tokens = batch.tokens;
        if (address(pool.verifier) != address(0)) {
            IVerifier.Verdict memory verdict =
                pool.verifier.verdict(uid, pool.swarmId, nodeId, batch.firstRound, batch.lastRound);
            if (!verdict.decided) {
                revert NotDecided(uid);
            }
            rounds = Math.min(rounds, verdict.rounds);
            tokens = Math.min(tokens, verdict.tokens);
        }
        return pool.unit == Unit.Round ? rounds * pool.rate : tokens * pool.rate / TOKENS_A_UNIT;
    }

    function _existing(bytes32 poolId) private view returns (Pool storage pool) {
        pool = _pools[poolId];
        if (pool.owner == address(0)) {
            revert PoolNotFound(poolId);
        }
    }

    function _owned(bytes32 poolId) private view returns (Pool storage pool) {
        pool = _existing(poolId);
        if (pool.owner != msg.sender) {
            revert NotPoolOwner(poolId, msg.sender);
        }
    }
}
