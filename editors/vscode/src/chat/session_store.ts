// Keeps sessions on disk, one file each, so that a damaged one costs itself and no other. Used by the extension's one thread.
import { promises as fs } from 'node:fs';
import * as path from 'node:path';
import { parseSession, type Session } from './session';

const extension = '.json';

export interface Log {
  warn(message: string): void;
}

export class SessionStore {
  // Writes wait for each other: two of the same session must not meet in one file.
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly folder: string,
    private readonly log: Log,
  ) {}

  // All that can be read, the most recently used first. A damaged file is set aside under another name, not deleted.
  async load(): Promise<Session[]> {
    await this.last;
    const sessions: Session[] = [];
    for (const name of await this.names()) {
      const session = await this.read(name);
      if (session) sessions.push(session);
    }
    return sessions.sort((a, b) => b.updatedAt - a.updatedAt);
  }

  save(session: Session): Promise<void> {
    const text = JSON.stringify(session); // now: the session may change before its turn comes
    return this.queue(`cannot save the chat "${session.name}"`, async () => {
      await fs.mkdir(this.folder, { recursive: true });
      const file = this.file(session.id);
      await fs.writeFile(`${file}.new`, text, { mode: 0o600 });
      await fs.rename(`${file}.new`, file); // whole or not at all
    });
  }

  remove(id: string): Promise<void> {
    return this.queue('cannot delete a chat', () => fs.rm(this.file(id), { force: true }));
  }

  private file(id: string): string {
    return path.join(this.folder, `${id}${extension}`);
  }

  private async names(): Promise<string[]> {
    try {
      return (await fs.readdir(this.folder)).filter((name) => name.endsWith(extension));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.log.warn(`chats cannot be read: ${reason(error)}`);
      return [];
    }
  }

  private async read(name: string): Promise<Session | undefined> {
    const file = path.join(this.folder, name);
    try {
      const session = parseSession(await fs.readFile(file, 'utf8'));
      if (`${session.id}${extension}` !== name) throw new Error(`it says it is ${session.id}`);
      return session;
    } catch (error) {
      this.log.warn(`${file} is no chat (${reason(error)}); it is kept as ${name}.damaged`);
      await fs.rename(file, `${file}.damaged`).catch(() => undefined);
      return undefined;
    }
  }

  // A disk that is full costs the memory of the chat, never the chat itself.
  private queue(what: string, work: () => Promise<void>): Promise<void> {
    this.last = this.last.then(work).catch((error: unknown) => this.log.warn(`${what}: ${reason(error)}`));
    return this.last;
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
