// SPDX-License-Identifier: Apache-2.0
// What the page makes of what comes in: rates, charts, phases. Method: actions one after the other.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cluster } from './messages';
import { INITIAL, isStale, mayChangeTasks, mayOperate, mayReadResults, reduce, refused, type State } from './state';

const BEGIN = 1_000_000;

function cluster(ms: number, enqueued: number, completed = 0): Cluster {
  return {
    version: '1',
    address: 'a:1',
    started_at_ms: 0,
    now_ms: BEGIN + ms,
    draining: false,
    tasks: { delayed: 0, queued: 5, leased: 2, done: 0, dead: 0, cancelled: 0, undelivered: 0 },
    totals: { enqueued, completed, failed: 0, workers_lost: 0, lease_expired: 0, mismatches: 0 },
    shards: [],
    store: { engine: 'memory', place: '', disk_bytes: 0, free_bytes: 0, available: true, problem: '', durability: '' },
    workers_active: 1,
    workers_draining: 1,
    slots: 4,
    scaling: {
      provisioner: 'process',
      min_workers: 0,
      max_workers: 4,
      target_wait_ms: 30_000,
      wanted: 3,
      running: 1,
      booting: 1,
      draining: 1,
      started: 0,
      stopped: 0,
      boot_failures: 0,
      crashed: 0,
      boot_times: [],
    },
    managers: ['a:1'],
    oldest_queued_ms: 0,
    silent: [],
    waits: { count: 1, p50_ms: 100, p95_ms: 2_000 },
    backlog_seconds: 1,
    refusals: [],
  };
}

function after(...states: Cluster[]): State {
  return states.reduce<State>((state, each) => reduce(state, { type: 'cluster', cluster: each, now: each.now_ms - 50 }), INITIAL);
}

test('the first state has no rates, the second has', () => {
  assert.equal(after(cluster(0, 10)).rates, null);
  assert.equal(after(cluster(0, 10)).phase, 'live');
  assert.deepEqual(after(cluster(0, 10), cluster(1000, 30, 5)).rates, { arrivals: 20, completions: 5, failures: 0 });
});

test('rates are of the last five seconds', () => {
  const states = [];
  for (let s = 0; s <= 60; ++s) states.push(cluster(s * 1000, s < 30 ? s * 100 : 3000 + (s - 30)));
  const state = after(...states);
  assert.equal(state.rates?.arrivals, 1);
  assert.ok(state.marks.length <= 7, `${state.marks.length} marks are kept`);
});

test('totals that fall are a new life: no rate until the next state', () => {
  const state = after(cluster(0, 100), cluster(1000, 200), cluster(2000, 3));
  assert.equal(state.rates, null);
  assert.equal(reduce(state, { type: 'cluster', cluster: cluster(3000, 5), now: BEGIN }).rates?.arrivals, 2);
});

test('charts take a sample every other second and are bounded', () => {
  const states = [];
  for (let s = 0; s < 4000; ++s) states.push(cluster(s * 1000, s));
  const { series } = after(...states);
  assert.equal(series.at.length, 1200);
  for (const column of Object.values(series)) assert.equal(column.length, 1200);
  assert.equal(series.at[1]! - series.at[0]!, 2);
  assert.equal(series.workers[0], 2);
  assert.equal(series.p95[0], 2);
});

test('the head brings the past, with rates where they can be told', () => {
  const columns = [0, 0, 0];
  const state = reduce(INITIAL, {
    type: 'head',
    now: 1,
    head: {
      role: 'client',
      history: {
        at_ms: [BEGIN, BEGIN + 2000, BEGIN + 4000],
        queued: [1, 2, 3],
        leased: columns,
        enqueued: [100, 140, 7],
        completed: [0, 20, 20],
        failed: columns,
        wait_p50_ms: columns,
        wait_p95_ms: [500, 500, 500],
        workers: columns,
        slots: columns,
        wanted: columns,
        booting: columns,
        backlog_seconds: columns,
      },
    },
  });
  assert.deepEqual(state.series.arrivals, [null, 20, null]);
  assert.deepEqual(state.series.completions, [null, 10, 0]);
  assert.deepEqual(state.series.p95, [0.5, 0.5, 0.5]);
  assert.equal(state.role, 'client');
  assert.equal(state.phase, 'loading');
  const next = reduce(state, { type: 'cluster', cluster: cluster(5000, 17, 20), now: BEGIN });
  assert.notEqual(next.rates, undefined);
});

test('with a past there are rates from the first state on', () => {
  const columns = [0, 0];
  const history = {
    at_ms: [BEGIN, BEGIN + 2000],
    queued: columns,
    leased: columns,
    enqueued: [100, 140],
    completed: columns,
    failed: columns,
    wait_p50_ms: columns,
    wait_p95_ms: columns,
    workers: columns,
    slots: columns,
    wanted: columns,
    booting: columns,
    backlog_seconds: columns,
  };
  const state = reduce(INITIAL, { type: 'head', now: 1, head: { role: '', history } });
  assert.equal(reduce(state, { type: 'cluster', cluster: cluster(4000, 180), now: BEGIN }).rates?.arrivals, 20);
});

test('a lost stream keeps what is known and says why', () => {
  const state = reduce(after(cluster(0, 1)), { type: 'lost', trouble: 'gone' });
  assert.equal(state.phase, 'lost');
  assert.equal(state.trouble, 'gone');
  assert.notEqual(state.cluster, null);
  assert.equal(reduce(INITIAL, { type: 'lost', trouble: 'gone' }).phase, 'loading');
});

test('when a token is asked for, nothing that was known stays', () => {
  const state = reduce(after(cluster(0, 1)), { type: 'asking', trouble: 'expired' });
  assert.equal(state.phase, 'asking');
  assert.equal(state.cluster, null);
  assert.equal(state.series.at.length, 0);
});

test('five seconds without a word are stale', () => {
  const state = after(cluster(0, 1));
  assert.equal(isStale(state, state.heardAt + 5_000), false);
  assert.equal(isStale(state, state.heardAt + 5_001), true);
  assert.equal(isStale(INITIAL, 1e12), false);
});

test('roles allow what the manager allows them', () => {
  const may = (role: string) => [mayChangeTasks({ ...INITIAL, role }), mayOperate({ ...INITIAL, role })];
  assert.deepEqual(may(''), [true, true]);
  assert.deepEqual(may('admin'), [true, true]);
  assert.deepEqual(may('client'), [true, false]);
  assert.deepEqual(may('viewer'), [false, false]);
  assert.equal(mayReadResults({ ...INITIAL, role: 'viewer' }), false);
  assert.equal(mayReadResults({ ...INITIAL, role: 'client' }), true);
});

test('why new tasks are refused is a line for each reason, and one for all full queues', () => {
  const because = (reason: string, queue = '', detail = 'the disk has no room') => ({ manager: 'a:1', reason, queue, detail });
  assert.deepEqual(refused([], 'a:1'), []);
  assert.deepEqual(refused([because('disk'), because('draining')], 'a:1'), [
    'No new tasks are taken: the disk has no room.',
    'This manager is ending: it takes no new tasks.',
  ]);
  assert.deepEqual(refused([{ ...because('draining'), manager: 'b:1' }], 'a:1'), ['Manager b:1 is ending: it takes no new tasks.']);
  const full = ['a', 'b', 'c', 'd', 'e'].map((name) => because('queue_full', name));
  assert.deepEqual(refused(full.slice(0, 1), 'a:1'), ['Full, and without new tasks: queue a.']);
  assert.deepEqual(refused([...full, because('queue_full', 'a')], 'a:1'), ['Full, and without new tasks: queues a, b, c and 2 more.']);
});
