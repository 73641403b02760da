// SPDX-License-Identifier: Apache-2.0
// How a task's time went: pure, tested in timing_test.ts.
import type { Task } from './messages';

export interface Part {
  name: 'earlier' | 'delayed' | 'waited' | 'fetched' | 'ran' | 'ended';
  ms: number;
}

// Of its last attempt: until it could run, until somebody took it, until it was begun, until its end or `now`.
export function timing(task: Task, now: number): Part[] {
  const isOver = task.finished_at_ms > 0;
  const end = isOver ? task.finished_at_ms : now;
  const parts: Part[] = [];
  const add = (name: Part['name'], from: number, to: number) => {
    if (to > from) parts.push({ name, ms: to - from });
  };
  add(task.leases > 1 ? 'earlier' : 'delayed', task.enqueued_at_ms, Math.min(task.ready_at_ms, end));
  const isLeased = task.leased_at_ms >= task.ready_at_ms && task.leased_at_ms > 0;
  if (!isLeased) {
    add('waited', Math.min(task.ready_at_ms, end), end);
    return parts;
  }
  add('waited', task.ready_at_ms, task.leased_at_ms);
  const isStarted = task.started_at_ms >= task.leased_at_ms;
  if (isStarted) {
    add('fetched', task.leased_at_ms, task.started_at_ms);
    add('ran', task.started_at_ms, end);
  } else {
    // Short ones end before a heartbeat could say that they began.
    add(isOver ? 'ran' : 'fetched', task.leased_at_ms, end);
  }
  return parts;
}
