import assert from "node:assert/strict";
import { hears, join, scenario } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;

for (const [first, second] of [
  ["firefox", "firefox"],
  ["firefox", "chromium"],
]) {
  scenario(`${first} and ${second} hear each other and not themselves`, async ({ open, room }) => {
    const ann = await open({ kind: first, tone: ANN });
    const bob = await open({ kind: second, tone: BOB });
    await join(ann, { name: "Ann", room });
    await join(bob, { name: "Bob", room });
    await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
    assert.deepEqual([...ann.faults, ...bob.faults], []);
  });
}
