import assert from "node:assert/strict";
import { test } from "node:test";
import { VoiceError } from "../sdk/index.js";
import * as words from "../demo/match-words.js";
import { MODE } from "./fake-match.js";

const EN = ["en"];
const NOTHING = { problem: null, retryInMs: null };

/** @param {Partial<import("../sdk/index.js").ModeExplanation>} given */
function why(given) {
  const nothing = { fault: null, nextExpansionS: null, nextExpansionPaths: [], estimateS: null };
  const rest = { mode: "m", matchable: false, waitedS: 9, playersMissing: 2, candidates: [] };
  return words.explanationWords([{ ...nothing, ...rest, blockedBy: ["players"], ...given }]);
}

test("a queue is told from its rules", () => {
  assert.equal(
    words.rulesWords({ version: 1, modes: [MODE], regions: {} }),
    "Two teams of two. Come alone or as a party of up to two. " +
      "Everyone accepts the match within 20 seconds.",
  );
  const side = { name: "side", count: 2, players: { min: 1, max: 1 } };
  const none = { version: 1, regions: {} };
  const duel = { ...none, modes: [{ mode: "duel", teams: [side] }] };
  assert.equal(words.rulesWords(duel), "Two players, each alone.");
  assert.equal(words.partyMax(duel), 1);
  assert.equal(words.partyMax({ ...none, modes: [MODE] }), 2);
  const odd = { mode: "odd", teams: [side, { name: "boss", players: { min: 3, max: 5 } }] };
  assert.equal(words.rulesWords({ ...none, modes: [odd] }), "odd.");
  assert.equal(words.partyMax({ ...none, modes: [odd] }), 5);
  assert.equal(words.partyMax({ ...none, modes: [{ mode: "new" }] }), 16);
});

test("why it waits is told plainly, with what comes next", () => {
  assert.match(why({}), /Too few players.*Two more players are needed\./);
  assert.match(why({ playersMissing: 1 }), /One more player is needed\./);
  const skill = { blockedBy: ["rating.spread", "players"], nextExpansionS: 12 };
  assert.equal(
    why({ ...skill, nextExpansionPaths: ["rating.spread", "latency.max_ms"], estimateS: 30.4 }),
    "Nobody of about your skill is waiting. In 12 seconds the search gets wider in skill and " +
      "distance. Probably about 30 seconds more.",
  );
  assert.match(why({ blockedBy: ["three-healers"] }), /the rule “three healers”/);
  assert.match(why({ blockedBy: ["constructor"] }), /the rule “constructor”/);
  assert.match(why({ matchable: true }), /being made/);
  assert.match(why({ fault: "level is missing" }), /level is missing/);
  assert.match(why({ blockedBy: ["blocks"], estimateS: 300 }), /about 5 minutes more/);
  assert.equal(words.explanationWords([]), "");
});

test("the search says what it is up to", () => {
  const party = [{ player: "a", joined: true }, { player: "b", joined: false }];
  const more = { party, typicalWaitS: 95, requeued: false };
  const told = (/** @type {any} */ detail, /** @type {any} */ also = {}) =>
    words.searchWords({ ...NOTHING, ...detail }, { ...more, ...also }, EN);
  assert.match(told({ state: "gathering" }).detail, /One player has still to join/);
  assert.equal(told({ state: "waiting" }).detail, "Others waited about 2 minutes.");
  assert.match(told({ state: "waiting" }, { requeued: true }).detail, /keep your place/);
  const problem = new VoiceError("network", "x");
  assert.match(told({ state: "waiting", problem }).detail, /online\? Your place is kept/);
});

test("an end says who ended it, and nothing to who did so himself", () => {
  const end = (/** @type {any} */ detail, own = false, declined = false) =>
    words.endWords({ ...NOTHING, state: "ended", ...detail }, { own, declined }, EN);
  assert.equal(end({ reason: "cancelled" }, true), "");
  assert.match(end({ reason: "cancelled" }), /Somebody of your party/);
  assert.match(end({ reason: "not-accepted" }), /did not accept/);
  assert.match(end({ reason: "not-accepted" }, false, true), /You declined/);
  const problem = new VoiceError("ticket-expired", "x");
  assert.match(end({ reason: "expired", problem }), /away too long/);
});

test("an invitation says from whom and to what", () => {
  const told = words.invitationWords({ leader: "p-ann", queue: "squads", ticket: "t1" });
  assert.equal(told, "p-ann invites you to squads.");
});

test("players are named once, and nobody plays with himself", () => {
  assert.deepEqual(words.playersIn(" p-1, p-2;p-1 p-me\n", "p-me"), ["p-1", "p-2"]);
  assert.deepEqual(words.playersIn("  ", "p-me"), []);
  assert.equal(words.playerWords("p-me", "p-me"), "You");
  assert.equal(words.playerWords("p-0123456789ab", "p-me"), "p-01234567…");
});

test("times and counts", () => {
  assert.equal(words.clockWords(-5000), "0:00");
  assert.equal(words.clockWords(125_900), "2:05");
  const teams = [{ name: "a", channel: "a", players: ["1", "2"] }];
  assert.equal(words.acceptedWords({ accepted: [], teams }), "Nobody of 2 has accepted yet.");
  assert.equal(words.acceptedWords({ accepted: ["1"], teams }), "1 of 2 has accepted.");
});

test("a match says where it is and where one's team talks", () => {
  const quality = { ratingSpread: 1, favourite: 0.5, latencyWorstMs: 40, language: "de-AT" };
  const team = { name: "squad-1", channel: "squad-1", players: [] };
  const match = { mode: "squads", region: "eu", team, quality };
  const told = words.matchWords(match);
  assert.match(told, /region eu, 40 ms at most\. Everybody speaks German\..*squad-1/);
  const odd = { ...quality, latencyWorstMs: null, language: "!" };
  assert.equal(words.matchWords({ ...match, team: null, quality: odd }), "squads in region eu.");
});
