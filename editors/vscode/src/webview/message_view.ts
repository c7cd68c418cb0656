// A message of the conversation: who says it, what is attached, the text, and for an answer how it ended.
import { AnswerView } from './answer_view';
import { button, element } from './dom';
import type { Page } from './page';
import type { MessageView as Message } from './protocol';

export class MessageView {
  readonly box: HTMLElement;
  private readonly answer: AnswerView;
  private readonly actions = element('div', { class: 'toolbar actions' });
  private readonly regenerate: HTMLButtonElement;
  private text = '';

  constructor(
    page: Page,
    readonly id: string,
    message: Message,
    onDrawn: () => void,
  ) {
    const { strings, bridge, announcer } = page;
    const name = message.role === 'user' ? strings.you : strings.assistant;
    this.answer = new AnswerView(page, { limit: 'incipit.chat.maxTokens', onDrawn });
    this.regenerate = button(strings.regenerate, () => bridge.post({ type: 'again' }));
    const copy = button(strings.copyAnswer, () => {
      bridge.post({ type: 'copy', text: this.text });
      announcer.say(strings.copied);
    });
    this.actions.append(copy, this.regenerate);
    this.box = element('article', { class: `message ${message.role}`, 'aria-label': name }, element('h2', {}, name));
    if (message.attachments.length > 0) {
      const chips = message.attachments.map((label) => element('li', { class: 'chip' }, label));
      this.box.append(element('ul', { class: 'chips', 'aria-label': strings.attached }, ...chips));
    }
    this.box.append(this.answer.box, this.actions);
  }

  update(message: Message, isLast: boolean): void {
    this.text = message.text;
    this.answer.update(message);
    const isAnswer = message.role === 'assistant';
    const settled = message.state !== 'streaming';
    this.actions.hidden = !isAnswer || !settled || !(message.text || isLast);
    // A failed answer offers "Try again" in its note already.
    this.regenerate.hidden = !isLast || message.state === 'failed';
    if (message.state === 'failed' && !message.text) this.actions.hidden = true;
  }

  append(offset: number, text: string): boolean {
    const fits = this.answer.append(offset, text);
    if (fits) this.text = this.text.slice(0, offset) + text;
    return fits;
  }
}
