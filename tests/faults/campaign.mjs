// A campaign: one lab, one service, and run after run on them, each with its faults, its conferences and its audit.
import { appendFileSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { audit, auditMails, auditMessages, auditStrays } from './audit.mjs';
import { suffer } from './break.mjs';
import { accountOf, awaitOver, holdConference, planConference } from './conference.mjs';
import { makeDatabase, mail, moveWriteAheadLog, parts, startSmsGateway, switchOf, verb } from './lab.mjs';
import { connectPhones } from './phones.mjs';
import { planOf } from './plan.mjs';
import { openLine } from './proxy.mjs';
import { prepareService } from './service.mjs';
import { recordsOf } from './switch.mjs';
import { pause, until } from './until.mjs';

/** How long what was to be sent may take to arrive when everything is mended: the outbox repeats after 10, 20, 40 s. */
const ARRIVES_WITHIN_SECONDS = 150;
/** How long the closing and the goodbyes may take after the service says that a conference is over. */
const GOODBYES_MILLISECONDS = 2_500;

/** Opens everything. `pbx`: the kind of switch; `logDisk`: whether the database's log is to have a disk of its own; `megabytes`: the size of the database's disk, if not the small one. */
export async function openCampaign({ pbx, conferences, seconds, megabytes, logDisk = false }) {
  const { trunk, smtp, folder: home } = parts();
  mkdirSync(join(home, 'faults'), { recursive: true });
  const folder = mkdtempSync(join(home, 'faults', `${pbx}-`));
  const began = Date.now();
  const real = switchOf(pbx);
  mail.behave(null);
  await verb('start', 'postgres', 'smtp', ...(real ? [pbx] : []));
  const closing = [];
  const close = async () => {
    for (const act of closing.reverse()) await Promise.resolve().then(act).catch((fault) => process.stderr.write(`${fault.message}\n`));
  };
  try {
    const writeAhead = logDisk ? await moveWriteAheadLog() : null;
    closing.push(() => writeAhead?.close());
    const database = makeDatabase(`faults_${process.pid}_${Math.floor(began / 1000)}`, megabytes);
    closing.push(() => database.drop());
    const sms = await startSmsGateway();
    closing.push(() => sms.stop());
    const line = real ? await openLine(real.port) : null;
    closing.push(() => line?.close());
    const phones = real ? await connectPhones(trunk, folder, seconds) : null;
    closing.push(() => phones?.stop());
    const around = { database: database.url, pbx, link: line?.port ?? 9, real, smtp, sms: sms.port };
    const service = await prepareService(folder, around);
    const second = await prepareService(folder, around, 'second');
    closing.push(() => Promise.all([service.end('SIGTERM'), second.end('SIGTERM')]));
    const lab = { pbx, real, folder, began, database, writeAhead, sms, line, phones, service, nodes: [service, second], stepped: false, revive: () => service.launch({ stepped: lab.stepped }) };
    lab.accounts = Array.from({ length: conferences }, (_, at) => service.account(`90${at}${String(process.pid).slice(-3).padStart(3, '0')}`, `+38659999990${at}111`));
    service.launch();
    if (!(await service.ready())) throw new Error(`the service is not ready; its last words:\n${service.lastWords()}`);
    return { ...lab, results: join(folder, 'results.jsonl'), owed: [], reported: new Set(), close, lab };
  } catch (fault) {
    await close();
    throw fault;
  }
}

/** Plays one run and audits it; gives what came out, which is also written down in the campaign's folder. */
export async function playRun(campaign, { seed, run, kind, conferences }) {
  const { lab, service } = campaign;
  const plan = planOf({ seed, run, kind, conferences });
  const started = Date.now();
  const stepped = plan.faults.some((fault) => fault.what === 'clock-stepped');
  if (stepped !== lab.stepped || service.pid === null) {
    await service.end('SIGTERM');
    lab.stepped = stepped;
    lab.revive();
  }
  const [, second] = lab.nodes;
  if (plan.faults.some((fault) => fault.what.startsWith('node-'))) {
    second.launch();
    await second.answers();
    service.other = second;
  }
  if (!(await service.ready())) throw new Error(`the service is not ready before run ${run}; its last words:\n${service.lastWords()}`);
  const held = [];
  for (const [at, one] of plan.conferences.entries()) {
    const title = `F${run}-${at}`;
    const id = await planConference(service, lab.accounts[at], one, title);
    held.push({ id, title, plan: one, account: lab.accounts[at], numbers: [one.convener, ...one.people, ...(one.late ? [one.late.number] : [])] });
  }
  const origin = Date.now();
  const [faults] = await Promise.all([
    Promise.all(plan.faults.map((fault) => suffer(lab, fault, origin))),
    ...held.map((one) => holdConference(service, one.account, one.id, one.plan, origin)),
  ]);
  await service.ready();
  await Promise.all(held.map(async (one) => (one.over = await awaitOver(service, one.account, one.id))));
  await pause(GOODBYES_MILLISECONDS);
  for (const one of held) Object.assign(one, await accountOf(service, one.account, one.id));
  const calls = lab.phones?.calls() ?? null;
  const records = lab.real ? recordsOf(lab.pbx, lab.real.records()) : null;
  service.other = null;
  await second.end('SIGTERM');
  const { findings, differences } = audit({ conferences: held, calls, records, faults });
  for (const one of held.filter((one) => !one.over && !findings.some((finding) => finding.conference === one.id && finding.check === 'conference stuck'))) {
    findings.push({ check: 'conference stuck', words: `conference ${one.id} was not over in time`, conference: one.id });
  }
  for (const one of held) {
    for (const leg of one.report?.participants.flatMap((person) => person.legs) ?? []) campaign.reported.add(leg.leg);
    const numbers = (one.messages?.messages ?? one.messages ?? []).flatMap((message) => message.deliveries ?? []).map((delivery) => delivery.address);
    campaign.owed.push({ run, id: one.id, email: one.account.email, title: one.title, numbers });
  }
  const result = {
    seed, run, kind, pbx: lab.pbx, date: new Date(started).toISOString(), seconds: Math.round((Date.now() - started) / 1000), conferences: held.length,
    legs: held.reduce((sum, one) => sum + (one.report?.participants.reduce((legs, person) => legs + person.legs.length, 0) ?? 0), 0),
    answered: differences.filter((one) => one.evidence).length, faults, findings, differences,
  };
  writeFileSync(join(campaign.folder, `run-${run}.json`), JSON.stringify({ result, plan, held: held.map(({ account, ...one }) => one), calls: calls?.filter((call) => held.some((one) => one.numbers.includes(call.number))) }, null, 1));
  appendFileSync(campaign.results, `${JSON.stringify(result)}\n`);
  return result;
}

/** What can be told only in the end: that each report and message has come once, and that the switch knows of no other leg. */
export async function settle(campaign) {
  const { lab, owed } = campaign;
  const look = () => {
    const mails = auditMails(owed, mail.since(campaign.began));
    const messages = auditMessages(owed, lab.sms.taken);
    return { findings: [...mails.findings, ...messages.findings], repeated: mails.repeated + messages.repeated };
  };
  await until(() => look().findings.every((finding) => !finding.check.endsWith('missing')), ARRIVES_WITHIN_SECONDS, 1_000);
  const { findings, repeated } = look();
  if (lab.real) findings.push(...auditStrays(recordsOf(lab.pbx, lab.real.records()), campaign.reported, lab.began));
  const kindOf = new Map(owed.map(({ id, run }) => [id, run]));
  const result = { settled: true, date: new Date().toISOString(), pbx: lab.pbx, owed: owed.length, repeated, findings: findings.map((finding) => ({ ...finding, run: kindOf.get(finding.conference) })) };
  appendFileSync(campaign.results, `${JSON.stringify(result)}\n`);
  return result;
}
