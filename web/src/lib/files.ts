// Directories as files: CSV whose columns are called by many names, put into the form that the service reads. vCards it reads by itself.
import type { Contact } from '../api/types';

/** One person as read from a file. */
export interface Read { line: number; name: string; phone: string; email: string; note: string }

const quote = (value: string): string => (/[";\r\n,]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
const row = (values: string[]): string => values.map(quote).join(';');

/** The directory as CSV, in the form that the import reads. */
export const csvOf = (people: Pick<Contact, 'name' | 'phone' | 'email' | 'note'>[]): string =>
  [row(['name', 'phone', 'email', 'note']), ...people.map((one) => row([one.name, one.phone, one.email ?? '', one.note ?? '']))].join('\r\n') + '\r\n';

/** Splits CSV into rows with the line on which each begins (RFC 4180; the delimiter is the one that the head line has more of). */
export function rowsOf(text: string): { line: number; values: string[] }[] {
  const head = text.split(/\r?\n/, 1)[0] ?? '';
  const counts = [';', ',', '\t'].map((sign) => ({ sign, count: head.split(sign).length }));
  const delimiter = counts.reduce((best, one) => (one.count > best.count ? one : best)).sign;
  const rows: { line: number; values: string[] }[] = [];
  let values: string[] = [];
  let value = '';
  let quoted = false;
  let line = 1;
  let began = 1;
  const endRow = (): void => {
    values.push(value);
    value = '';
    if (values.some((one) => one.trim() !== '')) rows.push({ line: began, values });
    values = [];
  };
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    if (sign === '\n') line += 1;
    if (quoted) {
      if (sign === '\r' && text[at + 1] === '\n') continue;
      if (sign !== '"') value += sign;
      else if (text[at + 1] === '"') {
        value += '"';
        at += 1;
      } else quoted = false;
    } else if (sign === '"' && value === '') quoted = true;
    else if (sign === delimiter) {
      values.push(value);
      value = '';
    } else if (sign === '\n') {
      endRow();
      began = line;
    } else if (sign !== '\r') value += sign;
  }
  endRow();
  return rows;
}

const oneLine = (text: string): string => text.replace(/\s+/g, ' ').trim();

const COLUMNS: [keyof Omit<Read, 'line'>, RegExp][] = [
  ['email', /mail|pošta|e-naslov/i],
  ['phone', /phone|tel|številka|stevilka|number|gsm|mobi/i],
  ['note', /note|opomb|comment/i],
  ['name', /name|ime|oseba|priimek/i],
];

/** People in CSV; without a head line that is understood the columns are name, number, e-mail, note. */
export function readCsv(text: string): Read[] {
  const rows = rowsOf(text.replace(/^\uFEFF/, ''));
  const head = rows[0]?.values.map((title) => COLUMNS.find(([, words]) => words.test(title))?.[0]) ?? [];
  const known = head.includes('name') || head.includes('phone');
  const columns = known ? head : (['name', 'phone', 'email', 'note'] as const);
  return rows.slice(known ? 1 : 0).map(({ line, values }) => {
    const read: Read = { line, name: '', phone: '', email: '', note: '' };
    values.forEach((value, at) => {
      const column = columns[at];
      // First and last name in two columns become one.
      if (column) read[column] = column === 'name' ? oneLine(`${read.name} ${value}`) : read[column] || (column === 'note' ? value.trim() : oneLine(value));
    });
    return read;
  });
}
