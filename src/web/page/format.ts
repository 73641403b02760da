// SPDX-License-Identifier: Apache-2.0
// Figures in words: pure functions, tested in format_test.ts.

// 1,234,567
export function count(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, ',');
}

// For axes and tight places: 950, 1.2k, 34k, 5.6M.
export function brief(value: number): string {
  const size = Math.abs(value);
  for (const [unit, name] of [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (size >= unit * 0.9995) return trimmed(value / unit) + name;
  }
  return size >= 10 || Number.isInteger(value) ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

function trimmed(value: number): string {
  return Math.abs(value) < 9.995 ? String(Number(value.toFixed(1))) : String(Math.round(value));
}

// A rate without its unit: 0, 0.4, 12.5, 1,234.
export function rate(value: number): string {
  if (value === 0) return '0';
  if (value < 0.05) return '< 0.1';
  return value < 99.95 ? value.toFixed(1).replace(/\.0$/, '') : count(value);
}

// Two units at most: 0 ms, 250 ms, 1.5 s, 2 min 5 s, 3 h 10 min, 2 d 4 h.
export function duration(ms: number): string {
  if (ms < 999.5) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 59_950) return `${ms < 9_950 ? Number((ms / 1000).toFixed(1)) : Math.round(ms / 1000)} s`;
  const parts: [number, string][] = [
    [86_400, 'd'],
    [3_600, 'h'],
    [60, 'min'],
    [1, 's'],
  ];
  let seconds = Math.round(ms / 1000);
  const words: string[] = [];
  for (const [unit, name] of parts) {
    const whole = Math.floor(seconds / unit);
    seconds -= whole * unit;
    if (words.length === 1) {
      if (whole > 0) words.push(`${whole} ${name}`);
      break;
    }
    if (whole > 0) words.push(`${whole} ${name}`);
  }
  return words.join(' ');
}

export function seconds(value: number): string {
  return duration(value * 1000);
}

export function bytes(value: number): string {
  let size = value;
  for (const unit of ['B', 'KiB', 'MiB', 'GiB']) {
    if (size < 1023.5) return `${unit === 'B' || size >= 99.95 ? Math.round(size) : Number(size.toFixed(1))} ${unit}`;
    size /= 1024;
  }
  return `${size >= 99.95 ? Math.round(size) : Number(size.toFixed(1))} TiB`;
}

// 14:03:09 by the reader's clock.
export function clock(atMs: number): string {
  const at = new Date(atMs);
  return [at.getHours(), at.getMinutes(), at.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':');
}

// With the day, if that is not today's.
export function moment(atMs: number, nowMs: number): string {
  if (!atMs || atMs < 0) return '-';
  const at = new Date(atMs);
  const isToday = at.toDateString() === new Date(nowMs).toDateString();
  const day = `${at.getFullYear()}-${String(at.getMonth() + 1).padStart(2, '0')}-${String(at.getDate()).padStart(2, '0')}`;
  return isToday ? clock(atMs) : `${day} ${clock(atMs)}`;
}

export function ago(atMs: number, nowMs: number): string {
  if (!atMs || atMs < 0) return 'never';
  const ms = nowMs - atMs;
  return ms < 1_000 ? 'now' : `${duration(Math.floor(ms / 1000) * 1000)} ago`;
}

export function percent(part: number, whole: number): string {
  if (whole <= 0) return '0 %';
  // All of it only when it is.
  return `${Math.min(part >= whole ? 100 : 99, Math.max(0, Math.round((part / whole) * 100)))} %`;
}

export function plural(value: number, one: string, many = one + 's'): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}
