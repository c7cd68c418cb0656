// Tells a screen reader what has become complete: paragraph by paragraph, not token by token.
import { element } from './dom';

const mostKept = 12;

export class Announcer {
  readonly region = element('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite', 'aria-atomic': 'false' });

  say(text: string): void {
    if (!text.trim()) return;
    this.region.append(element('p', {}, text.trim()));
    while (this.region.childElementCount > mostKept) this.region.firstElementChild?.remove();
  }
}
