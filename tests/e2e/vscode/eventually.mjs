// Waiting for what is seen instead of for a time.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

// An upper limit, for a machine that does much else; nothing waits this long when all is well.
export const patience = Number(process.env.INCIPIT_PATIENCE_MS ?? 60_000);

// Waits until `seen()` is true (or anything but null, undefined and false), and returns it.
export async function eventually(what, seen, timeoutMs = patience) {
  const end = Date.now() + timeoutMs;
  let last;
  do {
    last = await seen();
    if (last !== undefined && last !== null && last !== false) return last;
    await sleep(40);
  } while (Date.now() < end);
  return assert.fail(`waited ${timeoutMs} ms for ${what}`);
}

// Waits until `read()` gives `wanted`; when it does not, the failure shows what it gave.
export async function settles(read, wanted, message) {
  let found;
  const same = async () => (found = await read()) === wanted;
  await eventually('the text', same).catch(() => assert.equal(found, wanted, message));
}
