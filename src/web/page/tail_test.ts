// SPDX-License-Identifier: Apache-2.0
// The last events of a stream: bounded, the newest first, with their rate.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tail } from './tail';

const sent = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ event: 'task', id: '', data: JSON.stringify({ sequence: from + i }) }));

test('the newest are kept, and come first', () => {
  const tail = new Tail(3);
  tail.take(sent(0, 2));
  tail.take(sent(2, 1_000));
  assert.deepEqual(
    tail.look(0).events.map((event) => event.sequence),
    [999, 998, 997],
  );
});

test('the rate is of the last seconds, also of those that are not kept', () => {
  const tail = new Tail(3);
  tail.take(sent(0, 1_000));
  assert.equal(tail.look(10_000).perSecond, 0);
  tail.take(sent(0, 500));
  assert.equal(tail.look(10_500).perSecond, 1_000);
  for (let at = 10_750; at <= 14_000; at += 250) tail.look(at);
  assert.equal(tail.look(14_250).perSecond, 0);
});
