// The browser's page that shows the workbench, and what it asked for that it should not.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { patience } from './eventually.mjs';

const words = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-features=BackForwardCache', // a page that was left is gone
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export class Browser {
  constructor() {
    this.foreignHosts = new Set();
    this.blocked = []; // what a content security policy kept out
  }

  async open() {
    const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);
    if (!program) throw new Error('no chromium: run scripts/setup.sh vscode');
    this.browser = await chromium.launch({ executablePath: program, args: words });
    this.page = await this.newPage();
    this.devtools = await this.page.context().newCDPSession(this.page);
  }

  // Leaves a page as a user does, and forgets what it has stored. What was loaded stays in the cache: that halves the time to
  // load it again.
  async leave(url) {
    await this.page.goto('about:blank');
    const storageTypes = 'cookies,indexeddb,local_storage,cache_storage';
    await this.devtools.send('Storage.clearDataForOrigin', { origin: new URL(url).origin, storageTypes });
  }

  async newPage() {
    const context = await this.browser.newContext({ viewport: { width: 960, height: 600 }, locale: 'en-US' });
    await context.grantPermissions(['clipboard-read', 'clipboard-write']);
    await context.addInitScript(recordStates);
    await context.addInitScript(recordEnter);
    const page = await context.newPage();
    page.setDefaultTimeout(patience);
    page.on('dialog', (dialog) => dialog.accept()); // "leave the page?"
    page.on('request', (request) => {
      const { protocol, hostname } = new URL(request.url());
      // A page of an extension asks for its own files under this name, which the workbench's service worker answers.
      const ownFile = hostname.endsWith('.vscode-resource.vscode-cdn.net');
      if (/^(https?|wss?):$/.test(protocol) && hostname !== '127.0.0.1' && !ownFile) this.foreignHosts.add(hostname);
    });
    page.on('console', (message) => {
      if (/Content Security Policy/.test(message.text())) this.blocked.push(message.text());
    });
    page.on('response', (response) => {
      const { hostname } = new URL(response.url());
      if (hostname.endsWith('vscode-cdn.net') && !response.fromServiceWorker()) this.foreignHosts.add(hostname);
    });
    return page;
  }

  async close() {
    await this.browser?.close();
  }
}

// Runs in the page: keeps every state that the status bar item has shown, so that none is too short to be noticed.
function recordStates() {
  const states = (window.incipitStates = []);
  const look = () => {
    const label = document.querySelector('.statusbar-item[id*="incipit.status"] a')?.getAttribute('aria-label');
    if (label && label !== states.at(-1)) states.push(label);
  };
  const what = { subtree: true, childList: true, attributes: true, attributeFilter: ['aria-label'] };
  new MutationObserver(look).observe(document, what);
}

// Runs in the page: keeps who heard the last Enter. A key that is pressed goes to what has the focus then, which may have changed
// since somebody looked.
function recordEnter() {
  const look = ({ key, target }) => {
    if (key === 'Enter') window.incipitEnter = target.closest?.('.quick-input-widget') ? 'palette' : 'another';
  };
  window.addEventListener('keydown', look, true);
}
