// SPDX-License-Identifier: Apache-2.0
// How many workers are wanted, how many there are, and why.
import { useMemo, useState } from 'preact/hooks';
import { Chart } from './chart';
import { brief, count, duration, moment, plural, seconds } from './format';
import type { Decision, Scaling, TypeBoots } from './messages';
import { Answer, Empty, Figure, Scroll, Section, sentence, View } from './parts';
import { useManagerNow, usePolled, useWorld } from './shared';

const LISTED = 50;

export function ScalingView() {
  const scaling = usePolled<Scaling>('/v1/scaling?limit=300', 2_000);
  return (
    <View title="Scaling">
      <Answer of={scaling}>{(value) => <Detail scaling={value} />}</Answer>
    </View>
  );
}

// The decision that held at an instant: the last one before. They come newest first.
export function decisionAt(decisions: Decision[], seconds_: number): Decision | null {
  return decisions.find((decision) => decision.at_ms / 1000 <= seconds_ + 1) ?? null;
}

function Detail({ scaling }: { scaling: Scaling }) {
  const { state } = useWorld();
  const { series } = state;
  const now = useManagerNow();
  const [chosen, setChosen] = useState<number | null>(null);
  const { decisions } = scaling;
  const acts = useMemo(() => decisions.filter((decision) => decision.action !== 'hold'), [decisions]);
  const marks = useMemo(() => acts.map((decision) => decision.at_ms / 1000), [acts]);
  const shown = chosen === null ? null : decisionAt(decisions, chosen);
  const fleet = scaling.state;
  return (
    <>
      <p class="prose lead">{sentence(scaling.explanation)}</p>
      <dl class="figures six">
        <Figure
          name="Wanted"
          value={count(fleet.wanted)}
          note={`${count(fleet.min_workers)} to ${count(fleet.max_workers)}, by ${fleet.provisioner}`}
        />
        <Figure name="Running" value={count(fleet.running)} note={`${count(fleet.started)} started`} />
        <Figure name="Booting" value={count(fleet.booting)} note={plural(fleet.boot_failures, 'boot failure')} />
        <Figure name="Draining" value={count(fleet.draining)} note={`${count(fleet.stopped)} stopped`} />
        <Figure name="Crashed" value={count(fleet.crashed)} tone={fleet.crashed > 0 ? 'bad' : 'quiet'} note="since start" />
        <Figure name="Objective" value={fleet.target_wait_ms > 0 ? duration(fleet.target_wait_ms) : '-'} note="of the wait" />
      </dl>
      <Chart
        title="Workers"
        at={series.at}
        form={count}
        tick={brief}
        whole
        marks={marks}
        say={(at) => {
          const decision = decisionAt(decisions, at);
          return decision ? `${decision.action}: ${decision.reason}` : '';
        }}
        onChoose={setChosen}
        lines={[
          { name: 'booting', values: series.booting, look: 'quiet', stepped: true },
          { name: 'wanted', values: series.wanted, look: 'plain', stepped: true },
          { name: 'there', values: series.workers, look: 'accent', stepped: true },
        ]}
      />
      <p class="reason">
        {shown ? (
          <>
            <span class="when">{moment(shown.at_ms, now)}</span> <b>{shown.action}</b> {sentence(shown.reason)}
          </>
        ) : (
          'Point at the chart, or focus it and press the arrow keys, for the decision that held then.'
        )}
      </p>
      {fleet.boot_times.length > 0 && <BootTimes boots={fleet.boot_times} />}
      <Section title="Decisions" note={plural(acts.length, 'change')}>
        {decisions.length === 0 ? (
          <Empty>Nothing was decided yet.</Empty>
        ) : (
          <Decisions decisions={decisions.slice(0, LISTED)} now={now} />
        )}
      </Section>
    </>
  );
}

function BootTimes({ boots }: { boots: TypeBoots[] }) {
  return (
    <Section title="Boot times" note="from launch to the worker's first word">
      <Scroll label="Boot times by type of machine">
        <table>
          <thead>
            <tr>
              <th scope="col">Machine</th>
              {['Boots', 'Median', '90 %'].map((name) => (
                <th scope="col" class="number" key={name}>
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {boots.map((each) => (
              <tr key={each.type}>
                <th scope="row">{each.type || 'of no known type'}</th>
                <td class="number">{count(each.count)}</td>
                <td class="number">{duration(each.p50_ms)}</td>
                <td class="number">{duration(each.p90_ms)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Section>
  );
}

function Decisions({ decisions, now }: { decisions: Decision[]; now: number }) {
  return (
    <Scroll label="Decisions, the newest first">
      <table class="wide">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Action</th>
            <th scope="col">Reason</th>
            {['Wanted', 'Running', 'Booting', 'Waiting', 'Backlog'].map((name) => (
              <th scope="col" class="number" key={name}>
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {decisions.map((decision, i) => (
            <tr key={`${decision.at_ms}.${i}`}>
              <td>{moment(decision.at_ms, now)}</td>
              <td>
                <span class={`badge ${decision.action === 'hold' ? '' : 'on'}`}>{decision.action}</span>
              </td>
              <td class="message">{decision.reason}</td>
              <td class="number">{count(decision.wanted)}</td>
              <td class="number">{count(decision.running)}</td>
              <td class="number">{count(decision.booting)}</td>
              <td class="number">{count(decision.queued)}</td>
              <td class="number">{seconds(decision.backlog_seconds)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
