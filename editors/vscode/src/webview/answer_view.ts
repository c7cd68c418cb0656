// An answer on the page: its text as it grows, and below it how it ended and what one can do about that.
import { button, element } from './dom';
import type { Page } from './page';
import { fill, type AnswerState } from './protocol';
import { StreamedText } from './streamed_text';

export interface Answer {
  text: string;
  state: AnswerState;
  error?: string | undefined;
  failure?: 'refused' | 'unreachable' | undefined;
  leftOut?: number | undefined;
  isNews?: boolean | undefined;
}

export interface AnswerViewOptions {
  // The setting that an answer is cut off by.
  limit: 'incipit.chat.maxTokens' | 'incipit.explain.maxTokens';
  onDrawn?: () => void;
}

export class AnswerView {
  readonly box: HTMLElement;
  private readonly streamed: StreamedText;
  private readonly note = element('div', { class: 'note', hidden: true });
  private state: AnswerState | undefined;
  private noteKey = '';

  constructor(
    private readonly page: Page,
    private readonly options: AnswerViewOptions,
  ) {
    this.streamed = new StreamedText({
      render: page.render,
      onBlock: (block) => this.announce(block),
      ...(options.onDrawn ? { onDrawn: options.onDrawn } : {}),
    });
    this.box = element('div', { class: 'answer' }, this.streamed.box, this.note);
  }

  update(answer: Answer): void {
    const before = this.state;
    const streaming = answer.state === 'streaming';
    const old = before === undefined && !streaming && !answer.isNews;
    this.state = answer.state;
    this.streamed.set(answer.text, false);
    // An answer that was there before the page looked is read when one goes to it, not by itself.
    if (old) this.streamed.skipAnnouncements();
    this.streamed.set(answer.text, !streaming);
    this.box.setAttribute('aria-busy', String(streaming));
    this.showNote(answer);
    if (streaming && before !== 'streaming') this.page.announcer.say(this.page.strings.answering);
    if (!streaming && !old && before !== answer.state) this.page.announcer.say(this.note.textContent || this.page.strings.answered);
  }

  // False: pieces are missing before this one.
  append(offset: number, text: string): boolean {
    if (offset === this.streamed.length) this.streamed.append(text);
    return offset <= this.streamed.length;
  }

  private announce(block: HTMLElement): void {
    const code = block.querySelector('figure.code');
    this.page.announcer.say((code?.getAttribute('aria-label') ?? block.textContent) || '');
  }

  private showNote(answer: Answer): void {
    const key = JSON.stringify([answer.state, answer.error, answer.failure, answer.leftOut]);
    if (key === this.noteKey) return;
    this.noteKey = key;
    const children = [...this.ending(answer), ...this.leftOut(answer)];
    this.note.className = answer.state === 'failed' ? 'note error' : 'note';
    this.note.replaceChildren(...children);
    this.note.hidden = children.length === 0;
  }

  private ending(answer: Answer): Node[] {
    const { strings, bridge } = this.page;
    switch (answer.state) {
      case 'streaming':
        return answer.text ? [] : [element('p', {}, strings.answering)];
      case 'stopped':
        return [element('p', {}, strings.stopped)];
      case 'cutOff':
        return [
          element('p', {}, strings.cutOff),
          button(strings.openSetting, () => bridge.post({ type: 'openSetting', key: this.options.limit })),
        ];
      case 'failed':
        return [element('p', {}, answer.error ?? strings.failed), ...this.remedies(answer)];
      case 'done':
        return [];
    }
  }

  private remedies(answer: Answer): Node[] {
    const { strings, bridge } = this.page;
    const again = button(strings.again, () => bridge.post({ type: 'again' }));
    const second =
      answer.failure === 'unreachable'
        ? button(strings.restartServer, () => bridge.post({ type: 'restartServer' }))
        : button(strings.addModel, () => bridge.post({ type: 'addModel' }));
    return [again, second];
  }

  private leftOut(answer: Answer): Node[] {
    return answer.leftOut ? [element('p', {}, fill(this.page.strings.leftOut, answer.leftOut))] : [];
  }
}

// Copy and insert buttons of code blocks, wherever they are on the page.
export function handleCodeButtons(page: Page): void {
  page.root.addEventListener('click', (event) => {
    const pressed = (event.target as Element).closest<HTMLElement>('button[data-action]');
    const code = pressed?.closest('figure.code')?.querySelector('code')?.textContent;
    if (!pressed || code === undefined) return;
    if (pressed.dataset['action'] === 'copy') page.bridge.post({ type: 'copy', text: code });
    else page.bridge.post({ type: 'insert', text: code });
    if (pressed.dataset['action'] === 'copy') page.announcer.say(page.strings.copied);
  });
}
