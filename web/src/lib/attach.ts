/** The element that gets the focus when its dialog opens. */
export const initial = (node: HTMLElement): void => node.setAttribute('autofocus', '');

/** Puts the focus on an element when it appears. */
export const focused = (node: HTMLElement): void => node.focus();
