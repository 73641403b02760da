// SPDX-License-Identifier: Apache-2.0
// Lines over time. The pointer or the arrow keys choose an instant, whose figures stand above the chart and are what a
// screen reader says.
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { clock } from './format';

export interface Line {
  name: string;
  values: (number | null)[];
  look: 'accent' | 'plain' | 'quiet' | 'limit'; // limit: a dashed line that is not to be crossed
  stepped?: boolean;
}

interface Props {
  title: string;
  at: number[]; // seconds
  lines: Line[];
  form: (value: number) => string; // of a figure
  tick: (value: number) => string; // of the axis
  whole?: boolean; // figures are whole numbers
  marks?: number[]; // instants in seconds, drawn below the lines
  say?: (at: number) => string; // more about an instant
  onChoose?: (at: number | null) => void;
}

const HEIGHT = 168;
const SHORT_SECONDS = 300; // a span whose axis tells seconds
const WHOLE = Array.from({ length: 13 }, (_, i) => [1, 2, 5].map((step) => step * 10 ** i)).flat();

// From zero to a little above what there is; a limit is shown when it is near.
function highest(lines: Line[]): number {
  let high = 0;
  let limit = 0;
  for (const line of lines) {
    for (const value of line.values) {
      if (line.look === 'limit') limit = Math.max(limit, value ?? 0);
      else high = Math.max(high, value ?? 0);
    }
  }
  if (limit > 0 && high > limit / 3) high = Math.max(high, limit);
  return high > 0 ? high * 1.12 : 1;
}

function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function series(line: Line): uPlot.Series {
  const stroke = colour({ accent: 'accent-line', plain: 'line', quiet: 'line-quiet', limit: 'line-quiet' }[line.look]);
  const made: uPlot.Series = { label: line.name, stroke, width: line.look === 'accent' ? 2 : 1.5, points: { show: false } };
  if (line.look === 'accent') made.fill = colour('accent-wash');
  if (line.look === 'limit') Object.assign(made, { dash: [4, 4], width: 1 });
  if (line.look === 'quiet') made.dash = [2, 2];
  if (line.stepped) made.paths = uPlot.paths.stepped!({ align: 1 });
  return made;
}

function options(props: Props, width: number, current: () => Props, choose: (index: number | null) => void): uPlot.Options {
  const text = colour('text-quiet');
  const grid = { stroke: colour('hair'), width: 1 };
  const font = '11px system-ui, sans-serif';
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 6 }, drag: { setScale: false, x: false, y: false } },
    scales: {
      x: { time: true, range: (_, low, high) => (high > low ? [low, high] : [high - 60, high]) },
      y: { range: () => [0, highest(current().lines)] },
    },
    axes: [
      { stroke: text, grid: { show: false }, ticks: grid, font, size: 26, space: 76, values: times },
      {
        stroke: text,
        grid,
        ticks: { show: false },
        font,
        size: 52,
        space: 34,
        values: (_, values) => values.map((value) => props.tick(value)),
        ...(props.whole ? { incrs: WHOLE } : {}),
      },
    ],
    series: [{}, ...props.lines.map(series)],
    hooks: {
      setCursor: [(plot) => choose(plot.cursor.idx ?? null)],
      drawClear: [(plot) => drawMarks(plot, current().marks ?? [])],
    },
  };
}

function times(plot: uPlot, at: number[]): string[] {
  const { min = 0, max = 0 } = plot.scales['x']!;
  const isShort = max! - min! < SHORT_SECONDS;
  return at.map((second) => (isShort ? clock(second * 1000) : clock(second * 1000).slice(0, 5)));
}

function drawMarks(plot: uPlot, marks: number[]) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.fillStyle = colour('accent-line');
  const size = 3 * devicePixelRatio;
  for (const at of marks) {
    const x = plot.valToPos(at, 'x', true);
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.fillRect(x - size / 2, bbox.top + bbox.height - size * 2, size, size * 2);
  }
  ctx.restore();
}

export function Chart(props: Props) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const now = useRef(props);
  now.current = props;
  const [chosen, setChosen] = useState<number | null>(null);
  const last = props.at.length - 1;
  const index = chosen === null || chosen > last ? last : chosen;
  const choose = (to: number | null) => {
    setChosen(to);
    const at = to === null ? null : now.current.at[to];
    now.current.onChoose?.(at ?? null);
  };

  // Built anew when the colours change, or which lines there are; else only the data is.
  const names = props.lines.map((line) => line.name).join();
  useEffect(() => {
    const build = () => {
      plot.current?.destroy();
      plot.current = new uPlot(
        options(now.current, box.current!.clientWidth, () => now.current, choose),
        data(now.current),
        box.current!,
      );
    };
    build();
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    scheme.addEventListener('change', build);
    const resized = new ResizeObserver(() => {
      const width = box.current?.clientWidth ?? 0;
      if (width > 0 && plot.current && plot.current.width !== width) plot.current.setSize({ width, height: HEIGHT });
    });
    resized.observe(box.current!);
    return () => {
      scheme.removeEventListener('change', build);
      resized.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [names]);
  useEffect(() => plot.current?.setData(data(props)), [props.at]);

  const key = (event: KeyboardEvent) => {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -15, PageUp: 15, Home: -last, End: last }[
      event.key
    ];
    if (step === undefined && event.key !== 'Escape') return;
    event.preventDefault();
    const to = step === undefined ? null : Math.min(last, Math.max(0, index + step));
    choose(to);
    const left = to === null ? -10 : plot.current?.valToPos(props.at[to]!, 'x');
    plot.current?.setCursor({ left: left ?? -10, top: 0 }, false);
  };
  const figures = index < 0 ? [] : props.lines.map((line) => [line.name, line.values[index] ?? null] as const);
  const said = figures.map(([name, value]) => `${name} ${value === null ? 'not known' : props.form(value)}`).join(', ');
  const when = index < 0 ? '' : clock(props.at[index]! * 1000);
  const more = index < 0 ? '' : (props.say?.(props.at[index]!) ?? '');
  return (
    <figure class="chart">
      <figcaption>
        <span class="title">{props.title}</span>
        <span class="when">{chosen === null ? '' : when}</span>
        {props.lines.map((line, i) => (
          <span class="key" key={line.name}>
            <i class={line.look} />
            {line.name} <b>{figures[i]?.[1] == null ? '-' : props.form(figures[i]![1]!)}</b>
          </span>
        ))}
      </figcaption>
      <div
        ref={box}
        class="plot"
        role="slider"
        tabIndex={0}
        aria-label={`${props.title}: an instant`}
        aria-valuemin={0}
        aria-valuemax={Math.max(0, last)}
        aria-valuenow={Math.max(0, index)}
        aria-valuetext={index < 0 ? 'nothing yet' : `${when}: ${said}${more ? '. ' + more : ''}`}
        onKeyDown={key}
        onBlur={() => choose(null)}
      />
    </figure>
  );
}

function data(props: Props): uPlot.AlignedData {
  return [props.at, ...props.lines.map((line) => line.values)] as uPlot.AlignedData;
}
