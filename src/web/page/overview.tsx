// SPDX-License-Identifier: Apache-2.0
// How it goes, at a glance.
import { brief, bytes, count, duration, plural, rate, seconds } from './format';
import type { Cluster, Queue, QueuesReply, Scaling } from './messages';
import { Chart } from './chart';
import { isLate, objective, wait, worst } from './objectives';
import { Figure, Loading, Scroll, Section, sentence, View } from './parts';
import { usePolled, useWorld } from './shared';
import type { State } from './state';

// Of more the view of the queues tells.
const QUEUES_SHOWN = 8;

export function Overview() {
  const { state } = useWorld();
  const scaling = usePolled<Scaling>('/v1/scaling?limit=1', 5_000);
  const queues = usePolled<QueuesReply>('/v1/queues', 5_000);
  return (
    <View title="Overview">
      {state.cluster === null ? (
        <Loading />
      ) : (
        <>
          <Figures state={state} cluster={state.cluster} />
          <Charts state={state} cluster={state.cluster} />
          <Waits queues={worst(queues.value?.queues ?? [], QUEUES_SHOWN)} />
          <div class="halves">
            <Section title="Why so many workers">
              <p class="prose">{scaling.value ? sentence(scaling.value.explanation) : 'Loading'}</p>
            </Section>
            <StoreSection cluster={state.cluster} />
          </div>
        </>
      )}
    </View>
  );
}

function Figures({ state, cluster }: { state: State; cluster: Cluster }) {
  const { tasks, scaling, waits } = cluster;
  const target = scaling?.target_wait_ms ?? 0;
  const isWaiting = target > 0 && tasks.queued > 0 && cluster.oldest_queued_ms > target;
  const isLate = target > 0 && (waits?.p95_ms ?? 0) > target;
  const place = isLate ? 'over the objective of' : waits?.count ? 'within the objective of' : 'the objective is';
  const workers = [
    `${count(cluster.workers_active)} active`,
    cluster.workers_draining > 0 && `${count(cluster.workers_draining)} draining`,
    (scaling?.booting ?? 0) > 0 && `${count(scaling.booting)} booting`,
    scaling && scaling.provisioner !== 'none' && `${count(scaling.wanted)} wanted`,
  ].filter(Boolean);
  return (
    <dl class="figures">
      <Figure
        name="Waiting"
        value={count(tasks.queued)}
        tone={isWaiting ? 'bad' : undefined}
        href="#/tasks?state=queued"
        note={
          tasks.queued > 0
            ? `oldest for ${duration(cluster.oldest_queued_ms)}`
            : tasks.delayed > 0
              ? plural(tasks.delayed, 'delayed task')
              : 'nothing waits'
        }
      />
      <Figure
        name="Running"
        value={count(tasks.leased)}
        href="#/tasks?state=leased"
        note={`on ${plural(cluster.slots, 'slot')}`}
      />
      <Figure name="Backlog" value={seconds(cluster.backlog_seconds)} note="of one slot" />
      <Figure
        name="Arrivals"
        value={state.rates ? rate(state.rates.arrivals) : '-'}
        unit={state.rates ? '/s' : ''}
        note={`${count(cluster.totals.enqueued)} since start`}
      />
      <Figure
        name="Completions"
        value={state.rates ? rate(state.rates.completions) : '-'}
        unit={state.rates ? '/s' : ''}
        note={`${count(cluster.totals.completed)} since start`}
      />
      <Figure name="Wait, median" value={waits?.count ? duration(waits.p50_ms) : '-'} note="of the last minute" />
      <Figure
        name="Wait, 95 %"
        value={waits?.count ? duration(waits.p95_ms) : '-'}
        tone={isLate ? 'bad' : undefined}
        note={target > 0 ? `${place} ${duration(target)}` : 'no objective'}
      />
      <Figure
        name="Workers"
        value={count(cluster.workers_active + cluster.workers_draining)}
        href="#/workers"
        note={workers.join(', ')}
      />
      <Figure
        name="Dead"
        value={count(tasks.dead)}
        tone={tasks.dead > 0 ? 'bad' : 'quiet'}
        href="#/tasks?state=dead"
        note={`${plural(cluster.totals.failed, 'failed attempt')}`}
      />
      <Figure
        name="Results not pulled"
        value={count(tasks.undelivered)}
        href="#/tasks?state=done"
        note={`${count(tasks.done)} kept`}
      />
    </dl>
  );
}

function Waits({ queues }: { queues: Queue[] }) {
  if (queues.length === 0) return null;
  return (
    <Section title="Waits by queue" note="of the last minute">
      <Scroll label="Waits by queue, the worst first">
        <table>
          <thead>
            <tr>
              <th scope="col">Queue</th>
              {['Waiting', 'Oldest', 'Median', '95 %', 'Objective', 'Weight'].map((name) => (
                <th scope="col" class="number" key={name}>
                  {name}
                </th>
              ))}
              <th scope="col">State</th>
            </tr>
          </thead>
          <tbody>
            {queues.map((queue) => (
              <tr key={queue.name}>
                <th scope="row">{queue.name}</th>
                <td class="number">{count(queue.tasks?.queued ?? 0)}</td>
                <td class="number">{queue.tasks?.queued ? duration(queue.oldest_queued_ms) : '-'}</td>
                <td class="number">{wait(queue, 'p50_ms')}</td>
                <td class={`number ${isLate(queue) ? 'bad' : ''}`}>{wait(queue, 'p95_ms')}</td>
                <td class="number">{objective(queue)}</td>
                <td class="number">{count(queue.weight)}</td>
                <td>
                  {isLate(queue) ? <span class="badge bad">late</span> : <span class="badge">in time</span>}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function Charts({ state, cluster }: { state: State; cluster: Cluster }) {
  const { series } = state;
  const target = (cluster.scaling?.target_wait_ms ?? 0) / 1000;
  return (
    <div class="charts">
      <Chart
        title="Tasks a second"
        at={series.at}
        form={rate}
        tick={brief}
        lines={[
          { name: 'arrived', values: series.arrivals, look: 'plain' },
          { name: 'completed', values: series.completions, look: 'accent' },
        ]}
      />
      <Chart
        title="Tasks"
        at={series.at}
        form={count}
        whole
        tick={brief}
        lines={[
          { name: 'running', values: series.leased, look: 'plain' },
          { name: 'waiting', values: series.queued, look: 'accent' },
        ]}
      />
      <Chart
        title="Wait"
        at={series.at}
        form={seconds}
        tick={(value) => (value < 1 ? `${brief(value * 1000)} ms` : `${brief(value)} s`)}
        lines={[
          ...(target > 0 ? [{ name: 'objective', values: series.at.map(() => target), look: 'limit' as const }] : []),
          { name: 'median', values: series.p50, look: 'plain' },
          { name: '95 %', values: series.p95, look: 'accent' },
        ]}
      />
      <Chart
        title="Workers"
        at={series.at}
        form={count}
        tick={brief}
        whole
        lines={[
          { name: 'wanted', values: series.wanted, look: 'plain', stepped: true },
          { name: 'there', values: series.workers, look: 'accent', stepped: true },
        ]}
      />
    </div>
  );
}

export function StoreSection({ cluster }: { cluster: Cluster }) {
  const { store } = cluster;
  return (
    <Section title="Store">
      {!store.available && (
        <p class="trouble" role="alert">
          {sentence(store.problem || 'The store is not available')}
        </p>
      )}
      <dl class="facts">
        <dt>Engine</dt>
        <dd>{store.engine}</dd>
        {store.place && (
          <>
            <dt>Place</dt>
            <dd class="long">{store.place}</dd>
          </>
        )}
        {store.disk_bytes > 0 && (
          <>
            <dt>Used</dt>
            <dd>{bytes(store.disk_bytes)}</dd>
          </>
        )}
        {store.free_bytes > 0 && (
          <>
            <dt>Free</dt>
            <dd>{bytes(store.free_bytes)}</dd>
          </>
        )}
        {store.durability && (
          <>
            <dt>Acknowledged means</dt>
            <dd class="long">{store.durability}</dd>
          </>
        )}
      </dl>
    </Section>
  );
}
