// A voice room on fake relays, with a tab that can fall asleep and a microphone that can be lost.

/** @import { RoomPorts } from "../sdk/room-ports.js" */
/** @import { RoomEvents } from "../sdk/room.js" */
/** @import { VirtualClock } from "./virtual.js" */

import * as sdk from "../sdk/index.js";
import { FakeRelays } from "./fake-relay.js";
import { randomOf, runtimeOf, VirtualClock as Clock } from "./virtual.js";

/** Time as a page gets it: while it is asleep, what is due waits until it wakes. */
class Tab {
  /** Whether messages wait too, and not only timers. */
  isFrozen = false;
  timers = 0;
  #isAsleep = false;
  /** @type {(() => void)[]} */
  #waiting = [];
  #cancel = () => {};

  /** @param {VirtualClock} clock */
  constructor(clock) {
    this.clock = clock;
  }

  /** @param {number} ms @param {boolean} isFrozen */
  sleep(ms, isFrozen) {
    this.#cancel();
    this.isFrozen = isFrozen;
    this.#isAsleep = true;
    this.#cancel = this.clock.later(ms, () => this.wake());
  }

  wake() {
    this.#cancel();
    this.#isAsleep = false;
    for (const action of this.#waiting.splice(0)) action();
  }

  /** @param {() => void} action */
  whenAwake(action) {
    if (this.#isAsleep) this.#waiting.push(action);
    else action();
  }

  /** @param {number} ms @param {() => void} action */
  later = (ms, action) => {
    let isDone = false;
    const end = () => {
      if (isDone) return false;
      isDone = true;
      this.timers -= 1;
      return true;
    };
    this.timers += 1;
    const cancel = this.clock.later(ms, () => this.whenAwake(() => end() && action()));
    return () => {
      cancel();
      end();
    };
  };
}

/** @param {string} id */
function trackOf(id) {
  const track = {
    id,
    enabled: true,
    stopped: false,
    onended: /** @type {(() => void) | null} */ (null),
    stop: () => (track.stopped = true),
    getSettings: () => ({ deviceId: id }),
  };
  return track;
}

/**
 * The SDK, or another copy of it.
 *
 * @typedef {Pick<typeof sdk, "VoiceRoom" | "VoiceError">} Sdk
 * @typedef {ReturnType<typeof roomRig>} Rig
 */

/**
 * @param {{ seed?: number, from?: Sdk, slots?: number, muted?: boolean,
 *   microphone?: null, signal?: AbortSignal, token?: () => string }} [options]
 */
export function roomRig({ seed = 0, from = sdk, ...options } = {}) {
  const random = randomOf(seed);
  const clock = new Clock();
  const world = new FakeRelays(clock, random);
  const tab = new Tab(clock);
  const page = new EventTarget();
  /** What is open of the device. */
  const device = {
    tracks: /** @type {ReturnType<typeof trackOf>[]} */ ([]),
    outputs: 0,
    playbacks: 0,
    silent: false,
    isBroken: false,
    /** Why the next microphones cannot be opened. @type {string[]} */
    refusals: [],
  };
  const token = {
    /** When it was asked for, which is when an attempt begins. @type {number[]} */
    asked: [],
    delayMs: 5,
    fails: 0,
  };
  const runtime = runtimeOf(clock, random, world.fetch);
  world.deliver = (action) => (tab.isFrozen ? tab.whenAwake(action) : action());
  /** @type {any} */
  const ports = {
    runtime: { ...runtime, later: tab.later },
    page,
    openPeer: world.openPeer,
    openPlayback: () => {
      if (device.isBroken) throw new Error("no sound card");
      device.playbacks += 1;
      return fakePlayback(device);
    },
    openMicrophone: async (/** @type {any} */ choice) => {
      if (choice === null) return null;
      await clock.sleep(30);
      const refusal = device.refusals.shift();
      if (refusal) throw new from.VoiceError(refusal, "no");
      const track = trackOf(choice ?? "default");
      device.tracks.push(track);
      return track;
    },
  };
  /** Everything that the application was told. @type {{ name: string, detail: any }[]} */
  const told = [];
  const room = new from.VoiceRoom({
    room: "lobby",
    ports: /** @type {RoomPorts} */ (ports),
    token: async () => {
      token.asked.push(clock.nowMs);
      await clock.sleep(token.delayMs * random());
      if (random() < token.fails) throw new TypeError("no token");
      return "token";
    },
    ...options,
  });
  for (const name of /** @type {(keyof RoomEvents)[]} */ (EVENTS)) {
    room.on(name, (/** @type {any} */ detail) => told.push({ name, detail }));
  }
  return { clock, device, page, random, room, tab, token, told, world };
}

const EVENTS = ["state", "roster", "speaking", "slots", "level", "quality", "error", "playback"];

/** @param {{ playbacks: number, outputs: number, silent: boolean }} device */
function fakePlayback(device) {
  return {
    needsGesture: false,
    resume: async () => {},
    setSilent: (/** @type {boolean} */ silent) => (device.silent = silent),
    setInput: () => {},
    setOutput: async () => {},
    level: () => 0,
    attach: (/** @type {any[]} */ tracks) => {
      device.outputs += 1;
      return {
        streams: tracks,
        setGains: (/** @type {number[]} */ gains) => {
          tracks.forEach((track, slot) => (track.gain = gains[slot]));
        },
        close: () => (device.outputs -= 1),
      };
    },
    close: async () => void (device.playbacks -= 1),
  };
}
