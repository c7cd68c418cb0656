// The extension's own pages for eyes that need more: high contrast, and the colours that a user forces on all programs.
import assert from 'node:assert/strict';
import { eventually } from './eventually.mjs';
import { newChat, openPage, withObedientServer } from './pages.mjs';

// Runs in a page. For each text, the contrast (WCAG 2.2) between its colour and what is behind it; the worst first.
function contrasts(base) {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const over = (top, below) => {
    const mix = (one, other) => one * top.a + other * (1 - top.a);
    return { r: mix(top.r, below.r), g: mix(top.g, below.g), b: mix(top.b, below.b), a: 1 };
  };
  const computed = (property, value) => {
    const probe = document.body.appendChild(document.createElement('i'));
    probe.style.cssText = `forced-color-adjust: none; ${property}: ${value}`;
    const found = parse(getComputedStyle(probe)[property]);
    probe.remove();
    return found;
  };
  const forced = matchMedia('(forced-colors: active)').matches;
  const root = computed('color', forced ? 'Canvas' : `var(${base})`);
  const behind = (node) => {
    const own = node ? parse(getComputedStyle(node).backgroundColor) : root;
    return !node || own.a === 1 ? own : over(own, behind(node.parentElement));
  };
  const luminance = ({ r, g, b }) => {
    const linear = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  };
  const found = [];
  for (const node of document.body.querySelectorAll('*')) {
    const text = [...node.childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE).map((one) => one.data).join('').trim();
    if (text === '' || !node.checkVisibility() || node.disabled || node.closest('style, script, .visually-hidden')) continue;
    const back = behind(node);
    const front = over(parse(getComputedStyle(node).color), back);
    const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    found.push({ contrast: (light + 0.05) / (dark + 0.05), text: text.slice(0, 30), front, back });
  }
  return found.sort((a, b) => a.contrast - b.contrast);
}

async function readable(page, base, least, what) {
  const found = await page.frame.evaluate(contrasts, base);
  assert.ok(found.length > 5, `${what}: only ${found.length} texts`);
  const low = found.filter(({ contrast }) => contrast < least).map((one) => JSON.stringify(one));
  assert.equal(low.length, 0, `${what}: want ${least}, found\n${low.join('\n')}`);
}

// Both pages with an answer that has code in it.
async function withPages(workbench, act) {
  await withObedientServer(workbench, async () => {
    await workbench.edit('seen.py', 'def area(width, height):\n    return width * height\n');
    await workbench.press('Control+a', 'Control+Alt+e');
    const panel = await openPage(workbench, 'explain');
    await panel.answer();
    const chat = await newChat(workbench);
    await workbench.type('What is it?');
    await workbench.press('Enter');
    await chat.answer();
    await act({ panel: [panel, '--vscode-editor-background'], chat: [chat, '--vscode-sideBar-background'] });
    await workbench.discard();
  });
}

// What a theme of that kind has to have, by WCAG 2.2: AA, and AAA where contrast is what is wanted.
const themes = [
  ['Default Dark Modern', 'vscode-dark', 4.5],
  ['Default Light Modern', 'vscode-light', 4.5],
  ['Default High Contrast', 'vscode-high-contrast', 7],
  ['Default High Contrast Light', 'vscode-high-contrast-light', 7],
];

export function accessTests(test) {
  test('both pages can be read in every kind of theme, and under forced colours', async (workbench) => {
    await withPages(workbench, async (pages) => {
      const look = async (isThere, argument, least, what) => {
        for (const [name, [page, base]] of Object.entries(pages)) {
          await eventually(`${what} in the ${name}`, () => page.frame.evaluate(isThere, argument));
          await readable(page, base, least, `${name}, ${what}`);
        }
      };
      for (const [theme, kind, least] of themes) {
        workbench.server.configure({ 'workbench.colorTheme': theme });
        await look((wanted) => document.body.classList.contains(wanted), kind, least, theme);
      }
      await workbench.page.emulateMedia({ forcedColors: 'active' });
      await look(() => matchMedia('(forced-colors: active)').matches, undefined, 7, 'forced colours');
      await workbench.shot('forced-colours');
      await workbench.page.emulateMedia({ forcedColors: 'none' });
      workbench.server.configure({});
    });
  });
}
