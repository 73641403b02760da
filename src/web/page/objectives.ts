// SPDX-License-Identifier: Apache-2.0
// How long tasks of each queue wait beside how long they may: pure, tested in objectives_test.ts.
import { duration } from './format';
import type { Queue } from './messages';

// late: more than one task in twenty waited longer than it may, or one has waited for longer already.
export function isLate(queue: Queue): boolean {
  const waited = (queue.waits?.count ?? 0) > 0 ? (queue.waits?.p95_ms ?? 0) : 0;
  const waits = (queue.tasks?.queued ?? 0) > 0 ? queue.oldest_queued_ms : 0;
  return queue.target_wait_ms > 0 && Math.max(waited, waits) > queue.target_wait_ms;
}

export function wait(queue: Queue, which: 'p50_ms' | 'p95_ms'): string {
  return queue.waits?.count ? duration(queue.waits[which]) : '-';
}

export function objective(queue: Queue): string {
  return queue.target_wait_ms > 0 ? duration(queue.target_wait_ms) : '-';
}

// Those with something to tell, the one that is worst off first; at most `most`.
export function worst(queues: Queue[], most: number): Queue[] {
  const share = (queue: Queue) => {
    const waited = Math.max(queue.waits?.p95_ms ?? 0, queue.oldest_queued_ms);
    return queue.target_wait_ms > 0 ? waited / queue.target_wait_ms : 0;
  };
  return queues
    .filter((queue) => (queue.waits?.count ?? 0) > 0 || (queue.tasks?.queued ?? 0) > 0)
    .sort((one, other) => share(other) - share(one) || one.name.localeCompare(other.name))
    .slice(0, most);
}
