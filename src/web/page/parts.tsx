// SPDX-License-Identifier: Apache-2.0
// The small parts that views are made of.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Problem } from './api';
import { useWorld, type Polled } from './shared';

export function View({
  title,
  aside,
  children,
}: {
  title: ComponentChildren;
  aside?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <>
      <div class="head">
        <h1 tabIndex={-1}>{title}</h1>
        {aside && <div class="aside">{aside}</div>}
      </div>
      {children}
    </>
  );
}

export function Section({ title, note, children }: { title: string; note?: ComponentChildren; children: ComponentChildren }) {
  return (
    <section aria-label={title}>
      <h2>
        {title}
        {note && <span class="note">{note}</span>}
      </h2>
      {children}
    </section>
  );
}

export function Figure({
  name,
  value,
  unit,
  note,
  tone,
  href,
}: {
  name: string;
  value: ComponentChildren;
  unit?: string;
  note?: ComponentChildren;
  tone?: 'bad' | 'quiet' | undefined;
  href?: string;
}) {
  const body = (
    <>
      {value}
      {unit && <span class="unit"> {unit}</span>}
    </>
  );
  return (
    <div class="figure">
      <dt>{name}</dt>
      <dd class={tone ?? ''}>{href ? <a href={href}>{body}</a> : body}</dd>
      {note && <dd class="note">{note}</dd>}
    </div>
  );
}

export function Badge({ state }: { state: string }) {
  const tone = { dead: 'bad', lost: 'bad', unavailable: 'bad', leased: 'on', active: 'on', serving: 'on' }[state] ?? '';
  return <span class={`badge ${tone}`}>{state}</span>;
}

export function Loading() {
  return (
    <p class="loading" role="status">
      Loading
    </p>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <p class="empty">{children}</p>;
}

export function Trouble({ problem, again }: { problem: Problem; again?: () => void }) {
  return (
    <div class="trouble" role="alert">
      <p>{sentence(problem.message)}</p>
      {again && (
        <button type="button" onClick={again}>
          Try again
        </button>
      )}
    </div>
  );
}

export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}

// What was asked for, or why it is not there.
export function Answer<T>({ of, children }: { of: Polled<T>; children: (value: T) => ComponentChildren }) {
  if (of.value === null) return of.problem ? <Trouble problem={of.problem} again={of.again} /> : <Loading />;
  return (
    <>
      {of.problem && <Trouble problem={of.problem} />}
      {children(of.value)}
    </>
  );
}

// A wide table scrolls inside of its own box, which the keyboard reaches.
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="scroll" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}

export function Meter({ part, whole, label }: { part: number; whole: number; label: string }) {
  const share = whole > 0 ? Math.min(1, part / whole) : 0;
  return (
    <span
      class="meter"
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={whole}
      aria-valuenow={Math.min(part, whole)}
    >
      <span style={{ width: `${share * 100}%` }} />
    </span>
  );
}

// Something that changes the cluster. With `sure` it is asked once more first.
export function Act({
  label,
  sure,
  run,
  about,
  disabled,
  why,
}: {
  label: string;
  sure?: string;
  run: () => Promise<unknown>;
  about: string; // what it is done to, for those who hear the button alone
  disabled?: boolean;
  why?: string; // it is disabled
}) {
  const { ask } = useWorld();
  const [step, setStep] = useState<'idle' | 'sure' | 'busy'>('idle');
  const [trouble, setTrouble] = useState('');
  const there = useRef(true);
  useEffect(() => () => void (there.current = false), []);
  useEffect(() => {
    if (step !== 'sure') return undefined;
    const timer = setTimeout(() => setStep('idle'), 5_000);
    return () => clearTimeout(timer);
  }, [step]);
  const act = async () => {
    if (sure && step === 'idle') return setStep('sure');
    setStep('busy');
    setTrouble('');
    try {
      await run();
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return ask(error.message);
      if (there.current) setTrouble(error instanceof Error ? error.message : String(error));
    }
    if (there.current) setStep('idle');
  };
  const text = step === 'sure' ? sure! : label;
  return (
    <span class="act">
      <button
        type="button"
        class={step === 'sure' ? 'sure' : ''}
        disabled={disabled || step === 'busy'}
        title={disabled ? why : undefined}
        aria-label={`${text} ${about}`}
        onClick={() => void act()}
      >
        {text}
      </button>
      {trouble && (
        <span class="trouble" role="alert">
          {sentence(trouble)}
        </span>
      )}
    </span>
  );
}

// Part of a long list: `size` at a time.
export function usePart<T>(items: T[], size: number) {
  const [page, setPage] = useState(0);
  const pages = Math.max(1, Math.ceil(items.length / size));
  const at = Math.min(page, pages - 1);
  const shown = items.slice(at * size, at * size + size);
  const pager =
    pages > 1 ? (
      <nav class="pager" aria-label="Parts of the list">
        <button type="button" disabled={at === 0} onClick={() => setPage(at - 1)}>
          Back
        </button>
        <span>
          {at + 1} of {pages}
        </span>
        <button type="button" disabled={at === pages - 1} onClick={() => setPage(at + 1)}>
          On
        </button>
      </nav>
    ) : null;
  return { shown, pager };
}
