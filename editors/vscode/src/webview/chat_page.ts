// The chat: sessions above, the conversation, and the question below.
import { handleCodeButtons } from './answer_view';
import { Composer } from './composer';
import { button, element } from './dom';
import { MessageView } from './message_view';
import type { Page } from './page';
import type { ChatState, ToPage } from './protocol';

export class ChatPage {
  private readonly composer: Composer;
  private readonly sessions: HTMLSelectElement;
  private readonly notice = element('div', { class: 'notice', role: 'note', hidden: true });
  private readonly noticeText = element('p');
  private readonly log: HTMLElement;
  private readonly empty: HTMLElement;
  private views: MessageView[] = [];
  private current = '';
  private busy = false;
  // Whether the reader follows what is being written, or has scrolled up to read.
  private following = true;

  constructor(private readonly page: Page) {
    const { strings, bridge, root } = page;
    this.sessions = element('select', { 'aria-label': strings.session, title: strings.session });
    this.sessions.addEventListener('change', () => bridge.post({ type: 'switch', session: this.sessions.value }));
    this.notice.append(this.noticeText, button(strings.addModel, () => bridge.post({ type: 'addModel' })));
    this.empty = element('p', { class: 'empty' }, strings.emptyChat);
    // A log is a live region by itself; the announcer reads it in larger steps.
    this.log = element('main', { class: 'log', role: 'log', 'aria-live': 'off', 'aria-label': strings.conversation, tabindex: '0' });
    this.log.addEventListener('scroll', () => (this.following = this.isAtEnd()));
    this.composer = new Composer(page);
    root.append(element('header', {}, this.sessions, this.notice), this.log, this.composer.box);
    handleCodeButtons(page);
    root.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.busy) bridge.post({ type: 'stop' });
    });
  }

  receive(message: ToPage): void {
    if (message.type === 'chatState') this.show(message);
    if (message.type === 'focusInput') this.composer.focus();
    if (message.type !== 'piece') return;
    const view = this.views.find((candidate) => candidate.id === message.id);
    if (view && !view.append(message.offset, message.text)) this.page.bridge.post({ type: 'ready' });
  }

  private show(state: ChatState): void {
    this.showSessions(state);
    this.noticeText.textContent = state.notice ?? '';
    this.notice.hidden = state.notice === undefined;
    this.showMessages(state);
    this.busy = state.messages.some((message) => message.state === 'streaming');
    this.composer.update(state.current, state.attachments, this.busy);
  }

  private showSessions(state: ChatState): void {
    const options = state.sessions.map(({ id, name }) => element('option', { value: id }, name));
    const same =
      options.length === this.sessions.options.length &&
      options.every((option, i) => option.isEqualNode(this.sessions.options.item(i)));
    // Options that come anew close the list under the user's hand.
    if (!same) this.sessions.replaceChildren(...options);
    this.sessions.value = state.current;
  }

  private showMessages(state: ChatState): void {
    const switched = state.current !== this.current;
    this.current = state.current;
    const views = state.messages.map((message) => this.viewOf(message));
    views.forEach((view, i) => view.update(state.messages[i] as ChatState['messages'][number], i === views.length - 1));
    const grown = views.length > this.views.length;
    this.views = views;
    this.place(views.length > 0 ? views.map((view) => view.box) : [this.empty]);
    if (switched || grown || this.following) this.scrollToEnd();
  }

  private viewOf(message: ChatState['messages'][number]): MessageView {
    const known = this.views.find((view) => view.id === message.id);
    return known ?? new MessageView(this.page, message.id, message, () => this.followEnd());
  }

  // Takes away and adds what differs; what stays is not touched, so it keeps its focus.
  private place(boxes: HTMLElement[]): void {
    for (const child of [...this.log.children]) {
      if (!boxes.includes(child as HTMLElement)) child.remove();
    }
    boxes.forEach((box, i) => {
      if (this.log.children[i] !== box) this.log.insertBefore(box, this.log.children[i] ?? null);
    });
  }

  private isAtEnd(): boolean {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
  }

  private followEnd(): void {
    if (this.following) this.scrollToEnd();
  }

  private scrollToEnd(): void {
    this.log.scrollTop = this.log.scrollHeight;
  }
}
