// What the status bar item shows, worked out from what is known. No editor in here.
import type { Status } from '../server/protocol';
import type { Lifecycle } from '../server/supervisor';

export interface Known {
  lifecycle: Lifecycle;
  // The newest answer of this run of the server.
  status?: Status | undefined;
  // It was asked a while ago and has not answered.
  unresponsive: boolean;
  // Completions and commands that are waiting for an answer.
  pending: number;
  paused: 'no' | 'everywhere' | 'this language';
}

export type Look =
  | { kind: 'starting' | 'ready' | 'generating' | 'stopped' | 'unresponsive' }
  | { kind: 'loading'; percent?: number; what?: string }
  | { kind: 'paused'; where: 'everywhere' | 'this language' }
  | { kind: 'error'; message: string };

export function lookOf(known: Known): Look {
  const { lifecycle, status } = known;
  if (lifecycle.kind === 'failed') return { kind: 'error', message: lifecycle.message };
  if (lifecycle.kind === 'stopped' || lifecycle.kind === 'starting') return { kind: lifecycle.kind };
  if (known.unresponsive) return { kind: 'unresponsive' };
  if (!status) return { kind: 'starting' };
  if (status.state === 'failed') return { kind: 'error', message: status.message ?? '' };
  if (status.state === 'loading') return loading(status);
  if (status.device?.name === 'none') {
    return { kind: 'error', message: status.device.lastFault ?? '' };
  }
  if (known.pending > 0) return { kind: 'generating' };
  return known.paused === 'no' ? { kind: 'ready' } : { kind: 'paused', where: known.paused };
}

function loading(status: Status): Look {
  return {
    kind: 'loading',
    ...(status.loadFraction !== undefined && { percent: Math.floor(status.loadFraction * 100) }),
    ...(status.message !== undefined && { what: status.message }),
  };
}
