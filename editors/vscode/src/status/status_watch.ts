// The newest status of the server: asked for when there is reason to think that it has changed, never on a clock, except
// while a model loads. Tells, too, when the server leaves a question unanswered.
import type { Backend, Status } from '../server/protocol';

const loadingPollMs = 250;
const unresponsiveAfterMs = 5000;
const slowMs = 1000;

export class StatusWatch {
  status: Status | undefined;
  unresponsive = false;
  private asking = false;
  private askAgain = false;
  private run = 0;
  private timer: NodeJS.Timeout | undefined;
  private slowTimer: NodeJS.Timeout | undefined;

  constructor(
    private readonly backend: Pick<Backend, 'status'>,
    private readonly changed: () => void,
  ) {}

  // Another run of the server: what the last one said does not count.
  reset(): void {
    ++this.run;
    clearTimeout(this.timer);
    clearTimeout(this.slowTimer);
    this.status = undefined;
    this.unresponsive = false;
    this.asking = this.askAgain = false;
    this.changed();
  }

  // Asks; while an answer is outstanding one more question stands for all that come.
  ask(): void {
    if (this.asking) {
      this.askAgain = true;
      return;
    }
    this.asking = true;
    void this.askNow(this.run);
  }

  // Requests wait for their answer, or none does any more. Nobody may take back the last one of a server that hangs, so one
  // that takes long is reason to ask.
  waitingFor(requests: number): void {
    clearTimeout(this.slowTimer);
    if (requests > 0) this.slowTimer = setTimeout(() => this.ask(), slowMs);
  }

  private async askNow(run: number): Promise<void> {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.unresponsive = true;
      this.changed();
    }, unresponsiveAfterMs);
    const status = await this.backend.status().catch(() => undefined);
    if (run !== this.run) return;
    clearTimeout(this.timer);
    this.asking = false;
    this.unresponsive = false;
    this.status = status ?? this.status;
    this.changed();
    if (this.askAgain) {
      this.askAgain = false;
      this.ask();
    } else if (status?.state === 'loading') {
      this.timer = setTimeout(() => this.ask(), loadingPollMs);
    }
  }

  dispose(): void {
    ++this.run;
    clearTimeout(this.timer);
    clearTimeout(this.slowTimer);
  }
}
