// SPDX-License-Identifier: Apache-2.0
// Server-sent events, cut anywhere.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SentEvents } from './sse';

const TEXT = ': hello\n\nid: 7\nevent: task\ndata: {"a":1}\n\ndata: two\ndata:lines\n\nid: 8\n\n';

test('events come out the same however the text is cut', () => {
  const expected = [
    { id: '7', event: 'task', data: '{"a":1}' },
    { id: '', event: 'message', data: 'two\nlines' },
  ];
  for (let size = 1; size <= TEXT.length; ++size) {
    const reader = new SentEvents();
    const events = [];
    for (let at = 0; at < TEXT.length; at += size) events.push(...reader.feed(TEXT.slice(at, at + size)));
    assert.deepEqual(events, expected, `pieces of ${size}`);
  }
});

test('what has not ended is kept back', () => {
  const reader = new SentEvents();
  assert.deepEqual(reader.feed('data: x\n'), []);
  assert.equal(reader.feed('\n').length, 1);
});

test('lines may end in carriage returns', () => {
  assert.deepEqual(new SentEvents().feed('data: x\r\n\r\n')[0]?.data, 'x');
});
