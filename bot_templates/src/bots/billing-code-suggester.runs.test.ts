import { randomUUID } from 'node:crypto';
import type { AccessPolicyResource, AuditEvent, Encounter, Patient, Subscription, Task } from '@medplum/fhirtypes';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { codesOf, named, NOTE, Visit } from '../../test/support/billing.ts';
import { useClinic } from '../../test/support/clinic.ts';
import { readManifest } from '../../test/support/manifest.ts';
import { tryPolicy } from '../../test/support/policy.ts';
import { sourceWith } from '../../test/support/router.ts';

const KEY = 'billing-code-suggester';
const EXPRESSION = 'https://medplum.com/fhir/StructureDefinition/fhir-path-criteria-expression';
const PATIENCE = { timeout: 10_000 };

describe('Billing Code Suggester Bot, when it runs', () => {
  const clinic = useClinic([KEY, 'command-processor']);

  beforeEach(() => {
    clinic.router.chat = () => ({ codes: [] });
  });

  const runsFor = (visit: Visit): Promise<AuditEvent[]> =>
    clinic.audits('billing_suggestion', `&patient=Patient/${visit.patient.id}`);

  /** The model names diabetes, as sure of it as it says. */
  const nameDiabetes = (confidence: number): void => {
    clinic.router.chat = (call) => ({
      codes: [named('E11.9', 'Type 2 diabetes mellitus', [sourceWith(call, 'Assessment')], confidence)],
    });
  };

  /** Does something without some of the bot's rights. */
  async function without(type: string, work: () => Promise<void>): Promise<void> {
    const { policy } = readManifest().bots[KEY] as { policy: AccessPolicyResource[] };
    await clinic.setPolicy(
      KEY,
      policy.filter(({ resourceType }) => resourceType !== type)
    );
    await work().finally(() => clinic.setPolicy(KEY, policy));
  }

  describe('on an Encounter that becomes finished', () => {
    let subscription: Subscription & { id: string };

    beforeAll(async () => {
      const { name, criteria, fhirPathCriteria } = readManifest().subscriptions['billing-encounter-finished'] as {
        name: string;
        criteria: string;
        fhirPathCriteria: string;
      };
      subscription = await clinic.create<Subscription>({
        resourceType: 'Subscription',
        status: 'active',
        reason: name,
        criteria,
        channel: { type: 'rest-hook', endpoint: `Bot/${clinic.botId(KEY)}` },
        extension: [{ url: EXPRESSION, valueString: fhirPathCriteria }],
      });
    });
    afterAll(() => clinic.admin.deleteResource('Subscription', subscription.id));

    test('finishing the same Encounter twice is one Task, also where the model answers otherwise', async () => {
      const visit = await Visit.open(clinic, { status: 'in-progress' });
      await visit.condition('I10');
      await visit.note(NOTE);
      await visit.change({ status: 'finished' });
      await expect.poll(() => visit.tasks(), PATIENCE).toHaveLength(1);
      await visit.change({ status: 'in-progress' });
      nameDiabetes(0.9);
      await visit.change({ status: 'finished' });
      await expect.poll(() => runsFor(visit), PATIENCE).toHaveLength(2);
      const asked = await visit.suggest();
      const [task, second] = await visit.tasks();
      expect(second).toBeUndefined();
      expect(asked).toMatchObject({ command: { duplicate: true }, taskId: task?.id });
      expect(asked.warnings).toContain('SUGGESTION_ALREADY_OPEN');
    });

    test('an Encounter that is finished when it is created is one Task too', async () => {
      const visit = await Visit.open(clinic, { status: 'planned' });
      const { id: _id, meta: _meta, ...rest } = visit.encounter as Encounter;
      const created = await clinic.create<Encounter>({ ...rest, status: 'finished' });
      await expect
        .poll(() => clinic.audits('billing_suggestion', `&entity=Encounter/${created.id}`), PATIENCE)
        .toHaveLength(1);
    });

    test('an edit of a finished Encounter runs nothing', async () => {
      const visit = await Visit.open(clinic, { status: 'in-progress' });
      await visit.condition('I10');
      await visit.change({ status: 'finished' });
      await expect.poll(() => visit.tasks(), PATIENCE).toHaveLength(1);
      await visit.change({ priority: { text: 'routine' } });
      await new Promise((resolve) => setTimeout(resolve, 700));
      expect(await runsFor(visit)).toHaveLength(1);
    });

    test('a failure is audited, and thrown for the server to record', async () => {
      await without('Procedure', async () => {
        const visit = await Visit.open(clinic, { status: 'in-progress' });
        await visit.change({ status: 'finished' });
        await expect.poll(() => runsFor(visit), PATIENCE).toMatchObject([{ outcome: '4' }]);
        const runs = await clinic.find<AuditEvent>('AuditEvent', `source=Bot/${clinic.botId(KEY)}&outcome=4,8`);
        expect(runs.some(({ type }) => type.code === 'execute')).toBe(true);
      });
    });
  });

  test('asked twice at once, one Task', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    const [one, other] = await Promise.all([visit.suggest(), visit.suggest()]);
    expect(one.taskId).toBe(other.taskId);
    expect(await visit.tasks()).toHaveLength(1);
  });

  test.each([
    ['no identifier of a command', ['ai-approval'], 'urn:somebody'],
    ['no code of an approval', [], 'urn:medbots/command'],
  ])('a Task of somebody else, with %s, keeps nobody from a suggestion', async (_name, codes, system) => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    const foreign = await clinic.create<Task>({
      resourceType: 'Task',
      status: 'requested',
      intent: 'order',
      identifier: [{ system, value: randomUUID() }],
      code: {
        coding: ['SuggestBillingCodes', ...codes].map((code) => ({ system: 'http://medplum.com/ai-command', code })),
      },
      for: visit.encounter.subject as NonNullable<Task['for']>,
      encounter: { reference: `Encounter/${visit.encounter.id}` },
    });
    const output = await visit.suggest();
    expect(output.warnings).not.toContain('SUGGESTION_ALREADY_OPEN');
    expect(output.taskId).toEqual(expect.any(String));
    expect(output.taskId).not.toBe(foreign.id);
  });

  test('a Task in the very form of a command, which the Command Processor did not make, keeps nobody from one', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    const { taskId } = await visit.suggest();
    const { id: _id, meta: _meta, ...copy } = await clinic.admin.readResource('Task', taskId as string);
    await clinic.admin.deleteResource('Task', taskId as string);
    const forged = await clinic.doctor.client.createResource<Task>(copy as Task);
    const output = await visit.suggest();
    expect(output).toMatchObject({ success: true, taskId: expect.any(String) as unknown });
    expect(output.taskId).not.toBe(forged.id);
    expect(output.warnings).toContain('FORGED_TASK_IGNORED');
    const told = await clinic.audits('approval_refused', `&entity=Task/${forged.id as string}`);
    expect(told[0]).toMatchObject({ outcome: '8' });
    // The true one is found beside it from then on.
    expect(await visit.suggest()).toMatchObject({ taskId: output.taskId, command: { duplicate: true } });
  });

  test('a suggestion that was rejected may be made anew', async () => {
    const visit = await Visit.open(clinic);
    await visit.condition('I10');
    const { taskId } = await visit.suggest();
    const task = await clinic.admin.readResource('Task', taskId as string, { cache: 'reload' });
    await clinic.admin.updateResource<Task>({ ...task, status: 'rejected' });
    await visit.condition('E11.9');
    expect((await visit.suggest()).taskId).not.toBe(taskId);
    expect(await visit.tasks()).toHaveLength(2);
  });

  test.each([
    ['a deleted one', (visit: Visit) => ({ deletedResource: visit.encounter }), 'deleted'],
    ['one that is no longer there', (visit: Visit) => ({ ...visit.encounter, id: randomUUID() }), 'deleted'],
    ['one that was reopened meanwhile', (visit: Visit) => ({ ...visit.encounter, status: 'finished' }), 'not finished'],
  ])('an event of %s is passed over', async (_name, event, skipped) => {
    const visit = await Visit.open(clinic, { status: 'in-progress' });
    expect(await clinic.execute(KEY, event(visit))).toMatchObject({ success: true, skipped });
  });

  describe('refuses', () => {
    test.each([
      ['no patient', { patientId: null }],
      ['no encounter', { encounterId: null }],
      ['an encounter that does not exist', { encounterId: randomUUID() }],
      ['an id of another type', { encounterId: `Patient/${randomUUID()}` }],
      ['a confidence above 1', { minConfidence: 1.5 }],
      ['a confidence in words', { minConfidence: 'high' }],
      ['a field of no meaning', { price: 100 }],
    ])('%s', async (_name, wrong) => {
      const visit = await Visit.open(clinic);
      expect(await visit.suggest(wrong)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
      expect(clinic.router.calls).toEqual([]);
    });

    test('a resource that is no Encounter', async () => {
      const patient = await clinic.create<Patient>({ resourceType: 'Patient' });
      expect(await clinic.execute(KEY, patient)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    });

    test("another patient's encounter, in the same words as one that is not there", async () => {
      const visit = await Visit.open(clinic);
      await visit.condition('I10');
      const other = await clinic.create<Patient>({ resourceType: 'Patient' });
      const output = await visit.suggest({ patientId: other.id });
      expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT', details: { field: 'encounterId' } });
      const absent = randomUUID();
      const { message } = await visit.suggest({ patientId: other.id, encounterId: absent });
      expect(message.replace(absent, visit.encounter.id)).toBe(output.message);
    });

    test.each(['Patient', 'RelatedPerson'] as const)('a %s, whatever they hand in', async (type) => {
      const visit = await Visit.open(clinic);
      await visit.condition('I10');
      const client = await clinic.person(type);
      const asked = { patientId: visit.patient.id, encounterId: visit.encounter.id };
      for (const input of [asked, visit.encounter]) {
        const output = await clinic.execute(KEY, input, client);
        expect(output).toMatchObject({ success: false, errorCode: 'UNAUTHORIZED' });
        expect(JSON.stringify(output)).not.toContain('I10');
      }
      expect(await visit.tasks()).toEqual([]);
    });

    test('a patient who does not exist', async () => {
      const visit = await Visit.open(clinic);
      expect(await visit.suggest({ patientId: randomUUID() })).toMatchObject({ errorCode: 'PATIENT_NOT_FOUND' });
    });

    test.each(['cancelled', 'entered-in-error', 'planned'] as const)('an encounter that is %s', async (state) => {
      const visit = await Visit.open(clinic, { status: state });
      await visit.condition('I10');
      expect(await visit.suggest()).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    });

    test('to propose anything before the encounter is finished, but shows what there is', async () => {
      const visit = await Visit.open(clinic, { status: 'in-progress' });
      await visit.condition('I10');
      const output = await visit.suggest();
      expect(codesOf(output.icd10Codes)).toEqual(['I10']);
      expect(output.warnings).toContain('ENCOUNTER_NOT_FINISHED');
      expect(await visit.tasks()).toEqual([]);
    });

    test('to propose without an audit trail', async () => {
      await without('AuditEvent', async () => {
        const visit = await Visit.open(clinic);
        await visit.condition('I10');
        expect(await visit.suggest()).toMatchObject({ success: false, errorCode: 'AUDIT_UNAVAILABLE' });
        expect(await visit.tasks()).toEqual([]);
      });
    });
  });

  test('without the Command Processor it fails, and shows its codes', async () => {
    await without('Bot', async () => {
      const visit = await Visit.open(clinic);
      await visit.condition('I10');
      const output = await visit.suggest();
      expect(output).toMatchObject({ success: false, errorCode: 'UNAUTHORIZED', icd10Codes: [{ code: 'I10' }] });
      expect((await runsFor(visit)).map(({ outcome }) => outcome)).toEqual(['0', '8']);
    });
  });

  test('a suggestion that is too unsure is blocked by the Command Processor, and said so', async () => {
    const visit = await Visit.open(clinic);
    await visit.note(NOTE);
    nameDiabetes(0.3);
    const output = await visit.suggest({ minConfidence: 0.2 });
    expect(output).toMatchObject({ success: true, command: { action: 'blocked', blockReason: 'LOW_CONFIDENCE' } });
    expect(output.warnings).toContain('COMMAND_BLOCKED');
    expect(await visit.tasks()).toEqual([]);
  });

  test('it needs every permission of its policy, and no more', async () => {
    const trial = await tryPolicy(clinic, KEY, async function* () {
      const participant = [{ individual: { reference: `Practitioner/${clinic.doctor.profile.id}` } }];
      const earlier = await Visit.open(clinic, { participant, period: { start: '2025-02-01T09:00:00Z' } });
      const visit = await Visit.open(clinic, { participant, length: { value: 25, unit: 'min' } }, earlier.patient);
      await visit.condition('I10');
      await visit.procedure('93000');
      const binary = await clinic.admin.createBinary({ data: NOTE, filename: 'note.txt', contentType: 'text/plain' });
      await visit.note('', { content: [{ attachment: { contentType: 'text/plain', url: `Binary/${binary.id}` } }] });
      nameDiabetes(0.9);
      const first = await visit.suggest();
      yield [
        first.errorCode,
        codesOf(first.icd10Codes ?? []),
        codesOf(first.cptCodes ?? []),
        codesOf(first.documentationGaps ?? []),
        first.warnings,
      ];
      yield (await visit.suggest()).warnings;
      const [event] = await runsFor(visit);
      yield [(await visit.tasks()).length, event?.agent[0]?.who?.reference?.split('/')[0]];
    });
    expect(trial.whole).toContain('["I10","E11.9"],["99213","93000"]');
    // The local server cannot check codes; whoever writes the trail may read it.
    expect(trial.needless).toEqual(['CodeSystem read', 'CodeSystem search', 'AuditEvent read']);
  }, 60_000);
});
