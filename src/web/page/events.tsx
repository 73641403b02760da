// SPDX-License-Identifier: Apache-2.0
// What happens, as it happens. The newest hundred are shown however many come.
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Problem } from './api';
import { count, moment, rate } from './format';
import type { Happening } from './messages';
import { Empty, Loading, Scroll, Trouble, View } from './parts';
import { useManagerNow, useWorld } from './shared';
import type { Sent } from './sse';
import { follow } from './stream';
import { Tail } from './tail';

const KINDS = ['worker', 'scaling', 'store', 'task'];
const SHOWN = 100;
const REDRAW_MS = 250;

export function Events({ query }: { query: URLSearchParams }) {
  const kinds = query.getAll('kind').length > 0 ? query.getAll('kind') : KINDS.slice(0, 3);
  const [paused, setPaused] = useState(false);
  const toggle = (kind: string) => {
    const next = kinds.includes(kind) ? kinds.filter((other) => other !== kind) : [...kinds, kind];
    if (next.length > 0) location.hash = `#/events?${next.map((each) => `kind=${each}`).join('&')}`;
  };
  return (
    <View
      title="Events"
      aside={
        <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
          {paused ? 'Go on' : 'Pause'}
        </button>
      }
    >
      <fieldset class="kinds">
        <legend class="unseen">Kinds of events</legend>
        {KINDS.map((kind) => (
          <label key={kind}>
            <input type="checkbox" checked={kinds.includes(kind)} onChange={() => toggle(kind)} />
            {kind}
          </label>
        ))}
      </fieldset>
      <List key={kinds.join()} kinds={kinds} paused={paused} />
    </View>
  );
}

function List({ kinds, paused }: { kinds: string[]; paused: boolean }) {
  const { ask, state } = useWorld();
  const now = useManagerNow();
  const tail = useRef(new Tail(SHOWN));
  const [shown, setShown] = useState<{ events: Happening[]; perSecond: number } | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const isPaused = useRef(paused);
  isPaused.current = paused;
  useEffect(() => {
    const end = follow(
      `/v1/events?${kinds.map((kind) => `kind=${kind}`).join('&')}`,
      {
        events: (sent: Sent[]) => {
          tail.current.take(sent);
          setProblem(null);
        },
        lost: (why) => (why.status === 401 ? ask(why.message) : setProblem(why)),
      },
      { resume: true },
    );
    const redraw = setInterval(() => {
      if (!isPaused.current) setShown(tail.current.look(Date.now()));
    }, REDRAW_MS);
    return () => {
      end();
      clearInterval(redraw);
    };
  }, []);
  return (
    <>
      {problem && <Trouble problem={problem} />}
      <p class="note">
        {shown && shown.perSecond > 0 ? `${rate(shown.perSecond)} events a second` : 'No events just now'}
        {shown && shown.events.length === SHOWN ? `, the last ${count(SHOWN)} are shown` : ''}
        {(state.cluster?.managers.length ?? 0) > 1 ? ', of this manager alone' : ''}
        {paused ? ', paused' : ''}
      </p>
      {shown === null ? (
        <Loading />
      ) : shown.events.length === 0 ? (
        <Empty>Nothing has happened yet.</Empty>
      ) : (
        <Table events={shown.events} now={now} />
      )}
    </>
  );
}

function Table({ events, now }: { events: Happening[]; now: number }) {
  return (
    <Scroll label="Events, the newest first">
      <table class="wide">
        <thead>
          <tr>
            <th scope="col">When</th>
            <th scope="col">Kind</th>
            <th scope="col">Of</th>
            <th scope="col">What</th>
            <th scope="col">Detail</th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <tr key={event.sequence}>
              <td>{moment(event.at_ms, now)}</td>
              <td>{event.kind}</td>
              <td class="code">
                {event.kind === 'task' ? <a href={`#/tasks/${event.subject}`}>{event.subject}</a> : event.subject || '-'}
              </td>
              <td>{event.what.replaceAll('_', ' ')}</td>
              <td class="message">{event.detail}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
