// The built service on the lab's real switch with real phones (`sklic-qa up`), for the browser tests.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { BINARY, PASSWORD, makeAccount, until } from './service.mjs';

const RUNNER = join(dirname(BINARY), 'sklic-qa');
/** The convener's telephone, and what the demo phones of `sklic-qa up` do. */
const CONVENER = '+38640100001';
const NUMBERS = {
  answers: ['+38640100002', '+38640100003', '+38640100011', '+38640100012', '+38640100013', '+38640100014', '+38640100015'],
  busy: '+38640100005',
  /** Calls in when it is told to. */
  caller: '+38640100016',
};

/** Starts lab, service and phones. `accounts`: a user number each. */
export async function startLab(accounts) {
  const said = [];
  // Who calls a locked conference waits at its door instead of being turned away.
  const runner = spawn(RUNNER, ['up', '--port', '0'], { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, SKLIC__DIAL_IN__WAIT_AT_LOCK: 'true' } });
  for (const stream of [runner.stdout, runner.stderr]) stream.on('data', (piece) => said.push(String(piece)));
  const line = (words) => new RegExp(`^${words} (.*)$`, 'm').exec(said.join(''))?.[1]?.trim();
  const mails = await until('the lab with its phones', () => {
    if (runner.exitCode !== null) throw new Error(`sklic-qa up has ended:\n${said.join('')}`);
    return line('Mails arrive in');
  }, 120);
  const url = line('The service runs:');
  const config = join(dirname(line('Log:')), 'sklic.toml');
  for (const user of accounts) makeAccount(config, user, CONVENER, mailOf(user, runner.pid));
  return {
    url,
    port: Number(new URL(url).port),
    numbers: NUMBERS,
    real: true,
    /** Tells the phone that calls in what to do: `dial 013099396 12345678#`, `key *6`, `bye`. */
    caller: (line) => runner.stdin.write(`${line}\n`),
    /** The mails that an account got, as raw text. */
    mails: (user) => mailsTo(mails, mailOf(user, runner.pid)),
    async stop() {
      runner.kill('SIGTERM');
      await new Promise((resolve) => (runner.exitCode === null ? runner.once('exit', resolve) : resolve()));
    },
  };
}

/** The mails of earlier runs still lie in the lab: an address is used once. */
const mailOf = (user, run) => `browser-${user}-${run}@example.test`;

function mailsTo(folder, address) {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  return files.map((file) => readFileSync(join(file.parentPath, file.name), 'utf8')).filter((text) => text.toLowerCase().includes(address));
}

/** The parts of a mail: their content types and their texts, decoded (RFC 2045). */
export function partsOf(mail) {
  const at = mail.search(/\r?\n\r?\n/);
  const head = mail.slice(0, at).replace(/\r?\n[ \t]+/g, ' ');
  const body = mail.slice(at).replace(/^(\r?\n){2}/, '');
  const type = /^Content-Type: *(.*)$/im.exec(head)?.[1] ?? 'text/plain';
  const boundary = /boundary="?([^";]+)/i.exec(type)?.[1];
  if (boundary) return body.split(`--${boundary}`).slice(1, -1).flatMap((part) => partsOf(part.replace(/^\r?\n/, '')));
  const coding = /^Content-Transfer-Encoding: *(\S+)/im.exec(head)?.[1]?.toLowerCase();
  const bytes = coding === 'base64' ? Buffer.from(body, 'base64') : coding === 'quoted-printable' ? quoted(body) : Buffer.from(body);
  return [{ type, text: bytes.toString('utf8') }];
}

function quoted(text) {
  const plain = text.replace(/=\r?\n/g, '');
  return Buffer.from(plain.replace(/=([0-9A-F]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))), 'latin1');
}

/** Whether there is a lab to run this in. */
export const hasLab = () => spawnSync(RUNNER, ['--version']).error === undefined && process.env.SKLIC_LAB_DIR !== undefined;
export { PASSWORD };
