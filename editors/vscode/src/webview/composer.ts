// Where the question is written: the field, what is attached to it, and the buttons. Drafts are kept for each session.
import { button, element, setAttributes } from './dom';
import type { Page } from './page';
import { fill } from './protocol';

const mostRows = 12;

export class Composer {
  readonly box: HTMLElement;
  private readonly input: HTMLTextAreaElement;
  private readonly chips = element('ul', { class: 'chips', hidden: true });
  private readonly sendButton: HTMLButtonElement;
  private readonly stopButton: HTMLButtonElement;
  private busy = false;
  private session = '';
  private attachments: string[] = [];

  constructor(private readonly page: Page) {
    const { strings, bridge } = page;
    this.input = element('textarea', { rows: '2', 'aria-label': strings.question, placeholder: strings.placeholder });
    this.sendButton = button(strings.send, () => this.send(), { class: 'primary' });
    this.stopButton = button(strings.stop, () => bridge.post({ type: 'stop' }), { class: 'primary', hidden: true });
    this.chips.setAttribute('aria-label', strings.attached);
    const buttons = element(
      'div',
      { class: 'toolbar' },
      button(strings.attachSelection, () => bridge.post({ type: 'attachSelection' })),
      button(strings.attachFile, () => bridge.post({ type: 'attachFile' })),
      element('span', { class: 'spring' }),
      this.sendButton,
      this.stopButton,
    );
    this.box = element('form', { class: 'composer' }, this.chips, this.input, buttons);
    this.box.addEventListener('submit', (event) => event.preventDefault());
    this.input.addEventListener('keydown', (event) => this.onKey(event));
    this.input.addEventListener('input', () => this.onInput());
  }

  focus(): void {
    this.input.focus();
  }

  update(session: string, attachments: string[], busy: boolean): void {
    if (session !== this.session) {
      this.session = session;
      this.input.value = this.drafts()[session] ?? '';
    }
    this.busy = busy;
    this.swapButtons();
    if (attachments.join('\n') !== this.attachments.join('\n')) this.showChips(attachments);
    this.resize();
  }

  private onKey(event: KeyboardEvent): void {
    // While an input method composes, Enter chooses a candidate.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.send();
  }

  private onInput(): void {
    this.keepDraft(this.input.value);
    this.resize();
  }

  private send(): void {
    const text = this.input.value.trim();
    if (this.busy || (!text && this.attachments.length === 0)) return;
    this.page.bridge.post({ type: 'send', text });
    this.input.value = '';
    this.onInput();
    this.focus();
  }

  private swapButtons(): void {
    const going = this.busy ? this.sendButton : this.stopButton;
    const focused = document.activeElement === going;
    this.sendButton.hidden = this.busy;
    this.stopButton.hidden = !this.busy;
    if (focused) this.focus();
  }

  private showChips(attachments: string[]): void {
    this.attachments = attachments;
    this.chips.hidden = attachments.length === 0;
    const focused = this.chips.contains(document.activeElement);
    this.chips.replaceChildren(
      ...attachments.map((label, i) => {
        const remove = button('×', () => this.page.bridge.post({ type: 'detach', index: i }), {
          'aria-label': fill(this.page.strings.detach, label),
        });
        return element('li', { class: 'chip' }, element('span', {}, label), remove);
      }),
    );
    if (focused) this.focus();
  }

  private resize(): void {
    const rows = Math.min(mostRows, Math.max(2, this.input.value.split('\n').length));
    setAttributes(this.input, { rows: String(rows) });
  }

  private drafts(): Record<string, string> {
    const state = this.page.bridge.remembered() as { drafts?: unknown } | undefined;
    const drafts = state?.drafts;
    return drafts !== null && typeof drafts === 'object' ? { ...(drafts as Record<string, string>) } : {};
  }

  private keepDraft(text: string): void {
    const drafts = Object.entries({ ...this.drafts(), [this.session]: text }).filter(([, draft]) => draft !== '');
    this.page.bridge.remember({ drafts: Object.fromEntries(drafts) });
  }
}
