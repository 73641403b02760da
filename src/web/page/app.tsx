// SPDX-License-Identifier: Apache-2.0
// The frame of the page: where one is, what the manager says of itself, and what is wrong.
import { useEffect, useLayoutEffect, useReducer, useState } from 'preact/hooks';
import { keepToken, token } from './api';
import { duration } from './format';
import { Events } from './events';
import { Managers } from './managers';
import { Overview } from './overview';
import { sentence } from './parts';
import { Queues } from './queues';
import { ScalingView } from './scaling';
import { usePlace, WorldContext, type Place } from './shared';
import { INITIAL, isStale, mayChangeTasks, mayOperate, reduce, refused, STALE_MS, type State } from './state';
import { follow } from './stream';
import { TaskView } from './task';
import { Tasks } from './tasks';
import { Workers } from './workers';

const VIEWS: [string, string][] = [
  ['', 'Overview'],
  ['tasks', 'Tasks'],
  ['workers', 'Workers'],
  ['queues', 'Queues'],
  ['scaling', 'Scaling'],
  ['managers', 'Managers'],
  ['events', 'Events'],
];

export function App() {
  const [state, dispatch] = useReducer(reduce, INITIAL);
  const [now, setNow] = useState(Date.now());
  const [secret, setSecret] = useState(token());
  const place = usePlace();
  const ask = (trouble: string) => dispatch({ type: 'asking', trouble });
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  useEffect(
    () =>
      follow(
        '/v1/live',
        {
          events: (sent) => {
            // Of several states that came together the last is enough.
            const states = sent.filter((each) => each.event === 'cluster');
            const head = sent.find((each) => each.event === 'head');
            if (head) dispatch({ type: 'head', head: JSON.parse(head.data), now: Date.now() });
            const last = states[states.length - 1];
            if (last) dispatch({ type: 'cluster', cluster: JSON.parse(last.data), now: Date.now() });
          },
          lost: (problem) => {
            if (problem.status === 401 || problem.status === 403) ask(problem.message);
            else dispatch({ type: 'lost', trouble: problem.message });
          },
        },
        { silenceMs: 3 * STALE_MS },
      ),
    [secret],
  );
  const use = (given: string) => {
    keepToken(given);
    setSecret(given);
    if (given === secret) location.reload();
  };
  return (
    <WorldContext.Provider value={{ state, now, ask }}>
      <a class="skip" href="#main" onClick={skip}>
        To the content
      </a>
      <Header state={state} place={place} now={now} forget={secret ? () => use('') : null} />
      <main id="main">
        {state.phase === 'asking' ? (
          <Gate trouble={secret ? state.trouble : ''} use={use} />
        ) : (
          <>
            <Banner state={state} now={now} />
            <Current place={place} />
          </>
        )}
      </main>
    </WorldContext.Provider>
  );
}

// The address names a view, so the browser's own jump is not used.
function skip(event: Event) {
  event.preventDefault();
  document.querySelector<HTMLElement>('main h1')?.focus();
}

function Current({ place }: { place: Place }) {
  const title = VIEWS.find(([view]) => view === place.view)?.[1] ?? 'Not here';
  // Before the view is painted: who sees it may go on from its heading at once.
  useLayoutEffect(() => {
    document.title = `${place.id || title} - skep`;
    // Who comes by a link is at the beginning of what it led to.
    if (document.activeElement?.tagName === 'A') document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
    scrollTo(0, 0);
  }, [place.view, place.id]);
  switch (place.view) {
    case '':
      return <Overview />;
    case 'tasks':
      return place.id ? <TaskView key={place.id} id={place.id} /> : <Tasks query={place.query} />;
    case 'workers':
      return <Workers />;
    case 'queues':
      return <Queues />;
    case 'scaling':
      return <ScalingView />;
    case 'managers':
      return <Managers />;
    case 'events':
      return <Events query={place.query} />;
    default:
      return (
        <>
          <h1 tabIndex={-1}>There is no such page</h1>
          <p class="prose">
            <a href="#/">Overview</a>
          </p>
        </>
      );
  }
}

function Header({ state, place, now, forget }: { state: State; place: Place; now: number; forget: (() => void) | null }) {
  return (
    <header>
      <a class="mark" href="#/" aria-label="skep, overview">
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
          <path d="M8 1l6 3.5v7L8 15l-6-3.5v-7z" />
        </svg>
        skep
      </a>
      <nav aria-label="Views">
        {VIEWS.map(([view, name]) => (
          <a key={view} href={`#/${view}`} aria-current={place.view === view ? 'page' : undefined}>
            {name}
          </a>
        ))}
      </nav>
      <div class="status">
        <Pulse state={state} now={now} />
        {state.cluster && <span class="address">{state.cluster.address}</span>}
        {state.role && <span class="role">{state.role} token</span>}
        {forget && (
          <button type="button" class="plain" onClick={forget}>
            Forget token
          </button>
        )}
      </div>
    </header>
  );
}

function Pulse({ state, now }: { state: State; now: number }) {
  const [tone, text] =
    state.phase === 'live' && !isStale(state, now)
      ? ['on', 'live']
      : state.phase === 'asking'
        ? ['', 'token wanted']
        : state.phase === 'loading'
          ? ['', 'connecting']
          : ['bad', 'not live'];
  return (
    <span class={`pulse ${tone}`}>
      <i aria-hidden="true" />
      {text}
    </span>
  );
}

function Banner({ state, now }: { state: State; now: number }) {
  const lines: string[] = [];
  if (isStale(state, now)) {
    const why = state.trouble ? ` ${sentence(state.trouble)}` : '';
    lines.push(`No update for ${duration(Math.floor((now - state.heardAt) / 1000) * 1000)}: what is shown is from then.${why}`);
  } else if (state.phase === 'loading' && state.trouble) {
    lines.push(`${sentence(state.trouble)} It is tried again.`);
  }
  if (state.cluster) lines.push(...refused(state.cluster.refusals, state.cluster.address));
  if (state.cluster && state.cluster.silent.length > 0) {
    lines.push(`Not counted in, as they do not answer: ${state.cluster.silent.join(', ')}.`);
  }
  return (
    <>
      <div role="status" class="banners">
        {lines.map((line) => (
          <p key={line.slice(0, 24)} class="warn">
            {line}
          </p>
        ))}
      </div>
      {state.role && !mayOperate(state) && (
        <p class="readonly">
          {mayChangeTasks(state)
            ? 'This token may look and change tasks. Workers and queues are for one of role admin.'
            : 'This token may look, at all but results. Tasks are for one of role client, workers and queues for one of role admin.'}
        </p>
      )}
    </>
  );
}

function Gate({ trouble, use }: { trouble: string; use: (secret: string) => void }) {
  const submit = (event: Event) => {
    event.preventDefault();
    use(new FormData(event.target as HTMLFormElement).get('token')?.toString().trim() ?? '');
  };
  return (
    <form class="gate" onSubmit={submit}>
      <h1 tabIndex={-1}>This manager wants a token</h1>
      <p class="prose">
        One of role viewer shows everything but results; one of role client also fetches these, cancels and retries; one of role admin can
        also drain workers and pause queues. It is kept in this tab and nowhere else. Whoever runs the manager makes one:{' '}
        <code>skep token create --role viewer</code>.
      </p>
      {trouble && (
        <p class="trouble" role="alert">
          {sentence(trouble)}
        </p>
      )}
      <label>
        Token
        <input name="token" type="password" required autocomplete="off" spellcheck={false} autofocus />
      </label>
      <button type="submit">Use it</button>
    </form>
  );
}
