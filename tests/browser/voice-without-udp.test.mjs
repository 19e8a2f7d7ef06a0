import assert from "node:assert/strict";
import { rememberPeers, removeUdp } from "./support/page-hooks.mjs";
import { hears, join, scenario } from "./support/scenario.mjs";

const ANN = 523;
const BOB = 1237;

const blocked = async (page) => {
  await page.evaluateOnNewDocument(removeUdp);
  await page.evaluateOnNewDocument(rememberPeers);
};

for (const kind of ["chromium", "firefox"]) {
  scenario(`${kind} without UDP talks over TCP`, async ({ open, room }) => {
    const ann = await open({ kind, tone: ANN, before: blocked });
    const bob = await open({ tone: BOB });
    await join(ann, { name: "Ann", room });
    await join(bob, { name: "Bob", room });
    await Promise.all([hears(ann, BOB, ANN), hears(bob, ANN, BOB)]);
    assert.equal(await ann.evaluate(() => transportInUse()), "tcp");
    assert.deepEqual(ann.faults, []);
  });
}
