// SPDX-License-Identifier: Apache-2.0
// Reads server-sent events out of the pieces of text in which they come. EventSource can not send a token.
export interface Sent {
  event: string;
  data: string;
  id: string;
}

export class SentEvents {
  private rest = '';

  // The events that end in this piece.
  feed(piece: string): Sent[] {
    const blocks = (this.rest + piece.replaceAll('\r', '')).split('\n\n');
    this.rest = blocks.pop() ?? '';
    const events: Sent[] = [];
    for (const block of blocks) {
      const sent: Sent = { event: 'message', data: '', id: '' };
      let lines = 0;
      for (const line of block.split('\n')) {
        const colon = line.indexOf(':');
        if (colon <= 0) continue; // a comment, or a name without a value
        const name = line.slice(0, colon);
        const value = line.slice(line[colon + 1] === ' ' ? colon + 2 : colon + 1);
        if (name === 'data') sent.data += lines++ > 0 ? '\n' + value : value;
        else if (name === 'event') sent.event = value;
        else if (name === 'id') sent.id = value;
      }
      if (lines > 0) events.push(sent);
    }
    return events;
  }
}
