// What a user does and sees in the extension's own pages: the panel of explanations and the chat.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { eventually } from './eventually.mjs';

// A page ("explain" or "chat") as it is shown now: VS Code puts its document into a frame inside a frame.
export class OwnPage {
  constructor(workbench, kind) {
    this.workbench = workbench;
    this.kind = kind;
  }

  async open() {
    this.frame = await eventually(`the page ${this.kind}`, () => this.find());
    return this;
  }

  async find() {
    for (const frame of this.workbench.page.frames()) {
      // A page that was hidden and is shown again has another frame; the old one is gone or has no size.
      const shown = await frame.evaluate(() => innerWidth > 0 && document.body?.dataset.page).catch(() => undefined);
      if (shown === this.kind) return frame;
    }
    return undefined;
  }

  gone() {
    return eventually(`the page ${this.kind} to go`, async () => (await this.find()) === undefined);
  }

  text(selector) {
    return this.frame.locator(selector).last().innerText();
  }

  button(name) {
    return this.frame.getByRole('button', { name, exact: true }).last();
  }

  // The text of the newest answer when nothing is being written any more.
  async answer() {
    const answers = this.kind === 'chat' ? '.assistant .answer' : '.answer';
    const settled = await eventually('an answer', () =>
      this.frame.evaluate((selector) => {
        const last = [...document.querySelectorAll(selector)].at(-1);
        return last?.getAttribute('aria-busy') === 'false' ? { text: last.querySelector('.markdown').innerText } : undefined;
      }, answers));
    return settled.text.trim();
  }

  hasFocus() {
    return this.frame.evaluate(() => document.hasFocus());
  }

  // What in the page the keyboard would act on.
  focused() {
    return this.frame.evaluate(() => {
      const { activeElement } = document;
      return activeElement?.getAttribute('aria-label') ?? activeElement?.textContent ?? '';
    });
  }

  // Presses Tab (or another key) until something of that name has the focus.
  async tabTo(name, key = 'Tab') {
    const passed = [];
    for (let i = 0; i < 25; ++i) {
      passed.push(await this.focused());
      if (passed.at(-1) === name) return passed;
      await this.workbench.page.keyboard.press(key);
    }
    throw new Error(`${name} is not reached by ${key}: ${passed.join(', ')}`);
  }
}

export function openPage(workbench, kind) {
  return new OwnPage(workbench, kind).open();
}

export async function openChat(workbench) {
  await workbench.command('incipit: Open Chat');
  return chatWithFocus(workbench);
}

// A view that comes up takes the focus when it is ready, also from what was opened since.
export async function chatWithFocus(workbench) {
  return eventually('the chat with the focus', async () => {
    const page = await openPage(workbench, 'chat');
    const isReady = async () => (await page.hasFocus()) && (await page.focused()) === 'Question';
    return (await isReady().catch(() => false)) ? page : undefined;
  });
}

// A new chat, ready to be typed into.
export async function newChat(workbench) {
  await workbench.command('incipit: New Chat');
  return chatWithFocus(workbench);
}

// chat_server.mjs as a program that says when it was started and how far it has counted.
export function obedientServer(home) {
  const program = path.join(home, 'chat_server');
  const script = path.join(import.meta.dirname, 'chat_server.mjs');
  const lines = ['#!/bin/sh', `touch "${program}.started"`, `export INCIPIT_COUNT="${program}.count"`];
  writeFileSync(program, [...lines, `exec "${process.execPath}" "${script}"`, ''].join('\n'), { mode: 0o755 });
  return program;
}

// Runs `act` with that in the place of the real server.
export async function withObedientServer(workbench, act) {
  const program = obedientServer(workbench.server.home);
  rmSync(`${program}.started`, { force: true });
  try {
    await workbench.restarted(async () => {
      workbench.server.standing = { 'incipit.server.path': program };
      workbench.server.configure({});
      await eventually('the other server', () => existsSync(`${program}.started`) && workbench.server.servers().length === 0);
    });
    await act(() => Number(readFileSync(`${program}.count`, 'utf8')));
  } finally {
    await workbench.restarted(async () => {
      workbench.server.standing = {};
      workbench.server.configure({});
      await eventually('the real server', () => workbench.server.servers().length > 0);
    });
  }
}
