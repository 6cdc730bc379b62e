// Pages by address. Every address below / is served with the same page.

export type Route =
  | { page: 'home' }
  | { page: 'new' }
  | { page: 'conference'; id: string }
  | { page: 'report'; id: string }
  | { page: 'plan'; id?: string }
  | { page: 'list' }
  | { page: 'account' }
  | { page: 'operator'; account?: string }
  | { page: 'lost' };

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function routeOf(path: string): Route {
  const [first, second, third, ...rest] = path.split('/').filter(Boolean);
  if (rest.length > 0) return { page: 'lost' };
  if (first === undefined) return { page: 'home' };
  if (first === 'new' && second === undefined) return { page: 'new' };
  if (first === 'plan' && second === undefined) return { page: 'plan' };
  if (first === 'plans' && second !== undefined && UUID.test(second) && third === undefined) return { page: 'plan', id: second };
  if (first === 'account' && second === undefined) return { page: 'account' };
  if (first === 'operator' && second === undefined) return { page: 'operator' };
  if (first === 'operator' && second === 'accounts' && third !== undefined && /^\d+$/.test(third)) return { page: 'operator', account: third };
  if (first !== 'conferences') return { page: 'lost' };
  if (second === undefined) return { page: 'list' };
  if (!UUID.test(second)) return { page: 'lost' };
  if (third === undefined) return { page: 'conference', id: second };
  return third === 'report' ? { page: 'report', id: second } : { page: 'lost' };
}

class Router {
  route = $state.raw<Route>(routeOf(location.pathname));

  constructor() {
    addEventListener('popstate', () => this.#arrive());
    document.addEventListener('click', (event) => {
      const link = event.target instanceof Element ? event.target.closest('a') : null;
      if (!link || event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
      if (link.origin !== location.origin || link.target || link.hasAttribute('download') || link.pathname.startsWith('/api/')) return;
      if (link.hash && link.pathname === location.pathname) return;
      event.preventDefault();
      this.go(link.pathname);
    });
  }

  go(path: string, replace = false): void {
    if (path === location.pathname) return;
    history[replace ? 'replaceState' : 'pushState'](null, '', path);
    this.#arrive();
    scrollTo(0, 0);
  }

  #arrive(): void {
    this.route = routeOf(location.pathname);
  }
}

export const router = new Router();
