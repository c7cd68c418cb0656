// A text that grows on the page: drawn at most once a frame, and only the blocks that changed, so that what was selected or
// focused further up stays so.
import { element } from './dom';
import type { RenderBlocks } from './markdown';

export interface StreamedTextOptions {
  render: RenderBlocks;
  // A block that will not change any more.
  onBlock?: (block: HTMLElement) => void;
  onDrawn?: () => void;
}

export class StreamedText {
  readonly box = element('div', { class: 'markdown' });
  private text = '';
  private shown: string[] = [];
  private announced = 0;
  private frame: number | undefined;

  constructor(private readonly options: StreamedTextOptions) {}

  get length(): number {
    return this.text.length;
  }

  // The whole text, at once. What was there before the first one is old and not announced.
  set(text: string, finished: boolean): void {
    if (text !== this.text) {
      this.text = text;
      this.draw();
    }
    if (finished) this.finish();
  }

  append(text: string): void {
    this.text += text;
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  // Everything that is shown by now counts as heard.
  skipAnnouncements(): void {
    this.announced = this.shown.length;
  }

  private finish(): void {
    if (this.frame !== undefined) this.draw();
    this.announceUpTo(this.shown.length);
  }

  private draw(): void {
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    this.frame = undefined;
    const blocks = this.options.render(this.text);
    blocks.forEach((html, i) => this.drawBlock(html, i));
    while (this.box.childElementCount > blocks.length) this.box.lastElementChild?.remove();
    this.shown = blocks;
    this.announceUpTo(blocks.length - 1);
    this.options.onDrawn?.();
  }

  private drawBlock(html: string, i: number): void {
    if (this.shown[i] === html) return;
    const block = this.box.children[i] ?? this.box.appendChild(element('div'));
    block.innerHTML = html; // by markdown.ts, which lets no HTML of the text through
  }

  private announceUpTo(end: number): void {
    for (; this.announced < end; ++this.announced) {
      this.options.onBlock?.(this.box.children[this.announced] as HTMLElement);
    }
  }
}
