// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {NodeRegistry} from "../../src/NodeRegistry.sol";
import {RoundResolver} from "../../src/RoundResolver.sol";
import {SwarmRegistry} from "../../src/SwarmRegistry.sol";
import {Treasury} from "../../src/Treasury.sol";
import {IStakes} from "../../src/interfaces/IStakes.sol";
import {ITreasury} from "../../src/interfaces/ITreasury.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {Verifier} from "../harness/Doubles.sol";
import {FeeToken, Token} from "../harness/Tokens.sol";
import {VM} from "../harness/Vm.sol";
import {
    AttestationRequest,
    AttestationRequestData,
    IEAS
} from "@ethereum-attestation-service/eas-contracts/contracts/IEAS.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

/// @notice Sponsors and Nodes who create swarms with budgets, fund, attest, settle, claim, stop and reclaim as it comes to
/// their mind. The Nodes are in one swarm, of which BUDGET is the budget; the pools behind it are of other swarms. Beside the
/// treasury runs a plain model that says what must be paid and what refused; a step on which they differ fails.
contract Earners {
    /// @notice An attestation that was made, and what the verifier said of it.
    struct Made {
        uint256 node;
        bytes32 uid;
        RoundResolver.Batch batch;
        IVerifier.Verdict verdict;
    }

    uint256 public constant NODES = 3;
    uint256 public constant MAX_POOLS = 8;
    uint256 public constant TOKENS = 3;
    uint256 private constant BUDGET = 4;
    bytes32 private constant ROOT = keccak256("root");

    Treasury private immutable TREASURY;
    RoundResolver private immutable RESOLVER;
    SwarmRegistry private immutable SWARMS;
    IEAS private immutable EAS;
    bytes32 private immutable SWARM;
    Verifier private immutable VERIFIER = new Verifier();

    Made[] private _made;
    IERC20[TOKENS] private _tokens;
    bytes32[] private _poolIds;
    mapping(uint256 node => uint64 round) private _attested;
    mapping(uint256 pool => mapping(uint256 node => uint64 round)) private _settled;
    mapping(uint256 pool => mapping(uint256 node => mapping(uint64 round => bool paid))) private _paid;
    mapping(uint256 pool => uint256 time) private _stopped;
    /// @notice What came into a pool, and what went out of it to Nodes or back to its owner.
    mapping(uint256 pool => uint256) public funded;
    mapping(uint256 pool => uint256) public spent;
    /// @notice What each account was credited with and has not fetched.
    mapping(uint256 token => mapping(address account => uint256)) public credit;

    constructor(Treasury treasury, IEAS eas) {
        (TREASURY, RESOLVER, SWARMS, EAS) = (treasury, treasury.RESOLVER(), treasury.SWARMS(), eas);
        SWARM = SWARMS.swarmIdOf(sponsor(BUDGET), 0);
        NodeRegistry nodes = treasury.NODES();
        (_tokens[1], _tokens[2]) = (new Token(), new FeeToken());
        for (uint256 pool = 0; pool < MAX_POOLS; ++pool) {
            if (tokenOf(pool) != 0) {
                VM.prank(sponsor(pool));
                _tokens[tokenOf(pool)].approve(address(treasury), type(uint256).max);
            }
        }
        for (uint256 pool = 0; pool < BUDGET; ++pool) {
            VM.prank(sponsor(pool));
            _poolIds.push(treasury.openPool(0, termsOf(pool)));
        }
        _create(1e23, 0);
        for (uint256 node = 0; node < NODES; ++node) {
            VM.prank(key(node));
            nodes.register();
            VM.prank(key(node));
            SWARMS.join(SWARM, nodeId(node));
        }
    }

    /// @notice Creates one more swarm with a budget, sometimes with ether that is not the amount.
    function create(uint256 amount, uint256 more) external {
        if (pools() < MAX_POOLS) {
            _create(1 + amount % 1e24, more % 4 == 0 ? 1 : 0);
        }
    }

    function attest(uint256 node, uint256 length, uint64 tokens) external {
        node %= NODES;
        uint64 first = _attested[node] + 1;
        // forge-lint: disable-next-line(unsafe-typecast) below eight
        uint64 last = first + uint64(length % 8);
        RoundResolver.Rounds memory rounds = RoundResolver.Rounds({
            swarmId: SWARM,
            nodeId: nodeId(node),
            firstRound: first,
            lastRound: last,
            recordsRoot: ROOT,
            previous: first == 1 ? bytes32(0) : ROOT,
            head: ROOT,
            model: 0,
            samples: 0,
            tokens: tokens,
            reward: 0
        });
        AttestationRequestData memory data = AttestationRequestData(address(0), 0, false, 0, abi.encode(rounds), 0);
        bytes32 schema = RESOLVER.SCHEMA_UID();
        VM.prank(key(node));
        bytes32 uid = EAS.attest(AttestationRequest(schema, data));
        _attested[node] = last;
        Made storage made = _made.push();
        (made.node, made.uid) = (node, uid);
        made.batch = RoundResolver.Batch(first, last, tokens, uint64(block.timestamp), rounds.previous, ROOT);
    }

    function fund(uint256 pool, uint256 amount) external {
        (pool, amount) = (pool % pools(), 1 + amount % 1e24);
        bool allowed = _stopped[pool] == 0;
        uint256 value = tokenOf(pool) == 0 ? amount : 0;
        _provide(pool, amount);
        VM.prank(sponsor(pool));
        try TREASURY.fund{value: value}(_poolIds[pool], amount) {
            VM.assertTrue(allowed, "funded against the rules");
            funded[pool] += _arriving(pool, amount);
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function decide(uint256 which, uint64 rounds, uint64 tokens) external {
        if (_made.length != 0) {
            Made storage made = _made[which % _made.length];
            VERIFIER.decide(made.uid, rounds % 10, tokens);
            made.verdict = IVerifier.Verdict(true, rounds % 10, tokens);
        }
    }

    /// @dev Mostly by the Node itself, and of any attestation: many were settled before, or may not be yet.
    function settle(uint256 pool, uint256 which, uint256 sender) external {
        if (_made.length != 0) {
            _settle(pool % pools(), _made[which % _made.length], sender % 8);
        }
    }

    function claim(uint256 token, uint256 account, bool toAnother) external {
        token %= TOKENS;
        account %= NODES + pools();
        address claimer = account < NODES ? key(account) : sponsor(account - NODES);
        address to = toAnother ? address(0xCA54) : claimer;
        uint256 due = credit[token][claimer];
        VM.prank(claimer);
        try TREASURY.claimTo(_tokens[token], to) returns (uint256 amount) {
            VM.assertTrue(due != 0, "claimed nothing");
            VM.assertEq(amount, due, "claimed what was not credited");
            credit[token][claimer] = 0;
        } catch {
            VM.assertEq(due, 0);
        }
    }

    function stop(uint256 pool, uint256 sender) external {
        pool %= pools();
        bool allowed = sender % 8 == 0 && _stopped[pool] == 0;
        VM.prank(sender % 8 == 0 ? sponsor(pool) : key(0));
        try TREASURY.stop(_poolIds[pool]) {
            VM.assertTrue(allowed, "stopped against the rules");
            _stopped[pool] = block.timestamp;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function reclaim(uint256 pool, uint256 sender) external {
        pool %= pools();
        uint256 left = funded[pool] - spent[pool];
        uint256 from = _stopped[pool] + termsOf(pool).window + 30 days;
        bool allowed = sender % 4 != 0 && _stopped[pool] != 0 && _now() >= from;
        VM.prank(sender % 4 != 0 ? sponsor(pool) : key(0));
        try TREASURY.reclaim(_poolIds[pool]) returns (uint256 amount) {
            VM.assertTrue(allowed, "reclaimed against the rules");
            VM.assertEq(amount, left, "reclaimed what was not left");
            spent[pool] += amount;
            credit[tokenOf(pool)][sponsor(pool)] += amount;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function pass(uint256 time) external {
        VM.warp(block.timestamp + time % 3 days);
    }

    /// @notice Lets everybody settle what they may, ends all pools, and lets everybody fetch what is theirs.
    function end() external {
        VM.warp(block.timestamp + 1 days);
        for (uint256 i = 0; i < _made.length; ++i) {
            VERIFIER.decide(_made[i].uid, 1, 1);
            _made[i].verdict = IVerifier.Verdict(true, 1, 1);
            for (uint256 pool = 0; pool < pools(); ++pool) {
                _settle(pool, _made[i], 1);
            }
        }
        for (uint256 pool = 0; pool < pools(); ++pool) {
            this.stop(pool, 0);
        }
        VM.warp(block.timestamp + 31 days);
        for (uint256 pool = 0; pool < pools(); ++pool) {
            this.reclaim(pool, 1);
        }
        for (uint256 token = 0; token < TOKENS; ++token) {
            for (uint256 account = 0; account < NODES + pools(); ++account) {
                this.claim(token, account, false);
            }
        }
    }

    /// @notice What the treasury has of a token.
    function held(uint256 token) external view returns (uint256) {
        return token == 0 ? address(TREASURY).balance : _tokens[token].balanceOf(address(TREASURY));
    }

    /// @notice What the treasury says that it owes in a token: escrows and credits.
    function owed(uint256 token) external view returns (uint256 sum) {
        for (uint256 pool = 0; pool < pools(); ++pool) {
            sum += tokenOf(pool) == token ? TREASURY.poolOf(_poolIds[pool]).escrow : 0;
        }
        for (uint256 account = 0; account < NODES + pools(); ++account) {
            sum += TREASURY.claimable(_tokens[token], account < NODES ? key(account) : sponsor(account - NODES));
        }
    }

    function escrow(uint256 pool) external view returns (uint256) {
        return TREASURY.poolOf(_poolIds[pool]).escrow;
    }

    function pools() public view returns (uint256) {
        return _poolIds.length;
    }

    /// @notice The pools: ether by the round; a token by what was sampled; a token that keeps a fee, after a window;
    /// ether by what a verifier accepted; budgets in either token and in ether.
    function termsOf(uint256 pool) public view returns (ITreasury.Terms memory) {
        return ITreasury.Terms({
            swarmId: pool > BUDGET ? SWARMS.swarmIdOf(sponsor(pool), 0) : SWARM,
            token: _tokens[tokenOf(pool)],
            unit: pool % 2 == 0 ? ITreasury.Unit.Round : ITreasury.Unit.MillionTokens,
            rate: pool % 2 == 0 ? 1e22 : 123_457,
            window: pool == 2 ? 1 days : 0,
            verifier: pool == 3 ? IVerifier(VERIFIER) : IVerifier(address(0))
        });
    }

    function tokenOf(uint256 pool) public pure returns (uint256) {
        return pool % TOKENS;
    }

    /// @dev Addresses without a private key: nothing has to be signed here.
    function key(uint256 node) public pure returns (address) {
        // forge-lint: disable-next-line(unsafe-typecast) one of a few
        return address(uint160(0x40DE00 + node));
    }

    function nodeId(uint256 node) public pure returns (uint256) {
        return uint160(key(node));
    }

    function sponsor(uint256 pool) public pure returns (address) {
        // forge-lint: disable-next-line(unsafe-typecast) one of a few
        return address(uint160(0x59040500 + pool));
    }

    /// @dev Creates the swarm whose budget is the next pool; `more`: ether beyond what is due.
    function _create(uint256 amount, uint256 more) private {
        uint256 pool = pools();
        uint256 value = (tokenOf(pool) == 0 ? amount : 0) + more;
        _provide(pool, amount + more);
        SwarmRegistry.Budget memory budget = SwarmRegistry.Budget(TREASURY, termsOf(pool), amount);
        SwarmRegistry.StakeTerms memory none = SwarmRegistry.StakeTerms(IStakes(address(0)), 0);
        VM.deal(sponsor(pool), value);
        VM.prank(sponsor(pool));
        try SWARMS.createFundedSwarm{value: value}(0, 0, SwarmRegistry.Policy.Open, none, "", budget) returns (
            bytes32 swarmId
        ) {
            VM.assertTrue(more == 0, "created with another budget than was said");
            _poolIds.push(TREASURY.poolIdOf(sponsor(pool), swarmId));
            funded[pool] = _arriving(pool, amount);
        } catch {
            VM.assertFalse(more == 0);
        }
    }

    function _provide(uint256 pool, uint256 amount) private {
        if (tokenOf(pool) == 0) {
            VM.deal(sponsor(pool), amount);
        } else {
            Token(address(_tokens[tokenOf(pool)])).mint(sponsor(pool), amount);
        }
    }

    function _arriving(uint256 pool, uint256 amount) private pure returns (uint256) {
        return tokenOf(pool) == 2 ? amount - amount / 100 : amount;
    }

    function _settle(uint256 pool, Made storage made, uint256 sender) private {
        RoundResolver.Batch memory batch = made.batch;
        bool allowed = sender != 0 && _isPayable(pool, made);
        uint256 due = _due(pool, made);
        uint256 left = funded[pool] - spent[pool];
        VM.prank(sender != 0 ? key(made.node) : sponsor(pool));
        try TREASURY.settle(_poolIds[pool], nodeId(made.node), made.uid, ROOT, batch, 0) returns (uint256 amount) {
            VM.assertTrue(allowed, "settled against the rules");
            VM.assertEq(amount, due < left ? due : left, "paid what was not due");
            for (uint64 round = batch.firstRound; round <= batch.lastRound; ++round) {
                VM.assertFalse(_paid[pool][made.node][round]);
                _paid[pool][made.node][round] = true;
            }
            _settled[pool][made.node] = batch.lastRound;
            spent[pool] += amount;
            credit[tokenOf(pool)][key(made.node)] += amount;
        } catch {
            VM.assertFalse(allowed);
        }
    }

    function _now() private view returns (uint256) {
        return block.timestamp;
    }

    function _isPayable(uint256 pool, Made storage made) private view returns (bool) {
        uint256 time = made.batch.time;
        return pool <= BUDGET && (_stopped[pool] == 0 || time <= _stopped[pool])
            && _now() >= time + termsOf(pool).window && (pool != 3 || made.verdict.decided)
            && made.batch.firstRound > _settled[pool][made.node];
    }

    function _due(uint256 pool, Made storage made) private view returns (uint256) {
        uint256 rounds = uint256(made.batch.lastRound) + 1 - made.batch.firstRound;
        uint256 tokens = made.batch.tokens;
        if (pool == 3 && made.verdict.tokens < tokens) {
            tokens = made.verdict.tokens;
        }
        return pool % 2 == 0 ? rounds * 1e22 : tokens * 123_457 / 1e6;
    }
}
