import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import { icons, switchedOff } from './scripts/build.ts';

// The service serves the built files under /; everything below /assets carries a hash in its name and never changes.
export default defineConfig({
  plugins: [icons(), switchedOff(), svelte()],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: {
    // `npm run dev` beside a service that listens on its usual address.
    proxy: { '/api': { target: process.env['SKLIC_URL'] ?? 'http://127.0.0.1:8080', changeOrigin: true } },
  },
});
