import assert from "node:assert/strict";
import { test } from "node:test";
import * as words from "../demo/chat-words.js";

/** @import { ChatMessage } from "../sdk/index.js" */

/** @param {Partial<ChatMessage>} given @returns {ChatMessage} */
function message(given) {
  return {
    seq: 1, key: null, state: "sent", self: false, mentionsMe: false, problem: null, atMs: 0,
    version: 1, author: "p-a", name: "Ann", platform: null, text: "hi", phrase: null, system: null,
    replyTo: null, mentions: [], attachments: [], editedAtMs: null, deleted: null, reactions: [],
    ...given,
  };
}

const EN = ["en"];

test("a message says what it holds", () => {
  assert.equal(words.contentOf(message({}), EN), "hi");
  assert.equal(words.contentOf(message({ text: null, phrase: "thanks" }), ["de"]), "Danke!");
  assert.match(words.contentOf(message({ text: null, deleted: "moderator" }), EN), /moderator/);
  assert.match(words.contentOf(message({ text: null, deleted: "author" }), EN), /was deleted/);
  assert.match(words.contentOf(message({ text: null }), EN), /newer version/);
  const notice = message({ text: null, system: { event: "notice", phrase: "boss-fight" } });
  assert.equal(words.contentOf(notice, EN), "boss fight");
});

test("a channel of a match is told by who reads it", () => {
  assert.equal(words.channelWords("room~match-1~team-a", true), "Your team");
  assert.equal(words.channelWords("room~match-1~all", false), "Everybody");
  assert.equal(words.channelWords("room~match-1~spectators", false), "spectators");
});

test("settings are told in whole units", () => {
  const slow = (/** @type {number} */ slowS) => words.settingsWords({ locked: false, slowS });
  assert.match(slow(1), /every second\./);
  assert.match(slow(90), /every 90 seconds\./);
  assert.match(slow(60), /every minute\./);
  assert.match(slow(7200), /every 2 hours\./);
  assert.match(slow(0), /open/);
  assert.match(words.settingsWords({ locked: true, slowS: 5 }), /locked/);
});

test("mentions prefer the longest name, whatever its case, and are at most 16", () => {
  const people = [
    { id: "a", name: "Ann" },
    { id: "l", name: "Ann Lee" },
    { id: "n", name: "" },
  ];
  assert.deepEqual(words.mentionsIn("hello @ann lee", people), ["l"]);
  assert.deepEqual(words.mentionsIn("@Ann and @Ann Lee", people), ["l", "a"]);
  assert.deepEqual(words.mentionsIn("ann@example", people), []);
  const crowd = Array.from({ length: 30 }, (_, n) => ({ id: `p${n}`, name: `N${n}x` }));
  const all = crowd.map(({ name }) => `@${name}`).join(" ");
  assert.equal(words.mentionsIn(all, crowd).length, 16);
});

test("typing names two people and then a crowd", () => {
  assert.equal(words.typingWords([]), "");
  assert.equal(words.typingWords(["Ann"]), "Ann is typing");
  assert.equal(words.typingWords(["Ann", "Bob"]), "Ann and Bob are typing");
  assert.equal(words.typingWords(["Ann", "Bob", "Cid"]), "Several people are typing");
});

test("arrivals are read aloud, many of them counted", () => {
  assert.equal(words.arrivalWords([message({})], EN), "Ann: hi");
  assert.equal(words.arrivalWords([1, 2, 3].map(() => message({})), EN), "3 new messages.");
});

test("a snippet is one line and never half a character", () => {
  assert.equal(words.snippet(" a\n\tb "), "a b");
  const cut = words.snippet("😀".repeat(200));
  assert.match(cut, /^(😀)+…$/u);
  assert.equal([...cut].length, 91);
});

test("what keeps from writing is told, the gravest first", () => {
  const may = { write: true, moderate: false };
  const open = { locked: false, slowS: 0 };
  /** @type {(state: any, may: any, settings: any) => string} */
  const notice = (state, rights, settings) => words.noticeWords(state, rights, settings, EN);
  const live = { state: "live", problem: null };
  assert.equal(notice(live, may, open), "");
  assert.match(notice(live, { ...may, write: false }, open), /read here/);
  assert.match(notice(live, may, { locked: true, slowS: 0 }), /locked/);
  assert.match(notice({ state: "offline", problem: null }, may, open), /sent later/);
  const refused = { state: "refused", problem: { problem: "token-expired" } };
  assert.match(notice(refused, may, open), /expired/);
});
