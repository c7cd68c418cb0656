'use strict';

const fs = require('fs');
const { EventEmitter } = require('events');

function* numbers(limit = Infinity) {
  for (let i = 0n; i < limit; i++) yield i ** 2n;
}

module.exports = class Counter extends EventEmitter {
  static instances = 0;
  get value() { return this._value | 0; }
  set value(next) { this._value = +next; this.emit('change', { next }); }
  constructor(start) { super(); this.value = start ?? 0; Counter.instances += 1; }
};

fs.promises.readFile(__filename, 'utf8').then((text) => {
  const lines = text.split(/\r?\n/).filter(Boolean).map((line) => line.trimEnd());
  console.log(`${lines.length} lines, it's ${new Date(0).toISOString()}`);
}).catch(({ message }) => { console.error('couldn\'t read:', message); process.exitCode = 1; });

for (const n of numbers(5)) if (!(n & 1n)) continue; else void n;
