// SPDX-License-Identifier: Apache-2.0
// Follows a stream of server-sent events, and begins again when it ends.
import { Problem, send } from './api';
import { SentEvents, type Sent } from './sse';

const PAUSE_MS = 500;
const PAUSE_MAX_MS = 5_000;

export interface Follower {
  events(sent: Sent[]): void; // what came together
  lost(problem: Problem): void; // it is tried again, unless a token is wanted or refused
}

export interface StreamOptions {
  silenceMs?: number; // so long without a word is an end; none: it may be silent
  resume?: boolean; // goes on after the last event that came
}

// Returns what ends it.
export function follow(path: string, follower: Follower, options: StreamOptions = {}): () => void {
  const end = new AbortController();
  void run(path, follower, options, end.signal);
  return () => end.abort();
}

async function run(path: string, follower: Follower, options: StreamOptions, ended: AbortSignal): Promise<void> {
  let pause = PAUSE_MS;
  let lastId = '';
  while (!ended.aborted) {
    let problem = new Problem(0, 'the manager ended the stream');
    try {
      await read(path, options, lastId, ended, (sent) => {
        pause = PAUSE_MS;
        if (options.resume) lastId = sent[sent.length - 1]?.id || lastId;
        follower.events(sent);
      });
    } catch (error) {
      if (ended.aborted) return;
      problem = error instanceof Problem ? error : new Problem(0, 'the manager does not answer');
    }
    if (ended.aborted) return;
    follower.lost(problem);
    if (problem.status === 401 || problem.status === 403) return;
    await wait(pause * (0.5 + Math.random() / 2), ended);
    pause = Math.min(pause * 2, PAUSE_MAX_MS);
  }
}

async function read(
  path: string,
  options: StreamOptions,
  lastId: string,
  ended: AbortSignal,
  take: (sent: Sent[]) => void,
): Promise<void> {
  const once = new AbortController();
  const stop = () => once.abort();
  ended.addEventListener('abort', stop);
  let silence: ReturnType<typeof setTimeout> | undefined;
  const listen = () => {
    clearTimeout(silence);
    if (options.silenceMs) silence = setTimeout(stop, options.silenceMs);
  };
  try {
    listen();
    const response = await send('GET', path, lastId ? { signal: once.signal, lastId } : { signal: once.signal });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    const events = new SentEvents();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      listen();
      const sent = events.feed(value);
      if (sent.length > 0) take(sent);
    }
  } finally {
    clearTimeout(silence);
    ended.removeEventListener('abort', stop);
    once.abort();
  }
}

function wait(ms: number, ended: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    ended.addEventListener('abort', () => {
      clearTimeout(timer);
      done();
    });
  });
}
