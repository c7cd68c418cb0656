// The panel of explanations: one at a time, with a way back to earlier ones.
import { AnswerView, handleCodeButtons } from './answer_view';
import { button, element, setAttributes, setText } from './dom';
import type { Page } from './page';
import { fill, type ExplainState, type ToPage } from './protocol';

export class ExplainPage {
  private readonly back: HTMLButtonElement;
  private readonly forward: HTMLButtonElement;
  private readonly stop: HTMLButtonElement;
  private readonly again: HTMLButtonElement;
  private readonly copy: HTMLButtonElement;
  private readonly source: HTMLButtonElement;
  private readonly position = element('span', { class: 'position' });
  private readonly empty: HTMLElement;
  private readonly article: HTMLElement;
  private answer: AnswerView | undefined;
  private shownId = '';
  private text = '';

  constructor(private readonly page: Page) {
    const { strings, bridge, root } = page;
    this.back = button(strings.back, () => bridge.post({ type: 'back' }));
    this.forward = button(strings.forward, () => bridge.post({ type: 'forward' }));
    this.stop = button(strings.stop, () => bridge.post({ type: 'stop' }), { class: 'primary', hidden: true });
    this.again = button(strings.again, () => bridge.post({ type: 'again' }), { hidden: true });
    this.copy = button(strings.copyAnswer, () => this.copyAnswer(), { hidden: true });
    this.source = button('', () => bridge.post({ type: 'reveal' }), { class: 'link', title: strings.reveal, hidden: true });
    this.empty = element('p', { class: 'empty' }, strings.noExplanation);
    this.article = element('article', { 'aria-label': strings.explanation, tabindex: '-1' });
    const history = element(
      'div',
      { class: 'toolbar', role: 'group', 'aria-label': strings.history },
      this.back,
      this.position,
      this.forward,
    );
    const header = element('header', {}, history, this.source, element('div', { class: 'toolbar' }, this.stop, this.again, this.copy));
    root.append(header, element('main', {}, this.empty, this.article));
    handleCodeButtons(page);
    root.addEventListener('keydown', (event) => this.onKey(event));
  }

  receive(message: ToPage): void {
    if (message.type === 'explainState') this.show(message);
    if (message.type !== 'piece' || message.id !== this.shownId || !this.answer) return;
    if (!this.answer.append(message.offset, message.text)) this.page.bridge.post({ type: 'ready' });
    else this.text = this.text.slice(0, message.offset) + message.text;
  }

  private show(state: ExplainState): void {
    const { strings } = this.page;
    const shown = state.shown;
    const streaming = shown?.state === 'streaming';
    setText(this.position, state.total > 0 ? fill(strings.position, state.index + 1, state.total) : '');
    setAttributes(this.back, { disabled: state.index === 0 });
    setAttributes(this.forward, { disabled: state.index + 1 >= state.total });
    setText(this.source, shown?.source ?? '');
    this.source.hidden = !shown;
    this.empty.hidden = Boolean(shown);
    this.swap(this.stop, this.again, streaming);
    // A failed one says "Try again" where it says why.
    this.again.hidden = streaming || !shown || shown.state === 'failed';
    this.copy.hidden = streaming || !shown?.text;
    this.text = shown?.text ?? '';
    if (!shown) return;
    if (shown.id !== this.shownId || !this.answer) {
      this.shownId = shown.id;
      this.answer = new AnswerView(this.page, { limit: 'incipit.explain.maxTokens' });
      this.article.replaceChildren(this.answer.box);
    }
    this.answer.update(shown);
  }

  // The focus stays where it was when the button under it goes.
  private swap(stop: HTMLButtonElement, again: HTMLButtonElement, streaming: boolean): void {
    const lost = streaming ? again : stop;
    const focused = document.activeElement === lost;
    stop.hidden = !streaming;
    again.hidden = streaming;
    if (focused) (streaming ? stop : again).focus();
  }

  private copyAnswer(): void {
    this.page.bridge.post({ type: 'copy', text: this.text });
    this.page.announcer.say(this.page.strings.copied);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === 'Escape' && !this.stop.hidden) this.page.bridge.post({ type: 'stop' });
    if (event.altKey && event.key === 'ArrowLeft' && !this.back.disabled) this.page.bridge.post({ type: 'back' });
    if (event.altKey && event.key === 'ArrowRight' && !this.forward.disabled) this.page.bridge.post({ type: 'forward' });
  }
}
