// The main job, on the service with its simulated switch, and once more on the lab's real one: which numbers answer, the service says.
import assert from 'node:assert/strict';
import { signIn } from './browser.mjs';
import { partsOf } from './lab.mjs';
import { FOREIGN, HOSTILE } from './mock.mjs';
import { client, PASSWORD, until } from './service.mjs';

const rect = (page, name) => page.locator('.rect').filter({ has: page.locator('.rect-name').getByText(name, { exact: false }) });
/** Waits for a state. A phone that is in may be talking. */
const is = (page, name, state, timeout = 20_000) =>
  rect(page, name).and(page.locator(state === 'in' ? '[data-state=in], [data-state=talking]' : `[data-state="${state}"]`)).waitFor({ timeout });

/** People for a directory: the service knows them by name. */
async function fill(api, people) {
  const made = {};
  for (const [name, phone] of Object.entries(people)) made[name] = await api('POST', '/contacts', { name, phone });
  return made;
}

export async function mainJobByMouse({ open, service, account }) {
  const api = await client(service, account);
  const { answers, busy } = service.numbers;
  const made = await fill(api, { 'Marko Mirni': answers[0], 'Zala Zasedena': busy, 'Pia Pozneje': answers[1], [HOSTILE]: answers[2], [FOREIGN]: answers[3] });
  await api('POST', '/groups', { name: 'Redni', contact_ids: [made[HOSTILE].id, made[FOREIGN].id] });
  const page = await open();

  // A wrong password is told, what was typed stays.
  await page.goto(service.url);
  await page.getByLabel('Uporabniška številka').fill(account);
  await page.getByLabel('Geslo', { exact: true }).fill('narobe');
  await page.getByRole('button', { name: 'Prijava' }).click();
  await page.getByRole('alert').getByText('ni pravilno').waitFor();
  assert.equal(await page.getByLabel('Uporabniška številka').inputValue(), account);
  await page.getByLabel('Geslo', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Prijava' }).click();

  // By button, by dragging, a whole group, a typed number.
  await page.getByRole('button', { name: 'Dodaj telekonferenci: Marko Mirni' }).click();
  await page.locator('#people-all .dir-row').filter({ hasText: 'Zala Zasedena' }).dragTo(page.locator('.conf-body'));
  await rect(page, 'Zala Zasedena').waitFor();
  await page.getByRole('button', { name: /^Dodaj vse: Redni/ }).click();
  await page.getByLabel('Ni v imeniku?').fill('ni številka');
  await page.locator('.dir-foot').getByRole('button', { name: 'Dodaj' }).click();
  await page.locator('#dial-error').waitFor();
  await page.getByLabel('Ni v imeniku?').fill(answers[4].replace('+386', '+386 '));
  await page.locator('.dir-foot').getByRole('button', { name: 'Dodaj' }).click();
  assert.equal(await page.locator('.rect').count(), 6);
  assert.equal(await page.locator('.conf img').count(), 0, 'a name is text');
  await page.getByLabel('Naslov telekonference').fill('Preizkus z miško');

  await page.getByRole('button', { name: 'Začni telekonferenco' }).click();
  await page.locator('.steps').waitFor();
  assert.match(page.url(), /\/conferences\/[0-9a-f-]+$/);
  for (const name of ['Ana Novak', 'Marko Mirni', HOSTILE, FOREIGN]) await is(page, name, 'in');
  await is(page, 'Zala Zasedena', 'busy');
  const place = await rect(page, 'Marko Mirni').boundingBox();

  // One control: the state changes with the switch's word, not with the press.
  await rect(page, 'Marko Mirni').getByRole('button', { name: 'Utišaj: Marko Mirni' }).click();
  await is(page, 'Marko Mirni', 'muted');
  await page.locator('[data-say]').getByText('Marko Mirni: Mikrofon utišan').waitFor({ state: 'attached' });
  await rect(page, 'Marko Mirni').getByRole('button', { name: 'Vključi mikrofon: Marko Mirni' }).click();
  await is(page, 'Marko Mirni', 'in');
  // Everybody but the convener.
  await page.getByRole('button', { name: 'Utišaj vse' }).click();
  for (const name of ['Marko Mirni', HOSTILE, FOREIGN]) await is(page, name, 'muted');
  await is(page, 'Ana Novak', 'in');
  assert.equal(await page.locator('[data-tool=mute]').getAttribute('aria-pressed'), 'true');
  await page.getByRole('button', { name: 'Vključi mikrofone' }).click();
  await is(page, 'Marko Mirni', 'in');
  // Lock and unlock.
  await page.getByRole('button', { name: 'Zakleni' }).click();
  await page.locator('.stage').getByText('zaklenjeno').waitFor();
  await page.getByRole('button', { name: 'Odkleni' }).click();
  await page.locator('.stage').getByText('zaklenjeno').waitFor({ state: 'detached' });
  // The missing one at another number, from her own menu; somebody new; somebody out.
  await rect(page, 'Zala Zasedena').getByRole('button', { name: 'Več' }).click();
  await page.locator('.menu').getByRole('button', { name: 'Pokliči na drugo številko' }).click();
  await page.getByRole('dialog').getByLabel('Številka').fill('12');
  await page.getByRole('dialog').getByRole('button', { name: 'Pokliči' }).click();
  await page.getByRole('dialog').locator('.error').waitFor();
  await page.getByRole('dialog').getByLabel('Številka').fill(answers[5].replace('+386', '+386 '));
  await page.getByRole('dialog').getByRole('button', { name: 'Pokliči' }).click();
  await page.getByRole('button', { name: 'Pokliči: Pia Pozneje' }).click();
  await is(page, 'Zala Zasedena', 'in');
  await is(page, 'Pia Pozneje', 'in');
  await rect(page, HOSTILE).locator('.rect-main').click();
  await page.locator('.menu').getByRole('button', { name: 'Odstrani iz telekonference' }).click();
  await is(page, HOSTILE, 'left');
  assert.deepEqual(await rect(page, 'Marko Mirni').boundingBox(), place, 'nothing has moved');

  // The end asks once, with the harmless answer first.
  await page.getByRole('button', { name: 'Končaj', exact: true }).click();
  assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Nadaljuj pogovor');
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Končaj', exact: true }).click();
  await page.getByRole('button', { name: 'Končaj za vse' }).click();
  await page.getByRole('heading', { name: 'Telekonferenca je končana' }).waitFor();
  await page.getByRole('link', { name: 'Odpri poročilo' }).click();
  await page.getByRole('heading', { name: 'Preizkus z miško' }).waitFor();
  const table = page.locator('table.stack');
  for (const name of ['Ana Novak', 'Marko Mirni', HOSTILE, FOREIGN, 'Pia Pozneje']) await table.getByText(name, { exact: true }).first().waitFor({ state: 'attached' });
  await table.getByText('Zasedeno').waitFor();
  assert.equal(await page.locator('main img').count(), 0, 'a name is text in the report too');

  if (service.real) await mailShowsNamesAsText(await open(), service, account);

  // The same people once more: two clicks.
  await page.getByRole('link', { name: 'Pregled' }).click();
  await page.getByRole('button', { name: 'Ponovi: Preizkus z miško' }).click();
  await page.getByRole('button', { name: 'Začni telekonferenco' }).waitFor();
  assert.equal(await page.locator('.rect').count(), 7);
}

/** The mail that arrived, as a mail program shows it: no script, no picture, every name as it was typed. */
async function mailShowsNamesAsText(page, service, account) {
  const mail = await until('the report by mail', () => service.mails(account)[0], 30);
  const parts = partsOf(mail);
  const html = parts.find(({ type }) => type.startsWith('text/html')).text;
  const plain = parts.find(({ type }) => type.startsWith('text/plain')).text;
  await page.setContent(html);
  for (const name of [HOSTILE, FOREIGN]) {
    assert.ok(plain.includes(name), `${name} in the plain mail`);
    await page.getByText(name).first().waitFor();
  }
  assert.equal(await page.locator('img[src="x"], script').count(), 0, 'a name is text in the mail too');
  assert.equal(service.mails(account).length, 1, 'one mail');
  await page.close();
}

export async function mainJobByKeyboard({ open, service, account }) {
  const api = await client(service, account);
  const { answers, busy } = service.numbers;
  await fill(api, { 'Tina Tipka': answers[0], 'Zlatko Zaseden': busy, 'Nova Oseba': answers[1] });
  const page = await open();
  const press = (...keys) => keys.reduce((before, key) => before.then(() => page.keyboard.press(key)), Promise.resolve());
  const focus = () => page.evaluate(() => document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.textContent?.trim() ?? '');
  const tabTo = async (what) => {
    for (let n = 0; n < 60; n += 1) {
      await press('Tab');
      if (what.test(await focus())) return;
    }
    throw new Error(`Tab does not reach ${what}`);
  };

  await page.goto(service.url);
  await page.locator('.sign-in').waitFor();
  for (let n = 0; n < 6 && (await page.evaluate(() => document.activeElement?.getAttribute('autocomplete'))) !== 'username'; n += 1) await press('Tab');
  await page.keyboard.type(account);
  await press('Tab');
  await page.keyboard.type(PASSWORD);
  await press('Enter');
  await page.getByText('Tina Tipka').first().waitFor();

  // The skip link comes first; F6 goes to the directory; Enter adds the first hit.
  await page.evaluate(() => document.activeElement?.blur());
  await press('Tab');
  assert.match(await focus(), /Preskoči/);
  await press('F6');
  await page.keyboard.type('tina');
  await press('Enter');
  await rect(page, 'Tina Tipka').waitFor();
  await press('Escape');
  await page.keyboard.type('zase');
  await press('Enter');
  await rect(page, 'Zlatko Zaseden').waitFor();
  await press('Escape', 'Escape');
  await tabTo(/Začni telekonferenco/);
  await press('Enter');
  await is(page, 'Tina Tipka', 'in');
  await is(page, 'Zlatko Zaseden', 'busy');

  // Rectangles are one stop; arrows move; letters act on the one that has the focus, and it keeps it.
  await press('F6');
  for (let n = 0; n < 3 && !(await page.evaluate(() => document.activeElement?.classList.contains('rect-main'))); n += 1) await press('F6');
  await press('Home', 'ArrowRight');
  assert.match(await focus(), /^Tina Tipka/);
  await press('m');
  await is(page, 'Tina Tipka', 'muted');
  assert.match(await focus(), /^Tina Tipka/);
  await press('m');
  await is(page, 'Tina Tipka', 'in');
  await press('Shift+M');
  await is(page, 'Tina Tipka', 'muted');
  await press('Shift+M');
  await is(page, 'Tina Tipka', 'in');
  await press('ArrowRight', 'k');
  await until('a second attempt', async () => (await rect(page, 'Zlatko Zaseden').innerText()).includes('2 poskusa'));
  // The menu opens with Enter, closes with Esc, and the focus comes back.
  await press('ArrowLeft', 'Enter');
  await page.locator('.menu').waitFor();
  await press('Escape');
  await page.locator('.menu').waitFor({ state: 'detached' });
  assert.match(await focus(), /^Tina Tipka/);
  // Somebody more: search, Enter.
  await press('/');
  await page.keyboard.type('nova');
  await press('Enter');
  await is(page, 'Nova Oseba', 'in');
  await press('Escape', 'Escape');
  await press('End', 'Delete');
  await is(page, 'Nova Oseba', 'left');
  // The toolbar is one stop with arrows inside.
  await page.locator('#controls .btn[tabindex="0"]').focus();
  await press('Home', 'ArrowRight', 'ArrowRight', 'Enter');
  await page.locator('.stage').getByText('zaklenjeno').waitFor();
  await page.evaluate(() => document.querySelector('#main')?.focus());
  await tabTo(/^Končaj/);
  await press('Enter');
  await page.getByRole('dialog').waitFor();
  await press('Tab', 'Enter');
  await page.getByRole('heading', { name: 'Telekonferenca je končana' }).waitFor();
}

export async function twoWindowsSeeOneState({ open, service, account }) {
  const api = await client(service, account);
  const { answers } = service.numbers;
  const made = await fill(api, { 'Bine Oba': answers[0], 'Cene Oba': answers[1] });
  const planned = await api('POST', '/conferences', { title: 'Dve okni', participants: Object.values(made).map(({ id }) => ({ contact_id: id })) });
  const [one, other] = [await open(), await open()];
  await other.addInitScript(() => localStorage.setItem('sklic.language', 'en'));
  await signIn(one, service.url, account, PASSWORD);
  await signIn(other, service.url, account, PASSWORD);
  await one.goto(`${service.url}/conferences/${planned.id}`);
  await other.goto(`${service.url}/conferences/${planned.id}`);
  // Planning, too, is seen in both.
  await one.getByLabel('Ni v imeniku?').fill(answers[2]);
  await one.locator('.dir-foot').getByRole('button', { name: 'Dodaj' }).click();
  await until('the typed number in the other window', async () => (await other.locator('.rect').count()) === 4);
  await one.getByRole('button', { name: 'Začni telekonferenco' }).click();
  await is(other, 'Bine Oba', 'in');
  await other.getByRole('button', { name: 'Mute: Bine Oba' }).click();
  await is(one, 'Bine Oba', 'muted');
  await one.getByRole('button', { name: 'Utišaj vse' }).click();
  await is(other, 'Cene Oba', 'muted');
  const states = (page) => page.locator('.rect').evaluateAll((list) => list.map((rectangle) => [rectangle.dataset.id, rectangle.dataset.state.replace('talking', 'in')]));
  await until('the same states', async () => JSON.stringify(await states(one)) === JSON.stringify(await states(other)));
  // Whoever comes to the front door is taken to the conference that runs.
  await other.goto(service.url);
  await other.waitForURL(`**/conferences/${planned.id}`);
  await api('POST', `/conferences/${planned.id}/end`);
  await one.getByRole('heading', { name: 'Telekonferenca je končana' }).waitFor();
  await other.getByRole('heading', { name: 'The conference has ended' }).waitFor();
}

export async function convenerNotReached({ open, service, account }) {
  const api = await client(service, account);
  await api('PATCH', '/me', { phone: '+38659900486' });
  await fill(api, { 'Nihče Poklican': '+38659900141' });
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  await page.getByRole('button', { name: 'Dodaj telekonferenci: Nihče Poklican' }).click();
  await page.getByRole('button', { name: 'Začni telekonferenco' }).click();
  await page.getByRole('heading', { name: 'Telekonferenca se ni začela' }).waitFor();
  await page.getByText('Vaša številka je bila zasedena, zato nismo poklicali nikogar.').waitFor();
  await is(page, 'Nihče Poklican', 'not_called');
  // Another telephone, and at once again.
  await page.getByRole('button', { name: 'Drug telefon' }).click();
  await page.getByRole('dialog').getByLabel('Številka').fill('+386 599 00142');
  await page.getByRole('dialog').getByRole('button', { name: 'Pokliči me znova' }).click();
  await is(page, 'Nihče Poklican', 'in');
  await page.getByRole('button', { name: 'Končaj', exact: true }).click();
  await page.getByRole('button', { name: 'Končaj za vse' }).click();
  await page.getByRole('heading', { name: 'Telekonferenca je končana' }).waitFor();
}

/** Runs in the page before all else: when the directory is first painted, and how far things jump until then and after. */
function watchPaints() {
  globalThis.paints = { useful: 0, shift: 0 };
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.paints.shift += entry.value;
  }).observe({ type: 'layout-shift', buffered: true });
  const look = () => {
    // The frame after the one in which the first person is there.
    if (document.querySelector('.dir-row')) requestAnimationFrame(() => (globalThis.paints.useful = performance.now()));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}

export async function twoHundredPeopleStayInPlace({ open, service, account }) {
  const api = await client(service, account);
  const lines = Array.from({ length: 199 }, (_, at) => `Oseba ${String(at + 1).padStart(3, '0')};+386599${at % 20 === 7 ? '10486' : `1${String(at + 2000)}`.slice(-5)};;`);
  await api('POST', '/contacts/import', `name;phone;email;note\n${lines.join('\n')}\n`);
  const page = await open({ viewport: { width: 1440, height: 900 } });
  await page.addInitScript(watchPaints);
  await signIn(page, service.url, account, PASSWORD);
  // The first useful paint, with this directory. Times are told and not judged: the machine does other things too.
  const useful = [];
  for (let n = 0; n < 3; n += 1) {
    await page.reload();
    await page.locator('.dir-row').first().waitFor();
    const seen = await until('the page at rest', () => page.evaluate(() => (globalThis.paints.useful && document.readyState === 'complete' ? globalThis.paints : undefined)));
    useful.push(Math.round(seen.useful));
    assert.ok(seen.shift < 0.01, `the page jumps while it loads: ${seen.shift}`);
  }
  console.log(`first useful paint with 200 people in the directory: ${useful.join(', ')} ms`);
  const { contacts } = await api('GET', '/contacts?limit=1000');
  const planned = await api('POST', '/conferences', { title: 'Dvesto', participants: contacts.map(({ id }) => ({ contact_id: id })) });
  await page.goto(`${service.url}/conferences/${planned.id}`);
  await page.getByRole('button', { name: 'Začni telekonferenco' }).click();
  const inside = page.locator('[data-filter=in] b');
  await until('the convener is in', async () => Number(await inside.innerText()) >= 1, 40);
  // What moves after the page has become the running one, and how long the browser was busy at a stretch.
  await page.evaluate(() => {
    globalThis.seen = { shift: 0, longest: 0, moved: [] };
    new PerformanceObserver((list) =>
      list.getEntries().forEach((entry) => {
        globalThis.seen.shift += entry.value;
        globalThis.seen.moved.push(`${entry.value.toFixed(4)} ${entry.sources.map(({ node }) => node?.className ?? node?.nodeName)}`);
      }),
    ).observe({ type: 'layout-shift' });
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => (globalThis.seen.longest = Math.max(globalThis.seen.longest, entry.duration)))).observe({ type: 'longtask' });
  });
  await until('190 people in', async () => Number(await inside.innerText()) >= 189, 40);
  assert.equal(await page.locator('.rect').count(), 200);
  await page.getByRole('button', { name: 'Utišaj vse' }).click();
  await until('all muted', async () => Number(await page.locator('[data-filter=muted] b').innerText()) >= 188, 30);
  const seen = await page.evaluate(() => globalThis.seen);
  console.log(`200 rectangles: the page was busy for at most ${Math.round(seen.longest)} ms at a stretch, layout shift ${seen.shift.toFixed(4)}`);
  assert.ok(seen.shift < 0.05, `rectangles move: ${seen.shift}: ${seen.moved.join('; ')}`);
  // A filter keeps its set; find narrows it.
  await page.locator('[data-filter=bad]').click();
  assert.equal(await page.locator('.rect').count(), 10);
  await page.locator('[data-filter=all]').click();
  await page.getByLabel('Najdi v telekonferenci').fill('oseba 042');
  assert.equal(await page.locator('.rect').count(), 1);
  await api('POST', `/conferences/${planned.id}/end`);
  await page.getByRole('heading', { name: 'Telekonferenca je končana' }).waitFor();
}

/** On the lab's real switch only: a caller who is let in, one who is sent away, and keys on the caller's own phone. */
export async function callersAtTheDoor({ open, service, account }) {
  const api = await client(service, account);
  const { code } = await api('POST', '/contacts', { name: HOSTILE, phone: service.numbers.caller });
  await fill(api, { [FOREIGN]: service.numbers.answers[0] });
  const callIn = () => service.caller(`dial 013099396 ${code}#`);
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  await page.getByRole('button', { name: `Dodaj telekonferenci: ${FOREIGN}` }).click();
  await page.getByRole('button', { name: 'Začni telekonferenco' }).click();
  await is(page, FOREIGN, 'in');
  await page.getByRole('button', { name: 'Zakleni' }).click();
  await page.locator('.stage').getByText('zaklenjeno').waitFor();

  // Who comes to a locked conference waits at the door, and is let in.
  callIn();
  await is(page, HOSTILE, 'waiting');
  await rect(page, HOSTILE).getByRole('button', { name: /^Sprejmi/ }).click();
  // His phone speaks: who is heard is past all announcements, and his keys are listened to.
  await rect(page, HOSTILE).and(page.locator('[data-state=talking]')).waitFor();

  // Closed by its owner: seen, and offered nowhere to be opened, neither on the rectangle nor in the menu nor by key nor for all at once.
  service.caller('key *6');
  await is(page, HOSTILE, 'self_muted');
  assert.equal(await rect(page, HOSTILE).getByRole('button', { name: /^Vključi/ }).count(), 0);
  await rect(page, HOSTILE).locator('.rect-main').click();
  await page.locator('.menu').getByText('Vključi ga lahko le oseba sama.').waitFor();
  assert.equal(await page.locator('.menu').getByRole('button', { name: /^Vključi/ }).count(), 0);
  await page.keyboard.press('Escape');
  await page.keyboard.press('m');
  await page.getByRole('button', { name: 'Utišaj vse' }).click();
  await is(page, FOREIGN, 'muted');
  await page.getByRole('button', { name: 'Vključi mikrofone' }).click();
  await is(page, FOREIGN, 'in');
  await is(page, HOSTILE, 'self_muted');
  service.caller('key *6');
  await is(page, HOSTILE, 'in');

  // A hand: raised by phone, lowered by the convener, without touching the microphone.
  service.caller('key *5');
  await is(page, HOSTILE, 'hand_raised');
  await rect(page, HOSTILE).getByRole('button', { name: /^Spusti roko/ }).click();
  await is(page, HOSTILE, 'in');
  // He hangs up and comes again; this time he is sent away.
  service.caller('bye');
  await is(page, HOSTILE, 'left');
  callIn();
  await is(page, HOSTILE, 'waiting');
  await rect(page, HOSTILE).locator('.rect-main').click();
  await page.locator('.menu').getByRole('button', { name: 'Zavrni klic' }).click();
  await rect(page, HOSTILE).and(page.locator('[data-tone=idle], [data-tone=fail]')).waitFor();
  assert.equal(await page.locator('main img').count(), 0, 'a name is text');
  await page.getByRole('button', { name: 'Končaj', exact: true }).click();
  await page.getByRole('button', { name: 'Končaj za vse' }).click();
  await page.getByRole('heading', { name: 'Telekonferenca je končana' }).waitFor();
}
