import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { AuditEvent } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';
import { AUDIT_TYPES } from '../lib/audit.ts';
import { sha256 } from '../lib/hash.ts';

const NOTE = 'Patient reports suicidal thoughts since Tuesday.';

describe('Audit Logging Bot', () => {
  const clinic = useClinic(['audit-logging']);
  let patientId: string;

  beforeEach(async () => {
    await clinic.setSecrets({});
    patientId = (await clinic.create({ resourceType: 'Patient' })).id;
  });

  const write = (more: object = {}, as = clinic.doctor.client) =>
    clinic.execute('audit-logging', { eventType: 'command_received', action: 'E', outcome: '0', ...more }, as);

  async function one(query: string): Promise<AuditEvent> {
    const found = await clinic.find<AuditEvent>('AuditEvent', query);
    expect(found).toHaveLength(1);
    return found[0] as AuditEvent;
  }

  test.each(AUDIT_TYPES)('%s is found by subtype and patient', async (eventType) => {
    expect(await write({ eventType, patientId })).toMatchObject({ success: true });
    const event = await one(`subtype=urn:medbots/ai-audit-event|${eventType}&patient=Patient/${patientId}`);
    expect(event.type).toMatchObject({ system: 'http://terminology.hl7.org/CodeSystem/audit-event-type', code: 'rest' });
    expect(event.subtype?.[0]).toMatchObject({ code: 'operation' });
  });

  test('the example of the page holds, and its types are those that there are', async () => {
    const page = exampleOf('audit-logging', { PATIENT_ID: patientId });
    expectOutput(await clinic.execute('audit-logging', page.input), page.output);
    const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|llm_response`);
    expect(JSON.stringify(event)).not.toContain('childhood');
    expect(details(event)).toMatchObject({ model: 'clinical-model', sources: '3', confidence: '0.7' });
    const text = readFileSync(fileURLToPath(new URL('../../../docs/bots/audit-logging.md', import.meta.url)), 'utf8');
    for (const type of AUDIT_TYPES) {
      expect(text).toContain(`\`${type}\``);
    }
  });

  test('the agents are the model and whoever called; whom the caller names is a claim', async () => {
    const practitionerId = randomUUID();
    await write({ patientId, practitionerId });
    const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|command_received`);
    const { id } = clinic.doctor.profile;
    expect(event.agent).toMatchObject([
      { type: { coding: [{ code: '110150' }] }, who: { reference: expect.stringMatching(/^Device\//) as unknown } },
      { type: { coding: [{ code: 'IRCP' }] }, who: { reference: `Practitioner/${id}` }, requestor: true },
    ]);
    expect(JSON.stringify(event.agent)).not.toContain(practitionerId);
    expect(details(event)['claimed-practitioner']).toBe(`Practitioner/${practitionerId}`);
  });

  test("a command's trail is found by its id, and no entity has name and query", async () => {
    const commandId = `urn:medbots/command|${randomUUID()}`;
    await write({ commandId, patientId });
    const event = await one(`entity-name=${encodeURIComponent(commandId)}`);
    expect(event.entity?.some((entity) => entity.name && entity.query)).toBe(false);
  });

  test('prompt and response are stored as hash and length', async () => {
    await write({ eventType: 'llm_response', patientId, prompt: NOTE, response: NOTE, confidence: 0.7 });
    const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|llm_response`);
    expect(JSON.stringify(event)).not.toContain('suicidal');
    expect(details(event)).toMatchObject({
      'prompt-length': String(NOTE.length),
      'response-sha256': expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
      confidence: '0.7',
    });
  });

  test('with AUDIT_STORE_PROMPTS=full the text is stored too, 10 kB at most', async () => {
    await clinic.setSecrets({ AUDIT_STORE_PROMPTS: 'full' });
    await write({ eventType: 'llm_request', patientId, prompt: NOTE + 'x'.repeat(20_000) });
    const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|llm_request`);
    expect(details(event).prompt?.startsWith(NOTE)).toBe(true);
    expect(details(event).prompt).toHaveLength(10_000);
    expect(details(event)['prompt-length']).toBe(String(NOTE.length + 20_000));
  });

  test.each([
    ['a code', 'SuggestMedicationChange'],
    ['a reference', 'Practitioner/5b8f0a4e-6d1c-4c1e-9a58-0b7c9d3f1a22'],
    ['a system and code', 'http://loinc.org|4548-4'],
    ['a version', 'grounded-answer/2'],
    ['a model', 'ollama/llama3.1:8b'],
    ['a list', 'practitioner,pharmacist'],
    ['a time', '2026-03-04T10:00:00.000Z'],
  ])('%s in a detail is kept', async (_name, fact) => {
    await write({ patientId, detail: { fact } });
    const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|command_received`);
    expect(details(event)).toMatchObject({ fact });
  });

  test.each([
    ['a sentence', NOTE],
    ['two words', 'suicidal thoughts'],
    ['a word of another script', 'суицид'],
    ['a line end', 'suicidal\nthoughts'],
    ['a word too long for a code', 'suicidal'.repeat(17)],
  ])('%s in a detail is kept as hash and length', async (_name, fact) => {
    await write({ patientId, detail: { note: fact, sources: 3 } });
    const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|command_received`);
    expect(JSON.stringify(event)).not.toMatch(/suicidal|суицид/);
    expect(details(event)).toMatchObject({
      'note-sha256': sha256(fact),
      'note-length': String(fact.length),
      sources: '3',
    });
    expect(details(event)).not.toHaveProperty('note');
  });

  test.each([
    ['DB_ERROR', 'DB_ERROR', false],
    ['SAFETY_BLOCKED: FORGED', 'SAFETY_BLOCKED: FORGED', false],
    [`LLM_ERROR: ${NOTE}`, 'LLM_ERROR', true],
    [`SAFETY_BLOCKED: FORGED: ${NOTE}`, 'SAFETY_BLOCKED: FORGED', true],
    [NOTE, undefined, true],
    [`CODE ${NOTE}`, undefined, true],
  ])('of the outcome %j the codes are kept', async (outcomeDesc, kept, withHash) => {
    await write({ patientId, outcome: '8', outcomeDesc });
    const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|command_received`);
    expect(event.outcomeDesc).toBe(kept);
    expect(JSON.stringify(event)).not.toContain('suicidal');
    const said = details(event);
    expect([said['outcome-desc-sha256'], said['outcome-desc-length']]).toEqual(
      withHash ? [sha256(outcomeDesc), String(outcomeDesc.length)] : [undefined, undefined]
    );
  });

  test('several events are written in one call, each at its own time', async () => {
    const recorded = [60_000, 5_000].map((before) => new Date(Date.now() - before).toISOString());
    const events = ['llm_request', 'llm_response'].map((eventType, index) => ({
      eventType,
      action: 'E',
      outcome: 0,
      patientId,
      recorded: recorded[index],
    }));
    const output = await clinic.execute('audit-logging', { events });
    expect(output.auditEventIds).toHaveLength(2);
    const found = await clinic.find<AuditEvent>('AuditEvent', `patient=Patient/${patientId}`);
    expect(found.map((event) => event.recorded).sort()).toEqual(recorded);
  });

  test.each(['2019-03-04T10:00:00Z', '2199-03-04T10:00:00Z'])(
    'an event is not dated to %s, which is noted as a claim',
    async (recorded) => {
      await write({ patientId, recorded, detail: { sources: 3 } });
      const event = await one(`patient=Patient/${patientId}&subtype=urn:medbots/ai-audit-event|command_received`);
      expect(Math.abs(Date.now() - Date.parse(event.recorded))).toBeLessThan(60_000);
      expect(details(event)).toMatchObject({ sources: '3', 'claimed-recorded': new Date(recorded).toISOString() });
    }
  );

  test.each([
    ['an unknown type', { eventType: 'command_invented' }],
    ['no type', { eventType: null }],
    ['an unknown action', { action: 'X' }],
    ['an outcome that FHIR has not', { outcome: '5' }],
    ['a patient that is no id', { patientId: 'Eleanor' }],
    ['a patient of another type', { patientId: `Practitioner/${randomUUID()}` }],
    ['a confidence above 1', { confidence: 2 }],
    ['a detail that is a text', { detail: NOTE }],
    ['a detail that holds a text too long', { detail: { note: 'x'.repeat(201) } }],
    ['a detail that holds an object', { detail: { note: {} } }],
    ['a field of no meaning', { agent: 'Practitioner/somebody' }],
    ['a bot that is none', { claimedBot: 'nonsense' }],
    ['a command whose id is a text', { commandId: 'suicidal thoughts' }],
    ['a time without a zone', { recorded: '2024-05-01T08:00:00' }],
    ['no events at all', { events: [] }],
  ])('%s is INVALID_INPUT, and nothing is written', async (_name, wrong) => {
    const before = await clinic.find<AuditEvent>('AuditEvent', 'subtype=urn:medbots/ai-audit-event|command_received');
    const output =
      'events' in wrong ? await clinic.execute('audit-logging', wrong) : await write({ patientId, ...wrong });
    expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    expect(JSON.stringify(output)).not.toContain('suicidal');
    const after = await clinic.find<AuditEvent>('AuditEvent', 'subtype=urn:medbots/ai-audit-event|command_received');
    expect(after).toHaveLength(before.length);
  });

  test('its credential can neither change nor delete what it wrote', async () => {
    const probe = `exports.handler = async (medplum, { input }) => {
      const event = await medplum.readResource('AuditEvent', input.id);
      const outcomes = [];
      for (const attempt of [
        () => medplum.updateResource({ ...event, outcome: '12' }),
        () => medplum.patchResource('AuditEvent', input.id, [{ op: 'replace', path: '/outcome', value: '12' }]),
        () => medplum.deleteResource('AuditEvent', input.id),
      ]) {
        outcomes.push(await attempt().then(() => 'done', (error) => error.outcome?.issue?.[0]?.code ?? 'failed'));
      }
      return { outcomes };
    };\n`;
    const { auditEventIds } = await write({ patientId });
    await clinic.runAs('audit-logging', probe, { id: auditEventIds[0] }).then((output) => {
      expect(output.outcomes).toEqual(['forbidden', 'forbidden', 'forbidden']);
    });
  });
});

function details(event: AuditEvent): Record<string, string | undefined> {
  return Object.fromEntries(
    (event.entity ?? []).flatMap((entity) => (entity.detail ?? []).map(({ type, valueString }) => [type, valueString]))
  );
}
