// SPDX-License-Identifier: Apache-2.0
// What the page knows of the cluster, as a pure reduction of what came in. Nothing in it grows without end.
import type { Cluster, LiveHead, Refusal } from './messages';

export const STALE_MS = 5_000;
const SAMPLES_MAX = 1_200;
const SAMPLE_MS = 2_000;
const RATE_SPAN_MS = 5_000;

// Columns for the charts; rates are a second's. null: not known.
export interface Series {
  at: number[]; // seconds
  queued: number[];
  leased: number[];
  arrivals: (number | null)[];
  completions: (number | null)[];
  p50: number[]; // seconds
  p95: number[]; // seconds
  workers: number[];
  wanted: number[];
  booting: number[];
}

interface Mark {
  at: number;
  enqueued: number;
  completed: number;
  failed: number;
}

export interface Rates {
  arrivals: number;
  completions: number;
  failures: number;
}

// loading: nothing came yet. asking: a token is wanted. lost: the stream ended and is tried again.
export type Phase = 'loading' | 'asking' | 'live' | 'lost';

export interface State {
  phase: Phase;
  trouble: string; // why it is lost, or a token is wanted
  role: string; // of the token; '' if none is asked for
  cluster: Cluster | null;
  heardAt: number; // by the reader's clock
  skew: number; // the manager's clock minus the reader's
  rates: Rates | null;
  series: Series;
  marks: Mark[];
}

export type Action =
  | { type: 'head'; head: LiveHead; now: number }
  | { type: 'cluster'; cluster: Cluster; now: number }
  | { type: 'lost'; trouble: string }
  | { type: 'asking'; trouble: string };

export function emptySeries(): Series {
  return {
    at: [],
    queued: [],
    leased: [],
    arrivals: [],
    completions: [],
    p50: [],
    p95: [],
    workers: [],
    wanted: [],
    booting: [],
  };
}

export const INITIAL: State = {
  phase: 'loading',
  trouble: '',
  role: '',
  cluster: null,
  heardAt: 0,
  skew: 0,
  rates: null,
  series: emptySeries(),
  marks: [],
};

// A second's share of what a total grew by. A total that fell is another manager's life, or a part is missing.
function perSecond(before: number, after: number, ms: number): number | null {
  return ms > 0 && after >= before ? ((after - before) * 1000) / ms : null;
}

function fromHistory(head: LiveHead): Series {
  const series = emptySeries();
  const past = head.history;
  if (!past) return series;
  past.at_ms.forEach((at, i) => {
    const ms = i > 0 ? at - past.at_ms[i - 1]! : 0;
    series.at.push(at / 1000);
    series.queued.push(past.queued[i]!);
    series.leased.push(past.leased[i]!);
    series.arrivals.push(i > 0 ? perSecond(past.enqueued[i - 1]!, past.enqueued[i]!, ms) : null);
    series.completions.push(i > 0 ? perSecond(past.completed[i - 1]!, past.completed[i]!, ms) : null);
    series.p50.push(past.wait_p50_ms[i]! / 1000);
    series.p95.push(past.wait_p95_ms[i]! / 1000);
    series.workers.push(past.workers[i]!);
    series.wanted.push(past.wanted[i]!);
    series.booting.push(past.booting[i]!);
  });
  return series;
}

// So that there are rates from the first state on.
function lastMarks(head: LiveHead): Mark[] {
  const past = head.history;
  if (!past) return [];
  const from = Math.max(0, past.at_ms.length - 4);
  return past.at_ms
    .slice(from)
    .map((at, i) => ({
      at,
      enqueued: past.enqueued[from + i]!,
      completed: past.completed[from + i]!,
      failed: past.failed[from + i]!,
    }));
}

function append(series: Series, cluster: Cluster, rates: Rates | null): Series {
  const at = cluster.now_ms / 1000;
  const last = series.at[series.at.length - 1];
  if (last !== undefined && at - last < (SAMPLE_MS - 100) / 1000) return series;
  const add = <T>(column: T[], value: T): T[] => [...column.slice(-(SAMPLES_MAX - 1)), value];
  return {
    at: add(series.at, at),
    queued: add(series.queued, cluster.tasks.queued),
    leased: add(series.leased, cluster.tasks.leased),
    arrivals: add(series.arrivals, rates ? rates.arrivals : null),
    completions: add(series.completions, rates ? rates.completions : null),
    p50: add(series.p50, (cluster.waits?.p50_ms ?? 0) / 1000),
    p95: add(series.p95, (cluster.waits?.p95_ms ?? 0) / 1000),
    workers: add(series.workers, cluster.workers_active + cluster.workers_draining),
    wanted: add(series.wanted, cluster.scaling?.wanted ?? 0),
    booting: add(series.booting, cluster.scaling?.booting ?? 0),
  };
}

function take(state: State, cluster: Cluster, now: number): State {
  const { enqueued, completed, failed } = cluster.totals;
  const mark = { at: cluster.now_ms, enqueued, completed, failed };
  const last = state.marks[state.marks.length - 1];
  const isNewLife =
    last !== undefined && (mark.at < last.at || enqueued < last.enqueued || completed < last.completed || failed < last.failed);
  const before = isNewLife ? [] : state.marks;
  // One mark from before the span, so that a span is covered whole.
  const from = before.findLastIndex((other) => other.at <= mark.at - RATE_SPAN_MS);
  const marks = [...before.slice(Math.max(0, from)), mark];
  const first = marks[0]!;
  const ms = mark.at - first.at;
  const rates =
    ms > 0
      ? {
          arrivals: perSecond(first.enqueued, enqueued, ms) ?? 0,
          completions: perSecond(first.completed, completed, ms) ?? 0,
          failures: perSecond(first.failed, failed, ms) ?? 0,
        }
      : null;
  return {
    ...state,
    phase: 'live',
    trouble: '',
    cluster,
    heardAt: now,
    skew: cluster.now_ms - now,
    rates,
    marks,
    series: append(state.series, cluster, rates),
  };
}

export function reduce(state: State, action: Action): State {
  switch (action.type) {
    case 'head':
      return {
        ...state,
        role: action.head.role,
        series: fromHistory(action.head),
        marks: lastMarks(action.head),
        rates: null,
        heardAt: action.now,
      };
    case 'cluster':
      return take(state, action.cluster, action.now);
    case 'lost':
      return { ...state, phase: state.cluster ? 'lost' : 'loading', trouble: action.trouble };
    case 'asking':
      return { ...INITIAL, phase: 'asking', trouble: action.trouble };
  }
}

export function isStale(state: State, now: number): boolean {
  return state.cluster !== null && now - state.heardAt > STALE_MS;
}

// What the caller's token allows beyond looking.
export function mayChangeTasks(state: State): boolean {
  return state.role !== 'worker' && state.role !== 'viewer';
}
export function mayReadResults(state: State): boolean {
  return mayChangeTasks(state);
}
export function mayOperate(state: State): boolean {
  return state.role === '' || state.role === 'admin' || state.role === 'sibling';
}

// Why new tasks are refused, in lines; `address` is this manager's.
export function refused(refusals: Refusal[], address: string): string[] {
  const QUEUES_NAMED = 3;
  const lines = refusals
    .filter((each) => each.reason !== 'queue_full')
    .map((each) => {
      const isHere = each.manager === address;
      if (each.reason === 'draining') return `${isHere ? 'This manager' : `Manager ${each.manager}`} is ending: it takes no new tasks.`;
      return `No new tasks are taken${isHere ? '' : ` by ${each.manager}`}: ${each.detail}.`;
    });
  const full = [...new Set(refusals.filter((each) => each.reason === 'queue_full').map((each) => each.queue))];
  if (full.length > 0) {
    const more = full.length > QUEUES_NAMED ? ` and ${full.length - QUEUES_NAMED} more` : '';
    lines.push(`Full, and without new tasks: queue${full.length > 1 ? 's' : ''} ${full.slice(0, QUEUES_NAMED).join(', ')}${more}.`);
  }
  return lines;
}
