// Counts what is waiting for an answer of the server.
import type { CancellationToken } from 'vscode';

export class Activity {
  pending = 0;

  constructor(private readonly changed: (change: 1 | -1) => void) {}

  // Runs `work`; it counts until it is done or nobody waits for it any more.
  async during<T>(work: () => Promise<T>, cancel: CancellationToken): Promise<T> {
    let counted = true;
    this.add(1);
    const leave = () => {
      if (counted) this.add(-1);
      counted = false;
    };
    const listening = cancel.onCancellationRequested(leave);
    try {
      return await work();
    } finally {
      listening.dispose();
      leave();
    }
  }

  private add(n: 1 | -1): void {
    this.pending += n;
    this.changed(n);
  }
}
