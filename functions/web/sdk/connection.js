// One connection to one relay: offer, join, ICE, hello, welcome, heartbeat, end. It is used once;
// the next one is a new object.

/** @import { RelayMessage, Welcome } from "./messages.js" */
/** @import { RoomView } from "./roster.js" */

import { deferred } from "./deadline.js";
import { requestJoin } from "./edge.js";
import { Heartbeat, TICK_MS } from "./heartbeat.js";
import { parseMessage } from "./messages.js";
import { VoiceError } from "./problem.js";
import { emptyView } from "./roster.js";
import { JOIN_MAX_MS, WELCOME_MAX_MS } from "./schedule.js";

/** How long an orderly leave waits for the relay's word before the connection is cut. */
const LEAVE_MAX_MS = 300;

/**
 * @typedef {{ edge: string, room: string, token: string, channels?: string[], region?: string,
 *   slots: number, track: MediaStreamTrack | null, redundancy: boolean, iceMs: number,
 *   onMessage: (connection: Connection, message: RelayMessage) => void,
 *   onDown: (connection: Connection, error: VoiceError) => void }} ConnectionOptions
 */

/**
 * Offers redundant audio (RFC 2198) before Opus alone, where the browser has it.
 *
 * @param {RTCRtpTransceiver} microphone
 */
function preferRedundancy(microphone) {
  const codecs = RTCRtpSender.getCapabilities("audio")?.codecs ?? [];
  const isRed = (/** @type {{ mimeType: string }} */ codec) => {
    return codec.mimeType.toLowerCase() === "audio/red";
  };
  if (!codecs.some(isRed)) return;
  const others = codecs.filter((codec) => !isRed(codec));
  microphone.setCodecPreferences([...codecs.filter(isRed), ...others]);
}

export class Connection {
  #options;
  #peer;
  #channel;
  #microphone;
  #hello = "";
  #welcome = /** @type {ReturnType<typeof deferred<Welcome>>} */ (deferred());
  #welcomed = false;
  #closed = false;
  #leaving = /** @type {(() => void) | null} */ (null);
  #heartbeat = /** @type {Heartbeat | null} */ (null);
  #timers = /** @type {Set<ReturnType<typeof setTimeout>>} */ (new Set());

  /** One track per slot, in slot order. @type {MediaStreamTrack[]} */
  tracks;
  /** This relay's view of the room; the room reduces it. @type {RoomView} */
  view;
  /** `performance.now()` at the welcome. */
  welcomedAt = 0;

  /** @param {ConnectionOptions} options */
  constructor(options) {
    this.#options = options;
    this.view = emptyView(options.slots);
    this.#peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.#channel = this.#peer.createDataChannel("lv");
    const microphone = this.#peer.addTransceiver(options.track ?? "audio", {
      direction: "sendonly",
    });
    if (options.redundancy) preferRedundancy(microphone);
    this.#microphone = microphone.sender;
    this.tracks = Array.from({ length: options.slots }, () => {
      return this.#peer.addTransceiver("audio", { direction: "recvonly" }).receiver.track;
    });
    this.#channel.onopen = () => this.send({ type: "hello", sealed: this.#hello });
    this.#channel.onmessage = (event) => this.#handleData(event.data);
    this.#channel.onclose = () => this.#fail("connection-lost", "The relay closed the connection.");
    this.#peer.onconnectionstatechange = () => {
      if (this.#peer.connectionState === "failed") {
        this.#fail("connection-lost", "The connection to the relay broke.");
      }
    };
  }

  /**
   * Joins through the edge and connects. Resolves when the relay said welcome; on any failure
   * the connection is closed and the error tells why.
   *
   * @param {AbortSignal} signal
   * @returns {Promise<Welcome>}
   */
  async open(signal) {
    const abort = () => this.#fail("left", "The join was called off.");
    signal.addEventListener("abort", abort);
    try {
      if (signal.aborted) abort();
      await this.#peer.setLocalDescription();
      const request = new AbortController();
      const cancel = this.#later(JOIN_MAX_MS, () => request.abort());
      const reply = await requestJoin({
        ...this.#options,
        offer: this.#peer.localDescription?.sdp ?? "",
        signal: AbortSignal.any([signal, request.signal]),
      });
      cancel();
      this.#hello = reply.hello;
      await this.#peer.setRemoteDescription({ type: "answer", sdp: reply.answer });
      this.#watchProgress();
      return await this.#welcome.promise;
    } catch (error) {
      this.close();
      // A connection that was closed meanwhile fails in odd ways: the first reason is the true one.
      if (signal.aborted) throw new VoiceError("left", "The join was called off.");
      if (error instanceof VoiceError) throw error;
      const detail = "The browser could not set up the call.";
      throw new VoiceError("bad-reply", detail, { cause: error });
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  /** The relay must answer the connectivity checks soon and say welcome a little later. */
  #watchProgress() {
    const unreachable = (/** @type {string} */ detail) => this.#fail("relay-unreachable", detail);
    const iceDeadline = this.#later(this.#options.iceMs, () => {
      unreachable("The voice relay does not answer. A firewall may be in the way.");
    });
    const check = () => {
      const state = this.#peer.iceConnectionState;
      if (state === "connected" || state === "completed") iceDeadline();
    };
    // On a near relay the checks may have been answered before this line.
    this.#peer.oniceconnectionstatechange = check;
    check();
    const welcomeDeadline = this.#later(WELCOME_MAX_MS, () => {
      unreachable("The voice relay answered but did not let us in.");
    });
    const welcomed = () => {
      iceDeadline();
      welcomeDeadline();
    };
    this.#welcome.promise.then(welcomed, welcomed);
  }

  /** @param {unknown} data */
  #handleData(data) {
    if (this.#closed) return;
    this.#heartbeat?.handleReceived(performance.now());
    const message = parseMessage(data);
    if (!message) return;
    if (message.type === "pong") {
      this.#heartbeat?.handlePong(message.id, performance.now());
    } else if (message.type === "ended" && this.#leaving) {
      this.#leaving();
    } else if (message.type === "ended" && !this.#welcomed) {
      this.#endBeforeWelcome(message.reason);
    } else {
      if (message.type === "welcome") this.#handleWelcome();
      this.#options.onMessage(this, message);
      if (message.type === "welcome") this.#welcome.resolve(message);
    }
  }

  /** @param {string} reason */
  #endBeforeWelcome(reason) {
    const known = reason === "kicked" || reason === "replaced";
    this.#fail(known ? reason : "relay-unreachable", "The voice relay ended the session.");
  }

  #handleWelcome() {
    if (this.#welcomed) return;
    this.#welcomed = true;
    this.welcomedAt = performance.now();
    this.#heartbeat = new Heartbeat(this.welcomedAt);
    const beat = () => {
      const { ping, dead } = /** @type {Heartbeat} */ (this.#heartbeat).tick(performance.now());
      if (dead) return this.#fail("connection-lost", "Nothing was heard from the relay.");
      if (ping !== null) this.send({ type: "ping", id: ping });
      this.#later(TICK_MS, beat);
    };
    beat();
  }

  /**
   * @param {Record<string, unknown>} message
   * @returns {boolean} whether it could be handed to the browser
   */
  send(message) {
    if (this.#closed || this.#channel.readyState !== "open") return false;
    try {
      this.#channel.send(JSON.stringify(message));
      return true;
    } catch {
      // A full or closing channel; the heartbeat decides what becomes of it.
      return false;
    }
  }

  /**
   * Sends another microphone, without a renegotiation.
   *
   * @param {MediaStreamTrack | null} track
   */
  async setTrack(track) {
    if (!this.#closed) await this.#microphone.replaceTrack(track);
  }

  /** Last round-trip time in milliseconds. */
  get rtt() {
    return this.#heartbeat?.rtt ?? null;
  }

  /** @returns {Promise<Record<string, any>[]>} */
  async stats() {
    if (this.#closed) return [];
    const report = await this.#peer.getStats();
    /** @type {Record<string, any>[]} */
    const values = [];
    report.forEach((value) => values.push(value));
    return values;
  }

  /** Says goodbye, waits a moment for the relay to hear it, and closes. */
  async leave() {
    if (this.#closed) return;
    if (this.send({ type: "leave" })) {
      const heard = deferred();
      this.#leaving = () => heard.resolve(undefined);
      this.#channel.onclose = this.#leaving;
      this.#later(LEAVE_MAX_MS, this.#leaving);
      await heard.promise;
    }
    this.close();
  }

  /** Ends everything at once and without a word. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#channel.onopen = this.#channel.onmessage = this.#channel.onclose = null;
    this.#peer.onconnectionstatechange = this.#peer.oniceconnectionstatechange = null;
    this.#leaving?.();
    this.#welcome.reject(new VoiceError("connection-lost", "The connection was closed."));
    this.#peer.close();
  }

  /**
   * @param {string} problem
   * @param {string} detail
   */
  #fail(problem, detail) {
    if (this.#closed) return;
    const error = new VoiceError(problem, detail);
    this.#welcome.reject(error);
    const report = this.#welcomed;
    this.close();
    if (report) this.#options.onDown(this, error);
  }

  /**
   * A timer that ends with the connection. Returns its cancellation.
   *
   * @param {number} ms
   * @param {() => void} action
   */
  #later(ms, action) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, ms);
    this.#timers.add(timer);
    return () => {
      clearTimeout(timer);
      this.#timers.delete(timer);
    };
  }
}
