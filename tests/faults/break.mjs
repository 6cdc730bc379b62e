// How each thing breaks and is mended again.
import { mail, verb } from './lab.mjs';
import { pause } from './until.mjs';

/** What breaks: `hurt` returns what is to be noted, `heal` undoes it. `lab`: the campaign's service, line, database and SMS gateway. */
const PARTS = {
  'service-killed': { hurt: (lab) => lab.service.end('SIGKILL'), heal: (lab) => lab.revive() },
  'service-stopped': { hurt: (lab) => lab.service.end('SIGTERM'), heal: (lab) => lab.revive() },
  'service-frozen': { hurt: (lab) => lab.service.signal('SIGSTOP'), heal: (lab) => lab.service.signal('SIGCONT') },
  'node-killed': { hurt: (lab, { victim }) => lab.nodes[victim].end('SIGKILL'), heal: (lab, { victim }) => lab.nodes[victim].launch() },
  'node-frozen': { hurt: (lab, { victim }) => lab.nodes[victim].signal('SIGSTOP'), heal: (lab, { victim }) => lab.nodes[victim].signal('SIGCONT') },
  'switch-killed': { hurt: ({ pbx }) => verb('kill', pbx), heal: ({ pbx }) => verb('start', pbx) },
  'switch-stopped': { hurt: ({ pbx }) => verb('stop', pbx), heal: ({ pbx }) => verb('start', pbx) },
  'database-stopped': { hurt: () => verb('stop', 'postgres'), heal: () => verb('start', 'postgres') },
  'database-killed': { hurt: () => verb('kill', 'postgres'), heal: () => verb('start', 'postgres') },
  'database-cut': {
    // Cut again and again: those that were made anew, too.
    async hurt(lab, { length }) {
      for (const end = Date.now() + length; Date.now() < end; await pause(400)) lab.database.cutConnections();
    },
    heal: () => {},
  },
  'database-full': { hurt: (lab) => lab.database.fill(), heal: (lab) => lab.database.empty() },
  'database-log-full': {
    hurt: (lab) => lab.writeAhead.fill(),
    async heal(lab) {
      lab.writeAhead.empty();
      // A server whose log has no room ends, or hangs in its recovery, and nobody but its operator starts it again.
      await verb('kill', 'postgres');
      await verb('start', 'postgres');
    },
  },
  'link-cut': { hurt: (lab) => lab.line.cut(), heal: (lab) => lab.line.mend() },
  'link-slow': { hurt: (lab, { delay }) => lab.line.slow(delay), heal: (lab) => lab.line.mend() },
  'link-half-open': { hurt: (lab) => lab.line.halfOpen(), heal: (lab) => lab.line.mend() },
  'clock-stepped': { hurt: (lab, { seconds }) => lab.service.stepClock(seconds), heal: (lab) => lab.service.stepClock(0) },
  'mail-away': { hurt: () => verb('stop', 'smtp'), heal: () => verb('start', 'smtp') },
  'mail-fault': { hurt: (_, { fault }) => mail.behave(fault), heal: () => mail.behave(null) },
  'sms-away': { hurt: (lab, { fault }) => lab.sms.behave(fault), heal: (lab) => lab.sms.behave(null) },
};

/** Brings about a fault at its time and undoes it after its length. Gives when it really began and was over. */
export async function suffer(lab, fault, origin) {
  const part = PARTS[fault.what];
  await pause(Math.max(0, origin + fault.at - Date.now()));
  const from = Date.now();
  await part.hurt(lab, fault);
  const hurt = Date.now();
  await pause(Math.max(0, from + fault.length - Date.now()));
  await part.heal(lab, fault);
  return { ...fault, from, hurt, to: Date.now() };
}
