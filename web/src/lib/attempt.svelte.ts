import { sentence } from './problem';

/** Something that is asked of the service: whether it is under way, and in a sentence why it did not succeed. */
export class Attempt {
  busy = $state.raw(false);
  trouble = $state.raw<string>();

  /** `tell` says what a failure means here, if it is not what it means everywhere. */
  async run(act: () => Promise<unknown>, tell: (error: unknown) => string = sentence): Promise<void> {
    this.busy = true;
    this.trouble = undefined;
    try {
      await act();
    } catch (error) {
      this.trouble = tell(error);
    }
    this.busy = false;
  }
}
