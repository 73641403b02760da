// SPDX-License-Identifier: Apache-2.0
// Calls of the manager that served the page, with the reader's token.

// The manager's own sentence, or ours when it did not answer.
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

const TOKEN = 'skep.token';

// Kept for this tab alone, and gone with it.
export function token(): string {
  return sessionStorage.getItem(TOKEN) ?? '';
}
export function keepToken(secret: string): void {
  if (secret) sessionStorage.setItem(TOKEN, secret);
  else sessionStorage.removeItem(TOKEN);
}

export interface CallOptions {
  body?: unknown;
  signal?: AbortSignal;
  lastId?: string; // of a stream: go on after that event
}

export async function send(method: string, path: string, options: CallOptions = {}): Promise<Response> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (token()) headers['Authorization'] = `Bearer ${token()}`;
  if (options.lastId) headers['Last-Event-ID'] = options.lastId;
  const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'omit' };
  if (options.signal) init.signal = options.signal;
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem(0, 'the manager does not answer');
  }
  if (response.ok) return response;
  const text = await response.text();
  let detail = `the manager answers ${response.status}`;
  try {
    detail = JSON.parse(text).detail || detail;
  } catch {
    // not one of the manager's own answers
  }
  throw new Problem(response.status, detail);
}

export async function call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
  return (await (await send(method, path, options)).json()) as T;
}

// The result's bytes as a file of the browser's.
export async function download(path: string, name: string): Promise<void> {
  const blob = await (await send('GET', path)).blob();
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
