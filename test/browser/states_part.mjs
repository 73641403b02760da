// SPDX-License-Identifier: Apache-2.0
// What the page says when there is nothing, when it may not, and when the manager is slow, gone or back.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { freePort, go, Lab, open, SCREENSHOTS, until } from './lab.mjs';
import { violations } from './views_part.mjs';

export function stateTests(browser) {
  const lab = new Lab();
  after(() => lab.close());
  const shows = (tab, selector, part) =>
    until(async () => (await tab.locator(selector).allInnerTexts()).join(' ').includes(part), `${selector} shows ${part}`);
  const keep = (tab, name) => tab.screenshot({ path: join(SCREENSHOTS, `state_${name}.png`) });

  test('empty: every view says that there is nothing, and what would bring something', async () => {
    const manager = await lab.manager();
    const tab = await open(browser, manager);
    for (const [hash, part] of [
      ['#/tasks', 'skep enqueue FILE'],
      ['#/workers', 'skep worker --manager URL'],
      ['#/queues', 'No queue has been used yet.'],
      ['#/scaling', '0 workers are wanted'],
      ['#/events?kind=task', 'Nothing has happened yet.'],
      ['#/nothing', 'There is no such page'],
    ]) {
      await go(tab, manager, hash);
      await shows(tab, 'main', part);
      assert.deepEqual(await violations(tab), [], hash);
    }
    await go(tab, manager, '#/');
    await shows(tab, '.figures', 'nothing waits');
    await keep(tab, 'empty');
    assert.deepEqual(tab.troubles, []);
    await tab.context().close();
  });

  test('stale, then live again: a manager that stands still and goes on', async () => {
    const manager = await lab.manager();
    const tab = await open(browser, manager);
    await go(tab, manager, '');
    await shows(tab, '.status', 'live');
    manager.process.kill('SIGSTOP');
    await shows(tab, '.banners', 'No update for ');
    await shows(tab, '.status', 'not live');
    await keep(tab, 'stale');
    assert.deepEqual(await violations(tab), []);
    manager.process.kill('SIGCONT');
    await until(async () => (await tab.locator('.banners').innerText()) === '', 'the banner goes');
    await tab.context().close();
  });

  test('gone, then back: what is known stays, and another life is followed', async () => {
    const port = await freePort();
    const manager = await lab.manager([], 'manager', port);
    const tab = await open(browser, manager);
    await manager.enqueue('iterations=5&delay=1h');
    await go(tab, manager, '');
    await shows(tab, '.figures', '1 since start');
    manager.process.kill('SIGKILL');
    await shows(tab, '.status', 'not live');
    await shows(tab, '.figures', '1 since start');
    await tab.evaluate(() => (location.hash = '#/queues'));
    await shows(tab, '.trouble', 'The manager does not answer.');
    await keep(tab, 'error');
    assert.deepEqual(await violations(tab), []);
    await lab.manager([], 'manager', port);
    await tab.evaluate(() => (location.hash = '#/'));
    await shows(tab, '.figures', '0 since start');
    await shows(tab, '.status', 'live');
    await tab.context().close();
  });

  test('a token is asked for, kept in the tab alone, and what it does not allow is said', async () => {
    const store = `rocksdb:${join(lab.directory, 'store')}`;
    const make = (role) => lab.run('token', 'create', '--role', role, '--store', store);
    const [admin, client, worker, viewer] = [make('admin'), make('client'), make('worker'), make('viewer')];
    const manager = await lab.manager(['--store', store]);
    manager.token = admin;
    const busy = lab.start(['worker', '--manager', manager.url, '--cores', '1'], { SKEP_TOKEN: worker });
    await until(
      async () => (await manager.call('GET', '/v1/workers')).workers.length === 1 || busy.exitCode,
      'a worker is there',
    );
    await manager.enqueue('iterations=5&delay=1h');
    const done = (await manager.enqueue('iterations=5')).id;
    const tab = await open(browser, manager);
    const give = async (secret) => {
      await tab.getByLabel('Token').fill(secret);
      await tab.getByRole('button', { name: 'Use it' }).click();
    };
    await go(tab, manager, '#/workers');
    await shows(tab, 'h1', 'This manager wants a token');
    assert.deepEqual(await violations(tab), []);
    await keep(tab, 'token');
    await give('skep_wrong');
    await shows(tab, '.trouble', 'token');
    await give(worker);
    await shows(tab, '.trouble', 'client, sibling or admin');
    await give(client);
    await shows(tab, '.readonly', 'role admin');
    await shows(tab, '.status', 'client token');
    await until(() => tab.getByRole('button', { name: /^Drain/ }).isDisabled(), 'no draining');
    await keep(tab, 'readonly');
    assert.deepEqual(await violations(tab), []);
    await go(tab, manager, '#/queues');
    await until(() => tab.getByRole('button', { name: /^Pause/ }).isDisabled(), 'no pausing');
    await tab.getByRole('button', { name: 'Forget token' }).click();
    await shows(tab, 'h1', 'This manager wants a token');
    await give(viewer);
    await shows(tab, '.readonly', 'look, at all but results');
    await go(tab, manager, `#/tasks/${done}`);
    const fetching = tab.getByRole('button', { name: /^Download result/ });
    await until(() => fetching.isDisabled(), 'no results for viewers');
    assert.equal(await fetching.getAttribute('title'), 'a token of role client may');
    await go(tab, manager, '#/queues');
    await until(() => tab.getByRole('button', { name: /^Pause/ }).isDisabled(), 'no pausing for viewers');
    await tab.getByRole('button', { name: 'Forget token' }).click();
    await shows(tab, 'h1', 'This manager wants a token');
    await give(admin);
    await shows(tab, '.status', 'admin token');
    await until(() => tab.getByRole('button', { name: /^Pause/ }).isEnabled(), 'pausing');
    assert.equal(await tab.evaluate(() => localStorage.length + document.cookie.length), 0);
    assert.equal(await tab.evaluate(() => sessionStorage.length), 1);
    await tab.context().close();
  });
}
