// SPDX-License-Identifier: Apache-2.0
// The last events of a stream. Those that are pushed out before anybody looks are never parsed.
import type { Happening } from './messages';
import type { Sent } from './sse';

const RATE_SPAN_MS = 2_000;

export class Tail {
  private texts: string[] = [];
  private came = 0;
  private marks: { at: number; came: number }[] = [];

  constructor(private readonly size: number) {}

  take(sent: Sent[]): void {
    this.came += sent.length;
    for (const event of sent.slice(-this.size)) this.texts.push(event.data);
    if (this.texts.length > this.size) this.texts = this.texts.slice(-this.size);
  }

  // The newest first, and how many came a second of late.
  look(now: number): { events: Happening[]; perSecond: number } {
    this.marks.push({ at: now, came: this.came });
    while (this.marks.length > 1 && now - this.marks[1]!.at >= RATE_SPAN_MS) this.marks.shift();
    const first = this.marks[0]!;
    const ms = now - first.at;
    return {
      events: this.texts.map((text) => JSON.parse(text) as Happening).reverse(),
      perSecond: ms > 0 ? ((this.came - first.came) * 1000) / ms : 0,
    };
  }
}
