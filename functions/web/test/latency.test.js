// How far regions are, measured on a network whose distances are known.

import assert from "node:assert/strict";
import { test } from "node:test";
import { measureLatency } from "../sdk/latency.js";
import { Matchmaker } from "../sdk/matchmaker.js";
import { FakeMatch } from "./fake-match.js";
import { passUntil, randomOf, runtimeOf, VirtualClock } from "./virtual.js";

/** Time to open a connection, besides the round trip. */
const OPENING_MS = 40;

/**
 * A network: `distances` are the round trips to addresses, infinite where nothing ever comes back;
 * what is not listed refuses.
 *
 * @param {Record<string, number>} distances
 */
function network(distances) {
  const clock = new VirtualClock();
  const service = new FakeMatch(clock, randomOf(1));
  /** Every probe. @type {{ url: string, init: RequestInit }[]} */
  const probes = [];
  const opened = new Set();
  /** @param {string} url @param {RequestInit} init @returns {Promise<Response>} */
  const fetch = async (url, init) => {
    if (init.method !== "HEAD") return service.fetch(url, init);
    probes.push({ url, init });
    const distance = distances[url];
    if (distance === undefined) throw new TypeError("refused");
    await clock.sleep(distance + (opened.has(url) ? 0 : OPENING_MS), init.signal ?? undefined);
    if (init.signal?.aborted) throw new DOMException("", "AbortError");
    opened.add(url);
    return new Response(null, { status: 404 });
  };
  const runtime = runtimeOf(clock, randomOf(2), fetch);
  const maker = (player = "p-ann") =>
    new Matchmaker({ token: () => FakeMatch.token(player), runtime });
  return { clock, maker, probes, runtime, service };
}

const NEAR = "https://near.example/";
const FAR = "https://far.example/p";
const REGIONS = { near: { probe: NEAR }, far: { probe: FAR } };

test("a region is as far as its best request, without the opening of the connection", async () => {
  const { clock, probes, runtime } = network({ [NEAR]: 12, [FAR]: 180 });
  const startedMs = clock.nowMs;
  const measured = await passUntil(clock, measureLatency(REGIONS, { runtime }));
  assert.deepEqual(measured, { near: 12, far: 180 });
  const oneByOne = 4 * 12 + 4 * 180 + 2 * OPENING_MS;
  assert.ok(clock.nowMs - startedMs < oneByOne + 20, "all regions at once");
  for (const { init } of probes) {
    assert.deepEqual([init.credentials, init.mode, init.cache], ["omit", "no-cors", "no-store"]);
    assert.equal(init.headers, undefined, "no token goes to others");
  }
});

test("who does not answer, or refuses, is left out in time", async () => {
  const { clock, runtime } = network({ [NEAR]: 12, [FAR]: Infinity });
  const regions = { ...REGIONS, gone: { probe: "https://gone.example/" } };
  const startedMs = clock.nowMs;
  const measured = await passUntil(clock, measureLatency(regions, { runtime, budgetMs: 700 }));
  assert.deepEqual(measured, { near: 12 });
  assert.ok(clock.nowMs - startedMs < 750);
  const stop = new AbortController();
  const measuring = measureLatency({ far: { probe: FAR } }, { runtime, signal: stop.signal });
  stop.abort();
  assert.deepEqual(await passUntil(clock, measuring), {});
});

test("a path is asked of the edge", async () => {
  const { clock, probes, runtime } = network({ "https://edge.example/ping": 3 });
  const regions = { here: { probe: "/ping" } };
  const edge = "https://edge.example/";
  assert.deepEqual(await passUntil(clock, measureLatency(regions, { edge, runtime })), { here: 3 });
  assert.ok(probes.every(({ url }) => url === "https://edge.example/ping"));
});

test("who queues tells how far the queue's regions are", async () => {
  const { clock, maker, probes, service } = network({ [NEAR]: 12, [FAR]: 180 });
  service.regions = REGIONS;
  const ann = maker();
  assert.deepEqual(await passUntil(clock, ann.latency("squads")), { near: 12, far: 180 });
  const measured = probes.length;
  const ticket = await passUntil(clock, ann.queue({ queue: "squads" }));
  assert.equal(probes.length, measured, "what was measured lately is taken");
  const details = () => service.open[0]?.details.get("p-ann");
  assert.deepEqual(details()?.latency_ms, { near: 12, far: 180 });
  await passUntil(clock, ticket.cancel());
  await clock.pass(300_001);
  await passUntil(clock, ann.queue({ queue: "squads" }));
  assert.ok(probes.length > measured, "players move");
});

test("who is invited measures too, and what a game measured is taken", async () => {
  const { clock, maker, probes, service } = network({ [NEAR]: 12, [FAR]: 180 });
  service.regions = REGIONS;
  const latencyMs = { near: 7.4 };
  await passUntil(clock, maker("p-bob").queue({ queue: "squads", party: ["p-ann"], latencyMs }));
  assert.equal(probes.length, 0);
  const ann = maker("p-ann");
  const [invitation] = await passUntil(clock, ann.invitations());
  assert.ok(invitation);
  const ticket = await passUntil(clock, ann.open(invitation));
  await passUntil(clock, ticket.joinParty());
  const details = service.open[0]?.details;
  assert.deepEqual(details?.get("p-bob").latency_ms, { near: 7 });
  assert.deepEqual(details?.get("p-ann").latency_ms, { near: 12, far: 180 });
});

test("that nobody answered is not kept", async () => {
  const distances = { [NEAR]: Infinity };
  const { clock, maker, service } = network(distances);
  service.regions = { near: { probe: NEAR } };
  const ann = maker();
  assert.deepEqual(await passUntil(clock, ann.latency("squads")), {});
  distances[NEAR] = 12;
  assert.deepEqual(await passUntil(clock, ann.latency("squads")), { near: 12 });
});

test("without regions, or when nobody answers, a party queues all the same", async () => {
  const { clock, maker, probes, service } = network({});
  await passUntil(clock, maker().queue({ queue: "squads" }));
  assert.equal(probes.length, 0);
  assert.equal(service.open[0]?.details.get("p-ann").latency_ms, undefined);
  const [other, unreachable] = [network({}), network({ [NEAR]: Infinity })];
  for (const { clock, maker, service } of [other, unreachable]) {
    service.regions = { near: { probe: NEAR } };
    const ticket = await passUntil(clock, maker().queue({ queue: "squads" }));
    assert.equal(ticket.state, "waiting");
    assert.equal(service.open[0]?.details.get("p-ann").latency_ms, undefined);
  }
});
