import assert from "node:assert/strict";
import { after } from "node:test";
import { LossyNetwork } from "./support/lossy-network.mjs";
import { hears, join, scenario, textOf, until } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;

const network = new LossyNetwork();
after(() => network.close());

/** @param {any} page @param {string} grade */
function showsQuality(page, grade) {
  const shows = (wanted) => document.querySelector("#quality").dataset.quality === wanted;
  return until(page, shows, [grade], { what: `quality ${grade}`, timeout: 30_000 });
}

/**
 * Whether the microphone repeats itself: the first codec is RED of the answer that the browser was
 * given last.
 *
 * @param {any} page
 */
function repeatsItself(page) {
  const isRedFirst = () => {
    const [, microphone] = globalThis.lastAnswer.split(/^m=/m);
    const red = /^a=rtpmap:(\d+) red\//im.exec(microphone)?.[1];
    return /^audio \S+ \S+ (\d+)/.exec(microphone)?.[1] === red;
  };
  return until(page, isRedFirst, [], { what: "RED is sent", timeout: 30_000 });
}

scenario("a page says that the network loses, repeats its voice, and recovers", async (stage) => {
  const { open, room } = stage;
  const ann = await open({ tone: ANN, before: (page) => network.install(page) });
  const bob = await open({ tone: BOB });
  await join(ann, { name: "Ann", room });
  await join(bob, { name: "Bob", room });
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
  await showsQuality(ann, "good");
  network.loss = 0.25;
  await Promise.all([showsQuality(ann, "poor"), repeatsItself(ann)]);
  assert.match(await textOf(ann, "#quality-text"), /^Poor/);
  const title = await ann.$eval("#quality", (chip) => chip.title);
  assert.match(title, /your voice: [1-9][\d.]* % lost, .*score [123]/);
  // A quarter of the packets is gone, and the voice is there.
  await hears(bob, ANN, BOB);
  network.loss = 0;
  await showsQuality(ann, "good");
  assert.match(await textOf(ann, "#quality-text"), /^Good/);
  await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
  assert.deepEqual(ann.faults, []);
});
