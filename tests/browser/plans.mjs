// A series from the convener's side: planned with what is wrong told beside the fields, a date moved, one cancelled, all of it cancelled.
import assert from 'node:assert/strict';
import { signIn } from './browser.mjs';
import { FOREIGN, HOSTILE } from './mock.mjs';
import { client, PASSWORD, until } from './service.mjs';

export async function seriesIsPlannedChangedAndCancelled({ open, service, account }) {
  const api = await client(service, account);
  const { answers } = service.numbers;
  await api('POST', '/contacts', { name: HOSTILE, phone: answers[0], email: 'prva@example.test' });
  await api('POST', '/contacts', { name: FOREIGN, phone: answers[1], email: 'drugi@example.test' });
  await api('POST', '/contacts', { name: 'Brez Pošte', phone: answers[2] });
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  await page.getByRole('button', { name: `Dodaj telekonferenci: ${HOSTILE}` }).click();
  await page.getByRole('link', { name: 'Načrtuj' }).click();
  await page.getByRole('heading', { name: 'Načrtuj telekonferenco' }).waitFor();
  const dates = page.locator('.dates > li');
  const save = page.locator('button[form=plan]');
  // People by name, with the keyboard; somebody whom nobody knows is told so.
  await page.locator('#who').fill('Nihče Takšen');
  await page.keyboard.press('Enter');
  await page.locator('#who-error').getByText('Ni zadetkov').waitFor();
  for (const name of [FOREIGN, 'Brez Pošte']) {
    await page.locator('#who').fill(name);
    await page.keyboard.press('Enter');
    await page.locator('.names').getByText(name).waitFor();
  }
  // A day that is over; then a Thursday every week, three times.
  await page.getByLabel('Datum').fill('2020-01-02');
  await page.locator('.field').filter({ has: page.getByLabel('Datum') }).locator('.error').waitFor();
  const thursday = new Date(Date.now() + (((11 - new Date().getUTCDay()) % 7) + 7) * 86_400_000).toISOString().slice(0, 10);
  await page.getByLabel('Datum').fill(thursday);
  await page.getByLabel('Ura', { exact: true }).fill('10:00');
  await page.getByLabel('Ponavljanje', { exact: true }).selectOption({ label: 'Vsak teden: četrtek' });
  await page.getByLabel('Koliko terminov').fill('3');
  await page.getByLabel('Naslov telekonference').fill('Redni četrtek');
  await page.getByLabel('Ob uri začetka').selectOption('call_convener');
  await page.getByLabel('eno uro prej').check();
  await until('three dates with free places', async () => (await dates.filter({ hasText: 'prostih mest' }).count()) === 3);
  // Who cannot be told is named before, and nothing is planned until that is settled.
  await page.getByText('Brez Pošte: ni e-naslova').waitFor();
  assert.ok(await save.isDisabled());
  // What was typed outlives a look at another page.
  await page.getByRole('link', { name: 'Pregled' }).click();
  await page.getByRole('link', { name: 'Načrtuj' }).click();
  assert.equal(await page.getByLabel('Koliko terminov').inputValue(), '3');
  await page.getByLabel('Načrtuj vseeno').check();
  await save.click();
  await page.getByRole('heading', { name: 'Redni četrtek' }).waitFor();
  await until('three dates that can be moved', async () => (await page.getByRole('button', { name: /^Prestavi: četrtek/ }).count()) === 3);
  const made = (await api('GET', '/plans')).plans[0];
  assert.deepEqual([made.starts, made.repeat, made.start_mode, made.reminders, made.time_zone], [`${thursday}T10:00:00`, { every: 'week', count: 3 }, 'call_convener', [60], 'Europe/Ljubljana']);

  // One date at another time: the past is refused beside its field; then it is a Friday.
  await page.getByRole('button', { name: /^Prestavi/ }).first().click();
  assert.equal(await page.getByRole('dialog').getByLabel('Kdaj').inputValue(), `${thursday}T10:00`);
  await page.getByRole('dialog').getByLabel('Kdaj').fill('2020-01-02T10:00');
  await page.getByRole('dialog').getByRole('button', { name: 'Prestavi' }).click();
  await page.getByRole('dialog').getByText('Čas je že mimo.').waitFor();
  const friday = new Date(Date.parse(thursday) + 86_400_000).toISOString().slice(0, 10);
  await page.getByRole('dialog').getByLabel('Kdaj').fill(`${friday}T11:30`);
  await page.getByRole('dialog').getByRole('button', { name: 'Prestavi' }).click();
  await page.getByRole('link', { name: /^petek.*11:30/ }).waitFor();
  // One date is called off, asked twice.
  await page.getByRole('button', { name: /^Odpovej: četrtek/ }).first().click();
  await page.getByRole('button', { name: /^Res odpovem\?: četrtek/ }).click();
  await until('two dates', async () => (await dates.count()) === 2);
  // The whole series under another name, with one person fewer.
  await page.getByLabel('Naslov telekonference').fill('Redni petek');
  await page.getByRole('button', { name: 'Odstrani: Brez Pošte' }).click();
  await page.getByText('Brez Pošte: ni e-naslova').waitFor({ state: 'detached' });
  await save.click();
  await page.getByRole('heading', { name: 'Redni petek' }).waitFor();
  assert.equal(await page.locator('main img').count(), 0, 'a name is text');

  // In the overview a series is one, with its next date; a date of it knows where it belongs.
  await page.getByRole('link', { name: 'Pregled' }).click();
  await page.getByText('Vsak teden: četrtek · še 1 termin').waitFor();
  await page.getByRole('link', { name: 'Odpri: Redni petek' }).click();
  await page.getByText('Načrtovana za').waitFor();
  await page.getByRole('link', { name: 'Vsi termini' }).click();
  await page.getByRole('button', { name: 'Odpovej vse' }).click();
  await page.getByRole('button', { name: 'Res odpovem?' }).click();
  await page.getByText('Telekonferenc še ni.').waitFor();
  assert.ok((await api('GET', '/plans')).plans[0].cancelled_at);
}
