// SPDX-License-Identifier: Apache-2.0
// One task: where it is and why, how its time went, what went wrong, and what can be done with it.
import { call, download } from './api';
import { bytes, count, duration, moment, percent } from './format';
import type { Task } from './messages';
import { Act, Answer, Badge, Empty, Meter, Scroll, Section, sentence, View } from './parts';
import { useManagerNow, usePolled, useWorld } from './shared';
import { mayChangeTasks, mayReadResults } from './state';
import { workOf } from './tasks';
import { timing } from './timing';

const OVER = ['done', 'dead', 'cancelled'];

export function TaskView({ id }: { id: string }) {
  const path = `/v1/tasks/${encodeURIComponent(id)}`;
  const task = usePolled<Task>(path, 1_500);
  return (
    <View
      title={
        <>
          Task <span class="code">{id}</span>
        </>
      }
      aside={task.value && <Actions task={task.value} path={path} again={task.again} />}
    >
      <Answer of={task}>{(value) => <Detail task={value} />}</Answer>
    </View>
  );
}

function Actions({ task, path, again }: { task: Task; path: string; again: () => void }) {
  const { state } = useWorld();
  const may = mayChangeTasks(state);
  const why = 'a token of role client may';
  const about = `task ${task.id}`;
  const change = async (method: string, to: string) => {
    await call(method, to);
    again();
  };
  return (
    <>
      <Badge state={task.state} />
      {task.state === 'done' && (
        <Act
          label="Download result"
          about={`of ${about}`}
          disabled={!mayReadResults(state)}
          why={why}
          run={() => download(`${path}/result`, `${task.id}.result`)}
        />
      )}
      {!OVER.includes(task.state) && (
        <Act label="Cancel" sure="Cancel it" about={about} disabled={!may} why={why} run={() => change('DELETE', path)} />
      )}
      {task.state === 'dead' && (
        <Act label="Retry" about={about} disabled={!may} why={why} run={() => change('POST', `${path}:retry`)} />
      )}
    </>
  );
}

function Detail({ task }: { task: Task }) {
  const isRunning = task.state === 'leased';
  const done = task.iterations_done;
  const whole = task.options.iterations;
  return (
    <>
      <p class="prose lead">{sentence(task.explanation)}</p>
      {isRunning && whole > 0 && (
        <p class="progress">
          <Meter part={done} whole={whole} label="Progress" />
          <span>
            {percent(done, whole)}, {count(done)} of {count(whole)} hashes
          </span>
        </p>
      )}
      <Timing task={task} />
      <div class="halves">
        <Section title="What it is">
          <Facts task={task} />
        </Section>
        <Section title="When">
          <Instants task={task} />
        </Section>
      </div>
      <Errors task={task} />
    </>
  );
}

function Timing({ task }: { task: Task }) {
  const now = useManagerNow();
  const parts = timing(task, now);
  const whole = parts.reduce((sum, part) => sum + part.ms, 0);
  if (whole <= 0) return null;
  return (
    <Section title="Time" note={task.leases > 1 ? `of attempt ${task.leases}` : ''}>
      <div class="timing" aria-hidden="true">
        {parts.map((part) => (
          <span key={part.name} class={part.name} style={{ flexGrow: Math.max(part.ms / whole, 0.004) }} />
        ))}
      </div>
      <ul class="legend">
        {parts.map((part) => (
          <li key={part.name}>
            <i class={part.name} />
            {part.name} <b>{duration(part.ms)}</b>
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Facts({ task }: { task: Task }) {
  const { options } = task;
  const rows: [string, string][] = [
    ['Queue', options.queue],
    ['Kind', options.kind],
    ['Work', workOf(options)],
    ['Priority', String(options.priority ?? 5)],
    ['Attempts', `${task.leases} begun, ${task.attempts_failed} of ${options.max_attempts} failed`],
    ['Workers lost', String(task.workers_lost)],
    ['Body', bytes(task.body_bytes)],
  ];
  if (task.state === 'done') rows.push(['Result', bytes(task.result_bytes)]);
  if (task.worker) rows.push(['Worker', task.worker]);
  if (options.timeout_ms > 0) rows.push(['Time limit', duration(options.timeout_ms)]);
  if (options.tags.length > 0) rows.push(['Tags', options.tags.join(', ')]);
  if (options.parameters.length > 0) rows.push(['Parameters', options.parameters.join(', ')]);
  if (task.memory_peak_bytes > 0)
    rows.push(['Used', `${duration(task.cpu_us / 1000)} of processor time, ${bytes(task.memory_peak_bytes)} at most`]);
  if (options.traceparent) rows.push(['Trace', options.traceparent.slice(3, 35)]);
  if (options.idempotency_key) rows.push(['Key', options.idempotency_key]);
  if (task.checkpoint_iterations > 0) rows.push(['Checkpoint', `after ${count(task.checkpoint_iterations)} hashes`]);
  if (task.reason) rows.push(['Reason', task.reason]);
  return (
    <dl class="facts">
      {rows.map(([name, value]) => (
        <>
          <dt>{name}</dt>
          <dd class="long">{value}</dd>
        </>
      ))}
    </dl>
  );
}

function Instants({ task }: { task: Task }) {
  const now = useManagerNow();
  const rows: [string, number][] = [
    ['Enqueued', task.enqueued_at_ms],
    ['Could run', task.ready_at_ms],
    ['Leased', task.leased_at_ms],
    ['Started', task.started_at_ms],
    ['Lease ends', task.lease_expires_at_ms],
    ['Finished', task.finished_at_ms],
    ['Delivered', task.delivered_at_ms],
  ];
  return (
    <dl class="facts">
      {rows
        .filter(([, at]) => at > 0)
        .map(([name, at]) => (
          <>
            <dt>{name}</dt>
            <dd>{moment(at, now)}</dd>
          </>
        ))}
    </dl>
  );
}

function Errors({ task }: { task: Task }) {
  const now = useManagerNow();
  return (
    <Section title="Errors">
      {task.errors.length === 0 ? (
        <Empty>No attempt went wrong.</Empty>
      ) : (
        <Scroll label="List of errors">
          <table>
            <thead>
              <tr>
                <th scope="col" class="number">
                  Attempt
                </th>
                <th scope="col">When</th>
                <th scope="col">End</th>
                <th scope="col">Worker</th>
                <th scope="col">Message</th>
              </tr>
            </thead>
            <tbody>
              {task.errors.map((error) => (
                <tr key={error.number}>
                  <td class="number">{error.number}</td>
                  <td>{moment(error.at_ms, now)}</td>
                  <td>{error.end.replaceAll('_', ' ')}</td>
                  <td>{error.worker || '-'}</td>
                  <td class="message">{error.message}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
    </Section>
  );
}
