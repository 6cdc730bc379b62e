// The address book: people, groups, files, and what happens to what is typed when something goes wrong.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { signIn } from './browser.mjs';
import { client, PASSWORD, until } from './service.mjs';

export async function peopleAndGroups({ open, service, account }) {
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  await page.getByText('Imenik je prazen.').waitFor();
  await page.getByRole('button', { name: 'Nova oseba' }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Ime', { exact: true }).fill('Živa Črnko');
  await dialog.getByLabel('Številka').fill('ena dva tri');
  await dialog.getByRole('button', { name: 'Shrani' }).click();
  // The error stands beside its field, what was typed stays.
  await dialog.locator('.field').filter({ hasText: 'Številka' }).locator('.error').waitFor();
  assert.equal(await dialog.getByLabel('Ime', { exact: true }).inputValue(), 'Živa Črnko');
  await dialog.getByLabel('Številka').fill('+386 599 00201');
  await dialog.getByLabel('E-naslov').fill('ziva@example.test');
  await dialog.getByRole('button', { name: 'Shrani' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Uredi: Živa Črnko/ }).waitFor();
  // Without accents, in any case, and by number.
  for (const typed of ['ziva crn', 'ŽIVA', '599 00201', '059900201'.slice(1)]) {
    await page.locator('#search').fill(typed);
    assert.equal(await page.locator('.dir-row').count(), 1, typed);
  }
  await page.locator('#search').fill('nihče tak');
  await page.getByText('Ni zadetkov za »nihče tak«.').waitFor();
  await page.locator('#search').fill('');
  // Her code for calling in, and another one; nothing is asked for twice by chance.
  await page.getByRole('button', { name: /^Uredi: Živa Črnko/ }).click();
  const code = dialog.locator('output');
  const before = await code.innerText();
  assert.match(before, /^[\d ]{7,}$/);
  await dialog.getByRole('button', { name: 'Nova številka' }).click();
  await dialog.getByRole('button', { name: 'Stara ne bo več veljala. Res?' }).click();
  await until('another code', async () => (await code.innerText()) !== before);
  await page.keyboard.press('Escape');
  // A group; its name is taken the second time.
  for (const expected of ['detached', 'visible']) {
    await page.getByRole('button', { name: 'Uvoz, izvoz, skupine' }).click();
    await page.getByRole('button', { name: 'Nova skupina' }).click();
    await dialog.getByLabel('Ime skupine').fill('Uprava');
    await dialog.getByLabel('Živa Črnko').check();
    await dialog.getByRole('button', { name: 'Shrani' }).click();
    if (expected === 'detached') await dialog.waitFor({ state: 'detached' });
    else await dialog.getByRole('alert').waitFor();
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Dodaj vse: Uprava, 1 udeleženec/ }).click();
  await page.locator('.rect').nth(1).waitFor();
  // The draft outlives the page.
  await page.getByLabel('Naslov telekonference').fill('Osnutek');
  await page.reload();
  await page.locator('.rect').nth(1).waitFor();
  assert.equal(await page.getByLabel('Naslov telekonference').inputValue(), 'Osnutek');
  // Deleting asks once.
  await page.getByRole('button', { name: /^Uredi: Živa Črnko/ }).first().click();
  await dialog.getByRole('button', { name: 'Izbriši' }).click();
  await dialog.getByRole('button', { name: 'Res izbrišem?' }).click();
  await page.getByText('Imenik je prazen.').waitFor();
}

export async function filesInAndOut({ open, service, account }) {
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  const dialog = page.getByRole('dialog');
  const choose = async (name, text) => {
    await page.getByRole('button', { name: 'Uvoz, izvoz, skupine' }).click();
    await page.locator('.dir-menu').getByRole('button', { name: 'Uvozi iz datoteke' }).click();
    await dialog.locator('input[type=file]').setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });
  };
  await choose('ljudje.csv', 'Ime in priimek;Telefon;E-pošta\nŽiga Ena;+386 599 00211;ziga@example.test\n;+386 599 00212;\n"Dva; vejici";abc;\n"Tri\nvrstice";+386 599 00213;\n');
  await dialog.getByText('Z napako:').waitFor();
  const rows = await dialog.locator('tbody tr').allInnerTexts();
  assert.equal(rows.length, 2, rows.join('\n'));
  assert.match(rows[0], /^3\s.*Manjka ime/s);
  assert.match(rows[1], /^4\s.*Dva; vejici.*abc.*ni veljavna/s);
  await dialog.getByRole('button', { name: 'Uvozi 2 osebi' }).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('button', { name: /^Uredi: Žiga Ena/ }).waitFor();
  await page.getByRole('button', { name: /^Uredi: Tri vrstice/ }).waitFor();
  // vCard, with an entry that is there already.
  const card = (name, phone) => `BEGIN:VCARD\r\nVERSION:3.0\r\nFN:${name}\r\nTEL;TYPE=CELL:${phone}\r\nEND:VCARD\r\n`;
  await choose('ljudje.vcf', card('Žiga Ena', '+386 599 00211') + card('Čarna Dva', '+386 599 00214') + card('Slaba', 'abc'));
  await dialog.getByText('Ta številka je že v imeniku.').waitFor();
  assert.deepEqual((await dialog.locator('tbody tr').allInnerTexts()).map((row) => row.split(/\s/)[0]), ['1', '14'], 'the lines of the file');
  await dialog.getByText('TEL;TYPE=CELL:abc').waitFor();
  await dialog.getByRole('button', { name: 'Uvozi 1 osebo' }).click();
  await page.getByRole('button', { name: /^Uredi: Čarna Dva/ }).waitFor();
  // What is no UTF-8 is not guessed.
  await page.getByRole('button', { name: 'Uvoz, izvoz, skupine' }).click();
  await page.getByRole('button', { name: 'Uvozi iz datoteke' }).click();
  await dialog.locator('input[type=file]').setInputFiles({ name: 'stara.csv', mimeType: 'text/csv', buffer: Buffer.from([0x69, 0x6d, 0x65, 0xe8, 0x0a]) });
  await dialog.getByText('ni zapisana kot UTF-8').waitFor();
  await page.keyboard.press('Escape');
  // Out, and what comes out goes in again.
  await page.getByRole('button', { name: 'Uvoz, izvoz, skupine' }).click();
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Izvozi za preglednico' }).click()]);
  const text = await readFile(await file.path(), 'utf8');
  assert.equal(text, '\uFEFFname;phone;email;note\r\nTri vrstice;+386 599 00213;;\r\nČarna Dva;+386 599 00214;;\r\nŽiga Ena;+386 599 00211;ziga@example.test;\r\n');
  const api = await client(service, account);
  assert.equal((await api('POST', '/contacts/import?check_only=true', text)).imported, 3);
}

export async function expiredSignInKeepsWhatWasTyped({ open, service, account }) {
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  await page.getByRole('button', { name: 'Nova oseba' }).first().click();
  const form = page.getByRole('dialog', { name: 'Nova oseba' });
  await form.getByLabel('Ime', { exact: true }).fill('Ostane Vpisano');
  await form.getByLabel('Številka').fill('+386 599 00221');
  const api = await client(service, account);
  await api('DELETE', '/sessions');
  await form.getByRole('button', { name: 'Shrani' }).click();
  const again = page.getByRole('dialog', { name: 'Prijava je potekla' });
  await again.waitFor();
  await page.keyboard.press('Escape');
  assert.ok(await again.isVisible(), 'it cannot be put aside');
  await again.getByLabel('Geslo', { exact: true }).fill(PASSWORD);
  await page.keyboard.press('Enter');
  await again.waitFor({ state: 'detached' });
  assert.equal(await form.getByLabel('Ime', { exact: true }).inputValue(), 'Ostane Vpisano');
  await form.getByRole('button', { name: 'Shrani' }).click();
  await page.getByRole('button', { name: /^Uredi: Ostane Vpisano/ }).waitFor();
}

export async function accountAndItsForms({ open, service, account }) {
  const page = await open();
  await signIn(page, service.url, account, PASSWORD);
  // The account: wrong things beside their fields, right ones saved.
  await page.getByRole('link', { name: /račun/i }).click();
  const data = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Vaši podatki' }) });
  await data.getByLabel('Vaš telefon').fill('12');
  await data.getByLabel('E-naslov').fill('ni naslov');
  await data.getByRole('button', { name: 'Shrani' }).click();
  await until('two errors', async () => (await data.locator('.error').count()) === 2);
  await data.getByLabel('Vaš telefon').fill('+386 599 00232');
  await data.getByLabel('E-naslov').fill('nova@example.test');
  await data.getByRole('button', { name: 'Shrani' }).click();
  await data.getByText('Shranjeno.').waitFor();
  const api = await client(service, account);
  assert.equal((await api('GET', '/me')).phone, '+38659900232');
  const change = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Sprememba gesla' }) });
  await change.getByLabel('Sedanje geslo').fill('narobe');
  await change.getByLabel('Novo geslo').fill('še daljše geslo');
  await change.getByRole('button', { name: 'Sprememba gesla' }).click();
  await change.getByText('To ni sedanje geslo.').waitFor();
  await change.getByLabel('Sedanje geslo').fill(PASSWORD);
  await change.getByRole('button', { name: 'Sprememba gesla' }).click();
  await change.getByText('Geslo je spremenjeno.').waitFor();
  await page.getByText('ta brskalnik').waitFor();
  // The PIN: what is too easy is told beside its field.
  const pin = page.locator('section').filter({ has: page.getByRole('heading', { name: 'PIN' }) });
  await pin.getByText('PIN ni nastavljen').waitFor();
  await pin.getByLabel('Nov PIN').fill('1234');
  await pin.getByLabel('Geslo', { exact: true }).fill('še daljše geslo');
  await pin.getByRole('button', { name: 'Nastavi PIN' }).click();
  await pin.getByText('PIN ima od 4 do 10 števk, ki niso vse enake').waitFor();
  await pin.getByLabel('Nov PIN').fill('480913');
  await pin.getByRole('button', { name: 'Nastavi PIN' }).click();
  await pin.getByText('PIN je nastavljen.', { exact: true }).waitFor();
  await pin.getByText('Z uporabniško številko in PIN-om začnete').waitFor();
  const defaults = page.locator('section').filter({ has: page.getByRole('heading', { name: 'Privzete nastavitve' }) });
  await defaults.getByLabel('Koga je dovoljeno klicati').selectOption('directory');
  await defaults.getByRole('button', { name: 'Shrani' }).click();
  await defaults.getByText('Shranjeno.').waitFor();
  // The language is the account's; the whole page follows.
  await page.getByRole('button', { name: 'EN: English' }).click();
  await page.getByRole('heading', { name: 'Account' }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
  // Out everywhere: the other browser too.
  const other = await open();
  await signIn(other, service.url, account, 'še daljše geslo');
  await page.getByRole('button', { name: 'Log out everywhere, here too' }).click();
  await page.getByRole('heading', { name: 'Log in' }).waitFor();
  await other.goto(`${service.url}/account`);
  await other.getByRole('heading', { name: 'Prijava' }).waitFor();
}
