// Matchmaking as a game sees it, against a service in memory and a network that fails.

/** @import { MatchTicket } from "../sdk/match-ticket.js" */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Matchmaker } from "../sdk/matchmaker.js";
import { FakeMatch, MODE } from "./fake-match.js";
import { FINE } from "./fake-service.js";
import { passUntil, randomOf, runtimeOf, settled, VirtualClock } from "./virtual.js";

/** @param {{ seed?: number }} [options] */
function rig({ seed = 0 } = {}) {
  const random = randomOf(seed);
  const clock = new VirtualClock();
  const service = new FakeMatch(clock, random);
  const runtime = runtimeOf(clock, random, service.fetch);
  /** What each player was told, in order. @type {Record<string, string[]>} */
  const told = {};
  const of = (/** @type {string} */ player) => {
    const lines = (told[player] ??= []);
    const token = () => FakeMatch.token(player);
    const maker = new Matchmaker({ token, runtime });
    /** @type {import("../sdk/match-ticket.js").TicketHandlers} */
    const on = {
      state: ({ state, problem }) => lines.push(problem ? `${state}: ${problem.problem}` : state),
      proposed: ({ id }) => lines.push(`proposed ${id}`),
      requeued: ({ id }) => lines.push(`requeued ${id}`),
      matched: ({ id }) => lines.push(`matched ${id}`),
      ended: ({ reason }) => lines.push(`ended: ${reason}`),
    };
    const details = { attributes: { level: 7 }, latencyMs: { eu: 30.6 } };
    const queue = (/** @type {string[]} */ ...party) =>
      maker.queue({ queue: "squads", party, on, ...details });
    return { maker, on, queue };
  };
  return { clock, of, random, service, told };
}

/**
 * Two parties of two, all joined: ann leads, bob is with her; two others are played by the fake.
 *
 * @param {ReturnType<typeof rig>} stage
 */
async function proposal({ clock, of, service }) {
  const [ann, bob] = [of("p-ann"), of("p-bob")];
  const leads = await passUntil(clock, ann.queue("p-bob"));
  const [invitation, ...others] = await passUntil(clock, bob.maker.invitations());
  assert.deepEqual(invitation, { queue: "squads", ticket: leads.id, leader: "p-ann" });
  assert.equal(others.length, 0);
  const follows = await passUntil(clock, bob.maker.open({ ...invitation, on: bob.on }));
  assert.equal(follows.isInvited, true);
  await passUntil(clock, follows.joinParty({ languages: ["de"] }));
  assert.equal(follows.isInvited, false);
  service.arrive("p-cyd", "p-dan");
  await clock.pass(2500);
  assert.deepEqual([leads.state, follows.state], ["proposed", "proposed"]);
  return { ann, bob, leads, follows };
}

/** @param {MatchTicket} ticket */
function matchOf(ticket) {
  assert.ok(ticket.match);
  return ticket.match;
}

test("a party gathers, waits, accepts and is matched", async () => {
  const stage = rig();
  const { clock, service, told } = stage;
  const { leads, follows } = await proposal(stage);
  assert.deepEqual([leads.isLeader, follows.isLeader], [true, false]);
  assert.deepEqual(leads.party.map(({ joined }) => joined), [true, true]);
  const [sent] = service.open;
  const details = { attributes: { level: 7 }, latency_ms: { eu: 31 } };
  assert.deepEqual(sent?.details.get("p-ann"), details);
  assert.deepEqual(sent?.details.get("p-bob"), { languages: ["de"] });

  /** @type {string[][]} */
  const accepted = [];
  follows.on("accepted", (players) => accepted.push(players));
  await passUntil(clock, leads.accept());
  assert.deepEqual(matchOf(leads).accepted, ["p-ann"]);
  assert.equal(matchOf(leads).joinable, false);
  assert.equal(matchOf(leads).acceptMs, 20_000);
  const left = matchOf(leads).acceptLeftMs ?? 0;
  await clock.pass(1500);
  assert.equal(matchOf(leads).acceptLeftMs, left - 1500);
  assert.deepEqual(accepted, [["p-ann"]]);
  service.answerFor("p-cyd", true);
  service.answerFor("p-dan", true);
  await passUntil(clock, follows.accept());
  await clock.pass(1500);
  assert.deepEqual([leads.state, follows.state], ["matched", "matched"]);
  const match = matchOf(leads);
  assert.deepEqual(match.team?.players, ["p-ann", "p-bob"]);
  assert.deepEqual(match.opponents, ["p-cyd", "p-dan"]);
  assert.deepEqual(match.channels, ["team-1", "all"]);
  const id = match.id;
  const found = ["proposed", `proposed ${id}`, "matched", `matched ${id}`];
  assert.deepEqual(told["p-ann"], ["gathering", ...found]);
  assert.deepEqual(told["p-bob"], ["gathering", "waiting", ...found]);

  const before = service.requests.length;
  await clock.pass(120_000);
  assert.equal(service.requests.length, before, "a matched ticket is asked for no more");
  await passUntil(clock, follows.leave());
  assert.deepEqual([follows.state, told["p-bob"]?.at(-1)], ["ended", "ended: cancelled"]);
});

test("where the service keeps requests, a match is known at once, for no more of them", async () => {
  const { clock, of, service } = rig();
  const pace = { acceptMs: 0, keeps: true, pollMs: 3000, aheadMs: 3_600_000 };
  Object.assign(service, pace);
  const ticket = await passUntil(clock, of("p-ann").queue());
  const before = service.requests.length;
  await clock.pass(30_000);
  const asked = service.requests.length - before;
  assert.ok(asked >= 8 && asked <= 11, `${asked} requests`);
  // Replies that are as old as the pace do not put the clock back.
  const off = (ticket.waitedMs ?? 0) - 30_000;
  assert.ok(Math.abs(off) < 500, `${off} ms`);
  service.arrive("p-bob");
  service.arrive("p-cyd", "p-dan");
  await clock.pass(300);
  assert.equal(ticket.state, "matched");
});

test("where nobody is asked to accept, a match is there at once", async () => {
  const { clock, of, service, told } = rig();
  service.acceptMs = 0;
  const ticket = await passUntil(clock, of("p-ann").queue());
  service.arrive("p-bob");
  service.arrive("p-cyd", "p-dan");
  await clock.pass(2500);
  assert.equal(ticket.state, "matched");
  assert.deepEqual(told["p-ann"], ["waiting", "matched", `matched ${matchOf(ticket).id}`]);
});

test("one who declines is out with his party, the others keep their place", async () => {
  const stage = rig();
  const { clock, service, told } = stage;
  const { leads, follows } = await proposal(stage);
  const waited = leads.waitedMs ?? 0;
  const first = matchOf(leads).id;
  service.answerFor("p-dan", false);
  await clock.pass(1500);
  assert.deepEqual([leads.state, leads.match], ["waiting", null]);
  assert.ok((leads.waitedMs ?? 0) > waited + 1400);
  assert.ok(told["p-ann"]?.includes(`requeued ${first}`));

  service.arrive("p-eve", "p-fay");
  await clock.pass(1500);
  assert.equal(leads.state, "proposed");
  await passUntil(clock, follows.decline());
  await clock.pass(1500);
  for (const player of ["p-ann", "p-bob"]) {
    assert.equal(told[player]?.at(-1), "ended: not-accepted");
  }
  assert.equal(leads.detail.problem, null);
  assert.equal(service.requests.filter((line) => line.endsWith("/acceptance")).length, 1);
});

test("a match that was abandoned and one that came since are two", async () => {
  const stage = rig();
  const { clock, service, told } = stage;
  const { leads } = await proposal(stage);
  const first = matchOf(leads).id;
  service.answerFor("p-dan", false);
  service.arrive("p-eve", "p-fay");
  await clock.pass(1500);
  const second = matchOf(leads).id;
  assert.notEqual(first, second);
  assert.deepEqual(told["p-ann"]?.slice(-2), [`requeued ${first}`, `proposed ${second}`]);
});

test("accepting too late says so, and the ticket goes on", async () => {
  const stage = rig();
  const { clock, service } = stage;
  const { leads } = await proposal(stage);
  service.answerFor("p-dan", false);
  await assert.rejects(passUntil(clock, leads.accept()), { problem: "not-accepted" });
  await clock.pass(1500);
  assert.equal(leads.state, "waiting");
});

test("the leader cancels, and his party is told", async () => {
  const stage = rig();
  const { clock, service, told } = stage;
  const { leads, follows } = await proposal(stage);
  await assert.rejects(passUntil(clock, follows.cancel()), { problem: "not-leader" });
  assert.equal(follows.state, "proposed");
  await passUntil(clock, leads.cancel());
  assert.equal(leads.state, "ended");
  await clock.pass(1500);
  assert.equal(told["p-ann"]?.at(-1), "ended: cancelled");
  assert.equal(told["p-bob"]?.at(-1), "ended: cancelled");
  const before = service.requests.length;
  await clock.pass(60_000);
  assert.equal(service.requests.length, before, "an ended ticket is asked for no more");
});

test("a player who was invited declines by leaving", async () => {
  const { clock, of, service } = rig();
  const [ann, bob] = [of("p-ann"), of("p-bob")];
  const leads = await passUntil(clock, ann.queue("p-bob"));
  const follows = await passUntil(clock, bob.maker.open({ queue: "squads", ticket: leads.id }));
  await passUntil(clock, follows.leave());
  await clock.pass(1500);
  assert.deepEqual([leads.state, follows.state], ["ended", "ended"]);
  assert.equal(service.open.length, 0);
});

test("a page that was loaded again finds its ticket, and none when there is none", async () => {
  const { clock, of, service } = rig();
  assert.equal(await passUntil(clock, of("p-ann").maker.resume()), null);
  const first = await passUntil(clock, of("p-ann").queue());
  first.close();
  assert.equal(first.detail.reason, "closed");
  await clock.pass(30_000);
  const again = await passUntil(clock, of("p-ann").maker.resume());
  assert.equal(again?.id, first.id);
  assert.equal(again?.state, "waiting");
  again?.close();
  await clock.pass(90_000);
  assert.equal(await passUntil(clock, of("p-ann").maker.resume()), null);
  assert.equal(service.open.length, 0);
});

test("a page that is loaded again in a match finds it while it runs", async () => {
  const { clock, of, service, told } = rig();
  service.acceptMs = 0;
  const first = await passUntil(clock, of("p-ann").queue());
  for (const other of ["p-b", "p-c", "p-d"]) service.arrive(other);
  await clock.pass(2500);
  const again = await passUntil(clock, of("p-ann").maker.resume({ on: of("p-ann").on }));
  assert.ok(again);
  assert.equal(again.state, "matched");
  assert.equal(matchOf(again).id, matchOf(first).id);
  assert.equal(matchOf(again).joinable, true);
  assert.equal(told["p-ann"]?.at(-1), `matched ${matchOf(first).id}`);
  await passUntil(clock, again.leave());
  assert.equal(await passUntil(clock, of("p-ann").maker.resume()), null);
});

test("a clock that is wrong changes no wait and no countdown", async () => {
  for (const aheadMs of [-600_000, 3_600_000]) {
    const stage = rig();
    stage.service.aheadMs = aheadMs;
    const { leads } = await proposal(stage);
    const left = matchOf(leads).acceptLeftMs ?? 0;
    assert.ok(left > 16_000 && left <= 20_000, `${left}`);
    const waited = leads.waitedMs ?? 0;
    assert.ok(waited > 1000 && waited < 4000, `${waited}`);
  }
});

test("a party never queues twice, however often the reply is lost", async () => {
  const { clock, of, service, told } = rig();
  service.weather = { ...FINE, loseReply: 1 };
  const queued = of("p-ann").queue();
  await clock.pass(8000);
  assert.ok(service.requests.length > 3);
  assert.deepEqual(told["p-ann"]?.[0], "queueing: network");
  service.weather = FINE;
  const ticket = await passUntil(clock, queued);
  assert.equal(service.tickets.size, 1);
  assert.equal(ticket.detail.problem, null);
  await assert.rejects(passUntil(clock, of("p-ann").queue()), { problem: "already-queued" });
});

test("a network that is away for half a minute costs nothing", async () => {
  const { clock, of, service, told } = rig();
  const ticket = await passUntil(clock, of("p-ann").queue());
  service.online = false;
  await clock.pass(30_000);
  assert.equal(ticket.state, "waiting");
  assert.equal(ticket.detail.problem?.problem, "network");
  assert.ok((ticket.detail.retryInMs ?? 0) > 0);
  service.online = true;
  await clock.pass(6000);
  assert.deepEqual([ticket.state, ticket.detail.problem], ["waiting", null]);
  assert.equal(told["p-ann"]?.filter((line) => line.startsWith("ended")).length, 0);
});

test("who is away longer than the grace time is told that the place is lost", async () => {
  const { clock, of, service, told } = rig();
  const ticket = await passUntil(clock, of("p-ann").queue());
  service.online = false;
  await clock.pass(90_000);
  service.online = true;
  await clock.pass(6000);
  assert.equal(told["p-ann"]?.at(-1), "ended: expired");
  assert.equal(ticket.detail.problem?.problem, "ticket-expired");
});

test("busy answers are waited out, refusals are not", async () => {
  const { clock, of, service } = rig();
  service.refusals.push([503, "overloaded"], [429, "http-429"], [409, "conflict"]);
  const ticket = await passUntil(clock, of("p-ann").queue());
  assert.equal(ticket.state, "waiting");
  service.refusals.push([403, "policy-refused"]);
  await clock.pass(2000);
  assert.deepEqual([ticket.detail.reason, ticket.state], ["refused", "ended"]);

  const bob = of("p-bob");
  const ended = assert.rejects(passUntil(clock, bob.queue("p-1", "p-2", "p-3")), {
    problem: "party-too-large",
    status: 422,
  });
  await ended;
  await assert.rejects(passUntil(clock, bob.maker.rules("nowhere")), { problem: "unknown-queue" });
});

test("a search that is called off on the way leaves no ticket", async () => {
  const { clock, of, service } = rig();
  const [ann, quit] = [of("p-ann"), new AbortController()];
  const queued = ann.maker.queue({ queue: "squads", signal: quit.signal });
  const refused = assert.rejects(queued, { problem: "left" });
  await settled();
  quit.abort();
  await clock.pass(1000);
  await refused;
  assert.equal(service.open.length, 0);

  service.online = false;
  const late = new AbortController();
  const offline = ann.maker.queue({ queue: "squads", signal: late.signal });
  const ended = assert.rejects(offline, { problem: "left" });
  await clock.pass(2000);
  late.abort();
  await clock.pass(100);
  await ended;
});

test("why it waits is told in numbers", async () => {
  const { clock, of } = rig();
  const ticket = await passUntil(clock, of("p-ann").queue());
  await clock.pass(5000);
  const [why] = await passUntil(clock, ticket.explain());
  assert.deepEqual(why, {
    mode: "squads-2v2",
    matchable: false,
    waitedS: 5,
    fault: null,
    playersMissing: 2,
    blockedBy: ["latency.max_ms"],
    candidates: [{ rule: "latency.max_ms", tickets: 0 }],
    nextExpansionS: 12,
    nextExpansionPaths: ["latency.max_ms"],
    estimateS: null,
  });
});

test("a match's token is used by all at first, and is fresh for a later reconnect", async () => {
  const { clock, of, service } = rig();
  service.acceptMs = 0;
  const ticket = await passUntil(clock, of("p-ann").queue("p-bob"));
  const bob = of("p-bob");
  const other = await passUntil(clock, bob.maker.open({ queue: "squads", ticket: ticket.id }));
  service.arrive("p-cyd", "p-dan");
  await passUntil(clock, other.joinParty());
  await clock.pass(1500);
  const match = matchOf(ticket);
  const first = await match.token();
  const asked = service.requests.length;
  assert.equal(await match.token(), first);
  assert.equal(service.requests.length, asked);
  await clock.pass(61_000);
  const both = Promise.all([match.token(), match.token()]);
  const [second, third] = await passUntil(clock, both);
  assert.notEqual(second, first);
  assert.equal(third, second);
  assert.equal(service.requests.length, asked + 1);

  const found = service.matches.get(match.id);
  if (found) found.status = "over";
  await clock.pass(61_000);
  await assert.rejects(passUntil(clock, match.token()), { problem: "match-not-running" });
});

test("a spectator gets a seat of his own, and a fresh token by taking it again", async () => {
  const { clock, of, service } = rig();
  service.acceptMs = 0;
  service.arrive("p-a", "p-b");
  service.arrive("p-c", "p-d");
  const [id = ""] = service.matches.keys();
  const eve = of("p-eve").maker;
  await assert.rejects(passUntil(clock, eve.match(id)), { problem: "not-in-match" });
  const match = await passUntil(clock, eve.spectate(id));
  assert.deepEqual([match.team, match.channels, match.opponents], [null, ["all"], []]);
  await clock.pass(61_000);
  await passUntil(clock, match.token());
  assert.match(service.requests.at(-1) ?? "", /^POST .*\/spectators$/);
});

test("rules and rating of a queue", async () => {
  const { clock, of, service } = rig();
  const { maker } = of("p-ann");
  service.regions = { here: { probe: "/" }, there: { probe: "https://there.example/p" } };
  assert.deepEqual(await passUntil(clock, maker.rules("squads")), {
    version: 3,
    modes: [MODE],
    regions: service.regions,
  });
  const rating = { mu: 25, sigma: 8, matches: 0 };
  assert.deepEqual(await passUntil(clock, maker.rating("squads")), rating);
});

test("on a bad network everybody is matched once all the same", async () => {
  for (let seed = 0; seed < 40; seed += 1) {
    const { clock, of, random, service, told } = rig({ seed });
    const trouble = () => random() * 0.4;
    service.weather = { lose: trouble(), loseReply: trouble(), busy: trouble(), delayMs: 400 };
    // A reply that is as late as the proposal's end is an own matter.
    service.acceptMs = 120_000;
    const names = ["p-a", "p-b", "p-c", "p-d"];
    const tickets = await passUntil(clock, Promise.all(names.map((name) => of(name).queue())));
    for (const ticket of tickets) {
      const accept = () => {
        ticket.accept().catch(() => ticket.state === "proposed" && accept());
      };
      if (ticket.match) accept();
      else ticket.on("proposed", accept);
    }
    await clock.pass(100_000);
    const at = `seed ${seed}: ${JSON.stringify(told)}`;
    assert.equal(service.tickets.size, 4, at);
    assert.deepEqual(tickets.map(({ state }) => state), Array(4).fill("matched"), at);
    for (const name of names) {
      assert.equal(told[name]?.filter((line) => line.startsWith("matched ")).length, 1, at);
    }
  }
});
