// A person in a room, from asking for the microphone to leaving: the part that ties the others
// together. Everything that decides is in the pure modules; here are the effects.

/** @import { RelayMessage } from "./messages.js" */
/** @import { Participant } from "./roster.js" */
/** @import { MicrophoneChoice } from "./microphone.js" */
/** @import { QualityDetail } from "./meters.js" */
/** @import { SlotOutput } from "./playback.js" */

import { Connection } from "./connection.js";
import { sleep } from "./deadline.js";
import { Emitter } from "./emitter.js";
import * as handover from "./handover.js";
import { Meters } from "./meters.js";
import { openMicrophone } from "./microphone.js";
import { Playback } from "./playback.js";
import { VoiceError, verdict } from "./problem.js";
import { playersInSlots, reduce } from "./roster.js";
import { attemptAfterLoss, delayBefore, icePatience } from "./schedule.js";

const SLOTS_DEFAULT = 8;
const VOLUME_MAX = 2;

/**
 * - `idle`: made, not joining yet
 * - `microphone`: the browser may be asking the person
 * - `connecting`: on the way in, trying until it works
 * - `connected`: in the room
 * - `reconnecting`: was in the room, on the way back by itself
 * - `refused`: final; `problem` says why
 * - `left`: final; `reason` says how
 *
 * @typedef {"idle" | "microphone" | "connecting" | "connected" | "reconnecting" | "refused"
 *   | "left"} RoomState
 *
 * `problem` is what stopped the join or the last thing that went wrong on the way; `retryInMs` is
 * the pause before the next attempt. The event comes again when the details of a state change.
 *
 * @typedef {{ state: RoomState, problem: VoiceError | null, retryInMs: number | null,
 *   reason: "left" | "kicked" | "replaced" | null }} StateDetail
 *
 * @typedef {{
 *   state: StateDetail,
 *   roster: Participant[],
 *   speaking: string[],
 *   slots: (string | null)[],
 *   level: number,
 *   quality: QualityDetail,
 *   error: VoiceError,
 *   playback: { needsGesture: boolean },
 *   chat: import("./messages.js").ChatPush,
 * }} RoomEvents
 *
 * @typedef {object} RoomOptions
 * @property {string} room the room's id
 * @property {() => string | Promise<string>} token asked before every join; fetch a fresh one here
 * @property {string} [edge] origin of the edge, "" for this page's own
 * @property {string[]} [channels] default: the room's main channel
 * @property {string} [region] where a new room should live
 * @property {MicrophoneChoice} [microphone] null to only listen
 * @property {number} [slots] how many speakers can be heard at once, 1 to 16, default 8
 * @property {boolean} [redundancy] send each packet twice, for a network that loses many: about
 *   half as much again on the wire, for everybody who listens; default false
 * @property {boolean} [muted] join with the microphone muted
 * @property {AbortSignal} [signal] leaves the room when it fires
 * @property {{ [K in keyof RoomEvents]?: (detail: RoomEvents[K]) => void }} [on] handlers that
 *   are in place before anything happens
 */

/** @extends {Emitter<RoomEvents>} */
export class VoiceRoom extends Emitter {
  #options;
  #slots;
  #abort = new AbortController();
  #detail = /** @type {StateDetail} */ ({ ...BLANK, state: "idle" });
  #muted;
  #deafened = false;
  #track = /** @type {MediaStreamTrack | null} */ (null);
  #playback = /** @type {Playback | null} */ (null);
  #current = /** @type {Connection | null} */ (null);
  #output = /** @type {SlotOutput | null} */ (null);
  #previous = /** @type {{ connection: Connection, output: SlotOutput } | null} */ (null);
  #connecting = false;
  #attempt = 0;
  #volumes = /** @type {Map<string, number>} */ (new Map());
  #meters = new Meters({
    level: () => (this.#muted ? 0 : (this.#playback?.level() ?? 0)),
    connection: () => this.#current,
    onLevel: (level) => this.emit("level", level),
    onQuality: (quality) => this.emit("quality", quality),
  });
  /** Who is heard from the current connection although the previous one is still open. */
  #settled = /** @type {Set<string>} */ (new Set());
  #handoverTimers = /** @type {ReturnType<typeof setTimeout>[]} */ ([]);
  #people = /** @type {Participant[]} */ ([]);

  /** @param {RoomOptions} options */
  constructor(options) {
    super();
    const slots = options.slots ?? SLOTS_DEFAULT;
    if (!Number.isInteger(slots) || slots < 1 || slots > 16) {
      throw new RangeError(`slots is ${slots}; choose 1 to 16`);
    }
    this.#options = options;
    this.#slots = slots;
    this.#muted = options.muted ?? false;
    for (const [name, handler] of Object.entries(options.on ?? {})) {
      this.on(/** @type {keyof RoomEvents} */ (name), /** @type {any} */ (handler));
    }
  }

  // ---- what is so -------------------------------------------------------------------------

  /** The room's id. */
  get room() {
    return this.#options.room;
  }

  get state() {
    return this.#detail.state;
  }

  /** The state with its details, as in the last `state` event. */
  get detail() {
    return this.#detail;
  }

  /**
   * Everybody in the room, self first; in one of more than a hundred, oneself, those of one's small
   * channels and who talked last. During a reconnect, who was there before.
   */
  get participants() {
    return this.#people;
  }

  /** How many are in the room, whether `participants` names them all or not. */
  get participantCount() {
    return this.#current?.view.count ?? this.#people.length;
  }

  /** Own entry among the participants. */
  get self() {
    return this.#people.find((person) => person.self) ?? null;
  }

  /** The player in each slot. */
  get slots() {
    return this.#current ? playersInSlots(this.#current.view) : Array(this.#slots).fill(null);
  }

  /** Whether nothing of this microphone is sent: muted, or only listening. */
  get muted() {
    return this.#muted || !this.#track;
  }

  get deafened() {
    return this.#deafened;
  }

  /** Whether there is a microphone. */
  get hasMicrophone() {
    return this.#track !== null;
  }

  /** The device id of the microphone in use, "" when unknown. */
  get microphone() {
    return this.#track?.getSettings().deviceId ?? "";
  }

  /** True when the browser wants a click or a key before it plays; call `resume()` in it. */
  get needsGesture() {
    return this.#playback?.needsGesture ?? false;
  }

  /**
   * What arrives in a slot, before volume and deafen: for meters, recording or spatial sound. The
   * stream is another one after a reconnect.
   *
   * @param {number} slot
   * @returns {MediaStream | null}
   */
  remoteStream(slot) {
    return this.#output?.streams[slot] ?? null;
  }

  // ---- what one can do --------------------------------------------------------------------

  /**
   * Joins. Resolves when connected; rejects with a VoiceError when refused, denied or left. While
   * the edge or the relay cannot be reached it keeps trying and tells so in `state` events.
   */
  async join() {
    if (this.state !== "idle") throw new Error("a room is joined once; make a new one");
    const { signal } = this.#options;
    signal?.addEventListener("abort", this.#leaveOnAbort);
    try {
      this.#ensureOpen(signal?.aborted);
      this.#playback = new Playback(() => this.#emitPlayback());
      if (this.#options.microphone !== null) this.#setState({ state: "microphone" });
      const track = await openMicrophone(this.#options.microphone);
      if (this.#closed) track?.stop();
      this.#ensureOpen();
      this.#useTrack(track);
      this.#meters.start();
      window.addEventListener("pagehide", this.#sayGoodbye);
      this.#setState({ state: "connecting" });
      await this.#connect();
    } catch (error) {
      const problem = asVoiceError(error);
      this.#finish({ state: problem.problem === "left" ? "left" : "refused", problem });
      throw problem;
    }
  }

  mute() {
    this.#setMuted(true);
  }

  unmute() {
    this.#setMuted(false);
  }

  /** Hears nothing and is sent nothing. */
  deafen() {
    this.#setDeafened(true);
  }

  undeafen() {
    this.#setDeafened(false);
  }

  /**
   * Takes another microphone, or none (null). On failure the present one stays.
   *
   * @param {MicrophoneChoice} choice
   */
  async setMicrophone(choice) {
    const track = await openMicrophone(choice);
    if (this.#closed) return track?.stop();
    this.#useTrack(track);
    await Promise.all([this.#current?.setTrack(track), this.#previous?.connection.setTrack(track)]);
    this.#sendOwnState();
  }

  /**
   * @param {string} deviceId an output of `outputs()`, "" for the system's choice
   */
  async setOutput(deviceId) {
    await this.#playback?.setOutput(deviceId);
  }

  /**
   * @param {string} participantId
   * @param {number} volume 0 silent, 1 as sent, 2 twice as loud
   */
  setVolume(participantId, volume) {
    this.#volumes.set(participantId, Math.min(VOLUME_MAX, Math.max(0, volume)));
    this.#applyGains();
  }

  /** @param {string} participantId */
  volume(participantId) {
    return this.#volumes.get(participantId) ?? 1;
  }

  /** Starts playback in a click or key handler, when `needsGesture` is true. */
  async resume() {
    await this.#playback?.resume();
    this.#emitPlayback();
  }

  /** Leaves. Sound and microphone end at once; resolves when the relay knows, or soon after. */
  async leave() {
    const connection = this.#current;
    this.#current = null;
    this.#finish({ state: "left", reason: "left" });
    await connection?.leave();
  }

  // ---- connecting -------------------------------------------------------------------------

  get #closed() {
    return this.#abort.signal.aborted;
  }

  /** @param {boolean} [aborted] */
  #ensureOpen(aborted = false) {
    if (this.#closed || aborted) throw new VoiceError("left", "The room was left.");
  }

  /** Tries until a connection is welcomed. Throws when refused or left. */
  async #connect() {
    this.#connecting = true;
    let retryAfterMs = null;
    for (;;) {
      const pause = delayBefore(this.#attempt, Math.random(), retryAfterMs);
      if (pause > 0) this.#setState({ retryInMs: pause });
      await this.#pause(pause);
      this.#ensureOpen();
      if (this.#detail.retryInMs !== null) this.#setState({ retryInMs: null });
      try {
        return this.#adopt(await this.#openConnection());
      } catch (error) {
        this.#ensureOpen();
        const problem = asVoiceError(error);
        if (verdict(problem) === "stop") throw problem;
        this.#setState({ problem });
        this.emit("error", problem);
        retryAfterMs = problem.retryAfterMs;
        this.#attempt += 1;
      }
    }
  }

  /**
   * Sleeps, but not longer than it takes the computer to get back online.
   *
   * @param {number} ms
   */
  async #pause(ms) {
    if (ms <= 0) return;
    const online = new AbortController();
    const wake = () => online.abort();
    window.addEventListener("online", wake);
    await sleep(ms, AbortSignal.any([this.#abort.signal, online.signal]));
    window.removeEventListener("online", wake);
  }

  async #openConnection() {
    const token = await this.#options.token();
    this.#ensureOpen();
    const connection = new Connection({
      edge: this.#options.edge ?? "",
      room: this.#options.room,
      token,
      channels: this.#options.channels,
      region: this.#options.region,
      slots: this.#slots,
      track: this.#track,
      redundancy: this.#options.redundancy ?? false,
      iceMs: icePatience(this.#attempt),
      onMessage: (from, message) => this.#handleMessage(from, message),
      onDown: (from, error) => this.#handleDown(from, error),
    });
    await connection.open(this.#abort.signal);
    return connection;
  }

  /** @param {Connection} connection */
  #adopt(connection) {
    this.#connecting = false;
    if (this.#current && this.#output) this.#beginHandover(this.#current, this.#output);
    this.#current = connection;
    this.#output = this.#playback?.attach(connection.tracks) ?? null;
    // The microphone may have been changed while this connection was on its way.
    connection.setTrack(this.#track).catch(() => {});
    if (this.muted || this.#deafened) this.#sendOwnState();
    this.#setState({ state: "connected", problem: null, retryInMs: null });
    this.#publish({ roster: true, speaking: true, slots: true });
    this.#emitPlayback();
  }

  #reconnect() {
    if (this.#connecting || this.#closed) return;
    this.#connect().catch((error) => {
      this.#finish({ state: "refused", problem: asVoiceError(error) });
    });
  }

  /**
   * @param {Connection} connection
   * @param {VoiceError} error
   */
  #handleDown(connection, error) {
    if (connection === this.#previous?.connection) return this.#endHandover();
    if (connection !== this.#current || this.#closed) return;
    const livedMs = performance.now() - connection.welcomedAt;
    if (!this.#connecting) this.#attempt = attemptAfterLoss(this.#attempt, livedMs);
    this.#endHandover();
    this.#output?.close();
    this.#current = this.#output = null;
    this.#people = this.#people.map((person) => ({ ...person, speaking: false, slot: null }));
    this.#setState({ state: "reconnecting", problem: error });
    this.emit("speaking", []);
    this.#meters.reportLost();
    this.#reconnect();
  }

  // ---- what the relay says ----------------------------------------------------------------

  /**
   * @param {Connection} connection
   * @param {RelayMessage} message
   */
  #handleMessage(connection, message) {
    if (message.type === "migrate" && connection === this.#current) {
      this.#attempt = 0;
      return this.#reconnect();
    }
    if (message.type === "ended") return this.#handleEnded(connection, message.reason);
    if (message.type === "chat") return this.emit("chat", message);
    const { view, changed } = reduce(connection.view, message);
    connection.view = view;
    const known = connection === this.#current || connection === this.#previous?.connection;
    if (known && (changed.roster || changed.speaking || changed.slots)) this.#publish(changed);
  }

  /**
   * @param {Connection} connection
   * @param {import("./messages.js").EndReason} reason
   */
  #handleEnded(connection, reason) {
    connection.close();
    // While this side is joining again, it is itself who replaces the session.
    const ownDoing = reason === "replaced" && this.#connecting;
    if (connection === this.#current && !ownDoing) {
      if (reason === "kicked" || reason === "replaced") {
        const detail = reason === "kicked" ? "A moderator removed you." : "You joined elsewhere.";
        return this.#finish({ state: "left", reason, problem: new VoiceError(reason, detail) });
      }
    }
    this.#handleDown(connection, new VoiceError("connection-lost", `The relay said: ${reason}.`));
  }

  /** @param {import("./roster.js").Changed} changed */
  #publish(changed) {
    const current = this.#current;
    if (!current) return;
    if (this.#previous && changed.roster) this.#settleLater(current);
    this.#applyGains();
    this.#people = handover.everybody(current.view, this.#previous?.connection.view ?? null);
    if (changed.roster) this.emit("roster", this.#people);
    if (changed.roster || changed.speaking) {
      const talking = this.#people.filter((person) => person.speaking);
      this.emit("speaking", talking.map((person) => person.id));
    }
    if (changed.slots) this.emit("slots", playersInSlots(current.view));
  }

  #applyGains() {
    if (!this.#current) return;
    const behind = this.#previous
      ? handover.leftBehind(this.#previous.connection.view, this.#settled)
      : new Set();
    const gains = handover.slotGains(this.#current.view, this.#volumes, (id) => !behind.has(id));
    this.#output?.setGains(gains);
    if (!this.#previous) return;
    const { connection, output } = this.#previous;
    output.setGains(handover.slotGains(connection.view, this.#volumes, (id) => behind.has(id)));
  }

  // ---- moving to another relay ------------------------------------------------------------

  /**
   * @param {Connection} connection
   * @param {SlotOutput} output
   */
  #beginHandover(connection, output) {
    this.#endHandover();
    this.#previous = { connection, output };
    this.#handoverTimers.push(setTimeout(() => this.#endHandover(), handover.HANDOVER_MAX_MS));
  }

  /**
   * Whoever is here now is heard from here in a moment; when nobody is left on the old relay, the
   * move is done.
   *
   * @param {Connection} current
   */
  #settleLater(current) {
    const arrived = handover.playersOf(current.view);
    const settle = () => {
      if (!this.#previous || this.#current !== current) return;
      this.#settled = arrived;
      if (handover.leftBehind(this.#previous.connection.view, arrived).size === 0) {
        this.#endHandover();
      } else {
        this.#applyGains();
      }
    };
    this.#handoverTimers.push(setTimeout(settle, handover.SETTLE_MS));
  }

  #endHandover() {
    for (const timer of this.#handoverTimers.splice(0)) clearTimeout(timer);
    const previous = this.#previous;
    if (!previous) return;
    this.#previous = null;
    this.#settled = new Set();
    previous.output.close();
    previous.connection.leave();
    this.#publish({ roster: true, speaking: true, slots: false });
  }

  // ---- own microphone and ears ------------------------------------------------------------

  /** @param {MediaStreamTrack | null} track */
  #useTrack(track) {
    const old = this.#track;
    if (old) {
      old.onended = null;
      old.stop();
    }
    this.#track = track;
    this.#playback?.setInput(track);
    if (!track) return;
    track.enabled = !this.#muted;
    track.onended = () => this.#replaceLostMicrophone();
  }

  /** The device was unplugged: take the system's next one, or go on listening. */
  async #replaceLostMicrophone() {
    try {
      await this.setMicrophone(undefined);
    } catch (error) {
      await this.setMicrophone(null);
      this.emit("error", asVoiceError(error));
    }
  }

  /** @param {boolean} muted */
  #setMuted(muted) {
    this.#muted = muted;
    if (this.#track) this.#track.enabled = !muted;
    this.#sendOwnState();
  }

  /** @param {boolean} deafened */
  #setDeafened(deafened) {
    this.#deafened = deafened;
    this.#playback?.setSilent(deafened);
    this.#sendOwnState();
  }

  #sendOwnState() {
    const message = { type: "state", muted: this.muted, deafened: this.#deafened };
    this.#current?.send(message);
    this.#previous?.connection.send(message);
  }

  // ---- the way out -----------------------------------------------------------------------

  #sayGoodbye = () => {
    this.#current?.send({ type: "leave" });
  };

  #leaveOnAbort = () => {
    this.leave();
  };

  #emitPlayback() {
    if (!this.#closed) this.emit("playback", { needsGesture: this.needsGesture });
  }

  /** @param {Partial<StateDetail>} change */
  #setState(change) {
    if (this.#closed && change.state !== "left" && change.state !== "refused") return;
    this.#detail = { ...this.#detail, ...change };
    this.emit("state", this.#detail);
  }

  /**
   * The one way out: everything that was opened is closed, then the last event is sent.
   *
   * @param {Partial<StateDetail>} change
   */
  #finish(change) {
    if (this.#closed) return;
    this.#abort.abort();
    this.#options.signal?.removeEventListener("abort", this.#leaveOnAbort);
    window.removeEventListener("pagehide", this.#sayGoodbye);
    this.#meters.stop();
    this.#endHandover();
    this.#current?.close();
    this.#output?.close();
    this.#current = this.#output = null;
    this.#useTrack(null);
    this.#playback?.close();
    this.#playback = null;
    this.#people = [];
    this.#setState({ problem: null, ...change, retryInMs: null });
    this.forgetHandlers();
  }
}

const BLANK = { problem: null, retryInMs: null, reason: null };

/** @param {unknown} error */
function asVoiceError(error) {
  if (error instanceof VoiceError) return error;
  const detail = error instanceof Error ? error.message : "Something went wrong.";
  return new VoiceError("token-source", detail, { cause: error });
}
