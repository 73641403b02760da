// SPDX-License-Identifier: Apache-2.0
// What every view of the page uses: the state, the time, polling, where the reader is.
import { createContext } from 'preact';
import { useContext, useEffect, useRef, useState } from 'preact/hooks';
import { call, Problem } from './api';
import { INITIAL, type State } from './state';

export interface World {
  state: State;
  now: number; // by the reader's clock, each second
  ask: (trouble: string) => void; // for another token
}
export const WorldContext = createContext<World>({ state: INITIAL, now: 0, ask: () => undefined });
export const useWorld = (): World => useContext(WorldContext);

// The manager's time now, whatever the reader's clock says.
export function useManagerNow(): number {
  const { state, now } = useWorld();
  return now + state.skew;
}

export interface Place {
  view: string;
  id: string;
  query: URLSearchParams;
}

// #/tasks/ID?state=dead
export function readPlace(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?');
  const [view = '', id = ''] = path.split('/');
  return { view, id: decodeURIComponent(id), query: new URLSearchParams(query) };
}

export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return readPlace(hash);
}

export interface Polled<T> {
  value: T | null;
  problem: Problem | null;
  again: () => void;
}

// GET `path` now and every `everyMs` after the answer; null asks for nothing. 0: once.
export function usePolled<T>(path: string | null, everyMs: number): Polled<T> {
  const { ask } = useWorld();
  const [answer, setAnswer] = useState<{ path: string | null; value: T | null; problem: Problem | null }>({
    path: null,
    value: null,
    problem: null,
  });
  const [round, setRound] = useState(0);
  const pace = useRef(everyMs);
  pace.current = everyMs;
  useEffect(() => {
    if (path === null) return undefined;
    const end = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      try {
        const value = await call<T>('GET', path, { signal: end.signal });
        if (!end.signal.aborted) setAnswer({ path, value, problem: null });
      } catch (error) {
        if (end.signal.aborted) return;
        const problem = error instanceof Problem ? error : new Problem(0, String(error));
        if (problem.status === 401) return ask(problem.message);
        setAnswer((before) => ({ path, value: before.path === path ? before.value : null, problem }));
      }
      if (pace.current > 0) timer = setTimeout(() => void look(), pace.current);
    };
    void look();
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [path, round]);
  const isMine = answer.path === path;
  return {
    value: isMine ? answer.value : null,
    problem: isMine ? answer.problem : null,
    again: () => setRound((value) => value + 1),
  };
}
