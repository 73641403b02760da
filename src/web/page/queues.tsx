// SPDX-License-Identifier: Apache-2.0
// The queues: what waits in each, and a switch to pause it.
import { useMemo, useState } from 'preact/hooks';
import { call } from './api';
import { count, duration } from './format';
import type { Queue, QueuesReply } from './messages';
import { isLate, objective, wait } from './objectives';
import { Act, Answer, Empty, Scroll, usePart, View } from './parts';
import { usePolled, useWorld } from './shared';
import { mayOperate } from './state';

export function Queues() {
  const queues = usePolled<QueuesReply>('/v1/queues', 2_000);
  return (
    <View title="Queues">
      <Answer of={queues}>{(reply) => <List reply={reply} again={queues.again} />}</Answer>
    </View>
  );
}

// All of them figures.
const COLUMNS = [
  'Waiting',
  'Oldest',
  'Wait, median',
  'Wait, 95 %',
  'Objective',
  'Weight',
  'Running',
  'Delayed',
  'Done',
  'Dead',
  'Limits',
];

function List({ reply, again }: { reply: QueuesReply; again: () => void }) {
  const [filter, setFilter] = useState('');
  const wanted = useMemo(() => {
    const part = filter.trim().toLowerCase();
    return reply.queues.filter((queue) => queue.name.toLowerCase().includes(part));
  }, [reply, filter]);
  const { shown, pager } = usePart(wanted, 50);
  if (reply.queues.length === 0) return <Empty>No queue has been used yet.</Empty>;
  return (
    <>
      {reply.silent.length > 0 && <p class="warn">Not in here, as they do not answer: {reply.silent.join(', ')}.</p>}
      {reply.queues.length > 10 && (
        <div class="filters">
          <label>
            Filter
            <input value={filter} onInput={(event) => setFilter(event.currentTarget.value)} size={20} placeholder="name" />
          </label>
        </div>
      )}
      <Scroll label="Queues">
        <table>
          <thead>
            <tr>
              <th scope="col">Queue</th>
              {COLUMNS.map((name) => (
                <th scope="col" class="number" key={name}>
                  {name}
                </th>
              ))}
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((queue) => (
              <Row key={queue.name} queue={queue} again={again} />
            ))}
          </tbody>
        </table>
      </Scroll>
      {pager}
    </>
  );
}

function Row({ queue, again }: { queue: Queue; again: () => void }) {
  const { state } = useWorld();
  const tasks = queue.tasks;
  const change = async (paused: boolean) => {
    await call('PATCH', `/v1/queues/${encodeURIComponent(queue.name)}`, { body: { paused } });
    again();
  };
  const link = (name: string, value: number) =>
    value > 0 ? (
      <a href={`#/tasks?state=${name}&queue=${encodeURIComponent(queue.name)}`}>{count(value)}</a>
    ) : (
      <span class="quiet">0</span>
    );
  const limits = [
    queue.max_depth > 0 && `${count(queue.max_depth)} deep`,
    queue.max_leased > 0 && `${count(queue.max_leased)} at once`,
  ].filter(Boolean);
  return (
    <tr>
      <th scope="row">
        {queue.name} {queue.paused && <span class="badge bad">paused</span>}{' '}
        {isLate(queue) && <span class="badge bad">late</span>}
      </th>
      <td class="number">{link('queued', tasks?.queued ?? 0)}</td>
      <td class="number">{tasks?.queued ? duration(queue.oldest_queued_ms) : '-'}</td>
      <td class="number">{wait(queue, 'p50_ms')}</td>
      <td class={`number ${isLate(queue) ? 'bad' : ''}`}>{wait(queue, 'p95_ms')}</td>
      <td class="number">{objective(queue)}</td>
      <td class="number">{count(queue.weight)}</td>
      <td class="number">{link('leased', tasks?.leased ?? 0)}</td>
      <td class="number">{link('delayed', tasks?.delayed ?? 0)}</td>
      <td class="number">{link('done', tasks?.done ?? 0)}</td>
      <td class="number">{link('dead', tasks?.dead ?? 0)}</td>
      <td class="number">{limits.join(', ') || '-'}</td>
      <td class="actions">
        <Act
          label={queue.paused ? 'Resume' : 'Pause'}
          about={`queue ${queue.name}`}
          disabled={!mayOperate(state)}
          why="a token of role admin may"
          run={() => change(!queue.paused)}
        />
      </td>
    </tr>
  );
}
