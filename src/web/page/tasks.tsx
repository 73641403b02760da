// SPDX-License-Identifier: Apache-2.0
// The list of tasks: a page of it at a time, wherever it begins.
import { useEffect, useState } from 'preact/hooks';
import { call, Problem } from './api';
import { ago, count } from './format';
import type { Queue, Task, TaskPage } from './messages';
import { Badge, Empty, Loading, Scroll, Trouble, View } from './parts';
import { useManagerNow, usePolled, useWorld } from './shared';

const STATES = ['delayed', 'queued', 'leased', 'done', 'dead', 'cancelled'];
const SIZE = 50;
// A page may be empty and go on: the manager looks at so many tasks a call and no more.
const CALLS_MAX = 20;

export function Tasks({ query }: { query: URLSearchParams }) {
  const queues = usePolled<{ queues: Queue[] }>('/v1/queues', 0);
  return (
    <View title="Tasks">
      <div class="filters">
        <Finder />
        <Filters query={query} queues={queues.value?.queues ?? []} />
      </div>
      <List query={query} />
    </View>
  );
}

function Finder() {
  const find = (event: Event) => {
    event.preventDefault();
    const id = new FormData(event.target as HTMLFormElement).get('id')?.toString().trim();
    if (id) location.hash = `#/tasks/${encodeURIComponent(id)}`;
  };
  return (
    <form role="search" onSubmit={find}>
      <label>
        Id
        <input name="id" required autocomplete="off" spellcheck={false} size={22} placeholder="00000g00000000000001" />
      </label>
      <button type="submit">Find</button>
    </form>
  );
}

function go(query: URLSearchParams, change: Record<string, string>) {
  const next = new URLSearchParams(query);
  for (const [name, value] of Object.entries(change)) {
    if (value) next.set(name, value);
    else next.delete(name);
  }
  location.hash = `#/tasks?${next}`;
}

function Filters({ query, queues }: { query: URLSearchParams; queues: Queue[] }) {
  const filter = (name: string) => (value: string) => go(query, { [name]: value, cursor: '' });
  return (
    <form onSubmit={(event) => event.preventDefault()} aria-label="Filters">
      <label>
        State
        <select
          aria-label="State"
          value={query.get('state') ?? ''}
          onChange={(event) => filter('state')(event.currentTarget.value)}
        >
          <option value="">all</option>
          {STATES.map((state) => (
            <option key={state}>{state}</option>
          ))}
        </select>
      </label>
      <label>
        Queue
        <Typed list="queues" value={query.get('queue') ?? ''} use={filter('queue')} size={12} placeholder="all" />
        <datalist id="queues">
          {queues.slice(0, 200).map((queue) => (
            <option key={queue.name} value={queue.name} />
          ))}
        </datalist>
      </label>
      <label>
        Tag
        <Typed value={query.get('tag') ?? ''} use={filter('tag')} size={10} placeholder="any" />
      </label>
    </form>
  );
}

// What is typed stays until it is used, however often the page is drawn meanwhile.
function Typed(props: { value: string; use: (value: string) => void; size: number; placeholder: string; list?: string }) {
  const { value, use, ...rest } = props;
  const [typed, setTyped] = useState(value);
  useEffect(() => setTyped(value), [value]);
  const done = () => typed.trim() !== value && use(typed.trim());
  return (
    <input
      type="text"
      {...rest}
      value={typed}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={done}
      onKeyDown={(event) => event.key === 'Enter' && done()}
    />
  );
}

interface Found {
  key: string;
  tasks: Task[];
  next: string;
  silent: string[];
  problem: Problem | null;
}

// Pages until there is something to show, or enough has been looked through.
async function look(params: URLSearchParams, signal: AbortSignal): Promise<Omit<Found, 'key' | 'problem'>> {
  const asked = new URLSearchParams(params);
  asked.set('limit', String(SIZE));
  let page: TaskPage = { tasks: [], next_cursor: '', silent: [] };
  for (let i = 0; i < CALLS_MAX; ++i) {
    page = await call<TaskPage>('GET', `/v1/tasks?${asked}`, { signal });
    if (page.tasks.length > 0 || !page.next_cursor) break;
    asked.set('cursor', page.next_cursor);
  }
  return { tasks: page.tasks, next: page.next_cursor, silent: page.silent };
}

function List({ query }: { query: URLSearchParams }) {
  const { ask, state } = useWorld();
  const [found, setFound] = useState<Found | null>(null);
  const [round, setRound] = useState(0);
  const key = `${query}`;
  useEffect(() => {
    const end = new AbortController();
    look(query, end.signal).then(
      (value) => !end.signal.aborted && setFound({ ...value, key, problem: null }),
      (error) => {
        if (end.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, String(error));
        if (problem.status === 401) ask(problem.message);
        else setFound({ key, tasks: [], next: '', silent: [], problem });
      },
    );
    return () => end.abort();
  }, [key, round]);
  // That there are none the manager knows without looking through them all.
  const counts = state.cluster?.tasks as Record<string, number> | undefined;
  if (key === `state=${query.get('state')}` && counts?.[query.get('state') ?? ''] === 0)
    return <Empty>No task is like that.</Empty>;
  if (found === null || found.key !== key) return <Loading />;
  if (found.problem) return <Trouble problem={found.problem} again={() => setRound(round + 1)} />;
  const isFiltered = ['state', 'queue', 'tag'].some((name) => query.get(name));
  const nothing = found.next
    ? 'None among those looked through so far.'
    : query.get('cursor')
      ? 'No more tasks.'
      : isFiltered
        ? 'No task is like that.'
        : 'No tasks yet. Enqueue one with `skep enqueue FILE` or PUT /enqueue.';
  return (
    <>
      {found.silent.length > 0 && <p class="warn">Not in here, as they do not answer: {found.silent.join(', ')}.</p>}
      {found.tasks.length === 0 ? <Empty>{nothing}</Empty> : <Table tasks={found.tasks} />}
      <nav class="pager" aria-label="Pages of tasks">
        <button type="button" onClick={() => setRound(round + 1)}>
          Refresh
        </button>
        <button type="button" disabled={!query.get('cursor')} onClick={() => go(query, { cursor: '' })}>
          First page
        </button>
        <button type="button" disabled={!found.next} onClick={() => go(query, { cursor: found.next })}>
          {found.tasks.length === 0 && found.next ? 'Search on' : 'Next page'}
        </button>
      </nav>
    </>
  );
}

export function workOf(task: { kind: string; iterations: number; program: string }): string {
  return task.kind === 'command' ? task.program : `${count(task.iterations)} hashes`;
}

function Table({ tasks }: { tasks: Task[] }) {
  const now = useManagerNow();
  return (
    <Scroll label="Tasks, the oldest first">
      <table>
        <thead>
          <tr>
            <th scope="col">Id</th>
            <th scope="col">State</th>
            <th scope="col">Queue</th>
            <th scope="col">Work</th>
            <th scope="col" class="number">
              Priority
            </th>
            <th scope="col" class="number">
              Attempts
            </th>
            <th scope="col">Worker</th>
            <th scope="col" class="number">
              Enqueued
            </th>
          </tr>
        </thead>
        <tbody>
          {tasks.map((task) => (
            <tr key={task.id}>
              <th scope="row" class="code">
                <a href={`#/tasks/${task.id}`}>{task.id}</a>
              </th>
              <td>
                <Badge state={task.state} />
              </td>
              <td>{task.options.queue}</td>
              <td>{workOf(task.options)}</td>
              <td class="number">{task.options.priority ?? 5}</td>
              <td class="number">{task.leases}</td>
              <td>{task.worker || '-'}</td>
              <td class="number">{ago(task.enqueued_at_ms, now)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
