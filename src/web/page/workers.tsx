// SPDX-License-Identifier: Apache-2.0
// Who computes what, how fast, and how to end one.
import { useMemo, useRef, useState } from 'preact/hooks';
import { call } from './api';
import { ago, brief, count, duration, percent } from './format';
import type { RunningTask, Worker } from './messages';
import { Act, Answer, Badge, Empty, Meter, Scroll, usePart, View } from './parts';
import { useManagerNow, usePolled, useWorld } from './shared';
import { mayOperate } from './state';
import { workOf } from './tasks';

const OPEN_ALL_MAX = 3; // so few workers show what they do unasked
const MANY = 500; // workers: a list of them is asked for less often

interface Reply {
  workers: Worker[];
  silent: string[];
}

export function Workers() {
  const size = useRef(0);
  const workers = usePolled<Reply>('/v1/workers', size.current > MANY ? 10_000 : 2_000);
  size.current = workers.value?.workers.length ?? 0;
  return (
    <View title="Workers">
      <Answer of={workers}>{(reply) => <List reply={reply} again={workers.again} />}</Answer>
    </View>
  );
}

const RANK: Record<string, number> = { active: 0, draining: 1, lost: 2 };

function List({ reply, again }: { reply: Reply; again: () => void }) {
  const [filter, setFilter] = useState('');
  const [open, setOpen] = useState<Record<string, boolean>>({});
  const sorted = useMemo(() => {
    const wanted = filter.trim().toLowerCase();
    return reply.workers
      .filter((worker) => !wanted || `${worker.id} ${worker.name} ${worker.host} ${worker.state}`.toLowerCase().includes(wanted))
      .sort((a, b) => (RANK[a.state] ?? 3) - (RANK[b.state] ?? 3) || (a.id < b.id ? -1 : 1));
  }, [reply, filter]);
  const { shown, pager } = usePart(sorted, 50);
  const isOpen = (id: string) => open[id] ?? reply.workers.length <= OPEN_ALL_MAX;
  if (reply.workers.length === 0) {
    return (
      <Empty>No worker is there. The scaler starts some when there is work; others come with `skep worker --manager URL`.</Empty>
    );
  }
  return (
    <>
      {reply.silent.length > 0 && <p class="warn">Not in here, as they do not answer: {reply.silent.join(', ')}.</p>}
      {reply.workers.length > 10 && (
        <div class="filters">
          <label>
            Filter
            <input
              value={filter}
              onInput={(event) => setFilter(event.currentTarget.value)}
              size={20}
              placeholder="id, host, state"
            />
          </label>
          <span class="note">
            {count(sorted.length)} of {count(reply.workers.length)}
          </span>
        </div>
      )}
      <Scroll label="Workers">
        <table class="wide">
          <thead>
            <tr>
              <th scope="col">Worker</th>
              <th scope="col">State</th>
              <th scope="col">Slots in use</th>
              <th scope="col" class="number">
                Hashes/s a slot
              </th>
              <th scope="col" class="number">
                Completed
              </th>
              <th scope="col" class="number">
                Failed
              </th>
              <th scope="col" class="number">
                Heard
              </th>
              <th scope="col">
                <span class="unseen">Actions</span>
              </th>
            </tr>
          </thead>
          {shown.map((worker) => (
            <Row
              key={worker.id}
              worker={worker}
              isOpen={isOpen(worker.id)}
              toggle={() => setOpen({ ...open, [worker.id]: !isOpen(worker.id) })}
              again={again}
            />
          ))}
        </table>
      </Scroll>
      {pager}
    </>
  );
}

function Row({ worker, isOpen, toggle, again }: { worker: Worker; isOpen: boolean; toggle: () => void; again: () => void }) {
  const { state } = useWorld();
  const now = useManagerNow();
  const drain = async () => {
    await call('POST', `/v1/workers/${encodeURIComponent(worker.id)}:drain`);
    again();
  };
  const where = [
    worker.name !== worker.id && worker.name !== worker.host && worker.name,
    worker.host,
    worker.pid > 0 && `pid ${worker.pid}`,
  ]
    .filter(Boolean)
    .join(', ');
  return (
    <tbody>
      <tr>
        <th scope="row">
          <span class="code">{worker.id}</span>
          <span class="sub">{where}</span>
        </th>
        <td>
          <Badge state={worker.state} />
          {worker.mismatches > 0 && <span class="badge bad">{count(worker.mismatches)} wrong results</span>}
        </td>
        <td>
          <Meter part={worker.leases} whole={worker.slots} label={`Slots of ${worker.id} in use`} /> {count(worker.leases)} /{' '}
          {count(worker.slots)}
        </td>
        <td class="number">{worker.iterations_per_second > 0 ? brief(worker.iterations_per_second) : '-'}</td>
        <td class="number">{count(worker.completed)}</td>
        <td class={`number ${worker.failed > 0 ? 'bad' : ''}`}>{count(worker.failed)}</td>
        <td class="number">{ago(worker.heard_at_ms, now)}</td>
        <td class="actions">
          <button
            type="button"
            aria-expanded={isOpen}
            aria-label={`${isOpen ? 'Hide' : 'Show'} work of ${worker.id}`}
            onClick={toggle}
          >
            {isOpen ? 'Hide work' : 'Show work'}
          </button>
          <Act
            label="Drain"
            sure="Drain it"
            about={`worker ${worker.id}`}
            disabled={!mayOperate(state) || worker.state !== 'active'}
            why={mayOperate(state) ? 'it is not active' : 'a token of role admin may'}
            run={drain}
          />
        </td>
      </tr>
      {isOpen && (
        <tr class="more">
          <td colSpan={8}>
            <Work id={worker.id} />
          </td>
        </tr>
      )}
    </tbody>
  );
}

function Work({ id }: { id: string }) {
  const worker = usePolled<Worker>(`/v1/workers/${encodeURIComponent(id)}`, 2_000);
  return (
    <Answer of={worker}>
      {(value) =>
        value.running.length === 0 ? (
          <Empty>It computes nothing now.</Empty>
        ) : (
          <>
            <ul class="work">
              {value.running.slice(0, 32).map((task) => (
                <Running key={task.task} task={task} />
              ))}
            </ul>
            {value.running.length > 32 && <p class="note">and {count(value.leases - 32)} more</p>}
          </>
        )
      }
    </Answer>
  );
}

function Running({ task }: { task: RunningTask }) {
  const now = useManagerNow();
  const isKnown = task.progress_at_ms > 0 && task.iterations > 0;
  return (
    <li>
      <a class="code" href={`#/tasks/${task.task}`}>
        {task.task}
      </a>
      <span class="quiet">{workOf(task)}</span>
      <span class="bar">
        {isKnown && <Meter part={task.iterations_done} whole={task.iterations} label={`Progress of ${task.task}`} />}
        {isKnown ? percent(task.iterations_done, task.iterations) : task.started_at_ms > 0 ? 'runs' : 'not begun'}
      </span>
      <span class="number">{duration(Math.max(0, now - (task.started_at_ms || task.leased_at_ms)))}</span>
    </li>
  );
}
