// Prints how big the built console is, gzipped, and fails when its JavaScript, all files together, is over the limit.
import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMIT = 60_000;
const assets = new URL('../dist/assets/', import.meta.url);
const sum = (ending) =>
  readdirSync(assets)
    .filter((file) => file.endsWith(ending))
    .reduce((total, file) => total + gzipSync(readFileSync(new URL(file, assets)), { level: 9 }).length, 0);

const script = sum('.js');
console.log(`gzipped bytes: ${script} of JavaScript in all (limit ${LIMIT}), ${sum('.css')} of styles, ${sum('.json')} of words in all languages`);
if (script === 0 || script > LIMIT) {
  console.error(`${script} bytes of JavaScript are over the limit`);
  process.exit(1);
}
