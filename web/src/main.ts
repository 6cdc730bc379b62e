import './styles/tokens.css';
import './styles/base.css';
import './styles/controls.css';
import './styles/shell.css';
import './styles/directory.css';
import './styles/conference.css';
import './styles/rectangle.css';
import './styles/pages.css';
import './styles/narrow.css';
import { mount } from 'svelte';
import App from './App.svelte';
import { i18n } from './i18n/index.svelte';
import { applyTheme } from './lib/theme';

applyTheme();
const target = document.getElementById('app');
if (target)
  i18n.show(i18n.language).then(
    () => mount(App, { target }),
    // Without words there is no page to say it on.
    () => (target.textContent = 'Strežnik ni dosegljiv. Osvežite stran. · The server cannot be reached. Reload the page.'),
  );
