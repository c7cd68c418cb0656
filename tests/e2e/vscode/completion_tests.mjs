// Ghost text of the real server and the real model: shown, taken whole, in parts, by alternatives, or not at all.
import assert from 'node:assert/strict';
import { eventually } from './eventually.mjs';

export const python = `class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, dx, dy):
        return Point(self.x + dx, self.y + dy)


def area(width, height):
    """Returns the area of a rectangle."""
`;

// What the picture of the documentation shows: the model has seen one of these a moment before.
const vector = `class Vector:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __sub__(self, other):
`;

export function completionTests(test) {
  test('typing shows ghost text and Tab inserts it', async (workbench) => {
    await workbench.edit('vector.py', vector);
    const ghost = await workbench.suggestionFor('        return ');
    await workbench.shot('completion', { x: 292, y: 30, width: 664, height: 270 });
    await workbench.press('Tab'); // the next suggestion may be there at once
    await workbench.textIs('vector.py', `${vector}        return ${ghost}`);
    await workbench.discard();
  });

  test('Ctrl+Right takes a word, and the rest stays', async (workbench) => {
    await workbench.edit('word.py', python);
    const ghost = await workbench.suggestionFor('    return ');
    const word = /^\w+|^\W+/.exec(ghost)[0];
    assert.ok(word.length < ghost.length, `want more than a word, found "${ghost}"`);
    await workbench.press('Control+ArrowRight');
    await eventually('a shorter ghost text', async () => (await workbench.ghost()) === ghost.slice(word.length));
    await workbench.textIs('word.py', `${python}    return ${word}`);
    await workbench.discard();
  });

  test('a suggestion of several lines is shown whole; Shift+Tab takes a line', async (workbench) => {
    const { name, before, ghost } = await severalLines(workbench);
    const [first, ...rest] = ghost.split('\n');
    await workbench.shot('several-lines');
    await workbench.press('Shift+Tab');
    await eventually('less ghost text', async () => (await workbench.ghost()) !== ghost);
    const last = rest.at(-1).trim();
    const text = await eventually('the line', async () => {
      const saved = await workbench.saved(name);
      return saved?.startsWith(before + first) ? saved : undefined;
    });
    assert.ok(!text.includes(last), `more than a line was taken: ${text}`);
    await eventually('the lines after it', async () => (await workbench.ghost()).includes(last));
    await workbench.discard();
  });

  test('typing on what is suggested keeps it, typing otherwise changes it', async (workbench) => {
    await workbench.edit('deviate.py', python);
    // Inside a word: no bracket or quote comes next, which the editor would close by itself.
    const ghost = await workbench.suggestionFor('    return wi');
    await workbench.type(ghost[0]);
    await eventually('the rest', async () => (await workbench.ghost()) === ghost.slice(1));
    await workbench.press('Backspace');
    await workbench.type('Q');
    await eventually('another suggestion or none', async () => !(await workbench.ghost()).startsWith(ghost.slice(1)));
    await workbench.textIs('deviate.py', `${python}    return wiQ`);
    await workbench.discard();
  });

  test('Escape takes it away and changes nothing; Alt+\\ asks for it again', async (workbench) => {
    await workbench.edit('escape.py', python);
    const ghost = await workbench.suggestionFor('    return ');
    await workbench.press('Escape');
    await workbench.noGhost();
    await workbench.textIs('escape.py', `${python}    return `);
    await workbench.press('Alt+Backslash');
    assert.equal((await workbench.waitForGhost())[0], ghost[0]);
    await workbench.discard();
  });

  test('Alt+] and Alt+[ go through what the server gives when it is asked by hand', async (workbench) => {
    const { name, before, first } = await severalSuggestions(workbench);
    await workbench.press('Alt+BracketRight');
    await eventually('the next one', async () => ![first, ''].includes(await workbench.ghost()));
    const second = await workbench.waitForGhost(); // its lines are drawn one after the other
    assert.notEqual(second, first);
    await workbench.press('Alt+BracketLeft');
    await eventually('the first one', async () => (await workbench.ghost()) === first);
    await workbench.press('Alt+BracketRight');
    await eventually('the second one', async () => (await workbench.ghost()) === second);
    await workbench.press('Tab');
    await workbench.textIs(name, before + second);
    workbench.server.configure({});
    await workbench.discard();
  });

  test('positions count as VS Code counts them, beyond ASCII too', async (workbench) => {
    const text = python.replace('width', 'größe');
    await workbench.edit('unicode.py', text);
    await workbench.page.keyboard.insertText("    text, größe = '日本 😀', ");
    const ghost = await workbench.suggestionFor('s');
    await workbench.press('Tab');
    await workbench.textIs('unicode.py', `${text}    text, größe = '日本 😀', s${ghost}`);
    await workbench.discard();
  });
}

// Asks by hand until there are several: the server waits 300 ms for others than the first, which a busy machine may need.
async function severalSuggestions(workbench) {
  const name = 'several.py';
  const before = `${python}    return width * height\n\n\ndef `;
  workbench.server.configure({ 'editor.inlineSuggest.showToolbar': 'always' });
  await workbench.edit(name, before);
  const count = workbench.page.locator('.inlineSuggestionsHints .availableSuggestionCount');
  await eventually('several suggestions', async () => {
    await workbench.press('Escape', 'Alt+Backslash');
    await workbench.waitForGhost();
    return /1\/[2-5]/.test(await count.first().innerText({ timeout: 1000 }).catch(() => ''));
  });
  return { name, before, first: await workbench.ghost() };
}

// The model decides how much it writes; one of these makes it write a block.
async function severalLines(workbench) {
  const openings = ['\n\ndef mean(values):', '\n\ndef scaled(point, factor):', '\n\ndef distance(a, b):'];
  for (const [i, opening] of openings.entries()) {
    const name = `lines${i}.py`;
    const before = `${python}    return width * height\n${opening}`;
    await workbench.edit(name, before);
    await workbench.press('Enter');
    const ghost = await workbench.waitForGhost();
    if (ghost.includes('\n')) return { name, before: `${before}\n    `, ghost };
    await workbench.discard();
  }
  return assert.fail('no suggestion had several lines');
}
