// The server's log (spdlog on stderr) in the levels of an output channel of VS Code.

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error';

const levels = new Map<string, Level>([
  ['trace', 'trace'],
  ['debug', 'debug'],
  ['info', 'info'],
  ['warning', 'warn'],
  ['error', 'error'],
  ['critical', 'error'],
]);

// [2026-01-31 10:11:23.123] [incipit] [info] text
const pattern = /^\[\d{4}-\d\d-\d\d [\d:.]+\] \[[^\]]*\] \[([a-z]+)\] (.*)$/;

export function parseLogLine(line: string): { level: Level; text: string } {
  const match = pattern.exec(line);
  const level = levels.get(match?.[1] ?? '');
  // Anything else on stderr (the dynamic loader, an abort) is worth being seen.
  return match && level ? { level, text: match[2] ?? '' } : { level: 'warn', text: line };
}

// What a server should log so that the channel misses nothing of its level.
export function logLevelArgument(channelLevel: number): string {
  return ['off', 'trace', 'debug', 'info', 'warn', 'error'][channelLevel] ?? 'info';
}
