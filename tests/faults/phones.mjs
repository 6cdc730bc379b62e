// The telephones: one SIPp on the trunk's port stands for all numbers. Its log of messages is the first of the three accounts.
import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './until.mjs';

/** Starts the phones. `folder` takes their logs. */
export async function connectPhones(port, folder, seconds) {
  const log = join(folder, 'phones.csv');
  const out = openSync(join(folder, 'phones.log'), 'w');
  const scenario = join(import.meta.dirname, '../sipp/uas-by-number.xml');
  const process_ = spawn('sipp', ['-sf', scenario, '-i', '127.0.0.1', '-mi', '127.0.0.1', '-nostdin', '-skip_rlimit', '-p', String(port), '-key', 'audio_port', '9',
    // A guard in case this process is killed: no phone outlives the campaign by much.
    '-timeout', String(seconds), '-trace_shortmsg', '-shortmessage_file', log, '-trace_err', '-error_file', join(folder, 'phones.errors')], { cwd: folder, stdio: ['ignore', out, out] });
  const hex = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} `;
  const listens = await until(() => process_.exitCode === null && readFileSync('/proc/net/udp', 'utf8').includes(hex), 5, 20);
  if (!listens) throw new Error(`the phones do not listen on port ${port}: ${readFileSync(join(folder, 'phones.log'), 'utf8').slice(0, 400)}`);
  return {
    /** What the phones have seen up to now. */
    calls: () => (existsSync(log) ? callsOf(readFileSync(log, 'utf8')) : []),
    stop: () => process_.kill('SIGKILL'),
  };
}

/** Reads SIPp's short log of messages: date, time, epoch, S or R, Call-ID, CSeq, first line; by tabs. Times are milliseconds of the epoch. */
export function callsOf(text) {
  const calls = new Map();
  for (const line of text.split('\n')) {
    const [, , epoch, direction, id, cseq = '', first = ''] = line.split('\t');
    const at = Number(epoch) * 1000;
    if (!id || !Number.isFinite(at)) continue;
    const method = cseq.trim().split(/\s+/).pop();
    const call = calls.get(id);
    if (!call) {
      const number = /^INVITE sip:([^@]*)@/.exec(first)?.[1];
      if (number !== undefined && direction === 'R') calls.set(id, { id, number, invited: at, answered: null, ended: null, by: null, refused: null, cancelled: null });
      continue;
    }
    if (direction === 'S' && /^SIP\/2\.0 2/.test(first) && method === 'INVITE') call.answered ??= at;
    else if (direction === 'S' && /^SIP\/2\.0 [3-6]/.test(first) && method === 'INVITE') call.refused ??= at;
    else if (direction === 'R' && first.startsWith('CANCEL ')) call.cancelled ??= at;
    else if (first.startsWith('BYE ') && call.ended === null) {
      call.ended = at;
      call.by = direction === 'R' ? 'switch' : 'phone';
    }
  }
  return [...calls.values()];
}
