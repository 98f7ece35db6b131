/**
 * The text of records for a program that embeds many at once: the same text, chunks and hash as the Embedding Bot's.
 *
 * Speaks JSON lines over stdin and stdout. It has no network of its own: what a record refers to, it asks of the
 * program that started it.
 */
import { Buffer } from 'node:buffer';
import { createInterface } from 'node:readline';
import type { Attachment, Medication, Observation } from '@medplum/fhirtypes';
import {
  type AttachmentText,
  type Binaries,
  type BinaryFacts,
  type Content,
  GREATEST_BYTES,
  textOfAttachment,
  tooLarge,
} from '../lib/attachments.ts';
import { embeddable } from '../lib/embeddable.ts';
import { contentHash } from '../lib/embedding-store.ts';
import { asFailure, BotFailure } from '../lib/failure.ts';
import { referencedId } from '../lib/ids.ts';
import { type EmbeddedResource, type RecordSources, subjectReference } from '../lib/record/record-text.ts';

/** What the program asks for. `answer` is what this one had asked it for. */
export type Order =
  | { kind: 'record'; id: number; modelVersion: string; baseUrl: string; resource: EmbeddedResource }
  | { kind: 'answer'; id: number; value?: unknown; failed?: true };

/** What is told: the outcome of an order, or a question; of a Binary no more than `most` bytes are wanted. */
export type Reply =
  | { kind: 'record'; id: number; chunks: [string, string, string][]; hash: string | null; patientId: string | null }
  | { kind: 'failure'; id: number; code: string; message: string }
  | { kind: 'ask'; id: number; what: Question; ids: readonly string[]; most?: number };

type Question = 'binary' | 'binary-facts' | 'medication' | 'observations';

/** A Binary as it is told: base64, or the HTTP status instead of 200; none: it could not be read. */
type BinaryAnswer = { data: string } | { status: number } | null;

/** Carries orders out, any number at a time. */
export class RecordTexts {
  readonly #tell: (reply: Reply) => void;
  readonly #waiting = new Map<number, (answer: Extract<Order, { kind: 'answer' }>) => void>();
  #asked = 0;

  constructor(tell: (reply: Reply) => void) {
    this.#tell = tell;
  }

  /** Takes one order; never throws. */
  async take(order: Order): Promise<void> {
    if (order.kind === 'answer') {
      this.#waiting.get(order.id)?.(order);
      this.#waiting.delete(order.id);
      return;
    }
    try {
      this.#tell(await this.#record(order));
    } catch (error) {
      const { code, message } = asFailure(error, 'EMBEDDING_ERROR');
      this.#tell({ kind: 'failure', id: order.id, code, message });
    }
  }

  async #record({ id, modelVersion, baseUrl, resource }: Extract<Order, { kind: 'record' }>): Promise<Reply> {
    const { chunks } = await embeddable(resource, this.#sources(baseUrl));
    return {
      kind: 'record',
      id,
      chunks: chunks.map((chunk) => [chunk.contentType, chunk.section, chunk.text]),
      hash: chunks.length > 0 ? contentHash(modelVersion, chunks) : null,
      patientId: referencedId(subjectReference(resource), 'Patient') ?? null,
    };
  }

  #sources(baseUrl: string): RecordSources {
    const binaries: Binaries = { baseUrl, read: (id, refusal) => this.#binary(id, refusal) };
    return {
      attachment: (attachment: Attachment, owner): Promise<AttachmentText> =>
        textOfAttachment(binaries, attachment, owner),
      observations: async (ids) => {
        const found = (await this.#ask('observations', ids)) as Observation[];
        const byId = new Map(found.map((observation) => [observation.id, observation]));
        return ids.map((id) => byId.get(id)).filter((observation) => observation !== undefined);
      },
      medication: async (id) => ((await this.#ask('medication', [id])) as Medication | null) ?? undefined,
    };
  }

  async #binary(id: string, refusal: (facts: BinaryFacts) => string | undefined): Promise<Content> {
    const facts = (await this.#ask('binary-facts', [id])) as BinaryFacts | null;
    const reason = facts === null ? 'its Binary could not be read' : refusal(facts);
    if (reason !== undefined) {
      return { reason };
    }
    // One more than is read: enough to see that it is too much.
    return content((await this.#ask('binary', [id], { most: GREATEST_BYTES + 1 })) as BinaryAnswer);
  }

  #ask(what: Question, ids: readonly string[], limit: { most?: number } = {}): Promise<unknown> {
    const id = ++this.#asked;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ value, failed }) => {
        if (failed) {
          reject(new BotFailure('EMBEDDING_ERROR', `Reading ${what} failed`));
        } else {
          resolve(value);
        }
      });
      this.#tell({ kind: 'ask', id, what, ids, ...limit });
    });
  }
}

function content(answer: BinaryAnswer): Content {
  if (answer === null) {
    return { reason: 'its Binary could not be read' };
  }
  if ('status' in answer) {
    return { reason: `its Binary answered HTTP ${answer.status}` };
  }
  const bytes = Buffer.from(answer.data, 'base64');
  return bytes.length > GREATEST_BYTES ? { reason: tooLarge() } : { bytes };
}

/** Serves stdin until it ends. */
export async function serve(): Promise<void> {
  const texts = new RecordTexts((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
  for await (const line of createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })) {
    // Orders run side by side: one that waits for an answer must not keep the answer from being read.
    void texts.take(JSON.parse(line) as Order);
  }
}
