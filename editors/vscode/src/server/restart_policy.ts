// How often a server that ended by itself is started again.

export const maxRestarts = 3;
const windowMs = 3 * 60 * 1000;

export class RestartPolicy {
  private ends: number[] = [];

  // Notes that the server has ended, and says after how many milliseconds to start it again; undefined: not any more.
  delayAfterEnd(now: number): number | undefined {
    this.ends = [...this.ends.filter((end) => now - end < windowMs), now];
    const n = this.ends.length;
    return n > maxRestarts ? undefined : 250 * 4 ** (n - 1);
  }

  // The user has asked for a start: what was before does not count.
  forget(): void {
    this.ends = [];
  }
}
