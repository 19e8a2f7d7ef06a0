// What the API's document and golden files say is understood, and nothing else is believed.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { readEvent, readHistory, readMessage, TEXT_UNITS_MAX } from "../sdk/chat-messages.js";
import { claimsOf, grants } from "../sdk/claims.js";
import { parseMessage } from "../sdk/messages.js";
import { PHRASES, phraseText } from "../sdk/phrases.js";
import { problemText } from "../sdk/problem-text.js";

const GOLDEN = new URL("../../wire/tests/golden/", import.meta.url);
const golden = (/** @type {string} */ name) => readFileSync(new URL(name, GOLDEN), "utf8");

test("the golden pushes of the relay are understood", () => {
  const kinds = readdirSync(GOLDEN).filter((name) => name.startsWith("relay-chat-"));
  assert.ok(kinds.length >= 6, kinds.join());
  for (const name of kinds) {
    const message = parseMessage(golden(name));
    assert.equal(message?.type, "chat", name);
  }
});

test("the golden history has a whole message and a tombstone", () => {
  const page = readHistory(JSON.parse(golden("chat-history-reply.json")));
  const [message, tombstone] = page?.messages ?? [];
  const raw = JSON.parse(golden("chat-history-reply.json")).messages;
  assert.equal(message?.text, raw[0].text);
  assert.deepEqual(message?.reactions, raw[0].reactions);
  const rest = [tombstone?.deleted, tombstone?.text, tombstone?.author];
  assert.deepEqual(rest, ["erasure", null, null]);
});

const BAD = [
  null,
  [],
  {},
  { seq: 0 },
  { seq: -1 },
  { seq: 1.5 },
  { seq: "1" },
  { seq: 2 ** 53 },
  { seq: 1, mentions: "p" },
  { seq: 1, mentions: [4] },
  { seq: 1, reactions: [{ reaction: "x", count: "many" }] },
  { seq: 1, attachments: [{}] },
];

for (const value of BAD) {
  test(`no message: ${JSON.stringify(value)}`, () => {
    assert.equal(readMessage(value), null);
    assert.equal(readEvent({ kind: "posted", message: value, tail: "t" }), null);
  });
}

test("a message that makes no sense is left out of a page, the others stay", () => {
  const page = readHistory({ messages: [{ seq: 2 }, null, { seq: 1 }], more: false });
  assert.deepEqual(page?.messages.map(({ seq }) => seq), [1, 2]);
  assert.equal(readHistory({ messages: 4 }), null);
  assert.equal(readHistory({ messages: Array(5000).fill({ seq: 1 }) }), null);
});

test("unknown fields are ignored and overlong texts are not taken", () => {
  const message = readMessage({ seq: 1, text: "x".repeat(TEXT_UNITS_MAX + 1), later: true });
  assert.equal(message?.text, null);
  assert.equal(Object.hasOwn(message ?? {}, "later"), false);
  assert.equal(readEvent({ kind: "teleported" }), null);
});

test("any text survives as it is", () => {
  const texts = ["<script>alert(1)</script>", "\u202eabc", "👩‍👩‍👧", "a\n\tb", "\u{10ffff}"];
  for (const text of texts) {
    assert.equal(readMessage({ seq: 1, text })?.text, text);
  }
});

test("every problem of the API has a sentence in both languages", () => {
  const names = readdirSync(GOLDEN)
    .filter((name) => name.startsWith("problem-"))
    .map((name) => name.slice("problem-".length, -".json".length));
  assert.ok(names.length > 40, String(names.length));
  const unknown = problemText({ problem: "no such problem" });
  for (const problem of names) {
    const [en, de] = [problemText({ problem }), problemText({ problem }, ["de-AT", "en"])];
    assert.notEqual(en, unknown, problem);
    assert.notEqual(en, de, problem);
  }
});

test("a refusal for a time says for how long", () => {
  const words = (/** @type {number} */ retryAfterMs, /** @type {string} */ language) =>
    problemText({ problem: "muted", retryAfterMs }, [language]);
  assert.match(words(1000, "en"), /1 second to go/);
  assert.match(words(90_000, "en"), /2 minutes to go/);
  assert.match(words(7_200_000, "de"), /Noch 2 Stunden/);
});

test("phrases are in the reader's language, else English, else readable", () => {
  assert.equal(phraseText("thanks", ["de-DE"]), "Danke!");
  assert.equal(phraseText("thanks", ["xx"]), "Thanks!");
  assert.equal(phraseText("thanks", ["xx", "fr"]), "Merci !");
  assert.equal(phraseText("boss-fight"), "boss fight");
  assert.equal(phraseText("constructor"), "constructor");
  for (const [id, words] of Object.entries(PHRASES)) {
    assert.match(id, /^[A-Za-z0-9_.-]{1,64}$/);
    assert.deepEqual(Object.keys(words).sort(), ["de", "en", "es", "fr"], id);
  }
});

test("the golden claims are read, and anything else is not", () => {
  const payload = Buffer.from(golden("claims.json")).toString("base64url");
  const claims = claimsOf(`e30.${payload}.sig`);
  assert.equal(claims?.name, "Ann");
  assert.ok(claims && grants(claims, "room~lobby~main", "chat") !== undefined);
  const list = Buffer.from("[]").toString("base64url");
  for (const bad of ["", "a.b.c", `x.${list}.y`, "e30.e30.e30"]) {
    assert.equal(claimsOf(bad), null, bad);
  }
});

test("grants name rooms, parties, players and regions, with a star for the rest", () => {
  const grant = (/** @type {string} */ room, /** @type {string[]} */ channels) => {
    return { player: "p", name: null, grants: [{ room, channels, permissions: ["chat"] }] };
  };
  assert.equal(grants(grant("lobby", ["*"]), "room~lobby~main", "chat"), true);
  assert.equal(grants(grant("lobby", ["*"]), "room~lobby~main", "moderate"), false);
  assert.equal(grants(grant("guild-*", ["main"]), "room~guild-7~main", "chat"), true);
  assert.equal(grants(grant("guild-*", ["main"]), "room~guild-7~officers", "chat"), false);
  assert.equal(grants(grant("squad", ["party"]), "party~squad", "chat"), true);
  assert.equal(grants(grant("direct", ["p-*"]), "direct~p-2", "chat"), true);
  assert.equal(grants(grant("world", ["eu"]), "world~eu", "chat"), true);
  assert.equal(grants(grant("world", ["eu"]), "world~us", "chat"), false);
  assert.equal(grants(grant("*", ["*"]), "room~lobby~main", "chat"), true);
  assert.equal(grants(grant("*", ["*"]), "direct~p-2", "chat"), false, "no room");
  assert.equal(grants(grant("w*", ["*"]), "world~eu", "chat"), false, "no room");
  assert.equal(grants(grant("world", ["eu"]), "world~eu~7", "chat"), true);
  assert.equal(grants(grant("world", ["eu"]), "world~eu.7", "chat"), false);
});
