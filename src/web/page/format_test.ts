// SPDX-License-Identifier: Apache-2.0
// Figures in words, at the edges where their form changes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ago, brief, bytes, count, duration, moment, percent, plural, rate } from './format';

test('counts have groups of three', () => {
  assert.equal(count(0), '0');
  assert.equal(count(999), '999');
  assert.equal(count(1000), '1,000');
  assert.equal(count(10_000_000), '10,000,000');
  assert.equal(count(Number.MAX_SAFE_INTEGER), '9,007,199,254,740,991');
});

test('brief numbers have one unit and at most three digits', () => {
  const cases: [number, string][] = [
    [0, '0'],
    [0.25, '0.25'],
    [7, '7'],
    [999, '999'],
    [999.9, '1k'],
    [1200, '1.2k'],
    [34_400, '34k'],
    [999_900, '1M'],
    [5_600_000, '5.6M'],
    [2_000_000_000, '2G'],
  ];
  for (const [value, text] of cases) assert.equal(brief(value), text);
});

test('rates keep a digit while they are small', () => {
  assert.equal(rate(0), '0');
  assert.equal(rate(0.01), '< 0.1');
  assert.equal(rate(0.4), '0.4');
  assert.equal(rate(12.04), '12');
  assert.equal(rate(99.96), '100');
  assert.equal(rate(1234.5), '1,235');
});

test('durations have two units at most', () => {
  const cases: [number, string][] = [
    [-5, '0 ms'],
    [0, '0 ms'],
    [999, '999 ms'],
    [999.7, '1 s'],
    [1500, '1.5 s'],
    [9_960, '10 s'],
    [59_949, '60 s'],
    [60_000, '1 min'],
    [125_000, '2 min 5 s'],
    [3_600_000, '1 h'],
    [3_601_000, '1 h'],
    [11_400_000, '3 h 10 min'],
    [187_200_000, '2 d 4 h'],
  ];
  for (const [ms, text] of cases) assert.equal(duration(ms), text, String(ms));
});

test('sizes are in powers of 1024', () => {
  assert.equal(bytes(0), '0 B');
  assert.equal(bytes(1023), '1023 B');
  assert.equal(bytes(1024), '1 KiB');
  assert.equal(bytes(1_572_864), '1.5 MiB');
  assert.equal(bytes(5 * 2 ** 40), '5 TiB');
});

test('an instant of another day says which', () => {
  const now = new Date(2026, 10, 26, 14, 3, 9).getTime();
  assert.equal(moment(now, now), '14:03:09');
  assert.equal(moment(new Date(2026, 10, 25, 1, 2, 3).getTime(), now), '2026-11-25 01:02:03');
  assert.equal(moment(0, now), '-');
  assert.equal(moment(-1, now), '-');
});

test('the past is told in whole seconds', () => {
  assert.equal(ago(1000, 1500), 'now');
  assert.equal(ago(1000, 3900), '2 s ago');
  assert.equal(ago(2000, 1000), 'now');
  assert.equal(ago(0, 1000), 'never');
});

test('only all is 100 %', () => {
  assert.equal(percent(999, 1000), '99 %');
  assert.equal(percent(1000, 1000), '100 %');
  assert.equal(percent(5, 0), '0 %');
  assert.equal(percent(1, 3), '33 %');
});

test('one is singular', () => {
  assert.equal(plural(1, 'task'), '1 task');
  assert.equal(plural(0, 'task'), '0 tasks');
  assert.equal(plural(2000, 'decision'), '2,000 decisions');
});
