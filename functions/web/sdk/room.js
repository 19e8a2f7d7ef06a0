// A person in a room, as an application sees it: the shell of `room-machine.js`, which decides.
// Here are the effects: connections, microphone, sound, timers, and what the application is told.

/** @import { Participant } from "./roster.js" */
/** @import { ChatPush } from "./messages.js" */
/** @import { MicrophoneChoice } from "./microphone.js" */
/** @import { QualityDetail } from "./meters.js" */
/** @import { Problem } from "./problem.js" */
/** @import { RoomPorts } from "./room-ports.js" */
/** @import { Detail, RoomEffect, RoomEvent, RoomState, Tell } from "./room-state.js" */

import { deferred } from "./deadline.js";
import { Emitter } from "./emitter.js";
import { Meters } from "./meters.js";
import { asVoiceError, VoiceError } from "./problem.js";
import { RoomLinks } from "./room-links.js";
import { reduce } from "./room-machine.js";
import { browserPorts } from "./room-ports.js";
import { dueAt, isOver, isSilent, newRoom } from "./room-state.js";
import { playersInSlots } from "./roster.js";

const SLOTS_DEFAULT = 8;

/**
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
 *   chat: ChatPush,
 *   world: string | null,
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
 * @property {boolean} [adaptive] send more redundancy, fewer bits and longer packets while the
 *   network loses or queues, as far as the browser can; default true
 * @property {boolean} [muted] join with the microphone muted
 * @property {AbortSignal} [signal] leaves the room when it fires
 * @property {{ [K in keyof RoomEvents]?: (detail: RoomEvents[K]) => void }} [on] handlers that
 *   are in place before anything happens
 * @property {RoomPorts} [ports] time, chance, network, connections and sound; for tests
 */

/** @extends {Emitter<RoomEvents>} */
export class VoiceRoom extends Emitter {
  #options;
  #ports;
  #room;
  /** Effects that wait for their turn. @type {RoomEffect[]} */
  #effects = [];
  #performing = false;
  #timerAt = /** @type {number | null} */ (null);
  #cancelTimer = () => {};
  #links;
  /** The errors that problems were made of. @type {WeakMap<Problem, VoiceError>} */
  #errors = new WeakMap();
  #track = /** @type {MediaStreamTrack | null} */ (null);
  #playback = /** @type {ReturnType<RoomPorts["openPlayback"]> | null} */ (null);
  #joined = /** @type {ReturnType<typeof deferred<void>>} */ (deferred());
  #closed = /** @type {ReturnType<typeof deferred<void>>} */ (deferred());
  #meters;
  #world = /** @type {string | null} */ (null);
  #quality = /** @type {QualityDetail | null} */ (null);

  /** @param {RoomOptions} options */
  constructor(options) {
    super();
    const { slots = SLOTS_DEFAULT, muted = false, microphone, ports = browserPorts } = options;
    if (!Number.isInteger(slots) || slots < 1 || slots > 16) {
      throw new RangeError(`slots is ${slots}; choose 1 to 16`);
    }
    this.#options = options;
    this.#ports = ports;
    this.#room = newRoom({ slots, muted, listens: microphone === null });
    this.#links = new RoomLinks({
      options,
      ports,
      slots,
      track: () => this.#track,
      playback: () => this.#playback,
      handle: (event) => this.#handle(event),
      problemOf: (error) => this.#problemOf(error),
    });
    this.#meters = new Meters({
      runtime: ports.runtime,
      level: () => (this.#room.muted ? 0 : (this.#playback?.level() ?? 0)),
      peer: () => this.#current?.peer ?? null,
      rtt: () => this.#room.current?.heart?.rtt ?? null,
      told: () => this.#room.current?.quality ?? null,
      adaptive: options.adaptive ?? true,
      onLevel: (level) => this.emit("level", level),
      onQuality: (quality) => {
        this.#quality = quality;
        this.emit("quality", quality);
      },
    });
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
    return this.#room.detail.state;
  }

  /** The state with its details, as in the last `state` event. */
  get detail() {
    return this.#detailOf(this.#room.detail);
  }

  /**
   * Everybody in the room, self first; in one of more than a hundred, oneself, those of one's small
   * channels and who talked last. During a reconnect, who was there before.
   */
  get participants() {
    return this.#room.people;
  }

  /** How many are in the room, whether `participants` names them all or not. */
  get participantCount() {
    return this.#room.current?.view.count ?? this.participants.length;
  }

  /** Own entry among the participants. */
  get self() {
    return this.participants.find((person) => person.self) ?? null;
  }

  /** The player in each slot. */
  get slots() {
    const { current, slots } = this.#room;
    return current ? playersInSlots(current.view) : Array(slots).fill(null);
  }

  /**
   * The world channel whose messages come here: the region's, or this player's hall of it. During a
   * reconnect, the one before; null where he may read none.
   */
  get world() {
    return this.#world;
  }

  /** How good the connection is, as in the last `quality` event; null before the first. */
  get quality() {
    return this.#quality;
  }

  /** Whether nothing of this microphone is sent: muted, or only listening. */
  get muted() {
    return isSilent(this.#room);
  }

  get deafened() {
    return this.#room.deafened;
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
    return this.#current?.output?.streams[slot] ?? null;
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
    this.#handle({ type: signal?.aborted ? "leave" : "join" });
    await this.#joined.promise;
  }

  mute() {
    this.#setOwnState({ muted: true });
  }

  unmute() {
    this.#setOwnState({ muted: false });
  }

  /** Hears nothing and is sent nothing. */
  deafen() {
    this.#setOwnState({ deafened: true });
  }

  undeafen() {
    this.#setOwnState({ deafened: false });
  }

  /** @param {{ muted?: boolean, deafened?: boolean }} change */
  #setOwnState(change) {
    const { muted, deafened } = this.#room;
    this.#handle({ type: "own-state", muted, deafened, ...change });
  }

  /**
   * Takes another microphone, or none (null). On failure the present one stays.
   *
   * @param {MicrophoneChoice} choice
   */
  async setMicrophone(choice) {
    const track = await this.#ports.openMicrophone(choice);
    if (isOver(this.#room)) return track?.stop();
    await this.#useTrack(track);
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
    this.#handle({ type: "volume", player: participantId, volume });
  }

  /** @param {string} participantId */
  volume(participantId) {
    return this.#room.volumes.get(participantId) ?? 1;
  }

  /** Starts playback in a click or key handler, when `needsGesture` is true. */
  async resume() {
    await this.#playback?.resume();
    this.#emitPlayback();
  }

  /** Leaves. Sound and microphone end at once; resolves when the relay knows, or soon after. */
  async leave() {
    this.#handle({ type: "leave" });
    await this.#closed.promise;
  }

  // ---- turns of the machine ---------------------------------------------------------------

  /**
   * The state is another one at once; effects follow each other, also when a handler of the
   * application makes something happen.
   *
   * @param {RoomEvent} event
   */
  #handle(event) {
    const { runtime } = this.#ports;
    const turned = reduce(this.#room, event, runtime.elapsed(), runtime.random());
    this.#room = turned.room;
    this.#effects.push(...turned.effects);
    if (this.#performing) return;
    this.#performing = true;
    for (let effect; (effect = this.#effects.shift()); ) {
      try {
        this.#perform(effect);
      } catch (error) {
        // As of a handler that throws: it is reported, and the others have their turn.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    this.#performing = false;
    this.#noteWorld();
    this.#setTimer();
    if (isOver(this.#room) && this.#links.size === 0) this.#closed.resolve();
  }

  /** A move may lead to another hall. */
  #noteWorld() {
    const current = this.#current;
    if (!current || current.world === this.#world) return;
    this.#world = current.world;
    this.emit("world", current.world);
  }

  #setTimer() {
    const { runtime } = this.#ports;
    const at = dueAt(this.#room);
    if (at === this.#timerAt) return;
    this.#cancelTimer();
    this.#timerAt = at;
    if (at === null) return;
    this.#cancelTimer = runtime.later(Math.ceil(at - runtime.elapsed()), () => {
      this.#timerAt = null;
      this.#handle({ type: "tick" });
    });
  }

  /** @param {RoomEffect} effect */
  #perform(effect) {
    switch (effect.type) {
      case "tell":
        return this.#tell(effect);
      case "open-microphone":
        return this.#openMicrophone(effect.isReplacement);
      case "start":
        return this.#start();
      case "lose":
        return this.#meters.reportLost();
      case "end":
        return this.#end();
      case "playback":
        return this.#emitPlayback();
      case "own-state":
        if (this.#track) this.#track.enabled = !effect.muted;
        return this.#playback?.setSilent(effect.deafened);
      case "open":
        return this.#links.open(effect.link, effect.lost);
      default:
        this.#links.perform(effect);
    }
  }

  get #current() {
    return this.#links.find(this.#room.current?.id);
  }

  // ---- microphone and sound ---------------------------------------------------------------

  /** @param {boolean} isReplacement */
  async #openMicrophone(isReplacement) {
    try {
      await this.setMicrophone(isReplacement ? undefined : this.#options.microphone);
    } catch (error) {
      this.#handle({ type: "no-microphone", problem: this.#problemOf(error) });
      if (!isOver(this.#room)) await this.#useTrack(null).catch(() => {});
    }
  }

  /** @param {MediaStreamTrack | null} track */
  async #useTrack(track) {
    const old = this.#track;
    if (old) {
      old.onended = null;
      old.stop();
    }
    this.#track = track;
    this.#playback?.setInput(track);
    if (track) {
      track.enabled = !this.#room.muted;
      track.onended = () => this.#handle({ type: "microphone-lost" });
    }
    this.#handle({ type: "microphone", microphone: track !== null });
    await this.#links.setTrack(track);
  }

  #emitPlayback() {
    if (!isOver(this.#room)) this.emit("playback", { needsGesture: this.needsGesture });
  }

  // ---- beginning and end ------------------------------------------------------------------

  #start() {
    try {
      this.#playback = this.#ports.openPlayback(() => this.#emitPlayback());
    } catch (error) {
      return this.#handle({ type: "unable", problem: this.#problemOf(error) });
    }
    if (this.deafened) this.#playback.setSilent(true);
    if (this.#track) this.#playback.setInput(this.#track);
    this.#meters.start();
    this.#ports.page.addEventListener("online", this.#handleOnline);
    this.#ports.page.addEventListener("pagehide", this.#handlePagehide);
  }

  #end() {
    this.#options.signal?.removeEventListener("abort", this.#leaveOnAbort);
    this.#ports.page.removeEventListener("online", this.#handleOnline);
    this.#ports.page.removeEventListener("pagehide", this.#handlePagehide);
    this.#meters.stop();
    this.#useTrack(null).catch(() => {});
    this.#playback?.close();
    this.#playback = null;
  }

  #handleOnline = () => this.#handle({ type: "online" });

  #handlePagehide = () => this.#handle({ type: "pagehide" });

  #leaveOnAbort = () => this.#handle({ type: "leave" });

  // ---- what is told -----------------------------------------------------------------------

  /** @param {Tell} effect */
  #tell({ name, detail }) {
    if (name === "error") return this.emit("error", this.#errorOf(detail));
    if (name !== "state") return this.emit(name, detail);
    const told = this.#detailOf(detail);
    const { state, problem } = told;
    this.emit("state", told);
    if (state === "connected") this.#joined.resolve();
    if (state !== "left" && state !== "refused") return;
    const left = new VoiceError("left", "The room was left.");
    this.#joined.reject(state === "refused" && problem ? problem : left);
    this.forgetHandlers();
  }

  /**
   * @param {Detail} detail
   * @returns {StateDetail}
   */
  #detailOf(detail) {
    return { ...detail, problem: detail.problem && this.#errorOf(detail.problem) };
  }

  /** @param {Problem} problem */
  #errorOf(problem) {
    const { message } = problem;
    const error = this.#errors.get(problem) ?? new VoiceError(problem.problem, message, problem);
    this.#errors.set(problem, error);
    return error;
  }

  /** @param {unknown} thrown */
  #problemOf(thrown) {
    const detail = thrown instanceof Error ? thrown.message : undefined;
    const error = asVoiceError(thrown, "token-source", detail);
    const { problem, message, status, title, retryAfterMs } = error;
    const data = { problem, message, status, title, retryAfterMs };
    this.#errors.set(data, error);
    return data;
  }
}
