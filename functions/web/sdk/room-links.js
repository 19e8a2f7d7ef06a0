// The connections of a room that are open: how one is made, and what is done with it. When, and for
// how long, is decided by `room-machine.js`.

/** @import { Peer } from "./peer.js" */
/** @import { SlotOutput } from "./playback.js" */
/** @import { Problem } from "./problem.js" */
/** @import { RoomOptions } from "./room.js" */
/** @import { RoomPorts } from "./room-ports.js" */
/** @import { LinkEffect, RoomEvent } from "./room-state.js" */

import { readText } from "./check.js";
import { requestJoin } from "./edge.js";
import { VoiceError } from "./problem.js";

const CHANNEL_CHARS_MAX = 128;
/** Longest name of a relay. */
const RELAY_CHARS_MAX = 48;

/**
 * `abort` ends what is under way; `world` is the world channel that is pushed there.
 *
 * @typedef {{ abort: AbortController, peer: Peer | null, output: SlotOutput | null,
 *   world: string | null }} Opened
 *
 * `track` and `playback` are the present ones; `handle` is told what happens.
 *
 * @typedef {{ options: RoomOptions, ports: RoomPorts, slots: number,
 *   track: () => MediaStreamTrack | null,
 *   playback: () => ReturnType<RoomPorts["openPlayback"]> | null,
 *   handle: (event: RoomEvent) => void, problemOf: (error: unknown) => Problem }} RoomLinksOptions
 */

export class RoomLinks {
  #options;
  /** By number. @type {Map<number, Opened>} */
  #opened = new Map();

  /** @param {RoomLinksOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /** How many are open, those included to which goodbye was said. */
  get size() {
    return this.#opened.size;
  }

  /** @param {number | undefined} link */
  find(link) {
    return this.#opened.get(link ?? 0);
  }

  /**
   * Token, offer, request, answer.
   *
   * @param {number} link
   * @param {string | null} lost the relay that was lost before
   */
  async open(link, lost) {
    const { options, ports, slots, track, handle, problemOf } = this.#options;
    const { edge = "", room, channels, region, redundancy = false } = options;
    const abort = new AbortController();
    const opened = /** @type {Opened} */ ({ abort, peer: null, output: null, world: null });
    this.#opened.set(link, opened);
    const { signal } = abort;
    try {
      const token = await options.token();
      if (signal.aborted) return;
      const peer = ports.openPeer({
        slots,
        track: track(),
        redundancy,
        handle: (event) => handle({ ...event, link }),
      });
      opened.peer = peer;
      handle({ type: "asked", link });
      const offer = await peer.offer().catch(refuseCall);
      if (signal.aborted) return;
      const request = { edge, room, token, offer, channels, region, lost, signal };
      const reply = await requestJoin(ports.runtime, request);
      if (signal.aborted) return;
      opened.world = readText(reply.world, CHANNEL_CHARS_MAX);
      const relay = readText(reply.relay, RELAY_CHARS_MAX);
      handle({ type: "replied", link, hello: reply.hello, relay });
      await peer.answer(reply.answer).catch(refuseCall);
    } catch (error) {
      if (!signal.aborted) handle({ type: "failed", link, problem: problemOf(error) });
    }
  }

  /** @param {LinkEffect} effect */
  perform(effect) {
    const link = this.#opened.get(effect.link);
    if (!link) return;
    switch (effect.type) {
      case "close":
        this.#opened.delete(effect.link);
        link.abort.abort();
        link.output?.close();
        return link.peer?.close();
      case "attach":
        link.output = (link.peer && this.#options.playback()?.attach(link.peer.tracks)) ?? null;
        return;
      case "detach":
        link.output?.close();
        link.output = null;
        return;
      case "send":
        return link.peer?.send(effect.message);
      case "gain":
        return link.output?.setGains(effect.gains);
    }
  }

  /** @param {MediaStreamTrack | null} track what all of them send from now on */
  async setTrack(track) {
    await Promise.all([...this.#opened.values()].map(({ peer }) => peer?.setTrack(track)));
  }
}

/**
 * @param {unknown} cause
 * @returns {never}
 */
function refuseCall(cause) {
  throw new VoiceError("bad-reply", "The browser could not set up the call.", { cause });
}
