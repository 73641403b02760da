// SPDX-License-Identifier: Apache-2.0
// Every view with work under way: what it shows, what its buttons do, how it looks, whether everybody can use it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { AXE, DESKTOP, go, Lab, open, PHONE, SCREENSHOTS, until } from './lab.mjs';

const LONG = 400_000_000; // hashes: minutes of work
const VIEWS = ['', 'tasks', 'workers', 'queues', 'scaling', 'managers', 'events?kind=worker&kind=scaling&kind=store&kind=task'];

export function viewTests(browser) {
  const lab = new Lab();
  let manager;
  let worker;
  let tab;
  const ids = {};

  before(async () => {
    manager = await lab.manager(
      ['--min-workers', '1', '--max-workers', '2', '--slots', '4', '--command', 'broken=/bin/false', '--queue-objective', 'render=5s:4'],
      'up',
    );
    ids.done = (await manager.enqueue('iterations=1000&tag=small')).id;
    ids.dead = (await manager.enqueue('kind=command&program=broken&queue=other&max_attempts=1')).id;
    await manager.call('GET', `/v1/tasks/${ids.done}?wait=30s`);
    for (let i = 0; i < 6; ++i) ids.long = (await manager.enqueue(`iterations=${LONG}&queue=render&priority=${i}`)).id;
    ids.delayed = (await manager.enqueue('iterations=5&delay=1h&queue=nightly')).id;
    worker = await until(async () => {
      const { workers } = await manager.call('GET', '/v1/workers');
      return workers.find((each) => each.state === 'active' && each.leases > 0);
    }, 'a worker computes');
    await until(async () => (await manager.call('GET', `/v1/tasks/${ids.dead}`)).state === 'dead', 'its only attempt fails');
    tab = await open(browser, manager);
  });
  after(() => lab.close());

  const text = (selector) => tab.locator(selector).innerText();
  const shows = (selector, part) =>
    until(async () => (await tab.locator(selector).allInnerTexts()).join(' ').includes(part), `${selector} shows ${part}`);

  test("overview: figures are the manager's own, and live", async () => {
    await go(tab, manager, '');
    await shows('.figures', '/s');
    await shows('.status', 'live');
    await shows('.status', manager.address);
    const before = (await manager.call('GET', '/v1/cluster')).totals.enqueued;
    await manager.enqueue('iterations=5&delay=1h');
    await shows('.figures', `${before + 1} since start`);
    assert.match(await text('.figures'), /objective (?:of|is) 30 s/);
    assert.equal(await tab.locator('.plot canvas').count(), 4);
    await shows('section[aria-label="Why so many workers"]', 'worker');
    const render = tab.locator('section[aria-label="Waits by queue"] tr', { has: tab.locator('th', { hasText: /^render$/ }) });
    await until(async () => /\b5 s\s+4\b/.test(await render.innerText()), 'its own objective and weight beside its waits');
  });

  test('tasks: filters are in the address, and come back with it', async () => {
    await go(tab, manager, '#/tasks');
    await tab.getByLabel('State', { exact: true }).selectOption('dead');
    await until(async () => (await tab.locator('tbody tr').count()) === 1, 'one task is dead');
    assert.match(tab.url(), /#\/tasks\?state=dead$/);
    await shows('tbody', ids.dead);
    await tab.getByLabel('Queue').fill('render');
    const drawn = await text('tbody');
    await until(async () => (await text('tbody')) !== drawn, 'the page is drawn again');
    assert.equal(await tab.getByLabel('Queue').inputValue(), 'render', 'what is typed stays');
    await tab.keyboard.press('Enter');
    await shows('main', 'No task is like that.');
    await tab.goBack();
    await shows('tbody', ids.dead);
  });

  test('tasks: pages go on and come back', async () => {
    await manager.batch(120, { iterations: 5, delay_ms: 3_600_000, queue: 'pages' });
    await go(tab, manager, '#/tasks?queue=pages');
    await until(async () => (await tab.locator('tbody tr').count()) === 50, 'a page');
    const first = await tab.locator('tbody tr th').first().innerText();
    await tab.getByRole('button', { name: 'Next page' }).click();
    await until(async () => (await tab.locator('tbody tr th').first().innerText()) > first, 'the next page');
    await tab.getByRole('button', { name: 'Next page' }).click();
    await until(async () => (await tab.locator('tbody tr').count()) === 20, 'the last page');
    assert.equal(await tab.getByRole('button', { name: 'Next page' }).isDisabled(), true);
    await tab.getByRole('button', { name: 'First page' }).click();
    await until(async () => (await tab.locator('tbody tr th').first().innerText()) === first, 'the first page');
  });

  test('task: found by its id, with its time, and its result as a file', async () => {
    await go(tab, manager, '#/tasks');
    await tab.getByLabel('Id', { exact: true }).fill(ids.done);
    await tab.getByRole('button', { name: 'Find' }).click();
    await shows('h1', ids.done);
    await shows('.legend', 'waited');
    await shows('.facts', 'small');
    await shows('section[aria-label="Errors"]', 'No attempt went wrong.');
    const coming = tab.waitForEvent('download');
    await tab.getByRole('button', { name: /^Download result/ }).click();
    const got = readFileSync(await (await coming).path(), 'utf8');
    const { result } = await manager.call('GET', `/v1/tasks/${ids.done}?wait=1s`);
    assert.equal(got, result);
    await go(tab, manager, '#/tasks/00000g00000000000009');
    await shows('.trouble', 'no task 00000g00000000000009');
  });

  test('task: a dead one says why and is retried; a cancel is asked for twice', async () => {
    await go(tab, manager, `#/tasks/${ids.dead}`);
    await shows('.facts', 'Reason');
    await shows('section[aria-label="Errors"]', 'failed');
    await tab.getByRole('button', { name: /^Retry/ }).click();
    await until(async () => (await manager.call('GET', `/v1/tasks/${ids.dead}`)).leases === 2, 'it is tried again');
    await shows('.legend', 'ran');
    await go(tab, manager, `#/tasks/${ids.delayed}`);
    await tab.getByRole('button', { name: /^Cancel task/ }).click();
    assert.equal((await manager.call('GET', `/v1/tasks/${ids.delayed}`)).state, 'delayed');
    await tab.getByRole('button', { name: /^Cancel it/ }).click();
    await until(async () => (await manager.call('GET', `/v1/tasks/${ids.delayed}`)).state === 'cancelled', 'it is cancelled');
    await shows('.aside', 'cancelled');
  });

  test('queues: pausing one pauses it', async () => {
    await go(tab, manager, '#/queues');
    const paused = async () => (await manager.call('GET', '/v1/queues')).queues.find((queue) => queue.name === 'nightly')?.paused;
    await tab.getByRole('button', { name: 'Pause queue nightly' }).click();
    await until(paused, 'the queue is paused');
    await shows('tbody', 'paused');
    const { waits } = (await manager.call('GET', '/v1/queues')).queues.find((queue) => queue.name === 'render');
    assert.ok(waits.count >= 1 && waits.p95_ms >= waits.p50_ms, 'what its tasks waited is told by queue');
    const row = tab.locator('tbody tr', { has: tab.locator('th', { hasText: /^render\b/ }) });
    await until(async () => /\b5 s\s+4\b/.test(await row.innerText()), 'its objective and its weight');
    await tab.getByRole('button', { name: 'Resume queue nightly' }).click();
    await until(async () => !(await paused()), 'the queue is resumed');
  });

  test('a queue that is full says so on every view, until it is not', async () => {
    const limit = (max_depth) => manager.call('PATCH', '/v1/queues/pages', { max_depth });
    await limit(1);
    await shows('.banners', 'without new tasks: queue pages');
    await limit(0);
    await until(async () => !(await text('.banners')).includes('pages'), 'it takes tasks again');
  });

  test('workers: what each computes, with progress', async () => {
    await go(tab, manager, '#/workers');
    // Which of them it has leased is the scaler's affair.
    const holds = async () => (await manager.call('GET', `/v1/workers/${worker.id}`)).running.find((each) => each.queue === 'render');
    const held = await until(holds, 'it computes one of them');
    await shows('.work', held.task);
    await shows('.work', ' %');
    await tab.getByRole('button', { name: `Hide work of ${worker.id}` }).click();
    await tab.getByRole('button', { name: `Show work of ${worker.id}` }).click();
    await tab.getByRole('button', { name: `Hide work of ${worker.id}` }).waitFor();
  });

  test('scaling: the arrow keys tell what was decided, and why', async () => {
    await go(tab, manager, '#/scaling');
    await shows('section[aria-label="Decisions"]', 'launch');
    await shows('section[aria-label="Boot times"]', 'process');
    const slider = tab.getByRole('slider');
    await slider.focus();
    await tab.keyboard.press('ArrowLeft');
    await until(
      async () => /wanted \d+, there \d+.*(?:hold|launch|drain)/.test((await slider.getAttribute('aria-valuetext')) ?? ''),
      'an instant in words',
    );
    await until(async () => /(?:hold|launch|drain) .*worker/.test(await text('.reason')), 'the decision and why');
    await tab.keyboard.press('Home');
    assert.equal(await slider.getAttribute('aria-valuenow'), '0');
    await tab.keyboard.press('Escape');
    await shows('.reason', 'arrow keys');
    await tab.mouse.move(0, 0);
    const box = await slider.boundingBox();
    await tab.mouse.move(box.x + box.width - 30, box.y + 60);
    await until(async () => !(await text('.reason')).includes('arrow keys'), 'hovering tells it, too');
  });

  test('managers: who owns which shard', async () => {
    await go(tab, manager, '#/managers');
    await shows('section[aria-label="Managers"]', 'answers');
    await shows('section[aria-label="Shards"]', manager.address);
    await shows('section[aria-label="Shards"]', 'serving');
    await shows('section[aria-label="Store"]', 'memory');
  });

  test('events: kinds are chosen, and a pause holds the list', async () => {
    await go(tab, manager, '#/events');
    await shows('tbody', 'registered');
    assert.equal((await text('tbody')).includes('enqueued'), false);
    await tab.getByLabel('task', { exact: true }).check();
    // The newest hundred are shown, and what was enqueued first may not be of them.
    await manager.enqueue('iterations=5&delay=1h');
    await shows('tbody', 'enqueued');
    await tab.getByRole('button', { name: 'Pause' }).click();
    const { id } = await manager.enqueue('iterations=5&delay=1h');
    await manager.call('GET', `/v1/tasks/${id}`);
    await tab.getByRole('button', { name: 'Go on' }).click();
    await shows('tbody', id);
  });

  test('the keyboard alone reaches the content and every view', async () => {
    await go(tab, manager, '#/queues');
    await shows('h1', 'Queues');
    await tab.reload();
    await shows('h1', 'Queues');
    await tab.keyboard.press('Tab');
    assert.equal(await tab.evaluate(() => document.activeElement.className), 'skip');
    await tab.keyboard.press('Enter');
    assert.equal(await tab.evaluate(() => document.activeElement.tagName), 'H1');
    await tab.reload();
    await shows('h1', 'Queues');
    for (let i = 0; i < 4; ++i) await tab.keyboard.press('Tab');
    assert.equal(await tab.evaluate(() => document.activeElement.textContent), 'Tasks');
    await tab.keyboard.press('Enter');
    await shows('h1', 'Tasks');
    assert.equal(await tab.evaluate(() => document.activeElement.tagName), 'H1', 'the heading of the view is where one is now');
    assert.equal(await tab.title(), 'Tasks - skep');
  });

  test('every view is sound for axe, light and dark, and fits a phone; pictures are kept', async () => {
    const hashes = [...VIEWS.map((view) => `#/${view}`), `#/tasks/${ids.long}`, `#/tasks/${ids.dead}`];
    const names = ['overview', 'tasks', 'workers', 'queues', 'scaling', 'managers', 'events', 'task', 'task_dead'];
    for (const colorScheme of ['light', 'dark']) {
      for (const [size, viewport] of [
        ['desktop', DESKTOP],
        ['phone', PHONE],
      ]) {
        const look = await open(browser, manager, { colorScheme, viewport, hasTouch: size === 'phone' });
        for (const [i, hash] of hashes.entries()) {
          await go(look, manager, hash);
          await look.locator('main .figures, main table, main .facts').first().waitFor();
          await look.locator('.pulse.on').waitFor();
          await look.screenshot({ path: join(SCREENSHOTS, `${names[i]}_${size}_${colorScheme}.png`), fullPage: true });
          const overflow = await look.evaluate(() => document.documentElement.scrollWidth - innerWidth);
          assert.ok(overflow <= 0, `${hash} is ${overflow} px too wide for a ${size}`);
          // In the dark nothing but the colours differs, and on a phone nothing but the places.
          const rules = colorScheme === 'dark' ? ['color-contrast'] : null;
          if (size === 'desktop') assert.deepEqual(await violations(look, rules), [], `${hash}, ${colorScheme}`);
        }
        assert.deepEqual(look.troubles, []);
        await look.context().close();
      }
    }
  });

  test('workers: a drain is asked for twice and comes', async () => {
    await go(tab, manager, '#/workers');
    const name = `worker ${worker.id}`;
    await tab.getByRole('button', { name: `Drain ${name}` }).click();
    await tab.getByRole('button', { name: `Drain it ${name}` }).click();
    await until(async () => {
      const { workers } = await manager.call('GET', '/v1/workers');
      return workers.find((each) => each.id === worker.id)?.state !== 'active';
    }, 'it drains or is gone');
  });

  test('nothing was asked of another host, refused by the policy or thrown', () => {
    assert.deepEqual(tab.troubles, []);
  });
}

// All rules of axe, or those named.
export async function violations(tab, rules = null) {
  await tab.evaluate(AXE);
  const { violations: found } = await tab.evaluate(
    (only) => globalThis.axe.run(document, { resultTypes: ['violations'], ...(only ? { runOnly: only } : {}) }),
    rules,
  );
  const places = (each) => each.nodes.slice(0, 3).map((node) => node.html);
  return found.map((each) => `${each.id}: ${each.help}: ${places(each).join(' | ')}`);
}
