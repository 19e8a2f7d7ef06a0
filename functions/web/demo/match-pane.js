// The way to a match: queue, party, waiting, the question whether to play, the teams.

/** @import { Match, MatchTicket, TicketDetail } from "/sdk/index.js" */

import { Matchmaker, VoiceError, problemText } from "/sdk/index.js";
import { announce } from "./announcer.js";
import { byId, make, say } from "./dom.js";
import { faultWords } from "./faults.js";
import { fetchToken, playerId } from "./token.js";
import * as words from "./match-words.js";

/** Remembers over a reload that there is something to find again. */
const SEARCHING_KEY = "lifeverse.searching";
const TICK_MS = 500;
/** The first question why it waits, and how long after the last one the next comes. */
const ASK_FIRST_MS = 3000;
const ASK_EVERY_MS = 10_000;
/** A countdown is told aloud at these seconds. */
const TOLD_S = [10, 5];

/**
 * What a person asks for.
 *
 * @typedef {{ name: string, token: string, queue: string, party: string[] }} Search
 *
 * @typedef {{ show: (panel: HTMLElement) => void, done: (message: string) => void,
 *   enter: (match: Match, listenOnly: boolean) => void }} MatchHandlers
 */

export class MatchPane {
  #on;
  #languages = navigator.languages;
  #search = byId("search");
  #proposal = byId("proposal");
  #found = byId("found");
  #maker = /** @type {Matchmaker | null} */ (null);
  /** Invitations that need no second answer. */
  #answered = /** @type {Set<string>} */ (new Set());
  #idle = /** @type {{ token: string, maker: Matchmaker } | null} */ (null);
  #ticket = /** @type {MatchTicket | null} */ (null);
  #abort = new AbortController();
  #clock = 0;
  #askAtMs = 0;
  #toldS = Infinity;
  #requeued = false;
  /** Whether this player ended the search himself, and by declining. */
  #by = { own: false, declined: false };

  /** @param {MatchHandlers} on */
  constructor(on) {
    this.#on = on;
    const press = (/** @type {string} */ id, /** @type {() => unknown} */ action) => {
      byId(id).addEventListener("click", () => this.#try(action));
    };
    press("search-cancel", () => this.#leave());
    press("accept", () => this.#answer(true));
    press("decline", () => this.#answer(false));
    press("join-match", () => this.#enter(false));
    press("listen-match", () => this.#enter(true));
    press("leave-match", () => this.#leave());
  }

  /** A Matchmaker for this person. @param {{ name: string, token: string }} person */
  #makerFor({ name, token }) {
    const wish = { room: "lobby", name, token, moderator: false };
    return new Matchmaker({ token: () => fetchToken(wish) });
  }

  /**
   * What a queue plays; null while that is not known.
   *
   * @param {string} queue
   * @param {string} token that was pasted, or ""
   */
  async rules(queue, token) {
    return this.#idleMaker(token).rules(queue).catch(() => null);
  }

  /**
   * Parties that have named this player.
   *
   * @param {string} token that was pasted, or ""
   */
  async invitations(token) {
    const found = await this.#idleMaker(token).invitations().catch(() => []);
    return found.filter(({ ticket }) => !this.#answered.has(ticket));
  }

  /** For questions while there is no search. @param {string} token */
  #idleMaker(token) {
    if (this.#idle?.token !== token) {
      this.#idle = { token, maker: this.#makerFor({ name: "", token }) };
    }
    return this.#idle.maker;
  }

  /** @param {Search} search */
  async find(search) {
    const { queue, party } = search;
    const languages = [...this.#languages];
    await this.#begin(search, (maker, on) => {
      return maker.queue({ queue, party, languages, on, signal: this.#abort.signal });
    });
  }

  /**
   * Answers an invitation.
   *
   * @param {{ name: string, token: string }} person
   * @param {{ queue: string, ticket: string }} invitation
   * @param {boolean} accept
   */
  async answerInvitation(person, invitation, accept) {
    this.#answered.add(invitation.ticket);
    await this.#begin(person, async (maker, on) => {
      const ticket = await maker.open({ ...invitation, on });
      if (!accept) this.#by.own = true;
      if (!accept) await ticket.leave();
      else if (ticket.isInvited) await ticket.joinParty({ languages: [...this.#languages] });
      return ticket;
    });
  }

  /** Finds the search again that a reload of the page has interrupted. */
  async resume() {
    const kept = sessionStorage.getItem(SEARCHING_KEY);
    if (kept === null) return;
    const person = { name: kept, token: "" };
    await this.#begin(person, (maker, on) => maker.resume({ on }));
  }

  /** The match again, after its voice was left. @returns {boolean} whether there is one */
  showAgain() {
    const match = this.#ticket?.state === "matched" ? this.#ticket.match : null;
    if (match) this.#showFound(match);
    return match !== null;
  }

  /**
   * @param {{ name: string, token: string }} person
   * @param {(maker: Matchmaker, on: import("/sdk/index.js").TicketHandlers) =>
   *   Promise<MatchTicket | null>} start
   */
  async #begin(person, start) {
    this.#end();
    this.#abort = new AbortController();
    this.#by = { own: false, declined: false };
    this.#requeued = false;
    const maker = this.#makerFor(person);
    this.#maker = maker;
    const isNow = () => this.#maker === maker;
    this.#showSearch({ state: "queueing", problem: null, retryInMs: null, reason: null });
    try {
      const ticket = await start(maker, {
        state: (detail) => isNow() && this.#showState(detail),
        party: () => isNow() && this.#showParty(),
        accepted: () => isNow() && this.#showAccepted(),
        requeued: () => isNow() && this.#showRequeued(),
        ended: (detail) => isNow() && this.#showEnd(detail),
      });
      if (!isNow()) return ticket?.close();
      if (!ticket) return this.#finish("");
      if (ticket.state === "ended") return;
      this.#ticket = ticket;
      sessionStorage.setItem(SEARCHING_KEY, person.name);
      this.#showState(ticket.detail);
    } catch (error) {
      if (!isNow()) return;
      const problem = error instanceof VoiceError ? error : { problem: "" };
      this.#finish(problem.problem === "left" ? "" : problemText(problem, this.#languages));
    }
  }

  // ---- showing ------------------------------------------------------------------------------

  /** @param {TicketDetail} detail */
  #showState(detail) {
    const ticket = this.#ticket;
    if (detail.state === "ended" || (!ticket && detail.state !== "queueing")) return;
    if (detail.state === "proposed" && ticket?.match) return this.#showProposal(ticket.match);
    if (detail.state === "matched" && ticket?.match) return this.#showFound(ticket.match);
    this.#showSearch(detail);
  }

  /** @param {TicketDetail} detail */
  #showSearch(detail) {
    const ticket = this.#ticket;
    const more = {
      party: ticket?.party ?? [],
      typicalWaitS: ticket?.typicalWaitS ?? null,
      requeued: this.#requeued,
    };
    const { title, detail: line } = words.searchWords(detail, more, this.#languages);
    const isNew = this.#search.hidden || byId("search-title").textContent !== title;
    say(byId("search-title"), title);
    say(byId("search-detail"), line);
    byId("search-clock").hidden = detail.state !== "waiting";
    const leads = ticket?.isLeader ?? true;
    say(byId("search-cancel"), leads ? "Cancel the search" : "Leave the party");
    if (detail.state !== "waiting") say(byId("search-why"), "");
    this.#showParty();
    this.#showPanel(this.#search, "search-title");
    if (isNew) announce(`${title}. ${line}`);
    this.#startClock();
  }

  #showParty() {
    const party = this.#ticket?.party ?? [];
    const list = byId("search-party");
    list.hidden = party.length < 2;
    list.replaceChildren(...party.map(({ player, joined }) => {
      const item = make("li", joined ? "joined" : "");
      const state = joined ? "ready" : "has not joined yet";
      item.append(make("b", "", words.playerWords(player, playerId())), make("span", "", state));
      return item;
    }));
  }

  #showRequeued() {
    this.#requeued = true;
    announce("Not everybody accepted. You are back in the queue and keep your place.");
    const detail = this.#ticket?.detail;
    if (detail?.state === "waiting") this.#showSearch(detail);
  }

  /** @param {Match} match */
  #showProposal(match) {
    const isNew = this.#proposal.hidden;
    if (!isNew) return;
    say(byId("proposal-detail"), `${match.mode} in region ${match.region}. Will you play?`);
    this.#setAnswered(match.accepted.includes(playerId()));
    this.#toldS = Infinity;
    this.#showAccepted();
    this.#showPanel(this.#proposal, "proposal-title");
    const seconds = Math.ceil((match.acceptLeftMs ?? 0) / 1000);
    announce(`A match was found. You have ${seconds} seconds to accept it.`);
    this.#startClock();
  }

  #showAccepted() {
    const match = this.#ticket?.match;
    if (!match) return;
    say(byId("proposal-accepted"), words.acceptedWords(match));
    const all = match.teams.flatMap(({ players }) => players).length;
    const dots = Array.from({ length: all }, (_, n) => {
      return make("i", n < match.accepted.length ? "on" : "");
    });
    byId("proposal-dots").replaceChildren(...dots);
  }

  /** @param {boolean} answered */
  #setAnswered(answered) {
    const [accept, decline] = [byId("accept"), byId("decline")];
    // Not disabled: that would take the focus away from who pressed it.
    accept.setAttribute("aria-disabled", String(answered));
    say(accept, answered ? "Accepted" : "Accept");
    decline.hidden = answered;
  }

  /** @param {Match} match */
  #showFound(match) {
    this.#stopClock();
    say(byId("found-detail"), words.matchWords(match));
    byId("found-teams").replaceChildren(...match.teams.map((team) => {
      const isOwn = team === match.team;
      const box = make("section", isOwn ? "team own" : "team");
      const list = make("ul");
      list.append(...team.players.map((id) => make("li", "", words.playerWords(id, playerId()))));
      box.append(make("h3", "", isOwn ? `${team.name}, your team` : team.name), list);
      return box;
    }));
    const isNew = this.#found.hidden;
    this.#showPanel(this.#found, "found-title");
    if (isNew) announce(`You are in a match. ${words.matchWords(match)}`);
  }

  /** @param {TicketDetail} detail */
  #showEnd(detail) {
    this.#finish(words.endWords(detail, this.#by, this.#languages));
  }

  /** @param {HTMLElement} panel @param {string} heading */
  #showPanel(panel, heading) {
    const isNew = panel.hidden;
    this.#on.show(panel);
    this.#fault("");
    if (isNew) byId(heading).focus();
  }

  /** @param {string} text */
  #fault(text) {
    for (const place of document.querySelectorAll(".match-fault")) {
      say(place, text);
      place.toggleAttribute("hidden", text === "");
    }
  }

  // ---- time ---------------------------------------------------------------------------------

  #startClock() {
    if (this.#clock !== 0) return;
    this.#askAtMs = performance.now() + ASK_FIRST_MS;
    this.#clock = window.setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  #stopClock() {
    window.clearInterval(this.#clock);
    this.#clock = 0;
  }

  #tick() {
    const ticket = this.#ticket;
    if (ticket?.state === "waiting") {
      say(byId("search-clock"), words.clockWords(ticket.waitedMs ?? 0));
      const isSeen = document.visibilityState === "visible";
      if (isSeen && performance.now() >= this.#askAtMs) this.#ask(ticket);
    }
    const match = ticket?.state === "proposed" ? ticket.match : null;
    if (match) this.#countDown(match.acceptLeftMs ?? 0, match.acceptMs ?? 1);
  }

  /** @param {number} leftMs @param {number} allMs */
  #countDown(leftMs, allMs) {
    const seconds = Math.ceil(leftMs / 1000);
    say(byId("countdown"), String(seconds));
    byId("countdown-ring").style.setProperty("--left", (leftMs / Math.max(1, allMs)).toFixed(3));
    const due = TOLD_S.find((at) => seconds <= at && this.#toldS > at);
    const answered = byId("accept").getAttribute("aria-disabled") === "true";
    if (due !== undefined && !answered) announce(`${seconds} seconds left to accept.`);
    this.#toldS = Math.min(this.#toldS, seconds);
  }

  /** @param {MatchTicket} ticket */
  async #ask(ticket) {
    this.#askAtMs = Infinity;
    // What cannot be told now is told the next time.
    const modes = await ticket.explain().catch(() => null);
    this.#askAtMs = performance.now() + ASK_EVERY_MS;
    if (modes && ticket === this.#ticket && ticket.state === "waiting") {
      say(byId("search-why"), words.explanationWords(modes));
    }
  }

  // ---- doing --------------------------------------------------------------------------------

  /** @param {() => unknown} action */
  async #try(action) {
    try {
      this.#fault("");
      await action();
    } catch (error) {
      this.#fault(faultWords(error, this.#languages));
    }
  }

  /** @param {boolean} accept */
  async #answer(accept) {
    const ticket = this.#ticket;
    if (!ticket || byId("accept").getAttribute("aria-disabled") === "true") return;
    if (accept) {
      this.#setAnswered(true);
      announce("Accepted. Waiting for the others.");
      await ticket.accept().catch((error) => {
        // The ticket tells soon what became of a match that others did not accept.
        if (error.problem === "not-accepted") return;
        this.#setAnswered(false);
        throw error;
      });
    } else {
      this.#by.declined = true;
      await ticket.decline().catch((error) => {
        this.#by.declined = false;
        throw error;
      });
    }
  }

  async #leave() {
    const ticket = this.#ticket;
    if (!ticket) {
      this.#abort.abort();
      return this.#finish("");
    }
    this.#by.own = true;
    await (ticket.isLeader ? ticket.cancel() : ticket.leave());
  }

  /** @param {boolean} listenOnly */
  #enter(listenOnly) {
    const match = this.#ticket?.match;
    if (match) this.#on.enter(match, listenOnly);
  }

  /** @param {string} message */
  #finish(message) {
    this.#end();
    sessionStorage.removeItem(SEARCHING_KEY);
    this.#on.done(message);
  }

  #end() {
    this.#stopClock();
    this.#maker = null;
    this.#ticket?.close();
    this.#ticket = null;
  }
}
