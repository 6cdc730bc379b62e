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
  ['svelte/src/internal/flags/index.js', ['async_mode_flag', 'legacy_mode_flag', 'tracing_mode_flag']],
  ['svelte/src/internal/client/dom/hydration.js', ['hydrating']],
];

/** Makes those switches constants, so that the minifier drops what hangs on them. A runtime that has them no more fails the build. */
export const switchedOff = (): Plugin => ({
  name: 'sklic-switched-off',
  apply: 'build',
  enforce: 'pre',
  transform(code, id) {
    const names = SWITCHES.find(([file]) => id.endsWith(file))?.[1] ?? [];
    return names.reduce((text, name) => {
      if (!text.includes(`export let ${name} = false;`)) this.error(`${id} has no switch ${name} any more`);
      return text.replace(`export let ${name} = false;`, `export const ${name} = false;`).replace(new RegExp(`^\\t${name} = \\w+;$`, 'gm'), '');
    }, code);
  },
});
