// Starts the page that the document asks for (src/pages/page_html.ts writes it).
import './page.css';
import { Announcer } from './announcer';
import { connect, readStrings } from './bridge';
import { ChatPage } from './chat_page';
import { ExplainPage } from './explain_page';
import { markdownRenderer } from './markdown';
import type { Page } from './page';
import type { ToPage } from './protocol';

let receive: (message: ToPage) => void = () => undefined;
const bridge = connect((message) => receive(message));
const strings = readStrings();
const announcer = new Announcer();
const root = document.body;
const page: Page = { bridge, strings, announcer, root, render: markdownRenderer(strings) };
const shown = root.dataset['page'] === 'chat' ? new ChatPage(page) : new ExplainPage(page);
root.append(announcer.region);
receive = (message) => shown.receive(message);
bridge.post({ type: 'ready' });
