// What `incipit model add --json` prints: progress on stderr, one JSON object on stdout.

// "packing embedding: 61 %, 23 MB/s, 1 s left"
export function parseProgress(line: string): { percent: number; text: string } | undefined {
  const match = /^(.+): (\d{1,3}) %/.exec(line);
  if (!match) return undefined;
  return { percent: Math.min(100, Number(match[2])), text: line };
}

function parse(out: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(out);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

export function nameOf(out: string): string {
  const name = parse(out)['name'];
  if (typeof name !== 'string') throw new Error(`model add: want a name in its answer, found ${out}`);
  return name;
}

export function failureOf(out: string, lastLine: string, code: number | null): string {
  const error = parse(out)['error'];
  const message = typeof error === 'object' && error !== null && 'message' in error ? error.message : undefined;
  if (typeof message === 'string') return message;
  return lastLine === '' ? `incipit model add: exit code ${String(code)}` : lastLine;
}
