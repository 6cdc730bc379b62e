// Writes the type of the words from sl.json, the shape that every language fills, and fails when a language lacks a word, has one too many,
// puts other things into a sentence, or does not give as many forms of a count as it has.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const folder = new URL('../src/i18n/', import.meta.url);
const read = (file) => JSON.parse(readFileSync(new URL(file, folder), 'utf8'));
const shape = read('sl.json');
/** Groups whose words are asked for by what the service says, which may be new. */
const OPEN = new Set(['errCodes', 'controlFailed', 'failed', 'reason', 'listState', 'operator.kinds', 'operator.components', 'messages.lacks', 'messages.purposes', 'messages.states']);

const places = (text) => [...new Set([...text.matchAll(/\{(\d+)/g)].map((found) => Number(found[1])))].sort();
const isGroup = (value) => typeof value === 'object' && !Array.isArray(value);

function type(value, path) {
  if (OPEN.has(path)) return 'Record<string, string>';
  if (Array.isArray(value)) return 'string[]';
  if (isGroup(value)) return `{\n${Object.entries(value).map(([key, one]) => `${JSON.stringify(key)}: ${type(one, path ? `${path}.${key}` : key)};`).join('\n')}\n}`;
  const count = places(value).length;
  return count === 0 ? 'string' : `(${Array.from({ length: count }, (_, at) => `_${at}: string | number`).join(', ')}) => string`;
}

const faults = [];
function compare(language, forms, wanted, found, path) {
  if (isGroup(wanted)) {
    for (const key of Object.keys(wanted)) if (found?.[key] === undefined) faults.push(`${language}: ${path}${key} is missing`);
    for (const key of Object.keys(found ?? {})) if (wanted[key] === undefined) faults.push(`${language}: ${path}${key} is not in sl.json`);
    for (const key of Object.keys(wanted)) if (found?.[key] !== undefined) compare(language, forms, wanted[key], found[key], `${path}${key}.`);
    return;
  }
  if (Array.isArray(wanted)) return;
  if (String(places(wanted)) !== String(places(found))) faults.push(`${language}: ${path} has the places ${places(found)}, sl.json ${places(wanted)}`);
  for (const [whole, counted] of found.matchAll(/\{\d+\|([^}]*)\}/g)) if (counted.split('|').length !== forms) faults.push(`${language}: ${path} ${whole} should have ${forms} forms`);
}

for (const file of readdirSync(folder).filter((name) => name.endsWith('.json'))) {
  const language = file.slice(0, -'.json'.length);
  compare(language, new Intl.PluralRules(language).resolvedOptions().pluralCategories.length, shape, read(file), '');
}
if (faults.length > 0) {
  console.error(faults.join('\n'));
  process.exit(1);
}
writeFileSync(new URL('messages.d.ts', folder), `// Written by scripts/words.mjs from sl.json.\nexport interface Messages ${type(shape, '')}\n`);
