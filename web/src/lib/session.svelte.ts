import { ApiError, api, whenSignedOut } from '../api/client';
import type { Me } from '../api/types';
import { setHome } from './phone';
import { i18n, isLanguage, languageWasChosen, type Language } from '../i18n/index.svelte';

/** Who is signed in in this browser. */
class Session {
  me = $state.raw<Me | undefined>(undefined);
  /** `starting` until the service has answered; `expired` keeps the page, and what was typed, behind the sign-in. */
  state = $state.raw<'starting' | 'out' | 'in' | 'expired' | 'unreachable'>('starting');

  constructor() {
    whenSignedOut(() => {
      this.state = this.me === undefined ? 'out' : 'expired';
    });
  }

  async begin(): Promise<void> {
    try {
      await this.#enter(await api.me());
    } catch (error) {
      this.state = error instanceof ApiError && error.status === 401 ? 'out' : 'unreachable';
    }
  }

  async signIn(userNumber: string, password: string): Promise<void> {
    const me = await api.login(userNumber, password);
    if (this.me !== undefined && this.me.account_id !== me.account_id) {
      // Somebody else: nothing of the one before stays on the screen.
      location.assign('/');
      return;
    }
    await this.#enter(me);
  }

  async signOut(): Promise<void> {
    await api.logout();
    location.assign('/');
  }

  async signOutEverywhere(): Promise<void> {
    await api.endSessions();
    location.assign('/');
  }

  changed(me: Me): void {
    this.me = me;
    i18n.timeZone = zone(me.time_zone);
    setHome(me.phone);
  }

  async chooseLanguage(language: Language): Promise<void> {
    await i18n.choose(language);
    if (this.state === 'in') this.changed(await api.changeMe({ language }));
  }

  async #enter(me: Me): Promise<void> {
    this.changed(me);
    if (!languageWasChosen() && isLanguage(me.language)) await i18n.show(me.language);
    this.state = 'in';
  }
}

/** A time zone that this browser knows, or none: then its own. */
function zone(name: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return name;
  } catch {
    return undefined;
  }
}

export const session = new Session();
