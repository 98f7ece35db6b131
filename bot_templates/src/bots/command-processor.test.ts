import type { Task } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { Case, ICD, RXNORM } from '../../test/support/commands.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';

describe('Command Processor Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const trail = (type: string) => about.trail(type);

  describe('queues', () => {
    test('a note for a practitioner or nurse for 24 hours, with all that an approver needs', async () => {
      const observation = await about.potassium(4.2);
      const before = Date.now();
      const output = await about.note('# Progress\n\nPotassium is normal.', {
        aiModel: 'llama-3.1-8b',
        promptTemplate: 'documentation/3',
        sources: [`Observation/${observation.id}`],
      });
      expect(output).toMatchObject({ success: true, action: 'queued', status: 'requested', warnings: [] });
      const task = await about.task(output.taskId as string);
      expect(task).toMatchObject({
        status: 'requested',
        intent: 'proposal',
        identifier: [{ system: 'urn:medbots/command', value: output.commandId }],
        code: {
          coding: [
            { system: 'http://medplum.com/ai-command', code: 'ai-approval' },
            { system: 'http://medplum.com/ai-command', code: 'CreateEncounterNoteDraft' },
          ],
        },
        meta: { security: [{ code: 'AIAST' }] },
        for: about.subject,
        encounter: { reference: `Encounter/${about.encounter.id}` },
        focus: { reference: `Encounter/${about.encounter.id}` },
        requester: { reference: `Practitioner/${clinic.doctor.profile.id}` },
      });
      const [text] = Case.values(task.input, 'command') as string[];
      expect(JSON.parse(text as string)).toEqual({
        command: 'CreateEncounterNoteDraft',
        patientId: about.patient.id,
        encounterId: about.encounter.id,
        parameters: { noteType: 'progress', content: '# Progress\n\nPotassium is normal.', format: 'markdown' },
      });
      expect(Case.values(task.input, 'command-sha256')).toEqual([output.commandId]);
      expect(Case.values(task.input, 'confidence')).toEqual([0.9]);
      expect(Case.values(task.input, 'ai-model')).toEqual(['llama-3.1-8b']);
      expect(Case.values(task.input, 'prompt-template')).toEqual(['documentation/3']);
      expect(Case.values(task.input, 'source')).toEqual([{ reference: `Observation/${observation.id}` }]);
      const roles = task.performerType?.map(({ coding }) => coding?.[0]?.code);
      expect(roles).toEqual(['practitioner', 'nurse']);
      const hours = (Date.parse(task.restriction?.period?.end as string) - before) / 3_600_000;
      expect(hours).toBeGreaterThan(23.9);
      expect(hours).toBeLessThan(24.1);
      expect(await about.written()).toEqual({ Task: 1 });
      expect(await trail('command_queued')).toHaveLength(1);
    });

    test.each([
      ['ProposeProblemListUpdate', 48, ['practitioner'], { action: 'add', condition: { system: ICD, code: 'I10', display: 'Hypertension' } }],
      [
        'SuggestBillingCodes',
        168,
        ['practitioner', 'billing'],
        { suggestedCodes: [{ system: ICD, code: 'I10', confidence: 0.9 }] },
      ],
      ['QueueReferralLetter', 48, ['practitioner'], { specialty: 'Cardiology', urgency: 'urgent', reason: 'Murmur', summary: 'Please see.' }],
      [
        'SuggestMedicationChange',
        24,
        ['practitioner', 'pharmacist'],
        { action: 'start', medication: { system: RXNORM, code: '6809', display: 'metformin' }, rationale: 'HbA1c' },
      ],
    ])('%s for %i hours, for %j', async (command, hours, roles, parameters) => {
      const { taskId } = await about.submit(command, parameters, { encounterId: about.encounter.id });
      const task = await about.task(taskId as string);
      const ends = Date.parse(task.restriction?.period?.end as string) - Date.parse(task.authoredOn as string);
      expect(ends / 3_600_000).toBe(hours);
      expect(task.performerType?.map(({ coding }) => coding?.[0]?.code)).toEqual(roles);
      expect(Case.values(task.input, 'approval-mode')).toEqual([roles.includes('pharmacist') ? 'dual' : 'single']);
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('the same command once: the second answer is the same Task, duplicate', async () => {
      const first = await about.note();
      const again = await about.note(undefined, { confidence: 0.6 });
      expect(again).toMatchObject({ success: true, action: 'queued', duplicate: true, taskId: first.taskId });
      expect(await about.tasks()).toHaveLength(1);
    });

    test('the same command once also in a race', async () => {
      const outputs = await Promise.all(Array.from({ length: 6 }, () => about.note()));
      expect(new Set(outputs.map(({ taskId }) => taskId)).size).toBe(1);
      expect(outputs.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect(await about.tasks()).toHaveLength(1);
    });

    test.each(['rejected', 'failed', 'completed', 'cancelled'] as const)(
      'the same command no second time when its Task is %s',
      async (status) => {
        const { taskId } = await about.note();
        await clinic.admin.updateResource<Task>({ ...(await about.task(taskId as string)), status });
        expect(await about.note()).toMatchObject({ duplicate: true, taskId, status });
        expect(await about.tasks()).toHaveLength(1);
      }
    );

    test('the same command no second time when an edit took the label away', async () => {
      const { taskId } = await about.note();
      const { meta: _, ...edited } = await about.task(taskId as string);
      await clinic.doctor.client.updateResource<Task>({ ...edited, description: 'seen' });
      expect(await about.note()).toMatchObject({ duplicate: true, taskId });
    });

    test('however the parameters are ordered, and wherever the encounter is named', async () => {
      const one = await about.note('Text.');
      const other = await about.submit('CreateEncounterNoteDraft', {
        content: 'Text.',
        encounterId: `Encounter/${about.encounter.id.toUpperCase()}`,
        noteType: { system: 'http://loinc.org', code: '11506-3' },
      });
      expect(other).toMatchObject({ duplicate: true, taskId: one.taskId });
    });

    test('ten commands of a patient; the eleventh is blocked, a duplicate of the ten is not', async () => {
      for (let index = 0; index < 10; index++) {
        expect((await about.note(`Note ${index}`)).action).toBe('queued');
      }
      expect(await about.note('Note 10')).toMatchObject({
        success: false,
        errorCode: 'SAFETY_BLOCKED',
        action: 'blocked',
        blockReason: 'OPEN_TASK_LIMIT',
      });
      expect(await about.note('Note 3')).toMatchObject({ duplicate: true });
      expect(await about.tasks()).toHaveLength(10);
      const observation = await about.potassium();
      expect(await about.flag(observation.id)).toMatchObject({ action: 'executed' });
    });

    test('for a child, whatever it is', async () => {
      about = await Case.open(clinic, `${new Date().getUTCFullYear() - 17}-01-01`);
      const observation = await about.potassium();
      const output = await about.flag(observation.id);
      expect(output).toMatchObject({ action: 'queued' });
      const task = await about.task(output.taskId as string);
      expect(Case.values(task.input, 'approval-reason')).toContain('CHILD_PATIENT');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('with the Device as requester where no person handed it in', async () => {
      const application = await clinic.application();
      const { taskId } = await about.note(undefined, {}, application);
      const task = await about.task(taskId as string);
      expect(task.requester?.reference).toMatch(/^Device\//);
    });

    test('whatever the caller says of approval', async () => {
      const output = await about.note(undefined, { requiresApproval: false });
      expect(output).toMatchObject({ action: 'queued' });
      const other = await about.medication({ requiresApproval: false }, { requiresApproval: 'no' });
      expect(other).toMatchObject({ action: 'queued' });
      expect(await about.written()).toEqual({ Task: 2 });
    });
  });

  describe('requires of a medication', () => {
    const reasons = async (output: Record<string, unknown>): Promise<unknown[]> =>
      Case.values((await about.task(output.taskId as string)).input, 'approval-reason');
    const taking = (display: string): Promise<{ id: string }> =>
      clinic.create({
        resourceType: 'MedicationRequest',
        status: 'active',
        intent: 'order',
        subject: about.subject,
        medicationCodeableConcept: { text: display },
      });

    test('two people to start one', async () => {
      expect(await reasons(await about.medication())).toEqual(['MEDICATION_START']);
    });

    test('two people for a high-risk drug, also to stop it', async () => {
      const current = await taking('warfarin 5 mg');
      const output = await about.medication({
        action: 'stop',
        medication: { system: RXNORM, code: '11289', display: 'warfarin' },
        currentMedicationId: current.id,
      });
      expect(await reasons(output)).toEqual(['HIGH_RISK_DRUG']);
      const task = await about.task(output.taskId as string);
      expect(Case.values(task.input, 'approval-mode')).toEqual(['dual']);
      expect(task.focus?.reference).toBe(`MedicationRequest/${current.id}`);
    });

    test('two people where a major interaction is found', async () => {
      await taking('warfarin 5 mg');
      const current = await taking('metformin 500 mg');
      const medication = { system: RXNORM, code: '5640', display: 'ibuprofen' };
      const output = await about.medication({ action: 'change', medication, currentMedicationId: current.id });
      expect(await reasons(output)).toContain('MAJOR_INTERACTION');
    });

    test('two people where the patient takes what the table does not know', async () => {
      await taking('zzyzxomab 3 mg');
      const current = await taking('metformin 500 mg');
      const medication = { system: RXNORM, code: '6809', display: 'metformin 850 mg' };
      const output = await about.medication({ action: 'change', medication, currentMedicationId: current.id });
      expect(await reasons(output)).toEqual(['INTERACTIONS_UNKNOWN']);
    });

    test('one person to change a dose of what is known and harmless', async () => {
      const current = await taking('metformin 500 mg');
      const medication = { system: RXNORM, code: '6809', display: 'metformin 850 mg' };
      const output = await about.medication({
        action: 'change',
        medication,
        currentMedicationId: `MedicationRequest/${current.id}`,
      });
      expect(await reasons(output)).toEqual(['ALWAYS']);
      const task = await about.task(output.taskId as string);
      expect(Case.values(task.input, 'approval-mode')).toEqual(['single']);
    });

    test('that what is stopped is what is taken', async () => {
      const current = await taking('metformin 500 mg');
      const medication = { system: RXNORM, code: '5640', display: 'ibuprofen' };
      expect(await about.medication({ action: 'stop', medication, currentMedicationId: current.id })).toMatchObject({
        success: false,
        errorCode: 'INVALID_INPUT',
      });
      expect(await about.tasks()).toEqual([]);
    });
  });

  test("the page's example", async () => {
    const observation = await about.potassium();
    const ids = { PATIENT_ID: about.patient.id, OBSERVATION_ID: observation.id };
    const { input, output } = exampleOf('command-processor', ids);
    expectOutput(await clinic.execute('command-processor', input), output);
  });
});
