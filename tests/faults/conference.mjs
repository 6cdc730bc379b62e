// One conference as its convener holds it, over the API, with the patience of a person whose page says "try again".
import { ask, insist } from './service.mjs';
import { pause, until } from './until.mjs';

/** How long after everything is mended a conference may take to be over. */
const OVER_WITHIN_SECONDS = 75;

/** Plans a conference; nothing is broken yet. */
export async function planConference(service, account, plan, title) {
  await insist(service, account, 'PATCH', '/me', { phone: plan.convener });
  const participants = plan.people.map((phone, at) => ({ name: `Oseba ${at + 1}`, phone }));
  const made = await insist(service, account, 'POST', '/conferences', { title, participants });
  if (!made.ok) throw new Error(`the conference was not planned: ${made.status} ${JSON.stringify(made.body)}`);
  return made.body.id;
}

/** Holds it: start, what happens meanwhile, the end. `origin`: when the run began. */
export async function holdConference(service, account, id, plan, origin) {
  const at = (offset) => pause(Math.max(0, origin + offset - Date.now()));
  // What comes late or is lost with the service is done once more, until the conference has begun.
  const path = `/conferences/${id}`;
  const begin = async () => {
    await at(plan.start);
    await until(async () => {
      const answer = await ask(service, account, 'POST', `${path}/start`).catch(() => null);
      if (answer?.ok) return true;
      const seen = await ask(service, account, 'GET', path);
      return seen.ok && seen.body.state !== 'planned';
    }, 90, 300);
  };
  // What a person tries once; while something is away he is told so and leaves it.
  const once = async (offset, act) => {
    if (offset === null) return;
    await at(offset);
    await act().catch(() => {});
  };
  const person = async (pick) => (await ask(service, account, 'GET', path)).body.participants.find(pick);
  const finish = async () => {
    if (plan.end === null) return;
    await at(plan.end);
    await until(async () => {
      const answer = await ask(service, account, 'POST', `${path}/end`).catch(() => null);
      // Refused because it is over, or not begun: what it is like is looked at afterwards.
      return answer !== null && answer.status !== 503 && (answer.ok || (await over(service, account, id)));
    }, 90, 400);
  };
  await Promise.all([
    begin(),
    once(plan.late?.at ?? null, () => ask(service, account, 'POST', `${path}/participants`, { name: 'Pozni', phone: plan.late.number })),
    once(plan.again, async () => {
      const absent = await person((one) => !one.convener && plan.people.includes(one.phone) && !['in', 'ringing', 'dialling'].includes(one.state));
      if (absent) await ask(service, account, 'POST', `${path}/participants/${absent.id}/call`);
    }),
    once(plan.mute, () => ask(service, account, 'POST', `${path}/mute`)),
    once(plan.message, () => ask(service, account, 'POST', `${path}/messages`, { channels: ['sms'], text: `Sporočilo ${id}` })),
    finish(),
  ]);
}

async function over(service, account, id) {
  const seen = await ask(service, account, 'GET', `/conferences/${id}`);
  return seen.ok && ['ended', 'failed'].includes(seen.body.state);
}

/** Waits until it is over. A person who sees that it still runs presses End; gives false when even that is in vain. */
export async function awaitOver(service, account, id) {
  const byItself = await until(() => over(service, account, id), OVER_WITHIN_SECONDS, 500);
  return byItself === true;
}

/** An amount in 1/10000, from the decimal number in which the service tells it. */
const units = (amount) => Math.round(Number(amount) * 10_000);

/** What the service says of it: report, charges, messages. */
export async function accountOf(service, account, id) {
  const [report, charges, messages] = await Promise.all([
    insist(service, account, 'GET', `/conferences/${id}/report`),
    insist(service, account, 'GET', `/charges?conference=${id}&limit=5000`),
    insist(service, account, 'GET', `/conferences/${id}/messages`),
  ]);
  const reported = report.ok ? report.body : null;
  if (reported) reported.totals.net = units(reported.totals.net);
  return { report: reported, charges: charges.ok ? charges.body.charges.map((row) => ({ ...row, net: units(row.net) })) : [], messages: messages.ok ? messages.body : null };
}
