// The operator's pages, on the service with its simulated switch: for staff, and for nobody else.
import assert from 'node:assert/strict';
import { signIn } from './browser.mjs';
import { HOSTILE } from './mock.mjs';
import { client, PASSWORD, STAFF } from './service.mjs';

export async function staffSeesWhatRuns({ open, service, account }) {
  const api = await client(service, account);
  const [one] = service.numbers.answers;
  const planned = await api('POST', '/conferences', { title: HOSTILE, participants: [{ name: 'Skrivna Oseba', phone: one }] });
  const page = await open();
  await signIn(page, service.url, STAFF, PASSWORD);
  await page.getByRole('link', { name: 'Operater' }).click();
  await page.getByRole('heading', { name: 'Stanje storitve' }).waitFor();
  await page.getByText('odgovarja').waitFor();
  await page.getByText('povezana').waitFor();
  await api('POST', `/conferences/${planned.id}/start`);
  const row = page.locator('section', { has: page.getByRole('heading', { name: 'V teku zdaj' }) }).getByRole('row').filter({ hasText: account });
  await row.getByText('2 od 2').waitFor();
  assert.ok((await row.innerText()).includes(HOSTILE), 'a title is text');
  assert.equal(await page.getByText('Skrivna Oseba').count(), 0, 'who takes part is not the operator’s business');
  // One account's history, by the link, and found again by its number.
  await row.getByRole('link').click();
  await page.getByRole('heading', { name: 'Zgodovina naročnika' }).waitFor();
  await page.locator('tr').filter({ hasText: HOSTILE }).last().getByText('poteka').waitFor();
  await page.getByRole('link', { name: 'Naročniki' }).click();
  await page.getByPlaceholder('Uporabniška številka, ime ali telefon').fill(account);
  await page.locator(`a[href="/operator/accounts/${account}"]`).last().waitFor();
  await api('POST', `/conferences/${planned.id}/end`);
  await row.waitFor({ state: 'detached' });
}

export async function nobodyElseSeesTheOperatorsPages({ open, service, account }) {
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  assert.equal(await page.getByRole('link', { name: 'Operater' }).count(), 0);
  await page.goto(`${service.url}/operator`);
  await page.getByText('Te strani ni.').waitFor();
  const status = await page.evaluate(() => fetch('/api/v1/operator/health').then((answer) => answer.status));
  assert.equal(status, 403);
}
