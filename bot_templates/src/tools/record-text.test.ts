import { Buffer } from 'node:buffer';
import { describe, expect, test } from 'vitest';
import { chunkRecord } from '../lib/chunking.ts';
import { contentHash } from '../lib/embedding-store.ts';
import { type EmbeddedResource, recordText } from '../lib/record/record-text.ts';
import { type Order, RecordTexts, type Reply } from './record-text.ts';

const PATIENT = '8f5d7a5e-1111-4111-8111-111111111111';
const BINARY = '9a5d7a5e-2222-4222-8222-222222222222';
const OBSERVATIONS = ['aa5d7a5e-3333-4333-8333-333333333331', 'aa5d7a5e-3333-4333-8333-333333333332'] as const;

const condition = (more: object = {}): EmbeddedResource => ({
  resourceType: 'Condition',
  subject: { reference: `Patient/${PATIENT}` },
  code: { text: 'Asthma' },
  ...more,
});
const order = (resource: EmbeddedResource): Order => ({
  kind: 'record',
  id: 1,
  modelVersion: 'model/4/none',
  baseUrl: 'http://clinic.example/',
  resource,
});

/** Carries an order out, and answers each question from a table. */
async function outcome(given: Order, answers: Record<string, unknown> = {}): Promise<{ reply: Reply; asked: string[] }> {
  const asked: string[] = [];
  return new Promise((resolve) => {
    const texts: RecordTexts = new RecordTexts((reply) => {
      if (reply.kind === 'ask') {
        asked.push(`${reply.what} ${reply.ids.join(',')}${reply.most === undefined ? '' : ` ${reply.most}`}`);
        const value = answers[reply.what] ?? null;
        void texts.take({ kind: 'answer', id: reply.id, value, ...(value === 'failed' ? { failed: true } : {}) });
      } else {
        resolve({ reply, asked });
      }
    });
    void texts.take(given);
  });
}

function document(attachment: object): EmbeddedResource {
  return { resourceType: 'DocumentReference', status: 'current', content: [{ attachment }] } as EmbeddedResource;
}

describe('a record', () => {
  test("has the bot's chunks and hash, and its patient", async () => {
    const resource = condition();
    const nothing = { attachment: () => Promise.reject(new Error()), observations: () => Promise.resolve([]) };
    const text = await recordText(resource, { ...nothing, medication: () => Promise.resolve(undefined) });
    const { chunks } = chunkRecord('Condition', text);
    expect((await outcome(order(resource))).reply).toEqual({
      kind: 'record',
      id: 1,
      chunks: chunks.map((chunk) => [chunk.contentType, chunk.section, chunk.text]),
      hash: contentHash('model/4/none', chunks),
      patientId: PATIENT,
    });
  });

  test('in error has no chunk and no hash', async () => {
    const withheld = condition({ verificationStatus: { coding: [{ code: 'entered-in-error' }] } });
    expect((await outcome(order(withheld))).reply).toMatchObject({ chunks: [], hash: null });
  });

  test('that cannot be read is a failure, and no other suffers', async () => {
    const { reply } = await outcome(order({ resourceType: 'Condition', note: 7 } as unknown as EmbeddedResource));
    expect(reply).toMatchObject({ kind: 'failure', id: 1, code: 'EMBEDDING_ERROR' });
  });
});

describe('what a record refers to is asked for', () => {
  test.each([
    ['its bytes', { data: Buffer.from('Lungs clear.').toString('base64') }, 'Lungs clear.'],
    ['a refusal', { status: 404 }, 'Attachment'],
    ['no answer', null, 'Attachment'],
    ['too much', { data: Buffer.alloc(5 * 1024 * 1024 + 1).toString('base64') }, 'Attachment'],
  ])('a Binary: %s', async (_name, answer, words) => {
    const url = `http://clinic.example/storage/${BINARY}/${PATIENT}?Expires=1`;
    const { reply, asked } = await outcome(order(document({ contentType: 'text/plain', url })), {
      binary: answer,
      'binary-facts': { contentType: 'text/plain' },
    });
    expect(asked).toEqual([`binary-facts ${BINARY}`, `binary ${BINARY} ${5 * 1024 * 1024 + 1}`]);
    expect(JSON.stringify(reply)).toContain(words);
  });

  test.each([
    ['is kept for another patient', { contentType: 'text/plain', securityContext: { reference: 'Patient/other' } }],
    ['is the code of a bot', { contentType: 'application/javascript' }],
    ['cannot be read', null],
  ])('no byte of a Binary that %s', async (_name, facts) => {
    const answers = { binary: { data: Buffer.from('Lungs clear.').toString('base64') }, 'binary-facts': facts };
    const attachment = { contentType: 'text/plain', url: `Binary/${BINARY}` };
    const { reply, asked } = await outcome(order(document(attachment)), answers);
    expect(asked).toEqual([`binary-facts ${BINARY}`]);
    expect(JSON.stringify(reply)).not.toContain('Lungs');
  });

  test('never a URL of another host', async () => {
    const url = `http://evil.example/storage/${BINARY}`;
    expect((await outcome(order(document({ contentType: 'text/plain', url })))).asked).toEqual([]);
  });

  test("the results of a report, in the report's order", async () => {
    const report = {
      resourceType: 'DiagnosticReport',
      status: 'final',
      code: { text: 'Panel' },
      result: OBSERVATIONS.map((id) => ({ reference: `Observation/${id}` })),
    } as EmbeddedResource;
    const found = OBSERVATIONS.map((id, n) => ({ resourceType: 'Observation', id, code: { text: `Result ${n}` } }));
    const { reply, asked } = await outcome(order(report), { observations: found.reverse() });
    expect(asked).toEqual([`observations ${OBSERVATIONS.join(',')}`]);
    const text = JSON.stringify(reply);
    expect(text.indexOf('Result 0')).toBeGreaterThan(0);
    expect(text.indexOf('Result 0')).toBeLessThan(text.indexOf('Result 1'));
  });
});

test('a question that has no answer fails the record', async () => {
  const statement = {
    resourceType: 'MedicationStatement',
    status: 'active',
    medicationReference: { reference: `Medication/${BINARY}` },
  } as EmbeddedResource;
  const { reply } = await outcome(order(statement), { medication: 'failed' });
  expect(reply).toMatchObject({ kind: 'failure', code: 'EMBEDDING_ERROR' });
});
