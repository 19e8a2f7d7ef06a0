// The rules of a stay in a room, by the reducer alone: what each event does, that nothing in any
// order breaks it, and how a thousand clients come back together.

/** @import { RelayMessage } from "../sdk/messages.js" */
/** @import { Room, RoomEffect, RoomEvent } from "../sdk/room-state.js" */

import assert from "node:assert/strict";
import { test } from "node:test";
import { HANDOVER_MAX_MS, SETTLE_MS } from "../sdk/handover.js";
import { problemOf } from "../sdk/problem.js";
import { reduce } from "../sdk/room-machine.js";
import { dueAt, isOver, newRoom } from "../sdk/room-state.js";
import {
  icePatience,
  JOIN_MAX_MS,
  RETURN_WITHIN_MS,
  STABLE_AFTER_MS,
  WELCOME_MAX_MS,
} from "../sdk/schedule.js";
import { randomOf } from "./virtual.js";

const ME = "p-me";

/** @param {number} id @param {string} player */
function personOf(id, player) {
  const silent = { muted: false, serverMuted: false, deafened: false };
  const rest = { channels: ["main"], ...silent, speaker: true };
  return { id, player, name: player, ...rest };
}

/** @param {...string} others @returns {RelayMessage} */
function welcome(...others) {
  const participants = [ME, ...others].map((player, at) => personOf(at + 1, player));
  return { type: "welcome", participant: 1, room: "lobby", slots: 2, participants, count: null };
}

/** @param {string} player @returns {RelayMessage} */
function arrival(player) {
  return { type: "roster", joined: [personOf(9, player)], left: [], changed: [], count: null };
}

/** A room that is driven by hand. */
class Driver {
  now = 0;
  /** @type {RoomEffect[]} */
  effects = [];
  room;

  /** @param {{ listens?: boolean, muted?: boolean }} [options] */
  constructor({ listens = false, muted = false } = {}) {
    this.room = newRoom({ slots: 2, listens, muted });
  }

  /** @param {RoomEvent} event @param {number} [random] */
  on(event, random = 1) {
    const turned = reduce(this.room, event, this.now, random);
    this.room = turned.room;
    this.effects.push(...turned.effects);
    return turned.effects;
  }

  /** Lets time pass, from one `dueAt` to the next. @param {number} ms */
  pass(ms) {
    const until = this.now + ms;
    for (let due; (due = dueAt(this.room)) !== null && due <= until; ) {
      this.now = Math.max(this.now, due);
      this.on({ type: "tick" });
    }
    this.now = until;
  }

  /** @param {number} link @param {RelayMessage} message */
  say(link, message) {
    return this.on({ type: "message", link, message });
  }

  /** Brings the connection that is on its way to its welcome. @param {...string} others */
  admit(...others) {
    const link = this.room.links;
    this.on({ type: "asked", link });
    this.on({ type: "replied", link, hello: "sealed", relay: `relay-${link}` });
    this.on({ type: "reachable", link });
    this.on({ type: "opened", link });
    this.say(link, welcome(...others));
    return link;
  }

  /** Answers pings for a while. @param {number} ms */
  live(ms) {
    const pong = () => this.say(this.room.current?.id ?? 0, { type: "pong", id: 0 });
    for (const until = this.now + ms; this.now < until; pong()) {
      this.pass(Math.min(500, until - this.now));
    }
  }

  /** What was told or done since the last look, in words. */
  take() {
    return this.effects.splice(0).map((effect) => {
      if (effect.type === "tell") {
        return effect.name === "state" ? effect.detail.state : effect.name;
      }
      if (effect.type === "send") return `${String(effect.message.type)} to ${effect.link}`;
      return "link" in effect ? `${effect.type} ${effect.link}` : effect.type;
    });
  }
}

/** In the room, alone or with others. @param {...string} others */
function inRoom(...others) {
  const driver = new Driver();
  driver.on({ type: "join" });
  driver.on({ type: "microphone", microphone: true });
  driver.admit(...others);
  driver.take();
  return driver;
}

test("the way in: microphone, one connection, hello first, welcome", () => {
  const driver = new Driver();
  driver.on({ type: "join" });
  assert.deepEqual(driver.take(), ["start", "microphone", "open-microphone"]);
  driver.on({ type: "microphone", microphone: true });
  assert.deepEqual(driver.take(), ["connecting", "open 1"]);
  driver.admit("p-a");
  assert.deepEqual(driver.take(), [
    "hello to 1",
    "attach 1",
    "connected",
    "gain 1",
    "roster",
    "speaking",
    "slots",
    "playback",
  ]);
});

test("who only listens is not asked for a microphone, and the relay hears that", () => {
  const driver = new Driver({ listens: true });
  driver.on({ type: "join" });
  assert.deepEqual(driver.take(), ["start", "connecting", "open 1"]);
  driver.admit();
  assert.ok(driver.take().includes("state to 1"));
});

test("each step of an attempt has its time, and the next one comes by the schedule", () => {
  const steps = /** @type {[RoomEvent["type"][], number, string][]} */ ([
    [["asked"], JOIN_MAX_MS, "network"],
    [["asked", "replied"], icePatience(0), "relay-unreachable"],
    [["asked", "replied", "reachable"], WELCOME_MAX_MS, "relay-unreachable"],
    [["asked", "replied", "reachable", "opened"], WELCOME_MAX_MS, "relay-unreachable"],
  ]);
  for (const [events, patience, problem] of steps) {
    const driver = new Driver({ listens: true });
    driver.on({ type: "join" });
    for (const type of events) {
      driver.on(/** @type {RoomEvent} */ ({ type, link: 1, hello: "sealed" }));
    }
    driver.pass(patience - 1);
    assert.equal(driver.room.joining?.id, 1);
    driver.pass(1);
    assert.equal(driver.room.detail.problem?.problem, problem);
    assert.deepEqual([driver.room.joining, driver.room.detail.retryInMs], [null, 250]);
    driver.pass(250);
    assert.equal(driver.room.joining?.id, 2);
  }
});

test("a token may take as long as it likes", () => {
  const driver = new Driver({ listens: true });
  driver.on({ type: "join" });
  assert.equal(dueAt(driver.room), null);
  driver.pass(3_600_000);
  driver.admit();
  assert.equal(driver.room.detail.state, "connected");
});

test("Retry-After is waited out, and the network's return cuts any pause short", () => {
  const driver = new Driver({ listens: true });
  driver.on({ type: "join" });
  const problem = { ...problemOf("too-many", ""), status: 429, retryAfterMs: 3000 };
  driver.on({ type: "failed", link: 1, problem });
  assert.equal(driver.room.detail.retryInMs, 3000);
  driver.pass(2000);
  driver.on({ type: "online" });
  assert.deepEqual([driver.room.joining?.id, driver.room.detail.retryInMs], [2, null]);
});

test("a silent relay is left after two seconds, and soon if one had been there for long", () => {
  const driver = inRoom("p-a");
  driver.live(STABLE_AFTER_MS);
  driver.take();
  driver.pass(1999);
  assert.equal(driver.room.detail.state, "connected");
  driver.pass(1);
  assert.equal(driver.room.detail.state, "reconnecting");
  const done = driver.take().filter((what) => !what.startsWith("ping"));
  assert.deepEqual(done, ["close 1", "reconnecting", "speaking", "lose"]);
  // All of the relay lost it: they come back one after another.
  driver.pass(RETURN_WITHIN_MS - 1);
  assert.deepEqual(driver.take(), []);
  driver.pass(1);
  assert.deepEqual(driver.take(), ["open 2"]);
  assert.deepEqual(driver.room.people.map(({ id }) => id), [ME, "p-a"]);
});

test("the edge is told which relay was lost, until there is another", () => {
  const driver = inRoom();
  const opened = () => driver.effects.splice(0).flatMap((effect) =>
    effect.type === "open" ? [effect.lost] : []);
  driver.live(STABLE_AFTER_MS);
  driver.pass(2000 + RETURN_WITHIN_MS);
  assert.deepEqual(opened(), ["relay-1"]);
  // The edge sends us there, or to another that does not answer either.
  driver.on({ type: "asked", link: 2 });
  driver.on({ type: "replied", link: 2, hello: "sealed", relay: "relay-2" });
  driver.pass(icePatience(0) + 250);
  assert.deepEqual(opened(), ["relay-2"]);
  // An edge that is away says nothing of relays.
  driver.on({ type: "failed", link: 3, problem: problemOf("network", "") });
  driver.pass(500);
  assert.deepEqual(opened(), ["relay-2"]);
  driver.admit();
  driver.say(4, { type: "migrate" });
  assert.deepEqual(opened(), [], "it asked too soon after the last");
  driver.pass(5000);
  assert.deepEqual(opened(), [null], "a move is no loss");
});

test("who was hardly in the room waits before he comes back", () => {
  const driver = inRoom();
  driver.on({ type: "failed", link: 1, problem: problemOf("connection-lost", "") });
  assert.equal(driver.room.detail.retryInMs, 250);
});

test("a move: the new connection is welcomed before goodbye is said to the old one", () => {
  const driver = inRoom("p-a");
  driver.live(STABLE_AFTER_MS);
  driver.say(1, { type: "migrate" });
  assert.equal(driver.room.detail.state, "connected");
  driver.take();
  driver.admit();
  assert.equal(driver.room.moving?.link.id, 1);
  assert.deepEqual(driver.room.people.map(({ id }) => id), [ME, "p-a"]);
  // Who is still there is heard from there, and from there alone.
  driver.say(1, { type: "slots", slots: [{ slot: 0, participant: 2 }] });
  driver.say(2, { type: "slots", slots: [{ slot: 1, participant: 9 }] });
  assert.deepEqual(gainsOf(driver), { 1: [1, 1], 2: [1, 1] });
  driver.say(2, arrival("p-a"));
  assert.deepEqual(gainsOf(driver), { 1: [1, 1], 2: [1, 0] });
  driver.take();
  driver.pass(SETTLE_MS);
  assert.equal(driver.room.moving, null);
  assert.ok(driver.take().includes("leave to 1"));
  assert.deepEqual(gainsOf(driver)[2], [1, 1]);
});

test("during a move a louder voice is louder on the relay that it comes from", () => {
  const driver = inRoom("p-a", "p-b");
  driver.live(STABLE_AFTER_MS);
  driver.say(1, { type: "slots", slots: [{ slot: 0, participant: 2 }] });
  driver.say(1, { type: "slots", slots: [{ slot: 1, participant: 3 }] });
  driver.say(1, { type: "migrate" });
  driver.admit("p-b");
  driver.pass(SETTLE_MS);
  driver.on({ type: "volume", player: "p-a", volume: 1.5 });
  driver.on({ type: "volume", player: "p-b", volume: 7 });
  assert.deepEqual(gainsOf(driver)[1], [1.5, 0]);
  driver.say(2, { type: "slots", slots: [{ slot: 0, participant: 2 }] });
  assert.deepEqual(gainsOf(driver)[2], [2, 1]);
});

/** The last gains of each connection. @param {Driver} driver */
function gainsOf(driver) {
  const gains = /** @type {Record<number, number[]>} */ ({});
  driver.on({ type: "volume", player: "nobody", volume: 1 });
  for (const effect of driver.effects) {
    if (effect.type === "gain") gains[effect.link] = effect.gains;
  }
  return gains;
}

test("a move that does not end is ended", () => {
  const driver = inRoom("p-a");
  driver.live(STABLE_AFTER_MS);
  driver.say(1, { type: "migrate" });
  driver.admit();
  for (const until = driver.now + HANDOVER_MAX_MS; driver.now < until; ) {
    driver.say(1, { type: "pong", id: 0 });
    driver.live(500);
  }
  assert.equal(driver.room.moving, null);
  assert.equal(driver.room.detail.state, "connected");
});

test("a refusal during a move ends the stay, a passing one does not", () => {
  const driver = inRoom();
  driver.live(STABLE_AFTER_MS);
  driver.say(1, { type: "migrate" });
  driver.on({ type: "failed", link: 2, problem: { ...problemOf("busy", ""), status: 503 } });
  assert.deepEqual([driver.room.detail.state, driver.room.attempt], ["connected", 1]);
  driver.pass(250);
  driver.on({ type: "failed", link: 3, problem: { ...problemOf("expired", ""), status: 401 } });
  assert.equal(driver.room.detail.state, "refused");
  assert.equal(driver.room.detail.problem?.problem, "expired");
  assert.ok(driver.take().includes("leave to 1"));
});

test("whoever is replaced by himself goes on; by another, he is out", () => {
  const driver = inRoom();
  driver.live(STABLE_AFTER_MS);
  driver.say(1, { type: "migrate" });
  driver.say(1, { type: "ended", reason: "replaced" });
  assert.equal(driver.room.detail.state, "reconnecting");
  driver.admit();
  driver.say(2, { type: "ended", reason: "replaced" });
  const { state, reason, problem } = driver.room.detail;
  assert.deepEqual([state, reason, problem?.problem], ["left", "replaced", "replaced"]);
  assert.equal(dueAt(driver.room), null);
});

test("a relay that is being left throws nobody out", () => {
  const driver = inRoom("p-a");
  driver.live(STABLE_AFTER_MS);
  driver.say(1, { type: "migrate" });
  driver.admit();
  driver.say(1, { type: "ended", reason: "kicked" });
  assert.deepEqual([driver.room.detail.state, driver.room.moving], ["connected", null]);
});

test("a relay that says migrate again and again is left at the schedule's pace", () => {
  const driver = inRoom();
  const pauses = /** @type {number[]} */ ([]);
  for (let round = 0; round < 8; round += 1) {
    driver.say(driver.room.links, { type: "migrate" });
    driver.say(driver.room.links, { type: "migrate" });
    const pause = driver.room.detail.retryInMs ?? 0;
    pauses.push(pause);
    // The old one would be left by its silence otherwise.
    while (driver.room.pauseUntil !== null) driver.live(50);
    driver.admit();
  }
  assert.deepEqual(pauses, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
  driver.live(STABLE_AFTER_MS);
  driver.say(driver.room.links, { type: "migrate" });
  assert.equal(driver.room.detail.retryInMs, null);
});

test("what is muted stays muted, and each new relay is told", () => {
  const driver = inRoom();
  driver.on({ type: "own-state", muted: true, deafened: true });
  assert.deepEqual(driver.take(), ["own-state", "state to 1"]);
  driver.live(STABLE_AFTER_MS);
  driver.on({ type: "failed", link: 1, problem: problemOf("connection-lost", "") });
  driver.pass(RETURN_WITHIN_MS);
  driver.effects = [];
  driver.admit();
  const sent = driver.effects.find((it) => it.type === "send" && it.message.type === "state");
  const message = { type: "state", muted: true, deafened: true };
  assert.deepEqual(sent, { type: "send", link: 2, message });
});

test("without a microphone nobody comes in who has not asked to listen; later it goes on", () => {
  const absent = problemOf("microphone-absent", "");
  const outside = new Driver();
  outside.on({ type: "join" });
  outside.on({ type: "no-microphone", problem: absent });
  assert.deepEqual([outside.room.detail.state, outside.room.detail.problem], ["refused", absent]);
  const driver = inRoom();
  driver.on({ type: "microphone-lost" });
  driver.on({ type: "no-microphone", problem: absent });
  driver.on({ type: "microphone", microphone: false });
  assert.deepEqual(driver.take(), ["open-microphone", "error", "state to 1"]);
  assert.equal(driver.room.detail.state, "connected");
});

test("a page that is closed says goodbye, and one that was only hidden comes back", () => {
  const driver = inRoom();
  driver.on({ type: "pagehide" });
  assert.deepEqual(driver.take(), ["leave to 1"]);
  driver.say(1, { type: "ended", reason: "left" });
  assert.equal(driver.room.detail.state, "reconnecting");
});

// ---- any event in any order ---------------------------------------------------------------------

const FUZZ_SEEDS = Number(process.env.ROOM_FUZZ_SEEDS ?? 2000);
const FUZZ_EVENTS = 100;

/** @param {() => number} random @param {Room} room @returns {RoomEvent} */
function anyEvent(random, room) {
  const pick = (/** @type {readonly any[]} */ list) => list[Math.floor(random() * list.length)];
  // Mostly of the newest connection, so that it gets somewhere.
  const link = Math.max(0, room.links - Math.floor(random() ** 3 * 4));
  const status = pick([0, 0, 0, 0, 401, 429, 503]);
  const retryAfterMs = pick([null, 0, 1000, 1e9]);
  const problem = { ...problemOf(pick(["network", "kicked", "busy"]), ""), status, retryAfterMs };
  const players = ["p-a", "p-b", "p-c"].filter(() => random() < 0.5);
  const message = pick([
    welcome(...players),
    welcome(...players),
    arrival(pick(["p-a", "p-b"])),
    { type: "roster", joined: [], left: [2], changed: [], count: 300 },
    { type: "slots", slots: [{ slot: 1, participant: 2 }, { slot: 15, participant: 3 }] },
    { type: "speaking", started: [2], stopped: [3] },
    PONG,
    { type: "ended", reason: pick(["left", "timeout", "relay-stopping"]) },
    random() < 0.05 ? { type: "ended", reason: pick(["kicked", "replaced"]) } : null,
  ]);
  return pick([
    { type: "join" },
    { type: "microphone", microphone: random() < 0.8 },
    { type: "asked", link },
    { type: "replied", link, hello: "sealed", relay: `relay-${link}` },
    { type: "reachable", link },
    { type: "opened", link },
    { type: "message", link, message },
    { type: "message", link, message },
    { type: "tick" },
    { type: "message", link: room.current?.id ?? link, message: { type: "migrate" } },
    { type: "message", link: room.current?.id ?? link, message: { type: "migrate" } },
    { type: "failed", link, problem: random() < 0.8 ? problemOf("network", "") : problem },
    { type: "own-state", muted: random() < 0.5, deafened: random() < 0.5 },
    { type: "volume", player: "p-a", volume: random() * 9 - 3 },
    { type: pick(["online", "pagehide", "microphone-lost"]) },
    random() < 0.04 ? { type: "leave" } : { type: "tick" },
    random() < 0.04 ? { type: pick(["no-microphone", "unable"]), problem } : { type: "online" },
  ]);
}

const PONG = /** @type {const} */ ({ type: "pong", id: 1 });

/**
 * What happens next when all goes well.
 *
 * @param {Room} room
 * @returns {RoomEvent}
 */
function nextStep({ current, detail, joining }) {
  if (detail.state === "idle") return { type: "join" };
  if (detail.state === "microphone") return { type: "microphone", microphone: true };
  if (!joining && current) return { type: "message", link: current.id, message: PONG };
  if (!joining) return { type: "tick" };
  const { id: link, isOpen, step } = joining;
  if (step === "token") return { type: "asked", link };
  if (step === "asking") return { type: "replied", link, hello: "sealed", relay: `relay-${link}` };
  if (!isOpen) return { type: "opened", link };
  return { type: "message", link, message: welcome("p-a") };
}

/** Makes sure that nothing is changed in place. @template T @param {T} value @returns {T} */
function frozen(value) {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) frozen(part);
  return value;
}

/** What the effects amount to, and what must not be among them. */
class Ledger {
  /** @type {Map<number, "open" | "attached" | "detached">} */
  links = new Map();
  isOver = false;

  /** @param {RoomEffect} effect */
  note(effect) {
    assert.ok(!(this.isOver && effect.type === "tell"), "told after the end");
    if (effect.type === "tell" && effect.name === "state") {
      this.isOver = ["left", "refused"].includes(effect.detail.state);
    }
    if (!("link" in effect)) return;
    const { type, link } = effect;
    const was = this.links.get(link);
    if (type === "open") assert.equal(was, undefined, "opened twice");
    else assert.ok(was, `${type} of a connection that is not open`);
    if (type === "open") this.links.set(link, "open");
    if (type === "close") this.links.delete(link);
    if (type === "attach") assert.equal(was, "open");
    if (type === "attach") this.links.set(link, "attached");
    if (type === "detach") assert.equal(was, "attached");
    if (type === "detach") this.links.set(link, "detached");
    if (type === "gain") assert.equal(was, "attached");
  }
}

/** @param {number} seed @param {{ add: (what: string) => void }} seen */
function fuzz(seed, seen) {
  const random = randomOf(seed);
  const ledger = new Ledger();
  let now = random() * 1e6;
  let room = newRoom({ slots: 2, listens: random() < 0.3, muted: random() < 0.3 });
  const turn = (/** @type {RoomEvent} */ event) => {
    const chance = random();
    const turned = reduce(frozen(structuredClone(room)), event, now, chance);
    const again = seed % 10 === 0 ? reduce(room, event, now, chance) : turned;
    assert.deepEqual([again.room, again.effects], [turned.room, turned.effects]);
    ({ room } = turned);
    turned.effects.forEach((effect) => ledger.note(effect));
    const { joining, current, moving, leaving } = room;
    const known = [joining, current, moving?.link, ...leaving].flatMap((link) => link?.id ?? []);
    assert.deepEqual([...ledger.links.keys()].sort(), known.sort(), "open and not known");
    assert.ok(!moving || current, "a move to nowhere");
    assert.equal(isOver(room), ledger.isOver);
    seen.add(room.detail.state);
    if (moving) seen.add("moving");
    if (moving && joining) seen.add("moving on");
  };
  for (let event = 0; event < FUZZ_EVENTS; event += 1) {
    const due = dueAt(room);
    // Some come late, as in a tab that sleeps.
    if (due !== null && random() < 0.5) now = Math.max(now, due) + random() ** 8 * 30_000;
    else now += random() * 300;
    turn(random() < 0.6 ? nextStep(room) : anyEvent(random, room));
  }
  turn({ type: "leave" });
  assert.ok(isOver(room));
  if (ledger.links.size > 1) seen.add("two were left");
  for (let ticks = 0; dueAt(room) !== null; ticks += 1) {
    assert.ok(ticks < 10, "time does not end");
    now = Math.max(now, dueAt(room) ?? 0);
    turn({ type: "tick" });
  }
  assert.equal(ledger.links.size, 0, "connections are open");
}

test("no event in any order opens too much, forgets what is open or tells after the end", (t) => {
  const counts = /** @type {Record<string, number>} */ ({});
  for (let seed = 0; seed < FUZZ_SEEDS; seed += 1) {
    const seen = new Set();
    try {
      fuzz(seed, seen);
    } catch (cause) {
      throw new Error(`seed ${seed} of the fuzz test: ${cause}`, { cause });
    }
    for (const what of seen) counts[what] = (counts[what] ?? 0) + 1;
  }
  t.diagnostic(JSON.stringify(counts));
  // It gets to where something can go wrong.
  const rare = ["connected", "reconnecting", "moving", "moving on", "two were left"];
  for (const what of rare) assert.ok((counts[what] ?? 0) > FUZZ_SEEDS / 100, `seldom ${what}`);
});

// ---- many clients -------------------------------------------------------------------------------

/**
 * When each attempt of many clients begins, whose relay dies at one moment and whose edge refuses
 * for a while.
 *
 * @param {number} clients
 * @param {number | null} retryAfterMs
 */
function outage(clients, retryAfterMs) {
  const deathMs = 60_000;
  /** The times of all first attempts, of all second ones, and so on. @type {number[][]} */
  const attempts = [];
  for (let client = 0; client < clients; client += 1) {
    const random = randomOf(client);
    const driver = new Driver({ listens: true });
    // They came one by one, so their pings are apart.
    driver.now = random() * 30_000;
    driver.on({ type: "join" });
    driver.admit();
    while (driver.now < deathMs) {
      driver.pass(Math.min(1000, deathMs - driver.now));
      if (driver.now < deathMs) driver.say(1, { type: "pong", id: 0 });
    }
    for (let attempt = 0; attempt < 6; attempt += 1) {
      while (!driver.room.joining) {
        driver.now = Math.max(driver.now, dueAt(driver.room) ?? 0);
        driver.on({ type: "tick" }, random());
      }
      (attempts[attempt] ??= []).push(driver.now - deathMs);
      driver.now += 20;
      const problem = { ...problemOf("no-live-relay", ""), status: 503, retryAfterMs };
      driver.on({ type: "failed", link: driver.room.links, problem }, random());
    }
  }
  return attempts;
}

/** The most of a list within any 100 ms, as a share. @param {number[]} times */
function crowd(times) {
  const sorted = [...times].sort((a, b) => a - b);
  let most = 0;
  for (let from = 0, to = 0; to < sorted.length; to += 1) {
    while ((sorted[to] ?? 0) - (sorted[from] ?? 0) > 100) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most / sorted.length;
}

test("a thousand clients who lost the same relay come back spread over time", (t) => {
  for (const retryAfterMs of [null, 1000, 5000]) {
    const shares = outage(1000, retryAfterMs).map(crowd);
    const list = shares.map((share) => share.toFixed(2)).join(" ");
    t.diagnostic(`Retry-After ${retryAfterMs}: most in 100 ms, by attempt: ${list}`);
    // They notice within the second that is between two pings, and do not come closer.
    for (const share of shares) assert.ok(share < 0.16, list);
    // What the edge asks for is waited for to the millisecond: that spreads nobody.
    if (retryAfterMs === null) assert.ok((shares.at(-1) ?? 1) < 0.08, list);
  }
});
