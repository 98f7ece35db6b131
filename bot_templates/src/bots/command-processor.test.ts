import { randomUUID } from 'node:crypto';
import type { AccessPolicyResource, AuditEvent, Flag, Identifier, Provenance, Task } from '@medplum/fhirtypes';
import type { MedplumClient } from '@medplum/core';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Clinic, type Output, useClinic } from '../../test/support/clinic.ts';
import { Case, CPT, ICD, INTERPRETATION, RXNORM, SNOMED } from '../../test/support/commands.ts';
import { type ManifestBot, readManifest } from '../../test/support/manifest.ts';
import { exampleOf, expectOutput } from '../../test/support/page.ts';
import { tryPolicy } from '../../test/support/policy.ts';

describe('Command Processor Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const trail = (type: string): Promise<AuditEvent[]> => clinic.audits(type, `&patient=Patient/${about.patient.id}`);

  describe('executes', () => {
    test('a critical flag that the table of limits bears out, at once, labelled and with its origin', async () => {
      const observation = await about.potassium(6.8);
      const output = await about.flag(observation.id);
      expect(output).toMatchObject({ success: true, action: 'executed', executedResourceType: 'Flag' });
      const [flag, other] = await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`);
      expect(other).toBeUndefined();
      expect(flag).toMatchObject({
        id: output.executedResourceId,
        status: 'active',
        meta: { security: [{ code: 'AIAST' }] },
        identifier: [{ system: 'urn:medbots/command', value: output.commandId }],
        code: { coding: [{ system: INTERPRETATION, code: 'HH' }], text: 'Critical high: Potassium' },
        author: { reference: expect.stringMatching(/^Device\//) as unknown },
        subject: about.subject,
      });
      expect(JSON.stringify(flag?.extension)).toContain(`Observation/${observation.id}`);
      const [origin, second] = await clinic.find<Provenance>('Provenance', `target=Flag/${flag?.id}`);
      expect(second).toBeUndefined();
      expect(origin).toMatchObject({
        id: output.provenanceId,
        reason: [{ coding: [{ code: 'AIAST' }] }],
        agent: [{ who: { reference: flag?.author?.reference } }],
        entity: [
          { role: 'source', what: { reference: `Observation/${observation.id}` } },
          { role: 'derivation', what: { reference: `Flag/${flag?.id}/_history/${flag?.meta?.versionId}` } },
        ],
      });
      expect(await trail('command_executed')).toHaveLength(1);
      expect(await about.written()).toEqual({ Flag: 1 });
    });

    test('the same command again once only: no second Flag, no second Provenance, duplicate', async () => {
      const observation = await about.potassium();
      const first = await about.flag(observation.id);
      const again = await about.flag(observation.id, 'critical', 'HH', { confidence: 0.7, aiModel: 'another' });
      expect(again).toMatchObject({
        success: true,
        action: 'executed',
        duplicate: true,
        commandId: first.commandId,
        executedResourceId: first.executedResourceId,
        provenanceId: first.provenanceId,
      });
      expect(await about.written()).toEqual({ Flag: 1 });
      expect(await trail('command_executed')).toHaveLength(1);
    });

    test('six at once make one Flag and one Provenance; one of the answers is no duplicate', async () => {
      const observation = await about.potassium();
      const outputs = await Promise.all(Array.from({ length: 6 }, () => about.flag(observation.id)));
      expect(outputs.every(({ action }) => action === 'executed')).toBe(true);
      expect(outputs.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      const [flag] = await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`);
      expect(await clinic.find('Provenance', `target=Flag/${flag?.id}`)).toHaveLength(1);
      expect(await about.written()).toEqual({ Flag: 1 });
    });

    test('again what a crash left half: the Flag is there, its Provenance is made', async () => {
      const observation = await about.potassium();
      const { provenanceId, executedResourceId } = await about.flag(observation.id);
      await clinic.admin.deleteResource('Provenance', provenanceId as string);
      const again = await about.flag(observation.id);
      expect(again).toMatchObject({ duplicate: true, executedResourceId });
      expect(await clinic.find('Provenance', `target=Flag/${executedResourceId}`)).toHaveLength(1);
    });

    test('a flag whose Task still waits; who approves that one then finds it done', async () => {
      const observation = await about.potassium(6.8, { status: 'preliminary' });
      const { taskId } = await about.flag(observation.id);
      await clinic.admin.updateResource({ ...observation, status: 'final' });
      const done = await about.flag(observation.id);
      expect(done).toMatchObject({ action: 'executed' });
      const approved = await about.decide(taskId, 'approve', (await clinic.member('nurse')).client);
      expect(approved).toMatchObject({ success: true, executedResourceId: done.executedResourceId });
      expect(await about.task(taskId as string)).toMatchObject({ status: 'completed' });
      expect(await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`)).toHaveLength(1);
    });

    test('a flag that a clinician has closed since stays as it is', async () => {
      const observation = await about.potassium();
      const { executedResourceId } = await about.flag(observation.id);
      const flag = (await clinic.admin.readResource('Flag', executedResourceId as string)) as Flag;
      await clinic.doctor.client.updateResource<Flag>({ ...flag, status: 'inactive' });
      expect(await about.flag(observation.id)).toMatchObject({ duplicate: true, executedResourceId });
      const [now] = await clinic.find<Flag>('Flag', `patient=Patient/${about.patient.id}`);
      expect(now?.status).toBe('inactive');
    });
  });

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

  describe('asks for approval of a flag', () => {
    test.each([
      ['a severity beyond the result', 5.6, 'critical', 'H', [[3.5, 5.1]], undefined],
      ['HH that only a range bears out', 5.6, 'abnormal', 'HH', [[3.5, 5.1]], undefined],
      ['the other direction', 6.8, 'critical', 'LL', [], undefined],
      ['a result within its range', 4.2, 'abnormal', 'H', [[3.5, 5.1]], undefined],
      ['no range and no code', 5.6, 'abnormal', 'H', [], undefined],
      ['a code that contradicts the range', 4.2, 'abnormal', 'H', [[3.5, 5.1]], 'H'],
      ['a code N beside a high value', 5.6, 'abnormal', 'H', [[3.5, 5.1]], 'N'],
      ['two ranges, of which nobody knows which', 5.6, 'abnormal', 'H', [[3.5, 5.1], [3.5, 5.8]], undefined],
    ] as const)('for %s', async (_name, value, severity, code, ranges, coded) => {
      const observation = await about.potassium(value, {
        referenceRange: ranges.map(([low, high]) => ({ low: potassium(low), high: potassium(high) })),
        ...(coded ? { interpretation: [{ coding: [{ system: INTERPRETATION, code: coded }] }] } : {}),
      });
      const output = await about.flag(observation.id, severity, code);
      expect(output).toMatchObject({ success: true, action: 'queued' });
      const task = await about.task(output.taskId as string);
      expect(Case.values(task.input, 'approval-reason')).toContain('NOT_VERIFIED');
      expect(await about.written()).toEqual({ Task: 1 });
    });

    test('for a result that is preliminary, or that a model made', async () => {
      const preliminary = await about.potassium(6.8, { status: 'preliminary' });
      expect(await about.flag(preliminary.id)).toMatchObject({ action: 'queued' });
      const made = await about.potassium(6.9, {
        meta: {
          security: [{ system: 'http://terminology.hl7.org/CodeSystem/v3-ObservationValue', code: 'AIAST' }],
        },
      });
      expect(await about.flag(made.id)).toMatchObject({ action: 'queued' });
    });

    test.each([
      ['the laboratory says HH', 5.0, 'critical', 'HH', [], 'HH'],
      ['the laboratory says H', 5.0, 'abnormal', 'H', [], 'H'],
      ['it is above its range', 5.6, 'abnormal', 'H', [[3.5, 5.1]], undefined],
      ['it is below its range', 3.1, 'abnormal', 'L', [[3.5, 5.1]], undefined],
      ['abnormal is less than is borne out', 6.8, 'abnormal', 'H', [], undefined],
    ] as const)('but not where %s', async (_name, value, severity, code, ranges, coded) => {
      const observation = await about.potassium(value, {
        referenceRange: ranges.map(([low, high]) => ({ low: potassium(low), high: potassium(high) })),
        ...(coded ? { interpretation: [{ coding: [{ system: INTERPRETATION, code: coded }] }] } : {}),
      });
      expect(await about.flag(observation.id, severity, code)).toMatchObject({ action: 'executed' });
    });

    test('K 6.8 mg/dL, which is no unit of potassium, bears out nothing', async () => {
      const observation = await about.potassium(6.8, {
        valueQuantity: { value: 6.8, unit: 'mg/dL', system: 'http://unitsofmeasure.org', code: 'mg/dL' },
      });
      expect(await about.flag(observation.id)).toMatchObject({ action: 'queued' });
    });
  });

  describe('in quiet hours', () => {
    const allDay = { QUIET_HOURS: '00:00-00:00', QUIET_HOURS_TZ: 'Europe/Zurich' };

    test('an automatic flag waits, a critical one that is borne out does not', async () => {
      await clinic.setSecrets(allDay);
      const high = await about.potassium(5.6, { referenceRange: [{ low: potassium(3.5), high: potassium(5.1) }] });
      const waiting = await about.flag(high.id, 'abnormal', 'H');
      expect(waiting).toMatchObject({ action: 'queued' });
      const task = await about.task(waiting.taskId as string);
      expect(Case.values(task.input, 'approval-reason')).toEqual(['QUIET_HOURS']);
      const critical = await about.potassium(6.9);
      expect(await about.flag(critical.id)).toMatchObject({ action: 'executed' });
      // In the morning it needs nobody: handed in again it is carried out, whatever becomes of the Task.
      await clinic.setSecrets({});
      expect(await about.flag(high.id, 'abnormal', 'H')).toMatchObject({ action: 'executed' });
      expect(await about.flag(high.id, 'abnormal', 'H')).toMatchObject({ action: 'executed', duplicate: true });
    });

    test('without a time zone are at every hour, and each answer warns of it', async () => {
      await clinic.setSecrets({ QUIET_HOURS: '00:00-00:01' });
      const high = await about.potassium(5.6, { referenceRange: [{ low: potassium(3.5), high: potassium(5.1) }] });
      const warnings = ['QUIET_HOURS_INCOMPLETE'];
      expect(await about.flag(high.id, 'abnormal', 'H')).toMatchObject({ action: 'queued', warnings });
      const critical = await about.potassium(6.9);
      expect(await about.flag(critical.id)).toMatchObject({ action: 'executed', warnings });
      expect(await about.note('Sleeps.', { confidence: 0.4 })).toMatchObject({ action: 'blocked', warnings });
    });

    test('of a time zone without hours are off, and each answer warns of it', async () => {
      await clinic.setSecrets({ QUIET_HOURS_TZ: 'Europe/Zurich' });
      const observation = await about.potassium(6.8);
      const output = await about.flag(observation.id, 'abnormal', 'H');
      expect(output).toMatchObject({ action: 'executed', warnings: ['QUIET_HOURS_INCOMPLETE'] });
    });

    test.each([
      { QUIET_HOURS: 'at night', QUIET_HOURS_TZ: 'Europe/Zurich' },
      { QUIET_HOURS: '22:00-25:00', QUIET_HOURS_TZ: 'Europe/Zurich' },
      { QUIET_HOURS: '22:00-06:00', QUIET_HOURS_TZ: 'Middle/Earth' },
    ])('that are not understood are NOT_CONFIGURED: %j', async (secrets) => {
      await clinic.setSecrets(secrets);
      const observation = await about.potassium(6.8);
      expect(await about.flag(observation.id)).toMatchObject({ success: false, errorCode: 'NOT_CONFIGURED' });
      expect(await about.written()).toEqual({});
    });
  });

  describe('blocks', () => {
    const blockedFor = async (output: Record<string, unknown>, reason: string): Promise<void> => {
      expect(output).toMatchObject({
        success: false,
        errorCode: 'SAFETY_BLOCKED',
        action: 'blocked',
        blockReason: reason,
        commandId: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown,
        warnings: expect.any(Array) as unknown,
      });
      expect(await about.written()).toEqual({});
      const [event, other] = await trail('command_blocked');
      expect(other).toBeUndefined();
      expect(event).toMatchObject({ outcome: '4', outcomeDesc: `SAFETY_BLOCKED: ${reason}` });
      expect(JSON.stringify(event?.entity)).toContain(output.commandId as string);
    };

    test('confidence 0.49, with an AuditEvent; 0.5 warns, 0.6 does not', async () => {
      await blockedFor(await about.note(undefined, { confidence: 0.49 }), 'LOW_CONFIDENCE');
      expect(await about.note('One', { confidence: 0.5 })).toMatchObject({ action: 'queued', warnings: ['LOW_CONFIDENCE'] });
      expect(await about.note('Two', { confidence: 0.6 })).toMatchObject({ action: 'queued', warnings: [] });
    });

    test('a critical flag too when its confidence is low', async () => {
      const observation = await about.potassium();
      await blockedFor(await about.flag(observation.id, 'critical', 'HH', { confidence: 0.2 }), 'LOW_CONFIDENCE');
    });

    test('more where MIN_CONFIDENCE is higher, never less', async () => {
      await clinic.setSecrets({ MIN_CONFIDENCE: '0.8' });
      expect(await about.note('One', { confidence: 0.79 })).toMatchObject({ blockReason: 'LOW_CONFIDENCE' });
      await clinic.setSecrets({ MIN_CONFIDENCE: '0.1' });
      expect(await about.note('One', { confidence: 0.49 })).toMatchObject({ blockReason: 'LOW_CONFIDENCE' });
      await clinic.setSecrets({ MIN_CONFIDENCE: 'high' });
      expect(await about.note('One')).toMatchObject({ errorCode: 'NOT_CONFIGURED' });
    });

    test.each([
      ['UpdateAllergy', 'ALLERGY_CHANGE'],
      ['PrescribeMedication', 'PRESCRIPTION'],
      ['OrderMedication', 'PRESCRIPTION'],
      ['ChangeCodeStatus', 'CODE_STATUS'],
      ['DischargePatient', 'DISCHARGE'],
      ['DeleteCondition', 'DELETION'],
      ['DeleteAllergy', 'DELETION'],
      ['LaunchRocket', 'UNKNOWN_COMMAND'],
      ['constructor', 'UNKNOWN_COMMAND'],
    ])('the command %s', async (command, reason) => {
      await blockedFor(await about.submit(command, { anything: { at: ['all'] } }), reason);
    });

    test.each([
      ['the name', { medication: { system: RXNORM, code: '999999', display: 'oxycodone 5 MG oral tablet' } }],
      ['a brand', { medication: { system: RXNORM, code: '999999', display: 'OxyContin 10 mg' } }],
      ['the code', { medication: { system: RXNORM, code: '7804', display: 'a new painkiller' } }],
      ['one of two parts', { medication: { system: RXNORM, code: '999999', display: 'Acetaminophen/Codeine' } }],
      ['a denial', { medication: { system: RXNORM, code: '999999', display: 'morphine-free' } }],
      ['the dosage of another drug', { dosage: 'Add OxyContin 10 mg twice a day.' }],
    ])('a controlled substance by %s', async (_name, parameters) => {
      await blockedFor(await about.medication(parameters), 'CONTROLLED_SUBSTANCE');
    });

    test('what the site counts as controlled, and commands that it does not want', async () => {
      await clinic.setSecrets({ SAFETY_POLICY: JSON.stringify({ controlledSubstances: ['Gabapentin'] }) });
      const medication = { system: RXNORM, code: '25480', display: 'gabapentin 300 mg' };
      await blockedFor(await about.medication({ medication }), 'CONTROLLED_SUBSTANCE');
      await clinic.setSecrets({ SAFETY_POLICY: JSON.stringify({ blockedCommands: ['CreateEncounterNoteDraft'] }) });
      expect(await about.note()).toMatchObject({ blockReason: 'SITE_POLICY' });
    });

    test.each([{ status: 'active' }, { intent: 'order' }, { status: 'completed', intent: 'proposal' }])(
      'a prescription that is more than a draft: %j',
      async (more) => {
        await blockedFor(await about.medication(more), 'PRESCRIPTION');
      }
    );

    test.each([
      ['ALLERGY_CHANGE', { system: ICD, code: 'Z88.0', display: 'Something else' }],
      ['ALLERGY_CHANGE', { system: SNOMED, code: '91936005', display: 'Hypertension' }],
      ['ALLERGY_CHANGE', { system: SNOMED, code: '1', display: 'Allergy to penicillin' }],
      ['CODE_STATUS', { system: ICD, code: 'Z66', display: 'Status' }],
      ['CODE_STATUS', { system: SNOMED, code: '304253006', display: 'Status' }],
      ['CODE_STATUS', { system: SNOMED, code: '1', display: 'DNR' }],
    ])('the way around by the problem list: %s by %j', async (reason, condition) => {
      await blockedFor(await about.submit('ProposeProblemListUpdate', { action: 'add', condition }), reason);
    });

    test('resolving a problem that is a code status', async () => {
      const condition = await clinic.create({
        resourceType: 'Condition',
        subject: about.subject,
        clinicalStatus: { coding: [{ system: 'http://terminology.hl7.org/CodeSystem/condition-clinical', code: 'active' }] },
        code: { coding: [{ system: ICD, code: 'Z66', display: 'Do not resuscitate' }] },
      });
      const output = await about.submit('ProposeProblemListUpdate', { action: 'resolve', conditionId: condition.id });
      expect(output).toMatchObject({ blockReason: 'CODE_STATUS' });
      expect(await about.tasks()).toEqual([]);
    });

    test('but not an allergic disease', async () => {
      const condition = { system: ICD, code: 'J30.9', display: 'Allergic rhinitis' };
      expect(await about.submit('ProposeProblemListUpdate', { action: 'add', condition })).toMatchObject({
        action: 'queued',
      });
    });

    test('a command whose identifier somebody else put on a Flag', async () => {
      const identifier = (value: unknown): Identifier[] => [{ system: 'urn:medbots/command', value: value as string }];
      const taken = { success: false, errorCode: 'SAFETY_BLOCKED', blockReason: 'IDENTIFIER_TAKEN' };
      const observation = await about.potassium();
      const flag = await about.flag(observation.id);
      await clinic.admin.deleteResource('Flag', flag.executedResourceId as string);
      await clinic.create<Flag>({
        resourceType: 'Flag',
        status: 'inactive',
        code: { text: 'nothing' },
        subject: about.subject,
        identifier: identifier(flag.commandId),
      });
      expect(await about.flag(observation.id)).toMatchObject(taken);
    });
  });

  describe('is not kept from a command', () => {
    /** A Task like that of a command, by somebody who has worked out its id. */
    const forge = async (command: Output, more: Partial<Task> = {}): Promise<Task> => {
      const { id: _, meta: __, ...copy } = await about.task(command.taskId as string);
      await clinic.admin.deleteResource('Task', command.taskId as string);
      return clinic.doctor.client.createResource<Task>({ ...copy, ...more } as Task);
    };
    const forgeries = () => clinic.audits('approval_refused', `&patient=Patient/${about.patient.id}`);

    test('by a Task with its identifier, code and content: a true one is queued, and the forgery is told of', async () => {
      const submit: Record<string, () => Promise<Output>> = {
        note: () => about.note(),
        billing: () => about.billing(),
        referral: () => about.referral(),
        medication: () => about.medication(),
      };
      for (const [name, again] of Object.entries(submit)) {
        const forged = await forge(await again());
        const output = await again();
        expect({ name, ...output }).toMatchObject({ success: true, action: 'queued', warnings: ['FORGED_TASK_IGNORED'] });
        expect(output.duplicate).toBeUndefined();
        expect(output.taskId).not.toBe(forged.id);
        // From then on the true one is found, beside the other.
        expect(await again()).toMatchObject({ taskId: output.taskId, duplicate: true });
        expect(Case.values((await about.task(output.taskId as string)).input, 'command-sha256')).toEqual([output.commandId]);
      }
      const events = await forgeries();
      expect(events).toHaveLength(8);
      expect(events[0]).toMatchObject({ outcome: '8' });
    });

    test('by several of them, nor in a race: one Task is made', async () => {
      const { id: _, meta: __, ...copy } = await forge(await about.note());
      await clinic.doctor.client.createResource<Task>(copy as Task);
      const outputs = await Promise.all([about.note(), about.note(), about.note()]);
      expect(new Set(outputs.map(({ taskId }) => taskId)).size).toBe(1);
      expect(outputs.filter(({ duplicate }) => !duplicate)).toHaveLength(1);
      expect(await about.tasks()).toHaveLength(3);
    });

    test('by a true Task that was deleted and put back', async () => {
      const { taskId } = await about.note();
      const task = await about.task(taskId as string);
      await clinic.admin.deleteResource('Task', taskId as string);
      await clinic.doctor.client.updateResource<Task>(task);
      const output = await about.note();
      expect(output).toMatchObject({ action: 'queued', warnings: ['FORGED_TASK_IGNORED'] });
      expect(output.taskId).not.toBe(taskId);
    });

    test.each(['draft', 'requested'] as const)('by Tasks that fill the queue of a patient, and are forged: %s', async (status) => {
      const { id: _, meta: __, ...copy } = await forge(await about.note(), { status });
      const restriction = { period: { end: '2999-01-01T00:00:00Z' } };
      for (let index = 0; index < 10; index++) {
        const identifier = [{ system: 'urn:medbots/command', value: String(index).repeat(64) }];
        await clinic.doctor.client.createResource<Task>({ ...copy, restriction, identifier } as Task);
      }
      for (let index = 0; index < 10; index++) {
        expect(await about.note(`Note ${index}`)).toMatchObject({ success: true, action: 'queued' });
      }
      expect(await about.note('Note 10')).toMatchObject({ success: false, blockReason: 'OPEN_TASK_LIMIT' });
    });

    test('but where there are more of them than can be looked into, nothing goes on, and it is said', async () => {
      const { id: _, meta: __, ...copy } = await forge(await about.note());
      await Promise.all(Array.from({ length: 20 }, () => clinic.doctor.client.createResource<Task>(copy as Task)));
      expect(await about.note()).toMatchObject({ success: false, blockReason: 'IDENTIFIER_TAKEN' });
    });

    test.each(['completed', 'rejected', 'in-progress'] as const)('of a critical flag, by a forged Task that is %s', async (status) => {
      const observation = await about.potassium(6.8, { status: 'preliminary' });
      await forge(await about.flag(observation.id), { status });
      await clinic.admin.updateResource({ ...observation, status: 'final' });
      const output = await about.flag(observation.id);
      expect(output).toMatchObject({ action: 'executed', warnings: ['FORGED_TASK_IGNORED'] });
      expect(await clinic.find('Flag', `patient=Patient/${about.patient.id}`)).toHaveLength(1);
    });
  });

  describe('carries a critical flag out', () => {
    const waiting = async () => {
      const observation = await about.potassium(6.8, { status: 'preliminary' });
      const { taskId } = await about.flag(observation.id);
      await clinic.admin.updateResource({ ...observation, status: 'final' });
      const again = (): Promise<Output> => about.flag(observation.id);
      const set = async (by: MedplumClient, status: Task['status']): Promise<void> => {
        await by.updateResource<Task>({ ...(await about.task(taskId as string)), status });
      };
      return { taskId, again, set };
    };

    test.each(['rejected', 'cancelled', 'completed', 'in-progress'] as const)(
      'though an application has set its Task to %s: nobody said no, and nobody did it',
      async (status) => {
        const { again, set } = await waiting();
        await set(await clinic.application(), status);
        expect(await again()).toMatchObject({ action: 'executed' });
      }
    );

    test('though a person has edited a Task that an application had rejected', async () => {
      const { again, set, taskId } = await waiting();
      await set(await clinic.application(), 'rejected');
      await clinic.doctor.client.updateResource<Task>({ ...(await about.task(taskId as string)), description: 'seen' });
      expect(await again()).toMatchObject({ action: 'executed' });
    });

    test('though an application has cancelled its Task, and the queue keeps it ended', async () => {
      const { again, set, taskId } = await waiting();
      const application = await clinic.application();
      await set(application, 'cancelled');
      await set(application, 'requested');
      await clinic.execute('approval-queue', await about.task(taskId as string));
      expect((await about.task(taskId as string)).status).toBe('cancelled');
      expect(await again()).toMatchObject({ action: 'executed' });
    });

    test('but not against a person who rejected it, here or by hand, whatever the Task says now', async () => {
      const byHand = await waiting();
      await byHand.set(clinic.doctor.client, 'rejected');
      expect(await byHand.again()).toMatchObject({ action: 'ended', duplicate: true });
      await byHand.set(await clinic.application(), 'requested');
      expect(await byHand.again()).toMatchObject({ duplicate: true });
      const here = await waiting();
      await about.decide(here.taskId, 'reject', (await clinic.member('nurse')).client);
      await here.set(await clinic.application(), 'requested');
      expect(await here.again()).toMatchObject({ duplicate: true });
      expect(await clinic.find('Flag', `patient=Patient/${about.patient.id}`)).toEqual([]);
    });
  });

  test('who says beforehand where a flag will come from does not silence the bot', async () => {
    const observation = await about.potassium();
    const first = await about.flag(observation.id);
    const said = await clinic.admin.readResource('Provenance', first.provenanceId as string);
    await clinic.admin.deleteResource('Provenance', first.provenanceId as string);
    const { id: _, meta: __, ...copy } = said;
    const planted = await clinic.doctor.client.createResource<Provenance>({ ...copy, agent: [copy.agent[0] as never] });
    const again = await about.flag(observation.id);
    expect(again).toMatchObject({ duplicate: true, executedResourceId: first.executedResourceId });
    expect(again.provenanceId).not.toBe(planted.id);
    // And what the bot has said stays the only one of its own.
    expect(await about.flag(observation.id)).toMatchObject({ provenanceId: again.provenanceId });
    expect(await clinic.find('Provenance', `target=Flag/${first.executedResourceId as string}`)).toHaveLength(2);
  });

  test('a flag names the version that was written, also when it has been edited since', async () => {
    const observation = await about.potassium();
    const { executedResourceId: id, provenanceId } = await about.flag(observation.id);
    const flag = (await clinic.admin.readResource('Flag', id as string)) as Flag;
    await clinic.admin.deleteResource('Provenance', provenanceId as string);
    await clinic.doctor.client.updateResource<Flag>({ ...flag, status: 'inactive' });
    const again = await about.flag(observation.id);
    const origin = (await clinic.admin.readResource('Provenance', again.provenanceId as string)) as Provenance;
    expect(origin.entity?.at(-1)).toMatchObject({
      role: 'derivation',
      what: { reference: `Flag/${id as string}/_history/${flag.meta?.versionId}` },
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

  describe('refuses', () => {
    test("another patient's ids: INVALID_INPUT, an AuditEvent and nothing else", async () => {
      const other = await Case.open(clinic);
      const observation = await other.potassium();
      const theirs = await clinic.create({
        resourceType: 'Condition',
        subject: other.subject,
        code: { text: 'theirs' },
      });
      for (const output of [
        await about.flag(observation.id),
        await about.note('Text', { encounterId: other.encounter.id }),
        await about.note('Text', { sources: [`Observation/${observation.id}`] }),
        await about.note('Text', { sources: [`Patient/${other.patient.id}`] }),
        await about.submit('ProposeProblemListUpdate', { action: 'resolve', conditionId: theirs.id }),
      ]) {
        expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
        expect(JSON.stringify(output)).not.toContain(other.patient.id);
      }
      expect(await about.written()).toEqual({});
      expect(await other.written()).toMatchObject({ Condition: 1 });
      expect(await trail('command_blocked')).toHaveLength(5);
    });

    test("what does not exist is answered like what is another patient's", async () => {
      const other = await Case.open(clinic);
      const observation = await other.potassium();
      const [theirs, nobodys] = [await about.flag(observation.id), await about.flag(randomUUID())];
      expect(nobodys.message).toBe(theirs.message);
    });

    test('a patient that does not exist', async () => {
      const output = await about.note('Text', { patientId: randomUUID() });
      expect(output).toMatchObject({ success: false, errorCode: 'PATIENT_NOT_FOUND' });
    });

    test('patients and related persons, and writes nothing for them', async () => {
      const member = await clinic.person('Patient');
      const output = await about.note('Text', {}, member);
      expect(output).toMatchObject({ success: false, errorCode: 'UNAUTHORIZED' });
      const relative = await clinic.person('RelatedPerson');
      expect(await about.note('Text', {}, relative)).toMatchObject({ success: false, errorCode: 'UNAUTHORIZED' });
      expect(await about.written()).toEqual({});
    });

    test.each([
      ['no command', { command: null }],
      ['a command that is no name', { command: 'Create Note; DROP' }],
      ['no patient', { patientId: null }],
      ['no confidence', { confidence: null }],
      ['a confidence above 1', { confidence: 1.1 }],
      ['a confidence that is a text', { confidence: '0.9' }],
      ['a field of no meaning', { approved: true }],
      ['a source that is no reference', { sources: ['the chart'] }],
      ['too many sources', { sources: Array.from({ length: 51 }, () => `Observation/${randomUUID()}`) }],
      ['parameters that are a list', { parameters: [] }],
      ['a parameter of no meaning', { parameters: { noteType: 'progress', content: 'x', signed: true } }],
      ['a type of note that is none', { parameters: { noteType: 'poem', content: 'x' } }],
      ['an empty note', { parameters: { noteType: 'progress', content: '  ' } }],
      ['a note too long', { parameters: { noteType: 'progress', content: 'x'.repeat(100_001) } }],
      ['writing that turns its direction', { parameters: { noteType: 'progress', content: 'give \u202e05\u202c mg' } }],
      ['a control character', { parameters: { noteType: 'progress', content: 'a\u0000b' } }],
      ['two encounters', { parameters: { noteType: 'progress', content: 'x', encounterId: randomUUID() } }],
      ['no encounter', { encounterId: null }],
    ])('%s: INVALID_INPUT', async (_name, wrong) => {
      expect(await about.note('Text', wrong)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
      expect(await about.written()).toEqual({});
    });

    test.each([
      ['FlagAbnormalResult', { severity: 'critical', interpretation: { system: INTERPRETATION, code: 'HH' } }],
      ['FlagAbnormalResult', { observationId: randomUUID(), severity: 'mild', interpretation: { system: INTERPRETATION, code: 'H' } }],
      ['FlagAbnormalResult', { observationId: randomUUID(), severity: 'critical', interpretation: 'HH' }],
      ['FlagAbnormalResult', { observationId: randomUUID(), severity: 'critical', interpretation: { system: INTERPRETATION, code: 'N' } }],
      ['ProposeProblemListUpdate', { action: 'delete', conditionId: randomUUID() }],
      ['ProposeProblemListUpdate', { action: 'resolve' }],
      ['ProposeProblemListUpdate', { action: 'add' }],
      ['SuggestBillingCodes', { suggestedCodes: [] }],
      ['SuggestBillingCodes', { suggestedCodes: [{ system: ICD, code: 'I10' }] }],
      ['SuggestBillingCodes', { suggestedCodes: [{ system: ICD, code: 'hypertension', confidence: 1 }] }],
      ['SuggestBillingCodes', { suggestedCodes: [{ system: 'urn:x', code: 'I10', confidence: 1 }] }],
      ['SuggestBillingCodes', { suggestedCodes: [{ system: ICD, code: 'I10', confidence: 1 }, { system: ICD, code: 'I10', confidence: 1 }] }],
      ['SuggestBillingCodes', { suggestedCodes: [{ system: CPT, code: '99213', confidence: 1, diagnoses: ['I10'] }] }],
      ['SuggestBillingCodes', { suggestedCodes: [{ system: CPT, code: '99213', confidence: 1, price: 90 }] }],
      ['QueueReferralLetter', { specialty: 'Cardiology', urgency: 'now', reason: 'x', summary: 'y' }],
      ['SuggestMedicationChange', { action: 'start', medication: { system: ICD, code: 'I10', display: 'x' }, rationale: 'x' }],
      ['SuggestMedicationChange', { action: 'start', medication: { system: RXNORM, code: '6809' }, rationale: 'x' }],
      ['SuggestMedicationChange', { action: 'start', medication: { system: RXNORM, code: '6809', display: '\u043exycodone' }, rationale: 'x' }],
      ['SuggestMedicationChange', { action: 'stop', medication: { system: RXNORM, code: '6809', display: 'metformin' }, rationale: 'x' }],
    ])('%s with %j: INVALID_INPUT', async (command, parameters) => {
      const output = await about.submit(command, parameters, { encounterId: about.encounter.id });
      expect(output).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
      expect(await about.written()).toEqual({});
    });

    test('a result that does not stand', async () => {
      const observation = await about.potassium(6.8, { status: 'entered-in-error' });
      expect(await about.flag(observation.id)).toMatchObject({ success: false, errorCode: 'INVALID_INPUT' });
    });

    test('a secret SAFETY_POLICY that is not understood', async () => {
      await clinic.setSecrets({ SAFETY_POLICY: '{"blockedCommand": ["x"]}' });
      expect(await about.note()).toMatchObject({ success: false, errorCode: 'NOT_CONFIGURED' });
      expect(await about.written()).toEqual({});
    });
  });

  describe('keeps an audit trail', () => {
    test('of what was received, without a word of it', async () => {
      await about.note('Suicidal thoughts since Tuesday.');
      const [event] = await trail('command_received');
      expect(event?.agent.map(({ who }) => who?.reference)).toContain(`Practitioner/${clinic.doctor.profile.id}`);
      const events = [...(await trail('command_received')), ...(await trail('command_queued'))];
      expect(events).toHaveLength(2);
      expect(JSON.stringify(events)).not.toContain('uicidal');
    });

    test('and does nothing where it cannot be written', async () => {
      const { policy } = shipped();
      await clinic.setPolicy('command-processor', policy.filter(({ resourceType }) => resourceType !== 'AuditEvent'));
      try {
        const observation = await about.potassium();
        expect(await about.flag(observation.id)).toMatchObject({ success: false, errorCode: 'AUDIT_UNAVAILABLE' });
        expect(await about.note()).toMatchObject({ success: false, errorCode: 'AUDIT_UNAVAILABLE' });
        expect(await about.written()).toEqual({});
      } finally {
        await clinic.setPolicy('command-processor', policy);
      }
    });

    test('by which a command is found', async () => {
      const { commandId } = await about.note();
      const events = await clinic.find<AuditEvent>('AuditEvent', `entity-name=${commandId}`);
      expect(events).toHaveLength(2);
    });

    test('of one handed in on behalf of somebody else, which is refused', async () => {
      const profile = `Practitioner/${clinic.doctor.profile.id}`;
      const input = {
        command: 'CreateEncounterNoteDraft',
        patientId: about.patient.id,
        encounterId: about.encounter.id,
        confidence: 1,
        parameters: { noteType: 'progress', content: 'Feels well.' },
      };
      const headers = { 'X-Medplum-On-Behalf-Of': profile };
      expect(await clinic.execute('command-processor', input, clinic.admin, headers)).toMatchObject({
        success: false,
        errorCode: 'UNAUTHORIZED',
        details: { reason: 'ON_BEHALF_OF' },
      });
      expect(await about.written()).toEqual({});
      const events = await trail('command_blocked');
      expect(events).toHaveLength(1);
      expect(JSON.stringify(events)).toContain(profile);
    });

    test('that tells for whom a project admin acts', async () => {
      const headers = { 'X-Medplum-On-Behalf-Of': `Practitioner/${clinic.doctor.profile.id}` };
      const input = { command: 'LaunchRocket', patientId: about.patient.id, confidence: 1, parameters: {} };
      await clinic.execute('command-processor', input, clinic.admin, headers);
      expect(JSON.stringify(await trail('command_blocked'))).toContain('on-behalf-of');
    });
  });

  test('needs every permission of its policy, and no more', async () => {
    const trial = await tryPolicy(clinic, 'command-processor', () => everything(clinic));
    expect(trial.whole).not.toMatch(/INVALID|DB_ERROR|UNAUTHORIZED/);
    // Whoever writes the trail may read it: that is the contract of every bot.
    expect(trial.needless).toEqual(['AuditEvent read']);
  }, 300_000);

  test("the page's example", async () => {
    const observation = await about.potassium();
    const ids = { PATIENT_ID: about.patient.id, OBSERVATION_ID: observation.id };
    const { input, output } = exampleOf('command-processor', ids);
    expectOutput(await clinic.execute('command-processor', input), output);
  });
});

/** One of everything that the bot does; what came of it, without ids. */
async function* everything(clinic: Clinic): AsyncGenerator<unknown> {
  const about = await Case.open(clinic);
  const { subject } = about;
  const medicationReference = {
    reference: `Medication/${(await clinic.create({ resourceType: 'Medication', code: { text: 'metformin' } })).id}`,
  };
  const current = await clinic.create({ resourceType: 'MedicationRequest', status: 'active', intent: 'order', subject, medicationReference });
  const statement = await clinic.create({ resourceType: 'MedicationStatement', status: 'active', subject, medicationReference });
  const observation = await about.potassium();
  const records = [current, statement, observation, ...(await about.recordsOfEveryType())];
  const sources = records.map(({ resourceType, id }) => `${resourceType}/${id}`);
  const medication = { system: RXNORM, code: '6809', display: 'metformin 850 mg' };
  const told = (value: unknown): string => JSON.stringify(value).replace(/[0-9a-f-]{36}/g, 'ID');
  const after = ({ action, errorCode, message, duplicate, warnings }: Output): string =>
    told([action, errorCode, message, duplicate, warnings]);
  yield after(await about.note('Once.', { sources }));
  yield after(await about.note('Once.', { sources }));
  yield after(await about.flag(observation.id));
  yield after(await about.flag(observation.id));
  yield after(await about.medication({ action: 'change', medication, currentMedicationId: current.id }));
  const tasks = await about.tasks();
  yield tasks.map(({ code, input, requester }) => [code?.text, Case.values(input, 'approval-reason'), requester?.type]);
  const flag = await about.potassium(5.6);
  const byApproval = await about.flag(flag.id, 'abnormal', 'H');
  await about.decide(byApproval.taskId, 'approve', (await clinic.member('nurse')).client);
  if (byApproval.taskId) {
    await clinic.admin.deleteResource('Task', byApproval.taskId as string);
  }
  // What the Approval Queue Bot made counts as made.
  yield after(await about.flag(flag.id, 'abnormal', 'H'));
  yield about.written();
}

function shipped(): { policy: AccessPolicyResource[] } {
  return readManifest().bots['command-processor'] as ManifestBot;
}

function potassium(value: number): { value: number; unit: string; system: string; code: string } {
  return { value, unit: 'mmol/L', system: 'http://unitsofmeasure.org', code: 'mmol/L' };
}
