// VS Code's workbench with its real extension host, served on loopback for one test run, in folders of its own.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { addLanguage } from './language_pack.mjs';

const entry = path.join(import.meta.dirname, 'node_modules/code-server/out/node/entry.js');

const settings = {
  // How sure the small model is of what these tests let it write is not their subject.
  'incipit.completion.minConfidence': 0,
  'chat.disableAIFeatures': true, // Copilot's own, which ship with the workbench
  'editor.accessibilitySupport': 'off',
  'editor.minimap.enabled': false,
  'editor.quickSuggestions': { other: 'off', comments: 'off', strings: 'off' },
  'extensions.autoCheckUpdates': false,
  'extensions.webWorker': false,
  'extensions.ignoreRecommendations': true,
  'files.autoSave': 'off',
  'git.enabled': false,
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'terminal.integrated.enablePersistentSessions': false, // else its host starts, and complains on a busy machine
  'window.commandCenter': false,
  'workbench.reduceMotion': 'on', // no half-faded lists in screenshots
  'workbench.colorTheme': 'Default Dark Modern',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
};

// What the tests do beside their subject, by a key each: quicker than the palette.
export const keys = {
  closeEditor: 'Control+Alt+Shift+F1',
  clearNotifications: 'Control+Alt+Shift+F2',
  explorer: 'Control+Alt+Shift+F3',
  refresh: 'Control+Alt+Shift+F5',
  suggest: 'Control+Alt+Shift+F4',
};
const keybindings = [
  { key: 'ctrl+alt+shift+f1', command: 'workbench.action.revertAndCloseActiveEditor' },
  { key: 'ctrl+alt+shift+f2', command: 'notifications.clearAll' },
  { key: 'ctrl+alt+shift+f3', command: 'workbench.view.explorer' },
  { key: 'ctrl+alt+shift+f5', command: 'workbench.files.action.refreshFilesExplorer' },
  { key: 'ctrl+alt+shift+f4', command: 'editor.action.inlineSuggest.trigger' },
];

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class CodeServer {
  constructor() {
    this.home = mkdtempSync(path.join(tmpdir(), 'incipit-vscode-'));
    for (const folder of ['User', 'Machine']) mkdirSync(path.join(this.home, 'data', folder), { recursive: true });
    writeFileSync(path.join(this.home, 'data/User/keybindings.json'), JSON.stringify(keybindings, null, 2));
    addLanguage('zh-cn', path.join(this.home, 'data'));
    this.begin('workspace');
  }

  standing = {}; // settings of this machine that stay whatever configure() is given

  // An empty folder to work in, and the settings as they are at first. VS Code keeps what extensions store by the folder.
  // `locale` is VS Code's display language.
  begin(name, locale = 'en') {
    this.workspace = path.join(this.home, name);
    mkdirSync(this.workspace, { recursive: true });
    writeFileSync(path.join(this.home, 'data/User/settings.json'), JSON.stringify(settings, null, 2));
    writeFileSync(path.join(this.home, 'data/User/argv.json'), JSON.stringify({ locale }));
    this.configure({});
  }

  // Writes the settings of this machine: there VS Code looks for those that say what runs on it. An open workbench takes
  // them over.
  configure(more) {
    writeFileSync(path.join(this.home, 'data/Machine/settings.json'), JSON.stringify({ ...this.standing, ...more }, null, 2));
  }

  get environment() {
    const { PATH, LANG } = process.env;
    // The cache of packed weights outlives the run; the user's models do not count.
    const cache = process.env.XDG_CACHE_HOME ?? path.join(this.home, 'cache');
    return { PATH, LANG, HOME: this.home, XDG_CACHE_HOME: cache, XDG_DATA_HOME: path.join(this.home, 'share') };
  }

  get folders() {
    return ['--user-data-dir', path.join(this.home, 'data'), '--extensions-dir', path.join(this.home, 'extensions')];
  }

  install(vsix) {
    execFileSync(process.execPath, [entry, ...this.folders, '--install-extension', vsix, '--force'], {
      env: this.environment,
      stdio: 'pipe',
    });
  }

  async start() {
    this.port = await freePort();
    const log = openSync(path.join(this.home, 'code-server.log'), 'w');
    const words = ['--auth', 'none', '--bind-addr', `127.0.0.1:${this.port}`, '--disable-telemetry', '--disable-update-check'];
    const more = ['--disable-workspace-trust', '--disable-getting-started-override'];
    this.process = spawn(process.execPath, [entry, ...this.folders, ...words, ...more], {
      env: this.environment,
      detached: true, // a group of its own, so that all of it can be ended
      stdio: ['ignore', log, log],
    });
    process.once('exit', () => this.clear()); // of a run that is interrupted, too
    for (let i = 0; i < 1200; ++i) {
      if (this.process.exitCode !== null) throw new Error(this.log());
      const answer = await fetch(`${this.url}healthz`).catch(() => undefined);
      if (answer?.ok) return;
      await sleep(100);
    }
    throw new Error(`code-server did not answer: ${this.log()}`);
  }

  get url() {
    return `http://127.0.0.1:${this.port}/`;
  }

  log() {
    return readFileSync(path.join(this.home, 'code-server.log'), 'utf8');
  }

  // Processes of the bundled server, newest last.
  servers() {
    const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
    return pids.filter((pid) => programOf(pid)?.startsWith(path.join(this.home, 'extensions'))).sort((a, b) => a - b);
  }

  // Ends the extension hosts: the parents of our servers.
  endHosts() {
    for (const pid of this.servers()) {
      try {
        process.kill(Number(/\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))[1]), 'SIGTERM');
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  // Ends all of it at once.
  kill() {
    try {
      process.kill(-this.process.pid, 'SIGKILL');
    } catch {
      // Nobody is left.
    }
  }

  clear() {
    this.kill();
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  async stop() {
    for (const pid of this.servers()) process.kill(pid, 'SIGCONT'); // one that a failed test left stopped
    if (this.process?.exitCode === null) {
      const ended = new Promise((resolve) => this.process.once('exit', resolve));
      process.kill(-this.process.pid, 'SIGTERM');
      await Promise.race([ended, sleep(5000)]);
    }
    this.kill();
    for (let i = 0; i < 50 && this.servers().length > 0; ++i) await sleep(100);
    const left = this.servers();
    for (const pid of left) process.kill(pid, 'SIGKILL');
    this.clear();
    if (left.length > 0) throw new Error(`servers outlived the editor: ${left}`);
  }
}

function programOf(pid) {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined; // ended, or not ours
  }
}
