// A person's stay in a room as a pure reducer: attempts, reconnects, moves, what is told and when.
// No clock, no chance, no browser: they are arguments, and what is to be done comes back as
// effects, in the order in which to do it. `media-core/client/src/call.rs` does the same for native
// clients.

/** @import { Link } from "./link.js" */
/** @import { EndReason, RelayMessage } from "./messages.js" */
/** @import { Problem } from "./problem.js" */
/** @import { Detail, ProgressEvent, Room, RoomEffect } from "./room-state.js" */
/** @import { RoomEvent, StayEvent, Told } from "./room-state.js" */
/** @import { Changed } from "./roster.js" */

import {
  everybody,
  leftBehind,
  newMoving,
  settle,
  settleDueAt,
  settleLater,
  slotGains,
} from "./handover.js";
import { asked, handleTimeout, leaving, newLink, receive, replied } from "./link.js";
import { problemOf, verdictOf } from "./problem.js";
import { BLANK, isJoining, isOver, isSilent, linksOf } from "./room-state.js";
import { playersInSlots } from "./roster.js";
import { attemptAfterLoss, delayBefore, RETURN_WITHIN_MS } from "./schedule.js";

/** The loudest that a participant can be made. */
const VOLUME_MAX = 2;

/**
 * @param {Room} room
 * @param {RoomEvent} event
 * @param {number} now milliseconds of a clock that nobody sets
 * @param {number} random 0 up to 1, another one at each call
 * @returns {{ room: Room, effects: RoomEffect[] }}
 */
export function reduce(room, event, now, random) {
  const turn = new Turn(room, now, random);
  turn.handle(event);
  return turn;
}

/** One turn: the state as it becomes, and the effects so far. */
class Turn {
  #now;
  #random;
  room;
  /** @type {RoomEffect[]} */
  effects = [];

  /**
   * @param {Room} room
   * @param {number} now
   * @param {number} random
   */
  constructor(room, now, random) {
    this.room = { ...room };
    this.#now = now;
    this.#random = random;
  }

  /** @param {RoomEvent} event */
  handle(event) {
    const { room } = this;
    switch (event.type) {
      case "tick":
        return this.#handleTick();
      case "asked":
      case "replied":
      case "reachable":
      case "opened":
        return this.#handleProgress(event);
      case "message":
        return this.#handleMessage(event.link, event.message);
      case "failed":
        return this.#handleFailed(event.link, event.problem);
      case "own-state":
        room.muted = event.muted;
        room.deafened = event.deafened;
        this.effects.push(event);
        return this.#sendOwnState();
      case "volume": {
        const volume = Math.min(VOLUME_MAX, Math.max(0, event.volume));
        room.volumes = new Map(room.volumes).set(event.player, volume);
        return this.#applyGains();
      }
      default:
        if (!isOver(room)) this.#handleStay(event);
    }
  }

  /** @param {StayEvent} event */
  #handleStay(event) {
    const { room } = this;
    const { state } = room.detail;
    switch (event.type) {
      case "join":
        if (state !== "idle") return;
        this.effects.push({ type: "start" });
        if (room.listens) return this.#setOut();
        this.#setDetail({ state: "microphone" });
        return this.#openMicrophone(false);
      case "microphone":
        room.hasMicrophone = event.microphone;
        return state === "microphone" ? this.#setOut() : this.#sendOwnState();
      case "microphone-lost":
        return this.#openMicrophone(true);
      case "no-microphone":
        // Without a microphone one can go on listening, but did not ask to come for that.
        if (state !== "microphone") return this.#tell("error", event.problem);
        return this.#finish({ state: "refused", problem: event.problem });
      case "unable":
        return this.#finish({ state: "refused", problem: event.problem });
      case "online":
        if (room.pauseUntil !== null) this.#connect();
        return;
      case "pagehide":
        return this.#send(room.current, { type: "leave" });
      case "leave":
        return this.#finish({ state: "left", reason: "left" });
    }
  }

  /** @param {boolean} isReplacement */
  #openMicrophone(isReplacement) {
    this.effects.push({ type: "open-microphone", isReplacement });
  }

  // ---- attempts ---------------------------------------------------------------------------

  #setOut() {
    this.#setDetail({ state: "connecting" });
    this.#begin();
  }

  /**
   * An attempt begins after its pause.
   *
   * @param {number | null} [retryAfterMs]
   */
  #begin(retryAfterMs = null) {
    const { room } = this;
    const pause = delayBefore(room.attempt, this.#random, retryAfterMs);
    if (pause <= 0) return this.#connect();
    room.pauseUntil = this.#now + pause;
    this.#setDetail({ retryInMs: pause });
  }

  #connect() {
    const { room } = this;
    room.pauseUntil = null;
    if (room.detail.retryInMs !== null) this.#setDetail({ retryInMs: null });
    const link = (room.links += 1);
    room.joining = newLink(link, room.slots);
    this.effects.push({ type: "open", link, lost: room.lost });
  }

  /** @param {ProgressEvent} event */
  #handleProgress(event) {
    const { room } = this;
    const link = room.joining;
    if (link?.id !== event.link) return;
    if (event.type === "asked") {
      room.joining = asked(link, this.#now);
    } else if (event.type === "replied") {
      room.joining = replied(link, event, room.attempt, this.#now);
    } else if (event.type === "reachable") {
      room.joining = { ...link, iceUntil: null };
    } else {
      room.joining = { ...link, isOpen: true };
      this.#send(room.joining, { type: "hello", sealed: link.hello });
    }
  }

  /**
   * The attempt came to nothing.
   *
   * @param {Problem} problem
   */
  #fail(problem) {
    const { room } = this;
    if (verdictOf(problem) === "stop") return this.#finish({ state: "refused", problem });
    this.#close(room.joining);
    // Nobody answered there, or let nobody in.
    room.lost = room.joining?.relay ?? room.lost;
    room.joining = null;
    this.#setDetail({ problem });
    this.#tell("error", problem);
    room.attempt += 1;
    this.#begin(problem.retryAfterMs);
  }

  /**
   * The relay said welcome: this connection is the current one, and one that there was is left.
   *
   * @param {Link} link
   */
  #adopt(link) {
    const { room } = this;
    if (room.moving) this.#leave(room.moving.link);
    room.moving = room.current && newMoving(room.current, this.#now);
    room.joining = null;
    room.lost = null;
    room.current = link;
    this.effects.push({ type: "attach", link: link.id });
    if (isSilent(room) || room.deafened) this.#sendOwnState();
    this.#setDetail({ state: "connected", problem: null, retryInMs: null });
    this.#publish({ roster: true, speaking: true, slots: true });
    this.effects.push({ type: "playback" });
  }

  // ---- connections ------------------------------------------------------------------------

  #handleTick() {
    const { room } = this;
    for (const { id } of linksOf(room)) this.#passTime(id);
    if (room.moving && this.#now >= settleDueAt(room.moving)) {
      const { moving, isDone } = settle(room.moving, this.#now);
      room.moving = moving;
      if (isDone) this.#endMove();
      else this.#applyGains();
    }
    if (room.pauseUntil !== null && this.#now >= room.pauseUntil) this.#connect();
  }

  /** @param {number} id */
  #passTime(id) {
    const before = this.#find(id);
    if (!before) return;
    const { link, ping, problem } = handleTimeout(before, this.#now);
    if (problem) return this.#handleFailed(id, problem);
    this.#replace(link);
    if (ping !== null) this.#send(link, { type: "ping", id: ping });
  }

  /**
   * @param {number} id
   * @param {RelayMessage | null} message
   */
  #handleMessage(id, message) {
    const { room } = this;
    const known = this.#find(id);
    if (!known) return;
    if (known.step === "leaving") {
      if (message?.type === "ended") this.#endLeaving(known);
      return;
    }
    const { link, changed } = receive(known, message, this.#now);
    this.#replace(link);
    switch (message?.type) {
      case "chat":
        return this.#tell("chat", message);
      case "ended":
        return this.#handleEnded(link, message.reason);
      case "migrate":
        if (link === room.current) this.#moveAway(link);
        return;
      default:
        if (link !== room.joining) this.#publish(changed);
        else if (link.step === "welcome") this.#adopt(link);
    }
  }

  /**
   * The relay wants to be left for another one, and stays until that is done. One that says so
   * again and again is left at the pace of the schedule.
   *
   * @param {Link} link
   */
  #moveAway(link) {
    if (isJoining(this.room)) return;
    this.#countLoss(link);
    this.#begin();
  }

  /**
   * @param {Link} link
   * @param {EndReason} reason
   */
  #handleEnded(link, reason) {
    const { room } = this;
    const isFinal = reason === "kicked" || reason === "replaced";
    if (link === room.joining) {
      const problem = isFinal ? reason : "relay-unreachable";
      return this.#fail(problemOf(problem, "The voice relay ended the session."));
    }
    // While this side is joining again, it is itself who replaces the session.
    const isOwnDoing = reason === "replaced" && isJoining(room);
    if (link === room.current && isFinal && !isOwnDoing) {
      const detail = reason === "kicked" ? "A moderator removed you." : "You joined elsewhere.";
      this.#close(link);
      room.current = null;
      return this.#finish({ state: "left", reason, problem: problemOf(reason, detail) });
    }
    this.#handleFailed(link.id, problemOf("connection-lost", `The relay said: ${reason}.`));
  }

  /**
   * @param {number} id
   * @param {Problem} problem
   */
  #handleFailed(id, problem) {
    const { room } = this;
    const link = this.#find(id);
    if (!link) return;
    if (link.step === "leaving") this.#endLeaving(link);
    else if (link === room.joining) this.#fail(problem);
    else if (link === room.current) this.#handleDown(link, problem);
    else this.#endMove(true);
  }

  /** @param {number} id */
  #find(id) {
    return linksOf(this.room).find((link) => link.id === id);
  }

  /**
   * The current connection is over.
   *
   * @param {Link} link
   * @param {Problem} problem
   */
  #handleDown(link, problem) {
    const { room } = this;
    if (!isJoining(room)) this.#countLoss(link);
    this.#endMove();
    this.#close(link);
    room.current = null;
    room.lost = link.relay;
    room.people = room.people.map((person) => ({ ...person, speaking: false, slot: null }));
    this.#setDetail({ state: "reconnecting", problem });
    this.#tell("speaking", []);
    this.effects.push({ type: "lose" });
    if (isJoining(room)) return;
    if (room.attempt > 0) return this.#begin();
    // All of a relay lose it at once, and come back one after another.
    room.pauseUntil = this.#now + RETURN_WITHIN_MS * this.#random;
  }

  /** @param {Link} link */
  #countLoss(link) {
    this.room.attempt = attemptAfterLoss(this.room.attempt, this.#now - link.welcomedAt);
  }

  /**
   * Puts a link in the place of what it was before.
   *
   * @param {Link} link
   */
  #replace(link) {
    const { room } = this;
    if (room.joining?.id === link.id) room.joining = link;
    else if (room.current?.id === link.id) room.current = link;
    else if (room.moving?.link.id === link.id) room.moving = { ...room.moving, link };
  }

  /** @param {Link | null} link */
  #close(link) {
    if (link) this.effects.push({ type: "close", link: link.id });
  }

  /**
   * Says goodbye, and closes when the relay has heard it.
   *
   * @param {Link} link
   */
  #leave(link) {
    this.effects.push({ type: "detach", link: link.id });
    this.#send(link, { type: "leave" });
    this.room.leaving = [...this.room.leaving, leaving(link, this.#now)];
  }

  /** @param {Link} link */
  #endLeaving(link) {
    this.room.leaving = this.room.leaving.filter((one) => one !== link);
    this.#close(link);
  }

  /**
   * @param {Link | null | undefined} link
   * @param {Record<string, unknown>} message
   */
  #send(link, message) {
    if (link?.isOpen) this.effects.push({ type: "send", link: link.id, message });
  }

  #sendOwnState() {
    const { room } = this;
    const message = { type: "state", muted: isSilent(room), deafened: room.deafened };
    this.#send(room.current, message);
    this.#send(room.moving?.link, message);
  }

  /** @param {boolean} [isDead] when there is nobody to say goodbye to */
  #endMove(isDead = false) {
    const { room } = this;
    if (!room.moving) return;
    const { link } = room.moving;
    room.moving = null;
    if (isDead) this.#close(link);
    else this.#leave(link);
    this.#publish({ roster: true, speaking: true, slots: false });
  }

  // ---- what is heard and told -------------------------------------------------------------

  /** Each player is heard from one relay. */
  #applyGains() {
    const { current, moving, volumes } = this.room;
    if (!current) return;
    const behind = moving ? leftBehind(moving.link.view, moving.settled) : new Set();
    const gains = slotGains(current.view, volumes, (player) => !behind.has(player));
    this.effects.push({ type: "gain", link: current.id, gains });
    if (!moving) return;
    const others = slotGains(moving.link.view, volumes, (player) => behind.has(player));
    this.effects.push({ type: "gain", link: moving.link.id, gains: others });
  }

  /** @param {Changed} changed */
  #publish({ roster, speaking, slots }) {
    const { room } = this;
    const { current, moving } = room;
    if (!current || !(roster || speaking || slots)) return;
    if (moving && roster) room.moving = settleLater(moving, current.view, this.#now);
    this.#applyGains();
    const people = everybody(current.view, moving?.link.view ?? null);
    room.people = people;
    if (roster) this.#tell("roster", people);
    if (roster || speaking) {
      this.#tell("speaking", people.filter((one) => one.speaking).map((one) => one.id));
    }
    if (slots) this.#tell("slots", playersInSlots(current.view));
  }

  /** @param {Partial<Detail>} change */
  #setDetail(change) {
    this.room.detail = { ...this.room.detail, ...change };
    this.#tell("state", this.room.detail);
  }

  /**
   * @template {keyof Told} K
   * @param {K} name
   * @param {Told[K]} detail
   */
  #tell(name, detail) {
    this.effects.push(/** @type {RoomEffect} */ ({ type: "tell", name, detail }));
  }

  /**
   * The one way out: everything that was opened is closed or left, then the last event is told.
   *
   * @param {Partial<Detail>} change
   */
  #finish(change) {
    const { room } = this;
    this.#close(room.joining);
    for (const link of [room.current, room.moving?.link]) if (link) this.#leave(link);
    room.joining = room.current = room.moving = room.pauseUntil = null;
    room.people = [];
    this.effects.push({ type: "end" });
    this.#setDetail({ ...BLANK, ...change });
  }
}
