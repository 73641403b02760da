// SPDX-License-Identifier: Apache-2.0
// The page while thousands of events a second arrive: figures of what it costs; it stays live, and its lists do not grow.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { DESKTOP, go, Lab, open, SCREENSHOTS, until, wait } from './lab.mjs';

const EVENTS_A_SECOND = 5_000; // a task makes three: enqueued, leased, done
const SECONDS = 4;
const BATCH = 250;

// Batches at an even pace, until told to end.
async function feed(manager, rate, ended) {
  const begin = Date.now();
  for (let sent = 0; !ended(); sent += BATCH) {
    await manager.batch(BATCH, { iterations: 1 });
    const ahead = ((sent + BATCH) * 1000) / rate - (Date.now() - begin);
    if (ahead > 0) await wait(ahead);
  }
}

export function loadTests(browser) {
  const lab = new Lab();
  after(() => lab.close());

  test('first paint and bytes, and long tasks under load', async (context) => {
    const manager = await lab.manager();
    lab.worker(manager);
    const tab = await open(browser, manager);
    await go(tab, manager, '');
    await tab.locator('.pulse.on').waitFor();
    await tab.locator('.plot canvas').first().waitFor();
    const first = await tab.evaluate(() => {
      const [navigation] = performance.getEntriesByType('navigation');
      const paints = performance.getEntriesByType('paint');
      return {
        paint: paints.find((entry) => entry.name === 'first-contentful-paint')?.startTime ?? Infinity,
        transferred: navigation.transferSize,
        size: navigation.decodedBodySize,
        requests: performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname),
        longest: Math.max(0, ...globalThis.longTasks),
      };
    });
    context.diagnostic(
      `first contentful paint ${first.paint.toFixed(0)} ms; ${first.transferred} bytes for ${first.size}; ` +
        `longest task while loading ${first.longest} ms`,
    );
    // No bound on times: they are the machine's as much as the page's.
    assert.ok(Number.isFinite(first.paint), 'something was painted');
    assert.ok(first.transferred < 100_000, `${first.transferred} bytes`);

    let isOver = false;
    const feeding = feed(manager, EVENTS_A_SECOND / 3, () => isOver);
    try {
      for (const hash of ['#/', '#/events?kind=task']) {
        await tab.evaluate((to) => (location.hash = to), hash);
        await wait(1_000);
        await tab.evaluate(() => (globalThis.longTasks.length = 0));
        const before = await manager.call('GET', '/v1/cluster');
        await wait(SECONDS * 1_000);
        const past = await manager.call('GET', '/v1/cluster');
        const tasks = await tab.evaluate(() => globalThis.longTasks);
        const rate =
          ((past.totals.completed - before.totals.completed + past.totals.enqueued - before.totals.enqueued) * 1500) /
          (past.now_ms - before.now_ms);
        context.diagnostic(
          `${hash}: about ${rate.toFixed(0)} events a second; long tasks in ${SECONDS} s: ${tasks.length}, ` +
            `longest ${Math.max(0, ...tasks)} ms, in all ${tasks.reduce((sum, each) => sum + each, 0)} ms`,
        );
        await tab.screenshot({ path: join(SCREENSHOTS, `load_${hash === '#/' ? 'overview' : 'events'}.png`) });
      }
      assert.ok((await tab.locator('tbody tr').count()) <= 100, 'the list does not grow');
      await until(async () => (await tab.locator('.pulse.on').count()) === 1, 'it is live');
      const dark = await open(browser, manager, { colorScheme: 'dark', viewport: DESKTOP });
      await go(dark, manager, '');
      await dark.locator('.plot canvas').first().waitFor();
      await wait(500);
      await dark.screenshot({ path: join(SCREENSHOTS, 'load_overview_dark.png') });
      await dark.context().close();
    } finally {
      isOver = true;
      await feeding;
    }
    assert.deepEqual(tab.troubles, []);
    await tab.context().close();
  });
}
