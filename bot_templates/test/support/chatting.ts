import { randomUUID } from 'node:crypto';
import { MedplumClient } from '@medplum/core';
import { afterAll, beforeAll, beforeEach, expect } from 'vitest';
import type { AuditRecord } from '../../src/lib/audit.ts';
import { BotFailure } from '../../src/lib/failure.ts';
import { type Answer, askModel, type Question } from '../../src/lib/model/chat.ts';
import { citedSentences } from '../../src/lib/model/grounding.ts';
import { Sources } from '../../src/lib/model/sources.ts';
import { BotRun, CLINICAL_MODEL } from '../../src/lib/run.ts';
import { executeEvent } from './events.ts';
import { answer, type Fault, TestRouter } from './router.ts';

const BOT = {
  key: 'rag-pipeline',
  name: 'RAG Pipeline Bot',
  runsAsUser: true,
  unforeseen: 'LLM_ERROR',
  failureAudit: 'rag_query',
  model: CLINICAL_MODEL,
} as const;

export const PATIENT_ID = randomUUID();
export const NOTE = 'Patient reports suicidal thoughts.';
export const GOOD = { sentences: [{ text: 'HbA1c was 8.2 %.', citations: ['S1'] }] };

/** A run of a bot that asks a model by a router. */
export interface Chatting {
  router: TestRouter;
  /** What the run wrote to the audit trail. */
  noted: AuditRecord[];
  /** Begins another run, with further secrets. */
  use(secrets: Record<string, string>): void;
  ask(more?: Partial<Question>): Promise<Answer<typeof GOOD>>;
  /** The response format of each request so far. */
  formats(): unknown[];
}

/** Starts a router for the tests of a block, and a new run for each. */
export function useChat(): Chatting {
  const router = new TestRouter();
  const noted: AuditRecord[] = [];
  let run: BotRun;

  function use(secrets: Record<string, string>): void {
    const values = { LLM_ROUTER_URL: router.url, LLM_API_KEY: 'sk-test', LLM_TIMEOUT_MS: '300', ...secrets };
    run = new BotRun(BOT, new MedplumClient({ baseUrl: 'http://127.0.0.1:1/', fetch }), executeEvent({}, values));
    run.patientId = PATIENT_ID;
    noted.length = 0;
    run.audit.note = (record) => void noted.push(record);
  }

  beforeAll(() => router.start());
  afterAll(() => router.stop());
  beforeEach(() => {
    router.reset();
    use({});
  });

  return {
    router,
    noted,
    use,
    ask: (more = {}) => {
      const sources = new Sources();
      sources.add({ reference: 'Observation/1', date: '2024-01-10', title: 'HbA1c', text: `Value: 8.2 %\n${NOTE}` });
      return askModel(run, {
        task: 'rag_query',
        prompt: { id: 'test', version: '3', system: 'You answer questions.' },
        sources,
        question: 'What is the HbA1c?',
        schema: {
          name: 'answer',
          schema: {
            type: 'object',
            properties: { sentences: citedSentences(5, 'The answer.') },
            required: ['sentences'],
            additionalProperties: false,
          },
        },
        ...more,
      });
    },
    formats: () => router.chats.map(({ body }) => (body.response_format as { type?: string })?.type),
  };
}

export async function failureOf(work: Promise<unknown>): Promise<BotFailure> {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error
  );
  expect(failure).toBeInstanceOf(BotFailure);
  return failure as BotFailure;
}

/** What a router answers to a chat, whole. */
export const raw = (choice: unknown, more: object = {}): Fault => answer(JSON.stringify({ choices: [choice], ...more }));
export const saying = (content: unknown): Fault => raw({ message: { role: 'assistant', content } });
