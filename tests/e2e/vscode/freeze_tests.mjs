// A server that hangs must cost no keystroke: 500 characters with the server running, and 500 with it stopped.
import assert from 'node:assert/strict';
import { eventually } from './eventually.mjs';

// Of one round; noise of the machine, unlike a wait for the server, is not in every round.
const mostRounds = 3;
const words = 'the quick brown fox jumps over the lazy dog while ';
const typed = words.repeat(10);

// Milliseconds from each key to the frame that shows it, sorted.
async function latencies(workbench) {
  await workbench.page.evaluate(() => {
    window.incipitKeys = [];
    window.incipitSeen = () => {
      const begin = performance.now();
      // The first frame paints what the key did; the second begins when that is done.
      requestAnimationFrame(() => requestAnimationFrame(() => window.incipitKeys.push(performance.now() - begin)));
    };
    window.addEventListener('keydown', window.incipitSeen, true);
  });
  for (const character of typed) await workbench.page.keyboard.press(character === ' ' ? 'Space' : character);
  await eventually('all keys', async () => (await workbench.page.evaluate(() => window.incipitKeys.length)) >= typed.length);
  return workbench.page.evaluate(() => {
    window.removeEventListener('keydown', window.incipitSeen, true);
    return window.incipitKeys.sort((a, b) => a - b);
  });
}

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
const summary = (sorted) => `median ${at(sorted, 0.5).toFixed(1)} ms, 99 % ${at(sorted, 0.99).toFixed(1)} ms, most ${at(sorted, 1).toFixed(1)} ms`;

// One round. What must hold however busy the machine is, is asserted here.
async function round(workbench, n) {
  await workbench.edit(`running${n}.md`, '');
  const running = await latencies(workbench);
  await workbench.press('Escape');
  await workbench.textIs(`running${n}.md`, typed);

  const name = `frozen${n}.md`;
  await workbench.edit(name, '');
  const [pid] = workbench.server.servers().slice(-1);
  process.kill(pid, 'SIGSTOP');
  let frozen;
  try {
    frozen = await latencies(workbench);
    await workbench.press('Escape');
    await workbench.textIs(name, typed);
    await workbench.status('not responding');
    await workbench.shot('status-not-responding');
    assert.deepEqual(await workbench.notifications(), []);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  await workbench.status('ready');
  assert.deepEqual(await workbench.notifications(), []);
  await workbench.press('Control+End');
  await workbench.textIs(name, typed, 'something came late');
  console.log(`500 keys, key to frame, server running: ${summary(running)}`);
  console.log(`500 keys, key to frame, server frozen:  ${summary(frozen)}`);
  await workbench.discard();
  return { running, frozen };
}

export function freezeTests(test) {
  test('500 keys while the server is frozen: none lost, none late, no storm of errors', async (workbench) => {
    for (let n = 1; ; ++n) {
      const { running, frozen } = await round(workbench, n);
      // Far above the noise of a busy machine, far below a wait for an answer that does not come.
      if (at(frozen, 0.99) < at(running, 0.99) + 250) return;
      assert.ok(n < mostRounds, `${summary(frozen)}; running: ${summary(running)}`);
    }
  });
}
