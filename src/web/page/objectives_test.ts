// SPDX-License-Identifier: Apache-2.0
// Which queues are shown first, and when one is late.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Queue } from './messages';
import { isLate, objective, wait, worst } from './objectives';

function queue(name: string, p95: number | null, target: number, oldest = 0): Queue {
  return {
    name,
    paused: false,
    max_depth: 0,
    max_leased: 0,
    tasks: { delayed: 0, queued: oldest > 0 ? 1 : 0, leased: 0, done: 0, dead: 0, cancelled: 0, undelivered: 0 },
    oldest_queued_ms: oldest,
    waits: { count: p95 === null ? 0 : 10, p50_ms: 1, p95_ms: p95 ?? 0 },
    target_wait_ms: target,
    weight: 1,
  };
}

test('a queue is late when its tasks wait longer than they may', () => {
  assert.equal(isLate(queue('a', 5_001, 5_000)), true);
  assert.equal(isLate(queue('a', 5_000, 5_000)), false);
  assert.equal(isLate(queue('a', 5_000, 0)), false, 'nobody said how long');
  assert.equal(isLate(queue('a', null, 5_000)), false, 'nothing was leased and nothing waits');
  assert.equal(isLate(queue('a', null, 5_000, 60_000)), true, 'nobody takes what waits');
});

test('what is not known is a dash', () => {
  assert.equal(wait(queue('a', null, 5_000), 'p95_ms'), '-');
  assert.equal(wait(queue('a', 1_500, 5_000), 'p95_ms'), '1.5 s');
  assert.equal(wait(queue('a', 1_500, 5_000), 'p50_ms'), '1 ms');
  assert.equal(objective(queue('a', 1_500, 0)), '-');
  assert.equal(objective(queue('a', 1_500, 5_000)), '5 s');
});

test('the worst come first, and those without anything to tell do not come', () => {
  const queues = [
    queue('calm', 1_000, 30_000),
    queue('late', 9_000, 5_000),
    queue('old', null, 5_000, 20_000),
    queue('empty', null, 5_000),
    queue('free', 90_000, 0),
    queue('also', 1_000, 30_000),
  ];
  assert.deepEqual(
    worst(queues, 10).map((each) => each.name),
    ['old', 'late', 'also', 'calm', 'free'],
  );
  assert.deepEqual(
    worst(queues, 1).map((each) => each.name),
    ['old'],
  );
});
