import assert from "node:assert/strict";
import { rememberPeers } from "./support/page-hooks.mjs";
import { hears, join, scenario, until } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;

const before = (page) => page.evaluateOnNewDocument(rememberPeers);

/** Joins with the SDK alone, which the page has no switch for. */
async function joinWithRedundancy(page, room) {
  await page.evaluate(async (wanted) => {
    const { joinRoom } = await import("/sdk/index.js");
    const { fetchToken } = await import("/demo/token.js");
    const wish = { room: wanted, name: "Ann", token: "", moderator: false };
    const token = () => fetchToken(wish);
    globalThis.room = await joinRoom({ room: wanted, token, redundancy: true });
    await globalThis.room.resume();
  }, room);
}

/** What the microphone sends once it has sent for two seconds. */
async function sentVoice(page) {
  await until(page, async () => (await sentVoice()).packets > 100, [], { what: "voice is sent" });
  return page.evaluate(() => sentVoice());
}

scenario("redundant voice is heard with RED and without", async ({ open, room }) => {
  const ann = await open({ tone: ANN, before });
  const bob = await open({ tone: BOB, before });
  const firefox = await open({ kind: "firefox", tone: 1811 });
  await joinWithRedundancy(ann, room);
  await join(bob, { name: "Bob", room });
  await join(firefox, { name: "Cleo", room });
  await Promise.all([hears(bob, ANN, BOB), hears(firefox, ANN, 1811), hears(ann, BOB, ANN)]);
  const [red, plain] = [await sentVoice(ann), await sentVoice(bob)];
  // Chromium names the codec inside RED, so the size has to tell.
  console.log(`payload bytes per packet: RED ${red.bytes}, Opus ${plain.bytes}`);
  assert.ok(red.bytes > 1.5 * plain.bytes, `${red.bytes} and ${plain.bytes} bytes`);
});
