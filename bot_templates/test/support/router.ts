import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders, ServerResponse } from 'node:http';
import { type Listening, listen, sendJson } from './http.ts';

/** An answer other than good embeddings. */
export type Fault = (response: ServerResponse, texts: string[]) => void;

/** What the router was asked. */
export interface RouterCall {
  path: string;
  headers: IncomingHttpHeaders;
  body: { model?: string; input?: string[] } & Record<string, unknown>;
}

/** A model router that embeds by words, and fails as told. */
export class TestRouter {
  readonly calls: RouterCall[] = [];
  /** Faults of the next calls, in order; afterwards the router is well. */
  faults: Fault[] = [];
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
      const input = body.input ?? [];
      this.calls.push({ path: request.url ?? '', headers: request.headers, body });
      const fault = this.faults.shift();
      if (fault) {
        fault(response, input);
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
    this.dimension = 768;
  }
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
