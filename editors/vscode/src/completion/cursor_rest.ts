// Notices that the cursor has come to rest without an edit (a jump, another file), so that the server can read ahead there.
// An edit says the same by itself.

export interface Place {
  uri: string;
  version: number;
  line: number;
  character: number;
}

const restMs = 120;

export class CursorRest {
  private readonly versions = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    // The cursor of the document that the user looks at, now.
    private readonly current: () => Place | undefined,
    private readonly rested: (place: Place) => void,
  ) {}

  moved(): void {
    clearTimeout(this.timer);
    const place = this.current();
    if (!place) return;
    const before = this.versions.get(place.uri);
    this.versions.set(place.uri, place.version);
    // The cursor moved because text was typed.
    if (before !== undefined && before !== place.version) return;
    this.timer = setTimeout(() => {
      const now = this.current();
      if (now && now.uri === place.uri && now.version === place.version) this.rested(now);
    }, restMs);
  }

  edited(): void {
    clearTimeout(this.timer);
  }

  closed(uri: string): void {
    this.versions.delete(uri);
  }

  dispose(): void {
    clearTimeout(this.timer);
  }
}
