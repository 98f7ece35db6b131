/** Lets one holder in at a time, in order of arrival: writers wait while a transaction is open. */
export class Mutex {
  private tail: Promise<void> = Promise.resolve();
  private waiting = 0;

  get busy(): boolean {
    return this.waiting > 0;
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    const before = this.tail;
    let release = (): void => undefined;
    this.tail = new Promise((resolve) => {
      release = resolve;
    });
    this.waiting++;
    await before;
    try {
      return await work();
    } finally {
      this.waiting--;
      release();
    }
  }
}
