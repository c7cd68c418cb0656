// The server's status in words: rows of a name and a value, for the hover of the status bar item and for the menu.
import { l10n } from 'vscode';
import type { LastCompletion, Status } from '../server/protocol';
import type { Look } from './look';

export interface Row {
  name: string;
  value: string;
}

export function headline(look: Look): string {
  switch (look.kind) {
    case 'starting':
      return l10n.t('starting');
    case 'stopped':
      return l10n.t('stopped');
    case 'ready':
      return l10n.t('ready');
    case 'generating':
      return l10n.t('writing');
    case 'unresponsive':
      return l10n.t('not responding');
    case 'loading':
      return look.percent === undefined
        ? l10n.t('loading the model')
        : l10n.t('loading the model: {0} %', look.percent);
    case 'paused':
      return look.where === 'everywhere'
        ? l10n.t('suggestions are off')
        : l10n.t('suggestions are off for this language');
    case 'error':
      return l10n.t('error');
  }
}

export function rowsOf(status: Status): Row[] {
  const rows: Row[] = [];
  const add = (name: string, value: string | undefined) => {
    if (value !== undefined && value !== '') rows.push({ name, value });
  };
  if (status.state === 'loading') add(l10n.t('Loading'), status.message);
  add(l10n.t('Model'), modelText(status));
  add(l10n.t('Device'), status.device?.name ?? status.model?.device);
  add(l10n.t('Device fault'), status.device?.lastFault);
  add(l10n.t('Memory'), memoryText(status));
  add(l10n.t('Last suggestion'), completionText(status.lastCompletion));
  add(l10n.t('Nothing shown because'), whyNothing(status));
  add(l10n.t('Server'), status.version);
  return rows;
}

// Why the newest request was answered with nothing; undefined when it was answered with something.
export function whyNothing(status: Status): string | undefined {
  const last = status.lastCompletion;
  if (last) return last.items === 0 ? last.whyEmpty : undefined;
  return status.suppressed[0]?.why;
}

function modelText(status: Status): string | undefined {
  const model = status.model;
  return model && l10n.t('{0}, context of {1} tokens', model.name, model.contextTokens);
}

function memoryText(status: Status): string {
  const { residentBytes, weightBytes, kvBytes } = status.memory;
  if (weightBytes === undefined || kvBytes === undefined) return mebibytes(residentBytes);
  const parts = [residentBytes, weightBytes, kvBytes].map(mebibytes);
  return l10n.t('{0} in use; weights {1}, cache {2}', ...parts);
}

function mebibytes(bytes: number): string {
  return bytes < 1024 ** 3
    ? `${(bytes / 1024 ** 2).toFixed(0)} MiB`
    : `${(bytes / 1024 ** 3).toFixed(1)} GiB`;
}

function completionText(last: LastCompletion | undefined): string | undefined {
  const times = last?.timings;
  if (!last || !times) return undefined;
  const { firstTokenMs, totalMs, contextMs, generatedTokens } = times;
  // Without the model: a suggestion made before was continued.
  if (!generatedTokens || firstTokenMs === undefined || totalMs === undefined) {
    return totalMs === undefined ? undefined : l10n.t('{0} ms, without the model', one(totalMs));
  }
  const parts = [l10n.t('first token after {0} ms', one(firstTokenMs))];
  const rate = tokenRate(generatedTokens, totalMs - (contextMs ?? 0) - firstTokenMs);
  if (rate !== undefined) parts.push(l10n.t('{0} tokens per second', rate.toFixed(0)));
  if (times.promptTokens !== undefined && times.cachedTokens !== undefined) {
    parts.push(l10n.t('{0} of {1} prompt tokens from the cache', times.cachedTokens, times.promptTokens));
  }
  return parts.join(', ');
}

// Of the tokens after the first one; undefined where there are too few to tell.
export function tokenRate(generatedTokens: number, restMs: number): number | undefined {
  return generatedTokens > 1 && restMs > 0 ? ((generatedTokens - 1) * 1000) / restMs : undefined;
}

function one(milliseconds: number): string {
  return milliseconds.toFixed(milliseconds < 10 ? 1 : 0);
}
