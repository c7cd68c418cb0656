// What incipit's server adds to LSP (docs/lsp-extensions.md), and the face that the features of the extension see of it.
import type { CancellationToken } from 'vscode';

export interface Timings {
  contextMs?: number;
  queuedMs?: number;
  firstTokenMs?: number;
  totalMs?: number;
  promptTokens?: number;
  cachedTokens?: number;
  generatedTokens?: number;
}

export interface LastCompletion {
  uri: string;
  items: number;
  whyEmpty?: string;
  finish?: string;
  timings?: Timings;
}

export interface Suppressed {
  uri: string;
  position: { line: number; character: number };
  why: string;
  secondsAgo: number;
}

// The answer to `incipit/status`.
export interface Status {
  version: string;
  state: 'loading' | 'ready' | 'failed';
  message?: string;
  loadFraction?: number;
  openDocuments: number;
  pendingRequests: number;
  memory: { residentBytes: number; weightBytes?: number; kvBytes?: number };
  model?: {
    name: string;
    directory: string;
    device: string;
    promptLayout: string;
    contextTokens: number;
    // false: the model refuses. Absent: the server does not say.
    abilities?: { explain: boolean; edit: boolean; chat: boolean };
  };
  device?: { name: string; note?: string; faults: number; lastFault?: string };
  tokens?: { reused: number; prefilled: number; generated: number };
  lastCompletion?: LastCompletion;
  suppressed: Suppressed[];
}

// The server, for features: without LSP, restarts and processes. Both reject with an Error whose message can be shown as
// it is, and with vscode.CancellationError when the caller's token was cancelled. An error of the server's has its LSP `code`.
export interface Backend {
  // Runs a command of the server (`incipit.explain`, …); each piece of its text is passed on as it comes.
  execute(
    command: string,
    args: unknown[],
    onPiece: (text: string) => void,
    cancel: CancellationToken,
  ): Promise<unknown>;
  status(): Promise<Status>;
}

export const method = {
  status: 'incipit/status',
  didMoveCursor: 'incipit/didMoveCursor',
} as const;
