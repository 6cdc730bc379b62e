// The parts around the service: the lab's PostgreSQL, Asterisk and mail server, a made-up SMS gateway, and a small disk for the database.
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';

const LAB = join(import.meta.dirname, '../../vagrant/provision/lab.sh');
const variable = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this by make faults`);
  return value;
};
const SMALL_DISK_MEGABYTES = 192;
/** Half as much again as the server's write-ahead log takes at most by itself. */
const LOG_DISK_MEGABYTES = 1536;

/** Runs a verb of the lab, such as `kill asterisk`. */
export function verb(...words) {
  return new Promise((resolve, reject) => {
    const child = spawn(LAB, words, { stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (piece) => (said += piece));
    child.once('exit', (status) => (status === 0 ? resolve() : reject(new Error(`lab.sh ${words.join(' ')}: ${said.trim()}`))));
  });
}

/** SQL as the lab's superuser; gives what it prints, without header. */
export function sql(text, database = 'postgres') {
  const password = readFileSync(join(variable('SKLIC_LAB_DIR'), 'secrets/postgres'), 'utf8').trim();
  const words = ['-X', '-q', '-t', '-A', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', variable('SKLIC_LAB_POSTGRES_PORT'), '-U', 'postgres', '-d', database, '-c', text];
  const done = spawnSync('psql', words, { encoding: 'utf8', env: { ...process.env, PGPASSWORD: password, PGCONNECT_TIMEOUT: '5' } });
  if (done.status !== 0) throw new Error(`psql: ${done.stderr || done.error}`);
  return done.stdout.trim();
}

function run(program, ...words) {
  const done = spawnSync(program, words, { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`${program} ${words.join(' ')}: ${done.stderr || done.error}`);
  return done.stdout.trim();
}

/** A folder of the server's on a file system of its own (tmpfs), which can be filled to the last byte. */
function makeDisk(megabytes) {
  const folder = mkdtempSync('/tmp/sklic-faults-disk-');
  chmodSync(folder, 0o755);
  run('mount', '-t', 'tmpfs', '-o', `size=${megabytes}m`, 'sklic-faults', folder);
  const space = join(folder, 'data');
  run('install', '-d', '-o', 'postgres', '-g', 'postgres', '-m', '0700', space);
  const ballast = join(folder, 'ballast');
  return {
    space,
    /** Leaves no room, and takes what is freed as well. */
    fill() {
      const free = () => Number(run('stat', '-f', '-c', '%a', folder)) * Number(run('stat', '-f', '-c', '%S', folder));
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=1M', 'oflag=append', 'conv=notrunc'], { stdio: 'ignore' });
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096', 'oflag=append', 'conv=notrunc'], { stdio: 'ignore' });
      return free();
    },
    empty: () => rmSync(ballast, { force: true }),
    remove() {
      run('umount', '-l', folder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Gives the server's write-ahead log a disk of its own. The server is stopped and started for it, and once more when it is closed. */
export async function moveWriteAheadLog() {
  const data = realpathSync(join(variable('SKLIC_LAB_DIR'), 'postgres'));
  const log = join(data, 'pg_wal');
  const disk = makeDisk(LOG_DISK_MEGABYTES);
  const exchange = async (...commands) => {
    await verb('stop', 'postgres');
    for (const command of commands) run(...command);
    await verb('start', 'postgres');
  };
  await exchange(['cp', '-a', `${log}/.`, disk.space], ['rm', '-rf', log], ['ln', '-s', disk.space, log]);
  return {
    /** Fills the disk and has the server use up the segments that it had made beforehand, until it finds no room for the next. */
    fill() {
      disk.fill();
      const use = "SELECT pg_logical_emit_message(false, 'faults', 'full'); SELECT pg_switch_wal()";
      for (let segment = 0; segment < 100; segment += 1) {
        try {
          sql(use);
        } catch {
          return;
        }
        disk.fill();
      }
      throw new Error('the server goes on writing its log to a full disk');
    },
    empty: disk.empty,
    async close() {
      disk.empty();
      await exchange(['rm', log], ['cp', '-a', disk.space, log]);
      disk.remove();
    },
  };
}

/** A database of its own on a small disk of its own; the server's write-ahead log is elsewhere. */
export function makeDatabase(name, megabytes = SMALL_DISK_MEGABYTES) {
  const disk = makeDisk(megabytes);
  const { space } = disk;
  sql(`CREATE TABLESPACE ${name} LOCATION '${space}'`);
  sql(`CREATE DATABASE ${name} OWNER sklic TABLESPACE ${name}`);
  const url = new URL(variable('SKLIC_LAB_DATABASE_URL'));
  url.pathname = `/${name}`;
  return {
    name,
    url: url.href,
    fill: disk.fill,
    empty: disk.empty,
    cutConnections: () => sql(`SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '${name}' AND pid <> pg_backend_pid()`),
    /** How many rows each table has. */
    counts() {
      const tables = sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1", name).split('\n').filter(Boolean);
      const lines = sql(tables.map((table) => `SELECT '${table}', count(*) FROM "${table}"`).join(' UNION ALL '), name).split('\n');
      return Object.fromEntries(lines.map((line) => line.split('|')).map(([table, count]) => [table, Number(count)]));
    },
    drop() {
      try {
        sql(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
        sql(`DROP TABLESPACE IF EXISTS ${name}`);
      } finally {
        disk.remove();
      }
    },
  };
}

/** A gateway that counts what it was handed, and misbehaves when told: refused, hang, lose-ack, error. */
export async function startSmsGateway() {
  const taken = [];
  let fault = null;
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (piece) => (text += piece));
    request.on('end', () => {
      const message = JSON.parse(text);
      const keep = () => taken.push({ at: Date.now(), to: message.to, reference: message.reference, text: message.text });
      if (fault === 'hang') return;
      if (fault === 'refused') return void request.socket.destroy();
      if (fault === 'error') return void response.writeHead(500).end('{}');
      keep();
      if (fault === 'lose-ack') return void request.socket.destroy();
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ id: `lab-${taken.length}` }));
    });
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: server.address().port, taken, behave: (how) => (fault = how), stop: () => (server.closeAllConnections(), server.close()) };
}

/** The lab's mail server: its faults, and what it has kept. */
export const mail = {
  behave: (fault) => (fault ? writeFileSync(variable('SKLIC_LAB_SMTP_FAULT_FILE'), fault) : rmSync(variable('SKLIC_LAB_SMTP_FAULT_FILE'), { force: true })),
  /** Every mail since a moment: to whom, its Message-ID, its text as it came. */
  since(moment) {
    const folder = variable('SKLIC_LAB_MAIL_DIR');
    if (!existsSync(folder)) return [];
    const files = readdirSync(folder).filter((file) => file.endsWith('.eml')).map((file) => join(folder, file)).filter((file) => statSync(file).mtimeMs >= moment);
    return files.map((file) => {
      const text = readFileSync(file, 'utf8');
      const head = text.slice(0, text.search(/\r?\n\r?\n/)).replace(/\r?\n[ \t]+/g, ' ');
      const field = (name) => new RegExp(`^${name}: *(.*)$`, 'im').exec(head)?.[1].trim() ?? '';
      return { to: field('X-Envelope-To'), id: field('Message-ID'), subject: decoded(field('Subject')) };
    });
  },
};

/** Encoded words of a header (RFC 2047). */
function decoded(value) {
  const word = (_, encoding, text) => (encoding.toLowerCase() === 'b' ? Buffer.from(text, 'base64') : Buffer.from(text.replace(/_/g, ' ').replace(/=([0-9A-F]{2})/gi, (_all, hex) => String.fromCharCode(Number.parseInt(hex, 16))), 'latin1')).toString('utf8');
  return value.replace(/\?=\s+=\?/g, '?==?').replace(/=\?[^?]+\?([bq])\?([^?]*)\?=/gi, word);
}

/** What the service is told of each switch, and where that writes down its calls. */
const SWITCHES = {
  asterisk: { port: 'SKLIC_LAB_AMI_PORT', secret: 'SKLIC_LAB_AMI_SECRET', records: 'SKLIC_LAB_ASTERISK_CDR', username: 'sklic', dial: 'PJSIP/{number}@trunk' },
  freeswitch: { port: 'SKLIC_LAB_ESL_PORT', secret: 'SKLIC_LAB_ESL_SECRET', records: 'SKLIC_LAB_FREESWITCH_CDR', username: '', dial: 'sofia/gateway/trunk/{number}' },
};

/** The lab's switch of this kind: `null` for the simulator, which is part of the service. */
export function switchOf(kind) {
  const known = SWITCHES[kind];
  if (!known) return null;
  const file = variable(known.records);
  return { username: known.username, dial: known.dial, secret: variable(known.secret), port: Number(variable(known.port)), records: () => (existsSync(file) ? readFileSync(file, 'utf8') : '') };
}

/** Ports of the lab. */
export const parts = () => ({
  trunk: Number(variable('SKLIC_LAB_TRUNK_PORT')),
  smtp: Number(variable('SKLIC_LAB_SMTP_PORT')),
  folder: variable('SKLIC_LAB_DIR'),
});
