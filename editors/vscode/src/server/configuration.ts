// How the server hears of the user's settings: it is told that they have changed, and asks.
import type { Middleware } from 'vscode-languageclient/node';
import { serverSettings } from './settings';

// `answered` runs once an answer is on its way: what the server says after that, it says with these settings.
export function configurationMiddleware(answered: () => void): Middleware {
  return {
    workspace: {
      configuration: async (params, token, next) => {
        const sections = await next(params, token);
        setTimeout(answered, 0);
        return Array.isArray(sections) ? sections.map(serverSettings) : sections;
      },
      // With a section, the library would send all of it along, and `incipit.server` is no setting of the server's.
      didChangeConfiguration: (_section, next) => next(undefined),
    },
  };
}
