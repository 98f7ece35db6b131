import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { type Listening, listen, sendJson } from './http.ts';

/** An answer other than good embeddings. */
export type Fault = (response: ServerResponse, texts: string[]) => void;

/** What the router was asked. */
export interface RouterCall {
  path: string;
  headers: IncomingHttpHeaders;
  body: { model?: string; input?: string[]; messages?: { role: string; content: string }[] } & Record<string, unknown>;
}

/** What a chat model answers: a value becomes JSON, a text stays as it is. */
export type Chat = (call: RouterCall) => unknown;

/** A model router that embeds by words, answers a chat as told, and fails as told. */
export class TestRouter {
  readonly calls: RouterCall[] = [];
  /** Faults of the next calls for embeddings, in order; afterwards the router is well. */
  faults: Fault[] = [];
  /** The same for chats. */
  chatFaults: Fault[] = [];
  chat: Chat = () => ({});
  dimension: number;
  #server: Listening | undefined;

  constructor(dimension = 768) {
    this.dimension = dimension;
  }

  get url(): string {
    return this.#server?.url ?? '';
  }

  async start(): Promise<this> {
    this.#server = await listen((request, text, response) => {
      const body = JSON.parse(text) as RouterCall['body'];
      const call = { path: request.url ?? '', headers: request.headers, body };
      this.calls.push(call);
      const chat = call.path === '/v1/chat/completions';
      const input = chat ? (body.messages ?? []).map(({ content }) => content) : (body.input ?? []);
      const fault = (chat ? this.chatFaults : this.faults).shift();
      if (fault) {
        fault(response, input);
      } else if (chat) {
        sendChat(response, this.chat(call));
      } else {
        sendEmbeddings(response, input, this.dimension);
      }
    });
    return this;
  }

  async stop(): Promise<void> {
    await this.#server?.close();
  }

  reset(): void {
    this.calls.length = 0;
    this.faults = [];
    this.chatFaults = [];
    this.chat = () => ({});
    this.dimension = 768;
  }

  /** The calls of chats so far. */
  get chats(): RouterCall[] {
    return this.calls.filter(({ path }) => path === '/v1/chat/completions');
  }
}

/** The id of the source block in a chat's message that holds a text: what a model would cite. */
export function sourceWith(call: RouterCall, text: string): string {
  const shown = call.body.messages?.find(({ role }) => role === 'user')?.content ?? '';
  const blocks = [...shown.matchAll(/^\[(S\d+) ([0-9a-f]+)\]([\s\S]*?)^\[\/\1 \2\]$/gm)];
  const found = blocks.find(([block]) => block.includes(text));
  if (!found?.[1]) {
    throw new Error(`no source holds ${text}`);
  }
  return found[1];
}

function sendChat(response: ServerResponse, answer: unknown): void {
  const content = typeof answer === 'string' ? answer : JSON.stringify(answer);
  sendJson(response, 200, {
    id: 'chat-1',
    object: 'chat.completion',
    model: 'test-model',
    choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content } }],
    usage: { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 },
  });
}

/** Faults by name. */
export const status =
  (code: number, headers: Record<string, string> = {}): Fault =>
  (response, texts) =>
    // As real routers do, this one quotes the input in its errors.
    void response
      .writeHead(code, { 'Content-Type': 'application/json', ...headers })
      .end(JSON.stringify({ error: { message: `cannot embed ${texts.join()}` } }));
export const answer =
  (body: string): Fault =>
  (response) =>
    void response.writeHead(200, { 'Content-Type': 'application/json' }).end(body);
export const silence: Fault = () => undefined;
export const hangUp: Fault = (response) => void response.socket?.destroy();

/** Good embeddings, late. */
export const slowly =
  (milliseconds: number): Fault =>
  (response, texts) =>
    void setTimeout(() => sendEmbeddings(response, texts, 768), milliseconds);

/** Embeddings of another length. */
export const ofDimension =
  (dimension: number): Fault =>
  (response, texts) =>
    sendEmbeddings(response, texts, dimension);

function sendEmbeddings(response: ServerResponse, texts: string[], dimension: number): void {
  const data = texts.map((text, index) => ({ index, embedding: embed(text, dimension) }));
  sendJson(response, 200, { object: 'list', data });
}

/** Texts that share words lie near each other; unit length. */
export function embed(text: string, dimension: number): number[] {
  const vector = new Array<number>(dimension).fill(0);
  for (const word of text.toLowerCase().match(/[a-z0-9]+/g) ?? ['']) {
    const digest = createHash('sha256').update(word).digest();
    const position = digest.readUInt32BE(0) % dimension;
    vector[position] = (vector[position] ?? 0) + 1;
  }
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}
