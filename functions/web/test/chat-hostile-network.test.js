// Search for what breaks the list of messages: random losses, doubles, delays, outages and
// restarts, from a seed. In the end the list is the service's, and at no time does it hold
// anything twice or out of order. CHAT_SEEDS sets how many seeds, CHAT_SEED tries one alone.

import assert from "node:assert/strict";
import { test } from "node:test";
import { chatRig } from "./chat-rig.js";
import { ME } from "./fake-chat.js";
import { FINE } from "./fake-service.js";

/** @import { ChatMessage } from "../sdk/chat-view.js" */

const SEEDS = Number(process.env.CHAT_SEEDS ?? 40);
const ONLY = process.env.CHAT_SEED;
const STEPS = 120;
const REACTIONS = ["👍", "fire"];

/** @param {() => number} random @param {number} below */
const pick = (random, below) => Math.floor(random() * below);

/** @param {ChatMessage[]} messages */
function checkOrder(messages) {
  const seqs = messages.flatMap(({ seq, state }) => (state === "sent" && seq ? [seq] : []));
  for (let at = 1; at < seqs.length; at += 1) {
    assert.ok(Number(seqs[at]) > Number(seqs[at - 1]), `${seqs[at]} after ${seqs[at - 1]}`);
  }
  const texts = messages.map(({ text }) => text ?? "");
  const own = texts.filter((text) => text.startsWith("mine "));
  assert.equal(new Set(own).size, own.length, `an own message is there twice: ${own.join(", ")}`);
}

/** @param {ReturnType<typeof chatRig>} rig @param {number} step */
function act({ random, relay, room, service }, step) {
  const seq = service.messages[pick(random, service.messages.length)]?.seq ?? 1;
  const others = () => service.post({ author: `p-${pick(random, 3)}`, text: `theirs ${step}` });
  const choices = [
    others,
    others,
    others,
    () => Array.from({ length: pick(random, 150) }, others),
    () => service.change(seq, { text: `edited ${step}`, edited_at_ms: 1 }),
    () => service.change(seq, { deleted: "moderator" }),
    () => {
      const reaction = REACTIONS[pick(random, 2)] ?? "";
      service.react(seq, `p-${pick(random, 3)}`, reaction, random() < 0.7);
    },
    () => (service.online = random() < 0.6),
    () => room.become(random() < 0.7 ? "connected" : "reconnecting"),
    () => {
      Object.assign(relay, { lose: random() * 0.5, double: random() * 0.5, late: random() * 0.5 });
      Object.assign(relay, { news: random() * 0.5, withhold: random() });
      const trouble = () => random() * 0.3;
      service.weather = { lose: trouble(), loseReply: trouble(), busy: trouble(), delayMs: 300 };
    },
  ];
  choices[pick(random, choices.length)]?.();
}

/** @param {number} seed */
async function play(seed) {
  const windowMax = seed % 2 === 0 ? 500 : 40;
  const rig = chatRig({ seed, windowMax });
  const { chat, clock, random, relay, room, service } = rig;
  if (seed % 3 === 0) service.blocked.add("p-2");
  const channel = rig.open();
  channel.on("messages", checkOrder);
  const sent = [];
  for (let step = 0; step < STEPS; step += 1) {
    act(rig, step);
    if (random() < 0.15) {
      sent.push(`mine ${step}`);
      channel.send(`mine ${step}`);
    }
    if (random() < 0.1) await Promise.race([channel.loadOlder().catch(() => {}), clock.pass(1)]);
    await clock.pass(random() * 1500);
  }
  service.online = true;
  service.weather = FINE;
  Object.assign(relay, { lose: 0, double: 0, late: 0, news: 0 });
  // Older pages that were asked for may still come, and push the newest out of the window.
  await clock.pass(10_000);
  // A request that began in bad weather may still fail.
  for (let tries = 0; tries < 5 && channel.hasNewer; tries += 1) {
    await Promise.all([channel.loadNewest().catch(() => {}), clock.pass(1000)]);
  }
  const connected = random() < 0.5;
  room.become(connected ? "connected" : "left");
  // As long as it takes to notice a lost change.
  await clock.pass(100_000);
  check(channel, service, windowMax, sent);
  assert.equal(channel.state, connected ? "live" : "polling");
  chat.close();
}

/**
 * @param {import("../sdk/chat-channel.js").ChatChannel} channel
 * @param {import("./fake-chat.js").FakeChat} service
 * @param {number} windowMax
 * @param {string[]} sent
 */
function check(channel, service, windowMax, sent) {
  const order = (/** @type {{ reaction: string }} */ a, /** @type {{ reaction: string }} */ b) =>
    a.reaction < b.reaction ? -1 : 1;
  const shown = channel.messages.map(({ seq, version, text, deleted, reactions, state }) => {
    return { seq, version, text, deleted, state, reactions: [...reactions].sort(order) };
  });
  const there = service.visible().map((message) => {
    const { seq, version, text = null, deleted = null, reactions } = message;
    return { seq, version, text, deleted, state: "sent", reactions };
  });
  const least = Math.min(there.length, windowMax, 40);
  assert.ok(shown.length >= least, `only ${shown.length} are shown`);
  assert.ok(shown.length <= windowMax, `${shown.length} are shown`);
  // What was looked at again is the window's newest page; older changes wait for a reconnect.
  const newest = shown.slice(-40);
  assert.deepEqual(newest, there.slice(-newest.length));
  const seqs = (/** @type {{ seq: number | null }[]} */ list) => list.map(({ seq }) => seq);
  assert.deepEqual(seqs(shown), seqs(there.slice(-shown.length)));
  const own = service.messages.filter(({ author }) => author === ME).map(({ seq }) => seq);
  assert.equal(new Set(service.keys.values()).size, own.length, "a message was taken twice");
  assert.equal(own.length, sent.length, "every message was taken");
}

const TIMEOUT = { timeout: 300_000 };

test("whatever the network does, the list becomes the service's", TIMEOUT, async () => {
  const seeds = ONLY ? [Number(ONLY)] : Array.from({ length: SEEDS }, (_, seed) => seed);
  for (const seed of seeds) {
    try {
      await play(seed);
    } catch (error) {
      throw new Error(`again with: CHAT_SEED=${seed} npm test`, { cause: error });
    }
  }
});
