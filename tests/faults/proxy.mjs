// The line between service and switch, which can be cut, slowed down, or left half open: connected and dumb.
import { connect, createServer } from 'node:net';
import { pause } from './until.mjs';

/** Opens a line to a port of this machine. */
export async function openLine(port) {
  const pairs = new Set();
  let mode = 'whole';
  let delay = 0;
  const server = createServer((near) => {
    if (mode === 'cut') return near.destroy();
    const far = connect(port, '127.0.0.1');
    // One that was there when the line went dumb stays dumb for ever, as after a firewall forgot it.
    const pair = { near, far, dumb: mode === 'half-open' };
    pairs.add(pair);
    for (const [one, other] of [[near, far], [far, near]]) {
      one.setNoDelay(true);
      // One after the other: two timers of different lengths that end together fire in no order, and bytes would overtake each other when the delay changes.
      let before = Promise.resolve();
      const later = (act) => {
        const due = Date.now() + delay;
        before = before.then(() => (due > Date.now() ? pause(due - Date.now()) : undefined)).then(act);
      };
      one.on('data', (bytes) => later(() => {
        if (!pair.dumb) other.write(bytes);
      }));
      one.on('error', () => {});
      one.on('close', () => later(() => {
        // The other end of one that went dumb stays until the line is mended.
        if (!pair.dumb) other.destroy();
        if (near.destroyed && far.destroyed) pairs.delete(pair);
      }));
    }
    return undefined;
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: server.address().port,
    cut() {
      mode = 'cut';
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
    },
    slow(milliseconds) {
      delay = milliseconds;
    },
    halfOpen() {
      mode = 'half-open';
      for (const pair of pairs) pair.dumb = true;
    },
    mend() {
      mode = 'whole';
      delay = 0;
      // The switch's end of a forgotten connection is ended some day; here it is now, and the service's end stays in the dark.
      for (const pair of pairs) if (pair.dumb) pair.far.destroy();
    },
    close() {
      this.cut();
      server.close();
    },
  };
}
