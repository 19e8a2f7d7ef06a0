// Relays in memory, the edge that admits to them, and the peer connections to them, with the rules
// of the real ones as far as a client can see. What they do next is up to the test.

/** @import { Peer, PeerEvent, PeerOptions } from "../sdk/peer.js" */

import { parseMessage } from "../sdk/messages.js";
import { problemOf } from "../sdk/problem.js";
import { FakeService, problem, reply } from "./fake-service.js";

export const ME = "p-me";
const HELLO = "sealed";

/** Of a relay that nothing is wrong with. */
export const WELL = {
  alive: true,
  silent: false,
  draining: false,
  sendsAway: false,
  flaky: false,
  knownUntilMs: Infinity,
};

/**
 * One that is not `alive` has lost all sessions; a `silent` one does later what it is told now. The
 * edge gives nobody to one that is `draining`, as far as it knows, nor to one after `knownUntilMs`.
 * `sendsAway` asks whoever comes to migrate, `flaky` drops him. `others` are those who are there
 * besides.
 */
class FakeRelay {
  alive = WELL.alive;
  silent = WELL.silent;
  draining = WELL.draining;
  sendsAway = WELL.sendsAway;
  flaky = WELL.flaky;
  knownUntilMs = WELL.knownUntilMs;
  /** The world channel that it pushes. */
  world = /** @type {string | undefined} */ (undefined);
  /** @type {Set<string>} */
  others = new Set();
  /** @type {Set<FakePeer>} */
  sessions = new Set();

  /** @param {string} id */
  constructor(id) {
    this.id = id;
  }

  /** @param {Record<string, unknown>} message */
  say(message) {
    for (const session of this.sessions) session.receive(message);
  }

  /** @param {string} player @param {boolean} isHere */
  move(player, isHere) {
    if (isHere === this.others.has(player)) return;
    if (isHere) this.others.add(player);
    else this.others.delete(player);
    const joined = isHere ? [personOf(player)] : [];
    this.say({ type: "roster", joined, left: isHere ? [] : [idOf(player)], changed: [] });
  }
}

export class FakeRelays extends FakeService {
  relays = [new FakeRelay("r1"), new FakeRelay("r2"), new FakeRelay("r3")];
  /**
   * Problems that answer the next joins.
   *
   * @type {{ status: number, name: string, wait?: number }[]}
   */
  refusals = [];
  /** Whether packets get through between the client and the relays. */
  connected = true;
  /** Longest way of a packet. */
  delayMs = 20;
  /** Peers that are not closed. @type {Set<FakePeer>} */
  open = new Set();
  /** What should not have happened. @type {string[]} */
  faults = [];
  /** When a client was welcomed. @type {number[]} */
  welcomes = [];
  /** How what happened gets to the page. @type {(action: () => void) => void} */
  deliver = (action) => action();
  #home = 0;

  /** The relay that new sessions go to, as far as the edge knows. */
  get home() {
    for (let tries = 0; tries < this.relays.length; tries += 1) {
      const relay = this.relays[this.#home];
      if (relay && relay.knownUntilMs > this.clock.nowMs && !relay.draining) return relay;
      this.#home = (this.#home + 1) % this.relays.length;
    }
    return null;
  }

  /** The session that counts: the last one that was welcomed and is still there. */
  get session() {
    const all = this.relays.flatMap(({ sessions }) => [...sessions]);
    return all.filter((one) => one.welcomed).sort((a, b) => b.id - a.id)[0] ?? null;
  }

  /** All is well from now on. */
  heal() {
    for (const relay of this.relays) Object.assign(relay, WELL);
    this.connected = this.online = true;
    this.delayMs = 20;
    this.refusals = [];
  }

  /** @param {FakeRelay} relay @param {number} noticedMs until the edge knows */
  kill(relay, noticedMs) {
    relay.alive = false;
    relay.knownUntilMs = this.clock.nowMs + noticedMs;
    relay.sessions.clear();
  }

  /**
   * @override
   * @protected
   * @param {URL} url
   * @param {RequestInit} init
   */
  async answer({ pathname }, { method, body }) {
    if (method !== "POST" || !/^\/v1\/rooms\/[^/]+\/sessions$/.test(pathname)) {
      return problem(404, "unknown-route");
    }
    const refusal = this.refusals.shift();
    if (refusal) return problem(refusal.status, refusal.name, refusal.wait);
    const { home } = this;
    if (!home) return problem(503, "no-live-relay", 1);
    const { offer } = JSON.parse(String(body));
    const answer = `${home.id} for ${offer}`;
    const { id: relay, world } = home;
    return reply(201, { session: offer, answer, hello: HELLO, region: "eu", relay, world });
  }

  /** @param {PeerOptions} options @returns {Peer} */
  openPeer = (options) => {
    const peer = new FakePeer(this, options);
    this.open.add(peer);
    this.check();
    return peer;
  };

  /** One connection counts, one may be left behind in a move, and one may be on its way. */
  check() {
    const open = [...this.open].filter(({ saidGoodbye }) => !saidGoodbye);
    const welcomed = open.filter((peer) => peer.welcomed).length;
    if (welcomed > 2) this.faults.push(`${welcomed} connections are in the room`);
    const others = open.length - welcomed;
    if (others > 1) this.faults.push(`${others} connections are on their way`);
  }
}

let peers = 0;

/** @implements {Peer} */
class FakePeer {
  id = (peers += 1);
  welcomed = false;
  saidGoodbye = false;
  /** How it was told to send, last. @type {any} */
  settings;
  /** What the relay knows of this client. */
  state = { muted: false, deafened: false };
  #closed = false;
  #opened = false;
  #hello = false;
  /** When the last message in a direction arrives: none overtakes another. */
  #arrives = { there: 0, here: 0 };
  #relay = /** @type {FakeRelay | null} */ (null);

  /** @param {FakeRelays} world @param {PeerOptions} options */
  constructor(world, options) {
    this.world = world;
    this.options = options;
    this.track = options.track;
    /** @type {any[]} */
    this.tracks = Array.from({ length: options.slots }, (_, slot) => ({ slot }));
  }

  async offer() {
    await this.world.clock.sleep(1);
    return `offer ${this.id}`;
  }

  /** @param {string} sdp */
  async answer(sdp) {
    if (this.#closed) throw new Error("closed");
    const [relay = "", offer = ""] = sdp.split(" for ");
    if (offer !== `offer ${this.id}`) throw new Error("not the answer to this offer");
    this.#relay = this.world.relays.find(({ id }) => id === relay) ?? null;
    this.#travel("there", () => this.#connect());
  }

  #connect() {
    if (!this.#relay?.alive) return;
    this.#happen({ type: "reachable" });
    this.#happen({ type: "opened" }, { before: () => (this.#opened = true) });
  }

  /** @param {Record<string, unknown>} message */
  send(message) {
    if (this.#closed || !this.#opened) return;
    if (this.#hello !== (message.type !== "hello")) this.world.faults.push("hello is not first");
    if (message.type === "hello") this.#hello = true;
    if (message.type === "leave") this.saidGoodbye = true;
    this.#travel("there", () => this.#handle(JSON.parse(JSON.stringify(message))));
  }

  /** @param {any} message as the relay gets it */
  #handle(message) {
    const relay = this.#relay;
    if (!relay?.alive) return;
    if (message.type === "hello") return this.#welcome(relay, message.sealed);
    if (!relay.sessions.has(this)) return;
    if (message.type === "ping") this.receive({ type: "pong", id: message.id });
    if (message.type === "state") {
      this.state = { muted: message.muted, deafened: message.deafened };
    }
    if (message.type === "leave") this.end("left");
  }

  /** @param {FakeRelay} relay @param {string} sealed */
  #welcome(relay, sealed) {
    if (sealed !== HELLO) this.world.faults.push("not the hello that the edge gave");
    for (const other of relay.sessions) other.end("replaced");
    relay.sessions.add(this);
    const participants = [personOf(ME), ...[...relay.others].map(personOf)];
    const { slots } = this.options;
    this.receive({ type: "welcome", participant: idOf(ME), room: "lobby", slots, participants });
    const map = [...relay.others].map((player, slot) => ({ slot, participant: idOf(player) }));
    this.receive({ type: "slots", slots: map.slice(0, slots) });
    if (relay.sendsAway) this.receive({ type: "migrate" });
    if (relay.flaky) this.drop();
  }

  /** @param {Record<string, unknown>} raw what the relay says */
  receive(raw) {
    const message = parseMessage(JSON.stringify(raw));
    const after = () => {
      this.welcomed = true;
      this.world.welcomes.push(this.world.clock.nowMs);
      this.world.check();
    };
    this.#happen({ type: "message", message }, message?.type === "welcome" ? { after } : {});
  }

  /** @param {string} reason */
  end(reason) {
    this.receive({ type: "ended", reason });
    this.#relay?.sessions.delete(this);
  }

  /** The relay closes without a word. */
  drop() {
    this.#relay?.sessions.delete(this);
    const detail = "The relay closed the connection.";
    this.#happen({ type: "failed", problem: problemOf("connection-lost", detail) });
  }

  /**
   * @param {PeerEvent} event
   * @param {{ before?: () => void, after?: () => void }} [more]
   */
  #happen(event, { before, after } = {}) {
    this.#travel("here", () => {
      this.world.deliver(() => {
        if (this.#closed) return;
        before?.();
        this.options.handle(event);
        after?.();
      });
    });
  }

  /**
   * What is sent arrives in order, and what is lost is sent again until the network is back.
   *
   * @param {"here" | "there"} direction
   * @param {() => void} arrive
   */
  #travel(direction, arrive) {
    const { clock, random, delayMs } = this.world;
    const at = Math.max(this.#arrives[direction], clock.nowMs + 1 + random() * delayMs);
    this.#arrives[direction] = at;
    const tryIt = () => {
      if (this.#closed) return;
      if (this.world.connected && !this.#relay?.silent) return arrive();
      this.#arrives[direction] = Math.max(this.#arrives[direction], clock.nowMs + 100);
      clock.later(100, tryIt);
    };
    clock.later(at - clock.nowMs, tryIt);
  }

  /** @param {any} track */
  async setTrack(track) {
    this.track = track;
  }

  /** @param {any} settings */
  async adapt(settings) {
    this.settings = settings;
  }

  async stats() {
    return [];
  }

  close() {
    if (this.#closed) this.world.faults.push("closed twice");
    this.#closed = true;
    this.world.open.delete(this);
    // The relay finds out by itself.
    this.#relay?.sessions.delete(this);
  }
}

const IDS = [ME, "p-a", "p-b", "p-c"];

/** @param {string} player */
function idOf(player) {
  return IDS.indexOf(player) + 1;
}

/** @param {string} player */
function personOf(player) {
  const id = idOf(player);
  return { id, player, name: player, channels: ["main"], muted: false, deafened: false };
}
