import type { Task } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Output, useClinic } from '../../test/support/clinic.ts';
import { hangUp, sourceWith } from '../../test/support/router.ts';
import { allergy, type Visit, visit } from '../../test/support/visit.ts';

const KEY = 'documentation-assistant';
const NOTHING = { subjective: [], assessment: [], plan: [] };
const WORDS = { subjective: 'Feels *well*.\n', exam: 'Lungs clear.', assessment: 'T2DM.', plan: '1. Recheck in 3/12.' };

describe('Documentation Assistant Bot: drafts that are saved', () => {
  const clinic = useClinic([KEY, 'command-processor', 'audit-logging']);
  let known: Visit;

  beforeEach(async () => {
    known = await visit(clinic);
    clinic.router.chat = () => NOTHING;
  });

  const save = (more: object = {}): Promise<Output> =>
    clinic.execute(KEY, {
      patientId: known.patient.id,
      encounterId: known.encounter.id,
      documentationType: 'progress',
      saveDraft: true,
      clinicianInput: WORDS,
      ...more,
    });
  const tasks = () => clinic.find<Task>('Task', `patient=Patient/${known.patient.id}`);
  const documents = () => clinic.find('DocumentReference', `subject=Patient/${known.patient.id}`);

  test.each(['markdown', 'text'])('make one Task that waits, and no document, in %s', async (format) => {
    const output = await save({ format });
    expect(output).toMatchObject({ success: true, confidence: 1 });
    const [task, ...others] = await tasks();
    expect(others).toEqual([]);
    expect(task).toMatchObject({ id: output.taskId, status: 'requested', intent: 'proposal' });
    expect(await documents()).toHaveLength(1);
    const command = task?.input?.find(({ type }) => type.coding?.[0]?.code === 'command')?.valueString ?? '';
    expect(JSON.parse(command)).toMatchObject({
      command: 'CreateEncounterNoteDraft',
      patientId: known.patient.id,
      encounterId: known.encounter.id,
      parameters: { noteType: 'progress', format },
    });
    const { parameters } = JSON.parse(command) as { parameters: { content: string; sections: Record<string, string> } };
    for (const words of Object.values(WORDS)) {
      expect(parameters.content).toContain(words);
    }
    expect(parameters).toMatchObject({ content: output.content, sections: output.sections });
  });

  test('name the sources, and the Device of the model as the author', async () => {
    clinic.router.chat = (call) => ({
      ...NOTHING,
      assessment: [{ text: 'Type 2 diabetes mellitus.', citations: [sourceWith(call, 'Condition: Type 2')] }],
    });
    await save();
    const [task] = await tasks();
    const values = (code: string) =>
      (task?.input ?? []).filter(({ type }) => type.coding?.[0]?.code === code);
    const sources = values('source').map(({ valueReference }) => valueReference?.reference);
    expect(sources).toContain(`Condition/${known.diabetes.id}`);
    expect(values('ai-model')[0]?.valueString).toBe('test-model');
    expect(values('prompt-template')[0]?.valueString).toBe('documentation/1');
  });

  test('twice the same are one Task', async () => {
    const [one, two] = [await save(), await save()];
    expect(two).toMatchObject({ success: true, taskId: one.taskId, duplicate: true });
    expect(await tasks()).toHaveLength(1);
  });

  test('twice the same, of which the first was rejected, are not said to be saved', async () => {
    await save();
    const [task] = await tasks();
    await clinic.admin.updateResource<Task>({ ...(task as Task), status: 'rejected' });
    const output = await save();
    expect(output).toMatchObject({ success: false, errorCode: 'SAFETY_BLOCKED' });
    expect(output.message).toContain('its Task has ended');
    expect(output.warnings).toContain('EARLIER_TASK_ENDED');
    expect(output).not.toHaveProperty('taskId');
    expect(await tasks()).toHaveLength(1);
  });

  test('with other words are another Task', async () => {
    const [one, two] = [await save(), await save({ clinicianInput: { ...WORDS, plan: 'Rest.' } })];
    expect(one.taskId).not.toBe(two.taskId);
    expect(await tasks()).toHaveLength(2);
  });

  test('of which most was dropped are not saved, and still shown', async () => {
    clinic.router.chat = (call) => {
      const citations = [sourceWith(call, 'Condition: Type 2')];
      return { ...NOTHING, plan: ['one', 'two', 'three'].map((text) => ({ text: `Invented ${text}.`, citations })) };
    };
    const output = await save({ clinicianInput: { plan: 'Rest.' } });
    expect(output).toMatchObject({ success: false, errorCode: 'SAFETY_BLOCKED', confidence: 0.25 });
    expect(output.message).toMatch(/^The draft was not saved: /);
    expect(output.content).toContain('Rest.');
    expect(output.taskId).toBeUndefined();
    expect(await tasks()).toEqual([]);
    const [event] = await clinic.audits('documentation_draft', `&patient=Patient/${known.patient.id}`);
    expect(event).toMatchObject({ outcome: '4' });
    expect(JSON.stringify(event)).not.toContain('Rest.');
  });

  test('on behalf of somebody else are not saved, and still shown', async () => {
    const input = {
      patientId: known.patient.id,
      encounterId: known.encounter.id,
      documentationType: 'progress',
      saveDraft: true,
      clinicianInput: WORDS,
    };
    const headers = { 'X-Medplum-On-Behalf-Of': `Practitioner/${clinic.doctor.profile.id}` };
    const output = await clinic.execute(KEY, input, clinic.admin, headers);
    expect(output).toMatchObject({
      success: false,
      errorCode: 'UNAUTHORIZED',
      details: { reason: 'ON_BEHALF_OF' },
    });
    expect(output.content).toContain(WORDS.exam);
    expect(await tasks()).toEqual([]);
    const [event] = await clinic.audits('documentation_draft', `&patient=Patient/${known.patient.id}`);
    expect(event).toMatchObject({ outcome: '4', outcomeDesc: expect.stringContaining('UNAUTHORIZED') as unknown });
  });

  test('that nobody asked to save make no Task', async () => {
    expect(await save({ saveDraft: false })).toMatchObject({ success: true });
    expect(await tasks()).toEqual([]);
  });

  test('of a model that is down make no Task', async () => {
    clinic.router.chatFaults = [hangUp, hangUp];
    expect(await save()).toMatchObject({ success: false, errorCode: 'LLM_ERROR' });
    expect(await tasks()).toEqual([]);
  });

  test('are audited with their Task and command', async () => {
    const { taskId } = await save();
    const [event] = await clinic.audits('documentation_draft', `&patient=Patient/${known.patient.id}`);
    const text = JSON.stringify(event);
    expect(text).toContain(`Task/${taskId}`);
    expect(event?.entity?.some(({ name }) => /^[0-9a-f]{64}$/.test(name ?? ''))).toBe(true);
  });

  test('that are too long to be stored are refused by name, and still shown', async () => {
    const subject = { reference: `Patient/${known.patient.id}` };
    const long = (what: string) => `${what} ${'x'.repeat(560)}`;
    await Promise.all(
      Array.from({ length: 60 }, async (_, index) => {
        await clinic.create(allergy(known.patient.id, long(`Allergy ${index}`)));
        await clinic.create({
          resourceType: 'MedicationStatement',
          status: 'active',
          subject,
          medicationCodeableConcept: { text: long(`Drug ${index}`) },
        });
      })
    );
    const words = 'ä'.repeat(10_000);
    const output = await save({ clinicianInput: { subjective: words, exam: words, assessment: words, plan: words } });
    expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    expect(output.message).toContain('100000 characters');
    expect(output.sections.plan).toBe(words);
    expect(await tasks()).toEqual([]);
  });
});

describe('Documentation Assistant Bot without a Command Processor', () => {
  const clinic = useClinic([KEY, 'audit-logging']);

  test('shows the draft, and says that it was not saved', async () => {
    const known = await visit(clinic);
    clinic.router.chat = () => NOTHING;
    const output = await clinic.execute(KEY, {
      patientId: known.patient.id,
      encounterId: known.encounter.id,
      documentationType: 'progress',
      saveDraft: true,
      clinicianInput: WORDS,
    });
    expect(output).toMatchObject({ success: false, errorCode: 'NOT_CONFIGURED' });
    expect(output.sections.plan).toBe(WORDS.plan);
  });
});
