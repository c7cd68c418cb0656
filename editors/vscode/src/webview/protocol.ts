// What the extension and its pages say to each other; both sides check what they hear. No VS Code and no DOM in here.
import * as v from 'valibot';

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

// ---- to a page ----

const answerState = v.picklist(['done', 'streaming', 'stopped', 'cutOff', 'failed']);
export type AnswerState = v.InferOutput<typeof answerState>;

const answerFields = {
  text: v.string(),
  state: answerState,
  error: v.optional(v.string()),
  failure: v.optional(v.picklist(['refused', 'unreachable'])),
};

// `isNews`: that it has ended is told for the first time.
const explanation = v.object({ id: v.string(), source: v.string(), isNews: v.optional(v.boolean()), ...answerFields });
export type ExplanationView = v.InferOutput<typeof explanation>;

const message = v.object({
  id: v.string(),
  role: v.picklist(['user', 'assistant']),
  attachments: v.array(v.string()),
  leftOut: v.optional(count),
  ...answerFields,
});
export type MessageView = v.InferOutput<typeof message>;

const explainState = v.object({
  type: v.literal('explainState'),
  index: count,
  total: count,
  shown: v.optional(explanation),
});
export type ExplainState = v.InferOutput<typeof explainState>;

const chatState = v.object({
  type: v.literal('chatState'),
  sessions: v.array(v.object({ id: v.string(), name: v.string() })),
  current: v.string(),
  messages: v.array(message),
  attachments: v.array(v.string()),
  notice: v.optional(v.string()),
});
export type ChatState = v.InferOutput<typeof chatState>;

// New text of an answer. `offset` is how long it was before: a page that missed some asks for the whole state.
const piece = v.object({ type: v.literal('piece'), id: v.string(), offset: count, text: v.string() });
export type Piece = v.InferOutput<typeof piece>;

const focusInput = v.object({ type: v.literal('focusInput') });

const toPage = v.variant('type', [explainState, chatState, piece, focusInput]);
export type ToPage = v.InferOutput<typeof toPage>;

// ---- from a page ----

function plain<const T extends string>(type: T) {
  return v.object({ type: v.literal(type) });
}

function withText<const T extends string>(type: T) {
  return v.object({ type: v.literal(type), text: v.string() });
}

const fromPage = v.variant('type', [
  plain('ready'),
  plain('stop'),
  plain('again'),
  plain('restartServer'),
  withText('copy'),
  withText('insert'),
  // The panel of explanations.
  plain('back'),
  plain('forward'),
  plain('reveal'),
  // The chat.
  withText('send'),
  v.object({ type: v.literal('switch'), session: v.string() }),
  plain('attachSelection'),
  plain('attachFile'),
  v.object({ type: v.literal('detach'), index: count }),
  plain('addModel'),
  v.object({ type: v.literal('openSetting'), key: v.picklist(['incipit.chat.maxTokens', 'incipit.explain.maxTokens']) }),
]);
export type FromPage = v.InferOutput<typeof fromPage>;

// Undefined: not of this protocol, to be ignored.
export function parseToPage(data: unknown): ToPage | undefined {
  return parsed(toPage, data);
}

export function parseFromPage(data: unknown): FromPage | undefined {
  return parsed(fromPage, data);
}

function parsed<T extends v.GenericSchema>(schema: T, data: unknown): v.InferOutput<T> | undefined {
  const result = v.safeParse(schema, data);
  return result.success ? result.output : undefined;
}

// The texts of the pages in the user's language; `{0}` stands for what is put in.
export interface PageStrings {
  you: string;
  assistant: string;
  copy: string;
  copied: string;
  copyAnswer: string;
  insert: string;
  code: string;
  image: string;
  stop: string;
  stopped: string;
  cutOff: string;
  openSetting: string;
  failed: string;
  again: string;
  regenerate: string;
  restartServer: string;
  answering: string;
  answered: string;
  back: string;
  forward: string;
  position: string;
  reveal: string;
  explanation: string;
  history: string;
  noExplanation: string;
  conversation: string;
  session: string;
  question: string;
  placeholder: string;
  send: string;
  attachSelection: string;
  attachFile: string;
  attached: string;
  detach: string;
  leftOut: string;
  addModel: string;
  emptyChat: string;
}

export type PageKind = 'explain' | 'chat';

export function fill(text: string, ...values: (string | number)[]): string {
  return text.replace(/\{(\d)\}/g, (whole, index: string) => String(values[Number(index)] ?? whole));
}
