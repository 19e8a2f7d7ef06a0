// One run of a voice room through trouble that a seed makes up, and what must hold whatever comes.

import assert from "node:assert/strict";
import { JOIN_MAX_MS, STABLE_AFTER_MS, WELCOME_MAX_MS } from "../sdk/schedule.js";
import { ME, WELL } from "./fake-relay.js";
import { FINE } from "./fake-service.js";
import { roomRig } from "./room-rig.js";
import { settled } from "./virtual.js";

/** @import { FakeRelays } from "./fake-relay.js" */
/** @import { Rig, Sdk } from "./room-rig.js" */

const STEPS = 24;
const PAUSE_MAX_MS = 5000;
/**
 * An attempt that trouble has spoilt is given up, the longest pause passes, the next one succeeds.
 */
export const BACK_WITHIN_MS = JOIN_MAX_MS + WELCOME_MAX_MS + PAUSE_MAX_MS + 1000;
/** How long a goodbye waits for the relay. */
const LEAVE_MAX_MS = 300;
/** What ends a stay, and the step that does. @type {Record<string, string>} */
const ENDS = {
  "left left": "left",
  "left kicked": "final: kicked",
  "left replaced": "final: joined elsewhere",
  "refused kicked": "final: kicked",
  "refused replaced": "final: joined elsewhere",
  "refused token-expired": "final: the token is no good",
  "refused microphone-absent": "the microphone is unplugged",
};
const OTHERS = ["p-a", "p-b", "p-c"];

/**
 * Runs a seed. Throws when something does not hold, with the steps that led there.
 *
 * @param {number} seed
 * @param {Sdk} [from]
 * @returns {Promise<{ backMs: number | null, attempts: number }>} how long it took to be back after
 *   the trouble, null when the stay was over before
 */
export async function play(seed, from) {
  const storm = new Storm(seed, from);
  try {
    return await storm.play();
  } catch (cause) {
    const steps = storm.steps.join("\n");
    throw new Error(`again with: ROOM_SEED=${seed} npm test\n${steps}\n${cause}`, { cause });
  }
}

class Storm {
  /** What happened, to read when something does not hold. @type {string[]} */
  steps = [];
  #rig;
  #wants = { muted: false, deafened: false };
  /** When the network was said to be back. @type {number[]} */
  #onlines = [];
  #isFinal = false;
  #joined = "pending";

  /** @param {number} seed @param {Sdk} [from] */
  constructor(seed, from) {
    /** @type {null | undefined} */
    const microphone = seed % 5 === 0 ? null : undefined;
    this.#wants.muted = seed % 7 === 0;
    this.#rig = roomRig({ seed, from, slots: 4, muted: this.#wants.muted, microphone });
    const { room, world } = this.#rig;
    for (const player of OTHERS) world.home?.others.add(player);
    room.on("state", ({ state, problem, reason, retryInMs }) => {
      this.#note(`  ${state} ${[problem?.problem, reason, retryInMs].join(" ").trim()}`);
    });
  }

  /** @param {string} what */
  #note(what) {
    this.steps.push(`${Math.round(this.#rig.clock.nowMs - 1_000_000)} ms ${what}`);
  }

  async play() {
    const { clock, random, room, token } = this.#rig;
    room.join().then(
      () => (this.#joined = "joined"),
      () => (this.#joined = "rejected"),
    );
    const steps = Math.floor(random() * STEPS);
    for (let step = 0; step < steps && !this.#isFinal; step += 1) {
      await this.#step();
      await clock.pass(random() < 0.2 ? random() * 8000 : random() * 1500);
      this.#check();
    }
    const wasOver = isOver(room.state);
    const backMs = wasOver || random() < 0.2 ? null : await this.#recover();
    await this.#leave();
    return { backMs, attempts: token.asked.length };
  }

  // ---- trouble ----------------------------------------------------------------------------------

  async #step() {
    const { random } = this.#rig;
    const choices = Object.entries(TROUBLE);
    const [name, act] = choices[Math.floor(random() * choices.length)] ?? [];
    const rare = name?.startsWith("final") && random() < 0.7;
    if (!name || !act || rare) return;
    this.#note(name);
    await act(this.#rig, this.#wants, this.#onlines);
  }

  // ---- what must hold ---------------------------------------------------------------------------

  #check() {
    const { room, told, world, token } = this.#rig;
    assert.deepEqual(world.faults, []);
    const ends = told.filter(({ name, detail }) => name === "state" && isOver(detail.state));
    assert.ok(ends.length <= 1, "it ended twice");
    if (ends.length === 1) assert.equal(told.at(-1), ends[0], "something was told after the end");
    this.#isFinal = isOver(room.state);
    if (this.#isFinal) this.#checkEnd();
    checkPace(token.asked, world.welcomes, this.#onlines);
  }

  /** It ends for what ended it, and for nothing that passes. */
  #checkEnd() {
    const { state, reason, problem } = this.#rig.room.detail;
    const cause = `${state} ${reason ?? problem?.problem}`;
    const what = ENDS[cause];
    assert.ok(what, `it ended as "${cause}"`);
    assert.ok(this.steps.some((step) => step.endsWith(what)), `"${cause}" without "${what}"`);
  }

  /** The trouble is over: it must be back in time, stay, and be as it was. */
  async #recover() {
    const { clock, room, tab, token, world } = this.#rig;
    this.#note("the trouble ends");
    world.heal();
    world.weather = FINE;
    tab.wake();
    token.fails = 0;
    const startedMs = clock.nowMs;
    let backMs = 0;
    // It may think that it is connected for as long as a silent relay is believed.
    while (clock.nowMs < startedMs + BACK_WITHIN_MS) {
      await clock.pass(100);
      if (isOver(room.state)) return null;
      if (room.state !== "connected") backMs = clock.nowMs - startedMs;
    }
    this.#check();
    assert.equal(room.state, "connected", `not back within ${BACK_WITHIN_MS} ms`);
    const attempts = token.asked.length;
    await clock.pass(25_000);
    this.#check();
    assert.equal(room.state, "connected", "it does not stay");
    assert.equal(token.asked.length, attempts, "attempts without need");
    assert.equal(this.#joined, "joined");
    this.#checkRoom(world);
    return backMs;
  }

  /** @param {FakeRelays} world */
  #checkRoom(world) {
    const { room, device } = this.#rig;
    const { session } = world;
    assert.ok(session, "no relay knows of it");
    assert.equal(world.open.size, 1, "a move that does not end");
    const { deafened } = this.#wants;
    const muted = this.#wants.muted || !room.hasMicrophone;
    assert.deepEqual(session.state, { muted, deafened }, "the relay was told something else");
    assert.deepEqual([room.muted, room.deafened], [muted, deafened]);
    assert.equal(device.silent, deafened);
    const live = device.tracks.filter(({ stopped }) => !stopped);
    assert.equal(live.length, room.hasMicrophone ? 1 : 0, "microphones are open");
    assert.equal(session.track, live[0] ?? null, "the relay gets another microphone");
    assert.ok(live.every(({ enabled }) => enabled === !this.#wants.muted));
    const there = world.relays.find(({ sessions }) => sessions.has(session))?.others ?? [];
    const people = room.participants.map(({ id }) => id);
    assert.deepEqual([...people].sort(), [ME, ...there].sort(), "the people are others");
  }

  /** Whenever it is left: nothing stays open, no timer runs, and nothing is told. */
  async #leave() {
    const { clock, device, room, tab, told, world } = this.#rig;
    this.#note("left");
    tab.wake();
    const wasOver = isOver(room.state);
    let isLeft = false;
    const left = room.leave().then(() => (isLeft = true));
    await settled();
    if (!wasOver) assert.deepEqual([room.state, room.detail.reason], ["left", "left"]);
    const events = told.length;
    assert.equal(device.playbacks, 0, "sound is open");
    assert.equal(device.outputs, 0, "slots are played");
    await clock.pass(LEAVE_MAX_MS + 1);
    assert.ok(isLeft, "leave is not over");
    await left;
    assert.equal(world.open.size, 0, "connections are open");
    assert.equal(tab.timers, 0, "timers run");
    await clock.pass(20_000);
    assert.deepEqual(told.slice(events), [], "told after the end");
    assert.ok(device.tracks.every(({ stopped }) => stopped), "a microphone is open");
    const open = [world.open.size, tab.timers, device.playbacks, device.outputs];
    assert.deepEqual(open, [0, 0, 0, 0], "something is open");
    assert.notEqual(this.#joined, "pending");
    this.#check();
  }
}

/** @param {string} state */
function isOver(state) {
  return state === "left" || state === "refused";
}

/**
 * Attempts keep to the schedule: each waits at least half of the pause of its number, which begins
 * anew only by a connection that has lived, and is cut short only by a network that is back.
 *
 * @param {number[]} asked when attempts began
 * @param {number[]} welcomes when one was successful
 * @param {number[]} onlines
 */
function checkPace(asked, welcomes, onlines) {
  let number = 0;
  let used = -Infinity;
  for (let at = 1; at < asked.length; at += 1) {
    const [before = 0, now = 0] = [asked[at - 1], asked[at]];
    const welcome = welcomes.findLast((ms) => ms <= now) ?? Infinity;
    const isStable = welcome > used && now - welcome >= STABLE_AFTER_MS;
    number = isStable ? 0 : number + 1;
    if (isStable) used = welcome;
    if (number === 0 || onlines.some((ms) => ms >= before && ms <= now)) continue;
    const least = Math.min(PAUSE_MAX_MS, 250 * 2 ** (number - 1)) / 2;
    const pause = now - before;
    assert.ok(pause >= least - 1, `attempt ${number} after ${Math.round(pause)} ms`);
  }
}

/** @param {FakeRelays} world @param {() => number} random */
function relayOf(world, random) {
  const relay = world.relays[Math.floor(random() * world.relays.length)];
  assert.ok(relay);
  // Most trouble is where one is.
  return random() < 0.7 ? (world.home ?? relay) : relay;
}

/**
 * What may happen; a name that begins with "final" ends the stay.
 *
 * @type {Record<string, (rig: Rig, wants: { muted: boolean, deafened: boolean },
 *   onlines: number[]) => void | Promise<void>>}
 */
const TROUBLE = {
  "a relay dies": ({ random, world }) => world.kill(relayOf(world, random), random() * 6000),
  "a relay is silent": ({ random, world }) => {
    relayOf(world, random).silent = true;
  },
  "a relay stops": ({ random, world }) => {
    const relay = relayOf(world, random);
    for (const session of relay.sessions) session.end("relay-stopping");
    world.kill(relay, random() * 3000);
  },
  "a relay drains": ({ clock, random, world }) => {
    const relay = relayOf(world, random);
    relay.draining = relay.sendsAway = true;
    relay.say({ type: "migrate" });
    for (const player of [...relay.others]) {
      // Somebody may stay until the relay ends.
      if (random() < 0.2) continue;
      clock.later(random() * 15_000, () => relay.move(player, false));
      clock.later(random() * 15_000, () => world.home?.move(player, true));
    }
  },
  "a relay says migrate again and again": ({ clock, random, world }) => {
    const relay = relayOf(world, random);
    for (let ms = 0; ms < 6000; ms += 50) {
      clock.later(ms, () => relay.say({ type: "migrate" }));
    }
  },
  "relays drop whom they welcome": ({ world }) => {
    for (const relay of world.relays) relay.flaky = true;
  },
  "relays send away whom they welcome": ({ world }) => {
    for (const relay of world.relays) {
      relay.sendsAway = true;
      relay.say({ type: "migrate" });
    }
  },
  "relays come back": ({ world }) => {
    for (const relay of world.relays) Object.assign(relay, WELL);
  },
  "people come and go": ({ random, world }) => {
    for (const player of OTHERS) world.home?.move(player, random() < 0.7);
  },
  "the network is gone": ({ world }) => {
    world.online = world.connected = false;
  },
  "the network is back": ({ clock, page, world }, _, onlines) => {
    world.online = world.connected = true;
    onlines.push(clock.nowMs);
    page.dispatchEvent(new Event("online"));
  },
  "bad weather": ({ random, world }) => {
    const chance = () => random() * 0.5;
    const delayMs = random() < 0.3 ? 9000 : 500;
    world.weather = { lose: chance(), loseReply: chance(), busy: chance(), delayMs };
    world.delayMs = random() * 900;
  },
  "the edge is busy": ({ random, world }) => {
    for (let left = random() * 8; left > 0; left -= 1) {
      const [status, name] = random() < 0.5 ? [429, "too-many"] : [503, "no-live-relay"];
      const wait = Math.ceil(left * 4);
      world.refusals.push({ status: Number(status), name: String(name), wait });
    }
  },
  "the tab sleeps": ({ random, tab }) => tab.sleep(random() * 20_000, random() < 0.5),
  "the login service is slow": ({ random, token }) => {
    token.delayMs = random() * 3000;
    token.fails = random() * 0.5;
  },
  mute: ({ room }, wants) => {
    wants.muted = true;
    room.mute();
  },
  unmute: ({ room }, wants) => {
    wants.muted = false;
    room.unmute();
  },
  "deafen or not": ({ random, room }, wants) => {
    wants.deafened = random() < 0.5;
    if (wants.deafened) room.deafen();
    else room.undeafen();
  },
  "another microphone": ({ random, room }) => {
    room.setMicrophone(random() < 0.3 ? null : `m${Math.floor(random() * 9)}`).catch(() => {});
  },
  "the microphone is unplugged": ({ device, random }) => {
    if (random() < 0.5) device.refusals.push("microphone-absent");
    const track = device.tracks.find(({ stopped, onended }) => !stopped && onended);
    track?.onended?.();
  },
  "the page is hidden for good, and comes back": ({ page }) => {
    page.dispatchEvent(new Event("pagehide"));
  },
  "final: kicked": ({ world }) => world.session?.end("kicked"),
  "final: joined elsewhere": ({ world }) => world.session?.end("replaced"),
  "final: the token is no good": ({ world }) => {
    world.refusals.push({ status: 401, name: "token-expired" });
  },
  "final: left": ({ room }) => void room.leave(),
};
