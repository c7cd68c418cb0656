// Ghost text of the real server and the real model: shown, taken whole, in parts, by alternatives, or not at all.
import assert from 'node:assert/strict';
import { eventually } from './workbench.mjs';

export const python = `class Point:
    def __init__(self, x, y):
        self.x = x
        self.y = y

    def moved(self, dx, dy):
        return Point(self.x + dx, self.y + dy)


def area(width, height):
    """Returns the area of a rectangle."""
`;

export function completionTests(test) {
  test('typing shows ghost text and Tab inserts it', async (workbench) => {
    await workbench.edit('tab.py', python);
    await workbench.status('ready'); // the first file starts the server, and nobody asks before that is there
    const ghost = await workbench.firstSuggestionFor('    return ');
    await workbench.shot('completion');
    await workbench.press('Tab');
    await workbench.noGhost();
    assert.equal(await workbench.text('tab.py'), `${python}    return ${ghost}`);
    await workbench.discard();
  });

  test('Ctrl+Right takes a word, and the rest stays', async (workbench) => {
    await workbench.edit('word.py', python);
    const ghost = await workbench.suggestionFor('    return ');
    const word = /^\w+|^\W+/.exec(ghost)[0];
    assert.ok(word.length < ghost.length, `want more than a word, found "${ghost}"`);
    await workbench.press('Control+ArrowRight');
    await eventually('a shorter ghost text', async () => (await workbench.ghost()) === ghost.slice(word.length));
    assert.equal(await workbench.text('word.py'), `${python}    return ${word}`);
    await workbench.discard();
  });

  test('a suggestion of several lines is shown whole; Shift+Tab takes a line', async (workbench) => {
    const { name, before, ghost } = await severalLines(workbench);
    const [first, ...rest] = ghost.split('\n');
    await workbench.shot('several-lines');
    await workbench.press('Shift+Tab');
    await eventually('less ghost text', async () => (await workbench.ghost()) !== ghost);
    const text = await workbench.text(name);
    assert.ok(text.startsWith(before + first), text);
    const last = rest.at(-1).trim();
    assert.ok(!text.includes(last), `more than a line was taken: ${text}`);
    assert.ok((await workbench.ghost()).includes(last));
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
    assert.equal(await workbench.text('deviate.py'), `${python}    return wiQ`);
    await workbench.discard();
  });

  test('Escape takes it away and changes nothing; Alt+\\ asks for it again', async (workbench) => {
    await workbench.edit('escape.py', python);
    const ghost = await workbench.suggestionFor('    return ');
    await workbench.press('Escape');
    await workbench.noGhost();
    assert.equal(await workbench.text('escape.py'), `${python}    return `);
    await workbench.press('Alt+Backslash');
    assert.equal((await workbench.waitForGhost())[0], ghost[0]);
    await workbench.discard();
  });

  test('positions count as VS Code counts them, beyond ASCII too', async (workbench) => {
    const text = python.replace('width', 'größe');
    await workbench.edit('unicode.py', text);
    await workbench.page.keyboard.insertText("    text, größe = '日本 😀', ");
    const ghost = await workbench.suggestionFor('s');
    await workbench.press('Tab');
    await workbench.noGhost();
    assert.equal(await workbench.text('unicode.py'), `${text}    text, größe = '日本 😀', s${ghost}`);
    await workbench.discard();
  });
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
