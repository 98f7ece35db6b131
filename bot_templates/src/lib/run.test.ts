import type { AuditEvent } from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { executeEvent, subscriptionEvent } from '../../test/support/events.ts';
import { TestFhirServer } from '../../test/support/fhir-server.ts';
import { auditEvent } from './audit.ts';
import { BotFailure } from './failure.ts';
import { BotRun, runBot } from './run.ts';

const BOT = {
  key: 'test',
  name: 'Test Bot',
  runsAsUser: false,
  unforeseen: 'DB_ERROR',
  failureAudit: 'embedding_failure',
} as const;
const resource = { resourceType: 'Condition', id: '1', meta: { versionId: '1' } };
const server = new TestFhirServer();

beforeAll(() => server.start());
afterAll(() => server.stop());
beforeEach(() => {
  server.created.length = 0;
  server.rights.clear();
});

const failing = (error: unknown) => () => Promise.reject(error as Error);

describe('runBot', () => {
  test('returns what the work gives, and writes no audit of its own', async () => {
    expect(await runBot(BOT, server.client(), executeEvent({}, {}), async () => ({ done: 3 }))).toEqual({
      success: true,
      done: 3,
    });
    expect(server.audits).toEqual([]);
  });

  test('returns a failure on $execute, and audits it', async () => {
    const output = await runBot(BOT, server.client(), executeEvent({}, {}), failing(new BotFailure('TIMEOUT', 'Late')));
    expect(output).toEqual({ success: false, errorCode: 'TIMEOUT', message: 'Late' });
    expect(server.audits).toMatchObject([{ outcome: '8', outcomeDesc: 'TIMEOUT: Late' }]);
  });

  test('throws a failure on a subscription, and audits it', async () => {
    const failure = new BotFailure('INVALID_INPUT', 'No');
    await expect(runBot(BOT, server.client(), subscriptionEvent(resource, {}), failing(failure))).rejects.toBe(failure);
    expect(server.audits).toMatchObject([{ outcome: '4' }]);
  });

  test('returns a failure to a caller who sends a resource as a subscription would', async () => {
    const output = await runBot(
      BOT,
      server.client(),
      executeEvent(resource, {}),
      failing(new BotFailure('TIMEOUT', 'Late'))
    );
    expect(output).toMatchObject({ success: false });
  });

  test('tells of an unforeseen error no more than its name', async () => {
    const output = await runBot(BOT, server.client(), executeEvent({}, {}), failing(new SyntaxError('at "Eleanor"')));
    expect(output).toEqual({ success: false, errorCode: 'DB_ERROR', message: 'Unexpected SyntaxError' });
    expect(JSON.stringify(server.audits)).not.toContain('Eleanor');
  });

  test('does not audit a mistake in the input of $execute', async () => {
    expect(await runBot(BOT, server.client(), executeEvent('text', {}), async () => ({}))).toMatchObject({
      errorCode: 'INVALID_INPUT',
    });
    expect(server.audits).toEqual([]);
  });

  test('gives the failure itself even where it cannot be audited', async () => {
    server.rights.set('bot', { mayCreate: () => false });
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const output = await runBot(BOT, server.client(), executeEvent({}, {}), failing(new BotFailure('TIMEOUT', 'Late')));
    expect(output).toMatchObject({ errorCode: 'TIMEOUT' });
    expect(log.mock.calls.map(([line]) => String(line).replace(/[0-9a-f-]{36}/, 'ID'))).toEqual([
      'TIMEOUT ID',
      'AUDIT_FAILED embedding_failure ID',
    ]);
    log.mockRestore();
  });
});

describe('auditEvent', () => {
  const event = (requester: string, values = {}, device?: string): AuditEvent =>
    auditEvent(
      new BotRun(BOT, server.client(), executeEvent({}, values, requester)),
      {
        type: 'semantic_search',
        action: 'E',
        outcome: '0',
        patientId: 'p',
        encounterId: 'e',
        resource: 'Condition/c',
        commandId: 'k',
        claimedBot: 'Bot/b',
        detail: { results: 2 },
      },
      device
    );

  test('names the bot and who asked', () => {
    expect(event('Practitioner/d').agent).toEqual([
      {
        type: {
          coding: [{ system: 'http://dicom.nema.org/resources/ontology/DCM', code: '110150', display: 'Application' }],
        },
        who: { reference: expect.stringMatching(/^Bot\//) as unknown },
        name: 'Test Bot',
        requestor: false,
      },
      {
        type: { coding: [expect.objectContaining({ code: 'IRCP' }) as unknown] },
        who: { reference: 'Practitioner/d' },
        requestor: true,
      },
    ]);
  });

  test('names the model that the bot speaks for, where there is a Device of it', () => {
    expect(event('Practitioner/d', {}, 'Device/m').agent?.[0]?.who).toEqual({ reference: 'Device/m' });
  });

  test('has the bot ask where nobody else did', () => {
    expect(event('nobody').agent).toMatchObject([{ requestor: true }]);
  });

  test('names patient, record and request, and never name and query on one entity', () => {
    const entities = event('Practitioner/d').entity ?? [];
    expect(entities.map((entity) => entity.what?.reference ?? entity.name ?? entity.type?.code)).toEqual([
      'Patient/p',
      'Encounter/e',
      'Condition/c',
      'k',
      'Bot/b',
      'XrequestId',
    ]);
    expect(entities.some((entity) => entity.query !== undefined)).toBe(false);
  });

  test('takes the namespace of the manifest', () => {
    expect(event('Practitioner/d', { MEDBOTS_NAMESPACE: 'https://clinic.example/bots' }).subtype?.[1]?.system).toBe(
      'https://clinic.example/bots/ai-audit-event'
    );
  });
});

test('a header is found whatever its case, and only as text', () => {
  const run = new BotRun(BOT, server.client(), executeEvent({}, {}, 'Practitioner/d', { 'X-Thing': 'a' }));
  expect(run.header('x-thing')).toBe('a');
  expect(run.header('x-other')).toBeUndefined();
});
