import { randomUUID } from 'node:crypto';
import type { Flag, Identifier } from '@medplum/fhirtypes';
import { beforeEach, describe, expect, test } from 'vitest';
import { useClinic } from '../../test/support/clinic.ts';
import { Case, CPT, ICD, INTERPRETATION, RXNORM, SNOMED } from '../../test/support/commands.ts';

describe('Command Processor Bot', () => {
  const clinic = useClinic(['command-processor', 'approval-queue']);
  let about: Case;

  beforeEach(async () => {
    await clinic.setSecrets({});
    about = await Case.open(clinic);
  });

  const trail = (type: string) => about.trail(type);

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
});
