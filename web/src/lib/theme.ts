// Light or dark: the system decides unless this browser was told otherwise.

export type Theme = 'system' | 'light' | 'dark';
const KEY = 'sklic.theme';

export function theme(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === 'light' || kept === 'dark' ? kept : 'system';
  } catch {
    return 'system';
  }
}

export function applyTheme(chosen = theme()): void {
  if (chosen === 'system') delete document.documentElement.dataset['theme'];
  else document.documentElement.dataset['theme'] = chosen;
}

export function chooseTheme(chosen: Theme): void {
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // Then it holds for this page only.
  }
  applyTheme(chosen);
}
