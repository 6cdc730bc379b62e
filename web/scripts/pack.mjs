// Makes the built console smaller: without methods that nobody calls, with shorter names for what only the console itself names, and by a second minifier.
// The words of the page are data with names (`renewCodeSure`) that only this script asks for; they are renamed in the script and in the data alike.
// Left alone is every name that something else knows or that is put together at run time: the API's, the browser's (terser knows those),
// those in quotes, groups that are open, and those that a browser keeps from one build to the next.
// Both kinds of files are named anew by what they hold, because a browser keeps them for ever.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { minify } from 'terser';
import { parseAst } from 'vite';

const dist = new URL('../dist/', import.meta.url);
const assets = new URL('assets/', dist);
const read = (url) => readFileSync(url, 'utf8');
const named = (name, text) => name.replace(/-[\w-]{8}(?=\.\w+$)/, `-${createHash('sha256').update(text).digest('base64url').slice(0, 8)}`);
const files = (ending) => readdirSync(assets).filter((file) => file.endsWith(ending));
const source = new URL('../src/', import.meta.url);
const sources = (ending) => readdirSync(source, { recursive: true }).filter((file) => file.endsWith(ending)).map((file) => read(new URL(file, source)));
/** Groups of words that are asked for word by word; the words of other groups are found by a state or a code. */
const CLOSED = new Set(['messages', 'operator', 'plans', 'say']);
/** What a browser keeps of a draft (`draft.svelte.ts`, `plan.ts`): the next build has to understand it. */
const STORED = 'account title people form key contact_id name phone email date time zone length every ends count until mode channels reminders agenda'.split(' ');
/** Names by which Svelte's runtime calls its own things, and nothing else does. */
const RUNTIME = 'nodes deps reactions teardown outrogroups ensure schedule previous ctx oncommit linked started add_dirty_reaction transfer_reactions register_created_effect'.split(' ');
/** Methods that are called without being named. */
const UNNAMED = new Set(['constructor', 'toString', 'toJSON', 'valueOf', 'then', 'handleEvent']);

/** The script without the methods whose name is nowhere but where they are written: minifiers leave those of Svelte's classes, not knowing who might call them. */
function withoutIdle(code) {
  const seen = new Map();
  const methods = [];
  let classes = 0;
  (function walk(node, inside) {
    if (Array.isArray(node)) for (const one of node) walk(one, inside);
    if (!node || typeof node !== 'object' || Array.isArray(node)) return;
    const place = node.type === 'ClassBody' ? (classes += 1) : inside;
    /** A private name is one of its class only. */
    const nameOf = ({ type, name, value }) => (type === 'PrivateIdentifier' ? `${place}#${name}` : type === 'Identifier' ? name : type === 'Literal' ? value : type === 'TemplateElement' ? value.cooked : undefined);
    const name = nameOf(node);
    if (name !== undefined) seen.set(name, (seen.get(name) ?? 0) + 1);
    const isMethod = node.type === 'MethodDefinition' || (node.type === 'PropertyDefinition' && node.value?.type === 'ArrowFunctionExpression');
    if (isMethod && !node.computed && !UNNAMED.has(node.key.name)) methods.push({ ...node, name: nameOf(node.key) });
    for (const part of Object.values(node)) walk(part, place);
  })(parseAst(code), 0);
  const idle = methods.filter(({ name }) => seen.get(name) === 1);
  return idle.length === 0 ? code : withoutIdle(idle.reduceRight((text, { start, end }) => text.slice(0, start) + text.slice(end), code));
}

const [script, ...others] = files('.js');
if (others.length > 0) throw new Error(`one script was expected, there is also ${others}`);
const code = withoutIdle(read(new URL(script, assets)));
const shape = JSON.parse(read(new URL('../src/i18n/sl.json', import.meta.url)));
const api = read(new URL('../openapi.json', import.meta.url));
const isGroup = (value) => typeof value === 'object' && !Array.isArray(value);
/** The names in the groups that stay as they are: what is called so elsewhere, too, keeps its name. */
const kept = new Set(STORED);
(function keep(group, closed) {
  for (const [key, value] of Object.entries(group)) {
    if (!closed) kept.add(key);
    if (isGroup(value)) keep(value, closed && CLOSED.has(key));
  }
})(shape, true);
const words = Object.entries(shape).flatMap(([key, value]) => [key, ...(CLOSED.has(key) && isGroup(value) ? Object.keys(value) : [])]);
/** The console's own requests: methods of one object, `api`. */
const requests = [...read(new URL('../src/api/client.ts', import.meta.url)).matchAll(/^ {2,4}(?:async )?(\w+)(?::|\()/gm)].map(([, name]) => name);
/** What components take, and the members of the console's own classes. */
const parts = sources('.svelte').flatMap((text) => [...text.matchAll(/(?:const|let) \{([^}]*)\}.* = \$props\(\)/g)].flatMap(([, list]) => list.split(',').map((one) => /\w+/.exec(one)?.[0] ?? '')));
const members = sources('.ts').filter((text) => /^(export )?class /m.test(text)).flatMap((text) => [...text.matchAll(/^(?: {2}(?:readonly |async )?| {4}readonly )(\w+)(?= = |\(|\??: )/gm)].map(([, name]) => name));
const isKnownElsewhere = (name) => api.includes(`"${name}"`) || new RegExp(`["'\`]${name}["'\`]`).test(code);
const names = [...new Set([...words, ...requests, ...parts, ...members, ...RUNTIME])].filter((name) => !kept.has(name) && !isKnownElsewhere(name));

const nameCache = {};
const done = await minify(code, {
  module: true,
  ecma: 2020,
  compress: { passes: 3, hoist_funs: true, pure_getters: true, unsafe_arrows: true, unsafe_methods: true },
  mangle: { properties: { regex: new RegExp(`^(${names.join('|')})$`), keep_quoted: 'strict' } },
  format: { comments: false },
  nameCache,
});
const short = Object.fromEntries(Object.entries(nameCache.props?.props ?? {}).map(([name, to]) => [name.slice(1), to]));
const renamed = (group, closed) => Object.fromEntries(Object.entries(group).map(([key, value]) => [(closed && short[key]) || key, isGroup(value) ? renamed(value, closed && CLOSED.has(key)) : value]));

let packed = done.code;
for (const file of files('.json')) {
  const text = JSON.stringify(renamed(JSON.parse(read(new URL(file, assets))), true));
  const name = named(file, text);
  if (!packed.includes(file)) throw new Error(`${script} does not name ${file}`);
  packed = packed.replaceAll(file, name);
  rmSync(new URL(file, assets));
  writeFileSync(new URL(name, assets), text);
}
const name = named(script, packed);
rmSync(new URL(script, assets));
writeFileSync(new URL(name, assets), packed);
const page = new URL('index.html', dist);
writeFileSync(page, read(page).replaceAll(script, name));
console.log(`${Object.keys(short).length} names are shorter`);
