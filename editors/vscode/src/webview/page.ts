// What both pages are given.
import type { Announcer } from './announcer';
import type { Bridge } from './bridge';
import type { RenderBlocks } from './markdown';
import type { PageStrings } from './protocol';

export interface Page {
  bridge: Bridge;
  strings: PageStrings;
  render: RenderBlocks;
  announcer: Announcer;
  root: HTMLElement;
}
