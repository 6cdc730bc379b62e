/** The time, moving on once a second; one timer for all clocks of the page. */
class Now {
  at = $state.raw(Date.now());

  constructor() {
    setInterval(() => (this.at = Date.now()), 1000);
  }

  /** Seconds since a moment. */
  since = (moment: string): number => Math.max(0, (this.at - Date.parse(moment)) / 1000);
}

export const now = new Now();
