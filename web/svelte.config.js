import { vitePreprocess } from '@sveltejs/vite-plugin-svelte';

/** An icon that is always the same one is plain markup: it needs no component at run time. `Icon.svelte` draws the others. */
const icons = {
  name: 'icons',
  markup: ({ content }) => ({
    code: content.replace(/<Icon name="(\w+)"( small)? \/>/g, (_, name, small) => `<svg class="i${small ? ' i-s' : ''}" aria-hidden="true"><use href="#i-${name}" /></svg>`),
  }),
};

export default { preprocess: [icons, vitePreprocess()], compilerOptions: { runes: true, discloseVersion: false } };
