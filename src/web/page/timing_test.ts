// SPDX-License-Identifier: Apache-2.0
// How a task's time went, in each of its states.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Task } from './messages';
import { timing } from './timing';

const BEGIN = 1_000_000;
const task = (at: Partial<Record<'enqueued' | 'ready' | 'leased' | 'started' | 'finished', number>>): Task =>
  ({
    enqueued_at_ms: BEGIN + (at.enqueued ?? 0),
    ready_at_ms: BEGIN + (at.ready ?? 0),
    leased_at_ms: at.leased === undefined ? 0 : BEGIN + at.leased,
    started_at_ms: at.started === undefined ? 0 : BEGIN + at.started,
    finished_at_ms: at.finished === undefined ? 0 : BEGIN + at.finished,
  }) as Task;
const parts = (of: Task, now: number) => timing(of, BEGIN + now).map((part) => [part.name, part.ms]);

test('a task that waits has waited until now', () => {
  assert.deepEqual(parts(task({}), 500), [['waited', 500]]);
});

test('a delayed task is delayed until now, not longer', () => {
  assert.deepEqual(parts(task({ ready: 9_000 }), 500), [['delayed', 500]]);
  assert.deepEqual(parts(task({ ready: 300 }), 500), [
    ['delayed', 300],
    ['waited', 200],
  ]);
});

test('a finished task has all its parts and does not grow', () => {
  const done = task({ ready: 100, leased: 150, started: 160, finished: 360 });
  const expected = [
    ['delayed', 100],
    ['waited', 50],
    ['fetched', 10],
    ['ran', 200],
  ];
  assert.deepEqual(parts(done, 400), expected);
  assert.deepEqual(parts(done, 9_000), expected);
});

test('a leased task is fetched until somebody says that it began', () => {
  assert.deepEqual(parts(task({ leased: 50 }), 80), [
    ['waited', 50],
    ['fetched', 30],
  ]);
  assert.deepEqual(parts(task({ leased: 50, finished: 60 }), 80), [
    ['waited', 50],
    ['ran', 10],
  ]);
});

test('what was before a retry counts as before it could run', () => {
  assert.deepEqual(parts({ ...task({ ready: 5_000, leased: 100, started: 120 }), leases: 2 }, 6_000), [
    ['earlier', 5_000],
    ['waited', 1_000],
  ]);
});
