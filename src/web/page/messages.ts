// SPDX-License-Identifier: Apache-2.0
// The messages of API v1 (src/api/skep.proto), as far as the page reads them.
export interface TaskCounts {
  delayed: number;
  queued: number;
  leased: number;
  done: number;
  dead: number;
  cancelled: number;
  undelivered: number;
}
export interface Totals {
  enqueued: number;
  completed: number;
  failed: number;
  workers_lost: number;
  lease_expired: number;
  mismatches: number;
}
export interface Waits {
  count: number;
  p50_ms: number;
  p95_ms: number;
}
export interface Shard {
  shard: number;
  epoch: number;
  state: string;
  tasks: number;
  owner: string;
}
export interface Store {
  engine: string;
  place: string;
  disk_bytes: number;
  free_bytes: number;
  available: boolean;
  problem: string;
  durability: string;
}
export interface ScalingState {
  provisioner: string;
  min_workers: number;
  max_workers: number;
  target_wait_ms: number;
  wanted: number;
  running: number;
  booting: number;
  draining: number;
  started: number;
  stopped: number;
  boot_failures: number;
  crashed: number;
  boot_times: TypeBoots[];
}
export interface TypeBoots {
  type: string;
  count: number;
  p50_ms: number;
  p90_ms: number;
}
export interface Cluster {
  version: string;
  address: string;
  started_at_ms: number;
  now_ms: number;
  draining: boolean;
  tasks: TaskCounts;
  totals: Totals;
  shards: Shard[];
  store: Store;
  workers_active: number;
  workers_draining: number;
  slots: number;
  scaling: ScalingState;
  managers: string[];
  oldest_queued_ms: number;
  silent: string[];
  waits: Waits;
  backlog_seconds: number;
  refusals: Refusal[];
}
export interface Refusal {
  manager: string;
  reason: string;
  queue: string;
  detail: string;
}
export interface History {
  at_ms: number[];
  queued: number[];
  leased: number[];
  enqueued: number[];
  completed: number[];
  failed: number[];
  wait_p50_ms: number[];
  wait_p95_ms: number[];
  workers: number[];
  slots: number[];
  wanted: number[];
  booting: number[];
  backlog_seconds: number[];
}
export interface LiveHead {
  role: string;
  history?: History;
}
export interface TaskOptions {
  queue: string;
  kind: string;
  iterations: number;
  program: string;
  priority?: number;
  max_attempts: number;
  timeout_ms: number;
  idempotency_key: string;
  tags: string[];
  parameters: string[];
  traceparent?: string;
}
export interface AttemptError {
  number: number;
  end: string;
  at_ms: number;
  worker: string;
  message: string;
}
export interface Task {
  id: string;
  state: string;
  options: TaskOptions;
  body_bytes: number;
  enqueued_at_ms: number;
  ready_at_ms: number;
  leased_at_ms: number;
  started_at_ms: number;
  finished_at_ms: number;
  lease_expires_at_ms: number;
  worker: string;
  leases: number;
  attempts_failed: number;
  workers_lost: number;
  errors: AttemptError[];
  reason: string;
  result_bytes: number;
  delivered_at_ms: number;
  explanation: string;
  iterations_done: number;
  checkpoint_iterations: number;
  progress_at_ms: number;
  cpu_us: number;
  memory_peak_bytes: number;
}
export interface TaskPage {
  tasks: Task[];
  next_cursor: string;
  silent: string[];
}
export interface RunningTask {
  task: string;
  queue: string;
  kind: string;
  program: string;
  iterations: number;
  iterations_done: number;
  leased_at_ms: number;
  started_at_ms: number;
  progress_at_ms: number;
}
export interface Worker {
  id: string;
  name: string;
  state: string;
  slots: number;
  leases: number;
  host: string;
  pid: number;
  instance: string;
  registered_at_ms: number;
  heard_at_ms: number;
  completed: number;
  failed: number;
  mismatches: number;
  iterations_per_second: number;
  version: string;
  kinds: string[];
  running: RunningTask[];
}
export interface Queue {
  name: string;
  paused: boolean;
  max_depth: number;
  max_leased: number;
  tasks?: TaskCounts;
  oldest_queued_ms: number;
  waits?: Waits;
  target_wait_ms: number;
  weight: number;
}
export interface QueuesReply {
  queues: Queue[];
  silent: string[];
}
export interface Decision {
  at_ms: number;
  wanted: number;
  before: number;
  action: string;
  targets: string[];
  reason: string;
  queued: number;
  leased: number;
  backlog_seconds: number;
  arrival_seconds: number;
  running: number;
  booting: number;
  draining: number;
}
export interface Scaling {
  state: ScalingState;
  decisions: Decision[];
  explanation: string;
}
export interface Happening {
  sequence: number;
  at_ms: number;
  kind: string;
  subject: string;
  what: string;
  detail: string;
}
