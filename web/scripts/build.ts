// What `vite.config.ts` does beside the usual: the icons go into the page, and Svelte's runtime loses what this console has no use for.
import type { Plugin } from 'vite';
import { sprite } from '../src/lib/icons.ts';

/** The icons are part of the page, so that they are there with the first rectangle and are no JavaScript. */
export const icons = (): Plugin => ({
  name: 'sklic-icons',
  transformIndexHtml: (html) => html.replace('<div id="app">', `${sprite()}\n    <div id="app">`),
});

/** Where Svelte's runtime asks whether a page came from a server, or is in the way of writing of Svelte 4: here neither is ever so. */
const SWITCHES: [file: string, names: string[]][] = [
  ['flags/index.js', ['async_mode_flag', 'legacy_mode_flag', 'tracing_mode_flag']],
  ['client/dom/hydration.js', ['hydrating']],
];

/** What the console never does (`NEVER` sees to that), and how Svelte's runtime is written for those who do not. */
const UNUSED: [file: string, text: string, instead: string][] = [
  // State whose inside is watched: here a value is always replaced as a whole.
  ['client/reactivity/sources.js', 'should_proxy ? proxy(value) : value', 'value'],
  ['client/reactivity/props.js', 'runes && bindable ? proxy(value) : value', 'value'],
  // Markup that waits for a promise, and what is shown meanwhile or when it fails. Without it nothing is between the page and its root.
  ['client/reactivity/async.js', 'if (async.length === 0 && pending.length === 0) {', '{'],
  ['client/reactivity/async.js', 'blockers.filter((b) => !b.settled)', '[]'],
  [
    'client/render.js',
    "import { boundary } from './dom/blocks/boundary.js';",
    "import { branch } from './reactivity/effects.js';\nconst boundary = (node, _, children) => branch(() => children(node));",
  ],
  ['client/reactivity/batch.js', 'effect.b?.is_pending', 'false'],
  // `$state.eager` and `$inspect`: effects that do not wait for the others.
  ['client/reactivity/sources.js', '!batch.is_fork && eager_effects.size > 0', 'false'],
  ['client/reactivity/sources.js', '(flags & EAGER_EFFECT) !== 0', 'false'],
  // Transitions: what goes, goes at once.
  ['client/reactivity/effects.js', 'if (transitions !== null)', 'if (false)'],
  ['client/reactivity/effects.js', 'if (t !== null)', 'if (false)'],
  ['client/reactivity/effects.js', 'if (remaining > 0)', 'if (false)'],
  ['client/dom/blocks/each.js', '(flags & EACH_IS_ANIMATED) !== 0', 'false'],
  // `class:name`: classes are written as text.
  ['shared/attributes.js', 'if (directives) {', 'if (false) {'],
  ['client/dom/elements/class.js', '} else if (next_classes && prev_classes !== next_classes) {', '} else if (false) {'],
];
const NEVER = /\$state(?!\.raw\b)|\$inspect\b|\$effect\.pending|<svelte:boundary|\s(?:transition|in|out|animate|class):\w|\b(?:fork|getAbortSignal|hydrate)\b.* from 'svelte'/;

/** Makes those switches constants, and leaves out the unused, so that the minifier drops what hangs on them. A runtime that is not so any more fails the build. */
export const switchedOff = (): Plugin => ({
  name: 'sklic-switched-off',
  apply: 'build',
  enforce: 'pre',
  transform(code, id) {
    if (!id.includes('/node_modules/')) {
      const found = /\.svelte(\.ts)?$/.test(id) && NEVER.exec(code);
      if (found) this.error(`${id} has ${found[0]}, of which the runtime was freed: see scripts/build.ts`);
      return code;
    }
    const [, file] = id.split('svelte/src/internal/');
    const replaced = (text: string, old: string, by: string): string => {
      if (!text.includes(old)) this.error(`${id} has no ${old} any more`);
      return text.replaceAll(old, by);
    };
    const names = SWITCHES.find(([one]) => one === file)?.[1] ?? [];
    const constant = names.reduce((text, name) => replaced(text, `export let ${name} = false;`, `export const ${name} = false;`).replace(new RegExp(`^\\t${name} = \\w+;$`, 'gm'), ''), code);
    return UNUSED.filter(([one]) => one === file).reduce((text, [, old, by]) => replaced(text, old, by), constant);
  },
});
