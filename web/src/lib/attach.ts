/** The element that gets the focus when its dialog opens. */
export const initial = (node: HTMLElement): void => node.setAttribute('autofocus', '');

/** Tells how wide the inside of an element is, now and whenever that changes. */
export const measured =
  (tell: (width: number) => void) =>
  (node: HTMLElement): (() => void) => {
    const told = (): void => tell(node.clientWidth);
    const observer = new ResizeObserver(told);
    told();
    observer.observe(node);
    return () => observer.disconnect();
  };

/** Puts the focus on an element when it appears. */
export const focused = (node: HTMLElement): void => node.focus();
