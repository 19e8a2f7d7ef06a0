// Scrolling through more than the page keeps. The history is the test's; all else is real.

import assert from "node:assert/strict";
import { join, scenario, until } from "./support/scenario.mjs";
import { chatIs, serveHistory } from "./support/chat.mjs";

const COUNT = 1200;
const KEPT_MAX = 500;

/** The first message in sight: its number and where it is. Runs in the page. */
function firstInSight() {
  const scroll = document.querySelector("#chat-scroll");
  const top = scroll.getBoundingClientRect().top;
  const items = [...document.querySelectorAll("#messages .message")];
  const item = items.find((one) => one.getBoundingClientRect().bottom > top);
  return { seq: Number(item.dataset.seq), at: item.getBoundingClientRect().top - top };
}

/** Where a message is now. Runs in the page. */
function placeOf(seq) {
  const top = document.querySelector("#chat-scroll").getBoundingClientRect().top;
  const item = document.querySelector(`#messages [data-seq="${seq}"]`);
  return item.getBoundingClientRect().top - top;
}

/** The numbers that the list holds. Runs in the page. */
function numbers() {
  return [...document.querySelectorAll("#messages .message")].map((one) => Number(one.dataset.seq));
}

scenario("a long history scrolls both ways, never jumps and is never all kept", async (stage) => {
  const page = await stage.open({ before: (fresh) => serveHistory(fresh, COUNT) });
  await page.setViewport({ width: 1280, height: 800 });
  await join(page, { name: "Ann", room: stage.room });
  await chatIs(page, "live");
  const last = (seq) => document.querySelector("#messages .message:last-child").dataset.seq === seq;
  await until(page, last, [`${COUNT}`], { what: "the newest message" });

  for (let oldest = (await page.evaluate(numbers))[0]; oldest > 1; ) {
    // Up to just above where older ones are fetched, look, and a nudge further.
    await page.$eval("#chat-scroll", (scroll) => scroll.scrollTo(0, 301));
    await page.evaluate(() => new Promise(requestAnimationFrame));
    await page.$eval("#chat-scroll", (scroll) => scroll.scrollBy(0, -10));
    const before = await page.evaluate(firstInSight);
    const grown = (was) => Number(document.querySelector("#messages .message").dataset.seq) < was;
    await until(page, grown, [oldest], { what: `messages before ${oldest}` });
    const after = await page.evaluate(placeOf, before.seq);
    assert.ok(Math.abs(after - before.at) <= 1, `jumped by ${after - before.at} px`);
    const kept = await page.evaluate(numbers);
    assert.ok(kept.length <= KEPT_MAX, `${kept.length} are kept`);
    assert.deepEqual(kept, kept.map((_, index) => kept[0] + index), "in order, without a hole");
    oldest = kept[0];
  }

  await page.$eval("#chat-scroll", (scroll) => scroll.scrollTo(0, scroll.scrollHeight));
  await until(page, () => Number(document.querySelector("#messages .message:last-child")
    .dataset.seq) > 500, [], { what: "newer messages on the way down" });
  await page.click("#newest");
  await until(page, last, [`${COUNT}`], { what: "the newest message again" });
  const atEnd = () => {
    const { clientHeight, scrollHeight, scrollTop } = document.querySelector("#chat-scroll");
    return scrollHeight - clientHeight - scrollTop < 2;
  };
  await until(page, atEnd, [], { what: "the end of the list" });
  assert.deepEqual(page.faults, []);
});
