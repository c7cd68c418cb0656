// The page's end of the wire to the extension.
import { parseToPage, type FromPage, type PageStrings, type ToPage } from './protocol';

interface VsCodeApi {
  postMessage(message: FromPage): void;
  getState(): unknown;
  setState(state: unknown): void;
}

declare function acquireVsCodeApi(): VsCodeApi;

export interface Bridge {
  post(message: FromPage): void;
  // What the page itself remembers while it is hidden, and over a reload of the window.
  remembered(): unknown;
  remember(state: unknown): void;
}

export function connect(onMessage: (message: ToPage) => void): Bridge {
  const api = acquireVsCodeApi();
  window.addEventListener('message', (event: MessageEvent<unknown>) => {
    const message = parseToPage(event.data);
    if (message) onMessage(message);
  });
  return {
    post: (message) => api.postMessage(message),
    remembered: () => api.getState(),
    remember: (state) => api.setState(state),
  };
}

export function readStrings(): PageStrings {
  return JSON.parse(document.getElementById('strings')?.textContent ?? '{}') as PageStrings;
}
